/* JSON patch (RFC 6902): add, replace, remove, test; the server refuses the whole patch when one operation fails. */
#include <stdlib.h>

#include "tests/world/kube_internal.h"

/* Where an operation works: `parent` and the last element of the path. */
struct place {
	cJSON *parent;
	char *token; /* unescaped */
};

static char *unescape(struct str text) {
	char *out = kj_alloc(text.len + 1);
	size_t len = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (c == '~' && i + 1 < text.len) {
			i++;
			c = text.ptr[i] == '1' ? '/' : '~';
		}
		out[len++] = c;
	}
	return out;
}

static bool index_of(const char *token, int *out_index) {
	int64_t index = 0;
	if (str_to_i64(str_of(token), &index) != OK || index < 0 || index > 1 << 20) return false;
	*out_index = (int)index;
	return true;
}

static cJSON *child_of(const cJSON *parent, const char *token) {
	int index;
	if (cJSON_IsObject(parent)) return kj_get(parent, token);
	if (cJSON_IsArray(parent) && index_of(token, &index)) return cJSON_GetArrayItem(parent, index);
	return NULL;
}

static bool place_find(cJSON *root, const char *path, struct place *out) {
	*out = (struct place){ 0 };
	if (path[0] != '/') return false;
	struct str rest = str_of(path + 1);
	cJSON *at = root;
	while (true) {
		char *token = unescape(str_next(&rest, '/'));
		if (!rest.ptr) {
			*out = (struct place){ at, token };
			return cJSON_IsObject(at) || cJSON_IsArray(at);
		}
		at = child_of(at, token);
		mem_free(token);
		if (!at) return false;
	}
}

static bool add_to_array(cJSON *array, const char *token, const cJSON *value) {
	int index;
	if (strcmp(token, "-") == 0) {
		kj_push(array, kj_copy(value));
		return true;
	}
	if (!index_of(token, &index) || index > cJSON_GetArraySize(array)) return false;
	cJSON_InsertItemInArray(array, index, kj_copy(value));
	return true;
}

static bool do_add(const struct place *place, const cJSON *value) {
	if (cJSON_IsArray(place->parent)) return add_to_array(place->parent, place->token, value);
	kj_set(place->parent, place->token, kj_copy(value));
	return true;
}

static bool do_remove(const struct place *place) {
	cJSON *child = child_of(place->parent, place->token);
	if (!child) return false;
	cJSON_Delete(cJSON_DetachItemViaPointer(place->parent, child));
	return true;
}

/* A missing member of an object is added: the server's library is that lenient. */
static bool do_replace(const struct place *place, const cJSON *value) {
	if (cJSON_IsObject(place->parent)) return do_add(place, value);
	cJSON *child = child_of(place->parent, place->token);
	if (!child) return false;
	cJSON_ReplaceItemViaPointer(place->parent, child, kj_copy(value));
	return true;
}

static bool do_operation(cJSON *object, const cJSON *operation) {
	const char *op = kj_text(operation, "op");
	const cJSON *value = kj_get(operation, "value");
	struct place place;
	bool ok = place_find(object, kj_text(operation, "path"), &place);
	if (ok && strcmp(op, "remove") == 0) ok = do_remove(&place);
	else if (ok && !value) ok = false;
	else if (ok && strcmp(op, "add") == 0) ok = do_add(&place, value);
	else if (ok && strcmp(op, "replace") == 0) ok = do_replace(&place, value);
	else if (ok && strcmp(op, "test") == 0) ok = kj_equal(child_of(place.parent, place.token), value);
	else ok = false;
	mem_free(place.token);
	return ok;
}

bool kube_patch_json(struct kube_call *call, cJSON **object, const cJSON *patch) {
	const cJSON *operation;
	cJSON_ArrayForEach(operation, patch) {
		if (do_operation(*object, operation)) continue;
		return kube_fail(call, 422, "Invalid", kj_must(cJSON_CreateObject()),
				 "the server rejected our request due to an error in our request");
	}
	return true;
}
