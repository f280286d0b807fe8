#include "engine/spec.h"

#include <assert.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/nearest.h"
#include "engine/secret_type.h"
#include "engine/spec_rules.h"
#include "engine/text.h"

enum { LIST_MAX = 4096, INTERVAL_MAX_S = 604800, COMMON_BYTES = 16 * 1024 * 1024 };

/* What is collected before the snapshot's one block is made. All borrowed from the JSON. */
struct draft {
	const struct object_meta *meta;
	struct str class_name, service_account, type, force;
	int64_t interval_s;
	struct spec_item *items;
	struct kube_pair *labels, *annotations;
	unsigned item_count, label_count, annotation_count;
	struct fault fault;
	struct fault_sink *sink; /* NULL: the first fault ends the reading */
	enum err failed; /* the first fault that went to the sink */
};

/* The outcome of one field. OK: read on. */
static enum err pass(struct draft *draft, enum err err) {
	return fault_pass(draft->sink, &draft->fault, err, &draft->failed);
}

static const cJSON *member(const cJSON *object, const char *key) {
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);
	return cJSON_IsNull(value) ? NULL : value;
}

static struct str json_text(const cJSON *value) {
	return cJSON_IsString(value) ? str_of(value->valuestring) : STR("");
}

enum err object_meta_read(const cJSON *object, struct object_meta *out_meta) {
	const cJSON *metadata = member(object, "metadata");
	const cJSON *generation = member(metadata, "generation");
	struct object_meta meta = {
		.ns = json_text(member(metadata, "namespace")),
		.name = json_text(member(metadata, "name")),
		.uid = json_text(member(metadata, "uid")),
		.version = json_text(member(metadata, "resourceVersion")),
		.generation = cJSON_IsNumber(generation) ? (int64_t)generation->valuedouble : 0,
		.deleting = member(metadata, "deletionTimestamp") != NULL,
	};
	if (!text_is_dns_name(meta.ns) || !text_is_dns_name(meta.name)) return ERR_INVALID;
	if (meta.uid.len == 0 || meta.uid.len >= KUBE_UID_BYTES) return ERR_INVALID;
	*out_meta = meta;
	return OK;
}

/* A text member of an object; absent is "". */
static enum err text_member(const cJSON *object, const char *key, const char *path,
	struct str *out_text, struct fault *fault) {
	const cJSON *value = member(object, key);
	*out_text = json_text(value);
	if (!value || cJSON_IsString(value)) return OK;
	return fault_set(fault, ERR_INVALID, "%s%s has to be a string%s", path, key,
		cJSON_IsObject(value) || cJSON_IsArray(value) ? "" : ": put it into quotes");
}

static enum err name_member(const cJSON *object, const char *key, const char *what,
	struct str *out_text, struct fault *fault) {
	enum err err = text_member(object, key, "spec.", out_text, fault);
	if (err) return err;
	if (out_text->len == 0)
		return fault_set(fault, ERR_INVALID, "spec.%s is not set; name %s", key, what);
	if (text_is_dns_name(*out_text)) return OK;
	return fault_set(fault, ERR_INVALID,
		"spec.%s \"%.*s\" is no name; it has lower-case letters, digits, \"-\" and \".\", "
		"and begins and ends with a letter or a digit",
		key, TEXT_ARG(*out_text));
}

static enum err read_interval(const cJSON *spec, struct draft *draft) {
	const cJSON *value = member(spec, "rotationPollIntervalInSeconds");
	if (!value) return OK;
	double number = cJSON_IsNumber(value) ? value->valuedouble : 0;
	if (number >= 1 && number <= INTERVAL_MAX_S && number == (double)(int64_t)number) {
		draft->interval_s = (int64_t)number;
		return OK;
	}
	return fault_set(&draft->fault, ERR_INVALID,
		"spec.rotationPollIntervalInSeconds has to be a whole number from 1 to "
		"%d",
		INTERVAL_MAX_S);
}

