#include "base/secret_arena.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <sys/mman.h>

#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif
#ifdef HAVE_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(ptr, bytes) ((void)(ptr), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(ptr, bytes) ((void)(ptr), (void)(bytes))
#endif

/* A chunk is what is locked at once; a multiple of every page size that Linux has on our machines. */
enum { PAGE_BYTES = 4096, CHUNK_BYTES = 64 * 1024, SLOT_MIN_BYTES = 64, SLOT_CLASSES = 6 };
enum page_kind { PAGE_UNUSED, PAGE_FREE, PAGE_RUN, PAGE_SLOTS };

/* Pages are known by their index + 1, so that 0 is "none" and zeroed memory is right. */
struct page {
	uint64_t free_slots; /* PAGE_SLOTS: a bit per free slot */
	uint32_t pages; /* length of the run, in its first page; of a free run also in its last */
	uint32_t next,
		prev; /* PAGE_FREE: the free runs; PAGE_SLOTS with a free slot: those of its class */
	uint8_t kind; /* enum page_kind, in the first page of a run; of a free run also in its last */
	uint8_t slot_class; /* PAGE_SLOTS: slots of 64 << slot_class bytes */
};

struct secret_arena {
	char *base;
	size_t mapped_bytes;
	size_t committed_bytes;
	struct page *pages; /* pages[0] is not used */
	uint32_t page_count;
	uint32_t top; /* the last page in use */
	uint32_t free_runs;
	uint32_t partial[SLOT_CLASSES]; /* pages with free slots */
	size_t used_bytes;
	bool locked;
};

static size_t round_up(size_t bytes, size_t unit) {
	return (bytes + unit - 1) / unit * unit;
}

static char *page_address(const struct secret_arena *arena, uint32_t page) {
	return arena->base + (size_t)(page - 1) * PAGE_BYTES;
}

static void link_page(struct secret_arena *arena, uint32_t *head, uint32_t page) {
	arena->pages[page].prev = 0;
	arena->pages[page].next = *head;
	if (*head) arena->pages[*head].prev = page;
	*head = page;
}

static void unlink_page(struct secret_arena *arena, uint32_t *head, uint32_t page) {
	struct page *p = &arena->pages[page];
	if (p->next) arena->pages[p->next].prev = p->prev;
	if (p->prev) {
		arena->pages[p->prev].next = p->next;
	} else {
		assert(*head == page);
		*head = p->next;
	}
	p->next = p->prev = 0;
}

static void commit(struct secret_arena *arena, size_t bytes) {
	while (arena->committed_bytes < bytes) {
		char *chunk = arena->base + arena->committed_bytes;
		/* Refused once, refused for good: RLIMIT_MEMLOCK does not grow. */
		if (arena->locked && mlock(chunk, CHUNK_BYTES) != 0) arena->locked = false;
		arena->committed_bytes += CHUNK_BYTES;
	}
}

struct secret_arena *secret_arena_create(size_t max_bytes) {
	assert(max_bytes > 0 && max_bytes / PAGE_BYTES < UINT32_MAX - 2);
	struct secret_arena *arena = mem_zalloc(sizeof(*arena));
	if (!arena) return NULL;
	arena->page_count = (uint32_t)(round_up(max_bytes, PAGE_BYTES) / PAGE_BYTES);
	arena->mapped_bytes = round_up(max_bytes, CHUNK_BYTES);
	arena->pages = mem_array((size_t)arena->page_count + 1, sizeof(*arena->pages));
	if (!arena->pages) goto failed;
	void *base = mmap(NULL, arena->mapped_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED) goto failed;
	arena->base = base;
	/* Neither is vital and old kernels lack the second: an arena that a core dump shows is better than no arena. */
	(void)madvise(base, arena->mapped_bytes, MADV_DONTDUMP);
	(void)madvise(base, arena->mapped_bytes, MADV_WIPEONFORK);
	ASAN_POISON_MEMORY_REGION(base, arena->mapped_bytes);
	arena->locked = true;
	commit(arena, 1); /* so that secret_arena_locked() tells the truth from the start */
	return arena;
failed:
	mem_free(arena->pages);
	mem_free(arena);
	return NULL;
}

void secret_arena_destroy(struct secret_arena *arena) {
	if (!arena) return;
	assert(arena->used_bytes == 0);
	ASAN_UNPOISON_MEMORY_REGION(arena->base, arena->mapped_bytes);
	int unmapped = munmap(arena->base, arena->mapped_bytes);
	assert(unmapped == 0);
	(void)unmapped;
	mem_free(arena->pages);
	mem_free(arena);
}

bool secret_arena_locked(const struct secret_arena *arena) {
	return arena->locked;
}

size_t secret_arena_used_bytes(const struct secret_arena *arena) {
	return arena->used_bytes;
}

static void mark_run(
	struct secret_arena *arena, uint32_t page, uint32_t pages, enum page_kind kind) {
	struct page *last = &arena->pages[page + pages - 1];
	last->kind = PAGE_UNUSED; /* it may have been the end of a free run */
	arena->pages[page] = (struct page){ .pages = pages, .kind = (uint8_t)kind };
	if (kind != PAGE_FREE) return;
	last->pages = pages;
	last->kind = PAGE_FREE;
	link_page(arena, &arena->free_runs, page);
}

