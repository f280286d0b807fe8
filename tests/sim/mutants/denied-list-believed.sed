# workers/scan_walk.c: a list that was denied counts as one without rows
# first: 356
# seeds: 400
/metric_add(METRIC_SCAN_DENIED, 1);/{n;s/.*/		scan_walk_cancel(scan), scan_walk_ended(scan);/}
