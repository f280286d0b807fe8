/* The world of a seed, and what users do to it with kubectl and the portal. */
#include <assert.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "tests/sim/sim.h"

enum { BODY_BYTES = 64 << 10 };

/* --- names --- */

enum sim_host sim_host_of(const struct sim *sim, struct str host) {
	if (str_eq(host, STR(SIM_KUBE_HOST))) return HOST_KUBE;
	if (str_eq(host, str_of(sim->azure->login_host))) return HOST_ENTRA;
	if (str_eq(host, STR(AZURE_IMDS_HOST))) return HOST_IMDS;
	for (unsigned i = 0; i < sim->vault_count; i++) {
		if (str_eq(host, str_of(sim_vault(sim, i)->host)))
			return (enum sim_host)(HOST_VAULT_0 + i);
	}
	return HOST_UNKNOWN;
}

const char *sim_host_name(enum sim_host host) {
	static const char *const names[] = { "the API server", "Entra", "vault 0", "vault 1",
		"vault 2", "vault 3", "the metadata service", [HOST_UNKNOWN] = "nobody" };
	return names[host];
}

const char *sim_sync_ns(const struct sim *sim, const struct sim_sync *sync) {
	return sim->spcs[sync->spc].ns;
}

void sim_secret_path(const struct sim *sim, const struct sim_sync *sync, char out[static 256]) {
	snprintf(out, 256, "/api/v1/namespaces/%s/secrets/%s", sim_sync_ns(sim, sync), sync->name);
}

/* --- vaults --- */

struct azure_vault *sim_vault(const struct sim *sim, unsigned index) {
	char name[SIM_NAME_BYTES];
	snprintf(name, sizeof name, "kv-sim-%u", index);
	struct azure_vault *vault = azure_vault_find(sim->azure, str_of(name));
	assert(vault);
	return vault;
}

struct azure_object *sim_vault_object(const struct sim *sim, unsigned vault, unsigned object) {
	char name[SIM_NAME_BYTES];
	snprintf(name, sizeof name, "obj-%u", object);
	return azure_object_find(sim_vault(sim, vault), AZURE_SECRET, str_of(name));
}

static void add_version(struct sim *sim, unsigned vault, unsigned object, int64_t at_s) {
	char name[SIM_NAME_BYTES];
	struct azure_object *known = sim_vault_object(sim, vault, object);
	if (known && known->deleted) azure_object_recover(known);
	snprintf(name, sizeof name, "obj-%u", object);
	sim->last_version_s[vault][object] = at_s;
	struct azure_version *version = azure_version_add(
		sim->azure, sim_vault(sim, vault), AZURE_SECRET, str_of(name), STR_NULL, at_s);
	struct buf value;
	buf_init(&value, 8192);
	buf_printf(&value, SIM_CANARY "%u-%u-%u-", vault, object, ++sim->serial);
	if (sim_chance(sim, 200)) buf_append(&value, (struct str){ "a\0b\x01\xc3\xa4\"\\", 8 });
	for (int64_t i = sim_between(sim, 0, 60); i > 0; i--)
		buf_append_char(&value, (char)('a' + i % 26));
	azure_version_set_value(version, buf_str(&value));
	buf_deinit(&value);
}

/* Two versions do not have the same second by chance, only when a history is about just that. */
void sim_rotate(struct sim *sim, unsigned vault, unsigned object) {
	int64_t at_s = azure_seconds(sim_world_now(sim));
	if (at_s <= sim->last_version_s[vault][object])
		at_s = sim->last_version_s[vault][object] + 1;
	add_version(sim, vault, object, at_s);
}

void sim_rotate_again(struct sim *sim, unsigned vault, unsigned object) {
	add_version(sim, vault, object, sim->last_version_s[vault][object]);
}

void sim_grant_all(struct sim *sim) {
	static const unsigned only_get[AZURE_KINDS] = { [AZURE_SECRET] = AZURE_GET };
	const unsigned *user = azure_role(STR("Key Vault Secrets User"));
	struct now now = sim_world_now(sim);
	for (unsigned s = 0; s < sim->spc_count; s++) {
		struct str client = str_of(sim->spcs[s].client);
		for (unsigned v = 0; v < sim->vault_count; v++) {
			struct azure_vault *vault = sim_vault(sim, v);
			if (azure_allowed(vault, now, client, AZURE_SECRET, AZURE_GET, STR("x")))
				continue;
			const unsigned *rights = sim->no_list[v][s] ? only_get : user;
			azure_grant_add(vault, client, rights, STR_NULL, false, now.mono_ns);
		}
	}
}

