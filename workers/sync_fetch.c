#include <assert.h>

#include "base/metric.h"
#include "workers/source.h"
#include "workers/sync.h"

enum {
	MAX_PAGES =
		1000, /* of one version list: 25,000 rows, with room for rows of deleted objects */
	MAX_THROTTLED =
		6, /* answers 429 in a row before the reconcile gives its place to another */
};

static void read_answered(struct flight_waiter *waiter);

/* --- PLAN: which objects and versions the data items need --- */

static struct sync_read *find_read(const struct sync *sync, const struct spc_object *object) {
	for (unsigned i = 0; i < sync->read_count; i++) {
		if (sync->reads[i].object == object) return &sync->reads[i];
	}
	return NULL;
}

static enum err grow_values(struct sync_read *read, unsigned count) {
	if (count <= read->value_count) return OK;
	struct sync_value *values = mem_array(count, sizeof *values);
	if (!values) return ERR_NOMEM;
	if (read->value_count) memcpy(values, read->values, read->value_count * sizeof *values);
	for (unsigned i = read->value_count; i < count; i++) values[i].index = i;
	mem_free(read->values);
	read->values = values;
	read->value_count = count;
	return OK;
}

static enum err plan_item(struct sync *sync, unsigned item) {
	unsigned index = 0;
	const struct spc_object *object =
		source_find(sync->spc, sync->spec->items[item].source_path, &index);
	if (!object) return OK;
	if (source_check_part(sync->spec, item, object, NULL)) return OK;
	struct sync_read *read = find_read(sync, object);
	if (!read) {
		read = &sync->reads[sync->read_count++];
		read->sync = sync;
		read->object = object;
		read->waiter.answer = read_answered;
		list_init(&read->waiter.link);
	}
	enum err err = grow_values(read, index + 1);
	if (!err) read->values[index].needed = true;
	return err;
}

enum err sync_plan_reads(struct sync *sync) {
	sync->reads = mem_array(sync->spec->item_count, sizeof *sync->reads);
	if (!sync->reads) return ERR_NOMEM;
	for (unsigned i = 0; i < sync->spec->item_count; i++) {
		enum err err = plan_item(sync, i);
		if (err) return err;
	}
	return OK;
}

void sync_reads_free(struct sync *sync) {
	for (unsigned i = 0; i < sync->read_count; i++) {
		struct sync_read *read = &sync->reads[i];
		flight_wait_no_more(&read->waiter);
		flight_leave(&read->flight);
		vault_rows_deinit(&read->rows);
		buf_deinit(&read->next_link);
		for (unsigned k = 0; k < read->value_count; k++) {
			secret_deinit(&read->values[k].whole);
			flight_leave(&read->values[k].flight);
		}
		mem_free(read->values);
	}
	mem_free(sync->reads);
	sync->reads = NULL;
	sync->read_count = 0;
}

/* A class has hundreds of objects, a SecretSync reads few of them. What is read and has this very path was found by it: it is
 * the first of the class that yields it. */
const struct spc_object *sync_find_object(
	const struct sync *sync, struct str source_path, unsigned *out_index) {
	for (unsigned i = 0; i < sync->read_count; i++) {
		const struct spc_object *object = sync->reads[i].object;
		if (object->history >= 2 || !str_eq(object->path, source_path)) continue;
		*out_index = 0;
		return object;
	}
	return source_find(sync->spc, source_path, out_index);
}

const struct sync_value *sync_find_value(
	const struct sync *sync, struct str source_path, const struct sync_read **out_read) {
	unsigned index = 0;
	const struct spc_object *object = sync_find_object(sync, source_path, &index);
	struct sync_read *read = object ? find_read(sync, object) : NULL;
	*out_read = read;
	return read && index < read->value_count ? &read->values[index] : NULL;
}

/* --- one read --- */

static bool is_history(const struct sync_read *read) {
	return read->object->history >= 2;
}

