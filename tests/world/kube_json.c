#include "tests/world/kube_json.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

/* Not calloc(): the C library serves that from no thread's cache. */
void *kj_alloc(size_t size) {
	void *ptr = mem_alloc(size);
	if (!ptr) ptr = mem_alloc(size);
	if (!ptr) abort();
	return memset(ptr, 0, size);
}

void *kj_grow(void *ptr, size_t size) {
	void *grown = mem_realloc(ptr, size);
	if (!grown) grown = mem_realloc(ptr, size);
	if (!grown) abort();
	return grown;
}

char *kj_strdup(struct str s) {
	char *text = kj_alloc(s.len + 1);
	if (s.len) memcpy(text, s.ptr, s.len);
	return text;
}

char *kj_format(const char *format, ...) {
	char first[512];
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int len = vsnprintf(first, sizeof(first), format, args);
	assert(len >= 0);
	char *text = kj_alloc((size_t)len + 1);
	if ((size_t)len < sizeof(first)) memcpy(text, first, (size_t)len);
	else vsnprintf(text, (size_t)len + 1, format, again);
	va_end(again);
	va_end(args);
	return text;
}

void kj_trail_init(struct kj_trail *trail) {
	*trail = (struct kj_trail){ .text = kj_alloc(256), ._cap = 256 };
}

void kj_trail_deinit(struct kj_trail *trail) {
	mem_free(trail->text);
	*trail = (struct kj_trail){ 0 };
}

static void trail_append(struct kj_trail *trail, const char *text, size_t len) {
	if (trail->len + len >= trail->_cap) {
		trail->_cap = 2 * (trail->len + len + 1);
		trail->text = kj_grow(trail->text, trail->_cap);
	}
	memcpy(trail->text + trail->len, text, len);
	trail->len += len;
	trail->text[trail->len] = 0;
}

size_t kj_trail_member(struct kj_trail *trail, const char *name) {
	size_t from = trail->len;
	if (from) trail_append(trail, ".", 1);
	trail_append(trail, name, strlen(name));
	return from;
}

size_t kj_trail_item(struct kj_trail *trail, int index) {
	size_t from = trail->len;
	char text[32];
	trail_append(trail, text, (size_t)snprintf(text, sizeof(text), "[%d]", index));
	return from;
}

void kj_trail_back(struct kj_trail *trail, size_t to) {
	trail->len = to;
	trail->text[to] = 0;
}

cJSON *kj_must(cJSON *item) {
	if (!item) abort();
	return item;
}

cJSON *kj_parse(struct str text) {
	const char *end = NULL;
	cJSON *doc = cJSON_ParseWithLengthOpts(text.ptr ? text.ptr : "", text.len, &end, false);
	if (!doc) return NULL;
	for (; end < text.ptr + text.len; end++) {
		if (!strchr(" \t\r\n", *end)) {
			cJSON_Delete(doc);
			return NULL;
		}
	}
	return doc;
}

cJSON *kj_literal(const char *text) {
	char *quoted = kj_strdup(str_of(text));
	for (char *c = quoted; *c; c++) {
		if (*c == '\'') *c = '"';
	}
	cJSON *doc = cJSON_Parse(quoted);
	assert(doc != NULL);
	mem_free(quoted);
	return doc;
}

cJSON *kj_copy(const cJSON *item) {
	return kj_must(cJSON_Duplicate(item, true));
}

/* The model's most frequent step by far: it looks at the first letter before it calls anything. */
cJSON *kj_get(const cJSON *object, const char *name) {
	if (!object || (object->type & 0xff) != cJSON_Object) return NULL;
	cJSON *item = object->child;
	while (item && (item->string[0] != name[0] || strcmp(item->string, name) != 0)) item = item->next;
	return item;
}

cJSON *kj_get2(const cJSON *object, const char *outer, const char *inner) {
	return kj_get(kj_get(object, outer), inner);
}

const char *kj_text(const cJSON *object, const char *name) {
	const cJSON *item = kj_get(object, name);
	return cJSON_IsString(item) ? item->valuestring : "";
}

const char *kj_text2(const cJSON *object, const char *outer, const char *inner) {
	return kj_text(kj_get(object, outer), inner);
}

