/*
 * callers: who called, by name; static functions too, as far as the compiler kept them.
 */
#ifndef KSPOOL_TESTS_CALLERS_H
#define KSPOOL_TESTS_CALLERS_H

#include <stddef.h>

enum { CALLERS_MAX = 40 };

struct callers {
	int count;
	void *frames[CALLERS_MAX];
};

void callers_note(struct callers *to);
/* The function of this program that the i-th is in; null: none of this program. */
const char *callers_name(const struct callers *c, int i);

#endif
