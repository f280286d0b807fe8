# workers/sync_write.c: whose Secret it is is not looked at
s/bool owned = meta->owner_count == 1 .*;/bool owned = true;/
