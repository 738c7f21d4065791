/* feeder_messages: what the cuts of a block are as messages. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "doors/feeder.h"

enum { SHAPED_META_MAX_BYTES = 6 * SCANNER_HEADER_MAX_BYTES + 4096 };

/* What the scanner makes of a row. Null: it is too long then. */
static struct message *shape_message(struct feeder *f, const struct slice *row, uint64_t number, struct buf *meta,
                                     int64_t now_ms)
{
	struct scanner_shaped shaped;
	struct message *m;
	char digits[24];
	enum err err = ERR_OK;

	if (!scanner_shape(&f->scanner, f->flying->data + row->offset, row->length, row->flaw, &shaped)) {
		scanner_rest(&f->scanner);
		return NULL;
	}
	(void)snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
	if (shaped.is_numbered)
		err = meta_add(meta, 'j', "csv_row", 7, digits, strlen(digits));
	else if (shaped.header)
		err = meta_add(meta, 'j', "header", 6, shaped.header, strlen(shaped.header));
	must(err == ERR_OK);
	m = message_new(meta->data, meta->len, shaped.body, shaped.length, now_ms);
	scanner_rest(&f->scanner);
	return m;
}

/* The i-th message of the flying block; null: what is made of it is too long. */
struct message *feeder_message(struct feeder *f, uint32_t i, int64_t now_ms)
{
	const struct block *b = f->flying;
	const struct slice *row = &b->slices[i];
	const bool unfinished = b->unfinished && i + 1 == b->count;
	struct message *m;
	struct buf meta;

	if (row->aside)
		return message_copy(row->aside);
	if (!unfinished && !scanner_shapes(&f->scanner))
		return message_new(f->meta.data, f->meta.len, b->data + row->offset, row->length, now_ms);
	buf_init(&meta, FEEDER_META_MAX_BYTES + SHAPED_META_MAX_BYTES);
	(void)buf_add(&meta, f->meta.data, f->meta.len);
	if (unfinished)
		(void)meta_add(&meta, 'j', "unfinished", 10, "true", 4);
	if (scanner_shapes(&f->scanner))
		m = shape_message(f, row, row->rows - 1, &meta, now_ms);
	else
		m = message_new(meta.data, meta.len, b->data + row->offset, row->length, now_ms);
	buf_fini(&meta);
	if (m && row->flaw)
		message_fail(m, NULL, row->flaw);
	return m;
}
