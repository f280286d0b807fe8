/* tests/world/world_net.c */
#include "tests/world/world_net.h"

#include <assert.h>

void world_net_init(struct world_net *net) {
	list_init(&net->cuts);
}

static void cut_free(struct world_cut *cut) {
	list_remove(&cut->link);
	mem_free(cut->host);
	mem_free(cut);
}

void world_net_deinit(struct world_net *net) {
	if (net->cuts._next) world_net_heal(net, STR_NULL);
	*net = (struct world_net){ 0 };
}

void world_net_cut(struct world_net *net, struct str host, enum world_link how, int64_t from_ns,
	int64_t until_ns) {
	assert(how != WORLD_UP && from_ns < until_ns);
	if (host.len) world_net_heal(net, host);
	struct world_cut *cut = mem_zalloc(sizeof(*cut));
	assert(cut);
	cut->host = host.len ? mem_strdup(host) : NULL;
	cut->how = how;
	cut->from_ns = from_ns;
	cut->until_ns = until_ns;
	list_push_back(&net->cuts, &cut->link);
}

void world_net_heal(struct world_net *net, struct str host) {
	list_for_each_safe (node, &net->cuts) {
		struct world_cut *cut = container_of(node, struct world_cut, link);
		if (!host.len || (cut->host && str_eq_nocase(str_of(cut->host), host)))
			cut_free(cut);
	}
}

enum world_link world_net_link(const struct world_net *net, struct now now, struct str host) {
	list_for_each (node, &net->cuts) {
		const struct world_cut *cut = container_of(node, struct world_cut, link);
		if (now.mono_ns < cut->from_ns || now.mono_ns >= cut->until_ns) continue;
		if (!cut->host || str_eq_nocase(str_of(cut->host), host)) return cut->how;
	}
	return WORLD_UP;
}

int64_t world_net_next_ns(const struct world_net *net, struct now now) {
	int64_t next_ns = NEVER_NS;
	list_for_each (node, &net->cuts) {
		const struct world_cut *cut = container_of(node, struct world_cut, link);
		if (cut->from_ns > now.mono_ns && cut->from_ns < next_ns) next_ns = cut->from_ns;
		if (cut->until_ns > now.mono_ns && cut->until_ns < next_ns) next_ns = cut->until_ns;
	}
	return next_ns;
}
