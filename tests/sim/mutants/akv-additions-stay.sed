# engine/akv_call.c: what an apply leaves is never taken away
# first: 48
s/if (call->op == AKV_APPLY) return chain(.*$/(void)now;/
