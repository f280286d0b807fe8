/* tests/world/control_fleet.c - words that make a whole fleet inside the world, and take the time until its Secrets follow.
 *
 * Object i lies in vault i mod V and belongs to identity i mod I. Objects of one pair of both share SecretProviderClasses of
 * at most perClass objects each. SecretSync i reads object i; with 'readers' R, R of one pair read the same one. A value begins with "i.g." where g counts rotations, so that a Secret's write tells which
 * value it carries.
 */
#include <assert.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/world/control.h"

enum {
	MAX_OBJECTS = 4000000,
	NAME_BYTES = 64,
	USUAL_PER_SUBSCRIPTION = 5,
	MAX_RESERVE_MIB = 1 << 20,
	BLOCK_BYTES = 64 << 10, /* comes from the heap, and goes back to it */
};

#define FLEET_NAMESPACE "fleet"

/* Lengths of time, one by one. */
struct waits {
	int64_t *ns;
	size_t count, room;
};

struct fleet {
	unsigned total, vaults, identities, per_class, bytes, readers;
	unsigned pairs; /* of vault and identity: their least common multiple */
	char tenant[64];
	unsigned *generation; /* by object: rotations so far */
	int64_t *due_ns; /* by object: since when its Secret is to follow (mono); 0: it is not timed */
	int64_t *shown_ns; /* by object that is timed: when a list showed it since then first (mono); 0: none has yet */
	struct waits waits, waits_since_shown; /* how long its Secret took */
	size_t pending;
	bool *written; /* by object: its Secret was written once */
	bool *synced; /* by object: its status said Ready once */
	size_t written_count, synced_count;
	int64_t last_synced_ns; /* mono: when the latest of them did so first */
	bool *ready; /* by object: its status says Ready now */
	size_t ready_count;
	char *padding;
};

static unsigned gcd(unsigned a, unsigned b) {
	return b ? gcd(b, a % b) : a;
}

void fleet_destroy(struct fleet *fleet) {
	if (!fleet) return;
	mem_free(fleet->generation);
	mem_free(fleet->due_ns);
	mem_free(fleet->written);
	mem_free(fleet->synced);
	mem_free(fleet->ready);
	mem_free(fleet->shown_ns);
	mem_free(fleet->waits.ns);
	mem_free(fleet->waits_since_shown.ns);
	mem_free(fleet->padding);
	mem_free(fleet);
}

/* --- names --- */

static void client_of(unsigned identity, char out[static NAME_BYTES]) {
	snprintf(out, NAME_BYTES, "0f1ee700-5d1e-4c8b-8f0a-%012u", identity);
}

static void vault_of(const struct fleet *fleet, unsigned object, char out[static NAME_BYTES]) {
	snprintf(out, NAME_BYTES, "fleet-%u", object % fleet->vaults);
}

static void class_of(const struct fleet *fleet, unsigned object, char out[static NAME_BYTES]) {
	snprintf(out, NAME_BYTES, "class-%u-%u", object % fleet->pairs,
		object / fleet->pairs / fleet->per_class);
}

/* The object that a SecretSync reads. */
static unsigned source_of(const struct fleet *fleet, unsigned sync) {
	return sync - sync / fleet->pairs % fleet->readers * fleet->pairs;
}

static void value_of(const struct fleet *fleet, unsigned object, struct buf *out) {
	buf_printf(out, "%u.%u.", object, fleet->generation[object]);
	size_t len = buf_str(out).len;
	if (len < fleet->bytes)
		buf_append(out, (struct str){ fleet->padding, fleet->bytes - len });
}

/* --- times --- */

static void note_wait(struct waits *waits, int64_t wait_ns) {
	if (waits->count == waits->room) {
		waits->room = waits->room ? 2 * waits->room : 1024;
		waits->ns = mem_realloc(waits->ns, waits->room * sizeof(*waits->ns));
		assert(waits->ns);
	}
	waits->ns[waits->count++] = wait_ns;
}

