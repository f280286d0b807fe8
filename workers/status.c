#include "workers/status.h"

#include <assert.h>
#include <stdalign.h>

#include "clients/json.h"

enum { CONDITIONS_READ = 16, OBJECTS_MOST = 4096, HASH_MOST = 1024, DIGEST_HEX = 2 * SHA256_BYTES };

#define HASH_MARK STR("kv1:")
#define PARTIAL_MARK STR(":partial")

static const char *const TYPE_NAMES[CONDITION_COUNT] = { "SecretCreated", "SecretUpdated",
	"Ready" };
static const char *const VALUE_NAMES[] = { "", "False", "True", "Unknown" };

const char *status_text(enum status_text text) {
	static const char *const texts[] = {
#define X(id, text) [STATUS_TEXT_##id] = text,
		STATUS_TEXT_LIST(X)
#undef X
	};
	assert(text < STATUS_TEXT_COUNT);
	return texts[text];
}

/* A fleet that is well says the same few texts everywhere: those are not copied. Others are; NULL: out of memory. */
static char *message_copy(struct str message) {
	for (enum status_text text = 0; text < STATUS_TEXT_COUNT; text++) {
		const char *fixed = status_text(text);
		if (str_eq(message, str_of(fixed))) return (char *)(uintptr_t)fixed;
	}
	return mem_strdup(str_slice(message, 0, STATUS_MESSAGE_BYTES));
}

static void message_free(char *message) {
	for (enum status_text text = 0; text < STATUS_TEXT_COUNT; text++) {
		if (message == status_text(text)) return;
	}
	mem_free(message);
}

struct str status_other_hash(const struct status *status) {
	return status->hash == HASH_OTHER ? str_of(status->other_hash) : STR("");
}

void status_drop_hash(struct status *status) {
	if (status->hash == HASH_OTHER) mem_free(status->other_hash);
	status->hash = HASH_NONE;
	memset(status->digest, 0, sizeof status->digest);
}

void status_deinit(struct status *status) {
	for (int i = 0; i < CONDITION_COUNT; i++) message_free(status->conditions[i].message);
	mem_free(status->objects);
	status_drop_hash(status);
	*status = (struct status){ 0 };
}

/* NULL stays NULL; false when memory is out. */
static bool copy_text(const char *from, char **out_copy) {
	*out_copy = from ? mem_strdup(str_of(from)) : NULL;
	return !from || *out_copy;
}

enum err status_objects_begin(
	struct status *status, unsigned count, size_t bytes, struct block *out_block) {
	assert(count <= OBJECTS_MOST);
	mem_free(take(status->objects));
	status->object_count = 0;
	*out_block = (struct block){ 0 };
	if (!count) return OK;
	size_t array = count * sizeof *status->objects;
	enum err err = block_init(out_block, array + bytes + 2 * (size_t)count);
	if (!err) status->objects = block_alloc(out_block, array, alignof(struct status_object));
	return err;
}

void status_objects_add(struct status *status, struct block *block,
	const struct status_object *object, struct str name, struct str version) {
	struct status_object *added = &status->objects[status->object_count++];
	*added = *object;
	added->name = block_text(block, name);
	added->version = block_text(block, version);
}

static enum err copy_objects(const struct status *from, struct status *to) {
	struct block block;
	size_t bytes = 0;
	for (unsigned i = 0; i < from->object_count; i++)
		bytes += strlen(from->objects[i].name) + strlen(from->objects[i].version);
	enum err err = status_objects_begin(to, from->object_count, bytes, &block);
	for (unsigned i = 0; i < from->object_count && !err; i++) {
		const struct status_object *object = &from->objects[i];
		status_objects_add(
			to, &block, object, str_of(object->name), str_of(object->version));
	}
	return err;
}

enum err status_copy(const struct status *status, struct status *out_copy) {
	struct status copy = *status;
	copy.objects = NULL;
	bool good = status->hash != HASH_OTHER || copy_text(status->other_hash, &copy.other_hash);
	if (!good) copy.hash = HASH_NONE;
	for (int i = 0; i < CONDITION_COUNT; i++) {
		char *message = status->conditions[i].message;
		copy.conditions[i].message = message ? message_copy(str_of(message)) : NULL;
		good &= !message || copy.conditions[i].message;
	}
	good &= copy_objects(status, &copy) == OK;
	if (!good) {
		status_deinit(&copy);
		return ERR_NOMEM;
	}
	*out_copy = copy;
	return OK;
}

