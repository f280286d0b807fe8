/* engine/spc_objects, engine/spc_item, engine/doc: the `objects` parameter, row by row of the provider's rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/spc_objects.h"

/* The list as text: "name|path|version|history" per object, with what it has beside "secret" in brackets, joined by blanks. */
static const char *shown(const struct object_list *list) {
	static char text[1024];
	size_t at = 0;
	text[0] = '\0';
	for (unsigned i = 0; i < list->count; i++) {
		const struct spc_object *o = &list->objects[i];
		static const char *const encodings[] = { "", "[base64]", "[hex]" };
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%.*s|%.*s|%.*s|%u%s%s%s",
			i ? " " : "", STR_ARG(o->name), STR_ARG(o->path), STR_ARG(o->version),
			o->history,
			o->kind == VAULT_SECRET ? "" : o->kind == VAULT_KEY ? "[key]" : "[cert]",
			o->format == FORMAT_PFX ? "[pfx]" : "", encodings[o->encoding]);
	}
	return text;
}

static const struct {
	const char *yaml, *shows;
} ACCEPTED[] = {
	/* the outer document */
	{ "array:\n  - |\n    objectName: a\n    objectType: secret\n", "a|a||0" },
	{ "array:\n", "" },
	{ "array: ~\n", "" },
	{ "array: []\n", "" },
	{ "", "" },
	{ "Array:\n  - x\n", "" },
	{ "other: 1\n", "" },
	{ "array:\n  - objectName: a\n    objectType: secret\n", "a|a||0" },
	{ "{\"array\":[\"objectName: a\\nobjectType: secret\"]}", "a|a||0" },
	{ "array:\n  - null\n  - ~\n  -\n  - |\n    objectName: a\n    objectType: secret\n",
		"a|a||0" },
	{ "array:\n  - |\n    objectName: a\n    objectType: secret\n---\narray: 5\n: :\n",
		"a|a||0" },
	{ "x: &i |\n  objectName: a\n  objectType: secret\narray:\n  - *i\n", "a|a||0" },
	{ "d: &d\n  objectType: secret\narray:\n  - <<: *d\n    objectName: a\n", "a|a||0" },
	{ "d: &d {objectType: secret, objectName: b}\narray:\n  - {objectName: a, <<: [*d]}\n",
		"a|a||0" },
	{ "array:\n  - !!binary b2JqZWN0TmFtZTogYQpvYmplY3RUeXBlOiBzZWNyZXQK\n", "a|a||0" },
	{ "array: !mine\n  - !other |\n    objectName: a\n    objectType: secret\n", "a|a||0" },
	{ "unknown: {deep: [1, 2]}\narray:\n  - |\n    objectName: a\n    objectType: secret\n    "
	  "unknown: 1\n",
		"a|a||0" },
	/* items */
	{ "array:\n  - |\n    objectName: a # the name\n    # all comment\n    objectType: "
	  "secret\n",
		"a|a||0" },
	{ "array:\n  - |\n    objectName: 0123\n    objectType: secret\n    objectVersion: 0123\n",
		"0123|0123|0123|0" },
	{ "array:\n  - |\n    objectName: true\n    objectType: secret\n", "true|true||0" },
	{ "array:\n  - |\n    objectName: a\n    objectType: secret\n    objectAlias: ~\n    "
	  "objectVersion: null\n",
		"a|a||0" },
	{ "array:\n  - |\n    objectName: \" a\\u00a0\\n\"\n    objectType: \"secret\\t\"\n",
		"a|a||0" },
	{ "array:\n  - |\n    objectName: a\n    objectType: secret\n    objectAlias: b/c\n",
		"a|b/c||0" },
	{ "array:\n  - |\n    objectName: a\n    objectType: secret\n    objectAlias: b//./c\n    "
	  "objectVersionHistory: 2\n",
		"a|b/c||2" },
	{ "array:\n  - |\n    objectName: a\n    objectType: secret\n    objectVersion: latest\n",
		"a|a|latest|0" },
	{ "array:\n  - |\n    objectName: a\n    objectType: secret\n    objectFormat: PEM\n    "
	  "objectEncoding: UTF-8\n",
		"a|a||0" },
	{ "array:\n- {objectName: a, objectType: key}\n- {objectName: b, objectType: cert}\n",
		"a|a||0[key] b|b||0[cert]" },
	{ "array:\n- {objectName: a, objectType: secret, objectFormat: pfx, objectEncoding: "
	  "base64}\n- {objectName: b, objectType: secret, objectFormat: Pfx, objectEncoding: HEX}\n",
		"a|a||0[pfx][base64] b|b||0[pfx][hex]" },
	{ "array:\n- {objectName: a, objectType: cert, objectFormat: PFX}\n"
	  "- {objectName: b, objectType: key, objectVersionHistory: 3, filePermission: 0o9}\n",
		"a|a||0[cert][pfx] b|b||3[key]" },
	{ "array:\n  - |\n    objectName: a\n    objectType: secret\n  - |\n    objectName: b\n    "
	  "objectType: secret\n",
		"a|a||0 b|b||0" },
	{ "array:\n  - |\n    objectName: a\n    objectType: secret\n    objectVersionHistory: 1\n"
	  "  - |\n    objectName: b\n    objectAlias: a/0\n    objectType: secret\n",
		"a|a||1 b|a/0||0" },
};

