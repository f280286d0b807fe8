/* engine/output.h - what a command prints to standard output. Main thread only. ERR_IO, ERR_NOMEM. */
#pragma once

#include <cjson/cJSON.h>

#include "base/buf.h"

enum err output_json(const cJSON *json); /* indented, with a line end behind it */
enum err output_text(struct buf *text); /* fails when the buffer has failed */
