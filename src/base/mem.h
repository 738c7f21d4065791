/*
 * mem: small allocations that end the process on failure, and the budget of what strangers cause.
 *
 * What it is: memory for objects whose size the program decides; and one count of the bytes that peers make exist, in
 * shares, against kspool.memory.
 * Promises: 3 (ending is safe), 6 (what exceeds the budget is refused before it is allocated).
 * Owner: the caller; free() it.
 * Thread: any.
 * Fails: a line on stderr and the exit status of ERR_MEMORY, at once; a size that overflows is a bug and aborts.
 * budget_take says no.
 * Does not: allocate from the budget: who holds the bytes asks first and gives them back.
 */
#ifndef KSPOOL_BASE_MEM_H
#define KSPOOL_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
/* Zeroed. */
void *mem_zero(size_t size) __attribute__((malloc, returns_nonnull));
/* count * size with an overflow check. */
void *mem_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *mem_grow(void *old, size_t count, size_t size) __attribute__((returns_nonnull));
/* As realloc. These have the names by which libraries can be given them, so that none goes on without memory. */
void *mem_resize(void *old, size_t size) __attribute__((returns_nonnull));
/* What a library made: null means that it had no memory for it. */
void *mem_given(void *p) __attribute__((returns_nonnull));
/* A library says that it had none. */
_Noreturn void mem_exhausted(void);
char *mem_string(const char *s) __attribute__((malloc, returns_nonnull));
char *mem_string_n(const char *s, size_t length) __attribute__((malloc, returns_nonnull));
char *mem_format(const char *format, ...) __attribute__((malloc, returns_nonnull, format(printf, 1, 2)));
/* s as one word of a shell, for a command that somebody is told to run: as it is, or in quotes. */
char *mem_shell_word(const char *s) __attribute__((malloc, returns_nonnull));

/* Null when the system has none: for what a stranger sizes, of which the caller refuses what it gets no memory for. */
void *mem_try(size_t size) __attribute__((malloc));

/*
 * Doors, delivery and connections bound their own shares and tell them. What processors make takes what those leave:
 * only a thread that can refuse its work to a peer leaves an eighth to the other, which cannot.
 */
enum budget_share { BUDGET_DOORS, BUDGET_DELIVERY, BUDGET_CONNECTIONS, BUDGET_SHARES };

/* 0: without limit, as it is before the first call. */
void budget_open(uint64_t bytes);
uint64_t budget_size(void);
void budget_tell(enum budget_share share, uint64_t bytes);
/* False, and nothing taken, when `bytes` more pass the budget. */
bool budget_take(uint64_t bytes, bool leave);
void budget_give(uint64_t bytes);
/*
 * What this thread does, when it leaves nothing and the budget says no, before it asks again. False: it does not ask.
 * Null: never, as at first.
 */
void budget_wait_by(bool (*wait)(void *arg), void *arg);
/* What processors hold now. */
uint64_t budget_taken(void);

#endif
