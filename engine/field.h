/* engine/field.h - the path of a field, and where in a YAML document it stands. Main thread only. */
#pragma once

#include "base/buf.h"
#include "engine/doc.h"

enum { FIELD_BYTES = 512 };

/* Appends ".key" ("key" when the path is empty), or ["key"] where the key is no plain word. */
void field_append_key(struct buf *path, struct str key);
void field_append_index(struct buf *path, unsigned index);

struct field_place {
	unsigned line; /* of the document, from 1: of the field, or of what it is missing in */
	char path[FIELD_BYTES]; /* "spec.parameters.objects.array[2].objectType" */
};

/* Finds the field that the head of a fault's text names ("spec.secretObject.labels: \"a/b\" is no key",
 * "spec.parameters.objects: array[2]: objectType has to be ..."), down into YAML that stands in texts of the document. `source`
 * is the document's own text. What cannot be followed ends the path early; a line is always told. */
void field_find(const struct doc *doc, unsigned root, struct str source, struct str text,
	struct field_place *out_place);
