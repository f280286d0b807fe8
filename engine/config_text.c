/* The configuration as text for people: a commented file, and the table of the documentation. */
#include "base/mem.h"
#include "engine/config_options.h"

enum { COMMENT_COLUMNS = 96 };

/* Writes text behind "# ", broken at blanks. */
static void write_comment(struct buf *out, struct str text) {
	while (text.len > 0) {
		size_t len = text.len;
		if (len > COMMENT_COLUMNS) {
			len = COMMENT_COLUMNS;
			while (len > 1 && text.ptr[len] != ' ') len--;
		}
		buf_printf(out, "# %.*s\n", (int)len, text.ptr);
		text = str_trim(str_slice(text, len, text.len));
	}
}

static void write_initial(const struct option_row *option, struct buf *out) {
	if (option->initial_text)
		buf_append(out, str_of(option->initial_text));
	else if (option->type == OPTION_NUMBER)
		buf_printf(out, "%lld", (long long)option->initial);
	else if (option->type == OPTION_CHOICE)
		buf_append(out, str_of(option->choices[option->initial]));
	else
		buf_append(out, STR("not set"));
}

static void write_names(const char *names, const struct option_row *option, struct buf *out) {
	buf_printf(out, "%s: [", option->key);
	struct str rest = str_of(names);
	for (bool first = true; rest.ptr; first = false) {
		if (!first) buf_append(out, STR(", "));
		buf_append_json(out, str_next(&rest, ','));
	}
	buf_append(out, STR("]\n"));
}

/* [[a, b], [c]] */
static void write_groups(const char *groups, const struct option_row *option, struct buf *out) {
	buf_printf(out, "%s: [", option->key);
	struct str rest = str_of(groups);
	for (bool first = true; rest.ptr; first = false) {
		struct str group = str_next(&rest, ';');
		buf_append(out, first ? STR("[") : STR(", ["));
		for (bool begins = true; group.ptr; begins = false) {
			if (!begins) buf_append(out, STR(", "));
			buf_append_json(out, str_next(&group, ','));
		}
		buf_append_char(out, ']');
	}
	buf_append(out, STR("]\n"));
}

static void write_value(struct config *config, const struct option_row *option, struct buf *out) {
	switch (option->type) {
	case OPTION_NUMBER:
		buf_printf(
			out, "%s: %lld\n", option->key, (long long)*option_number(config, option));
		break;
	case OPTION_CHOICE:
		buf_printf(out, "%s: %s\n", option->key,
			option->choices[*option_number(config, option)]);
		break;
	case OPTION_NAMES:
		write_names(*option_text(config, option), option, out);
		break;
	case OPTION_GROUPS:
		write_groups(*option_text(config, option), option, out);
		break;
	case OPTION_CLOUD:
	case OPTION_PATH:
	case OPTION_ADDRESS:
	case OPTION_FOLDER: {
		const char *text = *option_text(config, option);
		buf_printf(out, "%s%s: ", text ? "" : "# ", option->key);
		if (text) buf_append_json(out, str_of(text));
		buf_append_char(out, '\n');
		break;
	}
	}
}

void config_write(const struct config *config, struct buf *out_yaml) {
	struct config copy =
		*config; /* the accessors of options are for writers too; nothing is changed */
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		const struct option_row *option = &CONFIG_OPTIONS[i];
		if (i > 0) buf_append_char(out_yaml, '\n');
		write_comment(out_yaml, str_of(option->help));
		buf_append(out_yaml, STR("# Allowed: "));
		option_describe(option, out_yaml);
		buf_append(out_yaml, STR(". Default: "));
		write_initial(option, out_yaml);
		buf_append(out_yaml, STR(".\n"));
		write_value(&copy, option, out_yaml);
	}
}

void config_write_table(struct buf *out_markdown) {
	buf_append(out_markdown, STR("| key | default | allowed | meaning |\n|---|---|---|---|\n"));
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		const struct option_row *option = &CONFIG_OPTIONS[i];
		buf_printf(out_markdown, "| `%s` | ", option->key);
		write_initial(option, out_markdown);
		buf_append(out_markdown, STR(" | "));
		option_describe(option, out_markdown);
		buf_printf(out_markdown, " | %s |\n", option->help);
	}
}
