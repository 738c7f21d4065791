#include "cli/shown.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/utf8.h"

enum { BUFFERS = 8 };

static void add_shown(struct buf *out, const char *text, size_t length, bool keeps_lines)
{
	const char *end = text + length;

	while (text < end) {
		uint32_t rune;
		bool valid;
		size_t n = utf8_decode(text, end, &rune, &valid);

		if (valid && (utf8_is_shown(rune) || (keeps_lines && (rune == '\n' || rune == '\t'))))
			(void)buf_add(out, text, n);
		else if (rune == '\n' || rune == '\t' || rune == '\r')
			(void)buf_add_text(out, rune == '\n' ? "\\n" : rune == '\t' ? "\\t" : "\\r");
		else if (!valid || rune < 0x80)
			(void)buf_addf(out, "\\x%02x", (unsigned char)*text);
		else
			(void)buf_addf(out, rune > 0xFFFF ? "\\U%08x" : "\\u%04x", (unsigned)rune);
		text += n;
	}
}

const char *shown_n(const char *text, size_t length)
{
	static struct buf buffers[BUFFERS];
	static unsigned next;
	struct buf *b = &buffers[next++ % BUFFERS];

	b->max = SIZE_MAX / 2;
	buf_clear(b);
	add_shown(b, text, length, false);
	return b->data ? b->data : "";
}

const char *shown(const char *text) { return shown_n(text, strlen(text)); }

void shown_lines(FILE *out, const char *text, size_t length)
{
	struct buf b;

	buf_init(&b, SIZE_MAX / 2);
	add_shown(&b, text, length, true);
	(void)fwrite(b.data ? b.data : "", 1, b.len, out);
	buf_fini(&b);
}

void shown_payload(FILE *out, const void *data, size_t length)
{
	if (isatty(fileno(out)))
		shown_lines(out, data, length);
	else
		(void)fwrite(data, 1, length, out);
}

void shown_preview(FILE *out, const void *data, size_t length, size_t most)
{
	const char *text = data, *end = text + length, *cut = text + (length < most ? length : most);

	while (text < end) {
		uint32_t rune;
		bool valid;
		const size_t n = utf8_decode(text, end, &rune, &valid);
		const bool is_shown = valid && utf8_is_shown(rune);

		if (n > (size_t)(cut - text))
			break;
		(void)fwrite(is_shown ? text : ".", 1, is_shown ? n : 1, out);
		text += n;
	}
	if (text < end)
		(void)fputs("...", out);
}
