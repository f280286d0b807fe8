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
	flow->debt = 0;
	if (flow == &line->rest) return;
	map_remove(&line->flows, &flow->node);
	mem_free(flow);
}

void line_reset(struct line *line) {
	list_for_each_safe (node, &line->turns)
		flow_end(line, container_of(node, struct line_flow, turn));
}

void line_deinit(struct line *line) {
	line_reset(line);
	map_deinit(&line->flows);
}

static struct line_flow *find_flow(struct line *line, uint32_t identity_hash) {
	struct str key = { (const char *)&identity_hash, sizeof identity_hash };
	struct map_node *node = map_find(&line->flows, key);
	return node ? container_of(node, struct line_flow, node) : NULL;
}

static struct line_flow *flow_of(struct line *line, uint32_t identity_hash) {
	struct line_flow *flow = find_flow(line, identity_hash);
	if (flow) return flow;
	flow = mem_zalloc(sizeof *flow);
	if (!flow) return &line->rest;
	flow->identity_hash = identity_hash;
	list_init(&flow->turn);
	list_init(&flow->ready);
	if (map_insert(&line->flows, &flow->node) == OK) return flow;
	mem_free(flow);
	return &line->rest;
}

static struct line_flow *flow_with_turn(struct line *line, const struct object *object) {
	struct line_flow *flow = flow_of(line, object->identity_hash);
	if (!list_is_linked(&flow->turn)) list_push_back(&line->turns, &flow->turn);
	return flow;
}

void line_push(struct line *line, struct object *object) {
	list_push_back(&flow_with_turn(line, object)->ready, &object->ready);
}

void line_push_front(struct line *line, struct object *object) {
	list_push_front(&flow_with_turn(line, object)->ready, &object->ready);
}

void line_charge(struct line *line, uint32_t identity_hash, int requests) {
	struct line_flow *flow = find_flow(line, identity_hash);
	if (!flow) return;
	int64_t debt = (int64_t)flow->debt + requests;
	flow->debt = debt < 0 ? 0 : debt > UINT32_MAX ? UINT32_MAX : (uint32_t)debt;
}

/* Objects may have left by themselves: whose flow is empty, and owes nothing, is forgotten when its turn comes. */
struct object *line_next(struct line *line) {
	for (struct list *node; (node = list_first(&line->turns));) {
		struct line_flow *flow = container_of(node, struct line_flow, turn);
		struct list *first = list_first(&flow->ready);
		if (!first && !flow->debt) {
			flow_end(line, flow);
			continue;
		}
		list_remove(node);
		list_push_back(&line->turns, node);
		if (flow->debt) {
			flow->debt--;
			continue;
		}
		return container_of(first, struct object, ready);
	}
	return NULL;
}
