/* tests/model/queue.pml - queue/workqueue.c as a model: items, two workers that pass them to and fro, producers, wake-ups.
 *
 * What stands for what
 *   state[i]     struct queue_item._state; every change is one atomic step, as the instruction is
 *   home[i]      struct queue_item._home, written by the holder, read on its own by whoever links
 *   linked(w,i)  item i can be popped from the inbox of worker w
 *   pending[w]   producers between the two stores of an enqueue: what they push is not to be seen yet, and hides what is
 *                behind it; the push that found nothing linked and nothing pending is told that the inbox was empty
 *   wake[w]      the eventfd of w: a level
 *   changed[i]   grows before every add; seen[i] is what the last run saw
 *
 * Claims
 *   - an item is in at most one inbox, at most once, and only while it is QUEUED and not RUNNING
 *   - one run at a time per item, on its home
 *   - queue_begin never meets a held item, because a worker knows an item as its own only from taking it until moving it
 *   - at rest, and it does come to rest: nothing waits in an inbox, every item is idle, its last run saw its last change, and
 *     every item that was moved has run at its new home
 *
 * Seeded mistakes, each of which must be found
 *   BUG_TAKE   QUEUED is cleared when a run ends, not when it starts
 *   BUG_MOVE   a move does not set QUEUED
 *   BUG_WAKE   a worker clears its eventfd after it has looked into its inbox
 *   BUG_BUSY   a worker goes to sleep although a producer stands between its two stores
 */
#define ITEMS 2
#ifndef ADDS
#define ADDS 1        /* of each producer */
#endif
#ifndef MOVES
#define MOVES 2       /* of all runs */
#endif
#ifndef BEGINS
#define BEGINS 1      /* of each worker */
#endif
#define PRODUCERS 2

#define QUEUED 1
#define RUNNING 2
#define IN(w, i) inbox[(w) * ITEMS + (i)]
#define LINKED(w) (IN(w, 0) + IN(w, 1))

byte state[ITEMS];
byte home[ITEMS];
byte inbox[2 * ITEMS];
byte pending[2];
bool wake[2];
byte running[ITEMS];
byte changed[ITEMS];
byte seen[ITEMS];
bool owes[ITEMS];     /* was moved and has not run at its new home yet */
byte moves_left = MOVES;
byte adds_done;

/* push(): reads the home by itself, then enqueues in two steps, then wakes. */
inline push(i, to, was_empty) {
	to = home[i];
	atomic {
		assert(to == home[i]);
		assert(IN(0, i) + IN(1, i) == 0);
		assert((state[i] & (QUEUED | RUNNING)) == QUEUED);
		was_empty = (LINKED(to) + pending[to] == 0);
		pending[to]++
	};
	atomic {
		pending[to]--;
		IN(to, i) = IN(to, i) + 1;
		assert(IN(to, i) == 1)
	};
	if
	:: was_empty -> wake[to] = true
	:: else
	fi;
	atomic { was_empty = false; to = 0 }    /* dead values only make states */
}

inline add(i, old, to, was_empty) {
	atomic { old = state[i] & (QUEUED | RUNNING); state[i] = state[i] | QUEUED };
	if
	:: atomic { old == 0 -> old = 0 }; push(i, to, was_empty)
	:: atomic { old != 0 -> old = 0 }
	fi
}

/* A reconcile: sees the world as it is, and may find out that the item belongs to the other worker. */
inline run_item(i, me) {
	atomic { running[i]++; assert(running[i] == 1); assert(home[i] == me); owes[i] = false };
	seen[i] = changed[i];
	if
	:: true
	:: atomic { moves_left > 0 -> moves_left-- };
		atomic { owes[i] = true; mine[i] = false };  /* lets go of its timers before queue_done */
		home[i] = 1 - me;
#ifndef BUG_MOVE
		atomic { assert(state[i] & RUNNING); state[i] = state[i] | QUEUED }
#endif
	fi;
	running[i]--
}

inline done(i, old, to, was_empty) {
	atomic {
		old = state[i];
		assert(old & RUNNING);
#ifdef BUG_TAKE
		state[i] = 0;
		old = 0
#else
		state[i] = state[i] & ~RUNNING
#endif
	};
	if
	:: atomic { (old & QUEUED) -> old = 0 }; push(i, to, was_empty)
	:: atomic { !(old & QUEUED) -> old = 0 }
	fi
}

active [PRODUCERS] proctype producer() {
	byte i, old, to, n;
	bool was_empty;
	do
	:: n < ADDS ->
		if
		:: i = 0
		:: i = 1
		fi;
		atomic { n++; changed[i]++ };
		add(i, old, to, was_empty)
	:: else -> break
	od;
	adds_done++
}

proctype worker(byte me) {
	byte i, old, to, begins;
	bool was_empty;
	bool mine[ITEMS];
	mine[0] = (me == 0);
	mine[1] = (me == 0);
end_asleep:
	do
	:: wake[me] ->
#ifndef BUG_WAKE
		wake[me] = false;
#endif
turn:
		do
		:: atomic { IN(me, 0) > 0 && (pending[me] == 0 || LINKED(me) > 1) -> IN(me, 0) = 0; i = 0 };
			goto take
		:: atomic { IN(me, 1) > 0 && (pending[me] == 0 || LINKED(me) > 1) -> IN(me, 1) = 0; i = 1 };
			goto take
		:: pending[me] > 0 ->            /* busy: do not sleep before the next call */
#ifndef BUG_BUSY
			skip
#else
			break
#endif
		:: LINKED(me) + pending[me] == 0 -> break
		od;
#ifdef BUG_WAKE
		wake[me] = false
#endif
	/* A timer of an own item. */
	:: begins < BEGINS && mine[0] -> i = 0; goto begin
	:: begins < BEGINS && mine[1] -> i = 1; goto begin
	od;
take:
	atomic {
		old = state[i];
		assert((old & (QUEUED | RUNNING)) == QUEUED);
#ifdef BUG_TAKE
		state[i] = state[i] | RUNNING;
#else
		state[i] = state[i] ^ (QUEUED | RUNNING);
#endif
		mine[i] = true;
		old = 0
	};
	goto hold;
begin:
	begins++;
	atomic {
		assert(!(state[i] & RUNNING));
		if
		:: state[i] == 0 -> state[i] = RUNNING; goto hold
		:: else -> goto end_asleep           /* QUEUED: queue_take will yield it */
		fi
	};
hold:
	run_item(i, me);
	done(i, old, to, was_empty);
	i = 0;
	goto turn
}

active proctype judge() {
	byte k;
end_judge:
	atomic {
		timeout;
		assert(adds_done == PRODUCERS);
		for (k : 0 .. ITEMS - 1) {
			assert(IN(0, k) + IN(1, k) == 0);
			assert(state[k] == 0);
			assert(running[k] == 0);
			assert(seen[k] == changed[k]);
			assert(!owes[k])
		}
	}
}

init {
	atomic { run worker(0); run worker(1) }
}
