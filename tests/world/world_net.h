/* tests/world/world_net.h - which hosts can be reached. One thread; time comes in. */
#pragma once

#include "base/list.h"
#include "tests/world/world.h"

enum world_link {
	WORLD_UP,
	WORLD_REFUSED, /* new connections are refused, old ones die */
	WORLD_BLACKHOLE, /* nothing comes back, on new and on old connections */
	WORLD_NXDOMAIN, /* the name does not resolve; old connections live on */
};

struct world_cut {
	struct list link;
	char *host; /* NULL: every host */
	enum world_link how;
	int64_t from_ns, until_ns; /* mono */
};

struct world_net {
	struct list cuts;
};

void world_net_init(struct world_net *net);
void world_net_deinit(struct world_net *net);
/* host empty: all hosts. Earlier cuts of the same host end. */
void world_net_cut(struct world_net *net, struct str host, enum world_link how, int64_t from_ns,
	int64_t until_ns);
void world_net_heal(struct world_net *net, struct str host); /* host empty: all cuts end */
enum world_link world_net_link(const struct world_net *net, struct now now, struct str host);
/* When a cut begins or ends next (mono_ns); NEVER_NS: only a call changes anything. */
int64_t world_net_next_ns(const struct world_net *net, struct now now);
