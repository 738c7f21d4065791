/* The request parser: the first byte says how the rest is cut; the outcome must be that of one piece. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "server/http1.h"
#include "rig/fuzz.h"

enum { MAX_BODY = 5000 };

static void observe(const uint8_t *bytes, size_t length, size_t piece, struct buf *log)
{
	struct http1 p;
	uint64_t declared = 0, given = 0;
	size_t at = 0;
	bool over = false;

	http1_init(&p, MAX_BODY);
	while (!over && at < length) {
		size_t n = length - at < piece ? length - at : piece;
		char *copy = malloc(n);
		size_t from = 0, used, data_length;
		enum http1_event event;
		const char *data;

		memcpy(copy, bytes + at, n);
		do {
			event = http1_feed(&p, copy + from, n - from, &used, &data, &data_length);
			from += used;
			switch (event) {
			case HTTP1_HEAD:
				must(!(p.chunked && p.has_length));
				declared = p.content_length;
				given = 0;
				(void)buf_addf(log, "[%s %s %u]", p.method, p.head.data + p.target, p.headers);
				break;
			case HTTP1_DATA:
				given += data_length;
				must(given <= MAX_BODY);
				(void)buf_add(log, data, data_length);
				break;
			case HTTP1_DONE:
				must(p.chunked || given == declared);
				(void)buf_add_text(log, "<done>");
				if (p.close)
					over = true;
				else
					http1_reset(&p);
				break;
			case HTTP1_BAD:
				must(p.status >= 400 && p.status < 600 && p.reason);
				(void)buf_addf(log, "<%d>", p.status);
				over = true;
				break;
			case HTTP1_MORE:
				must(from == n);
				break;
			}
		} while (!over && event != HTTP1_MORE);
		free(copy);
		at += n;
	}
	http1_fini(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, pieces;

	if (size < 1)
		return 0;
	buf_init(&whole, 1 << 22);
	buf_init(&pieces, 1 << 22);
	observe(data + 1, size - 1, size, &whole);
	observe(data + 1, size - 1, (size_t)data[0] % 64 + 1, &pieces);
	must(whole.len == pieces.len && (whole.len == 0 || memcmp(whole.data, pieces.data, whole.len) == 0));
	buf_fini(&whole);
	buf_fini(&pieces);
	return 0;
}
