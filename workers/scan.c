#include "workers/scan.h"

#include <assert.h>
#include <stdio.h>

#include "base/log.h"
#include "base/metric.h"
#include "workers/worker.h"

enum { NAME_BYTES = 256, FAILURES_TO_GET = 3, RETRY_DOUBLINGS = 6 };

static const int64_t GATHER_NS = NS_PER_S; /* objects come one by one */
static const int64_t GATHER_MOST_NS = 15 * NS_PER_S;
/* Of an interval: how long the first walk waits while objects come, where nobody waits for it. */
enum { GATHER_PART = 4 };
static const int64_t HURRY_NS = 2 * NS_PER_S;
/* An eager walk comes when the last one is over for so many times as long as it took. */
static const int64_t EAGER_REST = 10;
static const int64_t RETRY_NS = 10 * NS_PER_S;
static const int64_t DAY_NS = 86400 * NS_PER_S;

static struct worker *worker_of(const struct scan *scan) {
	return scan->shard->worker;
}

static int64_t now_ns(const struct scan *scan) {
	return worker_of(scan)->now.mono_ns;
}

static struct scan_link *link_at(const struct object *object, unsigned index) {
	if (object->has_many_links) return &object->links.many[index];
	return (struct scan_link *)(uintptr_t)&object->links.one;
}

/* Names of an object lie in the vault that counts it: it lets go of them before it leaves. */
struct scan *scan_at(const struct object *object, unsigned index) {
	return object->shard->scans[link_at(object, index)->name->kind];
}

/* --- when --- */

/* Room for this timer is always reserved. */
static void set_timer(struct scan *scan, int64_t at_ns) {
	enum err err = schedule_timer(worker_of(scan), &scan->timer, at_ns);
	assert(!err);
}

static int64_t next_walk_ns(const struct scan *scan) {
	struct worker *worker = worker_of(scan);
	uint64_t hash =
		schedule_walk_hash(str_of(scan->shard->url), scan->kind, scan->least_uid_hash);
	return schedule_phase_ns(hash, worker->now, worker->settings.poll_interval_ns) +
	       schedule_jitter_ns(worker);
}

/* Fewer pages than GETs; of the last walk where there was one, that of a day ago tells nothing. */
static bool is_worth_it(const struct scan *scan) {
	enum change_detection detection = worker_of(scan)->settings.change_detection;
	if (detection != CHANGE_AUTO) return detection == CHANGE_BY_LIST;
	bool old = now_ns(scan) - scan->priced_ns > DAY_NS;
	return scan->link_count > 1 && (old || scan->pages < scan->link_count);
}

static void to_get(struct scan *scan) {
	if (scan->mode == SCAN_LIST) scan->moving = scan->name_count;
	scan->mode = SCAN_GET;
}

static void due(struct timer *timer) {
	struct scan *scan = container_of(timer, struct scan, timer);
	struct worker *worker = worker_of(scan);
	struct fault fault = { 0 };
	if (scan->walking || worker->stopping) return;
	if (scan->held_until_ns > now_ns(scan)) {
		set_timer(scan, scan->held_until_ns);
	} else if (scan->moving || scan->telling) {
		set_timer(scan, now_ns(scan) + GATHER_NS);
	} else if (!scan->name_count || !is_worth_it(scan)) {
		to_get(scan);
		set_timer(scan, next_walk_ns(scan));
	} else if (!gate_admits(&scan->shard->gate, &fault)) {
		scan->away = true;
		set_timer(scan, now_ns(scan) + worker->settings.breaker_interval_ns);
	} else {
		scan->eager = false;
		scan_walk_begin(scan);
	}
}

void scan_replan(struct shard *shard) {
	for (int kind = 0; kind < VAULT_KINDS; kind++) {
		struct scan *scan = shard->scans[kind];
		bool waits = scan && !scan->walking && scan->mode != SCAN_UNDECIDED;
		if (waits && scan->held_until_ns <= now_ns(scan))
			set_timer(scan, next_walk_ns(scan));
	}
}

/* When to walk because somebody waits for a name: soon, but walks that follow each other at once would take the pace of the
 * vault from what an import reads. */
static int64_t eager_walk_ns(const struct scan *scan) {
	int64_t soon_ns = now_ns(scan) + HURRY_NS;
	int64_t took_ns = scan->took_ns;
	int64_t rested_ns = took_ns > 0 ? scan->priced_ns + EAGER_REST * took_ns : 0;
	return soon_ns > rested_ns ? soon_ns : rested_ns;
}

/* The first walk waits until no more objects come, or for long enough. Who was just read has no use for it before his next check is
 * due, and a walk in the middle of an import costs as much as one behind it. */