static void test_accepted(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof ACCEPTED / sizeof *ACCEPTED; i++) {
		struct object_list list;
		struct fault fault = { 0 };
		enum err err = object_list_parse(str_of(ACCEPTED[i].yaml), &list, &fault);
		if (err) fail_msg("refused: %s\n%s", ACCEPTED[i].yaml, fault.text);
		if (strcmp(shown(&list), ACCEPTED[i].shows) != 0)
			fail_msg("%s\nis %s", ACCEPTED[i].yaml, shown(&list));
		object_list_deinit(&list);
	}
}

static const struct {
	const char *value;
	int history; /* -1: refused */
} HISTORIES[] = {
	{ "2", 2 },
	{ "0x5", 5 },
	{ "010", 8 },
	{ "0o17", 15 },
	{ "0b11", 3 },
	{ "1_0", 10 },
	{ "+3", 3 },
	{ "5.7", 5 },
	{ "-4", 0 },
	{ "-0.5", 0 },
	{ "~", 0 },
	{ "null", 0 },
	{ "", 0 },
	{ "0", 0 },
	{ "08", 8 },
	{ "1e2", 100 },
	{ ".5", 0 },
	{ "!!int \"7\"", 7 },
	{ "2147483647", 2147483647 },
	{ "2147483648", -1 },
	{ "-2147483649", -1 },
	{ "99999999999999999999999", -1 },
	{ "\"2\"", -1 },
	{ "'2'", -1 },
	{ "true", -1 },
	{ "two", -1 },
	{ "_1", -1 },
	{ "0x", -1 },
	{ "0xg", -1 },
	{ "-", -1 },
	{ "1.2.3", -1 },
	{ ".inf", -1 },
	{ ".nan", -1 },
	{ "[2]", -1 },
	{ "1e99", -1 },
	{ "infinity", -1 },
	{ "0x1p3", -1 },
};

static void test_history(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof HISTORIES / sizeof *HISTORIES; i++) {
		char yaml[256];
		snprintf(yaml, sizeof yaml,
			"array:\n- |\n  objectName: a\n  objectType: secret\n  "
			"objectVersionHistory: %s\n",
			HISTORIES[i].value);
		struct object_list list;
		struct fault fault = { 0 };
		enum err err = object_list_parse(str_of(yaml), &list, &fault);
		int history = err ? -1 : (int)list.objects[0].history;
		if (history != HISTORIES[i].history)
			fail_msg("%s is %d (%s)", HISTORIES[i].value, history, fault.text);
		if (err)
			assert_non_null(strstr(fault.text, "array[0]: line 3, column"));
		else
			object_list_deinit(&list);
	}
}

#define ITEM(fields) "array:\n  - |\n    " fields "\n"

