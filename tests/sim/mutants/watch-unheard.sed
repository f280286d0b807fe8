# workers/secret_seen.c: a Secret that the watch shows to be changed is only marked, and waits for its poll
s|^\tqueue_add(&object->item);$|\t(void)object;|