static int64_t first_walk_ns(const struct scan *scan) {
	int64_t patience_ns = worker_of(scan)->settings.poll_interval_ns / GATHER_PART;
	if (scan->eager || patience_ns < GATHER_MOST_NS) patience_ns = GATHER_MOST_NS;
	int64_t at_ns = now_ns(scan) + GATHER_NS, most_ns = scan->born_ns + patience_ns;
	return at_ns < most_ns ? at_ns : most_ns;
}

static bool gathers(const struct scan *scan) {
	return scan->mode == SCAN_UNDECIDED && !scan->walking && !scan->failures;
}

void scan_hurry(struct object *object) {
	for (unsigned i = 0; i < object->link_count; i++) {
		struct scan *scan = scan_at(object, i);
		if (link_at(object, i)->name->known || scan->mode == SCAN_GET) continue;
		if (scan->eager || (scan->mode == SCAN_UNDECIDED && !gathers(scan))) continue;
		scan->eager = true;
		if (scan->walking) continue;
		int64_t at_ns = gathers(scan) ? first_walk_ns(scan) : eager_walk_ns(scan);
		if (timer_at_ns(&worker_of(scan)->timers, &scan->timer) > at_ns)
			set_timer(scan, at_ns);
	}
}

void scan_resume(struct object *object) {
	for (unsigned i = 0; i < object->link_count; i++) {
		struct scan *scan = scan_at(object, i);
		if (scan->walking || scan->mode != SCAN_LIST) continue;
		if (timer_at_ns(&worker_of(scan)->timers, &scan->timer) > now_ns(scan))
			set_timer(scan, now_ns(scan));
	}
}

/* --- life --- */

static struct str name_key(const struct map_node *node) {
	return str_of(container_of(node, struct scan_name, node)->key);
}

static enum err scan_get(struct shard *shard, enum vault_kind kind, struct scan **out_scan) {
	struct worker *worker = shard->worker;
	struct scan *scan = shard->scans[kind];
	if (!scan) {
		enum err err = timers_reserve(&worker->timers,
			worker->object_count + worker->scan_count + WORKER_TIMERS + 2);
		scan = err ? NULL : mem_zalloc(sizeof *scan);
		if (!scan) return ERR_NOMEM;
		scan->shard = shard;
		scan->kind = kind;
		scan->born_ns = worker->now.mono_ns;
		scan->least_uid_hash = UINT64_MAX;
		map_init(&scan->names, worker->shards._key, name_key);
		list_init(&scan->order);
		list_init(&scan->waiter.link);
		timer_init(&scan->timer, due);
		shard->scans[kind] = scan;
		worker->scan_count++;
		set_timer(scan, scan->born_ns + GATHER_NS);
	}
	*out_scan = scan;
	return OK;
}

static void scan_destroy(struct scan *scan) {
	struct worker *worker = worker_of(scan);
	assert(!scan->name_count);
	scan_walk_cancel(scan);
	scan_forget_denied(scan);
	timer_stop(&worker->timers, &scan->timer);
	map_deinit(&scan->names);
	scan->shard->scans[scan->kind] = NULL;
	worker->scan_count--;
	mem_free(scan);
}

void scan_destroy_all(struct shard *shard) {
	for (int kind = 0; kind < VAULT_KINDS; kind++) {
		if (shard->scans[kind]) scan_destroy(shard->scans[kind]);
	}
}

void scan_stop_all(struct worker *worker) {
	list_for_each (link, &worker->shard_list) {
		struct shard *shard = container_of(link, struct shard, all);
		for (int kind = 0; kind < VAULT_KINDS; kind++) {
			if (shard->scans[kind]) scan_walk_cancel(shard->scans[kind]);
		}
	}
}

/* --- names --- */

static bool lower(struct str name, char out[static NAME_BYTES], struct str *out_key) {
	if (name.len >= NAME_BYTES) return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];
		out[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	}
	*out_key = (struct str){ out, name.len };
	return true;
}

static struct scan_name *find_name(const struct scan *scan, struct str name) {
	char buffer[NAME_BYTES];
	struct str key;
	if (!lower(name, buffer, &key)) return NULL;
	struct map_node *node = map_find(&scan->names, key);
	return node ? container_of(node, struct scan_name, node) : NULL;
}

