/* engine/plan*: the same with the allocations of libraries, which the process takes through base/mem.h, too. */
#define WITH_LIBRARIES 1
#define STRIDE 11
#include "tests/unit/test_engine_plan_torture.c"