int64_t kj_int(const cJSON *object, const char *name) {
	const cJSON *item = kj_get(object, name);
	return cJSON_IsNumber(item) ? (int64_t)item->valuedouble : 0;
}

void kj_set(cJSON *object, const char *name, cJSON *item) {
	assert(cJSON_IsObject(object));
	kj_must(item);
	if (kj_get(object, name)) {
		cJSON_ReplaceItemInObjectCaseSensitive(object, name, item);
	} else {
		cJSON_AddItemToObject(object, name, item);
	}
}

void kj_set_text(cJSON *object, const char *name, const char *text) {
	kj_set(object, name, cJSON_CreateString(text));
}

void kj_set_int(cJSON *object, const char *name, int64_t value) {
	kj_set(object, name, cJSON_CreateNumber((double)value));
}

void kj_remove(cJSON *object, const char *name) {
	if (cJSON_IsObject(object)) cJSON_DeleteItemFromObjectCaseSensitive(object, name);
}

cJSON *kj_detach(cJSON *object, const char *name) {
	return cJSON_IsObject(object) ? cJSON_DetachItemFromObjectCaseSensitive(object, name) : NULL;
}

cJSON *kj_object(cJSON *object, const char *name) {
	cJSON *item = kj_get(object, name);
	if (!cJSON_IsObject(item)) {
		item = kj_must(cJSON_CreateObject());
		kj_set(object, name, item);
	}
	return item;
}

void kj_push(cJSON *array, cJSON *item) {
	assert(cJSON_IsArray(array));
	cJSON_AddItemToArray(array, kj_must(item));
}

static bool objects_equal(const cJSON *a, const cJSON *b) {
	int count_a = 0, count_b = 0;
	const cJSON *member;
	cJSON_ArrayForEach(member, a) count_a++;
	cJSON_ArrayForEach(member, b) count_b++;
	if (count_a != count_b) return false;
	/* The same builder usually wrote both: walk them together, and search only where the order differs. */
	const cJSON *other = b->child;
	cJSON_ArrayForEach(member, a) {
		const cJSON *match = other && strcmp(other->string, member->string) == 0
					     ? other
					     : cJSON_GetObjectItemCaseSensitive(b, member->string);
		if (!match || !kj_equal(member, match)) return false;
		if (other) other = other->next;
	}
	return true;
}

static bool arrays_equal(const cJSON *a, const cJSON *b) {
	const cJSON *x = a->child, *y = b->child;
	for (; x && y; x = x->next, y = y->next) {
		if (!kj_equal(x, y)) return false;
	}
	return !x && !y;
}

bool kj_equal(const cJSON *a, const cJSON *b) {
	if (!a || !b) return a == b;
	if ((a->type & 0xff) != (b->type & 0xff)) return false;
	if (cJSON_IsString(a)) return strcmp(a->valuestring, b->valuestring) == 0;
	if (cJSON_IsNumber(a)) return a->valuedouble == b->valuedouble;
	if (cJSON_IsObject(a)) return objects_equal(a, b);
	if (cJSON_IsArray(a)) return arrays_equal(a, b);
	return true;
}

bool kj_is_empty(const cJSON *item) {
	if (!item || cJSON_IsNull(item)) return true;
	return (cJSON_IsObject(item) || cJSON_IsArray(item)) && !item->child;
}

bool kj_contains_text(const cJSON *array, const char *text) {
	const cJSON *item;
	cJSON_ArrayForEach(item, array) {
		if (cJSON_IsString(item) && strcmp(item->valuestring, text) == 0) return true;
	}
	return false;
}

char *kj_json(const cJSON *item) {
	enum { USUAL_BYTES = 4096 }; /* most texts are written without growing */
	char *text = cJSON_PrintBuffered(item, USUAL_BYTES, false);
	if (!text) abort();
	return text;
}

char *kj_print_text(const cJSON *item) {
	char *text = kj_json(item), *copy = kj_strdup(str_of(text));
	cJSON_free(text);
	return copy;
}

void kj_print(struct buf *buf, const cJSON *item) {
	char *text = kj_json(item);
	buf_append(buf, str_of(text));
	cJSON_free(text);
}
