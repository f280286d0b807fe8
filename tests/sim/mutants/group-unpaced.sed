# workers/gate.c: the limit of a group of vaults is not kept
# first: 38
s/if (!wait_ns) wait_ns = shared_wait_ns(&gate->group, now_ns);//