static enum err read_source_path(
	const cJSON *json, const char *path, struct str *out_text, struct fault *fault) {
	enum err err = text_member(json, "sourcePath", path, out_text, fault);
	if (err || rule_source_path(*out_text)) return err;
	return fault_set(fault, ERR_INVALID,
		"%ssourcePath \"%.*s\" is no path of an object; write NAME, or NAME/0, "
		"NAME/1 ... where the class keeps several versions",
		path, TEXT_ARG(*out_text));
}

static enum err read_target_key(
	const cJSON *json, const char *path, struct str *out_text, struct fault *fault) {
	enum err err = text_member(json, "targetKey", path, out_text, fault);
	if (err || rule_target_key(*out_text)) return err;
	return fault_set(fault, ERR_INVALID,
		"%stargetKey \"%.*s\" is no key of a Secret; it has letters, digits, \"-\", \"_\" "
		"and \".\"",
		path, TEXT_ARG(*out_text));
}

static enum err read_item(struct draft *draft, const cJSON *json, unsigned index) {
	char path[64];
	snprintf(path, sizeof path, "spec.secretObject.data[%u].", index);
	struct spec_item *item = &draft->items[index];
	enum err err = pass(draft, read_source_path(json, path, &item->source_path, &draft->fault));
	if (err) return err;
	return pass(draft, read_target_key(json, path, &item->target_key, &draft->fault));
}

static int by_target_key(const void *a, const void *b) {
	const struct spec_item *x = a, *y = b;
	return str_cmp(x->target_key, y->target_key);
}

static enum err repeated_key(struct draft *draft, struct str key) {
	unsigned index = draft->item_count - 1;
	while (!str_eq(draft->items[index].target_key, key)) index--;
	return fault_set(&draft->fault, ERR_INVALID,
		"spec.secretObject.data[%u].targetKey \"%.*s\" stands here twice; each key once",
		index, TEXT_ARG(key));
}

static enum err check_unique(struct draft *draft) {
	struct spec_item *sorted = mem_array(draft->item_count, sizeof *sorted);
	if (!sorted) return ERR_NOMEM;
	memcpy(sorted, draft->items, draft->item_count * sizeof *sorted);
	qsort(sorted, draft->item_count, sizeof *sorted, by_target_key);
	enum err err = OK;
	for (unsigned i = 1; i < draft->item_count && !err; i++) {
		struct str key = sorted[i].target_key;
		if (key.len == 0 || !str_eq(key, sorted[i - 1].target_key)) continue;
		err = pass(draft, repeated_key(draft, key));
	}
	mem_free(sorted);
	return err;
}

static enum err read_items(const cJSON *data, struct draft *draft) {
	int count = cJSON_IsArray(data) ? cJSON_GetArraySize(data) : 0;
	if (count < 1 || count > LIST_MAX) {
		return fault_set(&draft->fault, ERR_INVALID,
			"spec.secretObject.data has to be a list of 1 to %d entries, each "
			"with sourcePath and targetKey",
			LIST_MAX);
	}
	draft->items = mem_array((size_t)count, sizeof *draft->items);
	if (!draft->items) return ERR_NOMEM;
	const cJSON *json;
	cJSON_ArrayForEach(json, data) {
		enum err err = read_item(draft, json, draft->item_count);
		if (err) return err;
		draft->item_count++;
	}
	return check_unique(draft);
}

