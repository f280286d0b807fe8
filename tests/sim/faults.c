/* Which fault meets a request: a draw from what the seed has switched on and what can happen to this kind of request. */
#include "tests/sim/sim.h"

/* Faults that are made to happen to a request; the others come from actions. */
static bool is_drawn(enum sim_fault fault) {
	return fault > FAULT_OF_NOTHING && fault != SIM_CUT && fault != SIM_DISABLED && fault < SIM_POLICY;
}

enum sim_fault sim_draw_fault(struct sim *sim, enum sim_row row) {
	enum sim_fault possible[SIM_FAULT_COUNT];
	unsigned count = 0;
	/* The phase event may not have come yet in the same instant. */
	if (sim->now_ns >= sim->calm_ns || !sim_chance(sim, sim->fault_permille)) return FAULT_OF_NOTHING;
	for (enum sim_fault fault = FAULT_OF_NOTHING + 1; fault < SIM_FAULT_COUNT; fault++) {
		bool on = sim->fault_mask & (UINT64_C(1) << fault);
		if (on && is_drawn(fault) && !sim_cannot(row, fault)) possible[count++] = fault;
	}
	return count ? possible[sim_between(sim, 0, count - 1)] : FAULT_OF_NOTHING;
}