static bool text_equal(const char *a, const char *b) {
	return str_eq(str_of(a), str_of(b));
}

static bool condition_equal(const struct condition *a, const struct condition *b) {
	return a->value == b->value && a->reason == b->reason &&
	       a->transition_s == b->transition_s && a->generation == b->generation &&
	       text_equal(a->message, b->message);
}

static bool object_equal(const struct status_object *a, const struct status_object *b) {
	return text_equal(a->name, b->name) && a->kind == b->kind &&
	       text_equal(a->version, b->version) && a->updated_s == b->updated_s &&
	       a->synced_s == b->synced_s;
}

static bool hash_equal(const struct status *a, const struct status *b) {
	if (a->hash != b->hash) return false;
	if (a->hash == HASH_OTHER) return text_equal(a->other_hash, b->other_hash);
	return memcmp(a->digest, b->digest, sizeof a->digest) == 0;
}

bool status_equal(const struct status *a, const struct status *b) {
	for (int i = 0; i < CONDITION_COUNT; i++) {
		if (!condition_equal(&a->conditions[i], &b->conditions[i])) return false;
	}
	if (a->object_count != b->object_count) return false;
	for (unsigned i = 0; i < a->object_count; i++) {
		if (!object_equal(&a->objects[i], &b->objects[i])) return false;
	}
	return a->observed_generation == b->observed_generation && hash_equal(a, b) &&
	       a->last_successful_s == b->last_successful_s &&
	       a->secret_created_s == b->secret_created_s;
}

/* What is no time, or none of the years 1970 to 2106, is 0. */
static uint32_t parse_time(const cJSON *json, const char *path) {
	int64_t unix_s = 0;
	struct str text = json_str(json, path);
	if (!text.ptr || time_parse(text, &unix_s) != OK) return 0;
	return unix_s < 0 || unix_s > UINT32_MAX ? 0 : (uint32_t)unix_s;
}

static int name_index(struct str name, const char *const *names, int count) {
	for (int i = 0; i < count; i++) {
		if (str_eq(name, str_of(names[i]))) return i;
	}
	return -1;
}

/* A reason of another controller's, whose conditions are taken over with their transition times. */
static enum reason adopted_reason(int type, int value) {
	if (value != CONDITION_TRUE) return REASON_INTERNAL;
	return type == CONDITION_CREATED ? REASON_CREATE_SUCCEEDED : REASON_UPDATE_SUCCEEDED;
}

static enum err parse_condition(
	const cJSON *json, enum reason_names names, bool existed, struct status *status) {
	int type = name_index(json_str(json, "type"), TYPE_NAMES, CONDITION_COUNT);
	int value = name_index(json_str(json, "status"), VALUE_NAMES, 4);
	if (type < 0 || value <= 0 || status->conditions[type].value) return OK;
	struct str message = json_str(json, "message");
	struct condition *condition = &status->conditions[type];
	bool update = type == CONDITION_READY ? existed : type == CONDITION_UPDATED;
	enum reason reason = reason_find(names, json_str(json, "reason"), update);
	*condition = (struct condition){
		.value = (enum condition_value)value,
		.reason = reason ? reason : adopted_reason(type, value),
		.transition_s = parse_time(json, "lastTransitionTime"),
		.generation = json_i64(json, "observedGeneration", 0),
	};
	if (!message.len) return OK;
	condition->message = message_copy(message);
	return condition->message ? OK : ERR_NOMEM;
}

static enum err parse_objects(const cJSON *json, struct status *status) {
	const cJSON *array = json_get(json, "objects");
	int count = cJSON_IsArray(array) ? cJSON_GetArraySize(array) : 0;
	if (count <= 0 || count > OBJECTS_MOST) return OK;
	struct block block;
	size_t bytes = 0;
	for (const cJSON *item = array->child; item; item = item->next)
		bytes += json_str(item, "name").len + json_str(item, "version").len;
	enum err err = status_objects_begin(status, (unsigned)count, bytes, &block);
	if (err) return err;
	for (const cJSON *item = array->child; item; item = item->next) {
		struct str kind = json_str(item, "type"), version = json_str(item, "version");
		if (version.len >= VAULT_VERSION_BYTES) continue;
		struct status_object object = {
			.kind = str_eq(kind, STR("key"))    ? VAULT_KEY
				: str_eq(kind, STR("cert")) ? VAULT_CERTIFICATE
							    : VAULT_SECRET,
			.updated_s = parse_time(item, "updated"),
			.synced_s = parse_time(item, "syncedAt"),
		};
		status_objects_add(status, &block, &object, json_str(item, "name"), version);
	}
	return OK;
}

