/* tests/conformance/convert/convert.c - runs cases.txt: from what Key Vault sends to the bytes of a key of a Secret.
 *
 *   convert FOLDER [WORD]     only the rows that hold WORD
 *
 * Prints each row that is wrong; 1 when there is one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "workers/convert.h"

enum { LINE_BYTES = 4096, FILE_BYTES = 1 << 20, SHOWN_BYTES = 200 };

struct row {
	unsigned line;
	struct str input, how, expected;
};

static const char *folder;
static struct secret_arena *arena;

static void stop(const struct row *row, const char *why, struct str what) {
	fprintf(stderr, "cases.txt:%u: %s %.*s\n", row->line, why, STR_ARG(what));
	exit(2);
}

/* --- inputs --- */

static unsigned hex(char c) {
	return (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

static void unquote(struct str text, struct secret *out) {
	for (size_t i = 1; i + 1 < text.len; i++) {
		char c = text.ptr[i];
		if (c == '\\') {
			char mark = text.ptr[++i];
			c = mark == 'n' ? '\n' : mark == 'r' ? '\r' : mark == 't' ? '\t' : mark;
			if (mark == 'x') {
				c = (char)(hex(text.ptr[i + 1]) << 4 | hex(text.ptr[i + 2]));
				i += 2;
			}
		}
		secret_append_char(out, c);
	}
}

static void read_file(const struct row *row, struct str name, struct secret *out) {
	char path[1024], chunk[4096];
	snprintf(path, sizeof path, "%s/data/%.*s", folder, STR_ARG(name));
	FILE *file = fopen(path, "rb");
	if (!file) stop(row, "there is no file", str_of(path));
	size_t got;
	while ((got = fread(chunk, 1, sizeof chunk, file)) > 0)
		secret_append(out, (struct str){ chunk, got });
	fclose(file);
}

static void read_bytes(const struct row *row, struct str text, struct secret *out) {
	secret_init(out, arena, FILE_BYTES);
	if (text.len && text.ptr[0] == '"') {
		unquote(text, out);
	} else {
		read_file(row, text, out);
	}
}

/* --- conversions --- */

struct how {
	struct spc_object object;
	enum vault_form form;
	struct convert_plan plan;
	bool in_base64, is_answer;
};

static struct how read_how(const struct row *row) {
	struct how how = { 0 };
	struct str rest = row->how;
	while (rest.ptr) {
		struct str word = str_next(&rest, ' ');
		if (str_eq(word, STR("@b64")))
			how.in_base64 = true;
		else if (str_eq(word, STR("plain")))
			how.form = VAULT_PLAIN;
		else if (str_eq(word, STR("pem")))
			how.form = VAULT_PEM;
		else if (str_eq(word, STR("pkcs12")))
			how.form = VAULT_PKCS12;
		else if (str_eq(word, STR("unknown")))
			how.form = VAULT_UNKNOWN;
		else if (str_eq(word, STR("pfx")))
			how.object.format = FORMAT_PFX;
		else if (str_eq(word, STR("base64")))
			how.object.encoding = ENCODING_BASE64;
		else if (str_eq(word, STR("hex")))
			how.object.encoding = ENCODING_HEX;
		else if (str_eq(word, STR("crt")))
			how.plan.part = TLS_CRT;
		else if (str_eq(word, STR("key")))
			how.plan.part = TLS_KEY;
		else if (str_eq(word, STR("tls")))
			how.plan.form = TLS_TRADITIONAL;
		else if (str_eq(word, STR("cert")))
			how.object.kind = VAULT_CERTIFICATE;
		else
			stop(row, "does not know", word);
	}
	how.is_answer = how.object.kind == VAULT_CERTIFICATE || str_eq(row->how, STR("key"));
	if (how.is_answer && how.object.kind != VAULT_CERTIFICATE) how.object.kind = VAULT_KEY;
	return how;
}

static enum err answer(
	const struct how *how, struct secret *body, struct secret *out, struct fault *fault) {
	struct vault_call call = { 0 };
	struct vault_object object = { 0 };
	call.http.response_arena = arena;
	secret_move(&call.http.response_secret, body);
	enum err err = vault_read_object(&call, how->object.kind, arena, &object, fault);
	if (!err) secret_append(out, secret_expose(&object.value));
	vault_object_deinit(&object);
	secret_deinit(&call.http.response_secret);
	return err;
}

static enum err convert(
	const struct how *how, struct secret *value, struct secret *out, struct fault *fault) {
	struct secret whole;
	if (how->is_answer) return answer(how, value, out, fault);
	secret_init(&whole, arena, CONVERT_BYTES);
	enum err err = convert_whole(&how->object, how->form, value, arena, &whole, fault);
	bool same = !err && secret_equal(&whole, value);
	if (!err && convert_is_identity(&how->object, how->form) && !same)
		err = fault_set(fault, ERR_INTERNAL, "is said to stay as it is, and does not");
	if (!err && how->plan.part == TLS_WHOLE) secret_append(out, secret_expose(&whole));
	if (!err && how->plan.part != TLS_WHOLE)
		err = tls_part_read(
			secret_expose(&whole), how->plan.part, how->plan.form, arena, out, fault);
	secret_deinit(&whole);
	return err;
}

/* --- rows --- */

/* No run of 12 bytes of the value may stand in a message. */
static bool shows(const char *text, struct str value) {
	for (size_t at = 0; at + 12 <= value.len; at++) {
		if (str_find(str_of(text), str_slice(value, at, 12)) != SIZE_MAX) return true;
	}
	return false;
}

static bool complain(const struct row *row, const char *what, struct str got) {
	printf("cases.txt:%u: %.*s | %.*s: %s: %.*s\n", row->line, STR_ARG(row->input),
		STR_ARG(row->how), what, (int)(got.len < SHOWN_BYTES ? got.len : SHOWN_BYTES),
		got.ptr ? got.ptr : "");
	return false;
}

static bool judge(const struct row *row, enum err err, const struct secret *out,
	const struct fault *fault, struct str value) {
	struct str words = str_trim(str_slice(row->expected, 1, row->expected.len));
	struct secret expected;
	if (err && (err != fault->err || shows(fault->text, value)))
		return complain(row, "says too much, or another error", str_of(fault->text));
	if (row->expected.ptr[0] == '!') {
		if (!err) return complain(row, "is not refused", secret_expose(out));
		if (str_find(str_of(fault->text), words) == SIZE_MAX || secret_len(out))
			return complain(row, "is refused otherwise", str_of(fault->text));
		return true;
	}
	if (err) return complain(row, "is refused", str_of(fault->text));
	read_bytes(row, words, &expected);
	bool same = secret_equal(&expected, out);
	secret_deinit(&expected);
	return same || complain(row, "is something else", secret_expose(out));
}

static bool run(const struct row *row) {
	struct how how = read_how(row);
	struct secret input, value, kept, out;
	struct fault fault = { 0 };
	read_bytes(row, row->input, &input);
	secret_init(&value, arena, FILE_BYTES);
	secret_init(&kept, arena, FILE_BYTES);
	secret_init(&out, arena, FILE_BYTES);
	if (how.in_base64)
		secret_append_base64(&value, secret_expose(&input));
	else
		secret_append(&value, secret_expose(&input));
	secret_append(&kept, secret_expose(&value));
	enum err err = convert(&how, &value, &out, &fault);
	bool good = judge(row, err, &out, &fault, secret_expose(&kept));
	secret_deinit(&input);
	secret_deinit(&value);
	secret_deinit(&kept);
	secret_deinit(&out);
	return good;
}

static bool read_row(struct str line, struct row *out_row) {
	line = str_trim(line);
	if (!line.len || line.ptr[0] == '#') return false;
	out_row->input = str_trim(str_next(&line, '|'));
	out_row->how = str_trim(str_next(&line, '|'));
	out_row->expected = line.ptr ? str_trim(line) : STR_NULL;
	struct str e = out_row->expected;
	if (!e.len || (e.ptr[0] != '=' && e.ptr[0] != '!'))
		stop(out_row, "what is expected of", line);
	return true;
}

int main(int argc, char **argv) {
	char path[1024], line[LINE_BYTES];
	mem_wipe_libraries();
	if (argc < 2) {
		fprintf(stderr, "usage: convert FOLDER [WORD]\n");
		return 2;
	}
	folder = argv[1];
	arena = secret_arena_create(16 << 20);
	snprintf(path, sizeof path, "%s/cases.txt", folder);
	FILE *file = fopen(path, "r");
	if (!file || !arena) {
		fprintf(stderr, "%s cannot be read\n", path);
		return 2;
	}
	unsigned number = 0, rows = 0, wrong = 0;
	while (fgets(line, sizeof line, file)) {
		struct row row = { .line = ++number };
		bool wanted = argc < 3 || strstr(line, argv[2]);
		if (!read_row(str_of(line), &row) || !wanted) continue;
		rows++;
		if (!run(&row)) wrong++;
	}
	fclose(file);
	if (secret_arena_used_bytes(arena)) {
		printf("%zu bytes of secret memory were not given back\n",
			secret_arena_used_bytes(arena));
		wrong++;
	}
	secret_arena_destroy(arena);
	printf("convert: %u rows, %u wrong\n", rows, wrong);
	return wrong || !rows;
}
