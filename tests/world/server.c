/* tests/world/server.c - listeners, and one turn of the loop. */
#include "tests/world/server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void listener_ready(struct loop_fd *watch, uint32_t events) {
	(void)events;
	struct listener *listener = container_of(watch, struct listener, watch);
	listener->server->now = clock_now(listener->server->clock);
	for (;;) {
		int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) break;
		conn_open(listener, fd);
	}
}

static bool listener_start(struct server *server, enum server_kind kind) {
	struct listener *listener = &server->listeners[kind];
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	address.sin_port = htons((uint16_t)listener->port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
	if (fd < 0) return false;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	listener->watch = (struct loop_fd){ .fd = fd, .events = EPOLLIN, .ready = listener_ready };
	listener->server = server;
	listener->kind = kind;
	if (bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 1024) != 0 ||
		getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
		return false;
	}
	listener->port = ntohs(address.sin_port);
	return loop_add(server->loop, &listener->watch) == OK;
}

bool server_start(struct server *server, struct clock *clock, struct loop *loop,
	struct azure *azure, struct kube_world *kube) {
	assert(server->tls[SERVER_AZURE] && server->tls[SERVER_KUBE]);
	server->clock = clock;
	server->now = clock_now(clock);
	server->loop = loop;
	server->azure = azure;
	server->kube = kube;
	server->idle_close_ns = 120 * NS_PER_S;
	heap_init(&server->timers);
	list_init(&server->conns);
	list_init(&server->dead);
	list_init(&server->resumed);
	list_init(&server->watches);
	world_net_init(&server->net);
	server->log = world_log_create();
	for (int kind = 0; kind < SERVER_KINDS; kind++) server->listeners[kind].watch.fd = -1;
	for (int kind = 0; kind < SERVER_KINDS; kind++) {
		if (kind == SERVER_KUBE && !kube) continue;
		if (!listener_start(server, (enum server_kind)kind)) return false;
	}
	return true;
}

static void free_dead(struct server *server) {
	list_for_each_safe (node, &server->dead) conn_free(container_of(node, struct conn, link));
}

void server_stop(struct server *server) {
	for (int kind = 0; kind < SERVER_KINDS; kind++) {
		struct listener *listener = &server->listeners[kind];
		if (listener->watch.fd < 0) continue;
		loop_remove(server->loop, &listener->watch);
		close(listener->watch.fd);
		listener->watch.fd = -1;
	}
	list_for_each_safe (node, &server->conns)
		conn_kill(container_of(node, struct conn, link), false);
	free_dead(server);
	heap_deinit(&server->timers);
	world_net_deinit(&server->net);
	world_log_destroy(take(server->log));
	fleet_destroy(take(server->fleet));
}

void server_apply_net(struct server *server) {
	struct now now = server->now;
	list_for_each_safe (node, &server->conns) {
		struct conn *conn = container_of(node, struct conn, link);
		if (!conn->host[0]) continue;
		enum world_link link = world_net_link(&server->net, now, str_of(conn->host));
		if (link == WORLD_REFUSED) {
			conn_kill(conn, true);
		} else if (conn->frozen != (link == WORLD_BLACKHOLE)) {
			conn_freeze(conn, link == WORLD_BLACKHOLE);
		}
	}
}

static void run_timers(struct server *server, struct now now) {
	while (heap_first_ns(&server->timers) <= now.mono_ns) {
		struct conn *conn = container_of(heap_first(&server->timers), struct conn, timer);
		heap_remove(&server->timers, &conn->timer);
		if (conn->idle_ns <= now.mono_ns) {
			conn_kill(conn, false);
		} else {
			conn_resume(conn);
		}
	}
}

static int64_t run_kube(struct server *server, struct now now) {
	if (!server->kube) return NEVER_NS;
	int64_t next_ns = kube_run_controllers(server->kube, now);
	list_for_each (node, &server->watches) {
		struct exchange *exchange = container_of(node, struct exchange, watch_link);
		struct conn *conn = exchange->conn;
		if (conn->dead || conn->frozen) continue;
		bool resumes = exchange_poll(exchange);
		if (resumes && !list_is_linked(&conn->resume))
			list_push_back(&server->resumed, &conn->resume);
	}
	/* Behind the walk: a resumed connection may end its watches, which unlinks them. */
	for (struct list *node; (node = list_pop(&server->resumed));)
		conn_resume(container_of(node, struct conn, resume));
	/* Only now is it seen what their clients have taken. */
	list_for_each (node, &server->watches) {
		const struct exchange *exchange = container_of(node, struct exchange, watch_link);
		if (exchange->conn->dead || exchange->conn->frozen) continue;
		int64_t at_ns = exchange_next_ns(exchange);
		if (at_ns < next_ns) next_ns = at_ns;
	}
	return next_ns;
}

void server_turn(struct server *server, int64_t deadline_ns) {
	struct now now = server->now;
	int64_t cut_ns = world_net_next_ns(&server->net, now), kube_ns = run_kube(server, now);
	free_dead(server);
	if (heap_first_ns(&server->timers) < deadline_ns)
		deadline_ns = heap_first_ns(&server->timers);
	if (cut_ns < deadline_ns) deadline_ns = cut_ns;
	if (kube_ns < deadline_ns) deadline_ns = kube_ns;
	loop_wait(server->loop, deadline_ns);
	now = server->now = clock_now(server->clock);
	if (now.mono_ns >= cut_ns) server_apply_net(server);
	run_timers(server, now);
}
