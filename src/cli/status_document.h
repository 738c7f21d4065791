/*
 * picture: /status of a running daemon, read into an arena.
 */
#ifndef KSPOOL_CLI_STATUS_DOCUMENT_H
#define KSPOOL_CLI_STATUS_DOCUMENT_H

#include "value/value.h"
#include "cli/cli.h"

struct picture {
	struct buf text;
	struct arena arena;
	struct value document;
};

enum err picture_take(struct picture *p, const char *control, struct error *e) MUST_CHECK;
void picture_fini(struct picture *p);

/* A member by its dot path; "" and 0 when it is not there. picture_text's result lives as long as the picture. */
const char *picture_text(struct picture *p, const char *path);
double picture_number(struct picture *p, const char *path);
bool picture_bool(struct picture *p, const char *path);
/* False when the member is missing or null. */
bool picture_has(struct picture *p, const char *path);

#endif