static const struct {
	const char *yaml, *says;
} REFUSED[] = {
	{ "- a\n", "is no mapping; it begins with the key" },
	{ "invalid\n", "is no mapping" },
	{ "array: 5\n", "line 1, column 8: array is no list" },
	{ "array:\n  - [a]\n", "array[0]: is a list" },
	{ "array:\n  - foo\n", "array[0]: is no mapping" },
	{ "array:\n  - 5\n", "array[0]: is no mapping" },
	{ "array:\n  - |\n    - a\n", "array[0]: is no mapping" },
	{ "array:\n  - \"\"\n", "objectName is not set" },
	{ "array:\n  - |\n    objectName: a\n     objectType: secret\n", "array[0]: line 2" },
	{ "array:\n\t- a\n", "not YAML" },
	{ "array: [\n", "not YAML" },
	{ "array: []\narray: []\n",
		"line 2, column 1: the key \"array\" stands here for the second time" },
	{ ITEM("objectName: a\n    objectName: b"),
		"array[0]: line 2, column 1: the key \"objectName\"" },
	{ "array:\n  - *nothing\n", "has no anchor before it" },
	{ "array: &a\n  - *a\n", "contains itself" },
	{ "array:\n  - <<: 5\n", "a merge (<<) needs a mapping" },
	{ "array:\n  - !!binary \"***\"\n", "not base64" },
	{ ITEM("objectName: {a: b}\n    objectType: secret"),
		"objectName takes a text, not a mapping" },
	{ ITEM("objectName: a\n    objectType: secret\n    objectFormat: der"),
		"objectFormat has to be pem or pfx" },
	{ ITEM("objectName: a\n    objectType: cert\n    objectFormat: pfx"),
		"objectFormat pfx needs objectType secret" },
	{ ITEM("objectName: a\n    objectType: cert\n    objectEncoding: utf16"),
		"objectEncoding needs objectType secret" },
	{ ITEM("objectName: a\n    objectType: secret\n    objectEncoding: utf8"),
		"has to be utf-8, base64 or hex" },
	{ ITEM("objectName: a\n    objectType: secret\n    objectEncoding: utf-16"),
		"has to be utf-8, base64 or hex" },
	{ ITEM("objectType: secret"), "objectName is not set" },
	{ ITEM("objectName: a\n    objectAlias: /b\n    objectType: secret"),
		"must not begin with" },
	{ ITEM("objectName: a\n    objectAlias: a..b\n    objectType: secret"),
		"must not contain \"..\"" },
	{ ITEM("objectName: a\n    objectAlias: ../b\n    objectType: secret"),
		"must not contain \"..\"" },
	{ ITEM("objectName: a"), "objectType is not set; it has to be secret, key or cert" },
	{ ITEM("objectName: a_b\n    objectType: key"), "array[0]: objectName \"a_b\" is no name in a vault" },
	{ ITEM("objectName: a\n    objectType: Secret"),
		"has to be secret, key or cert, not \"Secret\"" },
	{ ITEM("objectName: a/b\n    objectType: secret"), "is no name in a vault" },
	{ ITEM("objectAlias: a\n    objectType: secret"), "is no name in a vault" },
	{ ITEM("objectName: a\n    objectType: secret\n    objectVersion: a/b"),
		"is no version of a vault" },
	{ ITEM("objectName: a\n    objectType: key\n    objectEncoding: hex"),
		"objectEncoding needs objectType secret" },
	{ ITEM("objectName: a\n    objectType: cert\n    objectFormat: pfx\n    objectEncoding: x"),
		"objectFormat pfx needs objectType secret" },
	{ ITEM("objectName: a\n    objectType: Key\n    objectFormat: pfx"),
		"objectFormat pfx needs objectType secret" },
	{ ITEM("objectAlias: ../a\n    objectType: x\n    objectEncoding: x"),
		"objectEncoding needs objectType secret" },
	{ ITEM("objectName: a\n    objectAlias: ../a\n    objectType: x"), "must not contain" },
	{ ITEM("objectName: a\n    objectType: certificate"),
		"has to be secret, key or cert, not \"certificate\"" },
	{ ITEM("objectName: a\n    objectType: secret\n    filePermission: [0644]"),
		"filePermission takes a text, not a list" },
	/* collisions */
	{ "array:\n- {objectName: a, objectType: secret}\n- {objectName: b, objectAlias: a, "
	  "objectType: secret}\n",
		"two objects for the path \"a\"" },
	{ "array:\n- {objectName: a, objectType: secret, objectVersionHistory: 2}\n"
	  "- {objectName: b, objectAlias: a/1, objectType: secret}\n",
		"two objects for the path \"a/1\"" },
};

