# engine/akv_status.c: whose a derived object is is not looked at
# first: 17
s/if (!live->is_child || live->home != owner) return STATE_STRANGER;/(void)STATE_STRANGER;/
s/if (strcmp(live->owner_uid, owner->uid) != 0) return STATE_LEAVING;/(void)owner;/
