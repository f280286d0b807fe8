#include "tests/world/kube_yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "tests/world/kube_json.h"

static cJSON *node_to_json(yaml_document_t *doc, yaml_node_t *node);

static cJSON *plain_to_json(const char *text, size_t len) {
	static const char *const nulls[] = { "", "~", "null" };
	for (size_t i = 0; i < sizeof(nulls) / sizeof(*nulls); i++) {
		if (strcmp(text, nulls[i]) == 0) return cJSON_CreateNull();
	}
	if (strcmp(text, "true") == 0) return cJSON_CreateTrue();
	if (strcmp(text, "false") == 0) return cJSON_CreateFalse();
	if (strchr("+-.0123456789", text[0]) && strspn(text, "+-.0123456789eE") == len) {
		char *end;
		double number = strtod(text, &end);
		if (!*end) return cJSON_CreateNumber(number);
	}
	return cJSON_CreateString(text);
}

static cJSON *mapping_to_json(yaml_document_t *doc, yaml_node_t *node) {
	cJSON *object = kj_must(cJSON_CreateObject());
	for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
		yaml_node_t *key = yaml_document_get_node(doc, p->key);
		if (!key || key->type != YAML_SCALAR_NODE) continue;
		kj_set(object, (const char *)key->data.scalar.value,
		       node_to_json(doc, yaml_document_get_node(doc, p->value)));
	}
	return object;
}

static cJSON *node_to_json(yaml_document_t *doc, yaml_node_t *node) {
	if (!node) return kj_must(cJSON_CreateNull());
	if (node->type == YAML_MAPPING_NODE) return mapping_to_json(doc, node);
	if (node->type == YAML_SEQUENCE_NODE) {
		cJSON *array = kj_must(cJSON_CreateArray());
		for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
			kj_push(array, node_to_json(doc, yaml_document_get_node(doc, *i)));
		}
		return array;
	}
	const char *text = (const char *)node->data.scalar.value;
	if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
		return kj_must(plain_to_json(text, node->data.scalar.length));
	}
	return kj_must(cJSON_CreateString(text));
}

cJSON *kube_yaml_next(struct str *rest) {
	yaml_parser_t parser;
	yaml_document_t doc;
	if (!rest->ptr || !yaml_parser_initialize(&parser)) return NULL;
	yaml_parser_set_input_string(&parser, (const unsigned char *)rest->ptr, rest->len);
	cJSON *json = NULL;
	if (yaml_parser_load(&parser, &doc)) {
		yaml_node_t *root = yaml_document_get_root_node(&doc);
		size_t used = doc.end_mark.index < rest->len ? doc.end_mark.index : rest->len;
		json = root ? node_to_json(&doc, root) : NULL;
		*rest = json && used < rest->len ? str_slice(*rest, used, SIZE_MAX) : STR_NULL;
		yaml_document_delete(&doc);
	} else {
		*rest = STR_NULL;
	}
	yaml_parser_delete(&parser);
	return json;
}