/* The first page of a run of `pages`; 0 when the arena is full. First fit: what is long gone is used before new pages. */
static uint32_t take_run(struct secret_arena *arena, uint32_t pages, enum page_kind kind) {
	uint32_t page = arena->free_runs;
	while (page && arena->pages[page].pages < pages) page = arena->pages[page].next;
	if (page) {
		uint32_t rest = arena->pages[page].pages - pages;
		unlink_page(arena, &arena->free_runs, page);
		if (rest) mark_run(arena, page + pages, rest, PAGE_FREE);
	} else {
		if (pages > arena->page_count - arena->top) return 0;
		page = arena->top + 1;
		arena->top += pages;
		commit(arena, (size_t)arena->top * PAGE_BYTES);
	}
	mark_run(arena, page, pages, kind);
	return page;
}

/* Gives a run back, joined with what is free around it. */
static void give_run(struct secret_arena *arena, uint32_t page) {
	uint32_t pages = arena->pages[page].pages;
	uint32_t after = page + pages;
	if (after <= arena->top && arena->pages[after].kind == PAGE_FREE) {
		pages += arena->pages[after].pages;
		unlink_page(arena, &arena->free_runs, after);
		arena->pages[after].kind = PAGE_UNUSED;
	}
	if (page > 1 && arena->pages[page - 1].kind == PAGE_FREE) {
		uint32_t before = page - arena->pages[page - 1].pages;
		arena->pages[page - 1].kind = PAGE_UNUSED;
		arena->pages[page].kind = PAGE_UNUSED;
		pages += page - before;
		page = before;
		unlink_page(arena, &arena->free_runs, page);
	}
	if (page + pages - 1 == arena->top) {
		/* Joined with the pages that were never used, so that nothing is cut up for good. */
		mark_run(arena, page, pages, PAGE_UNUSED);
		arena->top = page - 1;
	} else {
		mark_run(arena, page, pages, PAGE_FREE);
	}
}

static size_t slot_bytes(unsigned slot_class) {
	return (size_t)SLOT_MIN_BYTES << slot_class;
}

static uint64_t all_slots(unsigned slot_class) {
	return UINT64_MAX >> (64 - PAGE_BYTES / slot_bytes(slot_class));
}

static char *take_slot(struct secret_arena *arena, unsigned slot_class) {
	uint32_t page = arena->partial[slot_class];
	if (!page) {
		page = take_run(arena, 1, PAGE_SLOTS);
		if (!page) return NULL;
		arena->pages[page].slot_class = (uint8_t)slot_class;
		arena->pages[page].free_slots = all_slots(slot_class);
		link_page(arena, &arena->partial[slot_class], page);
	}
	struct page *p = &arena->pages[page];
	unsigned slot = (unsigned)__builtin_ctzll(p->free_slots);
	p->free_slots &= p->free_slots - 1;
	if (!p->free_slots) unlink_page(arena, &arena->partial[slot_class], page);
	return page_address(arena, page) + slot * slot_bytes(slot_class);
}

static void give_slot(struct secret_arena *arena, uint32_t page, size_t offset) {
	struct page *p = &arena->pages[page];
	unsigned slot_class = p->slot_class;
	uint64_t bit = UINT64_C(1) << (offset / slot_bytes(slot_class));
	assert(offset % slot_bytes(slot_class) == 0 && !(p->free_slots & bit));
	if (!p->free_slots) link_page(arena, &arena->partial[slot_class], page);
	p->free_slots |= bit;
	if (p->free_slots != all_slots(slot_class)) return;
	unlink_page(arena, &arena->partial[slot_class], page);
	give_run(arena, page);
}

char *secret_arena_alloc(struct secret_arena *arena, size_t bytes, size_t *out_bytes) {
	assert(bytes > 0);
	unsigned slot_class = 0;
	while (slot_class < SLOT_CLASSES && slot_bytes(slot_class) < bytes) slot_class++;
	char *block;
	size_t size;
	if (slot_class < SLOT_CLASSES) {
		size = slot_bytes(slot_class);
		block = take_slot(arena, slot_class);
	} else {
		if (bytes > (size_t)arena->page_count * PAGE_BYTES) return NULL;
		size = round_up(bytes, PAGE_BYTES);
		uint32_t page = take_run(arena, (uint32_t)(size / PAGE_BYTES), PAGE_RUN);
		block = page ? page_address(arena, page) : NULL;
	}
	if (!block) return NULL;
	arena->used_bytes += size;
	ASAN_UNPOISON_MEMORY_REGION(block, size);
	*out_bytes = size;
	return block;
}

void secret_arena_free(struct secret_arena *arena, char *block) {
	if (!block) return;
	assert(block >= arena->base && block < arena->base + arena->mapped_bytes);
	size_t offset = (size_t)(block - arena->base);
	uint32_t page = (uint32_t)(offset / PAGE_BYTES) + 1;
	enum page_kind kind = arena->pages[page].kind;
	assert(kind == PAGE_RUN || kind == PAGE_SLOTS);
	size_t size = kind == PAGE_SLOTS ? slot_bytes(arena->pages[page].slot_class)
					 : (size_t)arena->pages[page].pages * PAGE_BYTES;
	OPENSSL_cleanse(block, size);
	ASAN_POISON_MEMORY_REGION(block, size);
	arena->used_bytes -= size;
	if (kind == PAGE_SLOTS) {
		give_slot(arena, page, offset % PAGE_BYTES);
	} else {
		give_run(arena, page);
	}
}
