# workers/sync_probe.c: the good items are applied, which removes the failed ones
s/if (sync->partial) return &STEP_PATCH;//
