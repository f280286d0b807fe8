#include "engine/nearest.h"

#include <ctype.h>
#include <limits.h>

enum { KEY_BYTES = 64, FAR = 5 };

static unsigned least(unsigned a, unsigned b, unsigned c) {
	unsigned ab = a < b ? a : b;
	return ab < c ? ab : c;
}

unsigned nearest_edits(struct str a, struct str b) {
	if (a.len > KEY_BYTES || b.len > KEY_BYTES) return UINT_MAX;
	unsigned row[KEY_BYTES + 1];
	for (unsigned j = 0; j <= b.len; j++) row[j] = j;
	for (unsigned i = 1; i <= a.len; i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= b.len; j++) {
			bool same = tolower((unsigned char)a.ptr[i - 1]) ==
				    tolower((unsigned char)b.ptr[j - 1]);
			unsigned edit = least(row[j] + 1, row[j - 1] + 1, diagonal + !same);
			diagonal = row[j];
			row[j] = edit;
		}
	}
	return row[b.len];
}

struct nearest nearest_init(struct str key) {
	return (struct nearest){ ._key = key, ._fewest = FAR };
}

void nearest_offer(struct nearest *nearest, const char *word) {
	struct str key = nearest->_key, other = str_of(word);
	if (key.len < 3 || key.len > KEY_BYTES || other.len > KEY_BYTES) return;
	unsigned distance = nearest_edits(key, other);
	if (str_starts(other, key) || str_starts(key, other)) distance = 0;
	if (distance >= nearest->_fewest || distance * 2 > key.len) return;
	nearest->_fewest = distance;
	nearest->word = word;
}
