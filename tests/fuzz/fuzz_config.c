/* The configuration file: what is accepted can be written and read again. */
#include <assert.h>

#include "engine/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct config config, again;
	struct fault fault = { 0 };
	struct buf text;
	if (config_parse((struct str){ (const char *)data, size }, "f", &config, &fault)) return 0;
	buf_init(&text, 1 << 20);
	config_write(&config, &text);
	enum err err = config_parse(buf_str(&text), "again", &again, &fault);
	assert(!err && again.workers == config.workers &&
		again.poll_interval_s == config.poll_interval_s);
	buf_deinit(&text);
	config_deinit(&again);
	config_deinit(&config);
	return 0;
}