/* labels or annotations: a mapping of texts. */
static enum err read_pairs(struct draft *draft, const cJSON *map, const struct pair_rule *rule,
	struct kube_pair **out_pairs, unsigned *out_count) {
	struct fault *fault = &draft->fault;
	if (!map) return OK;
	int count = cJSON_IsObject(map) ? cJSON_GetArraySize(map) : LIST_MAX + 1;
	if (count > LIST_MAX) {
		enum err err = fault_set(fault, ERR_INVALID,
			"spec.secretObject.%s has to be a mapping of at most %d texts", rule->name,
			LIST_MAX);
		return pass(draft, err);
	}
	struct kube_pair *pairs = mem_array(count ? (size_t)count : 1, sizeof *pairs);
	if (!pairs) return ERR_NOMEM;
	*out_pairs = pairs;
	const cJSON *json;
	cJSON_ArrayForEach(json, map) {
		struct kube_pair *pair = &pairs[(*out_count)++];
		*pair = (struct kube_pair){ str_of(json->string), json_text(json) };
		enum err err = pass(draft,
			pair_check(rule, "spec.secretObject.", pair, cJSON_IsString(json), fault));
		if (err) return err;
	}
	return OK;
}

/* Any type is good; one that is spelled almost as a known one hardly is what was meant. */
static void note_type(struct draft *draft) {
	static const char *const known[] = { "Opaque", "kubernetes.io/tls",
		"kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", "kubernetes.io/dockercfg",
		"kubernetes.io/dockerconfigjson", "bootstrap.kubernetes.io/token" };
	const char *meant = NULL;
	if (!draft->sink || !draft->sink->note) return;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (str_eq(draft->type, str_of(known[i]))) return;
		if (nearest_edits(draft->type, str_of(known[i])) <= 2) meant = known[i];
	}
	if (!meant) return;
	struct fault note = fault_make(ERR_INVALID,
		"spec.secretObject.type \"%.*s\" is none of Kubernetes' own; did you mean %s?",
		TEXT_ARG(draft->type), meant);
	draft->sink->note(draft->sink, &note);
}

static enum err read_type(const cJSON *secret, struct draft *draft) {
	enum err err =
		text_member(secret, "type", "spec.secretObject.", &draft->type, &draft->fault);
	if (err) return err;
	if (draft->type.len == 0) draft->type = STR("Opaque");
	if (str_eq(draft->type, STR("kubernetes.io/service-account-token"))) {
		return fault_set(&draft->fault, ERR_INVALID,
			"spec.secretObject.type must not be "
			"kubernetes.io/service-account-token: the cluster would fill such a Secret "
			"with a login of its own");
	}
	note_type(draft);
	if (draft->type.len <= 253) return OK;
	return fault_set(
		&draft->fault, ERR_INVALID, "spec.secretObject.type is longer than 253 characters");
}

static enum err read_secret(const cJSON *secret, struct draft *draft) {
	if (!cJSON_IsObject(secret)) {
		return fault_set(&draft->fault, ERR_INVALID,
			"spec.secretObject is not set; it says what the Secret is to hold");
	}
	enum err err = pass(draft, read_type(secret, draft));
	if (!err) err = pass(draft, read_items(member(secret, "data"), draft));
	if (!err && draft->item_count) {
		err = pass(draft, secret_type_check(draft->type, draft->items, draft->item_count,
					  &draft->fault));
	}
	if (!err) {
		err = read_pairs(draft, member(secret, "labels"), &LABEL_RULE, &draft->labels,
			&draft->label_count);
	}
	if (!err) {
		err = read_pairs(draft, member(secret, "annotations"), &ANNOTATION_RULE,
			&draft->annotations, &draft->annotation_count);
	}
	if (!err) {
		err = pass(draft, annotations_check(draft->annotations, draft->annotation_count,
					  &draft->fault));
	}
	return err;
}

static enum err read_force(const cJSON *spec, struct draft *draft) {
	enum err err =
		text_member(spec, "forceSynchronization", "spec.", &draft->force, &draft->fault);
	if (err || draft->force.len == 0 || rule_force(draft->force)) return err;
	return fault_set(&draft->fault, ERR_INVALID,
		"spec.forceSynchronization \"%.*s\" has to be at most 253 letters, "
		"digits, \"-\", \"_\" and \".\" (no blanks, no \":\"), for example "
		"2026-01-31",
		TEXT_ARG(draft->force));
}