enum err status_parse(
	const cJSON *json, enum reason_names names, struct str uid, struct status *out_status) {
	struct status status = { 0 };
	enum err err = OK;
	if (!json) goto out;
	struct str hash = json_str(json, "syncHash");
	const cJSON *conditions = json_get(json, "conditions");
	int read = 0;
	for (const cJSON *item = cJSON_IsArray(conditions) ? conditions->child : NULL;
		item && read < CONDITIONS_READ; item = item->next, read++) {
		err = parse_condition(item, names, hash.len > 0, &status);
		if (err) goto out;
	}
	err = parse_objects(json, &status);
	if (err) goto out;
	if (hash.len < HASH_MOST) err = status_read_hash(&status, uid, hash);
	/* A CRD that prunes this member keeps those of the conditions, which are the same when all is well. */
	status.observed_generation =
		json_i64(json, "observedGeneration", status.conditions[CONDITION_READY].generation);
	status.last_successful_s = parse_time(json, "lastSuccessfulSyncTime");
	status.secret_created_s = parse_time(json, "secretCreationTime");
out:
	if (err) status_deinit(&status);
	if (!err) *out_status = status;
	return err;
}

enum err status_set(struct status *status, enum condition_type type, enum condition_value value,
	enum reason reason, struct str message, int64_t generation, int64_t now_s) {
	assert(type < CONDITION_COUNT && value != CONDITION_ABSENT && reason != REASON_NONE);
	struct condition *condition = &status->conditions[type];
	char *text = message.len ? message_copy(message) : NULL;
	if (message.len && !text) return ERR_NOMEM;
	if (condition->value != value || !condition->transition_s)
		condition->transition_s = (uint32_t)now_s;
	condition->value = value;
	condition->reason = reason;
	condition->generation = generation;
	message_free(condition->message);
	condition->message = text;
	return OK;
}

static void write_time(struct buf *out, const char *name, int64_t unix_s) {
	char text[TIME_TEXT_BYTES];
	if (!unix_s) return;
	time_format(unix_s, text);
	buf_printf(out, ",\"%s\":\"%s\"", name, text);
}

static void write_conditions(
	const struct status *status, enum reason_names names, struct buf *out) {
	bool first = true;
	buf_append(out, STR(",\"conditions\":["));
	for (int i = 0; i < CONDITION_COUNT; i++) {
		const struct condition *condition = &status->conditions[i];
		char transition[TIME_TEXT_BYTES];
		if (condition->value == CONDITION_ABSENT) continue;
		time_format(condition->transition_s, transition);
		buf_printf(out,
			"%s{\"type\":\"%s\",\"status\":\"%s\",\"reason\":\"%s\","
			"\"lastTransitionTime\":\"%s\","
			"\"observedGeneration\":%lld,\"message\":",
			first ? "" : ",", TYPE_NAMES[i], VALUE_NAMES[condition->value],
			reason_name(names, condition->reason), transition,
			(long long)condition->generation);
		buf_append_json(out, str_of(condition->message));
		buf_append_char(out, '}');
		first = false;
	}
	buf_append_char(out, ']');
}

static void write_objects(const struct status *status, struct buf *out) {
	if (!status->object_count) return;
	buf_append(out, STR(",\"objects\":["));
	for (unsigned i = 0; i < status->object_count; i++) {
		const struct status_object *object = &status->objects[i];
		buf_append(out, i ? STR(",{\"name\":") : STR("{\"name\":"));
		buf_append_json(out, str_of(object->name));
		buf_printf(out, ",\"type\":\"%s\",\"version\":", vault_kind_name(object->kind));
		buf_append_json(out, str_of(object->version));
		write_time(out, "updated", object->updated_s);
		write_time(out, "syncedAt", object->synced_s);
		buf_append_char(out, '}');
	}
	buf_append_char(out, ']');
}

