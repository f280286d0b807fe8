#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "clients/json.h"
#include "engine/akv_impl.h"
#include "queue/backoff.h"

enum { WHAT_BYTES = 600 };

static const struct backoff BACKOFF = { .base_ns = NS_PER_S, .max_ns = 300 * NS_PER_S };
static const struct backoff UNREACHABLE = { .base_ns = NS_PER_S, .max_ns = 60 * NS_PER_S };

static const char *const OP_WORDS[] = { "create", "update", "update", "read", "delete",
	"write the status of" };

static void request_done(struct http_req *req) {
	((struct akv_call *)req->owner)->ended = true;
}

void akv_call_free(struct akv *akv, struct akv_call *call) {
	http_cancel(akv->http, &call->http.http);
	kube_call_deinit(&call->http);
	list_remove(&call->link);
	akv->call_count--;
	call->owner->call = NULL;
	mem_free(call->name);
	mem_free(call);
}

static void describe(const struct akv_call *call, char out_what[static WHAT_BYTES]) {
	enum kube_resource resource = call->name ? call->resource : KUBE_AKVS;
	struct str name = call->name ? str_of(call->name) : akv_owner_name(call->owner);
	snprintf(out_what, WHAT_BYTES, "%s %s %.*s/%.*s", OP_WORDS[call->op], kube_kind(resource),
		STR_ARG(akv_owner_ns(call->owner)), STR_ARG(name));
}

static struct akv_child *child_of(
	struct akv_owner *owner, enum kube_resource resource, const char *name) {
	for (unsigned i = 0; name && i < owner->plan.count; i++) {
		struct akv_child *child = &owner->plan.children[i];
		if (child->resource == resource && strcmp(child->name, name) == 0) return child;
	}
	return NULL;
}

static struct akv_live *live_of(const struct akv *akv, const struct akv_call *call) {
	return akv_table_find(
		&akv->table, call->resource, akv_owner_ns(call->owner), str_of(call->name));
}

static enum err prepare(struct akv *akv, struct akv_call *call) {
	struct akv_owner *owner = call->owner;
	const struct akv_child *child = child_of(owner, call->resource, call->name);
	const struct akv_live *live = live_of(akv, call);
	struct str uid = live ? str_of(live->uid) : STR(""),
		   version = live ? str_of(live->version) : STR("");
	struct kube_custom custom = {
		.resource = call->resource,
		.ns = akv_owner_ns(owner),
		.name = str_of(call->name),
		.owner_name = akv_owner_name(owner),
		.owner_uid = str_of(owner->uid),
		.spec_json = child ? str_of(child->spec) : STR(""),
	};
	call->digest = child ? child->digest : 0;
	switch (call->op) {
	case AKV_CREATE:
		return kube_custom_create(&call->http, akv->kube, &custom);
	case AKV_APPLY:
		return kube_custom_apply(&call->http, akv->kube, &custom, uid, version);
	case AKV_REPLACE:
		return kube_custom_replace(&call->http, akv->kube, &custom, uid, version);
	case AKV_DELETE:
		return kube_custom_delete(
			&call->http, akv->kube, custom.resource, custom.ns, custom.name, uid);
	default:
		return kube_custom_get(
			&call->http, akv->kube, custom.resource, custom.ns, custom.name);
	}
}

void akv_call_launch(struct akv *akv, struct akv_call *call) {
	call->ended = call->overtaken = false;
	call->http.http.owner = call;
	call->http.http.on_done = request_done;
	http_start(akv->http, &call->http.http);
}

bool akv_may_write(struct akv *akv, struct now now) {
	int64_t wait_ns = akv->write_wait_ns ? akv->write_wait_ns(akv->pace_arg, now.mono_ns) : 0;
	akv->paced_ns = now.mono_ns + wait_ns;
	return !wait_ns;
}

/* The next request of a call that has ended, which is not counted by itself; ERR_THROTTLED: not now. */
static enum err chain(struct akv *akv, struct akv_call *call, enum akv_op op, struct now now) {
	if (akv->not_before_ns > now.mono_ns) return ERR_THROTTLED;
	kube_call_deinit(&call->http);
	call->op = op;
	enum err err = prepare(akv, call);
	if (!err) akv_call_launch(akv, call);
	return err;
}

struct akv_call *akv_call_make(struct akv *akv, struct akv_owner *owner, enum akv_op op) {
	struct akv_call *call = mem_zalloc(sizeof *call);
	if (!call) return NULL;
	call->op = op;
	call->owner = owner;
	owner->call = call;
	list_push_back(&akv->calls, &call->link);
	akv->call_count++;
	return call;
}

enum err akv_call_start(struct akv *akv, struct akv_owner *owner, enum akv_op op,
	enum kube_resource resource, struct str name) {
	struct akv_call *call = akv_call_make(akv, owner, op);
	if (!call) return ERR_NOMEM;
	call->resource = resource;
	call->name = mem_strdup(name);
	enum err err = call->name ? prepare(akv, call) : ERR_NOMEM;
	if (err)
		akv_call_free(akv, call);
	else
		akv_call_launch(akv, call);
	return err;
}

/* --- what has come of a request --- */

static enum err take_answer(struct akv *akv, struct akv_call *call) {
	cJSON *object = NULL;
	enum err err = json_parse(http_response_body(&call->http.http), &object, NULL);
	if (!err) err = akv_table_saw(&akv->table, call->resource, object, call->owner);
	cJSON_Delete(object);
	return err;
}