/* The class is read even where something else is wrong, so that the object waits with its class's
 * others. */
static enum err read_spec(const cJSON *spec, struct draft *draft) {
	struct fault *fault = &draft->fault;
	if (!cJSON_IsObject(spec))
		return pass(draft, fault_set(fault, ERR_INVALID, "spec is not set"));
	enum err err = name_member(spec, "secretProviderClassName",
		"the SecretProviderClass to read by", &draft->class_name, fault);
	if (err) draft->class_name = STR("");
	err = pass(draft, err);
	if (!err) {
		err = pass(draft, name_member(spec, "serviceAccountName",
					  "the ServiceAccount whose identity reads the vault",
					  &draft->service_account, fault));
	}
	if (!err) err = pass(draft, read_force(spec, draft));
	if (!err) err = pass(draft, read_interval(spec, draft));
	return err ? err : pass(draft, read_secret(member(spec, "secretObject"), draft));
}

/* --- what specs share --- */

static void add_pairs(struct buf *key, const struct kube_pair *pairs, unsigned count) {
	for (unsigned i = 0; i < count; i++) {
		intern_key_add(key, pairs[i].key);
		intern_key_add(key, pairs[i].value);
	}
}

/* What of it is no text. */
struct common_head {
	int64_t interval_ns;
	unsigned label_count, annotation_count;
};

/* All that is common, in the order of read_common(). */
static enum err common_key(const struct draft *d, bool usable, struct buf *key) {
	struct common_head head = { 0 };
	if (usable) {
		head = (struct common_head){ d->interval_s * NS_PER_S, d->label_count,
			d->annotation_count };
	}
	intern_key_add(key, (struct str){ (const char *)&head, sizeof head });
	intern_key_add(key, usable ? STR("") : str_of(d->fault.text));
	intern_key_add(key, d->meta->ns);
	intern_key_add(key, usable ? d->service_account : STR(""));
	intern_key_add(key, usable ? d->type : STR("Opaque"));
	intern_key_add(key, usable ? d->force : STR(""));
	add_pairs(key, d->labels, head.label_count);
	add_pairs(key, d->annotations, head.annotation_count);
	return buf_err(key);
}

static void read_pairs_of(struct str *rest, struct kube_pair *pairs, unsigned count) {
	for (unsigned i = 0; i < count; i++) {
		pairs[i].key = intern_key_next(rest);
		pairs[i].value = intern_key_next(rest);
	}
}

/* The pairs have room behind the struct. */
static void read_common(
	struct str rest, const struct common_head *head, struct spec_common *common) {
	struct kube_pair *pairs = (struct kube_pair *)(common + 1);
	common->interval_ns = head->interval_ns;
	common->label_count = head->label_count;
	common->annotation_count = head->annotation_count;
	common->fault = intern_key_next(&rest);
	common->ns = intern_key_next(&rest);
	common->service_account = intern_key_next(&rest);
	common->type = intern_key_next(&rest);
	common->force = intern_key_next(&rest);
	common->labels = pairs;
	read_pairs_of(&rest, pairs, head->label_count);
	common->annotations = pairs + head->label_count;
	read_pairs_of(&rest, pairs + head->label_count, head->annotation_count);
}

/* What specs with this key share, with a reference for the caller. */
static enum err common_of(struct intern *table, struct str key, struct spec_common **out_common) {
	struct interned *found = table ? intern_find(table, key) : NULL;
	if (found) {
		*out_common = container_of(found, struct spec_common, interned);
		return OK;
	}
	struct common_head head;
	struct str rest = key;
	memcpy(&head, intern_key_next(&rest).ptr, sizeof head);
	size_t pairs = (size_t)head.label_count + head.annotation_count;
	size_t bytes = sizeof(struct spec_common) + pairs * sizeof(struct kube_pair);
	struct spec_common *common = mem_zalloc(bytes + key.len);
	if (!common) return ERR_NOMEM;
	key.ptr = memcpy((char *)common + bytes, key.ptr, key.len);
	rest = key;
	intern_key_next(&rest);
	read_common(rest, &head, common);
	enum err err = intern_add(table, &common->interned, key);
	if (err) mem_free(take(common));
	*out_common = common;
	return err;
}

