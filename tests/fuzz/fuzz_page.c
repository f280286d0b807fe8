/* A page of a LIST: every item lies inside the body, and the scan comes to an end. */
#include <assert.h>
#include <stdint.h>

#include "engine/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct str body = { (const char *)data, size }, item;
	struct page page;
	page_init(&page, body);
	for (size_t steps = 0; page_next(&page, &item) == PAGE_ITEM; steps++) {
		assert(item.len > 0 && item.ptr >= body.ptr);
		assert(item.ptr + item.len <= body.ptr + body.len && steps < size);
	}
	return 0;
}
