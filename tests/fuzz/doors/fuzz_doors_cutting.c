/*
 * Scanner, frames and multipart over the same bytes. The first two bytes choose kind and pieces. Oracles: any split
 * gives the same messages; messages and delimiters together are the input; answers never outnumber whole frames.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "server/multipart.h"
#include "doors/frame.h"
#include "doors/scanner.h"
#include "rig/fuzz.h"

enum { MAX = 20 };

static void shape(struct scanner *s, enum scanner_event what, const char *row, uint64_t length)
{
	struct scanner_shaped shaped;
	const bool is_row = what == SCANNER_MESSAGE || what == SCANNER_FLAWED;

	if (is_row && scanner_shapes(s) &&
	    scanner_shape(s, row, length, what == SCANNER_FLAWED ? s->flaw : NULL, &shaped))
		must(shaped.length >= 2 && shaped.length <= MAX);
}

static void scan_all(const struct config_scanner *config, const char *bytes, size_t length, size_t piece,
                     struct buf *log)
{
	struct scanner s;
	struct buf held;
	size_t at = 0, used_total = 0;
	enum scanner_event what = SCANNER_MORE;
	bool at_end = false;

	scanner_init(&s, config, NULL, MAX, true);
	buf_init(&held, 1 << 22);
	while (!at_end && what != SCANNER_BROKEN) {
		size_t n = length - at < piece ? length - at : piece;

		(void)buf_add(&held, bytes + at, n);
		at += n;
		at_end = at == length;
		do {
			size_t used;
			uint64_t body;

			what = scanner_next(&s, held.data ? held.data : "", held.len, at_end, &used, &body);
			must(used <= held.len);
			must(what != SCANNER_MESSAGE || (body <= MAX && body <= used));
			must(what == SCANNER_MORE || what == SCANNER_BROKEN || used > 0);
			shape(&s, what, held.data, body);
			if (what == SCANNER_MESSAGE || what == SCANNER_FLAWED)
				(void)buf_addf(log, "(%u)", (unsigned)body), (void)buf_add(log, held.data, body);
			else if (what == SCANNER_TOO_LONG)
				(void)buf_addf(log, "!%u", (unsigned)body);
			used_total += used;
			buf_consume(&held, used);
		} while (what != SCANNER_MORE && what != SCANNER_BROKEN);
	}
	must(used_total == length || what == SCANNER_BROKEN);
	scanner_fini(&s);
	buf_fini(&held);
}

static void read_frames(const char *bytes, size_t length, size_t piece, struct buf *log)
{
	struct frame_reader r;

	frame_reader_init(&r, MAX);
	for (size_t at = 0; at < length; at += piece) {
		size_t n = length - at < piece ? length - at : piece;
		size_t from = 0;

		while (from < n) {
			const char *payload;
			uint32_t payload_length;
			size_t used;
			enum frame_event event =
			    frame_read(&r, bytes + at + from, n - from, &used, &payload, &payload_length);

			must(used > 0 && frame_reader_held(&r) <= MAX);
			if (event == FRAME_WHOLE)
				(void)buf_add_text(log, "("), (void)buf_add(log, payload, payload_length);
			else if (event == FRAME_TOO_LONG)
				(void)buf_addf(log, "!%u", payload_length);
			from += used;
		}
	}
	frame_reader_fini(&r);
}

static void read_multipart(const char *bytes, size_t length)
{
	struct multipart m;
	const char *part;
	size_t part_length, sum = 0;
	enum multipart_event event;

	multipart_init(&m, "b", bytes, length);
	while ((event = multipart_next(&m, &part, &part_length)) == MULTIPART_PART) {
		must(part >= bytes && part_length <= length && part + part_length <= bytes + length);
		must((sum += part_length) <= length);
	}
}

static void check_equal(struct buf *a, struct buf *b)
{
	must(a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0));
	buf_fini(a);
	buf_fini(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char delimiter[] = "aba";
	struct config_scanner config = {.kind = SCANNER_LINES};
	enum frame_status status;
	struct buf a, b;
	const char *bytes, *text;
	size_t length, text_length;
	size_t piece;

	if (size < 2)
		return 0;
	bytes = (const char *)data + 2;
	length = size - 2;
	piece = (size_t)data[1] % 40 + 1;
	config.lines.omit_empty = data[0] & 1;
	config.lines.custom_delimiter = data[0] & 2 ? delimiter : NULL;
	config.kind = data[0] & 4 ? SCANNER_CHUNKER : data[0] & 8 ? SCANNER_TO_THE_END : SCANNER_LINES;
	if ((data[0] & 12) == 12) {
		config.kind = data[0] & 16 ? SCANNER_CSV : data[0] & 32 ? SCANNER_JSON_ARRAY : SCANNER_JSON_DOCUMENTS;
		config.skip_bom = data[0] & 1;
		config.csv.parse_header_row = data[0] & 2;
		config.csv.lazy_quotes = data[0] & 32;
		config.csv.continue_on_error = data[0] & 64;
	}
	config.chunker.size_bytes = (uint64_t)(data[0] >> 4) + 1;
	buf_init(&a, 1 << 22);
	buf_init(&b, 1 << 22);
	scan_all(&config, bytes, length, size, &a);
	scan_all(&config, bytes, length, piece, &b);
	check_equal(&a, &b);
	buf_init(&a, 1 << 22);
	buf_init(&b, 1 << 22);
	read_frames(bytes, length, size, &a);
	read_frames(bytes, length, piece, &b);
	check_equal(&a, &b);
	read_multipart(bytes, length);
	(void)frame_answer_decode(bytes, length, &status, &text, &text_length);
	return 0;
}
