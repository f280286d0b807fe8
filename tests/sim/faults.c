/* Which fault meets a request: a draw from what the seed has switched on and what can happen to this kind of request. */
#include "tests/sim/sim.h"

/* Faults that are made to happen to a request; the others come from actions. */
static bool is_drawn(enum sim_fault fault) {
	return fault > FAULT_OF_NOTHING && fault != SIM_CUT && fault < SIM_POLICY;
}

unsigned sim_share(enum sim_row row, unsigned permille) {
	if (row == ROW_PATCH || row == ROW_PAGE) return permille * 12;
	bool rare =
		row == ROW_SETTLE || row == ROW_APPLY || row == ROW_EXCHANGE || row == ROW_VALUES || row == ROW_STREAM;
	return rare ? permille * 4 : permille;
}

enum sim_fault sim_draw_fault(struct sim *sim, enum sim_row row) {
	enum sim_fault possible[SIM_FAULT_COUNT];
	unsigned count = 0;
	bool calm = sim->now_ns >=
		    sim->calm_ns; /* the phase event may not have come yet in the same instant */
	if (calm || !sim_chance(sim, sim_share(row, sim->fault_permille))) return FAULT_OF_NOTHING;
	for (enum sim_fault fault = FAULT_OF_NOTHING + 1; fault < SIM_FAULT_COUNT; fault++) {
		bool on = sim->fault_mask & (UINT64_C(1) << fault);
		if (on && is_drawn(fault) && !sim_cannot(row, fault)) possible[count++] = fault;
	}
	return count ? possible[sim_between(sim, 0, count - 1)] : FAULT_OF_NOTHING;
}
