# queue/workqueue.c: an add during a run is forgotten when the run ends
/^void queue_done/,/^}/s/if (old & QUEUE_QUEUED) push(item);/(void)old;/
