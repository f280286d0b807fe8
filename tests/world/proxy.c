/* tests/world/proxy.c - CONNECT for the names of the world alone: the tunnel ends in this process. */
#include <stdio.h>

#include "tests/world/server.h"

static void refuse(struct conn *conn, int status, const char *why) {
	buf_printf(&conn->out,
		"HTTP/1.1 %d %s\r\nContent-Type: text/html\r\nContent-Length: %zu\r\nConnection: "
		"close\r\n\r\n%s",
		status, world_reason(status), strlen(why), why);
	conn->closing = true;
	buf_reset(&conn->in);
}

static bool is_azure(const struct server *server, struct str host) {
	return str_eq_nocase(host, str_of(server->azure->login_host)) ||
	       azure_vault_of_host(server->azure, host);
}

void proxy_connect(struct conn *conn, struct str target) {
	struct server *server = conn->server;
	struct str port = target;
	struct str host = str_next(&port, ':');
	enum world_link link = world_net_link(&server->net, server->now, host);
	bool below = str_ends_nocase(host, str_of(server->azure->suffix));
	if (!is_azure(server, host) && !below) {
		refuse(conn, 403,
			"<html><body>This proxy serves the local world alone.</body></html>");
	} else if (!str_eq(port, STR("443"))) {
		refuse(conn, 403, "<html><body>Only port 443.</body></html>");
	} else if (link == WORLD_NXDOMAIN || !is_azure(server, host)) {
		refuse(conn, 502, "<html><body>The name does not resolve.</body></html>");
	} else if (link == WORLD_REFUSED) {
		refuse(conn, 502, "<html><body>Connection refused.</body></html>");
	} else if (link == WORLD_BLACKHOLE) {
		conn->stalled = true;
		buf_reset(&conn->in);
	} else {
		snprintf(conn->host, sizeof(conn->host), "%.*s", STR_ARG(host));
		buf_append(&conn->out, STR("HTTP/1.1 200 Connection established\r\n\r\n"));
		conn_flush(conn);
		if (conn->dead) return;
		buf_reset(&conn->in);
		conn->kind = SERVER_AZURE;
		conn_start_tls(conn);
	}
}
