# workers/worker.c: what stands in line goes out while the upstream controller runs
# first: 106
s/^\tsync_put_back_writes(worker);$//
