#include <assert.h>

#include "workers/worker.h"

/* Whoever would have to wait longer because the vault asked for it says so instead. */
static const int64_t PATIENCE_NS = 60 * NS_PER_S;

static struct str flight_key(const struct map_node *node) {
	return buf_str(&container_of(node, struct flight, node)->key);
}

/* --- pace --- */

/* "https://NAME.suffix"; vault names have no case, and stand here in lower case. */
static struct str vault_name(const struct shard *shard) {
	struct str url = str_of(shard->url), scheme = STR("https://");
	if (!str_starts(url, scheme)) return STR("");
	struct str host = str_slice(url, scheme.len, url.len);
	return str_slice(host, 0, str_find_char(host, '.'));
}

/* The group that names the vault, and how many vaults it has; false: none does. */
static bool find_group(
	const char *groups, struct str name, unsigned *out_group, unsigned *out_vaults) {
	struct str rest = str_of(groups);
	for (unsigned g = 0; rest.ptr && g < VAULT_GROUPS_MOST; g++) {
		struct str group = str_next(&rest, ';');
		bool found = false;
		unsigned vaults = 0;
		for (; group.ptr; vaults++) found |= str_eq(str_next(&group, ','), name);
		*out_group = g;
		*out_vaults = vaults;
		if (found) return true;
	}
	return false;
}

void shard_pace(struct shard *shard, const struct settings *settings) {
	struct worker *worker = shard->worker;
	unsigned group = 0, vaults = 0;
	gate_set_limit(&shard->gate, settings->vault_rate_per_s, settings->vault_burst);
	class_paces_set(shard, settings);
	gate_set_lane_limit(
		&shard->gate, LANE_KEYS, settings->vault_key_rate_per_s, settings->vault_key_burst);
	const char *groups = settings->vault_groups;
	if (!groups || !find_group(groups, vault_name(shard), &group, &vaults)) {
		gate_set_group(&shard->gate, NULL, 0, 1);
		return;
	}
	/* Each vault of the group may have one request that was counted and waits; where they are many for the limit, half of it
	 * is left for what goes out. */
	double most = settings->group_per_10s, waiting = vaults < most / 2 ? vaults : most / 2;
	struct rate rate = rate_of(most - waiting, settings->vault_burst);
	gate_set_group(&shard->gate, &worker->pool->group_paces[group], rate.per_s, rate.burst);
}

static enum err shard_create(struct worker *worker, struct str url, struct shard **out_shard) {
	struct shard *shard = mem_zalloc(sizeof *shard);
	if (!shard) return ERR_NOMEM;
	shard->url = mem_strdup(url);
	enum err err = shard->url ? OK : ERR_NOMEM;
	if (!err) err = map_insert(&worker->shards, &shard->node);
	if (err) {
		mem_free(shard->url);
		mem_free(shard);
		return err;
	}
	shard->worker = worker;
	class_paces_init(shard);
	map_init(&shard->flights, worker->shards._key, flight_key);
	for (int i = 0; i < CLASS_COUNT; i++) line_init(&shard->ready[i], worker->shards._key);
	gate_init(&shard->gate, &(struct gate_options){
					.name = shard->url,
					.http = worker->http,
					.now = &worker->now,
					.rate_per_s = worker->settings.vault_rate_per_s,
					.burst = worker->settings.vault_burst,
					.max_in_flight = worker->settings.vault_connections,
					.breaker_interval_ns = worker->settings.breaker_interval_ns,
					.patience_ns = PATIENCE_NS,
					.wake = schedule_waiter_woken,
				});
	{
		rcu_read_scope();
		const struct settings *now = worker->pool ? rcu_load(worker->pool->settings) : NULL;
		shard_pace(shard, now ? now : &worker->settings);
	}
	list_push_back(&worker->shard_list, &shard->all);
	*out_shard = shard;
	return OK;
}

enum err shard_get(struct worker *worker, struct str url, struct shard **out_shard) {
	struct map_node *node = map_find(&worker->shards, url);
	if (!node) return shard_create(worker, url, out_shard);
	*out_shard = container_of(node, struct shard, node);
	return OK;
}

static void shard_free(struct shard *shard) {
	assert(!shard->objects && !shard->running && !shard->ready_count);
	scan_destroy_all(shard);
	for (int i = 0; i < CLASS_COUNT; i++) line_deinit(&shard->ready[i]);
	class_paces_destroy(shard);
	assert(map_count(&shard->flights) == 0);
	map_deinit(&shard->flights);
	list_remove(&shard->all);
	map_remove(&shard->worker->shards, &shard->node);
	gate_deinit(&shard->gate);
	mem_free(shard->url);
	mem_free(shard);
}

static void stand_in_line(struct object *object, enum object_class class, bool in_front) {
	struct shard *shard = object->shard;
	struct line *line = &shard->ready[class];
	object->in_ready = true;
	object->wait_class = (uint8_t) class;
	if (!shard->waiting[class]) {
		line_reset(line);
		if (shard->owed[class] < 0) shard->owed[class] = 0;
	}
	if (in_front)
		line_push_front(line, object);
	else
		line_push(line, object);
	shard->waiting[class]++;
	shard->ready_count++;
	shard->worker->waiting[class]++;
	shard->worker->again = true;
}