static enum err draft_common(
	const struct draft *d, struct intern *table, bool usable, struct spec_common **out_common) {
	struct buf key;
	buf_init(&key, COMMON_BYTES);
	enum err err = common_key(d, usable, &key);
	if (!err) err = common_of(table, buf_str(&key), out_common);
	buf_deinit(&key);
	return err;
}

/* --- the snapshot --- */

/* The array, whose alignment is the snapshot's, comes before strings. */
static size_t draft_bytes(const struct draft *d, bool usable) {
	const struct object_meta *meta = d->meta;
	size_t bytes = sizeof(struct spec);
	if (!meta->kept) bytes += meta->name.len + meta->uid.len + 1;
	if (!usable) return bytes;
	bytes += d->item_count * sizeof *d->items;
	for (unsigned i = 0; i < d->item_count; i++)
		bytes += d->items[i].source_path.len + d->items[i].target_key.len;
	return bytes;
}

static void fill_items(struct spec *spec, struct block *block, const struct draft *d) {
	struct spec_item *items =
		block_alloc(block, d->item_count * sizeof *items, alignof(struct spec_item));
	for (unsigned i = 0; i < d->item_count; i++) {
		items[i].source_path = block_str(block, d->items[i].source_path);
		items[i].target_key = block_str(block, d->items[i].target_key);
	}
	spec->items = items;
	spec->item_count = (uint16_t)d->item_count;
}

static enum err snapshot(
	const struct draft *d, struct intern *commons, bool usable, struct spec **out_spec) {
	struct spec_common *common = NULL;
	struct block block;
	enum err err = draft_common(d, commons, usable, &common);
	if (err) return err;
	err = block_init(&block, draft_bytes(d, usable));
	if (err) {
		interned_put(&common->interned);
		return err;
	}
	struct spec *spec = block_alloc(&block, sizeof *spec, alignof(struct spec));
	atomic_init(&spec->ref, 1);
	spec->common = common;
	if (usable) fill_items(spec, &block, d);
	const struct object_meta *meta = d->meta;
	spec->name = meta->kept ? meta->name : block_str(&block, meta->name);
	spec->uid = meta->kept ? meta->uid.ptr : block_text(&block, meta->uid);
	spec->generation = meta->generation;
	spec->deleting = meta->deleting;
	*out_spec = spec;
	return OK;
}

enum err spec_build_all(const cJSON *object, const struct object_meta *meta,
	struct cell_source *cells, struct fault_sink *sink, struct spec **out_spec) {
	struct draft draft = { .meta = meta, .type = STR("Opaque"), .sink = sink };
	struct spec *spec = NULL;
	enum err err = read_spec(member(object, "spec"), &draft);
	if (!err) err = draft.failed;
	if (err != ERR_NOMEM) err = snapshot(&draft, cells->commons, err == OK, &spec);
	if (err) goto out;
	if (draft.class_name.len > 0) {
		spec->cell = cells->cell_of(cells, meta->ns, draft.class_name);
		if (!spec->cell) err = ERR_NOMEM;
	}
	if (!err) *out_spec = take(spec);
out:
	spec_unref(spec);
	mem_free(draft.items);
	mem_free(draft.labels);
	mem_free(draft.annotations);
	return err;
}

enum err spec_build(const cJSON *object, const struct object_meta *meta, struct cell_source *cells,
	struct spec **out_spec) {
	return spec_build_all(object, meta, cells, NULL, out_spec);
}
