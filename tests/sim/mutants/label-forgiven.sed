# workers/sync_probe.c: a drift probe passes over a label that was taken away
s/if (!meta->has_label)$/if (!meta->has_label \&\& !sync->looking)/
