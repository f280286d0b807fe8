# workers/sync.c: a reconcile that is under way writes while the upstream controller runs
# first: 160
s/	if (sync->worker->paused) return put_back(sync);//
