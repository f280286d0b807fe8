#include "workers/spec.h"

#include <assert.h>

enum err block_init(struct block *block, size_t bytes) {
	char *ptr = mem_alloc(bytes);
	if (!ptr) return ERR_NOMEM;
	*block = (struct block){ ._ptr = ptr, ._cap = bytes };
	return OK;
}

void *block_alloc(struct block *block, size_t bytes, size_t align) {
	size_t at = (block->_len + align - 1) & ~(align - 1);
	assert(at + bytes >= at && at + bytes <= block->_cap);
	block->_len = at + bytes;
	memset(block->_ptr + at, 0, bytes);
	return block->_ptr + at;
}

struct str block_str(struct block *block, struct str s) {
	char *copy = block_alloc(block, s.len, 1);
	if (s.len) memcpy(copy, s.ptr, s.len);
	return (struct str){ copy, s.len };
}

const char *block_text(struct block *block, struct str s) {
	char *copy = block_alloc(block, s.len + 1, 1);
	if (s.len) memcpy(copy, s.ptr, s.len);
	return copy;
}

/* Reference counts: an increment needs no order, the last decrement must see every earlier use. */
static void ref_get(_Atomic unsigned *ref) {
	unsigned before = atomic_fetch_add_explicit(ref, 1, memory_order_relaxed);
	assert(before > 0);
}

static bool ref_put(_Atomic unsigned *ref) {
	unsigned before = atomic_fetch_sub_explicit(ref, 1, memory_order_acq_rel);
	assert(before > 0);
	return before == 1;
}

void spc_unref(struct spc *spc) {
	if (!spc || !ref_put(&spc->ref)) return;
	interned_put((struct interned *)spc->access);
	mem_free(spc);
}

struct spc_cell *spc_cell_create(struct str key) {
	struct spc_cell *cell = mem_zalloc(offsetof(struct spc_cell, key) + key.len + 1);
	if (!cell) return NULL;
	memcpy(cell->key, key.ptr, key.len);
	atomic_init(&cell->ref, 1);
	list_init(&cell->objects);
	return cell;
}

void spc_cell_unref(struct spc_cell *cell) {
	if (!cell || !ref_put(&cell->ref)) return;
	assert(list_is_empty(&cell->objects));
	spc_unref(cell->now);
	mem_free(cell);
}

struct spc *spc_borrow(struct spc_cell *cell) {
	rcu_read_scope();
	struct spc *spc = rcu_load(cell->now);
	if (spc) ref_get(&spc->ref);
	return spc;
}

struct spc *spc_publish(struct spc_cell *cell, struct spc *spc) {
	return rcu_swap(cell->now, spc);
}

void spec_unref(struct spec *spec) {
	if (!spec || !ref_put(&spec->ref)) return;
	spc_cell_unref(spec->cell);
	interned_put((struct interned *)spec->common);
	mem_free(spec);
}

struct str spec_uid(const struct spec *spec) {
	return str_of(spec->uid);
}

struct str spec_class_name(const struct spec *spec) {
	struct str key = str_of(spec->cell ? spec->cell->key : "");
	return spec->cell ? str_slice(key, str_find_char(key, '/') + 1, key.len) : key;
}
