/*
 * ini: the files of the AWS tools (~/.aws/config, ~/.aws/credentials).
 *
 * What it is: `[section]` lines, `key = value` (or ':') lines, `#` and `;` comments (whole lines, or after a blank
 * behind a value). Keys are taken in lower case. An indented line continues the value above it; when that value is
 * empty and the line has a '=', it is a setting below it (`services` sections). Of a setting given twice the last
 * counts. Source: AWS SDKs and Tools Reference Guide, "Format of the configuration files".
 * Promises: 6 (at most INI_FILE_MAX bytes and INI_ENTRIES_MAX entries).
 * Owner: the caller of ini_parse; values are wiped by ini_fini.
 * Thread: any reader.
 * Fails: ERR_INPUT naming the line.
 * Does not: read files or know what a key means.
 */
#ifndef KSPOOL_AWS_IDENTITY_INI_H
#define KSPOOL_AWS_IDENTITY_INI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum { INI_ENTRIES_MAX = 10000, INI_FILE_MAX = 1024 * 1024 };

struct ini_entry {
	char *section; /* "profile x" with its blanks made one and its quotes taken off */
	char *key;     /* null: the section's own line */
	char *below;   /* a nested setting's key; null otherwise */
	char *value;
};

struct ini {
	struct ini_entry *entries;
	size_t count;
	size_t capacity;
};

/* `name` stands for the file in messages. ret is left empty on failure. */
enum err ini_parse(const char *name, const char *text, size_t length, struct ini *ret, struct error *e) MUST_CHECK;
/* Values are wiped. Accepts a zeroed struct. */
void ini_fini(struct ini *ini);
/* null when there is none; "" is a value. */
const char *ini_get(const struct ini *ini, const char *section, const char *key);
const char *ini_get_below(const struct ini *ini, const char *section, const char *key, const char *below);
bool ini_has_section(const struct ini *ini, const char *section);

#endif
