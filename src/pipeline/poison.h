/*
 * poison: which messages were being prepared when a run of the process died.
 *
 * What it is: a marker in PATH.poison, written before processors and keys work on messages and taken back afterwards,
 * without a sync: it outlives the process, not the power, and only the process can be ended by a message. What the last
 * run died on is prepared alone in this one; what dies once more is condemned, and set aside without being looked at.
 * Deaths by a signal of the process's own making (a crash, an abort) count from the second on, any other end (SIGKILL,
 * the kernel's for want of memory, an operator's) from the fifth, since it may have hit an innocent.
 * Promises: 11 (no message ends the process more than a few times).
 * Owner: poison_open's caller. Thread: open and close before and after the others; each place on one thread.
 * Fails: poison_open when the file cannot be had; then nothing is marked, and nobody is suspected.
 * Does not: know what a message is: a place numbers its own.
 */
#ifndef KSPOOL_PIPELINE_POISON_H
#define KSPOOL_PIPELINE_POISON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum poison_place { POISON_INTAKE, POISON_DELIVERY, POISON_CHECK /* batching.check */, POISON_PLACES };

enum err poison_open(const char *spool_path, struct error *e) MUST_CHECK;
/* The run ended in order. */
void poison_close(void);
/* On the thread that works at the place, before its first poison_begin: its signals find the stack they need. A thread
 * may work at several. */
void poison_enter(enum poison_place place);
/* At the thread's end. */
void poison_leave(void);
/* From here on the messages first to last are worked on: ids, or what stands for them (0 to UINT64_MAX: for many). */
void poison_begin(enum poison_place place, uint64_t first, uint64_t last);
void poison_end(enum poison_place place);
/* The last run died at this place: one message at a time until what is suspected was passed. */
bool poison_is_careful(enum poison_place place);
/* The last run died on something in this range. */
bool poison_suspects(enum poison_place place, uint64_t first, uint64_t last);
/* To be set aside. */
bool poison_condemns(enum poison_place place, uint64_t id);

#endif
