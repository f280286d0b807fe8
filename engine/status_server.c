#include "engine/status_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/mem.h"

enum {
	CONNECTIONS = 32,
	CONNECTION_TIMEOUT_S = 5,
	CONNECTION_BYTES = 8 << 10,
	BACKLOG = 32,
	TEXT_BYTES = 256 << 10,
};

struct status_server {
	struct status_options options; /* const */
	struct MHD_Daemon *daemon; /* main */
	unsigned port; /* const */
};

/* --- answers: the server's thread --- */

static enum MHD_Result send_text(
	struct MHD_Connection *connection, unsigned status, const char *type, struct str text) {
	struct MHD_Response *response = MHD_create_response_from_buffer(
		text.len, (void *)(uintptr_t)text.ptr, MHD_RESPMEM_MUST_COPY);
	if (!response) return MHD_NO;
	enum MHD_Result result = MHD_add_response_header(response, "Content-Type", type);
	if (result == MHD_YES) MHD_add_response_header(response, "Cache-Control", "no-store");
	if (result == MHD_YES && status == MHD_HTTP_METHOD_NOT_ALLOWED)
		result = MHD_add_response_header(response, "Allow", "GET, HEAD");
	if (result == MHD_YES) result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static const struct {
	const char *path, *type;
	unsigned (*write)(const struct status_options *options, struct buf *out_text);
} PAGES[] = {
	{ "/livez", "text/plain; charset=utf-8", status_write_live },
	{ "/readyz", "text/plain; charset=utf-8", status_write_ready },
	{ "/metrics", "text/plain; version=0.0.4; charset=utf-8", status_write_metrics },
};

static enum MHD_Result answer(void *arg, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *body, size_t *body_len, void **state) {
	const struct status_server *server = arg;
	static const char plain[] = "text/plain; charset=utf-8";
	(void)version, (void)body, (void)body_len, (void)state;
	bool reads = str_eq(str_of(method), STR("GET")) || str_eq(str_of(method), STR("HEAD"));
	if (!reads) {
		return send_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, plain,
			STR("only GET and HEAD are answered here\n"));
	}
	for (size_t i = 0; i < sizeof PAGES / sizeof *PAGES; i++) {
		if (!str_eq(str_of(url), str_of(PAGES[i].path))) continue;
		struct buf text;
		buf_init(&text, TEXT_BYTES);
		unsigned status = PAGES[i].write(&server->options, &text);
		enum MHD_Result result = MHD_NO;
		if (buf_err(&text) == OK)
			result = send_text(connection, status, PAGES[i].type, buf_str(&text));
		buf_deinit(&text);
		return result;
	}
	return send_text(connection, MHD_HTTP_NOT_FOUND, plain,
		STR("here are /livez, /readyz and /metrics\n"));
}

/* --- the listening socket --- */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Length 0: no numeric address. */
static socklen_t parse_address(const char *text, unsigned port, union address *out) {
	*out = (union address){ 0 };
	if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
		out->v4.sin_family = AF_INET;
		out->v4.sin_port = htons((uint16_t)port);
		return sizeof out->v4;
	}
	if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) != 1) return 0;
	out->v6.sin6_family = AF_INET6;
	out->v6.sin6_port = htons((uint16_t)port);
	return sizeof out->v6;
}

/* -1 with errno. An IPv6 wildcard takes IPv4, too. */
static int listen_at(const union address *address, socklen_t bytes) {
	int yes = 1, no = 0;
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (address->any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
	if (bind(fd, &address->any, bytes) == 0 && listen(fd, BACKLOG) == 0) return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

static enum err open_listener(
	const struct status_options *options, int *out_fd, struct fault *fault) {
	union address address;
	const char *text = options->address ? options->address : "::";
	socklen_t bytes = parse_address(text, options->port, &address);
	if (!bytes) return fault_set(fault, ERR_INVALID, "\"%s\" is no IP address", text);
	*out_fd = listen_at(&address, bytes);
	bool no_ipv6 = *out_fd < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL);
	if (no_ipv6 && !options->address) {
		text = "0.0.0.0";
		*out_fd = listen_at(&address, parse_address(text, options->port, &address));
	}
	if (*out_fd >= 0) return OK;
	return fault_set(fault, ERR_IO,
		"cannot listen on port %u of %s: %s; choose another port, "
		"or 0 for none",
		options->port, text, strerror(errno));
}

static unsigned port_of(int fd) {
	union address address = { 0 };
	socklen_t bytes = sizeof address;
	if (getsockname(fd, &address.any, &bytes)) return 0;
	return ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
}

/* --- life --- */

enum err status_server_start(const struct status_options *options,
	struct status_server **out_server, struct fault *fault) {
	int fd = -1;
	struct status_server *server = mem_zalloc(sizeof *server);
	if (!server) return fault_set(fault, ERR_NOMEM, "out of memory");
	server->options = *options;
	enum err err = open_listener(options, &fd, fault);
	if (err) goto failed;
	server->port = port_of(fd);
	server->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer,
		server, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)CONNECTION_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_BYTES, MHD_OPTION_END);
	if (server->daemon) {
		*out_server = server;
		return OK;
	}
	close(fd);
	err = fault_set(fault, ERR_NOMEM, "the HTTP server did not start: %s", strerror(errno));
failed:
	mem_free(server);
	return err;
}

void status_server_stop(struct status_server *server) {
	if (!server) return;
	MHD_stop_daemon(server->daemon);
	mem_free(server);
}

unsigned status_server_port(const struct status_server *server) {
	return server->port;
}
