/* workers/sync_write_impl.h - what the steps that write a Secret, or look at one, share; nobody else includes it. */
#pragma once

#include "workers/sync.h"

/* Of the request that has ended. verb: what was tried, for people: "create". */
enum err sync_write_result(struct sync *sync, const char *verb, struct fault *fault);
/* Takes in the metadata that it was answered with. */
enum err sync_read_meta(struct sync *sync, struct fault *fault);

/* The request could not be made. */
const struct step *sync_cannot_build(struct sync *sync, enum err err);
/* Somebody else was faster, or the outcome is not known: look again. A bounded number of times. */
const struct step *sync_look_again(struct sync *sync, const struct fault *fault);
/* The answer of a write that did not succeed: the step that comes next. `self` is the step that asked. */
const struct step *sync_write_failed(
	struct sync *sync, const struct fault *fault, const struct step *self);
