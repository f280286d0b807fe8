# workers/report.c: a status that changes while it is written is not written again
# first: 108
s/if (report->changed) {/if (report->changed \&\& !report) {/
