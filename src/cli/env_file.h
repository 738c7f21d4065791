/*
 * env_file: variables of a configuration out of a file (`run -e FILE`).
 *
 * What it is: lines of NAME=VALUE, also with `export ` before and quotes around the value; in double quotes \\n, \\t,
 * \\" and
 * \\\\ mean what they mean in a shell's $''. Empty lines and what begins with # are passed over. They stand over those
 * that the process was given. Promises: none of its own. Owner: the process's environment. Thread: before any other
 * starts. Fails: ERR_NOINPUT, ERR_CONFIG with the line; no value is shown. Does not: replace variables in values.
 */
#ifndef KSPOOL_CLI_ENV_FILE_H
#define KSPOOL_CLI_ENV_FILE_H

#include "base/error.h"

enum err env_file_read(const char *path, struct error *e) MUST_CHECK;

#endif