static void create_vaults(struct sim *sim) {
	for (unsigned v = 0; v < sim->vault_count; v++) {
		char name[SIM_NAME_BYTES];
		snprintf(name, sizeof name, "kv-sim-%u", v);
		azure_vault_add(sim->azure, str_of(name), STR(SIM_TENANT));
		for (unsigned o = 0; o < SIM_VAULT_OBJECTS; o++) {
			for (int i = 0; i < 4; i++) sim_rotate(sim, v, o);
		}
	}
}

static void credential_text(
	const struct sim *sim, const struct sim_spc *spc, unsigned serial, char out[static 128]) {
	snprintf(out, 128, SIM_CANARY "client-secret~%llu/%s+%u", (unsigned long long)sim->seed,
		spc->name, serial);
}

void sim_renew_credential(struct sim *sim, struct sim_spc *spc) {
	char text[128];
	struct azure_identity *identity = azure_identity_find(sim->azure, str_of(spc->client));
	credential_text(sim, spc, ++spc->credential, text);
	mem_free(identity->secret);
	identity->secret = mem_strdup(str_of(text));
	spc->stale = true;
	sim_note(sim, "user: renews the client secret of %s at Entra", spc->name);
}

void sim_write_credential(struct sim *sim, struct sim_spc *spc) {
	char path[256], text[128];
	struct buf body;
	buf_init(&body, 4096);
	credential_text(sim, spc, spc->credential, text);
	snprintf(path, sizeof path, "/api/v1/namespaces/%s/secrets/%s?fieldManager=user&force=true",
		spc->ns, spc->secret);
	buf_printf(&body,
		"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"%s\"},\"data\":{"
		"\"ClientID\":\"",
		spc->secret);
	buf_append_base64(&body, str_of(spc->client));
	buf_append(&body, STR("\",\"other\":\"eA==\",\"clientSecret\":\""));
	buf_append_base64(&body, str_of(text));
	buf_append(&body, STR("\"}}"));
	sim_kubectl(sim, "PATCH", path, "application/apply-patch+yaml", buf_str(&body));
	buf_deinit(&body);
	spc->stale = false;
}

/* The right to read that one Secret is the user's to give. */
static void allow_principals(struct sim *sim) {
	for (unsigned s = 0; s < sim->spc_count; s++) {
		struct sim_spc *spc = &sim->spcs[s];
		if (spc->identity == IDENTITY_PRINCIPAL)
			kube_allow(sim->kube, SIM_USER, "get", "", "secrets", spc->ns, spc->secret);
	}
}

static void create_principals(struct sim *sim) {
	allow_principals(sim);
	for (unsigned s = 0; s < sim->spc_count; s++) {
		struct sim_spc *spc = &sim->spcs[s];
		if (spc->identity != IDENTITY_PRINCIPAL) continue;
		sim_renew_credential(sim, spc);
		sim_write_credential(sim, spc);
	}
}

static void create_identities(struct sim *sim) {
	for (unsigned s = 0; s < sim->spc_count; s++) {
		struct sim_spc *spc = &sim->spcs[s];
		struct azure_identity *identity =
			azure_identity_add(sim->azure, STR(SIM_TENANT), str_of(spc->client));
		identity->on_node = spc->identity == IDENTITY_MACHINE;
		for (unsigned a = 0; a < sim->service_accounts; a++) {
			char subject[3 * SIM_NAME_BYTES];
			snprintf(subject, sizeof subject, "system:serviceaccount:%s:sa-%u", spc->ns,
				a);
			azure_federate(identity, STR(SIM_ISSUER), str_of(subject),
				STR("api://AzureADTokenExchange"), 0);
		}
	}
	sim_grant_all(sim);
}

/* --- the cluster --- */

