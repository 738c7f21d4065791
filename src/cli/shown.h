/*
 * shown: texts that others wrote, as they may be put on a terminal.
 *
 * What it is: controls, direction marks and bytes that are no UTF-8 become \x1b, \u202e, \xff; everything else stays.
 * Promises: 11 (nobody but us moves the cursor, forges a row or sets a title).
 * Owner: shown() returns one of a few buffers of its own, good for one call of printf. Thread: main.
 * Fails: never. Does not: quote; what stands beside the text does.
 */
#ifndef KSPOOL_CLI_SHOWN_H
#define KSPOOL_CLI_SHOWN_H

#include <stddef.h>
#include <stdio.h>

/* Good until this was called seven times more. Line ends and tabs are shown as escapes too. */
const char *shown(const char *text);
const char *shown_n(const char *text, size_t length);
/* Lines stay lines. */
void shown_lines(FILE *out, const char *text, size_t length);
/* A payload: as it is, unless out is a terminal; then as shown_lines. */
void shown_payload(FILE *out, const void *data, size_t length);
/* Its beginning, on a line: `most` bytes or, so that no character is cut, a few less. What is not shown is a dot. */
void shown_preview(FILE *out, const void *data, size_t length, size_t most);

#endif
