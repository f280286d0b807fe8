#include "base/intern.h"

#include <assert.h>

#include "base/mem.h"

enum { LOOKS_PER_ADD = 2 };

static struct interned *of_node(const struct map_node *node) {
	return container_of(node, struct interned, _node);
}

static struct str key_of(const struct map_node *node) {
	return of_node(node)->_key;
}

void intern_init(struct intern *table, struct hash_key key) {
	map_init(&table->_values, key, key_of);
	list_init(&table->_order);
}

static void drop(struct intern *table, struct interned *value) {
	map_remove(&table->_values, &value->_node);
	list_remove(&value->_order);
	interned_put(value);
}

void intern_deinit(struct intern *table) {
	for (struct list *node; (node = list_first(&table->_order));)
		drop(table, container_of(node, struct interned, _order));
	map_deinit(&table->_values);
}

struct interned *intern_find(struct intern *table, struct str key) {
	struct map_node *node = map_find(&table->_values, key);
	if (!node) return NULL;
	struct interned *value = of_node(node);
	unsigned before = atomic_fetch_add_explicit(&value->_ref, 1, memory_order_relaxed);
	assert(before > 0);
	return value;
}

/* Nobody but the owner makes a reference out of the table's, so that a value that only the table has stays so meanwhile. */
static void look(struct intern *table) {
	struct list *node = list_first(&table->_order);
	if (!node) return;
	struct interned *value = container_of(node, struct interned, _order);
	list_remove(node);
	list_push_back(&table->_order, node);
	if (atomic_load_explicit(&value->_ref, memory_order_acquire) == 1) drop(table, value);
}

enum err intern_add(struct intern *table, struct interned *value, struct str key) {
	value->_key = key;
	list_init(&value->_order);
	atomic_init(&value->_ref, table ? 2 : 1);
	if (!table) return OK;
	assert(!map_find(&table->_values, key));
	for (int i = 0; i < LOOKS_PER_ADD; i++) look(table);
	enum err err = map_insert(&table->_values, &value->_node);
	if (!err) list_push_back(&table->_order, &value->_order);
	return err;
}

size_t intern_count(const struct intern *table) {
	return map_count(&table->_values);
}

void intern_key_add(struct buf *key, struct str text) {
	uint32_t len = (uint32_t)text.len;
	buf_append(key, (struct str){ (const char *)&len, sizeof len });
	buf_append(key, text);
}

struct str intern_key_next(struct str *rest) {
	uint32_t len;
	assert(rest->len >= sizeof len);
	memcpy(&len, rest->ptr, sizeof len);
	struct str text = { rest->ptr + sizeof len, len };
	assert(text.len <= rest->len - sizeof len);
	*rest = (struct str){ text.ptr + text.len, rest->len - sizeof len - text.len };
	return text;
}

void interned_put(struct interned *value) {
	if (!value) return;
	unsigned before = atomic_fetch_sub_explicit(&value->_ref, 1, memory_order_acq_rel);
	assert(before > 0);
	if (before == 1) mem_free(value);
}
