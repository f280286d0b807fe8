/* The event loop: a heap of (time, chance, sequence), virtual time, the trace and the end of a seed. */
#include "tests/sim/sim.h"

#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/rcu.h"

static const int64_t WALL_NS = INT64_C(1795500000) * NS_PER_S; /* 2026-11-24 */

/* What a failed assertion reports. One simulation at a time. */
static struct sim *current;

/* --- the heap --- */

static bool before(const struct sim_event *a, const struct sim_event *b) {
	if (a->at_ns != b->at_ns) return a->at_ns < b->at_ns;
	return a->tie != b->tie ? a->tie < b->tie : a->seq < b->seq;
}

static void put(struct sim *sim, size_t i, struct sim_event *event) {
	sim->heap[i] = event;
	event->place = i + 1;
}

static void sift_up(struct sim *sim, size_t i) {
	struct sim_event *event = sim->heap[i];
	while (i > 0 && before(event, sim->heap[(i - 1) / 2])) {
		put(sim, i, sim->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	put(sim, i, event);
}

static void sift_down(struct sim *sim, size_t i) {
	struct sim_event *event = sim->heap[i];
	for (size_t child; (child = 2 * i + 1) < sim->heap_len; i = child) {
		if (child + 1 < sim->heap_len && before(sim->heap[child + 1], sim->heap[child]))
			child++;
		if (!before(sim->heap[child], event)) break;
		put(sim, i, sim->heap[child]);
	}
	put(sim, i, event);
}

void sim_drop(struct sim *sim, struct sim_event *event) {
	if (!event->place) return;
	size_t i = event->place - 1;
	struct sim_event *last = sim->heap[--sim->heap_len];
	event->place = 0;
	if (last == event) return;
	put(sim, i, last);
	sift_up(sim, i);
	sift_down(sim, last->place - 1);
}

void sim_at(struct sim *sim, struct sim_event *event, int64_t at_ns) {
	assert(event->fire);
	sim_drop(sim, event);
	if (sim->heap_len == sim->heap_cap) {
		sim->heap_cap = sim->heap_cap ? sim->heap_cap * 2 : 256;
		sim->heap = realloc(sim->heap, sim->heap_cap * sizeof *sim->heap);
		assert(sim->heap);
	}
	event->at_ns = at_ns > sim->now_ns ? at_ns : sim->now_ns;
	event->seq = sim->next_seq++;
	struct hash_key key = { sim->seed, 1 };
	event->tie = hash64(&key, (struct str){ (char *)&event->seq, sizeof event->seq });
	put(sim, sim->heap_len, event);
	sift_up(sim, sim->heap_len++);
}

void sim_sooner(struct sim *sim, struct sim_event *event, int64_t at_ns) {
	if (!event->place || event->at_ns > at_ns) sim_at(sim, event, at_ns);
}

/* --- the trace --- */

void sim_note(struct sim *sim, const char *format, ...) {
	char *line = sim->ring[sim->ring_count++ % SIM_RING];
	int64_t us = sim->now_ns / NS_PER_US;
	int head = snprintf(line, SIM_LINE_BYTES, "%7llu %6lld.%06lld ",
		(unsigned long long)sim->steps, (long long)(us / 1000000),
		(long long)(us % 1000000));
	va_list args;
	va_start(args, format);
	vsnprintf(line + head, SIM_LINE_BYTES - (size_t)head, format, args);
	va_end(args);
	struct hash_key key = { sim->hash, sim->seed };
	sim->hash = hash64(&key, str_of(line));
	if (sim->options->trace) printf("%s\n", line);
}

static void print_ring(const struct sim *sim) {
	uint64_t first = sim->ring_count > SIM_RING ? sim->ring_count - SIM_RING : 0;
	for (uint64_t i = first; i < sim->ring_count; i++)
		fprintf(stderr, "  %s\n", sim->ring[i % SIM_RING]);
	fprintf(stderr, "replay: sim --seed %llu --until %llu --trace\n",
		(unsigned long long)sim->seed, (unsigned long long)sim->steps);
}

void sim_fail(struct sim *sim, const char *invariant, const char *format, ...) {
	fflush(stdout);
	fprintf(stderr, "FAILED seed %llu, step %llu, invariant: %s\n  ",
		(unsigned long long)sim->seed, (unsigned long long)sim->steps, invariant);
	va_list args;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nthe last events:\n");
	print_ring(sim);
	/* Nothing is freed on this way: LeakSanitizer has no say. */
	_exit(1);
}

static void aborted(int signal_number) {
	(void)signal_number;
	if (current) {
		fprintf(stderr,
			"FAILED seed %llu, step %llu, invariant: an assertion of the program "
			"(above)\n",
			(unsigned long long)current->seed, (unsigned long long)current->steps);
		print_ring(current);
	}
	_exit(1);
}

/* --- time and chance --- */

struct now sim_world_now(const struct sim *sim) {
	return (struct now){ sim->now_ns + SIM_MONO_NS,
		sim->now_ns + WALL_NS + sim->world_offset_ns };
}

struct now sim_client_now(const struct sim *sim) {
	return (struct now){ sim->now_ns + SIM_MONO_NS,
		sim->now_ns + WALL_NS + sim->client_offset_ns };
}

static struct now clock_read(struct clock *clock) {
	return sim_client_now(container_of(clock, struct sim_clock, clock)->sim);
}

bool sim_chance(struct sim *sim, unsigned permille) {
	return rng_below(&sim->rng, 1000) < permille;
}

int64_t sim_between(struct sim *sim, int64_t low, int64_t high) {
	return rng_between(&sim->rng, low, high);
}

/* --- a seed --- */

static void world_turn(struct sim *sim, struct sim_event *event) {
	int64_t next_ns = kube_advance(sim->kube, sim_world_now(sim));
	sim_streams_poll(sim);
	if (next_ns == NEVER_NS) return;
	/* A watch that cannot be served, since the server is cut off, is due all the time. */
	int64_t at_ns = next_ns - SIM_MONO_NS + NS_PER_MS, least_ns = sim->now_ns + 100 * NS_PER_MS;
	sim_at(sim, event, at_ns > least_ns ? at_ns : least_ns);
}

static void step(struct sim *sim) {
	struct sim_event *event = sim->heap[0];
	sim->now_ns = event->at_ns;
	sim->steps++;
	sim_drop(sim, event);
	event->fire(sim, event);
	sim_check_event(sim);
}

uint64_t sim_run(uint64_t seed, const struct sim_options *options, struct sim_table *table) {
	struct sim *sim = calloc(1, sizeof *sim);
	assert(sim);
	current = sim;
	signal(SIGABRT, aborted);
	sim->seed = seed;
	sim->options = options;
	sim->table = table;
	rng_seed(&sim->rng, seed);
	sim->clock = (struct sim_clock){ { clock_read }, sim };
	list_init(&sim->clients);
	list_init(&sim->exchanges);
	sim->world_turn.fire = world_turn;
	log_redirect(sim_check_log, sim);
	sim_check_init(sim);
	sim_plan(sim);
	sim_world_create(sim);
	sim_at(sim, &sim->world_turn, 0);
	sim_begin(sim);
	while (!sim->over && sim->heap_len && (!options->until || sim->steps < options->until))
		step(sim);
	if (!sim->over) {
		if (!options->until) sim_fail(sim, "liveness", "nothing is left to happen");
		fflush(stdout);
		_exit(0);
	}
	uint64_t hash = sim->hash;
	sim_exchanges_drop(sim);
	sim_check_deinit(sim);
	sim_world_destroy(sim);
	log_redirect(NULL, NULL);
	free(sim->heap);
	free(sim);
	current = NULL;
	return hash;
}