static struct scan_name *make_name(struct scan *scan, struct str text) {
	char buffer[NAME_BYTES];
	struct str key;
	struct scan_name *name = find_name(scan, text);
	if (name || !lower(text, buffer, &key)) return name;
	name = mem_zalloc(sizeof *name + key.len + 1);
	if (!name) return NULL;
	memcpy(name->key, key.ptr, key.len);
	if (map_insert(&scan->names, &name->node) != OK) {
		mem_free(name);
		return NULL;
	}
	list_init(&name->users);
	name->kind = (uint8_t)scan->kind;
	/* In front: a walk that is under way has not met it, or may have passed it. While slices go on from the front there is none, and
	 * behind it takes nobody's turn. */
	if (scan->moving || scan->telling)
		list_push_back(&scan->order, &name->order);
	else
		list_push_front(&scan->order, &name->order);
	/* It stands behind those who have had their turn at telling, in front of whom moving begins. */
	if (scan->moving && scan->telling) scan->moving++;
	name->walk = scan->walk;
	scan->name_count++;
	if (gathers(scan)) set_timer(scan, first_walk_ns(scan));
	return name;
}

static void drop_name(struct scan *scan, struct scan_name *name) {
	if (!list_is_empty(&name->users)) return;
	if (scan->expected == &name->order) scan->expected = NULL;
	list_remove(&name->order);
	map_remove(&scan->names, &name->node);
	scan->name_count--;
	if (scan->moving > scan->name_count) scan->moving = scan->name_count;
	if (scan->telling > scan->name_count) scan->telling = scan->name_count;
	mem_free(name);
}

/* --- links --- */

void scan_unlink_object(struct object *object) {
	for (unsigned i = 0; i < object->link_count; i++) {
		struct scan_link *link = link_at(object, i);
		list_remove(&link->link);
		scan_at(object, i)->link_count--;
		drop_name(scan_at(object, i), link->name);
	}
	if (object->has_many_links) mem_free(take(object->links.many));
	object->has_many_links = false;
	object->link_count = 0;
	object->listed = false;
}

void scan_note_news(struct object *object) {
	if (!scan_has_news(object)) return;
	for (unsigned i = 0; i < object->link_count; i++) scan_at(object, i)->has_news = true;
}

static bool is_linked(const struct object *object, const struct str *names,
	const enum vault_kind *kinds, unsigned count) {
	if (!object->listed || object->link_count != count) return false;
	for (unsigned i = 0; i < count; i++) {
		const struct scan_link *link = link_at(object, i);
		if (link->name->kind != kinds[i]) return false;
		if (!str_eq_nocase(str_of(link->name->key), names[i])) return false;
	}
	return true;
}

enum err scan_link_object(struct object *object, const struct str *names,
	const enum vault_kind *kinds, unsigned count) {
	if (is_linked(object, names, kinds, count)) return OK;
	scan_unlink_object(object);
	struct scan_link *many = count > 1 ? mem_array(count, sizeof *many) : NULL;
	if (count > 1 && !many) return ERR_NOMEM;
	object->has_many_links = many != NULL;
	if (many) object->links.many = many;
	uint64_t uid_hash = hash64_stable(object_uid(object));
	for (unsigned i = 0; i < count; i++) {
		struct scan *scan = NULL;
		struct scan_name *name = NULL;
		enum err err = scan_get(object->shard, kinds[i], &scan);
		if (!err) name = make_name(scan, names[i]);
		if (!name) {
			scan_unlink_object(object);
			return ERR_NOMEM;
		}
		struct scan_link *link = link_at(object, object->link_count++);
		*link = (struct scan_link){ .object = object, .name = name };
		list_push_back(&name->users, &link->link);
		scan->link_count++;
		if (uid_hash < scan->least_uid_hash) scan->least_uid_hash = uid_hash;
	}
	object->listed = true;
	return OK;
}

enum scan_state scan_state(const struct object *object) {
	enum scan_state state = object->listed ? SCAN_READY : SCAN_NONE;
	for (unsigned i = 0; i < object->link_count; i++) {
		const struct scan_link *link = link_at(object, i);
		if (scan_at(object, i)->mode == SCAN_GET) return SCAN_NONE;
		/* A row counts as soon as its page is there, the first walk's as well. */
		if (!link->name->known) state = SCAN_PENDING;
	}
	return state;
}

bool scan_covers(const struct object *object) {
	const struct settings *settings = object->shard ? &object->shard->worker->settings : NULL;
	if (!settings || settings->change_detection == CHANGE_BY_GET) return false;
	for (unsigned i = 0; i < object->link_count; i++) {
		if (scan_at(object, i)->mode != SCAN_LIST) return false;
	}
	return object->listed;
}

bool scan_is_undecided(const struct object *object) {
	bool undecided = false;
	for (unsigned i = 0; i < object->link_count; i++) {
		if (scan_at(object, i)->mode == SCAN_GET) return false;
		undecided |= scan_at(object, i)->mode == SCAN_UNDECIDED;
	}
	return undecided;
}

