/* One walk over the pages of a list: whose token, page by page, and what its failures mean. */
#include <assert.h>
#include <stdlib.h>

#include "base/metric.h"
#include "workers/scan.h"
#include "workers/worker.h"

enum {
	MAX_PAGES = 100000,
	MAX_THROTTLED = 6,
	MAX_LOOKS = 65536,
	MAX_DENIED = 4096,
	LINK_BYTES = 8192
};

static const int64_t LEAST_BOX_NS = 60 * NS_PER_S;
static const int64_t HOLD_NS = 600 * NS_PER_S; /* a role may be on its way, a proxy be put right */
static const int64_t LATE_HOLD_NS = 86400 * NS_PER_S;

static void ask_token(struct scan *scan);
static void next_page(struct scan *scan);
static void send_page(struct scan *scan);

static struct worker *worker_of(const struct scan *scan) {
	return scan->shard->worker;
}

void scan_walk_cancel(struct scan *scan) {
	if (!scan->walking) return;
	scan->walking = scan->held = false;
	gate_cancel(&scan->gate);
	vault_call_deinit(&scan->call);
	identity_leave(&scan->waiter);
	identity_put(scan->identity);
	scan->identity = NULL;
	buf_deinit(&scan->next_link);
}

static void fail(struct scan *scan, const struct fault *fault, bool counts) {
	scan_walk_cancel(scan);
	scan_walk_failed(scan, fault, counts);
}

static void give_up(struct scan *scan, const char *why, const char *detail, int64_t hold_ns) {
	scan_walk_cancel(scan);
	scan_give_up(scan, why, detail, hold_ns);
}

/* --- whose token --- */