/* A server that answers is there. Retry-After is for all: it is the server's, not the object's. */
static void heed(struct akv *akv, const struct akv_call *call, enum err err,
	const struct fault *fault, struct now now) {
	int64_t wait_ns = fault->retry_after_ns;
	bool reached = call->http.http.status != 0;
	if (reached) akv->unreachable = 0;
	if (!reached && (err == ERR_NETWORK || err == ERR_TIMEOUT))
		wait_ns = backoff_delay_ns(&UNREACHABLE, akv->unreachable++, akv->rng);
	if (wait_ns > 0 && akv->not_before_ns < now.mono_ns + wait_ns)
		akv->not_before_ns = now.mono_ns + wait_ns;
	if (err == ERR_UNAUTHENTICATED) akv->unauthenticated(akv->arg);
}

static void say_failure(const struct fault *fault, unsigned failures) {
	if ((failures & (failures - 1)) != 0) return;
	log_warn("an AKVSync could not be acted on", kv("error", err_name(fault->err)),
		kv("detail", fault->text), kv_int("failures", failures));
}

/* It is tried again later. That somebody else was faster is nothing that people need to know. */
static void put_off(
	struct akv *akv, const struct akv_call *call, const struct fault *fault, struct now now) {
	struct akv_owner *owner = call->owner;
	struct akv_child *child = child_of(owner, call->resource, call->name);
	struct akv_live *live = call->name ? live_of(akv, call) : NULL;
	unsigned *failures = &owner->status_failures;
	int64_t *retry_ns = &owner->status_retry_ns;
	if (child) {
		failures = &child->failures;
		retry_ns = &child->retry_ns;
	} else if (call->name && live) {
		failures = &live->failures;
		retry_ns = &live->retry_ns;
	}
	*retry_ns = now.mono_ns + backoff_delay_ns(&BACKOFF, (*failures)++, akv->rng);
	bool gone = call->op == AKV_DELETE && fault->err == ERR_NOT_FOUND;
	if (gone || fault->err == ERR_CONFLICT || fault->err == ERR_EXISTS) return;
	say_failure(fault, *failures);
	if (!child) return;
	mem_free(child->fault);
	child->fault = mem_strdup(str_of(fault->text));
}

static void say_done(const struct akv_call *call) {
	static const char *const words[] = { "derived object created", "derived object updated",
		"derived object updated", "", "derived object deleted" };
	log_info(words[call->op], kv("kind", kube_kind(call->resource)),
		kv_str("namespace", akv_owner_ns(call->owner)), kv("name", call->name),
		kv_str("akvsync", akv_owner_name(call->owner)));
}

/* What an apply has left, the replacement takes away; what that leaves, the server does not take, and it is let be. */
static bool written(struct akv *akv, struct akv_call *call, struct now now) {
	struct akv_child *child = child_of(call->owner, call->resource, call->name);
	struct akv_live *live = live_of(akv, call);
	if (child) child->retry_ns = now.mono_ns + AKV_PACE_NS;
	if (!child || !live || live->digest == child->digest) return false;
	if (call->digest != child->digest) return false; /* it is to be something else by now */
	if (call->op == AKV_APPLY) return chain(akv, call, AKV_REPLACE, now) == OK;
	live->settled_generation = live->generation;
	live->settled_digest = child->digest;
	return false;
}

static void status_written(struct akv_call *call, struct now now) {
	struct akv_owner *owner = call->owner;
	if (owner->ready != call->summary.ready || !owner->since[0])
		time_format(now.wall_ns / NS_PER_S, owner->since);
	owner->ready = call->summary.ready;
	owner->status_digest = call->summary.digest;
	owner->status_failures = 0;
	owner->status_retry_ns = now.mono_ns + AKV_PACE_NS;
}

static void forget(struct akv *akv, const struct akv_call *call) {
	struct akv_live *live = live_of(akv, call);
	if (live) akv_table_lost(&akv->table, live);
}

/* The request did what it was for. True: another one follows. */
static bool succeeded(struct akv *akv, struct akv_call *call, struct now now) {
	if (call->op == AKV_STATUS) {
		status_written(call, now);
		return false;
	}
	if (call->op == AKV_DELETE) {
		struct akv_live *live = live_of(akv, call);
		if (live) live->deleting = true;
		say_done(call);
		return false;
	}
	if (call->op != AKV_GET) say_done(call);
	if (call->overtaken && chain(akv, call, AKV_GET, now) == OK) return true;
	if (take_answer(akv, call) != OK) {
		forget(akv, call);
		return false;
	}
	return call->op != AKV_GET && written(akv, call, now);
}

/* True: another request follows. An object that is not as it was believed to be is read; what it belongs to shows then. */
static bool failed(
	struct akv *akv, struct akv_call *call, const struct fault *fault, struct now now) {
	bool derived = call->op != AKV_STATUS;
	bool gone = derived && fault->err == ERR_NOT_FOUND && call->op != AKV_CREATE;
	/* What is to be deleted is nobody's wish any more: were it forgotten, and there all the same, nothing would bring it back to mind. */
	if (gone && call->op != AKV_DELETE) {
		forget(akv, call);
		return false;
	}
	bool unknown = fault->err == ERR_EXISTS || fault->err == ERR_CONFLICT;
	put_off(akv, call, fault, now);
	return derived && unknown && call->op != AKV_GET && chain(akv, call, AKV_GET, now) == OK;
}

void akv_call_finish(struct akv *akv, struct akv_call *call, struct now now) {
	struct akv_owner *owner = call->owner;
	struct fault fault = { 0 };
	char what[WHAT_BYTES];
	call->ended = false;
	describe(call, what);
	enum err err = kube_result(&call->http, &fault, what);
	fault.err = err;
	heed(akv, call, err, &fault, now);
	bool more = err ? failed(akv, call, &fault, now) : succeeded(akv, call, now);
	if (more) return;
	akv_call_free(akv, call);
	akv_table_wake(owner);
}
