/* tests/world/azure_check.c - what every call to a vault has to pass before its object is looked at, once it is within its limits:
 * token, network, API version and name.
 */
#include "tests/world/azure.h"

#include <assert.h>
#include <stdio.h>

static void challenge(struct azure_call *call) {
	const struct azure_fault *fault =
		azure_fault_hit(call->azure, call->now, call->req, FAULT_CHALLENGE);
	const char *variant = fault && fault->text ? fault->text : "b";
	const char *login = *variant == 'a' ? "login.windows.net" : call->azure->login_host;
	const char *tenant = call->vault->tenant, *suffix = call->azure->suffix;
	struct buf text;
	buf_init(&text, 2048);
	switch (*variant) {
	case 'd':
		buf_printf(&text,
			"Bearer authorization_uri=\"https://%s/%s\", scope=\"https://%s/.default\"",
			login, tenant, suffix);
		break;
	case 'e':
		buf_printf(&text, "Bearer resource=\"https://%s\" authorization=\"https://%s/%s\"",
			suffix, login, tenant);
		break;
	case 'f':
		buf_printf(&text,
			"Bearer realm=\"\", "
			"authorization_uri=\"https://%s/common/oauth2/authorize\", "
			"error=\"insufficient_claims\", "
			"claims=\"eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZX19fQ==\"",
			login);
		break;
	default:
		buf_printf(&text, "Bearer authorization=\"https://%s/%s\", resource=\"https://%s\"",
			login, tenant, suffix);
		if (*variant == 'h') buf_append(&text, STR(", PoP realm=\"\", nonce=\"d29ybGQ\""));
		if (*variant == 'x') {
			buf_reset(&text);
			buf_printf(&text,
				"Bearer authorization=\"https://login.example.com/%s\", "
				"resource=\"https://vault.example.com\"",
				tenant);
		}
	}
	world_response_header(call->out, "WWW-Authenticate", "%s", buf_cstr(&text));
	buf_deinit(&text);
}

static bool refuse(struct azure_call *call, const char *message) {
	azure_error(call, 401, "Unauthorized", NULL, "%s", message);
	if (azure_fault_hit(call->azure, call->now, call->req, FAULT_EMPTY_401))
		buf_reset(&call->out->body);
	challenge(call);
	return false;
}

bool azure_check_token(struct azure_call *call) {
	struct azure *azure = call->azure;
	struct str header = world_request_header(call->req, "Authorization");
	struct azure_claims *claims = &call->claims;
	if (!str_eq_nocase(str_slice(header, 0, 7), STR("Bearer ")) ||
		!azure_token_read(azure, str_trim(str_slice(header, 7, SIZE_MAX)), claims)) {
		return refuse(call, "AKV10000: Request is missing a Bearer or PoP token.");
	}
	char text[1024], expected[256];
	snprintf(expected, sizeof(expected), "https://%s", azure->suffix);
	if (strcmp(claims->audience, expected) != 0) {
		snprintf(text, sizeof(text), "AKV10022: Invalid audience. Expected %s, found: %s.",
			expected, claims->audience);
		return refuse(call, text);
	}
	if (!str_eq_nocase(str_of(claims->tenant), str_of(call->vault->tenant))) {
		snprintf(text, sizeof(text),
			"AKV10032: Invalid issuer. Expected one of https://sts.windows.net/%s/, "
			"found %s.",
			call->vault->tenant, claims->issuer);
		return refuse(call, text);
	}
	if (call->now.wall_ns / NS_PER_S >= claims->expires_s) {
		return refuse(call, "[TokenExpired] Error validating token: 'S2S12086'.");
	}
	if (azure_fault_hit(call->azure, call->now, call->req, FAULT_AKV10046)) {
		return refuse(
			call, "AKV10046: Unable to resolve the key used for signature validation.");
	}
	return true;
}

bool azure_check_network(struct azure_call *call) {
	const struct azure_vault *vault = call->vault;
	if (azure_fault_hit(call->azure, call->now, call->req, FAULT_FIREWALL)) {
		azure_error(call, 403, "Forbidden", "ForbiddenByFirewall",
			"Client address is not authorized and caller is not a trusted "
			"service.\r\nClient address: 203.0.113.7\r\n"
			"Caller: appid=%s;iss=%s\r\nVault: %s;location=%s",
			call->claims.client_id, call->claims.issuer, vault->name, vault->region);
		return false;
	}
	const struct azure_fault *fault =
		azure_fault_hit(call->azure, call->now, call->req, FAULT_CONNECTION);
	if (!fault) return true;
	bool link = fault->text && str_eq(str_of(fault->text), STR("private-link"));
	azure_error(call, 403, "Forbidden", "ForbiddenByConnection",
		link ? "Public network access is disabled and request is not from a trusted "
		       "service nor via an approved "
		       "private link.\r\nCaller: appid=%s\r\nVault: %s;location=%s"
		     : "Connection is not an approved private link and caller was ignored because "
		       "bypass is not allowed.\r\n"
		       "Caller: appid=%s\r\nVault: %s;location=%s",
		call->claims.client_id, vault->name, vault->region);
	return false;
}

bool azure_check_version(struct azure_call *call) {
	static const char *const known[] = { "2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5",
		"7.6", "2025-06-01-preview", "2025-07-01", "2026-04-01" };
	struct buf version;
	buf_init(&version, 4096);
	bool sent = world_query(call->req->query, "api-version", &version), good = false;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		good |= str_eq(buf_str(&version), str_of(known[i]));
	call->shape.no_days = str_eq(buf_str(&version), STR("7.0")) ||
			      str_eq(buf_str(&version), STR("2016-10-01"));
	if (!sent) {
		azure_error(call, 400, "BadParameter", NULL, "api-version must be specified");
	} else if (!good) {
		azure_error(call, 400, "BadParameter", NULL,
			"The specified version (%s) is not recognized. Consider using the latest "
			"supported version "
			"(2026-04-01).",
			buf_cstr(&version));
	}
	buf_deinit(&version);
	return good;
}

static bool name_is_valid(struct str name) {
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];
		bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
			      (c >= 'a' && c <= 'z') || c == '-';
		if (!letter) return false;
	}
	return name.len <= 127;
}

bool azure_check_path(struct azure_call *call) {
	struct str extra = buf_str(&call->action), segment = buf_str(&call->segment);
	if (!name_is_valid(buf_str(&call->name))) {
		azure_error(call, 400, "BadParameter", NULL,
			"The request URI contains an invalid name: %s", buf_cstr(&call->name));
		return false;
	}
	if (extra.len || segment.len > 32) {
		azure_error(call, 400, "BadParameter", NULL,
			"Method %.*s does not allow operation '%s'", STR_ARG(call->req->method),
			buf_cstr(extra.len ? &call->action : &call->segment));
		return false;
	}
	return true;
}
