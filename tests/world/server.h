/* tests/world/server.h - the models behind sockets: an epoll loop, TLS, HTTP/1.1 and HTTP/2, a CONNECT proxy, a control port.
 *
 * Everything listens on loopback. One thread.
 */
#pragma once

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/loop.h"
#include "tests/world/azure.h"
#include "tests/world/kube.h"
#include "tests/world/world_log.h"
#include "tests/world/world_net.h"

enum server_kind {
	SERVER_AZURE,
	SERVER_KUBE,
	SERVER_PROXY,
	SERVER_CONTROL,
	SERVER_IMDS,
	SERVER_KINDS
};

struct server;

struct listener {
	struct loop_fd watch;
	struct server *server;
	enum server_kind kind;
	unsigned port;
};

/* One exchange: the whole of an HTTP/1.1 connection's present, or one HTTP/2 stream. */
struct exchange {
	struct list link; /* among the exchanges of its connection */
	struct list watch_link; /* among all open watches */
	struct conn *conn;
	int32_t stream_id; /* HTTP/2; 0: HTTP/1.1 */
	struct buf head; /* HTTP/2: header names and values, one after the other */
	uint32_t marks[2 * WORLD_MAX_HEADERS + 1]; /* where they begin in head */
	unsigned mark_count;
	struct buf body;
	struct world_response out;
	size_t sent; /* bytes of out.body that went to HTTP/2 */
	int64_t due_ns; /* the answer leaves then */
	bool handled; /* the model has answered */
	bool started; /* headers were sent */
	struct kube_watch *watch;
	enum kube_watch_state watch_state;
};

struct conn {
	struct loop_fd watch;
	struct list link; /* in server.conns, or in server.dead */
	struct list resume; /* in server.resumed: one of its watches has something to send */
	struct heap_node timer;
	struct server *server;
	enum server_kind kind; /* a proxy's connection becomes SERVER_AZURE after CONNECT */
	char host[256]; /* whom the client believes to talk to; "kube" for the API server */
	SSL *ssl; /* NULL: plain */
	bool handshaken;
	bool frozen; /* black hole: nothing is read, nothing is written */
	bool stalled; /* HTTP/1.1: no further answer ever */
	bool closing; /* closes once `out` is sent */
	bool dead; /* freed at the end of the turn */
	bool close_after; /* HTTP/1.1: the client asked for it */
	bool want_write;
	unsigned served; /* requests */
	int64_t idle_ns; /* mono: closed then when nothing comes */
	struct buf in, out;
	size_t out_sent;
	nghttp2_session *h2; /* NULL: HTTP/1.1 */
	struct list exchanges;
};

struct server {
	struct clock *clock;
	struct now now; /* of the callback that runs */
	struct loop *loop;
	struct heap timers;
	struct list conns;
	struct list dead; /* connections that are freed at the end of the turn */
	struct list resumed;
	struct list watches;
	struct listener listeners[SERVER_KINDS];
	struct azure *azure;
	struct kube_world *kube; /* NULL: Azure only */
	struct world_net net;
	struct world_log *log;
	SSL_CTX *tls[2]; /* SERVER_AZURE, SERVER_KUBE */
	bool azure_h2; /* offers HTTP/2 for Key Vault and Entra as well */
	int64_t idle_close_ns; /* of Azure connections */
	uint64_t connections[SERVER_KINDS];
	struct fleet *fleet; /* control_fleet.c; NULL: none was asked for */
};

/* server.c. The models are borrowed. False: a port or memory could not be had; errno tells. */
bool server_start(struct server *server, struct clock *clock, struct loop *loop,
	struct azure *azure, struct kube_world *kube);
void server_stop(struct server *server);
/* One turn: waits for the loop, at most until deadline_ns. */
void server_turn(struct server *server, int64_t deadline_ns);
/* Brings connections in line with the cuts: kills, freezes, thaws. */
void server_apply_net(struct server *server);

/* conn.c. open takes the descriptor. A killed connection is freed at the end of the turn, by conn_free. */
void conn_open(struct listener *listener, int fd);
void conn_kill(struct conn *conn, bool reset);
void conn_free(struct conn *conn);
void conn_freeze(struct conn *conn, bool frozen);
void conn_flush(struct conn *conn);
void conn_resume(struct conn *conn); /* does what is due */
void conn_schedule(struct conn *conn); /* sets its timer to what is due next */
void conn_start_tls(struct conn *conn); /* the TLS server begins on a plain connection */

/* server_exchange.c */
struct exchange *exchange_create(struct conn *conn, int32_t stream_id);
void exchange_destroy(struct exchange *exchange);
/* Lets the model answer. The request is borrowed for the call. */
void exchange_handle(struct exchange *exchange, const struct world_request *req);
/* Polls a watch; true: there is something to send, or it is over. */
bool exchange_poll(struct exchange *exchange);
/* When it has something to send. NEVER_NS: not before its client takes more, or it is over. */
int64_t exchange_next_ns(const struct exchange *exchange);
void exchange_peer(const struct conn *conn, struct world_request *req, char names[static 512]);
void world_gzip(struct buf *body); /* RFC 1952 with stored blocks */

/* h1.c, h2.c: feed takes what is in conn->in, resume does what is due. */
void h1_feed(struct conn *conn);
void h1_resume(struct conn *conn);
void h2_start(struct conn *conn);
void h2_feed(struct conn *conn);
void h2_resume(struct conn *conn);
bool h2_pump(struct conn *conn); /* true: there is something in conn->out now */

/* proxy.c */
void proxy_connect(struct conn *conn, struct str target);

/* tls.c: a CA, and a server certificate for the names of the world; `dir` gets ca.pem, admin.pem and admin-key.pem. */
bool tls_make(const char *dir, const char *suffix, bool azure_h2, SSL_CTX *out_contexts[static 2]);

/* control.c: words ("secret", "fault", ...) with an object each. NULL: done; else what was wrong (the caller's, mem_free). */
char *control_apply(
	struct server *server, struct now now, struct str word, const cJSON *item, cJSON *answer);
char *control_kube_apply(struct server *server, struct now now, struct str word, const cJSON *item);
/* A whole document: {"secrets": [..], "faults": [..]}; members are the words in the plural. */
char *control_apply_all(struct server *server, struct now now, const cJSON *document);
/* control_fleet.c */
void fleet_destroy(struct fleet *fleet); /* NULL is fine */
cJSON *fleet_times_json(struct fleet *fleet);
void control_handle(struct server *server, struct now now, const struct world_request *req,
	struct world_response *out);