int sim_kubectl(
	struct sim *sim, const char *method, const char *path, const char *type, struct str body) {
	int status =
		kube_request(sim->kube, sim_world_now(sim), NULL, method, path, type, body, NULL);
	sim_note(sim, "user: %s %s -> %d", method, path, status);
	int64_t next_ns = kube_advance(sim->kube, sim_world_now(sim));
	if (next_ns != NEVER_NS)
		sim_sooner(sim, &sim->world_turn, next_ns - SIM_MONO_NS + NS_PER_MS);
	sim_streams_poll(sim);
	return status;
}

static void write_class(const struct sim *sim, const struct sim_spc *spc, struct buf *out) {
	struct buf objects;
	buf_init(&objects, BODY_BYTES);
	buf_append(&objects, STR("array:\n"));
	for (unsigned i = 0; i < spc->object_count; i++) {
		const struct sim_object *o = &spc->objects[i];
		buf_printf(&objects, "  - |\n    objectName: obj-%u\n    objectType: secret\n",
			o->vault_object);
		if (strncmp(o->path, "obj-", 4) != 0)
			buf_printf(&objects, "    objectAlias: %s\n", o->path);
		if (o->history) buf_printf(&objects, "    objectVersionHistory: %u\n", o->history);
	}
	static const char *const identities[] = {
		[IDENTITY_WORKLOAD] = "\"clientID\"",
		[IDENTITY_PRINCIPAL] = "\"servicePrincipalSecretName\"",
		[IDENTITY_MACHINE] =
			"\"useVMManagedIdentity\":\"true\",\"userAssignedIdentityID\"",
	};
	buf_printf(out,
		"{\"provider\":\"azure\",\"parameters\":{%s:\"%s\",\"keyvaultName\":\"%"
		"s\",\"tenantID\":\"%s\","
		"\"objects\":",
		identities[spc->identity],
		spc->identity == IDENTITY_PRINCIPAL ? spc->secret : spc->client,
		sim_vault(sim, spc->vault)->name, SIM_TENANT);
	buf_append_json(out, buf_str(&objects));
	/* Another number, and another pace, for a class that is written later. */
	if (sim->class_per_10s)
		buf_printf(out, ",\"vaultRequestsPer10Seconds\":\"%u\"",
			sim->class_per_10s + (unsigned)(sim->now_ns / (60 * NS_PER_S) % 3));
	buf_append(out, STR("}}"));
	buf_deinit(&objects);
}

void sim_apply(struct sim *sim, const char *collection, const char *head, const char *name,
	struct str spec) {
	char path[512];
	struct buf body;
	buf_init(&body, BODY_BYTES);
	snprintf(path, sizeof path, "%s/%s", collection, name);
	buf_append(&body, STR("[{\"op\":\"replace\",\"path\":\"/spec\",\"value\":"));
	buf_append(&body, spec);
	buf_append(&body, STR("}]"));
	int status = sim_kubectl(sim, "PATCH", path, "application/json-patch+json", buf_str(&body));
	if (status == 404) {
		buf_reset(&body);
		buf_printf(&body, "{%s,\"metadata\":{\"name\":\"%s\"},\"spec\":%.*s}", head, name,
			STR_ARG(spec));
		status = sim_kubectl(sim, "POST", collection, NULL, buf_str(&body));
	}
	if (status >= 300)
		sim_fail(sim, "the scenario itself", "%s: %d: %s", path, status, buf_cstr(&body));
	buf_deinit(&body);
}

void sim_apply_spc(struct sim *sim, struct sim_spc *spc) {
	char collection[256];
	struct buf spec;
	buf_init(&spec, BODY_BYTES);
	snprintf(collection, sizeof collection,
		"/apis/secrets-store.csi.x-k8s.io/v1/namespaces/%s/secretproviderclasses", spc->ns);
	spc->vaults |= 1u << spc->vault;
	write_class(sim, spc, &spec);
	sim_apply(sim, collection,
		"\"apiVersion\":\"secrets-store.csi.x-k8s.io/v1\",\"kind\":\"SecretProviderClass\"",
		spc->name, buf_str(&spec));
	buf_deinit(&spec);
	spc->present = true;
}

static void sync_collection(
	const struct sim *sim, const struct sim_sync *sync, char out[static 256]) {
	snprintf(out, 256, "/apis/secret-sync.x-k8s.io/v1alpha1/namespaces/%s/secretsyncs",
		sim_sync_ns(sim, sync));
}

