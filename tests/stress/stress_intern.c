/* tests/stress/stress_intern.c - one owner finds and adds shared values and hands them to threads that give them back.
 *
 * Checked: a value that is found is never freed under its user, wherever its last reference is given back, and the table forgets
 * what nobody uses. */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/intern.h"
#include "base/mem.h"
#include "base/thread.h"
#include "stress.h"

enum { USERS = 3, KEYS = 8, ROUNDS = 200000 };

struct value {
	struct interned interned;
	int number; /* plain on purpose */
	char key[8];
};

/* A place for one value: filled by the owner, emptied by its user. */
static _Atomic(struct value *) places[USERS];
static atomic_bool ended;
static struct thread threads[USERS];

static void use(void *arg) {
	_Atomic(struct value *) *place = arg;
	for (;;) {
		bool last = atomic_load(&ended);
		struct value *value = atomic_exchange(place, NULL);
		if (value) {
			check(value->number == value->key[0] - 'a', "a value is not what its key says");
			interned_put(&value->interned);
		} else if (last) {
			return;
		} else {
			sched_yield();
		}
	}
}

static struct value *get(struct intern *table, int number) {
	char key[2] = { (char)('a' + number), '\0' };
	struct interned *found = intern_find(table, str_of(key));
	if (found) return container_of(found, struct value, interned);
	struct value *value = mem_zalloc(sizeof *value);
	check(value != NULL, "no memory");
	value->number = number;
	value->key[0] = key[0];
	enum err err = intern_add(table, &value->interned, str_of(value->key));
	check(err == OK, "no memory");
	return value;
}

int main(void) {
	struct intern table;
	intern_init(&table, (struct hash_key){ 1, 2 });
	for (int i = 0; i < USERS; i++) {
		enum err err = thread_start(&threads[i], "user", use, &places[i]);
		check(err == OK, "no thread");
	}
	for (int round = 0; round < ROUNDS; round++) {
		struct value *value = get(&table, round * 5 % KEYS);
		struct value *none = NULL;
		/* Whose user is still busy keeps its value; the new one goes back at once. */
		if (!atomic_compare_exchange_strong(&places[round % USERS], &none, value))
			interned_put(&value->interned);
		check(intern_count(&table) <= KEYS, "the table grows");
	}
	atomic_store(&ended, true);
	for (int i = 0; i < USERS; i++) thread_join(&threads[i]);
	intern_deinit(&table);
	printf("intern: %d rounds\n", ROUNDS);
	return 0;
}