/* A more urgent class wins over the one the object waits in already. */
void shard_enqueue(struct shard *shard, struct object *object, enum object_class class) {
	assert(object->shard == shard);
	object->due_ns = shard->worker->now.mono_ns;
	bool waits = list_is_linked(&object->ready) && (object->in_ready || object->held);
	if (waits && object->wait_class <= class) return;
	shard_dequeue(object);
	stand_in_line(object, class, false);
}

void shard_dequeue(struct object *object) {
	if (!list_is_linked(&object->ready)) return;
	list_remove(&object->ready);
	struct shard *shard = object->shard;
	if (object->in_ready || object->held) {
		assert(shard->worker->waiting[object->wait_class] > 0);
		shard->worker->waiting[object->wait_class]--;
	}
	if (object->in_ready) {
		assert(shard->ready_count > 0);
		shard->ready_count--;
		shard->waiting[object->wait_class]--;
	}
	object->in_ready = object->held = false;
}

void shard_hold(struct object *object, struct list *line) {
	assert(!list_is_linked(&object->ready));
	shard_recount(object, object->wait_class, 1, 0);
	object->held = true;
	object->shard->worker->waiting[object->wait_class]++;
	list_push_back(line, &object->ready);
}

void shard_release(struct object *object) {
	assert(object->held);
	enum object_class class = object->wait_class;
	shard_dequeue(object);
	stand_in_line(object, class, true);
}

bool shard_has_room(const struct shard *shard) {
	return shard->running < shard->worker->settings.reconciles_per_vault;
}

/* Each class that waits behind a more urgent one is owed its share of what is had meanwhile; what it has itself is taken off. */
static void share(struct shard *shard, enum object_class class, int requests) {
	bool behind = false;
	for (int i = 0; i < CLASS_COUNT; i++) {
		if (behind && shard->waiting[i]) shard->owed[i] += requests;
		if (behind && i == (int)class) shard->owed[i] -= (int64_t)requests * SHARE_TURNS;
		behind |= shard->waiting[i] > 0;
	}
}

void shard_recount(const struct object *object, enum object_class class, int from, int to) {
	struct shard *shard = object->shard;
	if (from == to) return;
	share(shard, class, to - from);
	/* A turn is a turn, for the work that it is. */
	line_charge(&shard->ready[class], object->identity_hash, (to ? to : 1) - (from ? from : 1));
}

/* What the pace gives in an interval; the share of a single page at least. */
static int64_t interval_requests(const struct shard *shard) {
	const struct settings *settings = &shard->worker->settings;
	double seconds = (double)settings->poll_interval_ns / (double)NS_PER_S;
	double requests = settings->vault_rate_per_s * seconds;
	return requests > SHARE_TURNS ? (int64_t)requests : SHARE_TURNS;
}

void shard_asked(struct shard *shard) {
	if (shard->walks_owe) shard->walks_owe--;
}

bool shard_admits_page(struct shard *shard) {
	bool behind =
		shard->waiting[CLASS_NEW] || shard->waiting[CLASS_RETRY] || shard->running_first;
	if (!behind) shard->walks_owe = 0;
	/* Where the pace is not what they wait for, a page takes nothing from them. */
	if (!behind || !gate_waiting(&shard->gate)) return true;
	if (shard->walks_owe + SHARE_TURNS > interval_requests(shard)) return false;
	shard->walks_owe += SHARE_TURNS;
	return true;
}

/* The first class behind the most urgent one that is owed a request; else that one. CLASS_COUNT: nobody waits. */
static enum object_class next_class(const struct shard *shard) {
	int most_urgent = 0;
	while (most_urgent < CLASS_COUNT && !shard->waiting[most_urgent]) most_urgent++;
	for (int i = most_urgent + 1; i < CLASS_COUNT; i++)
		if (shard->waiting[i] && shard->owed[i] >= SHARE_TURNS - 1) return i;
	return most_urgent;
}

struct object *shard_next(struct shard *shard) {
	enum object_class class = next_class(shard);
	return class == CLASS_COUNT ? NULL : shard_next_of(shard, class);
}

struct object *shard_next_of(struct shard *shard, enum object_class class) {
	struct object *object = line_next(&shard->ready[class]);
	assert(object && object->shard == shard);
	share(shard, class, 1);
	shard_dequeue(object);
	return object;
}

void shard_saw_date(struct shard *shard, int64_t server_date_s) {
	if (server_date_s) shard->skew_s = server_date_s - shard->worker->now.wall_ns / NS_PER_S;
}

void shard_leave(struct object *object) {
	if (!object->shard) return;
	shard_dequeue(object);
	scan_unlink_object(object);
	assert(object->shard->objects > 0);
	object->shard->objects--;
	object->shard = NULL;
}

void shard_sweep(struct worker *worker) {
	list_for_each_safe (link, &worker->shard_list) {
		struct shard *shard = container_of(link, struct shard, all);
		class_paces_sweep(shard);
		bool unused = !shard->objects && !shard->running;
		if (unused && gate_is_forgettable(&shard->gate)) shard_free(shard);
	}
}

void shard_destroy_all(struct worker *worker) {
	list_for_each_safe (link, &worker->shard_list)
		shard_free(container_of(link, struct shard, all));
}
