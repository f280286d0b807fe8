/* The sockets of the libcurl client: the loop watches them, and what a turn sends leaves together. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "clients/http_curl_impl.h"

enum { USER_TIMEOUT_MS = 10000 };

/* One socket: a connection, idle ones included, or one of libcurl's own (its resolver wakes it by one). */
struct connection {
	struct list link; /* in site_multi.connections */
	struct site_multi *site;
	struct loop_fd watch;
	bool own; /* opened and closed here */
	bool watched; /* by the loop */
	bool wanted; /* by libcurl. It lets go of a connection with each exchange, and takes it up with the next: what an idle one
	              * costs, should its server end it, is less than to tell the kernel twice for each exchange */
};

/* --- libcurl asks the loop --- */

void site_act(struct site_multi *site, curl_socket_t socket, int events) {
	int running;
	site->may_have_sent = true;
	/* It returns early when it is out of memory, and some exchange is left without a socket or timer that drives it. */
	if (curl_multi_socket_action(site->multi, socket, events, &running) != CURLM_OK)
		site->stuck = true;
}

static void unwatch(struct connection *connection) {
	if (connection->watched) loop_remove(connection->site->owner->loop, &connection->watch);
	connection->watched = false;
}

static void socket_ready(struct loop_fd *watch, uint32_t events) {
	struct connection *connection = container_of(watch, struct connection, watch);
	int action = 0;
	/* libcurl sees for itself that it is dead, before it uses it again. */
	if (!connection->wanted) {
		unwatch(connection);
		return;
	}
	if (events & EPOLLIN) action |= CURL_CSELECT_IN;
	if (events & EPOLLOUT) action |= CURL_CSELECT_OUT;
	if (events & (EPOLLERR | EPOLLHUP)) action |= CURL_CSELECT_ERR;
	/* `connection` may be freed inside. What has ended is seen by the turn. */
	site_act(connection->site, watch->fd, action);
}

static struct connection *find_connection(const struct site_multi *site, curl_socket_t socket) {
	return (size_t)socket < site->by_fd_count ? site->by_fd[socket] : NULL;
}

/* Room in the table for this descriptor. */
static bool reserve(struct site_multi *site, curl_socket_t socket) {
	size_t count = site->by_fd_count ? site->by_fd_count : 64;
	while (count <= (size_t)socket) count *= 2;
	if (count == site->by_fd_count) return true;
	struct connection **grown = mem_realloc(site->by_fd, count * sizeof(struct connection *));
	if (!grown) return false;
	for (size_t i = site->by_fd_count; i < count; i++) grown[i] = NULL;
	site->by_fd = grown;
	site->by_fd_count = count;
	return true;
}

static void drop_connection(struct connection *connection) {
	unwatch(connection);
	connection->site->by_fd[connection->watch.fd] = NULL;
	list_remove(&connection->link);
	mem_free(connection);
}

static struct connection *add_connection(struct site_multi *site, curl_socket_t socket) {
	if (!reserve(site, socket)) return NULL;
	struct connection *connection = mem_zalloc(sizeof *connection);
	if (!connection) return NULL;
	/* Closed by libcurl without a word. */
	if (site->by_fd[socket]) drop_connection(site->by_fd[socket]);
	connection->site = site;
	connection->watch = (struct loop_fd){ .fd = socket, .ready = socket_ready };
	list_push_back(&site->connections, &connection->link);
	site->by_fd[socket] = connection;
	return connection;
}

static enum err watch(struct connection *connection, uint32_t events) {
	struct loop *loop = connection->site->owner->loop;
	connection->wanted = true;
	if (connection->watched && connection->watch.events == events) return OK;
	if (connection->watched) return loop_change(loop, &connection->watch, events);
	connection->watch.events = events;
	enum err err = loop_add(loop, &connection->watch);
	connection->watched = !err;
	return err;
}

