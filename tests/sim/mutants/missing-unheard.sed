# workers/worker_settings.c: a Secret that a complete list lacks, or shows to be changed, waits for its poll
# first: 10
s/^\tif (!object->shard || !secret_is_lost(object, list)) return;$/\treturn;/
