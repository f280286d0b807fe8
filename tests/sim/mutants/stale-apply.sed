# clients/kube.c: a complete write is not held to the Secret that was probed
# first: 24
/add_member(body, ",\\"uid\\":", str_of(meta->uid));/d
/add_member(body, ",\\"resourceVersion\\":", str_of(meta->resource_version));/d
