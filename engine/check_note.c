/* What is told of manifests: notes, with the place in the file that each is about. */
#include "engine/check_impl.h"
#include "engine/field.h"

enum err check_add_note(
	struct check_result *result, struct check_note note, struct str field, struct str text) {
	unsigned count = result->note_count;
	if (!(count & (count - 1))) {
		size_t room = count ? 2 * (size_t)count : 1;
		struct check_note *more = mem_realloc(result->notes, room * sizeof *more);
		if (!more) return ERR_NOMEM;
		result->notes = more;
	}
	note.field = mem_strdup(field);
	note.text = mem_strdup(text);
	if (!note.field || !note.text) {
		mem_free(note.field);
		mem_free(note.text);
		return ERR_NOMEM;
	}
	result->notes[result->note_count++] = note;
	if (!note.is_fault) return OK;
	result->fault_count++;
	if (note.object != CHECK_NO_OBJECT) result->objects[note.object].faults++;
	return OK;
}

static bool has_fault(const struct check_result *result, unsigned object, struct str field) {
	for (unsigned i = result->note_count; i-- > 0;) {
		const struct check_note *note = &result->notes[i];
		if (note->object != object) continue;
		if (note->is_fault && str_eq(str_of(note->field), field)) return true;
	}
	return false;
}

static void collect(struct fault_sink *sink, const struct fault *fault) {
	struct collector *c = container_of(sink, struct collector, sink);
	const struct manifest *manifest = c->result->objects[c->object].manifest;
	const struct check_object *object = &c->result->objects[c->object];
	if (object->is_template) return;
	struct field_place place = { .line = object->line - manifest->line_offset };
	/* The fields of a derived object stand nowhere in the file. */
	if (!object->derived)
		field_find(manifest->doc, manifest->node, manifest->source, str_of(fault->text),
			&place);
	struct str field = str_of(place.path);
	if (c->only_new && has_fault(c->result, c->object, field)) return;
	struct check_note note = {
		.file = manifest->file,
		.line = manifest->line_offset + place.line,
		.object = c->object,
		.is_fault = c->is_fault,
	};
	enum err err = check_add_note(c->result, note, field, str_of(fault->text));
	if (err) c->err = err;
}

static void collect_note(struct fault_sink *sink, const struct fault *fault) {
	struct collector *c = container_of(sink, struct collector, sink);
	bool is_fault = c->is_fault, only_new = c->only_new;
	c->is_fault = c->only_new = false;
	collect(sink, fault);
	c->is_fault = is_fault;
	c->only_new = only_new;
}

struct collector check_collector(struct check_result *result, unsigned object, bool is_fault) {
	return (struct collector){
		.sink = { collect, collect_note },
		.result = result,
		.object = object,
		.is_fault = is_fault,
	};
}
