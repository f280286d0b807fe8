# workers/schedule.c: an object whose walk cannot begin is not looked at in its own time
s/	if (scan_is_blind(object)) return false;//
