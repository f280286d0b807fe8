/* workers/event.h - Kubernetes Events about SecretSyncs: when the condition Ready has turned, never once per check.
 *
 * Nothing waits for an Event and nothing depends on one. It goes out behind what the API server is asked for already, within
 * a budget; over the budget it is dropped, and one that the server does not take is not sent again. Both are counted.
 *
 * One owner: the worker.
 */
#pragma once

#include "workers/spec.h"
#include "workers/status.h"

struct worker;

/* True when people are told: another value or another reason. That a Secret which was just written is found unchanged at
 * the next check is no news. */
bool event_is_due(const struct condition *before, const struct condition *after);

/* Sends it, or drops it. Everything is copied. */
void event_send(struct worker *worker, const struct spec *spec, const struct condition *ready);

/* Ends what is under way. */
void event_cancel_all(struct worker *worker);
