/*
 * cursor_internal: what the two forms give to cursor.c, no other file includes it.
 *
 * What it is: the same steps twice, for JSON (cursor_json.c) and CBOR (cursor_cbor.c).
 * Promises: none of its own. Owner: cursor.c calls, nobody else. Thread: the cursor's.
 * Fails: as cursor.h says, by cursor_wrong. Does not: look at `wrong` first; cursor.c did.
 */
#ifndef KSPOOL_KINESIS_CURSOR_INTERNAL_H
#define KSPOOL_KINESIS_CURSOR_INTERNAL_H

#include "kinesis/cursor.h"

bool cursor_json_open(struct cursor *r, struct cursor_scope *scope, char opener, char closer);
bool cursor_json_more(struct cursor *r, struct cursor_scope *scope);
bool cursor_json_text(struct cursor *r, struct cursor_text *ret, bool is_key);
bool cursor_json_skip(struct cursor *r);
void cursor_json_space(struct cursor *r);
bool cursor_cbor_open(struct cursor *r, struct cursor_scope *scope, unsigned major);
bool cursor_cbor_more(struct cursor *r, struct cursor_scope *scope);
bool cursor_cbor_text(struct cursor *r, struct cursor_text *ret, bool is_key);
bool cursor_cbor_skip(struct cursor *r);

#endif
