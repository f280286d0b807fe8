#include "engine/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <unistd.h>

static enum err read_all(int file, struct secret *out_content) {
	char piece[4096];
	ssize_t got = 0;
	while ((got = read(file, piece, sizeof piece)) > 0 || (got < 0 && errno == EINTR)) {
		if (got > 0) secret_append(out_content, (struct str){ piece, (size_t)got });
		if (secret_err(out_content)) break;
	}
	OPENSSL_cleanse(piece, sizeof piece);
	return got < 0 ? ERR_IO : secret_err(out_content);
}

enum err secret_file_read(const char *path, struct secret *out_content, struct fault *fault) {
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return fault_set(fault, ERR_IO, "%s cannot be opened: %s", path, strerror(errno));
	enum err err = read_all(file, out_content);
	int reason = errno;
	close(file);
	if (err == ERR_IO)
		return fault_set(fault, err, "%s cannot be read: %s", path, strerror(reason));
	return err ? fault_set(fault, err, "%s is too large", path) : OK;
}
