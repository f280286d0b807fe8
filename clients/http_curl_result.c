/* What became of an exchange, as http.h says it. The texts are the same for the same cause (no times, no addresses of
 * ours): they end in conditions, which must not change while nothing changes. */
#include <string.h>

#include "base/metric.h"
#include "clients/http_curl_impl.h"

static long info_long(CURL *easy, CURLINFO info) {
	long value = 0;
	curl_easy_getinfo(easy, info, &value);
	return value;
}

/* Host and port as the URL has them; the URL was checked before. */
static struct str host_of(const struct http_req *req) {
	struct str scheme, host = STR_NULL, path = STR_NULL;
	unsigned port;
	struct str url = buf_str(&req->url);
	if (http_url_split(url, &scheme, &host, &port, &path) != OK) return STR("the server");
	return (struct str){ host.ptr, (size_t)(url.ptr + url.len - path.len - host.ptr) };
}

/* Retry-After in its two forms; a date counts from the server's own Date. */
static int64_t retry_after_ns(const struct transfer *transfer) {
	struct str text = str_of(transfer->retry_after);
	const struct http_req *req = transfer->req;
	int64_t seconds = 0;
	if (!text.len) return -1;
	if (str_to_i64(text, &seconds) != OK) {
		if (time_parse_http(text, &seconds) != OK) return -1;
		seconds -= req->server_date_s ? req->server_date_s
					      : transfer_now(transfer).wall_ns / NS_PER_S;
	}
	return http_obeyed_ns(req->site, seconds);
}

/* --- errors --- */

#define network_fault(req, host, format, ...)                  \
	fault_set(&(req)->fault, ERR_NETWORK, "%.*s: " format, \
		STR_ARG(host) __VA_OPT__(, ) __VA_ARGS__)

static enum err not_connected(const struct transfer *transfer, struct str host) {
	const char *cause = strerrordesc_np((int)info_long(transfer->easy, CURLINFO_OS_ERRNO));
	return network_fault(transfer->req, host,
		"no connection (%s): check that the server runs and that firewalls and network "
		"policies let it be reached",
		cause && info_long(transfer->easy, CURLINFO_OS_ERRNO) ? cause
								      : "no route or no answer");
}

static enum err not_trusted(const struct transfer *transfer, struct str host) {
	const struct http_site *site = transfer->req->site;
	const char *ca_file = site_ca_file(site);
	const char *bundle = site->ca_pem.len ? "the one that was configured for it"
			     : ca_file        ? ca_file
					      : "the system's";
	/* "SSL certificate problem: ..." or "SSL: no alternative certificate subject name matches ..." */
	return network_fault(transfer->req, host,
		"its certificate is not trusted (%s): the CA bundle in use is %s; SSL_CERT_FILE "
		"names another one",
		transfer->error[0] ? transfer->error : "verification failed", bundle);
}

static enum err bad_ca_file(const struct transfer *transfer, struct str host) {
	const struct http_site *site = transfer->req->site;
	const char *ca_file = site_ca_file(site);
	if (site->ca_pem.len)
		return network_fault(transfer->req, host,
			"the CA certificates configured for it are not readable PEM");
	return network_fault(transfer->req, host,
		"the CA bundle %s cannot be read, or holds no certificate in PEM",
		ca_file ? ca_file : "of the system (package ca-certificates)");
}

static enum err timed_out(const struct transfer *transfer, struct str host) {
	struct http_req *req = transfer->req;
	if (transfer->sends)
		return fault_set(
			&req->fault, ERR_TIMEOUT, "%.*s: no answer in time", STR_ARG(host));
	if (str_starts(str_of(transfer->error), STR("Resolving timed out"))) {
		return network_fault(req, host,
			"the DNS name was not resolved in time: check the cluster's DNS");
	}
	if (transfer->opened_socket) return not_connected(transfer, host);
	return fault_set(&req->fault, ERR_TIMEOUT,
		"%.*s: waited too long for its DNS name or for a connection that is not busy",
		STR_ARG(host));
}

static enum err refused_by_proxy(const struct transfer *transfer, struct str host, long status) {
	return network_fault(transfer->req, host,
		"the proxy named by HTTPS_PROXY answered %ld to CONNECT: allow this host there, or "
		"name it in NO_PROXY; or there is no such host, and the vault's name is wrong",
		status);
}