static void test_refused(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
		struct object_list list;
		struct fault fault = { 0 };
		enum err err = object_list_parse(str_of(REFUSED[i].yaml), &list, &fault);
		if (err != ERR_INVALID)
			fail_msg("not refused (%s): %s", err_name(err), REFUSED[i].yaml);
		if (!strstr(fault.text, REFUSED[i].says)) {
			fail_msg("%s: wanted \"%s\", got \"%s\"", REFUSED[i].yaml, REFUSED[i].says,
				fault.text);
		}
	}
}

/* Nothing that a user can write makes a turn long: size, count, depth, keys and aliases have bounds. */
static void test_bounds(void **state) {
	(void)state;
	struct fault fault = { 0 };
	struct object_list list;
	struct buf yaml;
	buf_init(&yaml, 4 << 20);
	buf_append(&yaml, STR("array:\n"));
	for (int i = 0; i <= OBJECTS_MAX; i++) buf_append(&yaml, STR("- a\n"));
	assert_int_equal(object_list_parse(buf_str(&yaml), &list, &fault), ERR_TOO_LARGE);
	assert_non_null(strstr(fault.text, "use several SecretProviderClasses"));

	buf_reset(&yaml);
	for (int i = 0; i < 40; i++) buf_append(&yaml, STR("["));
	assert_int_equal(object_list_parse(buf_str(&yaml), &list, &fault), ERR_TOO_LARGE);
	assert_non_null(strstr(fault.text, "nested deeper"));

	buf_reset(&yaml);
	buf_append(&yaml, STR("a: &a 1\narray:\n"));
	for (int i = 0; i < 70; i++) buf_append(&yaml, STR("- *a\n"));
	assert_int_equal(object_list_parse(buf_str(&yaml), &list, &fault), ERR_TOO_LARGE);
	assert_non_null(strstr(fault.text, "aliases"));

	buf_reset(&yaml);
	for (int i = 0; i < 300; i++) buf_printf(&yaml, "k%d: 1\n", i);
	assert_int_equal(object_list_parse(buf_str(&yaml), &list, &fault), ERR_TOO_LARGE);
	assert_non_null(strstr(fault.text, "more than 256 keys"));

	buf_reset(&yaml);
	for (int i = 0; i < OBJECTS_BYTES; i++) buf_append_char(&yaml, '#');
	buf_append_char(&yaml, '#');
	assert_int_equal(object_list_parse(buf_str(&yaml), &list, &fault), ERR_TOO_LARGE);
	buf_deinit(&yaml);
}

static void test_no_memory(void **state) {
	(void)state;
	static const char yaml[] =
		"x: &i |\n  objectName: a\n  objectType: secret\narray:\n  - *i\n"
		"  - !!binary b2JqZWN0TmFtZTogYgpvYmplY3RUeXBlOiBzZWNyZXQK\n  - {objectName: c, "
		"objectType: secret}\n";
	for (uint64_t nth = 1;; nth++) {
		struct object_list list;
		struct fault fault;
		mem_fail_at(nth);
		enum err err = object_list_parse(str_of(yaml), &list, &fault);
		bool reached = mem_fail_reached();
		mem_fail_at(0);
		if (!reached) {
			assert_int_equal(err, OK);
			assert_int_equal(list.count, 3);
			object_list_deinit(&list);
			break;
		}
		assert_int_equal(err, ERR_NOMEM);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