struct str scan_first_name(const struct object *object) {
	return object->link_count ? str_of(link_at(object, 0)->name->key) : STR_NULL;
}

static bool is_blind(const struct scan *scan) {
	return scan->away || scan->shard->gate.open;
}

bool scan_is_blind(const struct object *object) {
	for (unsigned i = 0; i < object->link_count; i++)
		if (is_blind(scan_at(object, i))) return true;
	return false;
}

/* A walk that has not met anything yet will tell of what is after. */
void scan_doubt(const struct object *object) {
	for (unsigned i = 0; i < object->link_count; i++) {
		struct scan *scan = scan_at(object, i);
		bool ahead = scan->walking && !scan->walked_pages;
		scan->doubted_walk = scan->walk - ahead;
		scan->doubted = true;
	}
}

bool scan_is_fresh(const struct object *object) {
	for (unsigned i = 0; i < object->link_count; i++) {
		const struct scan_name *name = link_at(object, i)->name;
		const struct scan *scan = scan_at(object, i);
		if (!name->known || name->walk != scan->walk) return false;
		if (scan->walk == scan->doubted_walk) return false;
	}
	return object->listed;
}

bool scan_row(const struct object *object, unsigned index, struct vault_row *out_row) {
	assert(index < object->link_count);
	const struct scan_name *name = link_at(object, index)->name;
	*out_row = (struct vault_row){
		.created_s = name->created_s,
		.updated_s = name->updated_s,
		.not_before_s = name->not_before_s,
		.expires_s = name->expires_s,
		.enabled = name->enabled,
	};
	return name->known && name->present;
}

/* --- what a walk finds --- */

/* `reads`: its row does not tell all, so the value is read whatever the row says. */
static void wake_users(struct scan_name *name, enum object_class class, bool reads) {
	list_for_each (node, &name->users) {
		struct object *object = container_of(node, struct scan_link, link)->object;
		object->reads |= reads;
		if (object->sync) {
			object->changed_meanwhile = true;
		} else {
			schedule_ready(object, class);
		}
	}
}

/* Those who know no more than that they could not be looked at. */
static void wake_away(struct scan_name *name) {
	list_for_each (node, &name->users) {
		struct object *object = container_of(node, struct scan_link, link)->object;
		if (object->away && !object->sync && scan_is_fresh(object))
			schedule_ready(object, CLASS_PERIODIC);
	}
}

static bool is_same(const struct scan_name *name, const struct vault_row *row) {
	return name->created_s == (uint32_t)row->created_s &&
	       name->updated_s == (uint32_t)row->updated_s &&
	       name->not_before_s == row->not_before_s && name->expires_s == row->expires_s &&
	       name->enabled == row->enabled;
}

/* Lists come in the same order, so that nearly no name has to be searched for. */
static struct scan_name *name_of_row(struct scan *scan, struct str text) {
	struct scan_name *name = NULL;
	if (scan->expected) name = container_of(scan->expected, struct scan_name, order);
	if (!name || !str_eq_nocase(str_of(name->key), text)) name = find_name(scan, text);
	if (name) scan->expected = list_next(&scan->order, &name->order);
	/* In a large fleet it is in no cache, and the row before it takes long enough to read. */
	if (scan->expected) __builtin_prefetch(scan->expected);
	return name;
}

void scan_met(struct scan *scan, struct str text, const struct vault_row *row) {
	struct scan_name *name = name_of_row(scan, text);
	if (!name) return;
	list_remove(&name->order);
	list_push_back(&scan->order, &name->order);
	name->walk = scan->walk;
	bool first = !name->known, back = name->known && !name->present;
	bool same = !first && !back && is_same(name, row);
	name->created_s = (uint32_t)row->created_s;
	name->updated_s = (uint32_t)row->updated_s;
	name->not_before_s = row->not_before_s;
	name->expires_s = row->expires_s;
	name->enabled = row->enabled;
	name->known = name->present = true;
	if (!same)
		wake_users(name, first ? CLASS_PERIODIC : CLASS_SEEN, back);
	else if (scan->doubted)
		wake_away(name);
}

/* Those that the walk has not met stand in front. What came into use during it was perhaps passed over. */
static void tell_missing(struct scan *scan) {
	list_for_each_safe (node, &scan->order) {
		struct scan_name *name = container_of(node, struct scan_name, order);
		if (name->walk == scan->walk && name->known) break;
		if (name->walk == scan->walk || (name->known && !name->present)) continue;
		name->known = true;
		name->present = false;
		wake_users(name, CLASS_SEEN, true);
	}
}

