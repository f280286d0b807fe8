/* engine/informer_impl.h - what the files of the informer share; nobody else includes it. */
#pragma once

#include "engine/informer.h"

/* For people: what an operation is called, and what it means that an optional resource is not there. */
struct informer_names {
	const char *resource, *list, *watch, *missing;
};
extern const struct informer_names INFORMER_NAMES[]; /* by enum kube_resource */

/* --- informer_life.c --- */

void informer_drop_call(struct informer *informer);
void informer_drop_page(struct informer *informer);
void informer_forget_lines(struct informer *informer);

/* --- informer.c: what fails, lists --- */

void informer_wait(struct informer *informer, struct now now, int64_t delay_ns);
/* A failure: what is under way is asked for again, after a while. */
void informer_fail(
	struct informer *informer, struct now now, const char *what, const struct fault *fault);
/* What was seen cannot be trusted or continued: everything is listed again, after a while. */
void informer_relist(
	struct informer *informer, struct now now, const char *why, const struct fault *fault);
/* The server has not got as far as we have: a backup was restored. */
void informer_went_back(
	struct informer *informer, struct now now, const char *why, const struct fault *fault);
struct fault informer_bad_answer(const char *text);
bool informer_is_missing(const struct informer *informer, enum err err);
void informer_tell_missing(struct informer *informer, struct now now, const struct fault *fault);
void informer_begin_call(struct informer *informer, enum informer_state state);

/* A new list, or the next page of the one that has begun. */
void informer_start_list(struct informer *informer, struct now now);
/* A list, or a page of one, was answered with an error. */
void informer_list_failed(struct informer *informer, struct now now, const struct fault *fault);
void informer_list_complete(struct informer *informer, struct now now);

/* Before the first list is complete nothing is known. */
bool informer_may_know(const struct informer *informer);
/* Whether the object in the text is as it is known; if it is, *out_version (in the text) is its resourceVersion. */
bool informer_knows(struct informer *informer, struct str text, struct str *out_version);
enum err informer_take(struct informer *informer, const struct watch_object *object, bool gone);
/* What one turn reads. */
size_t informer_slice_bytes(const struct informer *informer);

/* --- informer_watch.c --- */

void informer_start_stream(struct informer *informer, struct now now);
void informer_start_watch(struct informer *informer, struct now now);
void informer_start_check(struct informer *informer, struct now now);
void informer_check_ended(struct informer *informer, struct now now);
void informer_read_watch(struct informer *informer, struct now now);
int64_t informer_watch_deadline_ns(const struct informer *informer, struct now now);
