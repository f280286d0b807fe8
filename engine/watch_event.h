/* engine/watch_event.h - one line of a watch. Pure; main thread.
 *
 * Source: Kubernetes API concepts, "Efficient detection of changes": one JSON object per line with `type` and `object`; a
 * BOOKMARK's object holds nothing but metadata.resourceVersion, that of an ERROR is a Status.
 */
#pragma once

#include <cjson/cJSON.h>

#include "base/err.h"
#include "base/str.h"
#include "engine/spec.h"

/* One object as it came: parsed, or, of what may hold values, as text in secret memory. */
struct watch_object {
	const cJSON *json;
	struct str text;
};

struct watch_event {
	cJSON *_json;
	struct watch_object
		object; /* borrowed from the line or from _json; of an ERROR always json */
	struct str type, version; /* empty: not there */
	bool initial_end; /* a bookmark behind the last object that was there when the watch began */
};

/* ERR_PARSE, ERR_NOMEM. deinit also after a failure. */
enum err watch_event_parse(struct str line, struct watch_event *out_event);
/* The same without a copy of the object. */
enum err watch_event_scan(struct str line, struct watch_event *out_event);
/* Who an object is, found in its text: most of what a watch tells is the status that we have just written, and is not worth to
 * be parsed. */
struct object_head {
	struct object_meta meta; /* in the text */
	bool owned; /* it has ownerReferences */
};

/* False: it is not of the usual form, or has escapes where they matter: then it has to be parsed. */
bool object_head_scan(struct str object, struct object_head *out_head);
/* Type and object of an event, in its text. */
bool watch_event_split(struct str line, struct str *out_type, struct str *out_object);

void watch_event_deinit(struct watch_event *event);
