/* What concerns each object of a vault: a slice per turn. */
#include "workers/scan.h"
#include "workers/worker.h"

enum { NAMES_PER_TURN = 256 };

/* A walk that finds nothing is a check that finds nothing: the first one after a write has to be told, later ones have not. */
bool scan_has_news(const struct object *object) {
	const struct condition *ready = &object->status.conditions[CONDITION_READY];
	return ready->value == CONDITION_TRUE && ready->reason != REASON_UPDATE_NO_CHANGE;
}

/* The next name; all have had their turn after as many as there are. */
static struct scan_name *rotate(struct scan *scan) {
	struct list *node = list_pop(&scan->order);
	list_push_back(&scan->order, node);
	return container_of(node, struct scan_name, order);
}

/* Who came into use during the walk, and was passed over, is left to the next one: no row of his has been seen. */
static void tell_unchanged(struct scan *scan, const struct scan_name *name) {
	list_for_each (node, &name->users) {
		struct object *object = container_of(node, struct scan_link, link)->object;
		if (object->sync || object->failures || !scan_has_news(object)) continue;
		if (name->known)
			schedule_ready(object, CLASS_PERIODIC);
		else
			scan->has_news = true;
	}
}

/* From listing to GETs, or to polls that tell why not: another timer. */
static void move_object(struct worker *worker, struct object *object) {
	if (object->sync || object->due != CLASS_SAFETY || !timer_is_set(&object->timer)) return;
	struct spec *spec = spec_borrow(object);
	if (spec && !object->failures) schedule_check(worker, object, spec);
	spec_unref(spec);
}

static void move_users(struct scan *scan, const struct scan_name *name) {
	list_for_each (link, &name->users)
		move_object(
			scan->shard->worker, container_of(link, struct scan_link, link)->object);
}

/* One behind the other: each begins where the one before it has left off, and comes round once. */
void scan_slice(struct scan *scan) {
	for (int i = 0; i < NAMES_PER_TURN && (scan->telling || scan->moving); i++) {
		const struct scan_name *name = rotate(scan);
		if (scan->telling) {
			scan->telling--;
			tell_unchanged(scan, name);
		} else {
			scan->moving--;
			move_users(scan, name);
		}
	}
	if (scan->telling || scan->moving) scan->shard->worker->again = true;
}
