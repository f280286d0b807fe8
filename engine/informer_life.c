/* How an informer begins, begins anew, and ends. */
#include "base/mem.h"
#include "engine/informer_impl.h"
#include "engine/page.h"

enum { CONTINUE_BYTES = 64 * 1024, VERSION_BYTES = 1024 };

void informer_init(struct informer *informer, struct kube *kube, struct http *http,
	enum kube_resource resource, struct informer_sink *sink, struct rng *rng) {
	*informer = (struct informer){
		._kube = kube,
		._http = http,
		._sink = sink,
		._rng = rng,
		._resource = resource,
		._state = INFORMER_WAITING,
		._needs_list = true,
		._page_limit = INFORMER_PAGE,
	};
	buf_init(&informer->_continue, CONTINUE_BYTES);
	buf_init(&informer->_version, VERSION_BYTES);
	buf_init(&informer->_lines, INFORMER_BACKLOG_BYTES);
}

void informer_set_optional(struct informer *informer) {
	informer->_optional = true;
}

void informer_set_revocable(struct informer *informer) {
	informer->_optional = informer->_revocable = true;
}

void informer_set_paged(struct informer *informer) {
	informer->_paged = true;
}

void informer_set_secret(struct informer *informer, struct secret_arena *arena) {
	informer->_arena = arena;
	secret_init(&informer->_secret_lines, arena, INFORMER_BACKLOG_BYTES);
}

void informer_forget_lines(struct informer *informer) {
	buf_deinit(&informer->_lines);
	buf_init(&informer->_lines, INFORMER_BACKLOG_BYTES);
	secret_deinit(&informer->_secret_lines);
	if (informer->_arena)
		secret_init(&informer->_secret_lines, informer->_arena, INFORMER_BACKLOG_BYTES);
}

void informer_drop_call(struct informer *informer) {
	if (!informer->_has_call) return;
	http_cancel(informer->_http, &informer->_call.http);
	kube_call_deinit(&informer->_call);
	informer->_has_call = false;
	informer->_ended = false;
}

void informer_drop_page(struct informer *informer) {
	mem_free(take(informer->_page));
	buf_deinit(&informer->_page_body);
	secret_deinit(&informer->_secret_page);
}

void informer_start_over(struct informer *informer, struct now now) {
	if (informer->_state == INFORMER_STOPPED || informer->_missing) return;
	informer->_needs_list = true;
	informer->_in_list = false;
	informer->_doubtful = false;
	informer_drop_call(informer);
	informer_drop_page(informer);
	informer_forget_lines(informer);
	/* Who waits already may have been asked to. */
	if (informer->_state != INFORMER_WAITING) informer->_wait_until_ns = now.mono_ns;
	informer->_state = INFORMER_WAITING;
}

void informer_stop(struct informer *informer) {
	informer_drop_call(informer);
	informer_drop_page(informer);
	informer->_state = INFORMER_STOPPED;
}

void informer_deinit(struct informer *informer) {
	informer_stop(informer);
	buf_deinit(&informer->_continue);
	buf_deinit(&informer->_version);
	buf_deinit(&informer->_lines);
	secret_deinit(&informer->_secret_lines);
}

bool informer_has_synced(const struct informer *informer) {
	return informer->_has_synced;
}

bool informer_is_current(const struct informer *informer) {
	return informer->_has_synced && !informer->_needs_list && !informer->_failures &&
	       informer->_state != INFORMER_STOPPED;
}

int64_t informer_heard_ns(const struct informer *informer) {
	return informer->_heard_ns;
}

enum informer_state informer_state(const struct informer *informer) {
	return informer->_state;
}
