/* Custom resources against the schema of their CRD: what a value may be. */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/world/kube_fields.h"
#include "tests/world/kube_internal.h"

static void validate(const cJSON *value, const cJSON *schema, struct kj_trail *path, struct kube_invalid *invalid);

static const char *type_of(const cJSON *value) {
	if (cJSON_IsString(value)) return "string";
	if (cJSON_IsBool(value)) return "boolean";
	if (cJSON_IsArray(value)) return "array";
	if (cJSON_IsObject(value)) return "object";
	if (cJSON_IsNull(value)) return "null";
	return value->valuedouble == (double)(int64_t)value->valuedouble ? "integer" : "number";
}

static bool type_fits(const cJSON *value, const char *type) {
	const char *is = type_of(value);
	return !type[0] || strcmp(is, type) == 0 || (strcmp(type, "number") == 0 && strcmp(is, "integer") == 0);
}

/* Compiling a pattern costs more than all the rest of a create: each is compiled once and kept until the process ends. */
struct pattern {
	struct pattern *next;
	regex_t regex;
	bool bad;
	char text[];
};

static const struct pattern *compiled(const char *text) {
	static struct pattern *patterns;
	for (struct pattern *pattern = patterns; pattern; pattern = pattern->next) {
		if (strcmp(pattern->text, text) == 0) return pattern;
	}
	struct pattern *pattern = kj_alloc(sizeof(*pattern) + strlen(text) + 1);
	strcpy(pattern->text, text);
	pattern->bad = regcomp(&pattern->regex, text, REG_EXTENDED | REG_NOSUB) != 0;
	pattern->next = patterns;
	patterns = pattern;
	return pattern;
}

static bool matches(const char *text, const char *wanted) {
	const struct pattern *pattern = compiled(wanted);
	return pattern->bad || regexec(&pattern->regex, text, 0, NULL, 0) == 0;
}

