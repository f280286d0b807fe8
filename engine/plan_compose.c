/* How an object of the files would be in the cluster once it is applied. */
#include "clients/json.h"
#include "engine/crd.h"
#include "engine/plan_impl.h"
#include "engine/schema.h"

/* Of an object that is not there yet: no Secret belongs to it. */
static const char NO_UID[] = "00000000-0000-4000-8000-000000000000";

/* The spec with the defaults that the API server puts in. */
static enum err filled_spec(
	const struct check_object *from, enum kube_resource resource, cJSON **out_spec) {
	bool is_sync = resource == KUBE_SYNCS;
	cJSON *spec = cJSON_Duplicate(json_get(check_json(from), "spec"), true), *schema = NULL;
	if (!spec) return ERR_NOMEM;
	enum err err = crd_schema(
		is_sync ? STR("secret-sync.x-k8s.io") : STR("secrets-store.csi.x-k8s.io"),
		is_sync ? STR("v1alpha1") : STR("v1"), str_of(kube_kind(resource)), &schema);
	if (!err) err = schema_fill(json_get(schema, "properties.spec"), spec);
	cJSON_Delete(schema);
	if (err)
		cJSON_Delete(spec);
	else
		*out_spec = spec;
	return err;
}

static bool add_text(cJSON *object, const char *key, struct str text) {
	char *copy = mem_strdup(text);
	bool added = copy && cJSON_AddStringToObject(object, key, copy);
	mem_free(copy);
	return added;
}

static bool add_owned(cJSON *object, const char *key, cJSON *value) {
	if (value && cJSON_AddItemToObject(object, key, value)) return true;
	cJSON_Delete(value);
	return false;
}

/* live NULL: it is not in the cluster. A change of the spec is another generation. */
enum err plan_compose(const struct check_object *from, enum kube_resource resource,
	const cJSON *live, cJSON **out_json) {
	cJSON *spec = NULL, *json = NULL, *metadata;
	enum err err = filled_spec(from, resource, &spec);
	if (err) return err;
	bool same = live && cJSON_Compare(spec, json_get(live, "spec"), true);
	int64_t generation = json_i64(live, "metadata.generation", 0) + !same;
	struct str uid = json_str(live, "metadata.uid");
	json = cJSON_CreateObject();
	bool made = json && add_owned(json, "spec", take(spec));
	cJSON_Delete(spec);
	metadata = made ? cJSON_AddObjectToObject(json, "metadata") : NULL;
	made = metadata && add_text(metadata, "namespace", from->ns) &&
	       add_text(metadata, "name", from->name) &&
	       add_text(metadata, "uid", uid.len ? uid : str_of(NO_UID)) &&
	       cJSON_AddNumberToObject(metadata, "generation", (double)generation);
	const cJSON *status = json_get(live, "status");
	if (made && status) made = add_owned(json, "status", cJSON_Duplicate(status, true));
	if (!made) cJSON_Delete(json);
	if (made) *out_json = json;
	return made ? OK : ERR_NOMEM;
}
