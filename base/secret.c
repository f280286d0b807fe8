#include "base/secret.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(ptr, len) ASAN_POISON_MEMORY_REGION(ptr, len)
#define UNPOISON(ptr, len) ASAN_UNPOISON_MEMORY_REGION(ptr, len)
#else
#define POISON(ptr, len) ((void)(ptr), (void)(len))
#define UNPOISON(ptr, len) ((void)(ptr), (void)(len))
#endif

/* A buddy arena: blocks of 2^n bytes from 64 on. The region is reserved once and committed by touching it; it is locked
 * chunk by chunk as it grows, so that an idle process locks little. Free lists live outside the region: a free block holds
 * nothing but zeroes. */
enum { MIN_SHIFT = 6, MAX_SHIFT = 40, LOCK_CHUNK = 1 << 18 };

struct free_block {
	struct free_block *next;
	char *ptr;
};

struct secret_arena {
	char *base;
	size_t size;       /* reserved */
	size_t top;        /* handed out so far, from below */
	size_t locked_to;  /* bytes from base on that mlock was asked for */
	size_t used;
	bool locked;
	struct free_block *free[MAX_SHIFT];
	struct free_block *spare; /* nodes that hold no block now */
};

static size_t round_up(size_t value, size_t to) {
	return (value + to - 1) / to * to;
}

struct secret_arena *secret_arena_create(size_t max_bytes) {
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct secret_arena *arena = mem_zalloc(sizeof *arena);
	if (!arena) return NULL;
	arena->size = round_up(max_bytes, page);
	arena->base = mmap(NULL, arena->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena->base == MAP_FAILED) {
		mem_free(arena);
		return NULL;
	}
	madvise(arena->base, arena->size, MADV_DONTDUMP);
	madvise(arena->base, arena->size, MADV_WIPEONFORK);
	arena->locked = true;
	POISON(arena->base, arena->size);
	return arena;
}

static void free_nodes(struct free_block *node) {
	while (node) {
		struct free_block *next = node->next;
		mem_free(node);
		node = next;
	}
}

void secret_arena_destroy(struct secret_arena *arena) {
	if (!arena) return;
	assert(arena->used == 0);
	for (int i = 0; i < MAX_SHIFT; i++) free_nodes(arena->free[i]);
	free_nodes(arena->spare);
	UNPOISON(arena->base, arena->size);
	munmap(arena->base, arena->size);
	mem_free(arena);
}

bool secret_arena_locked(const struct secret_arena *arena) {
	return arena->locked;
}

size_t secret_arena_used_bytes(const struct secret_arena *arena) {
	return arena->used;
}

static unsigned shift_for(size_t bytes) {
	unsigned shift = MIN_SHIFT;
	while (((size_t)1 << shift) < bytes) shift++;
	return shift;
}

static void lock_up_to(struct secret_arena *arena, size_t top) {
	while (arena->locked && arena->locked_to < top) {
		size_t len = arena->size - arena->locked_to < LOCK_CHUNK ? arena->size - arena->locked_to : LOCK_CHUNK;
		if (mlock(arena->base + arena->locked_to, len)) arena->locked = false;
		arena->locked_to += len;
	}
}

/* Blocks keep their size for life; a program's secrets come in few sizes. Every block has a node made beforehand, so that
 * releasing never allocates. */
static char *block_get(struct secret_arena *arena, unsigned shift) {
	size_t bytes = (size_t)1 << shift;
	struct free_block *node = arena->free[shift];
	char *ptr = NULL;
	if (node) {
		arena->free[shift] = node->next;
		ptr = node->ptr;
	} else {
		if (bytes > arena->size - arena->top) return NULL;
		node = mem_alloc(sizeof *node);
		if (!node) return NULL;
		ptr = arena->base + arena->top;
		arena->top += bytes;
		lock_up_to(arena, arena->top);
	}
	node->ptr = NULL;
	node->next = arena->spare;
	arena->spare = node;
	arena->used += bytes;
	UNPOISON(ptr, bytes);
	return ptr;
}

static void block_put(struct secret_arena *arena, char *ptr, unsigned shift) {
	size_t bytes = (size_t)1 << shift;
	struct free_block *node = arena->spare;
	assert(node && ptr >= arena->base && ptr + bytes <= arena->base + arena->top);
	OPENSSL_cleanse(ptr, bytes);
	POISON(ptr, bytes);
	arena->spare = node->next;
	node->ptr = ptr;
	node->next = arena->free[shift];
	arena->free[shift] = node;
	arena->used -= bytes;
}

/* --- one secret --- */

void secret_init(struct secret *secret, struct secret_arena *arena, size_t max_bytes) {
	assert(arena);
	*secret = (struct secret){ ._arena = arena, ._max = max_bytes };
}

void secret_deinit(struct secret *secret) {
	if (secret->_ptr) block_put(secret->_arena, secret->_ptr, shift_for(secret->_cap));
	*secret = (struct secret){ 0 };
}

void secret_reset(struct secret *secret) {
	if (secret->_ptr) OPENSSL_cleanse(secret->_ptr, secret->_cap);
	secret->_len = 0;
	secret->_err = OK;
}

static bool reserve(struct secret *secret, size_t more) {
	if (secret->_err) return false;
	if (more > secret->_max || secret->_len > secret->_max - more) {
		secret->_err = ERR_TOO_LARGE;
		return false;
	}
	size_t need = secret->_len + more;
	if (need <= secret->_cap) return true;
	unsigned shift = shift_for(need);
	char *grown = block_get(secret->_arena, shift);
	if (!grown) {
		secret->_err = ERR_NOMEM;
		return false;
	}
	if (secret->_len) memcpy(grown, secret->_ptr, secret->_len);
	if (secret->_ptr) block_put(secret->_arena, secret->_ptr, shift_for(secret->_cap));
	secret->_ptr = grown;
	secret->_cap = (size_t)1 << shift;
	return true;
}

void secret_append(struct secret *secret, struct str s) {
	if (!reserve(secret, s.len)) return;
	if (s.len) memcpy(secret->_ptr + secret->_len, s.ptr, s.len);
	secret->_len += s.len;
}

void secret_append_char(struct secret *secret, char c) {
	secret_append(secret, (struct str){ &c, 1 });
}

static void append_sink(void *sink, struct str piece) {
	secret_append(sink, piece);
}

void secret_append_base64(struct secret *secret, struct str s) {
	encode_base64((struct sink){ append_sink, secret }, s);
}

void secret_append_json(struct secret *secret, struct str s) {
	encode_json((struct sink){ append_sink, secret }, s);
}

void secret_append_url(struct secret *secret, struct str s) {
	encode_url((struct sink){ append_sink, secret }, s);
}

enum err secret_err(const struct secret *secret) {
	return secret->_err;
}

size_t secret_len(const struct secret *secret) {
	return secret->_len;
}

void secret_move(struct secret *to, struct secret *from) {
	assert(!to->_ptr);
	*to = *from;
	*from = (struct secret){ 0 };
}

struct str secret_expose(const struct secret *secret) {
	return (struct str){ secret->_ptr, secret->_len };
}

bool secret_equal(const struct secret *a, const struct secret *b) {
	return a->_len == b->_len && (a->_len == 0 || CRYPTO_memcmp(a->_ptr, b->_ptr, a->_len) == 0);
}