static size_t characters(const char *text) {
	size_t count = 0;
	for (; *text; text++) count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

static void validate_text(const char *text, const cJSON *schema, struct kj_trail *path, struct kube_invalid *invalid) {
	const cJSON *max = kj_get(schema, "maxLength"), *min = kj_get(schema, "minLength");
	const char *pattern = kj_text(schema, "pattern"), *format = kj_text(schema, "format");
	if (max && characters(text) > (size_t)max->valuedouble) {
		kube_cause(invalid, "FieldValueTooLong", path->text, "Too long: may not be more than %d bytes", max->valueint);
	} else if (min && characters(text) < (size_t)min->valuedouble) {
		kube_cause(invalid, "FieldValueInvalid", path->text,
			   "Invalid value: \"%s\": %s in body should be at least %d chars long", text, path->text, min->valueint);
	} else if (pattern[0] && !matches(text, pattern)) {
		kube_cause(invalid, "FieldValueInvalid", path->text, "Invalid value: \"%s\": %s in body should match '%s'", text,
			   path->text, pattern);
	}
	int64_t unix_s;
	if (strcmp(format, "date-time") == 0 && time_parse(str_of(text), &unix_s) != OK) {
		kube_cause(invalid, "FieldValueInvalid", path->text,
			   "Invalid value: \"%s\": %s in body must be of type date-time: \"%s\"", text, path->text, text);
	}
}

static void validate_enum(const cJSON *value, const cJSON *schema, struct kj_trail *path, struct kube_invalid *invalid) {
	const cJSON *allowed = kj_get(schema, "enum"), *item;
	if (!allowed) return;
	cJSON_ArrayForEach(item, allowed) {
		if (kj_equal(item, value)) return;
	}
	struct buf text;
	buf_init(&text, 1 << 16);
	cJSON_ArrayForEach(item, allowed) {
		if (item != allowed->child) buf_append(&text, STR(", "));
		kj_print(&text, item);
	}
	char *shown = kj_print_text(value);
	kube_cause(invalid, "FieldValueNotSupported", path->text, "Unsupported value: %s: supported values: %s", shown,
		   buf_cstr(&text));
	mem_free(shown);
	buf_deinit(&text);
}

static void validate_number(const cJSON *value, const cJSON *schema, struct kj_trail *path, struct kube_invalid *invalid) {
	const cJSON *min = kj_get(schema, "minimum"), *max = kj_get(schema, "maximum");
	if (min && value->valuedouble < min->valuedouble) {
		kube_cause(invalid, "FieldValueInvalid", path->text,
			   "Invalid value: %.0f: %s in body should be greater than or equal to %.0f", value->valuedouble, path->text,
			   min->valuedouble);
	}
	if (max && value->valuedouble > max->valuedouble) {
		kube_cause(invalid, "FieldValueInvalid", path->text,
			   "Invalid value: %.0f: %s in body should be less than or equal to %.0f", value->valuedouble, path->text,
			   max->valuedouble);
	}
}

static bool appeared_before(const cJSON *list, const cJSON *schema, const cJSON *item, const char *element) {
	for (const cJSON *earlier = list->child; earlier != item; earlier = earlier->next) {
		char *other = fields_item_element(schema, earlier);
		bool same = other && strcmp(other, element) == 0;
		mem_free(other);
		if (same) return true;
	}
	return false;
}

static void validate_list(const cJSON *list, const cJSON *schema, struct kj_trail *path, struct kube_invalid *invalid) {
	const cJSON *min = kj_get(schema, "minItems"), *max = kj_get(schema, "maxItems"), *item;
	int count = cJSON_GetArraySize(list), index = 0;
	if (min && count < min->valueint) {
		kube_cause(invalid, "FieldValueInvalid", path->text,
			   "Invalid value: %d: %s in body should have at least %d items", count, path->text, min->valueint);
	}
	if (max && count > max->valueint) {
		kube_cause(invalid, "FieldValueTooMany", path->text, "Too many: %d: must have at most %d items", count,
			   max->valueint);
	}
	cJSON_ArrayForEach(item, list) {
		size_t back = kj_trail_item(path, index++);
		validate(item, kj_get(schema, "items"), path, invalid);
		char *element = fields_list_is_keyed(schema) ? fields_item_element(schema, item) : NULL;
		if (element && appeared_before(list, schema, item, element)) {
			kube_cause(invalid, "FieldValueDuplicate", path->text, "Duplicate value: %s", element + 2);
		}
		mem_free(element);
		kj_trail_back(path, back);
	}
}

static void validate_object(const cJSON *object, const cJSON *schema, struct kj_trail *path, struct kube_invalid *invalid) {
	const cJSON *name, *item;
	cJSON_ArrayForEach(name, kj_get(schema, "required")) {
		if (kj_get(object, name->valuestring)) continue;
		size_t back = kj_trail_member(path, name->valuestring);
		kube_cause(invalid, "FieldValueRequired", path->text, "Required value");
		kj_trail_back(path, back);
	}
	cJSON_ArrayForEach(item, object) {
		if (!path->len && strcmp(item->string, "metadata") == 0) continue;
		size_t back = kj_trail_member(path, item->string);
		validate(item, fields_schema_of(schema, item->string, NULL), path, invalid);
		kj_trail_back(path, back);
	}
}

static void validate(const cJSON *value, const cJSON *schema, struct kj_trail *path, struct kube_invalid *invalid) {
	if (!schema) return;
	const char *type = kj_text(schema, "type");
	if (cJSON_IsNull(value) && cJSON_IsTrue(kj_get(schema, "nullable"))) return;
	if (!type_fits(value, type)) {
		kube_cause(invalid, "FieldValueTypeInvalid", path->text, "Invalid value: \"%s\": %s in body must be of type %s: \"%s\"",
			   type_of(value), path->text, type, type_of(value));
		return;
	}
	validate_enum(value, schema, path, invalid);
	if (cJSON_IsString(value)) validate_text(value->valuestring, schema, path, invalid);
	else if (cJSON_IsNumber(value)) validate_number(value, schema, path, invalid);
	else if (cJSON_IsArray(value)) validate_list(value, schema, path, invalid);
	else if (cJSON_IsObject(value)) validate_object(value, schema, path, invalid);
}

static bool is_dns_label(const char *text) {
	return matches(text, "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$");
}

/* The rules of the AKVSync CRD, by their text. */
static bool akv_rule_holds(const char *rule, const cJSON *self, bool *out_known) {
	const cJSON *secret = kj_get(self, "secretInAKV"), *cert = kj_get(self, "certInAKV");
	const cJSON *mapping = kj_get(self, "mapping"), *name = kj_get(self, "kubernetesSecretName");
	const struct {
		const char *rule;
		bool holds;
	} rules[] = {
		{ "[has(self.secretInAKV), has(self.certInAKV), has(self.mapping)].exists_one(x, x)",
		  !!secret + !!cert + !!mapping == 1 },
		{ "!has(self.mapping) || has(self.kubernetesSecretName)", !mapping || name },
		{ "!has(self.mapping) || !has(self.versionHistory)", !mapping || !kj_get(self, "versionHistory") },
		{ "has(self.kubernetesSecretName) || !has(self.secretInAKV) || "
		  "self.secretInAKV.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
		  name || !secret || is_dns_label(kj_text(self, "secretInAKV")) },
		{ "has(self.kubernetesSecretName) || !has(self.certInAKV) || "
		  "self.certInAKV.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
		  name || !cert || is_dns_label(kj_text(self, "certInAKV")) },
		{ "has(self.secretInAKV) != has(self.certInAKV)", !secret != !cert },
		{ "self != 'kubernetes.io/service-account-token'",
		  !cJSON_IsString(self) || strcmp(self->valuestring, "kubernetes.io/service-account-token") != 0 },
	};
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		*out_known = strcmp(rule, rules[i].rule) == 0;
		if (*out_known) return rules[i].holds;
	}
	return true;
}

