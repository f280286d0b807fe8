# workers/schedule.c: after an outage each object reads for itself, though the walk tells
# first: 50
s/if (object->away \&\& !gate->open \&\& is_left_to_walk(object)) return;/(void)gate, (void)is_left_to_walk;/
