/* A kubeconfig: it is understood whole, or refused with a text that shows no secret. */
#include <assert.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/kubeconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static struct secret_arena *arena;
	struct kube_access access;
	struct fault fault = { 0 };
	char path[64];
	if (!arena) arena = secret_arena_create(16 << 20);
	int file = memfd_create("kubeconfig", MFD_CLOEXEC);
	assert(file >= 0 && write(file, data, size) == (ssize_t)size);
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	enum err err = kubeconfig_read(path, NULL, arena, &access, &fault);
	close(file);
	if (err) {
		assert(fault.err == err && fault.text[0]);
	} else {
		assert(access.server && access.ns && access.description);
		assert((buf_str(&access.client_cert_pem).len > 0) ==
			(secret_len(&access.client_key_pem) > 0));
		kube_access_deinit(&access);
	}
	assert(secret_arena_used_bytes(arena) == 0);
	return 0;
}
