#include "engine/secret_watch.h"

#include <assert.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/thread.h"
#include "workers/secret_seen.h"

/* Two pages, two backlogs and what the transfer holds, each with the half-sized copy that it grew out of; address space. */
enum { ARENA_BYTES = 192 << 20, KEY_BYTES = 512 };

static struct secret_watch *watch_of(struct informer_sink *sink) {
	return container_of(sink, struct secret_watch, sink);
}

/* The object whose Secret it is; NULL: nobody's. */
static struct object *find_object(
	const struct secret_watch *watch, struct str ns, struct str name) {
	char key[KEY_BYTES];
	int len = snprintf(key, sizeof key, "%.*s/%.*s", STR_ARG(ns), STR_ARG(name));
	if (len < 0 || (size_t)len >= sizeof key) return NULL;
	return store_find_sync(watch->store, (struct str){ key, (size_t)len });
}

static enum err judge(struct secret_watch *watch, struct object *object, struct str json) {
	const struct spec *spec = object->spec; /* main is its only writer */
	enum secret_verdict verdict;
	struct kube_meta meta;
	enum err err = kube_read_secret(json, &meta, NULL);
	if (err) return err;
	err = secret_judge(spec, &meta, &verdict);
	kube_meta_deinit(&meta);
	if (!err) secret_tell(object, verdict, watch->list);
	return err;
}

static enum err told(struct informer_sink *sink, struct str json, bool gone) {
	struct secret_watch *watch = watch_of(sink);
	struct str ns, name;
	enum err err = kube_read_secret_name(json, &ns, &name);
	if (err) return err;
	struct object *object = find_object(watch, ns, name);
	if (!object) return OK;
	/* Of one that cannot be done, or that goes, no Secret is looked at. */
	if (object->spec->deleting || object->spec->common->fault.len) return OK;
	if (gone)
		secret_tell_gone(object);
	else
		err = judge(watch, object, json);
	return err == ERR_NOMEM ? err : err ? ERR_INVALID : OK;
}

static void told_list_begin(struct informer_sink *sink) {
	watch_of(sink)->list++;
}

static void told_nothing(struct informer_sink *sink) {
	(void)sink;
}

static void told_unauthenticated(struct informer_sink *sink) {
	struct secret_watch *watch = watch_of(sink);
	watch->unauthenticated(watch->arg);
}

void secret_watch_init(struct secret_watch *watch) {
	watch->arena = NULL;
	watch->list = SECRET_FIRST_LIST;
	watch->sink = (struct informer_sink){
		.list_begin = told_list_begin,
		.list_end = told_nothing,
		.unauthenticated = told_unauthenticated,
		.missing = told_nothing,
		.told = told,
	};
}

enum err secret_watch_start(struct secret_watch *watch) {
	assert_main();
	if (watch->arena) return OK;
	watch->arena = secret_arena_create(ARENA_BYTES);
	if (!watch->arena) return ERR_NOMEM;
	informer_init(
		&watch->informer, watch->kube, watch->http, KUBE_SECRETS, &watch->sink, watch->rng);
	informer_set_secret(&watch->informer, watch->arena);
	informer_set_revocable(&watch->informer);
	return OK;
}

void secret_watch_stop(struct secret_watch *watch) {
	if (!watch->arena) return;
	informer_deinit(&watch->informer);
	secret_arena_destroy(take(watch->arena));
	pool_watch_secrets(watch->pool, 0);
}

bool secret_watch_is_on(const struct secret_watch *watch) {
	return watch->arena != NULL;
}

bool secret_watch_is_current(const struct secret_watch *watch) {
	return watch->arena && informer_is_current(&watch->informer);
}

int64_t secret_watch_turn(struct secret_watch *watch, struct now now) {
	assert_main();
	if (!watch->arena) return NEVER_NS;
	informer_turn(&watch->informer, now);
	pool_watch_secrets(watch->pool, secret_watch_is_current(watch) ? watch->list : 0);
	return informer_deadline_ns(&watch->informer, now);
}

int64_t secret_watch_deadline_ns(const struct secret_watch *watch, struct now now) {
	return watch->arena ? informer_deadline_ns(&watch->informer, now) : NEVER_NS;
}
