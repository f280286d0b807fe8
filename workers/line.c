#include "workers/line.h"

#include <assert.h>

static struct str flow_key(const struct map_node *node) {
	const struct line_flow *flow = container_of(node, struct line_flow, node);
	return (struct str){ (const char *)&flow->identity_hash, sizeof flow->identity_hash };
}

void line_init(struct line *line, struct hash_key key) {
	*line = (struct line){ 0 };
	map_init(&line->flows, key, flow_key);
	list_init(&line->turns);
	list_init(&line->rest.turn);
	list_init(&line->rest.ready);
}

static void flow_end(struct line *line, struct line_flow *flow) {
	assert(list_is_empty(&flow->ready));
	list_remove(&flow->turn);
	if (flow == &line->rest) return;
	map_remove(&line->flows, &flow->node);
	mem_free(flow);
}

void line_deinit(struct line *line) {
	list_for_each_safe (node, &line->turns)
		flow_end(line, container_of(node, struct line_flow, turn));
	map_deinit(&line->flows);
}

static struct line_flow *flow_of(struct line *line, uint32_t identity_hash) {
	struct str key = { (const char *)&identity_hash, sizeof identity_hash };
	struct map_node *node = map_find(&line->flows, key);
	if (node) return container_of(node, struct line_flow, node);
	struct line_flow *flow = mem_zalloc(sizeof *flow);
	if (!flow) return &line->rest;
	flow->identity_hash = identity_hash;
	list_init(&flow->turn);
	list_init(&flow->ready);
	if (map_insert(&line->flows, &flow->node) == OK) return flow;
	mem_free(flow);
	return &line->rest;
}

void line_push(struct line *line, struct object *object) {
	struct line_flow *flow = flow_of(line, object->identity_hash);
	list_push_back(&flow->ready, &object->ready);
	if (!list_is_linked(&flow->turn)) list_push_back(&line->turns, &flow->turn);
}

/* Objects may have left by themselves: whose flow is empty when its turn comes is forgotten. */
struct object *line_next(struct line *line) {
	for (struct list *node; (node = list_first(&line->turns));) {
		struct line_flow *flow = container_of(node, struct line_flow, turn);
		struct list *first = list_first(&flow->ready);
		if (!first) {
			flow_end(line, flow);
			continue;
		}
		list_remove(node);
		list_push_back(&line->turns, node);
		return container_of(first, struct object, ready);
	}
	return NULL;
}
