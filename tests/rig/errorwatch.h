/*
 * errorwatch: no error vanishes in silence.
 *
 * What it is: since a rig was armed, each operation that it failed and each error that was made (base/error.c, reached
 * before it by the linker's --wrap) are noted with their callers. An act that met a fault has to end with one of those
 * errors, or to say its text, in what it answers or in the log at warn or higher; and a fault of which no error was
 * made at all is as silent as an error that nobody hears of. What may be passed over, and why, is a list in
 * errorwatch.c, by the function that passes it over. Thread: any; an act is judged when it is over.
 */
#ifndef KSPOOL_TESTS_ERRORWATCH_H
#define KSPOOL_TESTS_ERRORWATCH_H

#include <stdbool.h>

#include "base/error.h"

/* Nothing was noted so far: for rigs, when they are armed to fail something. */
void errorwatch_begin(void);
/* For rigs: an operation fails now. `what`: on which file, or which statement. */
void errorwatch_fault(const char *what);
/* Said while the act went on: as good as an answer. */
void errorwatch_hear(const char *text);
/* Null, or which fault or error nobody was told of: by whom it was made. `said`: what the act answered besides, may be
 * null. Static storage. */
const char *errorwatch_silent(enum err err, const struct error *e, const char *said);

/* The same, and fails the test: included after cmocka.h. `what`, `n`: the act, and which of its operations failed. */
#define ERRORWATCH_EXPECT(err, e, said, what, n)                                                                   \
	do {                                                                                                       \
		const char *silent_ = errorwatch_silent((err), (e), (said));                                       \
                                                                                                                   \
		if (silent_)                                                                                       \
			fail_msg("%s: %llu failed, and in silence: %s", (what), (unsigned long long)(n), silent_); \
	} while (0)

#endif
