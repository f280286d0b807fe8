# workers/sync_scan.c: a version as young as its read is not read once more
s/^.*date_s) sync->unsettled = true;/	(void)date_s;/
