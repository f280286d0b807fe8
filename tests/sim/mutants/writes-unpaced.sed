# workers/sync.c: writes of Secrets keep no pace
# first: 36
s/return ask_kube(sync, LANE_WRITE, next);/return ask_kube(sync, LANE_USUAL, next);/