enum err sync_name_object(const struct sync_read *read, enum err err, struct fault *fault) {
	return fault_prefix(fault, err, "%s \"%.*s\" of %.*s", vault_kind_name(read->object->kind),
		STR_ARG(read->object->name), STR_ARG(read->sync->spc->access->vault_url));
}

/* The versions that are there are good; the items that ask for older ones fail. */
static void too_few_versions(struct sync_read *read) {
	const struct spc_object *object = read->object;
	read->missing = fault_make(ERR_NOT_FOUND,
		"%s \"%.*s\" in %.*s has %zu enabled version%s, but \"%.*s/%u\" is asked for: add "
		"a version to the vault, or "
		"drop that data item",
		vault_kind_name(object->kind), STR_ARG(object->name),
		STR_ARG(read->sync->spc->access->vault_url), read->rows.count,
		read->rows.count == 1 ? "" : "s", STR_ARG(object->path), read->value_count - 1);
}

/* All pages are there: newest first, as many as are needed. */
static enum err take_rows(struct sync_read *read) {
	enum err err = vault_rows_select(
		&read->rows, read->object->version, str_of(read->current), read->value_count);
	if (err == ERR_NOT_FOUND && read->object->version.len && read->rows.count) {
		return fault_set(&read->fault, err,
			"%s \"%.*s\" in %.*s has no enabled version \"%.*s\": correct "
			"objectVersion in the SecretProviderClass",
			vault_kind_name(read->object->kind), STR_ARG(read->object->name),
			STR_ARG(read->sync->spc->access->vault_url),
			STR_ARG(read->object->version));
	}
	if (err || read->rows.count < read->value_count) too_few_versions(read);
	for (unsigned i = 0; i < read->value_count && i < read->rows.count; i++) {
		read->values[i].row = read->rows.rows[i];
		read->values[i].known = true;
	}
	read->done = true;
	return OK;
}

static enum err take_page(struct sync_read *read) {
	struct flight *flight = read->flight;
	enum err err = vault_rows_append(&read->rows, &flight->rows);
	buf_reset(&read->next_link);
	buf_append(&read->next_link, buf_str(&flight->next_link));
	if (!err) err = buf_err(&read->next_link);
	if (err)
		return fault_set(&read->fault, err,
			"the vault's version list could not be kept: %s", err_text(err));
	if (buf_str(&read->next_link).len == 0) {
		struct str start = read->object->version;
		read->asking_current = (!start.len || str_eq(start, STR("latest"))) &&
				       vault_rows_are_tied(&read->rows);
		return read->asking_current ? OK : take_rows(read);
	}
	if (++read->pages < MAX_PAGES) return OK;
	return fault_set(&read->fault, ERR_TOO_LARGE,
		"the version list of \"%.*s\" in %.*s has more than %d pages: purge old "
		"versions, or name one by objectVersion",
		STR_ARG(read->object->name), STR_ARG(read->sync->spc->access->vault_url),
		MAX_PAGES);
}

/* Only its version is wanted. A current version that is disabled is none of the rows: their order by id has to do. */
static enum err take_current(struct sync_read *read) {
	const struct flight *flight = read->flight;
	enum err err = flight->fault.err;
	if (!err) memcpy(read->current, flight->object.row.version, sizeof read->current);
	if (err && err != ERR_DISABLED) return err;
	read->fault = (struct fault){ 0 };
	read->asking_current = false;
	return take_rows(read);
}

/* The value stays in the flight, which lives as long as this reconcile. */
static void take_object(struct sync_read *read) {
	struct sync_value *value = &read->values[is_history(read) ? read->next_value : 0];
	struct flight *flight = take(read->flight);
	sync_note_read(read->sync, &flight->object.row, flight->date_s);
	flight_leave(&value->flight);
	value->flight = flight;
	value->value = &flight->object.value;
	value->row = flight->object.row;
	value->form = vault_object_form(&flight->object);
	value->known = value->fetched = true;
	if (is_history(read)) {
		read->next_value++;
	} else {
		read->done = true;
	}
}

