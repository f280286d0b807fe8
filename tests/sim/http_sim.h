/* tests/sim/http_sim.h - one exchange of the simulated HTTP; private to http_sim.c and server_sim.c. */
#pragma once

#include "tests/sim/sim.h"

enum phase { ON_ITS_WAY, ANSWERING, STREAMING, SILENT };

struct sim_http {
	struct http http;
	struct sim *sim;
	unsigned role;
	struct list exchanges; /* in the order of their start */
	struct list link;
	bool reused[HOST_COUNT];
};

struct exchange {
	struct sim_event next; /* arrival, answer, piece of a stream */
	struct sim_event timeout;
	struct list link; /* of the client; unlinked once abandoned */
	struct list all;
	struct sim *sim;
	struct sim_http *client; /* NULL: abandoned */
	struct http_req *req;
	enum phase phase;
	enum sim_host host;
	enum sim_row row;
	enum sim_fault fault;
	const char *method;
	char *url, *body, *bearer; /* copies: a server reads them even when the client has let go */
	size_t body_len;
	struct world_header headers[HTTP_MAX_HEADERS + 2]; /* and User-Agent, Authorization */
	unsigned header_count;
	struct world_response out;
	struct kube_watch *watch;
	struct buf pipe; /* bytes of the stream on their way */
	struct buf inbox; /* bytes of the stream that have arrived */
	bool streamed, stream_ended, stream_broken;
	unsigned streamed_pieces;
	bool ready;
	enum err err;
	bool maybe_sent;
};

/* The host and the rest of the URL behind it. */
struct str exchange_host(const struct exchange *x, struct str *out_path_and_query);

/* server_sim.c: the request has arrived; fills `out` (and `watch`), with what the network makes of it. */
void exchange_serve(struct exchange *x);
