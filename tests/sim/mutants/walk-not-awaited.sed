# workers/scan.c: an object reads for itself while the walk that tells is between two pages
# first: 33
s/		if (!link->name->known) state = SCAN_PENDING;/		if (!link->name->known || scan_at(object, i)->walking) state = SCAN_NONE;/
