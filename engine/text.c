#include "engine/text.h"

/* White space outside ASCII, in UTF-8: NEL, NBSP, ogham, en quad to hair space, separators, narrow
 * and medium, ideographic. */
static const struct str SPACES[] = {
	STR("\xc2\x85"),
	STR("\xc2\xa0"),
	STR("\xe1\x9a\x80"),
	STR("\xe2\x80\x80"),
	STR("\xe2\x80\x81"),
	STR("\xe2\x80\x82"),
	STR("\xe2\x80\x83"),
	STR("\xe2\x80\x84"),
	STR("\xe2\x80\x85"),
	STR("\xe2\x80\x86"),
	STR("\xe2\x80\x87"),
	STR("\xe2\x80\x88"),
	STR("\xe2\x80\x89"),
	STR("\xe2\x80\x8a"),
	STR("\xe2\x80\xa8"),
	STR("\xe2\x80\xa9"),
	STR("\xe2\x80\xaf"),
	STR("\xe2\x81\x9f"),
	STR("\xe3\x80\x80"),
};

struct str text_trim(struct str s) {
	for (bool again = true; again;) {
		again = false;
		s = str_trim(s);
		for (size_t i = 0; i < sizeof SPACES / sizeof *SPACES; i++) {
			size_t len = SPACES[i].len;
			bool at_start = str_starts(s, SPACES[i]);
			if (!at_start && !str_ends(s, SPACES[i])) continue;
			s = str_slice(s, at_start ? len : 0, s.len - len);
			again = true;
		}
	}
	return s;
}

static bool is_alnum(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool text_is_word(struct str s, size_t most, const char *others) {
	if (s.len == 0 || s.len > most) return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_alnum(s.ptr[i]) && (s.ptr[i] == '\0' || !strchr(others, s.ptr[i])))
			return false;
	}
	return true;
}

bool text_is_dns_name(struct str s) {
	if (!text_is_word(s, 253, "-.")) return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z') return false;
		bool at_edge =
			i == 0 || i + 1 == s.len || s.ptr[i - 1] == '.' || s.ptr[i + 1] == '.';
		if (at_edge && (s.ptr[i] == '-' || s.ptr[i] == '.')) return false;
	}
	return true;
}
