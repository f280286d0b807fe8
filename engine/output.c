#include "engine/output.h"

#include <stdio.h>

enum err output_json(const cJSON *json) {
	char *text = cJSON_Print(json);
	if (!text) return ERR_NOMEM;
	enum err err = puts(text) < 0 ? ERR_IO : OK;
	cJSON_free(text);
	return err;
}

enum err output_text(struct buf *text) {
	enum err err = buf_err(text);
	if (!err && fputs(buf_cstr(text), stdout) < 0) err = ERR_IO;
	return err;
}