static void write_sync(const struct sim *sim, const struct sim_sync *sync, struct buf *out) {
	const struct sim_spc *spc = &sim->spcs[sync->spc];
	buf_printf(out, "{\"serviceAccountName\":\"%s\",\"secretProviderClassName\":\"%s\",",
		sync->service_account, spc->name);
	if (sync->force) buf_printf(out, "\"forceSynchronization\":\"force-%u\",", sync->force);
	if (sync->interval_s)
		buf_printf(out, "\"rotationPollIntervalInSeconds\":%lld,",
			(long long)sync->interval_s);
	buf_append(out, STR("\"secretObject\":{\"type\":\"Opaque\",\"data\":["));
	for (unsigned i = 0; i < sync->item_count; i++) {
		const struct sim_item *item = &sync->items[i];
		const struct sim_object *object = &spc->objects[item->object];
		buf_printf(out, "%s{\"sourcePath\":\"%s", i ? "," : "", object->path);
		if (object->history) buf_printf(out, "/%u", item->index);
		buf_printf(out, "\",\"targetKey\":\"%s\"}", item->key);
	}
	buf_append(out, STR("]"));
	if (sync->label)
		buf_printf(out, ",\"labels\":{\"team\":\"t%u\"},\"annotations\":{\"note\":\"n%u\"}",
			sync->label, sync->label);
	buf_append(out, STR("}}"));
}

void sim_apply_sync(struct sim *sim, struct sim_sync *sync) {
	char collection[256];
	struct buf spec;
	buf_init(&spec, BODY_BYTES);
	sync_collection(sim, sync, collection);
	write_sync(sim, sync, &spec);
	sim_apply(sim, collection,
		"\"apiVersion\":\"secret-sync.x-k8s.io/v1alpha1\",\"kind\":\"SecretSync\"",
		sync->name, buf_str(&spec));
	buf_deinit(&spec);
	sync->present = true;
}

void sim_delete_sync(struct sim *sim, struct sim_sync *sync) {
	char collection[256], path[512];
	sync_collection(sim, sync, collection);
	snprintf(path, sizeof path, "%s/%s", collection, sync->name);
	sim_kubectl(sim, "DELETE", path, NULL, STR(""));
	sync->present = false;
	/* What is still its own is collected. */
	if (sync->unmarked) sync->blocked = sync->unmarked = false;
}

void sim_delete_spc(struct sim *sim, struct sim_spc *spc) {
	char path[256];
	snprintf(path, sizeof path,
		"/apis/secrets-store.csi.x-k8s.io/v1/namespaces/%s/secretproviderclasses/%s",
		spc->ns, spc->name);
	sim_kubectl(sim, "DELETE", path, NULL, STR(""));
	spc->present = false;
}

/* sa-0 of a namespace comes and goes; the others stay. */
void sim_account_set(struct sim *sim, unsigned ns, bool present) {
	char path[256];
	snprintf(path, sizeof path, "/api/v1/namespaces/ns-%u/serviceaccounts%s", ns,
		present ? "" : "/sa-0");
	if (present) {
		sim_kubectl(sim, "POST", path, NULL,
			STR("{\"apiVersion\":\"v1\",\"kind\":\"ServiceAccount\",\"metadata\":{"
			    "\"name\":\"sa-0\"}}"));
	} else {
		sim_kubectl(sim, "DELETE", path, NULL, STR(""));
	}
	sim->account_gone[ns] = !present;
}

static void load_crds(struct sim *sim) {
	static const char *const files[] = { "10-crd-secretproviderclasses.yaml",
		"11-crd-secretsyncs.yaml", "12-crd-akvsyncs.yaml" };
	for (unsigned i = 0; i < 3; i++) {
		char path[512];
		snprintf(path, sizeof path, SIM_MANIFESTS "/%s", files[i]);
		FILE *file = fopen(path, "re");
		assert(file);
		static char text[1 << 17];
		size_t bytes = fread(text, 1, sizeof text, file);
		fclose(file);
		enum err err = kube_crd_load(sim->kube, (struct str){ text, bytes });
		assert(!err);
	}
}

