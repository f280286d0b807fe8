/* The rules of the options of LIST and WATCH that have to do with resourceVersionMatch and sendInitialEvents. */
#include "tests/world/kube_internal.h"

#define FORBIDDEN "FieldValueForbidden"
#define MATCH "resourceVersionMatch"
#define INITIAL "sendInitialEvents"

struct list_options {
	struct buf match, version, token;
	bool initial; /* sendInitialEvents is said, whatever it is */
};

static void read_options(const struct kube_call *call, struct list_options *out) {
	struct buf initial;
	buf_init(&initial, 64);
	buf_init(&out->match, 256);
	buf_init(&out->version, 256);
	buf_init(&out->token, 8192);
	world_query(call->req->query, "resourceVersionMatch", &out->match);
	world_query(call->req->query, "resourceVersion", &out->version);
	world_query(call->req->query, "continue", &out->token);
	out->initial = world_query(call->req->query, "sendInitialEvents", &initial);
	buf_deinit(&initial);
}

static void deinit_options(struct list_options *options) {
	buf_deinit(&options->match);
	buf_deinit(&options->version);
	buf_deinit(&options->token);
}

static void check_watch(const struct kube_call *call, struct list_options *options, struct kube_invalid *invalid) {
	bool newer = str_eq(buf_str(&options->match), STR("NotOlderThan"));
	bool matches = buf_str(&options->match).len > 0;
	if (options->initial && !newer)
		kube_cause(invalid, FORBIDDEN, MATCH, "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
	if (options->initial && call->world->config.without_watch_list)
		kube_cause(invalid, FORBIDDEN, INITIAL,
			   "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled");
	if (matches && !options->initial)
		kube_cause(invalid, FORBIDDEN, MATCH,
			   "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
	if (matches && !newer)
		kube_cause(invalid, "FieldValueNotSupported", MATCH, "Unsupported value: \"%s\": supported values: \"NotOlderThan\"",
			   buf_cstr(&options->match));
	if (matches && buf_str(&options->token).len)
		kube_cause(invalid, FORBIDDEN, MATCH, "Forbidden: resourceVersionMatch is forbidden when continue is provided");
}

static void check_list(struct list_options *options, struct kube_invalid *invalid) {
	bool matches = buf_str(&options->match).len > 0;
	if (matches && !buf_str(&options->version).len)
		kube_cause(invalid, FORBIDDEN, MATCH, "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided");
	if (matches && buf_str(&options->token).len)
		kube_cause(invalid, FORBIDDEN, MATCH, "Forbidden: resourceVersionMatch is forbidden when continue is provided");
	if (options->initial)
		kube_cause(invalid, FORBIDDEN, INITIAL, "Forbidden: sendInitialEvents is forbidden for list");
}

bool kube_check_options(struct kube_call *call, bool watch) {
	static const struct kube_type type = { .group = "meta.k8s.io", .kind = "ListOptions" };
	struct list_options options;
	struct kube_invalid invalid = { 0 };
	read_options(call, &options);
	if (watch) check_watch(call, &options, &invalid);
	else check_list(&options, &invalid);
	deinit_options(&options);
	return kube_invalid_done(call, &invalid, &type, "");
}
