/* engine/secret_file.h - a file straight into secret memory. Any thread; blocks on the disk. */
#pragma once

#include "base/secret.h"

/* Appends the whole file. ERR_IO (the fault names the path and the system's reason), ERR_TOO_LARGE, ERR_NOMEM. */
enum err secret_file_read(const char *path, struct secret *out_content, struct fault *fault);
