/*
 * man: the manual page.
 *
 * What it is: kspool(1) as roff, made of the rows of commands.def, options.def and metrics.def.
 * Promises: none of its own. Owner: the caller owns the buffer. Thread: any.
 * Fails: never; a full buffer shows in its overflow.
 * Does not: know what a command does.
 */
#ifndef KSPOOL_CLI_MAN_H
#define KSPOOL_CLI_MAN_H

#include "base/buf.h"

void man_print(struct buf *out);

#endif
