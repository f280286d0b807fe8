/* What a reconcile that has ended comes to: each key of the Secret, and each label and annotation that would change. */
#include <assert.h>
#include <stdio.h>

#include "base/decode.h"
#include "clients/json.h"
#include "engine/plan_impl.h"

enum { VALUE_BYTES = 4 << 20 };

/* --- values --- */

/* Digest of what a member of `data` stands for; raw STR_NULL: there is none. */
static enum err digest_of(struct plan *plan, struct str raw, struct plan_digest *out_digest) {
	struct secret text = { 0 }, value = { 0 };
	*out_digest = (struct plan_digest){ 0 };
	if (!raw.len) return OK;
	secret_init(&text, plan->arena, VALUE_BYTES);
	secret_init(&value, plan->arena, VALUE_BYTES);
	enum err err = json_unescape_secret(raw, &text);
	if (!err)
		err = decode_base64(BASE64_PADDED, secret_expose(&text), secret_sink(&value), NULL);
	if (!err) err = secret_err(&value);
	struct str key = { plan->key, sizeof plan->key };
	if (!err) err = hmac_sha256(key, secret_expose(&value), out_digest->bytes);
	out_digest->known = err == OK;
	secret_deinit(&text);
	secret_deinit(&value);
	return err == ERR_INVALID ? ERR_PARSE : err;
}

static bool same_digest(const struct plan_digest *a, const struct plan_digest *b) {
	return a->known && b->known && memcmp(a->bytes, b->bytes, SHA256_BYTES) == 0;
}

/* Two texts as written; servers differ in what they escape. */
static enum err same_text(struct plan *plan, struct str a, struct str b, bool *out_same) {
	struct secret texts[2] = { { 0 }, { 0 } };
	*out_same = str_eq(a, b);
	if (*out_same || !a.len || !b.len) return OK;
	secret_init(&texts[0], plan->arena, VALUE_BYTES);
	secret_init(&texts[1], plan->arena, VALUE_BYTES);
	enum err err = json_unescape_secret(a, &texts[0]);
	if (!err) err = json_unescape_secret(b, &texts[1]);
	*out_same = !err && secret_equal(&texts[0], &texts[1]);
	secret_deinit(&texts[0]);
	secret_deinit(&texts[1]);
	return err;
}

/* --- rows --- */

static enum err add_row(struct plan_target *target, enum kube_field_set set, struct str name,
	enum plan_action action, struct plan_row **out_row) {
	unsigned count = target->row_count;
	if (!(count & (count - 1))) {
		size_t room = count ? 2 * (size_t)count : 1;
		void *more = mem_realloc(target->rows, room * sizeof *target->rows);
		if (!more) return ERR_NOMEM;
		target->rows = more;
	}
	char *copy = mem_strdup(name);
	if (!copy) return ERR_NOMEM;
	target->rows[count] = (struct plan_row){
		.set = set, .name = copy, .item = PLAN_NO_ITEM, .action = action
	};
	*out_row = &target->rows[target->row_count++];
	return OK;
}

/* The entry of PartialSync about a key; NULL: none, and the item is good. */
static const cJSON *failure_of(const cJSON *items, struct str key) {
	const cJSON *item;
	cJSON_ArrayForEach(item, items) {
		if (!str_eq(json_str(item, "targetKey"), key)) continue;
		return str_eq(json_str(item, "result"), STR("synced")) ? NULL : item;
	}
	return NULL;
}

static enum plan_action value_action(
	const struct plan_target *target, const struct plan_row *row, bool failed) {
	if (failed) return PLAN_FAILED;
	if (target->record.sight == SIGHT_HIDDEN) return PLAN_UNKNOWN;
	if (target->record.write == WRITE_NONE) return PLAN_UNCHANGED;
	if (!row->before.known) return PLAN_CREATE;
	return same_digest(&row->before, &row->after) ? PLAN_UNCHANGED : PLAN_UPDATE;
}

/* Of what is refused the status tells the version before. */
static void set_version(const struct plan_target *target, struct plan_row *row, struct str source) {
	const struct status_object *object = status_find_object(&target->status, source);
	if (row->action == PLAN_FAILED) return;
	if (row->action == PLAN_REFUSED) {
		if (target->read && row->after.known)
			snprintf(row->version, sizeof row->version, "%s", target->read[row->item]);
		return;
	}
	if (object) snprintf(row->version, sizeof row->version, "%s", object->version);
}

/* `all`: what the whole SecretSync comes to, where it ends no other way than its items. */
static enum err add_item(struct plan *plan, struct plan_target *target, unsigned item,
	const cJSON *items, enum plan_action all) {
	const struct plan_record *record = &target->record;
	const struct spec_item *wanted = &target->spec->items[item];
	struct str key = wanted->target_key;
	struct str before = plan_map(secret_expose(&record->before), KUBE_FIELD_DATA);
	struct str after = plan_map(secret_expose(&record->after), KUBE_FIELD_DATA);
	const cJSON *failure = failure_of(items, key);
	struct plan_row *row = NULL;
	enum err err = add_row(target, KUBE_FIELD_DATA, key, all, &row);
	if (err) return err;
	row->item = item;
	err = digest_of(plan, plan_entry(before, key), &row->before);
	if (!err) err = digest_of(plan, plan_entry(after, key), &row->after);
	if (err) return err;
	if (!all) row->action = value_action(target, row, failure != NULL);
	if (record->write == WRITE_NONE && row->action == PLAN_UNCHANGED) row->after = row->before;
	set_version(target, row, wanted->source_path);
	struct str message = json_str(failure, "message");
	if (message.len && !(row->message = mem_strdup(message))) return ERR_NOMEM;
	return OK;
}

