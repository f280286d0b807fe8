/* One line per write of a Secret: who wrote, what, and why. Names and version ids; a value is never near. */
#include "base/hash.h"
#include "base/log.h"
#include "workers/sync.h"

/* With the other fields, names at their longest included, a line stays below what the log takes. */
enum { OBJECTS_BYTES = 4096, MAX_NAME_BYTES = 256 };

/* Never 0, which stands for "not known". */
static uint32_t hash_force(const struct spec *spec) {
	return (uint32_t)hash64_stable(spec->common->force) | 1;
}

void sync_remember_force(struct sync *sync) {
	sync->object->force_hash = hash_force(sync->spec);
}

static const char *what_of(const struct step *write) {
	return write == &STEP_CREATE ? "created" : write == &STEP_APPLY ? "updated" : "partial";
}

/* The status is still the one that the write was decided by. */
static const char *why_of(const struct sync *sync, const struct step *write) {
	const struct object *object = sync->object;
	const struct status *status = &object->status;
	struct str uid = spec_uid(sync->spec);
	if (!status_has_synced(status)) return "first-write";
	if (write == &STEP_CREATE) return "secret-missing";
	if (!status_is_ours(status, uid)) return "taken-over";
	if (!status_asked_is(status, sync->digest)) {
		bool forced = object->force_hash && object->force_hash != hash_force(sync->spec);
		return forced ? "forced" : "request-changed";
	}
	if (status_is_partial(status) && !sync->partial) return "completed";
	bool same = status->object_count ? sync_versions_match(sync)
					 : status_seen_is(status, sync->digest);
	return same ? "drift-repaired" : "value-changed";
}

/* "name@version" of each item that was written, as far as they fit; returns how many do not. */
static unsigned list_objects(const struct sync *sync, struct buf *out_text) {
	const struct sync_read *read = NULL;
	unsigned left_out = 0;
	for (unsigned i = 0; i < sync->spec->item_count; i++) {
		struct str source = sync->spec->items[i].source_path;
		if (sync_item_fault(sync, i, NULL)) continue;
		const struct sync_value *value = sync_find_value(sync, source, &read);
		size_t used = buf_str(out_text).len;
		size_t bytes = 2 + source.len + strlen(value->row.version);
		if (source.len > MAX_NAME_BYTES || used + bytes > OBJECTS_BYTES) {
			left_out++;
			continue;
		}
		buf_printf(out_text, "%s%.*s@%s", used ? " " : "", STR_ARG(source),
			value->row.version);
	}
	return left_out;
}

static const char *identity_of(const struct spc *spc) {
	static const char *const names[] = {
		[IDENTITY_WORKLOAD] = "workload",
		[IDENTITY_PRINCIPAL] = "principal",
		[IDENTITY_MACHINE] = "machine",
	};
	return names[spc->access->identity];
}

void sync_audit(const struct sync *sync, const struct step *write, bool certain) {
	const struct spec *spec = sync->spec;
	const struct spc *spc = sync->spc;
	struct buf objects;
	buf_init(&objects, OBJECTS_BYTES);
	unsigned left_out = list_objects(sync, &objects);
	log_audit(certain ? "secret written" : "secret maybe written",
		kv("secretsync", sync->object->key), kv_str("uid", spec_uid(spec)),
		kv_str("secret", spec->name), kv("what", what_of(write)),
		kv("why", why_of(sync, write)), kv_str("vault", spc->access->vault_url),
		kv("identity", identity_of(spc)), kv_str("tenant", spc->access->tenant),
		kv_str("client", spc->access->client_id),
		kv_str("serviceaccount", spec->common->service_account),
		kv_int("objectsLeftOut", left_out), kv_str("objects", buf_str(&objects)));
	buf_deinit(&objects);
}
