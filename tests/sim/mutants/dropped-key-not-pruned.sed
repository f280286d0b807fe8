# workers/sync_probe.c: the Update entry of a POST is never merged
s/return meta->must_settle ? &STEP_SETTLE : &STEP_APPLY;/return \&STEP_APPLY;/
