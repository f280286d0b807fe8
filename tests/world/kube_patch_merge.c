/* JSON merge patch (RFC 7386). */
#include "tests/world/kube_internal.h"

void kube_patch_merge(cJSON *object, const cJSON *patch) {
	const cJSON *change;
	cJSON_ArrayForEach(change, patch) {
		if (cJSON_IsNull(change)) {
			kj_remove(object, change->string);
		} else if (!cJSON_IsObject(change)) {
			kj_set(object, change->string, kj_copy(change));
		} else {
			/* Also into an object that is made anew: its nulls must not stay. */
			kube_patch_merge(kj_object(object, change->string), change);
		}
	}
}
