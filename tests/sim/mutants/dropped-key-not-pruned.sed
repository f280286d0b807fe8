# workers/sync_write.c: the Update entry of a POST is never merged
s/return meta->has_update_entry ? &STEP_SETTLE : &STEP_APPLY;/return \&STEP_APPLY;/