static bool is_listing(const struct sync_read *read) {
	return is_history(read) && !read->sync->fetching_values && !read->asking_current;
}

static void take_answer(struct sync_read *read) {
	struct sync *sync = read->sync;
	const struct flight *flight = read->flight;
	enum err err = flight->fault.err;
	read->fault = flight->fault;
	if (err == ERR_UNAUTHENTICATED) sync->token_serial = flight->token_serial;
	if (err == ERR_THROTTLED && ++read->throttled <= MAX_THROTTLED) {
		/* The gate waits for as long as the vault asks; the same request goes out again after that. */
		read->fault = (struct fault){ 0 };
	} else if (read->asking_current) {
		err = take_current(read);
		assert(!err == !read->fault.err);
	} else if (!err) {
		read->throttled = 0;
		if (is_listing(read)) {
			err = take_page(read);
			assert(!err == !read->fault.err);
		} else {
			take_object(read);
		}
	}
	flight_leave(&read->flight);
}

static void read_answered(struct flight_waiter *waiter) {
	struct sync_read *read = container_of(waiter, struct sync_read, waiter);
	struct sync *sync = read->sync;
	take_answer(read);
	sync_resume(sync);
}

static struct flight_plan plan_of(struct sync_read *read) {
	const struct spc_object *object = read->object;
	struct flight_plan plan = { .kind = object->kind,
		.name = object->name,
		.version = object->version,
		.lists = is_listing(read),
		.safety = read->sync->class == CLASS_SAFETY };
	if (plan.lists) {
		if (!read->next_link._max) buf_init(&read->next_link, 8192);
		plan.next_link = buf_str(&read->next_link);
		plan.version = STR_NULL;
	} else if (is_history(read)) {
		plan.version = read->asking_current
				       ? STR_NULL
				       : str_of(read->values[read->next_value].row.version);
	}
	if (str_eq(plan.version, STR("latest"))) plan.version = STR_NULL;
	return plan;
}

static struct fault cannot_ask(const struct sync_read *read, enum err err) {
	struct str name = read->object->name, url = read->sync->spc->access->vault_url;
	if (err == ERR_DENIED)
		return fault_make(err,
			"the version list of \"%.*s\" in %.*s goes on at another server, which is "
			"not asked: does a proxy on the way rewrite answers?",
			STR_ARG(name), STR_ARG(url));
	return fault_make(err, "the request for \"%.*s\" in %.*s could not be built: %s",
		STR_ARG(name), STR_ARG(url), err_text(err));
}

static void count_request(struct sync *sync) {
	sync->asked++;
	if (sync->asked > sync->counted) sync_count_requests(sync, sync->asked);
	shard_asked(sync->object->shard);
}

/* The answer may be there already. */
static void start_read(struct sync_read *read) {
	struct sync *sync = read->sync;
	bool is_new = false;
	struct flight_plan plan = plan_of(read);
	enum err err = flight_join(sync->object->shard, sync->identity, &plan, sync->object->due_ns,
		&read->flight, &is_new);
	if (err) {
		read->fault = cannot_ask(read, err);
		return;
	}
	if (is_new) count_request(sync);
	if (read->flight->answered) {
		take_answer(read);
	} else {
		flight_wait(read->flight, &read->waiter);
	}
}

/* --- all reads of a phase --- */

/* Skips versions that nobody asked for; done when none is left. */
static void advance_values(struct sync_read *read) {
	while (read->next_value < read->value_count &&
		(!read->values[read->next_value].needed || !read->values[read->next_value].known ||
			read->values[read->next_value].fetched)) {
		read->next_value++;
	}
	if (read->next_value == read->value_count) read->done = true;
}

static bool wants(struct sync_read *read) {
	if (read->sync->fetching_values && !read->done) advance_values(read);
	return !read->done && !read->fault.err;
}

