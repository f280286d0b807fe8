/* engine/nearest.h - of words that are allowed, the one that a mistyped word is spelled most like. Pure; any thread. */
#pragma once

#include "base/str.h"

struct nearest {
	const char *word; /* the nearest so far; NULL: none is near */
	struct str _key;
	unsigned _fewest;
};

struct nearest nearest_init(struct str key);
void nearest_offer(struct nearest *nearest, const char *word);

/* Edits of single characters, capitals aside, that make one of the other; UINT_MAX where one is longer than 64 bytes. */
unsigned nearest_edits(struct str a, struct str b);
