# clients/kube_fields.c: what somebody else took is held to be ours
s/^bool kube_fields_owned(.*{$/&\n	if (list) return true;/