static void let_rest(struct connection *connection) {
	connection->wanted = false;
	if (!connection->own) drop_connection(connection);
}

int site_watch_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg) {
	struct site_multi *site = arg;
	struct connection *connection = find_connection(site, socket);
	uint32_t events =
		(what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	(void)easy, (void)socket_arg;
	if (what == CURL_POLL_REMOVE) {
		if (connection) let_rest(connection);
		return 0;
	}
	if (!connection) connection = add_connection(site, socket);
	enum err err = connection ? watch(connection, events) : ERR_NOMEM;
	/* An error told to libcurl would make the whole multi unusable; the turn ends its requests instead. */
	if (err) site->stuck = true;
	return 0;
}

/* --- connections --- */

/* Exchanges share a connection. */
static bool is_multiplexed(const struct site_multi *site) {
	return site->site.version == HTTP_VERSION_2 && !site->site.own_connection;
}

static void set_option(int fd, int option, int value) {
	/* A kernel that refuses leaves us with the request's own timeout, or with more packets. */
	(void)setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value);
}

curl_socket_t site_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address) {
	struct transfer *transfer = arg;
	(void)purpose;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd < 0) return CURL_SOCKET_BAD;
	struct connection *connection = add_connection(transfer->site, fd);
	if (!connection) {
		close(fd);
		return CURL_SOCKET_BAD;
	}
	connection->own = true;
	/* Bytes that nobody acknowledges end the connection: a route that has become a black hole is noticed. */
	set_option(fd, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
	/* libcurl sends headers and body of each exchange apart, and a packet costs more than all else of it. What a turn sends
	 * waits in the socket for the turn's end; should nobody come, the kernel sends it after 200 ms. */
	if (is_multiplexed(transfer->site)) set_option(fd, TCP_CORK, 1);
	transfer->opened_socket = true;
	return fd;
}

int site_close_socket(void *arg, curl_socket_t socket) {
	struct connection *connection = find_connection(arg, socket);
	if (connection) drop_connection(connection);
	return close(socket);
}

void site_close_all(struct site_multi *site) {
	for (struct list *open; (open = list_first(&site->connections));) {
		struct connection *connection = container_of(open, struct connection, link);
		int fd = connection->own ? connection->watch.fd : -1;
		drop_connection(connection);
		if (fd >= 0) close(fd);
	}
	mem_free(site->by_fd);
}

/* Set once more, TCP_NODELAY sends what the cork has kept: tcp(7). */
void site_push(struct site_multi *site) {
	if (!site->may_have_sent || !is_multiplexed(site)) return;
	site->may_have_sent = false;
	list_for_each (link, &site->connections)
		set_option(container_of(link, struct connection, link)->watch.fd, TCP_NODELAY, 1);
}

static int64_t silent_for_ns(int fd) {
	struct tcp_info info;
	socklen_t bytes = sizeof info;
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes)) return 0;
	return info.tcpi_last_data_recv * NS_PER_MS;
}

/* libcurl 7.88 keeps an HTTP/2 connection on which a stream timed out and gives it to the next request, and it does not
 * tell which one that is (CURLINFO_ACTIVESOCKET is of an earlier request while others share the connection). So every
 * connection goes that has brought nothing at all since this request went out; the others are alive. */
void site_end_dead_connections(const struct transfer *transfer) {
	struct site_multi *site = transfer->site;
	if (site->site.version != HTTP_VERSION_2 || !transfer->sends) return;
	int64_t waited_ns = transfer_now(transfer).mono_ns - transfer->sent_ns;
	/* The answer to the handshake may have come in just when the request went out. */
	int64_t silence_ns = waited_ns - waited_ns / 8;
	list_for_each (link, &site->connections) {
		const struct connection *connection = container_of(link, struct connection, link);
		if (connection->own && silent_for_ns(connection->watch.fd) >= silence_ns)
			shutdown(connection->watch.fd, SHUT_RDWR);
	}
}