static int by_number(const void *a, const void *b) {
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static bool is_denied(const struct scan *scan, uint32_t hash) {
	for (unsigned i = 0; i < scan->tried_count; i++) {
		if (scan->tried[i] == hash) return true;
	}
	return scan->denied_count &&
	       bsearch(&hash, scan->denied, scan->denied_count, sizeof hash, by_number);
}

void scan_forget_denied(struct scan *scan) {
	mem_free(take(scan->denied));
	scan->denied_count = scan->denied_cap = 0;
}

/* Without memory for it he is asked again. */
static void remember_denied(struct scan *scan, uint32_t hash) {
	if (scan->denied_count == MAX_DENIED) scan_forget_denied(scan);
	if (scan->denied_count == scan->denied_cap) {
		unsigned cap = scan->denied_cap ? 2 * scan->denied_cap : SCAN_TRIES;
		uint32_t *grown = mem_realloc(scan->denied, cap * sizeof *grown);
		if (!grown) return;
		scan->denied = grown;
		scan->denied_cap = cap;
	}
	scan->denied[scan->denied_count++] = hash;
	qsort(scan->denied, scan->denied_count, sizeof hash, by_number);
}

/* An object of the last lender, else of anybody who has not been refused. */
static struct object *find_lender(const struct scan *scan) {
	struct object *other = NULL;
	/* Who is looked for in vain costs a long turn. */
	bool anybody = !scan->lender || is_denied(scan, scan->lender);
	unsigned looks = 0;
	list_for_each (node, &scan->order) {
		struct scan_name *name = container_of(node, struct scan_name, order);
		list_for_each (link, &name->users) {
			struct object *object = container_of(link, struct scan_link, link)->object;
			if (++looks > MAX_LOOKS) return other;
			if (is_denied(scan, object->identity_hash)) continue;
			if (anybody || object->identity_hash == scan->lender) return object;
			if (!other) other = object;
		}
	}
	return other;
}

/* OK with scan->identity set; ERR_NOT_FOUND: nobody is left to ask. */
static enum err borrow_identity(struct scan *scan) {
	struct object *object = find_lender(scan);
	if (!object) return ERR_NOT_FOUND;
	struct spec *spec = spec_borrow(object);
	struct spc *spc = spec && spec->cell ? spc_borrow(spec->cell) : NULL;
	/* A class that has just changed leads elsewhere: its objects are on their way. */
	bool here = spc && !spc->access->fault.len &&
		    str_eq(spc->access->vault_url, str_of(scan->shard->url));
	enum err err =
		here ? identity_get(worker_of(scan), spec, spc, &scan->identity) : ERR_CONFLICT;
	spec_unref(spec);
	spc_unref(spc);
	if (!err) scan->lender = object->identity_hash;
	return err;
}

static void cannot_borrow(struct scan *scan, enum err err) {
	struct fault fault = fault_make(err, "nobody's token could be borrowed: %s", err_text(err));
	fail(scan, &fault, false);
}

/* Nobody is left to try in this walk. */
static void nobody_lends(struct scan *scan, const char *detail) {
	struct fault fault = scan->token_fault;
	if (fault.err)
		fail(scan, &fault, false);
	else
		give_up(scan, "nobody may list this vault, objects are checked by GET", detail,
			HOLD_NS);
}

/* The next one from the beginning: a link to a page was made for another caller. */
static void try_next_identity(struct scan *scan, const char *detail) {
	identity_leave(&scan->waiter);
	identity_put(scan->identity);
	scan->identity = NULL;
	scan->tried[scan->tried_count++] = scan->lender;
	buf_reset(&scan->next_link);
	scan->walked_pages = 0;
	scan->asked_ns = 0;
	scan->token_renewed = false;
	enum err err = scan->tried_count < SCAN_TRIES ? borrow_identity(scan) : ERR_NOT_FOUND;
	if (!err)
		ask_token(scan);
	else if (err == ERR_NOT_FOUND)
		nobody_lends(scan, detail);
	else
		cannot_borrow(scan, err);
}

/* What passes by itself is no reason to do without lists: the walk begins again in a while. */
static void pass_over(struct scan *scan, const struct fault *fault) {
	char detail[FAULT_TEXT_BYTES];
	bool passes = err_retry(fault->err) != RETRY_SLOW && fault->err != ERR_UNAUTHENTICATED;
	memcpy(detail, fault->text, sizeof detail);
	if (passes)
		scan->token_fault = *fault;
	else
		remember_denied(scan, scan->lender);
	try_next_identity(scan, detail);
}

static void token_answered(struct identity_waiter *waiter) {
	ask_token(container_of(waiter, struct scan, waiter));
}

static void ask_token(struct scan *scan) {
	switch (identity_ask(scan->identity, &scan->waiter)) {
	case IDENTITY_WAIT:
		return;
	case IDENTITY_FAILED:
		/* Entra that cannot be reached says nothing about this identity. */
		if (scan->identity->fault_gate) {
			struct fault fault = scan->identity->fault;
			fail(scan, &fault, false);
		} else {
			pass_over(scan, &scan->identity->fault);
		}
		return;
	case IDENTITY_READY:
		break;
	}
	scan->token_serial = scan->identity->serial;
	next_page(scan);
}

/* --- pages --- */

static void met(void *arg, struct str name, const struct vault_row *row) {
	scan_met(arg, name, row);
}

/* A walk whose pages take so long that it cannot end before the next one is due, or that costs more than GETs, is none. What
 * they waited for our pace, or because the vault asked to be left alone, GETs would wait for as well, and longer. */
static bool is_over_budget(struct scan *scan) {
	const struct settings *settings = &worker_of(scan)->settings;
	int64_t box_ns = settings->poll_interval_ns > LEAST_BOX_NS ? settings->poll_interval_ns
								   : LEAST_BOX_NS;
	bool late = scan->asked_ns > box_ns;
	if (late || scan->walked_pages >= MAX_PAGES) {
		give_up(scan, "listing takes too long, objects are checked by GET",
			late ? "the pages of a walk took longer than an interval"
			     : "too many pages",
			LATE_HOLD_NS);
		return true;
	}
	if (settings->change_detection == CHANGE_BY_LIST || scan->walked_pages < scan->link_count)
		return false;
	scan_walk_cancel(scan);
	scan_too_dear(scan);
	return true;
}

static void take_page(struct scan *scan) {
	struct fault fault = { 0 };
	if (!scan->walked_pages++) scan->walk_began_s = scan->call.http.server_date_s;
	scan->throttled = 0;
	scan->away = false;
	enum err err =
		vault_read_list(&scan->call, scan->kind, met, scan, &scan->next_link, &fault);
	vault_call_deinit(&scan->call);
	if (err) {
		fail(scan, &fault, true);
	} else if (!buf_str(&scan->next_link).len) {
		scan_walk_cancel(scan);
		scan_forget_denied(scan);
		scan_walk_ended(scan);
	} else if (!is_over_budget(scan)) {
		next_page(scan);
	}
}

/* A machine that slept meanwhile has not waited for all that time. */
static void note_time(struct scan *scan) {
	const struct worker *worker = worker_of(scan);
	int64_t took_ns = scan->gate.sent_ns ? worker->now.mono_ns - scan->gate.sent_ns : 0;
	int64_t most_ns = worker->settings.request_timeout_ns;
	scan->asked_ns += took_ns < most_ns ? took_ns : most_ns;
}

static void page_answered(struct gate_call *gate) {
	struct scan *scan = container_of(gate, struct scan, gate);
	struct fault fault = { 0 };
	note_time(scan);
	enum err err = vault_result(
		&scan->call, &fault, str_of(scan->shard->url), scan->kind, STR("(list)"));
	shard_saw_date(scan->shard, scan->call.http.server_date_s);
	if (!err) {
		take_page(scan);
		return;
	}
	vault_call_deinit(&scan->call);
	if (fault.http_status == 429) metric_add(METRIC_VAULT_THROTTLED, 1);
	if (err == ERR_THROTTLED && ++scan->throttled <= MAX_THROTTLED) {
		send_page(scan); /* the gate waits for as long as the vault asks */
	} else if (err == ERR_UNAUTHENTICATED && !scan->token_renewed) {
		scan->token_renewed = true;
		identity_refused(scan->identity, scan->token_serial);
		ask_token(scan);
	} else if (err == ERR_DENIED || err == ERR_UNAUTHENTICATED) {
		metric_add(METRIC_SCAN_DENIED, 1);
		remember_denied(scan, scan->lender);
		try_next_identity(scan, fault.text);
	} else {
		fail(scan, &fault, !scan->shard->gate.open);
	}
}

static void page_sent(struct gate_call *gate) {
	(void)gate;
	metric_add(METRIC_SCAN_PAGES, 1);
}

static void send_page(struct scan *scan) {
	struct worker *worker = worker_of(scan);
	struct fault fault = { 0 };
	if (!gate_admits(&scan->shard->gate, &fault)) {
		fail(scan, &fault, false);
		return;
	}
	enum err err =
		vault_list(&scan->call, worker->pool->options.azure, str_of(scan->shard->url),
			scan->kind, buf_str(&scan->next_link), &scan->identity->token);
	if (err) {
		vault_call_deinit(&scan->call);
		give_up(scan, "a list leads away from its vault, objects are checked by GET",
			err_text(err), HOLD_NS);
		return;
	}
	scan->call.http.timeout_ns = worker->settings.request_timeout_ns;
	scan->gate.req = &scan->call.http;
	scan->gate.on_done = page_answered;
	scan->gate.on_sent = page_sent;
	scan->gate.lane = scan->kind == VAULT_KEY ? LANE_KEYS : LANE_USUAL;
	/* A page stands for many objects, and one is under way at a time: behind the reads of an import each would wait for as many
	 * requests as there are reconciles, and the walk would take minutes. */
	scan->gate.in_front = true;
	gate_start(&scan->shard->gate, &scan->gate);
}

/* Until it is known what walks find, objects cost more without one. */
static bool is_its_turn(const struct scan *scan) {
	return scan->mode != SCAN_LIST || shard_admits_page(scan->shard);
}

static void next_page(struct scan *scan) {
	if (is_its_turn(scan)) {
		send_page(scan);
		return;
	}
	scan->held = true;
	scan->held_since_ns = worker_of(scan)->now.mono_ns;
}

void scan_walk_turn(struct scan *scan) {
	if (!scan->held || !is_its_turn(scan)) return;
	scan->held = false;
	scan->held_ns += worker_of(scan)->now.mono_ns - scan->held_since_ns;
	send_page(scan);
}

int64_t scan_walk_took_ns(const struct scan *scan) {
	return worker_of(scan)->now.mono_ns - scan->walk_began_ns - scan->held_ns;
}

void scan_walk_begin(struct scan *scan) {
	assert(!scan->walking && !scan->identity);
	scan->walking = true;
	scan->walk++;
	scan->walked_pages = scan->throttled = scan->tried_count = 0;
	scan->expected = list_first(&scan->order);
	scan->token_fault = (struct fault){ 0 };
	scan->token_renewed = false;
	scan->walk_began_ns = worker_of(scan)->now.mono_ns;
	scan->held_ns = 0;
	scan->asked_ns = 0;
	scan->waiter.answer = token_answered;
	buf_init(&scan->next_link, LINK_BYTES);
	enum err err = borrow_identity(scan);
	if (err == ERR_NOT_FOUND && scan->denied_count) {
		/* All were refused: somebody may have got the right since. */
		scan_forget_denied(scan);
		err = borrow_identity(scan);
	}
	if (err)
		cannot_borrow(scan, err);
	else
		ask_token(scan);
}