/* The vault refused the token: once per reconcile a new one is fetched and the refused reads start again. */
static bool renew_token(struct sync *sync) {
	if (sync->token_renewed) return false;
	bool refused = false;
	for (unsigned i = 0; i < sync->read_count; i++) {
		struct sync_read *read = &sync->reads[i];
		if (read->fault.err != ERR_UNAUTHENTICATED) continue;
		read->fault = (struct fault){ 0 };
		refused = true;
	}
	if (!refused) return false;
	sync->token_renewed = true;
	identity_refused(sync->identity, sync->token_serial);
	return true;
}

const struct step *sync_fetch_all(struct sync *sync) {
	bool waiting = false;
	struct gate *gate = &sync->object->shard->gate;
	for (unsigned i = 0; i < sync->read_count; i++) {
		struct sync_read *read = &sync->reads[i];
		while (wants(read) && !read->flight) {
			struct fault fault = { 0 };
			if (gate_admits(gate, &fault))
				start_read(read);
			else if (waiting)
				break; /* one of them tries whether the way is open */
			else
				read->fault = fault;
		}
		if (read->flight) waiting = true;
	}
	if (waiting) return &STEP_PARKED;
	return renew_token(sync) ? &STEP_TOKEN : NULL;
}

static const struct step *fetch_run(struct sync *sync) {
	const struct step *next = sync_fetch_all(sync);
	if (!next) next = sync_judge_items(sync);
	return next ? next : &STEP_COMPARE;
}

const struct step STEP_FETCH = { "fetch", fetch_run };

/* --- the digest --- */

/* An item that needs the value could not convert it: the Secret has not got it. */
static bool is_in_vain(const struct sync *sync, const struct sync_value *value) {
	const struct sync_read *read = NULL;
	for (unsigned i = 0; sync->outputs && i < sync->spec->item_count; i++) {
		if (!sync->outputs[i].fault) continue;
		if (sync_find_value(sync, sync->spec->items[i].source_path, &read) == value)
			return true;
	}
	return false;
}

static void digest_value(
	struct sha256 *sha, const struct sync_read *read, const struct sync_value *value) {
	const struct vault_row *row = &value->row;
	sha256_add_field(sha, read->object->name);
	sha256_add_i64(sha, read->object->kind);
	sha256_add_i64(sha, value->index);
	sha256_add_i64(sha, value->known && !is_in_vain(read->sync, value));
	if (sync_is_pinned(read->object)) {
		sha256_add_field(sha, read->object->version);
		return;
	}
	sha256_add_i64(sha, row->enabled);
	sha256_add_i64(sha, row->created_s);
	sha256_add_i64(sha, row->updated_s);
	sha256_add_i64(sha, row->not_before_s);
	sha256_add_i64(sha, row->expires_s);
}

/* What is asked for: with the same, a version that is in the Secret is there as it should be. */
enum err sync_digest_asked(struct sync *sync) {
	struct sha256 sha = { 0 };
	sha256_init(&sha);
	sha256_add_i64(&sha, sync->spec->generation);
	sha256_add_field(&sha, sync->spec->common->force);
	sha256_add_field(&sha, sync->spc->uid);
	sha256_add_i64(&sha, sync->spc->generation);
	return sha256_final(&sha, sync->digest);
}

static enum err digest_seen(const struct sync *sync, unsigned char *out_digest) {
	struct sha256 sha = { 0 };
	sha256_init(&sha);
	for (unsigned i = 0; i < sync->read_count; i++) {
		const struct sync_read *read = &sync->reads[i];
		for (unsigned k = 0; k < read->value_count; k++) {
			if (read->values[k].needed) digest_value(&sha, read, &read->values[k]);
		}
	}
	return sha256_final(&sha, out_digest);
}

enum err sync_digest(struct sync *sync) {
	unsigned char seen[SHA256_BYTES];
	enum err err = sync_digest_asked(sync);
	if (!err) err = digest_seen(sync, seen);
	if (!err) memcpy(sync->digest + STATUS_DIGEST_HALF, seen, STATUS_DIGEST_HALF);
	return err;
}
