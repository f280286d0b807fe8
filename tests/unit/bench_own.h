/* tests/unit/bench_own.h - SecretSyncs with a class and vault objects of their own, beside the one of bench.h: nobody shares an answer
 * with them. */
#pragma once

#include <stdio.h>

#include "tests/unit/bench.h"

enum { OWN_WIDE = 4 };

struct own {
	struct spc spc;
	struct spc_object objects[OWN_WIDE];
	struct spec_item items[OWN_WIDE];
	struct spec spec;
	struct spec_common common;
	struct spc_cell *cell;
	struct object *object; /* NULL: the test makes its own */
	char key[24], names[OWN_WIDE][48];
};

/* A class named `key` of so many objects, named `name` and a number each; what else it says is the bench's. */
static inline void own_make(struct own *own, const char *key, const char *name, unsigned objects) {
	own->object = NULL;
	own->spc = (struct spc){
		.uid = b.spc.uid, .access = &b.access, .objects = own->objects, .object_count = (uint16_t)objects
	};
	atomic_init(&own->spc.ref, 1000000);
	for (unsigned i = 0; i < objects; i++) {
		snprintf(own->names[i], sizeof own->names[i], "%s-%u", name, i);
		struct str path = str_of(own->names[i]);
		own->objects[i] = (struct spc_object){ .name = path, .path = path, .kind = VAULT_SECRET };
		own->items[i] = (struct spec_item){ path, path };
	}
	snprintf(own->key, sizeof own->key, "%s", key);
	own->cell = spc_cell_create(str_of(own->key));
	spc_publish(own->cell, &own->spc);
	memcpy(&own->common, &b.common, sizeof own->common);
	memcpy(&own->spec, &b.spec, sizeof own->spec);
	own->spec.common = &own->common;
	own->spec.cell = own->cell;
	own->spec.items = own->items;
	own->spec.item_count = (uint16_t)objects;
}

/* Its SecretSync, which was never looked at; put in line. */
static inline void own_begin(struct own *own, const char *uid) {
	struct status none = { 0 };
	assert_int_equal(
		object_create(str_of(own->key), str_of(uid), &none, pool_first_queue(b.pool), &own->object), OK);
	rcu_swap(own->object->spec, &own->spec);
	queue_add(&own->object->item);
}

/* After the pool has let go of it. */
static inline void own_end(struct own *own) {
	object_destroy(own->object);
	own->cell->now = NULL;
	spc_cell_unref(own->cell);
}