static enum err broken(const struct transfer *transfer, struct str host, CURLcode code) {
	if (!transfer->sends) {
		return network_fault(transfer->req, host,
			"no connection (%s): check the network and any proxy on the way",
			curl_easy_strerror(code));
	}
	return network_fault(transfer->req, host,
		"the connection broke before the answer was complete (%s)",
		curl_easy_strerror(code == CURLE_ABORTED_BY_CALLBACK ? CURLE_GOT_NOTHING : code));
}

static bool has_time(const struct transfer *transfer, CURLINFO info) {
	curl_off_t us = 0;
	curl_easy_getinfo(transfer->easy, info, &us);
	return us > 0;
}

enum http_phase transfer_phase(const struct transfer *transfer, CURLcode code) {
	long connect_status = info_long(transfer->easy, CURLINFO_HTTP_CONNECTCODE);
	if (!code || transfer->sends) return HTTP_PHASE_EXCHANGE;
	if (connect_status && connect_status / 100 != 2) return HTTP_PHASE_CONNECT;
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return HTTP_PHASE_NAME;
	case CURLE_COULDNT_CONNECT:
		return HTTP_PHASE_CONNECT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CONNECT_ERROR:
		return HTTP_PHASE_TLS;
	default:
		if (has_time(transfer, CURLINFO_CONNECT_TIME_T)) return HTTP_PHASE_TLS;
		return has_time(transfer, CURLINFO_NAMELOOKUP_TIME_T) ? HTTP_PHASE_CONNECT
								      : HTTP_PHASE_NAME;
	}
}

static enum err transport_error(const struct transfer *transfer, CURLcode code) {
	struct http_req *req = transfer->req;
	struct str host = host_of(req);
	long connect_status = info_long(transfer->easy, CURLINFO_HTTP_CONNECTCODE);
	if (!transfer->sends && connect_status && connect_status / 100 != 2)
		return refused_by_proxy(transfer, host, connect_status);
	switch (code) {
	case CURLE_OUT_OF_MEMORY:
		return fault_set(&req->fault, ERR_NOMEM, "%.*s: out of memory", STR_ARG(host));
	case CURLE_COULDNT_RESOLVE_HOST:
		return network_fault(req, host,
			"the DNS name was not found: check the name and the cluster's DNS");
	case CURLE_COULDNT_RESOLVE_PROXY:
		return network_fault(
			req, host, "the DNS name of the proxy in HTTPS_PROXY was not found");
	case CURLE_COULDNT_CONNECT:
		return not_connected(transfer, host);
	case CURLE_PEER_FAILED_VERIFICATION:
		return not_trusted(transfer, host);
	case CURLE_SSL_CACERT_BADFILE:
		return bad_ca_file(transfer, host);
	case CURLE_SSL_CERTPROBLEM:
		return network_fault(req, host,
			"the client certificate or its key cannot be used (%s)", transfer->error);
	case CURLE_SSL_CONNECT_ERROR:
		return network_fault(req, host, "the TLS handshake failed (%s)", transfer->error);
	case CURLE_OPERATION_TIMEDOUT:
		return timed_out(transfer, host);
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
		return network_fault(req, host, "its answer is not HTTP: check what listens there");
	default:
		return broken(transfer, host, code);
	}
}

static enum err body_error(const struct transfer *transfer) {
	struct http_req *req = transfer->req;
	if (transfer->body_err != ERR_TOO_LARGE) {
		return fault_set(&req->fault, transfer->body_err,
			"out of memory while an answer was received");
	}
	struct str host = host_of(req);
	return fault_set(&req->fault, ERR_TOO_LARGE, "%.*s: the answer is larger than %zu bytes",
		STR_ARG(host), req->max_response_bytes);
}

void transfer_result(struct transfer *transfer, CURLcode code) {
	struct http_req *req = transfer->req;
	/* A repetition that was stopped had died on a reused connection. */
	req->reused_connection =
		transfer->sends > 1 || info_long(transfer->easy, CURLINFO_NUM_CONNECTS) == 0;
	req->retry_after_ns = retry_after_ns(transfer);
	req->err = OK;
	req->maybe_sent = code && transfer->sends > 0;
	if (!code) return;
	req->err = transfer->body_err ? body_error(transfer) : transport_error(transfer, code);
	if (req->err == ERR_NETWORK || req->err == ERR_TIMEOUT)
		metric_add(METRIC_HTTP_NETWORK_ERRORS, 1);
	/* Half an answer is no answer. */
	req->status = 0;
	buf_reset(&req->response);
	if (req->response_arena) secret_reset(&req->response_secret);
}
