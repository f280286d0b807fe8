#include "tests/sim/table.h"

#include <string.h>

static const char *const ROW_NAMES[] = {
#define X(id, name) [ROW_##id] = name,
	SIM_ROWS(X)
#undef X
};

static const char *const FAULT_NAMES[] = { [FAULT_OF_NOTHING] = "nothing",
#define X(id, name) [SIM_##id] = name,
	SIM_FAULTS(X)
#undef X
};

const char *sim_row_name(enum sim_row row) {
	return row < ROW_COUNT ? ROW_NAMES[row] : "end";
}

const char *sim_fault_name(enum sim_fault fault) {
	return FAULT_NAMES[fault];
}

enum sim_row sim_row_of_step(const char *step) {
	for (enum sim_row row = 0; row < ROW_COUNT; row++) {
		if (strcmp(ROW_NAMES[row], step) == 0) return row;
	}
	return ROW_COUNT;
}

/* --- what cannot happen, and why --- */

#define BIT(x) (1u << (x))

enum {
	VAULT_ROWS = BIT(ROW_FETCH) | BIT(ROW_VALUES),
	SECRET_ROWS = BIT(ROW_CREATE) | BIT(ROW_PROBE) | BIT(ROW_SETTLE) | BIT(ROW_APPLY) |
		      BIT(ROW_PATCH),
	WRITE_ROWS = SECRET_ROWS | BIT(ROW_STATUS) | BIT(ROW_TOKEN),
	MAIN_ROWS = BIT(ROW_LIST) | BIT(ROW_STREAM) | BIT(ROW_WATCH),
	EVENT_ROWS = BIT(ROW_EVENT),
	ASKING_ROWS = WRITE_ROWS | VAULT_ROWS | MAIN_ROWS | BIT(ROW_EXCHANGE) | BIT(ROW_PAGE) |
		      EVENT_ROWS,
	/* A status goes out behind its reconcile; it counts all the same, since a trap knows whom it is for. */
	WAITING_ROWS = WRITE_ROWS | VAULT_ROWS,
};

struct reach {
	unsigned rows;
	const char *else_why;
};

static const char NO_REQUEST[] = "this step asks nobody and does not wait";
static const char NO_EFFECT[] = "a read leaves nothing done behind";

static struct reach reach_of(enum sim_fault fault) {
	switch (fault) {
	case SIM_STALL_DONE:
		return (struct reach){ WRITE_ROWS | EVENT_ROWS, NO_EFFECT };
	case SIM_504_DONE:
		return (struct reach){ WRITE_ROWS | EVENT_ROWS, NO_EFFECT };
	case SIM_LATE:
		/* A status patch tests the uid alone, so that one which arrives after a later one wins: known, see README. */
		return (struct reach){ SECRET_ROWS | BIT(ROW_TOKEN) | EVENT_ROWS,
			"a read that is served late changes nothing; of status see README" };
	case SIM_GARBAGE:
		return (struct reach){ ASKING_ROWS & ~BIT(ROW_WATCH) & ~BIT(ROW_STREAM),
			"bytes of a watch are cut, not replaced; test_engine_informer does" };
	case SIM_409:
		return (struct reach){ WRITE_ROWS | EVENT_ROWS, "only writes of the API server conflict" };
	case SIM_410:
		return (struct reach){ MAIN_ROWS, "only lists and watches expire" };
	case SIM_AKV10046:
		return (struct reach){ VAULT_ROWS | BIT(ROW_PAGE), "an answer of Key Vault alone" };
	case SIM_DISABLED:
		return (struct reach){ VAULT_ROWS, "an answer of Key Vault to a GET alone" };
	case SIM_LINK:
		return (struct reach){ BIT(ROW_PAGE), "only a list leads to another page" };
	case SIM_AADSTS:
		return (struct reach){ BIT(ROW_EXCHANGE), "an answer of Entra alone" };
	case SIM_POLICY:
		return (struct reach){ SECRET_ROWS, "the policy is about Secrets" };
	case SIM_BROKEN:
		return (struct reach){ BIT(ROW_STREAM) | BIT(ROW_WATCH), "only a watch breaks" };
	case SIM_CHANGED:
	case SIM_DELETED:
	case SIM_REPLACED:
	case SIM_ROTATED:
		return (struct reach){ WAITING_ROWS,
			"no reconcile waits in this step; the exchange is waited for in step token, "
			"pages and Events by none" };
	case SIM_STOPPED:
	case SIM_KILLED:
		return (struct reach){ WAITING_ROWS & ~BIT(ROW_STATUS),
			"no reconcile waits in this step" };
	case SIM_REFUSED:
		return (struct reach){ BIT(ROW_BORROW) | BIT(ROW_CREATE) | BIT(ROW_PROBE),
			"settle, apply and patch follow an answer in the same instant; elsewhere a "
			"refusal looks like the failure itself" };
	default:
		return (struct reach){ ASKING_ROWS, NO_REQUEST };
	}
}

const char *sim_cannot(enum sim_row row, enum sim_fault fault) {
	struct reach reach = reach_of(fault);
	if (reach.rows & BIT(row)) return NULL;
	bool asks = ASKING_ROWS & BIT(row);
	return asks ? reach.else_why : NO_REQUEST;
}

/* --- for people --- */

void sim_table_print(const struct sim_table *table, FILE *out) {
	fprintf(out, "%-13s", "fault / step");
	for (enum sim_row row = 0; row < ROW_COUNT; row++) fprintf(out, "%9s", ROW_NAMES[row]);
	fprintf(out, "\n");
	for (enum sim_fault fault = 1; fault < SIM_FAULT_COUNT; fault++) {
		fprintf(out, "%-13s", FAULT_NAMES[fault]);
		for (enum sim_row row = 0; row < ROW_COUNT; row++) {
			if (sim_cannot(row, fault))
				fprintf(out, "%9s", "-");
			else
				fprintf(out, "%9llu", (unsigned long long)table->cells[row][fault]);
		}
		fprintf(out, "\n");
	}
}

unsigned sim_table_gaps(const struct sim_table *table, FILE *out) {
	unsigned gaps = 0;
	for (enum sim_fault fault = 1; fault < SIM_FAULT_COUNT; fault++) {
		for (enum sim_row row = 0; row < ROW_COUNT; row++) {
			if (sim_cannot(row, fault) || table->cells[row][fault]) continue;
			fprintf(out, "empty cell: %s never met %s\n", ROW_NAMES[row],
				FAULT_NAMES[fault]);
			gaps++;
		}
	}
	return gaps;
}