/* Is it one that is timed, and does it carry the newest value? */
static void secret_written(struct fleet *fleet, unsigned object, const struct kube_write *write) {
	unsigned from, generation, source = source_of(fleet, object);
	if (!fleet->written[object]) fleet->written_count++;
	fleet->written[object] = true;
	if (!fleet->due_ns[object]) return;
	const cJSON *data = world_json_at(write->after, "data");
	struct buf value;
	buf_init(&value, 1 << 16);
	bool newest = azure_base64_decode(world_json_str(data, "k"), &value) &&
		      sscanf(buf_cstr(&value), "%u.%u.", &from, &generation) == 2 && from == source &&
		      generation == fleet->generation[source];
	buf_deinit(&value);
	if (!newest) return;
	note_wait(&fleet->waits, write->now.mono_ns - fleet->due_ns[object]);
	if (fleet->shown_ns[object])
		note_wait(&fleet->waits_since_shown, write->now.mono_ns - fleet->shown_ns[object]);
	fleet->due_ns[object] = 0;
	fleet->pending--;
}

static void status_written(struct fleet *fleet, unsigned object, const struct kube_write *write) {
	const cJSON *condition,
		*conditions = world_json_at(world_json_at(write->after, "status"), "conditions");
	bool ready = false;
	cJSON_ArrayForEach(condition, conditions) {
		if (!str_eq(world_json_str(condition, "type"), STR("Ready"))) continue;
		ready = str_eq(world_json_str(condition, "status"), STR("True"));
	}
	fleet->ready_count += (size_t)ready - (size_t)fleet->ready[object];
	fleet->ready[object] = ready;
	if (!ready || fleet->synced[object]) return;
	fleet->synced[object] = true;
	fleet->synced_count++;
	fleet->last_synced_ns = write->now.mono_ns;
}

static void on_write(const struct kube_write *write, void *arg) {
	struct fleet *fleet = arg;
	unsigned object;
	if (!write->after || strncmp(write->name, "sync-", 5) != 0) return;
	if (sscanf(write->name + 5, "%u", &object) != 1 || object >= fleet->total) return;
	bool secret = strcmp(write->resource, "secrets") == 0 && !write->subresource[0];
	bool status = strcmp(write->resource, "secretsyncs") == 0 && write->subresource[0];
	if (secret) secret_written(fleet, object, write);
	if (status) status_written(fleet, object, write);
}

static void start_clock(struct fleet *fleet, unsigned object, struct now now) {
	if (!fleet->due_ns[object]) fleet->pending++;
	fleet->due_ns[object] = now.mono_ns;
	fleet->shown_ns[object] = 0;
}

static void on_shown(struct str name, struct now now, void *arg) {
	struct fleet *fleet = arg;
	unsigned object;
	if (!fleet->pending || !name.ptr || sscanf(name.ptr, "s-%u", &object) != 1 || object >= fleet->total) return;
	if (fleet->due_ns[object] && !fleet->shown_ns[object]) fleet->shown_ns[object] = now.mono_ns;
}

