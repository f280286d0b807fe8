#include "engine/upstream.h"

#include <assert.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "clients/json.h"

/* Where upstream's chart, its releases and the product put it. */
static const struct {
	const char *ns, *name;
} LEASES[UPSTREAM_LEASES] = {
	{ "secrets-store-sync-controller-system", "29f1d54e.secret-sync.x-k8s.io" },
	{ "secrets-store-sync-controller-system", "secrets-store-sync-controller-lease" },
	{ "azure-secret-store", "29f1d54e.secret-sync.x-k8s.io" },
	{ "azure-secret-store", "secrets-store-sync-controller-lease" },
	{ "kube-system", "29f1d54e.secret-sync.x-k8s.io" },
	{ "kube-system", "secrets-store-sync-controller-lease" },
};

static const int64_t ROUND_NS = 15 * NS_PER_S, TRY_NS = 2 * NS_PER_S;
/* The default of the library that renews it. */
static const int64_t DURATION_S = 15;
/* Clocks may differ, but not by so much: whoever held it is gone. */
static const int64_t STALE_S = 600;

void upstream_init(struct upstream *upstream, struct kube *kube, struct http *http) {
	*upstream = (struct upstream){ ._kube = kube, ._http = http, ._held = true };
}

void upstream_deinit(struct upstream *upstream) {
	if (!upstream->_has_call) return;
	http_cancel(upstream->_http, &upstream->_call.http);
	kube_call_deinit(&upstream->_call);
	upstream->_has_call = false;
}

bool upstream_holds(const struct upstream *upstream) {
	return upstream->_held;
}

/* --- one Lease --- */

static void call_done(struct http_req *req) {
	struct upstream *upstream = req->owner;
	upstream->_answered = true;
}

static enum err ask(struct upstream *upstream) {
	struct kube_call *call = &upstream->_call;
	enum err err = kube_lease_get(call, upstream->_kube, str_of(LEASES[upstream->_at].ns),
		str_of(LEASES[upstream->_at].name));
	if (err) {
		kube_call_deinit(call);
		return err;
	}
	call->http.owner = upstream;
	call->http.on_done = call_done;
	upstream->_has_call = true;
	upstream->_answered = false;
	http_start(upstream->_http, &call->http);
	return OK;
}

/* True when it was renewed so long ago that nobody holds it. */
static bool is_stale(struct str renewed, struct now now) {
	int64_t renewed_s = 0;
	return time_parse(renewed, &renewed_s) == OK &&
	       now.wall_ns / NS_PER_S - renewed_s > STALE_S;
}

/* It was not seen to move. */
static void let_rest(struct upstream_lease *lease, struct now now) {
	if (now.mono_ns - lease->moved_ns > lease->duration_ns) lease->held = false;
}

/* looked: not for the first time. What moves while we look is being renewed, whatever the clocks say. */
static void take_lease(
	struct upstream_lease *lease, const cJSON *json, bool looked, struct now now) {
	struct str renewed = json_str(json, "spec.renewTime");
	int64_t seconds = json_i64(json, "spec.leaseDurationSeconds", DURATION_S);
	if (!renewed.ptr || !json_str(json, "spec.holderIdentity").len) renewed = STR("");
	if (renewed.len >= sizeof lease->renewed) renewed.len = sizeof lease->renewed - 1;
	bool moved = !str_eq(renewed, str_of(lease->renewed));
	if (moved) {
		snprintf(lease->renewed, sizeof lease->renewed, "%.*s", STR_ARG(renewed));
		lease->moved_ns = now.mono_ns;
		lease->duration_ns =
			(seconds > 0 && seconds < STALE_S ? seconds : DURATION_S) * NS_PER_S;
		lease->held = renewed.len && (looked || !is_stale(renewed, now));
	} else {
		let_rest(lease, now);
	}
}

/* Without the right to look nothing is known of upstream, and kvsync goes on; any other failure is waited out. Said once. */
static void tell(struct upstream *upstream, const struct fault *fault) {
	if (upstream->_told) return;
	upstream->_told = true;
	log_warn(fault->err == ERR_DENIED ? "cannot see whether the upstream controller runs: make "
					    "sure that it does not"
					  : "cannot see yet whether the upstream controller runs: "
					    "nothing is written before",
		kv("cause", fault->text));
}

/* OK: this Lease has been looked at. */
static enum err read_answer(struct upstream *upstream, struct now now, int64_t *out_wait_ns) {
	struct kube_call *call = &upstream->_call;
	struct upstream_lease *lease = &upstream->leases[upstream->_at];
	struct fault fault = { 0 };
	cJSON *json = NULL;
	enum err err = kube_result(call, &fault, "read the Lease of the upstream controller");
	if (!err) err = json_parse(http_response_body(&call->http), &json, &fault);
	if (!err) take_lease(lease, json, upstream->_known, now);
	if (err && err != ERR_NOT_FOUND && (err == ERR_DENIED || !upstream->_known))
		tell(upstream, &fault);
	if (err == ERR_NOT_FOUND) *lease = (struct upstream_lease){ 0 };
	/* One that was being renewed is not free because it cannot be seen now. */
	if (err == ERR_DENIED) let_rest(lease, now);
	if (err == ERR_NOT_FOUND || err == ERR_DENIED) err = OK;
	*out_wait_ns = fault.retry_after_ns > TRY_NS ? fault.retry_after_ns : TRY_NS;
	cJSON_Delete(json);
	kube_call_deinit(call);
	upstream->_has_call = false;
	return err;
}

/* --- all of them --- */

static void judge(struct upstream *upstream) {
	bool was = upstream->_held;
	bool knew = upstream->_known;
	const char *holder = NULL;
	upstream->_known = true;
	upstream->_held = false;
	for (unsigned i = 0; i < UPSTREAM_LEASES; i++) {
		upstream->_held |= upstream->leases[i].held;
		if (upstream->leases[i].held) holder = LEASES[i].ns;
	}
	if (upstream->_held && (!was || !knew))
		log_warn("the upstream controller runs: kvsync writes nothing until its Lease is "
			 "not renewed any more; scale that controller down, or set "
			 "upstreamLeaseCheck: false",
			kv("namespace", holder));
	if (!upstream->_held && was && knew)
		log_info("the upstream controller has stopped: kvsync takes over");
}

int64_t upstream_deadline_ns(const struct upstream *upstream, struct now now) {
	if (upstream->_has_call) return upstream->_answered ? now.mono_ns : NEVER_NS;
	return upstream->_next_ns;
}

void upstream_turn(struct upstream *upstream, struct now now) {
	if (upstream->_has_call) {
		int64_t wait_ns = 0;
		if (!upstream->_answered) return;
		unsigned at = upstream->_at;
		if (read_answer(upstream, now, &wait_ns)) {
			upstream->_next_ns = now.mono_ns + wait_ns;
		} else if (++upstream->_at == UPSTREAM_LEASES) {
			upstream->_at = 0;
			upstream->_next_ns = now.mono_ns + ROUND_NS;
			judge(upstream);
		} else if (upstream->leases[at].held && !upstream->_held) {
			/* Bad news does not wait for the rest of the round. */
			judge(upstream);
		}
	}
	if (now.mono_ns < upstream->_next_ns || ask(upstream) == OK) return;
	upstream->_next_ns = now.mono_ns + TRY_NS;
}