void status_write(const struct status *status, enum reason_names names, struct str uid,
	struct buf *out_json) {
	buf_printf(
		out_json, "{\"observedGeneration\":%lld", (long long)status->observed_generation);
	if (status->hash == HASH_OTHER) {
		buf_append(out_json, STR(",\"syncHash\":"));
		buf_append_json(out_json, str_of(status->other_hash));
	} else if (status->hash != HASH_NONE) {
		buf_append(out_json, STR(",\"syncHash\":\""));
		status_write_hash(status, uid, out_json);
		buf_append_char(out_json, '"');
	}
	write_time(out_json, "lastSuccessfulSyncTime", status->last_successful_s);
	write_time(out_json, "secretCreationTime", status->secret_created_s);
	write_conditions(status, names, out_json);
	write_objects(status, out_json);
	buf_append_char(out_json, '}');
}

bool status_has_synced(const struct status *status) {
	return status->hash != HASH_NONE;
}

/* What stands behind "kv1:<uid>:" in a text, or an empty str. */
static struct str own_part(struct str text, struct str uid) {
	struct str rest = str_slice(text, HASH_MARK.len, text.len);
	if (!str_starts(text, HASH_MARK) || !str_starts(rest, uid) || rest.len <= uid.len ||
		rest.ptr[uid.len] != ':')
		return STR_NULL;
	return str_slice(rest, uid.len + 1, rest.len);
}

static bool is_own_digest(const struct status *status) {
	return status->hash == HASH_OURS || status->hash == HASH_OURS_PARTIAL;
}

bool status_is_ours(const struct status *status, struct str uid) {
	return is_own_digest(status) || own_part(status_other_hash(status), uid).len > 0;
}

bool status_is_anothers(const struct status *status, struct str uid) {
	struct str text = status_other_hash(status);
	return str_starts(text, HASH_MARK) && !own_part(text, uid).len;
}

void status_set_hash(
	struct status *status, const unsigned char digest[static SHA256_BYTES], bool partial) {
	status_drop_hash(status);
	status->hash = partial ? HASH_OURS_PARTIAL : HASH_OURS;
	memcpy(status->digest, digest, sizeof status->digest);
}

/* Only what would be written as it was read is kept as a digest. */
enum err status_read_hash(struct status *status, struct str uid, struct str text) {
	char again[SHA256_HEX_BYTES];
	unsigned char digest[SHA256_BYTES];
	struct str own = own_part(text, uid), hex = str_slice(own, 0, DIGEST_HEX);
	struct str rest = str_slice(own, DIGEST_HEX, own.len);
	bool partial = str_eq(rest, PARTIAL_MARK);
	status_drop_hash(status);
	if (!text.len) return OK;
	if (hex_decode(hex, digest, sizeof digest) == OK && (partial || !rest.len)) {
		hex_encode(digest, sizeof digest, again);
		if (str_eq(hex, str_of(again))) {
			status_set_hash(status, digest, partial);
			return OK;
		}
	}
	char *copy = mem_strdup(text);
	if (!copy) return ERR_NOMEM;
	status->other_hash = copy;
	status->hash = HASH_OTHER;
	return OK;
}

void status_write_hash(const struct status *status, struct str uid, struct buf *out_text) {
	char hex[SHA256_HEX_BYTES];
	if (!is_own_digest(status)) {
		buf_append(out_text, status_other_hash(status));
		return;
	}
	hex_encode(status->digest, sizeof status->digest, hex);
	buf_append(out_text, HASH_MARK);
	buf_printf(out_text, "%.*s:%s", STR_ARG(uid), hex);
	if (status->hash == HASH_OURS_PARTIAL) buf_append(out_text, PARTIAL_MARK);
}

bool status_asked_is(const struct status *status, const unsigned char digest[static SHA256_BYTES]) {
	return is_own_digest(status) && memcmp(status->digest, digest, STATUS_DIGEST_HALF) == 0;
}

bool status_seen_is(const struct status *status, const unsigned char digest[static SHA256_BYTES]) {
	return is_own_digest(status) &&
	       memcmp(status->digest + STATUS_DIGEST_HALF, digest + STATUS_DIGEST_HALF,
		       STATUS_DIGEST_HALF) == 0;
}

bool status_is_partial(const struct status *status) {
	return status->hash == HASH_OURS_PARTIAL;
}

const struct status_object *status_find_object(const struct status *status, struct str name) {
	for (unsigned i = 0; i < status->object_count; i++) {
		if (str_eq(str_of(status->objects[i].name), name)) return &status->objects[i];
	}
	return NULL;
}
