/* tests/world/kube_json.h - what the Kubernetes model needs on top of cJSON.
 *
 * Names are looked up with case, as Kubernetes does. Trees are walked recursively: the parser refuses documents deeper
 * than its own nesting limit, so the depth is bounded. Memory that runs out here ends the process: a test world that goes
 * on after a lost allocation would blame the product for it.
 */
#pragma once

#include <cjson/cJSON.h>
#include <stdarg.h>

#include "base/buf.h"
#include "base/str.h"

/* mem_alloc and friends that retry once, so that a fault planted with mem_fail_at() hits the product and not its world. */
void *kj_alloc(size_t size); /* zeroed */
void *kj_grow(void *ptr, size_t size);
char *kj_strdup(struct str s);
__attribute__((format(printf, 1, 2))) char *kj_format(const char *format, ...);

/* Where in a document a walk is: "spec.items[0].name", "" at its root. Its text is made on the way and costs no allocation. */
struct kj_trail {
	char *text;
	size_t len;
	size_t _cap;
};
void kj_trail_init(struct kj_trail *trail);
void kj_trail_deinit(struct kj_trail *trail);
/* One step down; returns what kj_trail_back wants to come back. */
size_t kj_trail_member(struct kj_trail *trail, const char *name);
size_t kj_trail_item(struct kj_trail *trail, int index);
void kj_trail_back(struct kj_trail *trail, size_t to);

/* Aborts on NULL; hands the pointer on. */
cJSON *kj_must(cJSON *item);

/* Reads a whole document; NULL when it is not JSON. Caller frees with cJSON_Delete. */
cJSON *kj_parse(struct str text);
/* As kj_parse for the model's own literals, in which ' stands for ". Aborts when they are wrong. */
cJSON *kj_literal(const char *text);
cJSON *kj_copy(const cJSON *item);

/* Members of an object; NULL, "" and 0 where there is none or `object` is NULL. */
cJSON *kj_get(const cJSON *object, const char *name);
cJSON *kj_get2(const cJSON *object, const char *outer, const char *inner);
const char *kj_text(const cJSON *object, const char *name);
const char *kj_text2(const cJSON *object, const char *outer, const char *inner);
int64_t kj_int(const cJSON *object, const char *name);

/* Replaces or adds. `item` is taken. */
void kj_set(cJSON *object, const char *name, cJSON *item);
void kj_set_text(cJSON *object, const char *name, const char *text);
void kj_set_int(cJSON *object, const char *name, int64_t value);
void kj_remove(cJSON *object, const char *name);
cJSON *kj_detach(cJSON *object, const char *name);
/* The member of that name, made as {} when it is missing. */
cJSON *kj_object(cJSON *object, const char *name);
/* Appends to an array. `item` is taken. */
void kj_push(cJSON *array, cJSON *item);

/* Equal values; the order of members does not count. NULL equals NULL only. */
bool kj_equal(const cJSON *a, const cJSON *b);
/* NULL, null, {} or []. */
bool kj_is_empty(const cJSON *item);
bool kj_contains_text(const cJSON *array, const char *text);

/* Appends the document without blanks. */
void kj_print(struct buf *buf, const cJSON *item);
/* The document as a string; free with mem_free. */
/* As JSON without blanks; free with cJSON_free. */
char *kj_json(const cJSON *item);
char *kj_print_text(const cJSON *item);
