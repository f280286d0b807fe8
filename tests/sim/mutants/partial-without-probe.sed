# clients/kube.c: a partial write is not held to the Secret that was probed
# first: 141
# seeds: 400
/^enum err kube_secret_patch/,/^}/s/.*add_member(body, "{\\"metadata\\":{\\"uid\\":", str_of(meta->uid));/	secret_append(body, STR("{\\"metadata\\":{\\"x\\":0"));/
/^enum err kube_secret_patch/,/^}/s/.*add_member(body, ",\\"resourceVersion\\":", str_of(meta->resource_version));//
