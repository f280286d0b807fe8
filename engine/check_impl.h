/* engine/check_impl.h - what the files of check share; nobody else includes it. */
#pragma once

#include "engine/check.h"

extern const char *const CHECK_KINDS[]; /* their names, by enum check_kind */

/* --- check_note.c --- */

/* Collects the faults of one object. */
struct collector {
	struct fault_sink sink;
	struct check_result *result;
	unsigned object;
	bool is_fault;
	bool only_new; /* fields that have a fault already are left out */
	enum err err;
};

struct collector check_collector(struct check_result *result, unsigned object, bool is_fault);
/* The texts are copied. */
enum err check_add_note(
	struct check_result *result, struct check_note note, struct str field, struct str text);

/* One fault, or one thing worth knowing. */
#define tell(c, ...)                                                        \
	do {                                                                \
		struct fault fault_ = fault_make(ERR_INVALID, __VA_ARGS__); \
		(c)->sink.add(&(c)->sink, &fault_);                         \
	} while (0)

/* --- check_together.c --- */

/* What is only seen where all objects are known. elsewhere: a class that is not among them may be in the cluster. */
enum err check_together(struct check_result *result, bool elsewhere);