/* The least rights, as in deploy/manifests. */
static void allow(struct sim *sim) {
	kube_user_token(sim->kube, SIM_USER, sim->pod_token);
	kube_allow(sim->kube, SIM_USER, "create,patch", "", "secrets", NULL, NULL);
	kube_allow(sim->kube, SIM_USER, "create", "", "serviceaccounts/token", NULL, NULL);
	kube_allow(sim->kube, SIM_USER, "get", "coordination.k8s.io", "leases", NULL, NULL);
	kube_allow(sim->kube, SIM_USER, "create", "", "events", NULL, NULL);
	kube_allow(sim->kube, SIM_USER, "get,list,watch,create,patch", "secrets-store.csi.x-k8s.io",
		"secretproviderclasses", NULL, NULL);
	kube_allow(sim->kube, SIM_USER, "get,list,watch,create,patch,delete",
		"secret-sync.x-k8s.io", "secretsyncs", NULL, NULL);
	kube_allow(sim->kube, SIM_USER, "list,watch", "secret-sync.x-k8s.io", "akvsyncs", NULL, NULL);
	kube_allow(sim->kube, SIM_USER, "patch", "secret-sync.x-k8s.io", "akvsyncs/status", NULL,
		NULL);
	kube_allow(sim->kube, SIM_USER, "patch", "secret-sync.x-k8s.io", "secretsyncs/status", NULL,
		NULL);
}

void sim_watch_set(struct sim *sim, bool granted) {
	if (granted == sim->may_watch) return;
	sim->may_watch = granted;
	sim_note(sim, "user: %s the right to watch Secrets", granted ? "grants" : "takes away");
	if (granted) {
		kube_allow(sim->kube, SIM_USER, "list,watch", "", "secrets", NULL, NULL);
		return;
	}
	kube_disallow_all(sim->kube, SIM_USER);
	allow(sim);
	allow_principals(sim);
}

static void create_namespaces(struct sim *sim) {
	for (unsigned n = 0; n < sim->namespace_count; n++) {
		char body[256], path[256];
		snprintf(body, sizeof body,
			"{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"ns-"
			"%u\"}}",
			n);
		sim_kubectl(sim, "POST", "/api/v1/namespaces", NULL, str_of(body));
		for (unsigned a = 0; a < sim->service_accounts; a++) {
			snprintf(path, sizeof path, "/api/v1/namespaces/ns-%u/serviceaccounts", n);
			snprintf(body, sizeof body,
				"{\"apiVersion\":\"v1\",\"kind\":\"ServiceAccount\",\"metadata\":{"
				"\"name\":\"sa-%u\"}}",
				a);
			sim_kubectl(sim, "POST", path, NULL, str_of(body));
		}
	}
}

/* Small on purpose: thousands of tokens are signed. Its bytes decide nothing. */
static EVP_PKEY *signing_key(void) {
	static EVP_PKEY *key;
	if (!key) key = EVP_RSA_gen(1024);
	assert(key);
	return key;
}

static void share_keys(struct sim *sim) {
	struct buf text;
	buf_init(&text, BODY_BYTES);
	int status = kube_request(sim->kube, sim_world_now(sim), NULL, "GET", "/openid/v1/jwks",
		NULL, STR(""), &text);
	cJSON *keys = cJSON_ParseWithLength(buf_str(&text).ptr, buf_str(&text).len);
	assert(status == 200 && keys);
	azure_issuer_set(sim->azure, STR(SIM_ISSUER), &keys, STR_NULL);
	buf_deinit(&text);
}

void sim_world_create(struct sim *sim) {
	struct kube_config config = { .seed = sim->seed,
		.gc_delay_ns = sim->gc_delay_ns,
		.issuer = SIM_ISSUER,
		.signing_key = signing_key(),
		.without_watch_list = sim->seed % 3 == 0,
		.anonymous_denied = true };
	sim->kube = kube_world_create(&config, sim_world_now(sim));
	sim->azure = azure_create(sim->seed);
	sim->azure->list_rows = sim->list_rows;
	kube_on_write(sim->kube, sim_check_write, sim);
	load_crds(sim);
	allow(sim);
	create_vaults(sim);
	create_identities(sim);
	create_namespaces(sim);
	create_principals(sim);
	share_keys(sim);
}

void sim_world_destroy(struct sim *sim) {
	kube_snapshot_destroy(sim->snapshot);
	kube_world_destroy(sim->kube);
	azure_destroy(sim->azure);
}
