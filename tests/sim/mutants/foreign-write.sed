# workers/sync_probe.c: whose Secret it is is not looked at
/bool owned =$/{N;s/\n\t*/ /;}
s/bool owned = meta->owner_count == 1 .*;/bool owned = true;/
