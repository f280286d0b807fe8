/* tests/sim/table.h - which fault met which step of a reconcile, over all seeds. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Steps of a reconcile by their names in workers/sync.h; "exchange" is the second half of "token", "page" one of a walk
 * over a vault's list. list, stream (a list as the beginning of a watch) and watch are main's. */
#define SIM_ROWS(X)                                                                           \
	X(BORROW, "borrow")                                                                   \
	X(TOKEN, "token") X(EXCHANGE, "exchange") X(FETCH, "fetch") X(COMPARE, "compare")     \
		X(VALUES, "values") X(CREATE, "create") X(PROBE, "probe") X(SETTLE, "settle") \
			X(APPLY, "apply") X(PATCH, "patch") X(EVENT, "event") X(STATUS, "status") X(PAGE, "page")       \
				X(LIST, "list") X(STREAM, "stream") X(WATCH, "watch")

enum sim_row {
#define X(id, name) ROW_##id,
	SIM_ROWS(X)
#undef X
		ROW_COUNT
};

#define SIM_FAULTS(X)                                                                             \
	X(CUT, "cut")                                                                             \
	X(RESET_BEFORE, "reset-before") X(RESET_AFTER, "reset-after") X(STALL, "stall") X(        \
		STALL_DONE, "stall-done") X(TRUNCATE, "truncate") X(SLOW, "slow") X(LATE,         \
		"late") X(GARBAGE, "garbage") X(401, "401") X(403, "403") X(404, "404") X(409,    \
		"409") X(410, "410") X(429, "429") X(429_AFTER, "429-after") X(500, "500") X(503, \
		"503") X(504_DONE, "504-done") X(AKV10046, "akv10046") X(DISABLED, "disabled") X(LINK, "link")    \
		X(AADSTS, "70021") X(POLICY, "policy") X(BROKEN, "broken") X(CHANGED, "changed")  \
			X(DELETED, "deleted") X(REPLACED, "replaced") X(ROTATED, "rotated")       \
				X(STOPPED, "stopped") X(KILLED, "killed") X(REFUSED, "refused")

enum sim_fault {
	FAULT_OF_NOTHING,
#define X(id, name) SIM_##id,
	SIM_FAULTS(X)
#undef X
		SIM_FAULT_COUNT
};

struct sim_table {
	uint64_t cells[ROW_COUNT][SIM_FAULT_COUNT];
};

const char *sim_row_name(enum sim_row row);
const char *sim_fault_name(enum sim_fault fault);
/* The row of a step's name; ROW_COUNT: it is none ("end"). */
enum sim_row sim_row_of_step(const char *step);
/* NULL: this fault can meet this step. Else why it cannot. */
const char *sim_cannot(enum sim_row row, enum sim_fault fault);
void sim_table_print(const struct sim_table *table, FILE *out);
/* Prints every empty cell that should not be; returns how many. */
unsigned sim_table_gaps(const struct sim_table *table, FILE *out);
