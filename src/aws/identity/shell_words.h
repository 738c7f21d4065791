/*
 * shell_words: a command line split as a POSIX shell splits it, without running one.
 *
 * What it is: blanks separate; '...' keeps all, "..." keeps all but \" \\ \$ \` and \newline, backslash keeps the next.
 * Source: POSIX 2.2 Quoting, and what botocore does for credential_process.
 * Promises: 11 (at most SHELL_WORDS_MAX words).
 * Owner: the caller frees with shell_words_free.
 * Thread: any.
 * Fails: null for an open quote, a backslash at the end, or no word at all.
 * Does not: expand variables, globs or substitutions.
 */
#ifndef KSPOOL_AWS_IDENTITY_SHELL_WORDS_H
#define KSPOOL_AWS_IDENTITY_SHELL_WORDS_H

enum { SHELL_WORDS_MAX = 256 };

/* A null-terminated list. */
char **shell_words_split(const char *text);
void shell_words_free(char **words);

#endif
