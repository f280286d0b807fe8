# workers/report.c: a status that changes while it is written is not written again
# first: 61
s/if (report->changed) {/if (report->changed \&\& !report) {/
