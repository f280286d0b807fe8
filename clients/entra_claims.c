/* Which issuer, subject and audience a service account token presents: what a person compares with a federated credential.
 * The token stays in secret memory; these three claims are no secret and are all that is copied out of it. */
#include <stdio.h>

#include "base/decode.h"
#include "clients/entra.h"
#include "clients/json.h"

enum { PAYLOAD_BYTES = 64 << 10, ISSUER_BYTES = 201, SUBJECT_BYTES = 201, AUDIENCE_BYTES = 101 };

/* Errors that such a comparison explains. */
static const char *const CODES[] = { "AADSTS70021", "AADSTS700211", "AADSTS700212", "AADSTS700213",
	"AADSTS7002131", "AADSTS7002138", "AADSTS70025", "AADSTS700024", "AADSTS700027",
	"AADSTS50013", "AADSTS500133", "AADSTS50166", "AADSTS501661", "AADSTS90061",
	"AADSTS700222" };

/* A JSON string, or the first element of a list of them; "" where it is neither. */
static void copy_claim(
	struct str payload, const char *name, struct secret *scratch, char *out, size_t bytes) {
	struct str raw = STR_NULL;
	out[0] = 0;
	if (json_scan_member(payload, name, &raw)) return;
	if (raw.len && raw.ptr[0] == '[') {
		struct json_items items = json_items(raw);
		if (!json_next_item(&items, &raw)) return;
	}
	secret_reset(scratch);
	if (raw.len < 2 || raw.ptr[0] != '"' || json_unescape_secret(raw, scratch)) return;
	struct str text = secret_expose(scratch);
	size_t len = text.len < bytes ? text.len : utf8_cut(text.ptr, bytes - 1);
	memcpy(out, text.ptr, len);
	out[len] = 0;
}

/* Adds to the text without touching what else the fault knows. */
static void add_claims(
	struct fault *fault, const char *issuer, const char *subject, const char *audience) {
	struct fault longer = fault_make(fault->err,
		"%s. Presented: issuer \"%s\" (%s slash at its end), subject \"%s\", audience "
		"\"%s\"",
		fault->text, issuer, str_ends(str_of(issuer), STR("/")) ? "with a" : "without a",
		subject, audience);
	memcpy(fault->text, longer.text, sizeof fault->text);
}

static bool is_about_the_assertion(const struct fault *fault) {
	for (size_t i = 0; i < sizeof CODES / sizeof CODES[0]; i++) {
		if (str_eq(str_of(fault->code), str_of(CODES[i]))) return true;
	}
	return false;
}

void entra_show_claims(
	struct fault *fault, const struct secret *assertion, struct secret_arena *arena) {
	char issuer[ISSUER_BYTES], subject[SUBJECT_BYTES], audience[AUDIENCE_BYTES];
	struct secret payload, scratch;
	if (!is_about_the_assertion(fault)) return;
	secret_init(&payload, arena, PAYLOAD_BYTES);
	secret_init(&scratch, arena, PAYLOAD_BYTES);
	struct str rest = secret_expose(assertion);
	(void)str_next(&rest, '.');
	struct sink sink = secret_sink(&payload);
	if (decode_base64(BASE64_URL, str_next(&rest, '.'), sink, NULL) || secret_err(&payload))
		goto out;
	struct str text = secret_expose(&payload);
	copy_claim(text, "iss", &scratch, issuer, sizeof issuer);
	copy_claim(text, "sub", &scratch, subject, sizeof subject);
	copy_claim(text, "aud", &scratch, audience, sizeof audience);
	if (issuer[0] || subject[0] || audience[0]) add_claims(fault, issuer, subject, audience);
out:
	secret_deinit(&payload);
	secret_deinit(&scratch);
}