void scan_walk_ended(struct scan *scan) {
	tell_missing(scan);
	if (scan->has_news) scan->telling = scan->name_count;
	scan->has_news = false;
	if (scan->walk != scan->doubted_walk) scan->doubted = false;
	scan->failures = 0;
	scan->pages = scan->walked_pages;
	scan->priced_ns = now_ns(scan);
	scan->took_ns = scan_walk_took_ns(scan);
	scan->complete_s = scan->walk_began_s;
	if (scan->mode != SCAN_LIST)
		log_info("changes are detected by listing", kv("vault", scan->shard->url),
			kv("kind", vault_kind_name(scan->kind)), kv_int("pages", scan->pages),
			kv_int("names", scan->name_count));
	scan->mode = SCAN_LIST;
	metric_add(METRIC_SCANS, 1);
	int64_t next_ns = next_walk_ns(scan), eager_ns = eager_walk_ns(scan);
	set_timer(scan, scan->eager && eager_ns < next_ns ? eager_ns : next_ns);
	if (!is_worth_it(scan)) to_get(scan);
}

/* Pages of a walk that fails are paid for, and so are the GETs meanwhile: what goes on failing is tried ever less often. */
static int64_t next_try_ns(const struct scan *scan) {
	unsigned more = scan->failures > FAILURES_TO_GET ? scan->failures - FAILURES_TO_GET : 0;
	return now_ns(scan) + (RETRY_NS << (more < RETRY_DOUBLINGS ? more : RETRY_DOUBLINGS));
}

void scan_walk_failed(struct scan *scan, const struct fault *fault, bool counts) {
	scan->away = !counts && (fault->err == ERR_NETWORK || fault->err == ERR_TIMEOUT);
	if (counts && ++scan->failures == FAILURES_TO_GET) {
		log_warn("listing fails, objects are checked by GET until it works again",
			kv("vault", scan->shard->url), kv("kind", vault_kind_name(scan->kind)),
			kv("cause", fault->text));
		metric_add(METRIC_SCAN_FALLBACKS, 1);
		to_get(scan);
	} else if (!counts && scan->mode == SCAN_UNDECIDED) {
		/* Objects do not wait for a walk that cannot begin: their own attempts say what is away, without a request. */
		to_get(scan);
	}
	int64_t next_ns = next_walk_ns(scan), again_ns = next_try_ns(scan);
	set_timer(scan, again_ns < next_ns || !counts ? again_ns : next_ns);
}

void scan_too_dear(struct scan *scan) {
	scan->pages = scan->walked_pages + scan->walked_pages / 4;
	scan->priced_ns = now_ns(scan);
	log_info("listing costs more requests than GETs, objects are checked by GET",
		kv("vault", scan->shard->url), kv("kind", vault_kind_name(scan->kind)),
		kv_int("pages", scan->walked_pages), kv_int("gets", scan->link_count));
	metric_add(METRIC_SCAN_FALLBACKS, 1);
	to_get(scan);
	set_timer(scan, next_walk_ns(scan));
}

void scan_give_up(struct scan *scan, const char *why, const char *detail, int64_t hold_ns) {
	log_warn(why, kv("vault", scan->shard->url), kv("kind", vault_kind_name(scan->kind)),
		kv("cause", detail), kv_int("hold_s", hold_ns / NS_PER_S));
	metric_add(METRIC_SCAN_FALLBACKS, 1);
	to_get(scan);
	scan->held_until_ns = now_ns(scan) + hold_ns;
	set_timer(scan, scan->held_until_ns);
}

void scan_distrust(struct scan *scan, struct str name) {
	char text[NAME_BYTES];
	snprintf(text, sizeof text, "%.*s", STR_ARG(name));
	metric_add(METRIC_SCAN_MISSED, 1);
	if (scan->mode != SCAN_LIST) return;
	scan_walk_cancel(scan);
	scan_give_up(scan,
		"a safety re-read found a version that no list announced: objects are checked by "
		"GET "
		"for a day",
		text, DAY_NS);
}

/* --- turns --- */

static void see_blindness(struct scan *scan) {
	bool was = scan->blind;
	scan->blind = is_blind(scan);
	if (scan->blind && !was) scan->moving = scan->name_count;
}

void scan_turn(struct shard *shard) {
	for (int kind = 0; kind < VAULT_KINDS; kind++) {
		struct scan *scan = shard->scans[kind];
		if (!scan) continue;
		see_blindness(scan);
		/* What a walk has met stands behind what it has not. */
		if (!scan->walking) scan_slice(scan);
		scan_walk_turn(scan);
	}
}
