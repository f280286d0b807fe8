/* engine/config_options.h - the table of options; private to engine/config*.c. */
#pragma once

#include <stddef.h>

#include "engine/config.h"

enum option_type {
	OPTION_NUMBER,
	OPTION_CHOICE,
	OPTION_CLOUD,
	OPTION_PATH,
	OPTION_ADDRESS,
	OPTION_FOLDER,
	OPTION_NAMES,
	OPTION_GROUPS /* a list of lists of names; the text is "a,b;c,d" */
};

struct option_row {
	const char *key;
	enum option_type type;
	size_t offset; /* in struct config: int64_t or char * */
	int64_t low, high; /* of a number, both allowed */
	int64_t initial; /* of a number or a choice; workers: 0, counted at start */
	const char *initial_text; /* of a text (NULL: not set), or words for the documentation */
	const char *const *choices; /* of a choice: the value is the index */
	const char *help;
};

extern const struct option_row CONFIG_OPTIONS[];
extern const unsigned CONFIG_OPTION_COUNT;

static inline int64_t *option_number(struct config *config, const struct option_row *option) {
	return (int64_t *)((char *)config + option->offset);
}

static inline char **option_text(struct config *config, const struct option_row *option) {
	return (char **)((char *)config + option->offset);
}

/* Takes over one value (of names: one more, behind those that are there). ERR_INVALID with "has to be ..." in the fault, ERR_NOMEM. */
enum err option_set(struct config *config, const struct option_row *option, struct str value,
	struct fault *fault);

/* Of groups: a further name, in a group that is new or the last one. ERR_INVALID for a name that stands in one already. */
enum err option_add_to_group(struct config *config, const struct option_row *option, bool is_new,
	struct str name, struct fault *fault);

/* The option with this key, or NULL. */
const struct option_row *option_find(struct str key);

/* The key that is spelled most alike, or NULL when none is near. */
const char *option_nearest(struct str key);

/* "1 to 604800", "logfmt or json", ... */
void option_describe(const struct option_row *option, struct buf *out_text);