static int by_length(const void *a, const void *b) {
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

static void add_share(cJSON *json, const char *name, const struct waits *waits, double share) {
	size_t i = waits->count ? (size_t)(share * (double)(waits->count - 1) + 0.5) : 0;
	cJSON_AddNumberToObject(
		json, name, waits->count ? (double)waits->ns[i] / (double)NS_PER_S : 0);
}

static void add_waits(cJSON *json, const struct waits *waits) {
	if (waits->count) qsort(waits->ns, waits->count, sizeof(*waits->ns), by_length);
	world_json_add_i64(json, "count", (int64_t)waits->count);
	add_share(json, "p50", waits, 0.5);
	add_share(json, "p99", waits, 0.99);
	add_share(json, "max", waits, 1);
}

cJSON *fleet_times_json(struct fleet *fleet) {
	cJSON *json = cJSON_CreateObject();
	if (!fleet) return json;
	add_waits(json, &fleet->waits);
	add_waits(cJSON_AddObjectToObject(json, "sinceShown"), &fleet->waits_since_shown);
	world_json_add_i64(json, "pending", (int64_t)fleet->pending);
	world_json_add_i64(json, "written", (int64_t)fleet->written_count);
	world_json_add_i64(json, "synced", (int64_t)fleet->synced_count);
	world_json_add_i64(json, "ready", (int64_t)fleet->ready_count);
	cJSON_AddNumberToObject(
		json, "lastSynced", (double)fleet->last_synced_ns / (double)NS_PER_S);
	return json;
}

/* --- objects --- */

/* A write as an administrator; 409 would be a second fleet. */
static void create(struct job *job, const char *path, const struct buf *body) {
	struct buf answer;
	buf_init(&answer, 1 << 22);
	int status = kube_request(
		job->server->kube, job->now, NULL, "POST", path, NULL, buf_str(body), &answer);
	if (status != 201) job_fail(job, "%s: %d %.300s", path, status, buf_cstr(&answer));
	buf_deinit(&answer);
}

static void create_named(struct job *job, const char *path, const char *name) {
	struct buf body;
	buf_init(&body, 4096);
	buf_printf(&body, "{\"metadata\":{\"name\":\"%s\"}}", name);
	create(job, path, &body);
	buf_deinit(&body);
}

static void make_identity(struct job *job, const struct fleet *fleet, unsigned number) {
	static const char accounts[] = "/api/v1/namespaces/" FLEET_NAMESPACE "/serviceaccounts";
	char client[NAME_BYTES], account[NAME_BYTES], subject[256];
	client_of(number, client);
	snprintf(account, sizeof(account), "account-%u", number);
	snprintf(subject, sizeof(subject), "system:serviceaccount:" FLEET_NAMESPACE ":%s", account);
	create_named(job, accounts, account);
	azure_federate(azure_identity_add(job->azure, str_of(fleet->tenant), str_of(client)),
		job_text(job, "issuer"), str_of(subject), STR("api://AzureADTokenExchange"), 0);
}

/* What it bears is five times what each of its vaults does. */
static struct azure_subscription *subscription_of(struct job *job, unsigned vault) {
	char id[NAME_BYTES];
	unsigned each = (unsigned)job_number(job, "perSubscription", USUAL_PER_SUBSCRIPTION);
	snprintf(id, sizeof(id), "fleet-%u", vault / each);
	struct azure_subscription *subscription = azure_subscription_get(job->azure, str_of(id));
	subscription->rate_calls = 5 * (unsigned)job_number(job, "callsPer10s", AZURE_RATE_CALLS);
	return subscription;
}

static void make_vaults(struct job *job, const struct fleet *fleet) {
	const unsigned *rights = azure_role(STR("Key Vault Secrets User"));
	char vault_name[NAME_BYTES], client[NAME_BYTES];
	for (unsigned i = 0; i < fleet->vaults; i++) {
		vault_of(fleet, i, vault_name);
		struct azure_vault *vault =
			azure_vault_add(job->azure, str_of(vault_name), str_of(fleet->tenant));
		vault->rate_calls = (unsigned)job_number(job, "callsPer10s", AZURE_RATE_CALLS);
		vault->subscription = subscription_of(job, i);
	}
	for (unsigned pair = 0; pair < fleet->pairs && pair < fleet->total; pair++) {
		vault_of(fleet, pair, vault_name);
		client_of(pair % fleet->identities, client);
		azure_grant_add(azure_vault_find(job->azure, str_of(vault_name)), str_of(client), rights,
			STR_NULL, false, 0);
	}
}

static unsigned positive(struct job *job, const char *name, int64_t most) {
	int64_t number = job_number(job, name, 0);
	if (number < 1 || number > most)
		job_fail(job, "'%s' must be from 1 to %lld. ", name, (long long)most);
	return (unsigned)number;
}

/* The heap has so much from now on. A page that is used for the first time is made by the kernel, and on a virtual machine that has
 * not had it by its host: ten times as dear, and more of them the larger the fleet is. */
static void reserve_memory(size_t bytes) {
	struct list blocks;
	list_init(&blocks);
	mallopt(M_TRIM_THRESHOLD, -1);
	for (size_t got = 0; got < bytes; got += BLOCK_BYTES) {
		struct list *block = mem_alloc(BLOCK_BYTES);
		if (!block) break;
		memset(block, 1, BLOCK_BYTES);
		list_init(block);
		list_push_back(&blocks, block);
	}
	for (struct list *block; (block = list_pop(&blocks));) mem_free(block);
}

void word_fleet(struct job *job) {
	struct fleet wanted = {
		.total = positive(job, "total", MAX_OBJECTS),
		.vaults = positive(job, "vaults", 10000),
		.identities = positive(job, "identities", 100000),
		.per_class = positive(job, "perClass", 10000),
		.bytes = positive(job, "bytes", AZURE_VALUE_BYTES),
		.readers = (unsigned)job_number(job, "readers", 1),
	};
	struct str tenant = job_need(job, "tenant");
	job_need(job, "issuer");
	int64_t calls = job_number(job, "callsPer10s", AZURE_RATE_CALLS);
	int64_t each = job_number(job, "perSubscription", USUAL_PER_SUBSCRIPTION);
	if (each < 1 || each > 10000) job_fail(job, "'perSubscription' must be from 1 to 10000. ");
	int64_t reserve_mib = job_number(job, "reserveMiB", 0);
	if (reserve_mib < 0 || reserve_mib > MAX_RESERVE_MIB)
		job_fail(job, "'reserveMiB' is out of range. ");
	if (wanted.readers < 1) job_fail(job, "'readers' must be at least 1. ");
	if (calls < 1 || calls > 1000000) job_fail(job, "'callsPer10s' is out of range. ");
	if (!job->server->kube) job_fail(job, "this world has no API server");
	if (job->server->fleet) job_fail(job, "there is a fleet already");
	if (buf_str(job->error).len) return;
	wanted.pairs = wanted.vaults / gcd(wanted.vaults, wanted.identities) * wanted.identities;
	snprintf(wanted.tenant, sizeof(wanted.tenant), "%.*s", STR_ARG(tenant));
	struct fleet *fleet = mem_zalloc(sizeof(*fleet));
	assert(fleet);
	*fleet = wanted;
	reserve_memory((size_t)reserve_mib << 20);
	fleet->generation = mem_zalloc(fleet->total * sizeof(*fleet->generation));
	fleet->due_ns = mem_zalloc(fleet->total * sizeof(*fleet->due_ns));
	fleet->shown_ns = mem_zalloc(fleet->total * sizeof(*fleet->shown_ns));
	fleet->written = mem_zalloc(fleet->total * sizeof(*fleet->written));
	fleet->synced = mem_zalloc(fleet->total * sizeof(*fleet->synced));
	fleet->ready = mem_zalloc(fleet->total * sizeof(*fleet->ready));
	fleet->padding = mem_alloc(fleet->bytes);
	assert(fleet->generation && fleet->due_ns && fleet->shown_ns && fleet->written);
	assert(fleet->synced && fleet->ready && fleet->padding);
	memset(fleet->padding, 'x', fleet->bytes);
	job->server->fleet = fleet;
	kube_on_write(job->server->kube, on_write, fleet);
	job->azure->on_shown = on_shown;
	job->azure->on_shown_arg = fleet;
	azure_tenant_add(job->azure, tenant);
	create_named(job, "/api/v1/namespaces", FLEET_NAMESPACE);
	for (unsigned i = 0; i < fleet->identities; i++) make_identity(job, fleet, i);
	make_vaults(job, fleet);
}

static void put_value(
	struct job *job, const struct fleet *fleet, unsigned object, int64_t age_s) {
	char vault[NAME_BYTES], name[NAME_BYTES];
	struct buf value;
	buf_init(&value, 1 << 16);
	vault_of(fleet, object, vault);
	snprintf(name, sizeof(name), "s-%u", object);
	struct azure_version *version = azure_version_add(job->azure,
		azure_vault_find(job->azure, str_of(vault)), AZURE_SECRET, str_of(name), STR_NULL,
		azure_seconds(job->now) - age_s);
	value_of(fleet, object, &value);
	azure_version_set_value(version, buf_str(&value));
	buf_deinit(&value);
}

/* The class of which `object` is the first; nothing for the others. */
static void make_class(struct job *job, const struct fleet *fleet, unsigned object) {
	static const char path[] = "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/" FLEET_NAMESPACE
				   "/secretproviderclasses";
	char name[NAME_BYTES], vault[NAME_BYTES], client[NAME_BYTES];
	struct buf body;
	if (object / fleet->pairs % fleet->per_class) return;
	buf_init(&body, 4 << 20);
	class_of(fleet, object, name);
	vault_of(fleet, object, vault);
	client_of(object % fleet->identities, client);
	buf_printf(&body,
		"{\"apiVersion\":\"secrets-store.csi.x-k8s.io/v1\",\"kind\":\"SecretProviderClass\","
		"\"metadata\":{\"name\":\"%s\"},\"spec\":{\"provider\":\"azure\",\"parameters\":{"
		"\"clientID\":\"%s\",\"tenantID\":\"%s\",\"keyvaultName\":\"%s\",\"objects\":\"array:\\n",
		name, client, fleet->tenant, vault);
	uint64_t at = object;
	for (unsigned i = 0; i < fleet->per_class && at < fleet->total; i++, at += fleet->pairs)
		buf_printf(&body, "  - |\\n    objectName: s-%u\\n    objectType: secret\\n", (unsigned)at);
	buf_append(&body, STR("\"}}}"));
	create(job, path, &body);
	buf_deinit(&body);
}

static void make_sync(struct job *job, struct fleet *fleet, unsigned object) {
	static const char path[] = "/apis/secret-sync.x-k8s.io/v1alpha1/namespaces/" FLEET_NAMESPACE
				   "/secretsyncs";
	char name[NAME_BYTES];
	struct buf body;
	unsigned source = source_of(fleet, object);
	buf_init(&body, 4096);
	class_of(fleet, source, name);
	buf_printf(&body,
		"{\"apiVersion\":\"secret-sync.x-k8s.io/v1alpha1\",\"kind\":\"SecretSync\",\"metadata\":{"
		"\"name\":\"sync-%u\"},\"spec\":{\"serviceAccountName\":\"account-%u\","
		"\"secretProviderClassName\":\"%s\",\"secretObject\":{\"type\":\"Opaque\",\"data\":[{"
		"\"sourcePath\":\"s-%u\",\"targetKey\":\"k\"}]}}}",
		object, object % fleet->identities, name, source);
	create(job, path, &body);
	buf_deinit(&body);
	if (world_json_bool(job->item, "timed", false)) start_clock(fleet, object, job->now);
}

/* Of several readers the first is timed. */
static void rotate(struct job *job, struct fleet *fleet, unsigned object) {
	if (source_of(fleet, object) != object) return;
	fleet->generation[object]++;
	put_value(job, fleet, object, 0);
	start_clock(fleet, object, job->now);
}

/* "what" of every object from 'from' on, 'count' of them, each 'step'-th. */
void word_fleet_fill(struct job *job) {
	struct str what = job_need(job, "what");
	struct fleet *fleet = job->server->fleet;
	int64_t from = job_number(job, "from", 0), count = job_number(job, "count", 0);
	int64_t step = job_number(job, "step", 1), age_s = job_number(job, "ageSeconds", 0);
	if (!fleet) job_fail(job, "there is no fleet yet");
	if (from < 0 || count < 0 || step < 1) job_fail(job, "'from', 'count' or 'step' is wrong");
	if (age_s < 0) job_fail(job, "'ageSeconds' is negative");
	for (int64_t i = 0; i < count && !buf_str(job->error).len; i++) {
		int64_t at = from + i * step;
		if (at >= fleet->total) return;
		unsigned object = (unsigned)at;
		if (str_eq(what, STR("values"))) put_value(job, fleet, object, age_s);
		else if (str_eq(what, STR("classes"))) make_class(job, fleet, object);
		else if (str_eq(what, STR("syncs"))) make_sync(job, fleet, object);
		else if (str_eq(what, STR("rotations"))) rotate(job, fleet, object);
		else job_fail(job, "'what' is none of values, classes, syncs, rotations");
	}
}

void word_fleet_forget(struct job *job) {
	struct fleet *fleet = job->server->fleet;
	if (!fleet) return;
	memset(fleet->due_ns, 0, fleet->total * sizeof(*fleet->due_ns));
	fleet->waits.count = fleet->waits_since_shown.count = fleet->pending = 0;
}