static enum err add_items(struct plan *plan, struct plan_target *target, enum plan_action all) {
	const struct condition *ready = &target->status.conditions[CONDITION_READY];
	struct fault ignored = { 0 };
	cJSON *items = NULL;
	enum err err = OK;
	if (!all && ready->value == CONDITION_FALSE && ready->reason == REASON_PARTIAL)
		err = json_parse(str_of(ready->message), &items, &ignored);
	for (unsigned i = 0; target->spec && i < target->spec->item_count && !err; i++)
		err = add_item(plan, target, i, items, all);
	cJSON_Delete(items);
	return err;
}

/* --- what goes --- */

struct pruning {
	struct plan *plan;
	struct plan_target *target;
	enum kube_field_set set;
	enum err err;
};

static bool add_pruned(void *arg, struct str key, struct str raw) {
	struct pruning *pruning = arg;
	struct plan_row *row = NULL;
	pruning->err = add_row(pruning->target, pruning->set, key, PLAN_REMOVE, &row);
	if (!pruning->err && pruning->set == KUBE_FIELD_DATA)
		pruning->err = digest_of(pruning->plan, raw, &row->before);
	return !pruning->err;
}

static enum err add_removals(
	struct plan *plan, struct plan_target *target, enum kube_field_set set) {
	struct pruning pruning = { .plan = plan, .target = target, .set = set };
	enum err err = plan_each_pruned(&target->record, set, add_pruned, &pruning);
	return err ? err : pruning.err;
}

/* Labels and annotations that the write sets to something else. */
static enum err add_pairs(struct plan *plan, struct plan_target *target, enum kube_field_set set) {
	const struct plan_record *record = &target->record;
	struct str before = plan_map(secret_expose(&record->before), set), raw_key, raw;
	struct json_items members = json_members(plan_map(secret_expose(&record->after), set));
	enum err err = OK;
	while (!err && json_next_member(&members, &raw_key, &raw)) {
		struct str key = str_slice(raw_key, 1, raw_key.len - 2);
		struct str old = plan_entry(before, key);
		struct plan_row *row = NULL;
		bool same = false;
		err = same_text(plan, old, raw, &same);
		if (!err && !same)
			err = add_row(target, set, key, old.len ? PLAN_UPDATE : PLAN_CREATE, &row);
	}
	return err ? err : members.err;
}

static enum err add_changes(struct plan *plan, struct plan_target *target) {
	enum err err = OK;
	if (target->record.sight != SIGHT_THERE || target->record.write == WRITE_NONE) return OK;
	for (enum kube_field_set set = KUBE_FIELD_DATA; set <= KUBE_FIELD_ANNOTATION; set++) {
		if (!err && set != KUBE_FIELD_DATA) err = add_pairs(plan, target, set);
		if (!err) err = add_removals(plan, target, set);
	}
	return err;
}

/* --- the whole --- */

static bool is_about_the_secret(enum reason reason) {
	return reason == REASON_CREATE_FAILED_LABEL || reason == REASON_UPDATE_FAILED_LABEL ||
	       reason == REASON_CREATE_FAILED_ANNOTATION ||
	       reason == REASON_UPDATE_FAILED_ANNOTATION || reason == REASON_PATCH_FAILED;
}

/* PLAN_UNCHANGED: it goes well, or only items fail. */
static enum plan_action verdict_of(const struct plan_target *target, enum err err) {
	const struct condition *ready = &target->status.conditions[CONDITION_READY];
	const struct plan_record *record = &target->record;
	bool well = ready->value == CONDITION_TRUE || ready->reason == REASON_PARTIAL;
	if (!err && well) return PLAN_UNCHANGED;
	bool there = record->sight == SIGHT_THERE;
	return record->refused || (there && is_about_the_secret(ready->reason)) ? PLAN_REFUSED
										: PLAN_FAILED;
}

static enum plan_action worst_of(const struct plan_target *target) {
	static const enum plan_action order[] = { PLAN_FAILED, PLAN_UNKNOWN, PLAN_UPDATE,
		PLAN_REMOVE, PLAN_CREATE };
	bool is_new = target->record.sight == SIGHT_ABSENT;
	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		for (unsigned row = 0; row < target->row_count; row++) {
			if (target->rows[row].action != order[i]) continue;
			bool changes = order[i] >= PLAN_CREATE && order[i] <= PLAN_REMOVE;
			return !changes ? order[i] : is_new ? PLAN_CREATE : PLAN_UPDATE;
		}
	}
	return PLAN_UNCHANGED;
}

static enum err set_message(struct plan_target *target, enum plan_action verdict, enum err err) {
	const struct condition *ready = &target->status.conditions[CONDITION_READY];
	struct str text = STR_NULL;
	target->reason = ready->reason;
	if (verdict)
		text = ready->value == CONDITION_FALSE ? str_of(ready->message)
						       : str_of(err_text(err));
	else if (target->record.sight == SIGHT_HIDDEN)
		text = STR("the Secret cannot be compared: whoever makes this plan may not get it "
			   "(the right to get secrets in its namespace)");
	if (!text.len) return OK;
	target->message = mem_strdup(text);
	return target->message ? OK : ERR_NOMEM;
}

enum err plan_conclude(struct plan *plan, struct plan_target *target, enum err err) {
	struct plan_record *record = &target->record;
	enum plan_action verdict = verdict_of(target, err);
	enum err failed = add_items(plan, target, verdict);
	if (!failed && !verdict) failed = add_changes(plan, target);
	if (!failed) failed = set_message(target, verdict, err);
	target->action = verdict ? verdict : worst_of(target);
	secret_deinit(&record->before);
	secret_deinit(&record->after);
	return failed;
}
