/* engine/status_server.h - our own HTTP port: /livez, /readyz, /metrics.
 *
 * libmicrohttpd answers from a thread of its own, so that a loop that hangs can be named, and an
 * answer never costs a turn of main. What it reads are numbers that their owners publish as atomics;
 * no secret is among them, and no label names an object.
 *
 *                         | main | the server's thread |
 *   status_server_*       |  x   |                     |
 *   read, read_worker     |      |          x          |  wait-free, any state of the engine
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "workers/pool.h"

/* A turn that lasts longer than this is a loop that hangs. */
static const int64_t STATUS_TURN_NS = 10 * NS_PER_S;

struct status_numbers {
	bool ready; /* both lists were complete once */
	bool secrets_watched;
	size_t syncs, classes;
	struct loop_turns turns; /* of main's loop */
	unsigned workers;
};

struct status_options {
	unsigned port; /* 0: any free one */
	const char *address; /* numeric; NULL: every address, IPv6 and IPv4; kept */
	struct clock *clock; /* kept; read by any thread */
	void (*read)(void *arg, struct status_numbers *out_numbers);
	void (*read_worker)(void *arg, unsigned index, struct worker_numbers *out_numbers);
	void *arg;
};

struct status_server;

/* ERR_INVALID when `address` is none; ERR_IO, with the reason, when it cannot listen there. */
enum err status_server_start(const struct status_options *options,
	struct status_server **out_server, struct fault *fault);

/* Returns when its thread has ended and its connections are closed. NULL is fine. */
void status_server_stop(struct status_server *server);

/* The port on which it listens. */
unsigned status_server_port(const struct status_server *server);

/* The bodies of the answers; the HTTP status is returned. status_text.c; any thread. */
unsigned status_write_live(const struct status_options *options, struct buf *out_text);
unsigned status_write_ready(const struct status_options *options, struct buf *out_text);
unsigned status_write_metrics(const struct status_options *options, struct buf *out_text);