/* The two forms of CEL rules that the SecretSync CRDs have, over the members of a map of strings. */
static bool rule_holds(const char *rule, const cJSON *map) {
	char prefix[128];
	unsigned key_max, value_max;
	char less[3];
	const cJSON *item;
	bool known;
	bool holds = akv_rule_holds(rule, map, &known);
	if (known) return holds;
	if (sscanf(rule, "(self.all(x, x.startsWith('%127[^']') == false))", prefix) == 1) {
		cJSON_ArrayForEach(item, map) {
			if (str_starts(str_of(item->string), str_of(prefix))) return false;
		}
	} else if (sscanf(rule, "(self.all(x, x.size() %2[<=] %u && self[x].size() <= %u) == true)", less, &key_max,
			  &value_max) == 3) {
		if (strcmp(less, "<") == 0) key_max--;
		cJSON_ArrayForEach(item, map) {
			if (characters(item->string) > key_max || characters(item->valuestring) > value_max) return false;
		}
	} else {
		abort(); /* a rule that nobody taught the model */
	}
	return true;
}

static void validate_rules(const cJSON *value, const cJSON *schema, struct kj_trail *path, struct kube_invalid *invalid) {
	const cJSON *rule, *item;
	int index = 0;
	cJSON_ArrayForEach(rule, kj_get(schema, "x-kubernetes-validations")) {
		if (rule_holds(kj_text(rule, "rule"), value)) continue;
		if (cJSON_IsString(value)) {
			kube_cause(invalid, "FieldValueInvalid", path->text, "Invalid value: \"%s\": %s", value->valuestring,
				   kj_text(rule, "message"));
		} else {
			kube_cause(invalid, "FieldValueInvalid", path->text, "Invalid value: %s", kj_text(rule, "message"));
		}
	}
	cJSON_ArrayForEach(item, value) {
		bool list = cJSON_IsArray(value);
		const cJSON *below_schema = list ? kj_get(schema, "items") : fields_schema_of(schema, item->string, NULL);
		size_t back = list ? kj_trail_item(path, index++) : kj_trail_member(path, item->string);
		if (below_schema) validate_rules(item, below_schema, path, invalid);
		kj_trail_back(path, back);
	}
}

static bool blocks_rules(const cJSON *causes) {
	static const char *const blocking[] = { "FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong",
						"FieldValueTooMany", "FieldValueTypeInvalid" };
	const cJSON *cause;
	cJSON_ArrayForEach(cause, causes) {
		for (size_t i = 0; i < sizeof(blocking) / sizeof(*blocking); i++) {
			if (strcmp(kj_text(cause, "reason"), blocking[i]) == 0) return true;
		}
	}
	return false;
}

void kube_crd_validate_object(const cJSON *object, const cJSON *schema, struct kube_invalid *invalid) {
	struct kube_invalid found = { 0 };
	struct kj_trail path;
	kj_trail_init(&path);
	validate(object, schema, &path, &found);
	/* Rules are asked only about values of the right form; that they were not is a cause of its own. */
	if (blocks_rules(found.causes)) {
		kube_cause(&found, "FieldValueInvalid", "<nil>",
			   "Invalid value: null: some validation rules were not checked because the object was invalid; "
			   "correct the existing errors to complete validation");
	} else {
		validate_rules(object, schema, &path, &found);
	}
	kj_trail_deinit(&path);
	cJSON *cause;
	while (found.causes && (cause = found.causes->child)) {
		cJSON_DetachItemViaPointer(found.causes, cause);
		if (!invalid->causes) invalid->causes = kj_must(cJSON_CreateArray());
		kj_push(invalid->causes, cause);
	}
	cJSON_Delete(found.causes);
}
