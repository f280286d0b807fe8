#include "secret_fuzz.h"

#include "base/mem.h"

struct secret_arena *arena;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
	(void)argc, (void)argv;
	mem_wipe_libraries();
	arena = secret_arena_create(16 << 20);
	return 0;
}
