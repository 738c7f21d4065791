#include "base/jsonout.h"

#include <inttypes.h>
#include <string.h>

#include "base/base64.h"
#include "base/dates.h"
#include "base/utf8.h"

void jsonout_init(struct jsonout *j, struct buf *out)
{
	j->out = out;
	j->comma = false;
}

void jsonout_quote(struct buf *out, const char *text, size_t length)
{
	const char *end = text + length;

	(void)buf_add_char(out, '"');
	while (text < end) {
		uint32_t rune;
		bool valid;
		size_t n = utf8_decode(text, end, &rune, &valid);

		if (!valid)
			(void)buf_add_text(out, "\xef\xbf\xbd");
		else if (rune == '"' || rune == '\\')
			(void)buf_addf(out, "\\%c", *text);
		else if (rune == '\n')
			(void)buf_add_text(out, "\\n");
		else if (utf8_is_shown(rune))
			(void)buf_add(out, text, n);
		else if (rune > 0xFFFF)
			(void)buf_addf(out, "\\u%04x\\u%04x", (unsigned)(0xD800 + ((rune - 0x10000) >> 10)),
			               (unsigned)(0xDC00 + ((rune - 0x10000) & 0x3FF)));
		else
			(void)buf_addf(out, "\\u%04x", (unsigned)rune);
		text += n;
	}
	(void)buf_add_char(out, '"');
}

static void start(struct jsonout *j, const char *key)
{
	if (j->comma)
		(void)buf_add_char(j->out, ',');
	j->comma = true;
	if (key) {
		jsonout_quote(j->out, key, strlen(key));
		(void)buf_add_char(j->out, ':');
	}
}

static void open_with(struct jsonout *j, const char *key, char bracket)
{
	start(j, key);
	(void)buf_add_char(j->out, bracket);
	j->comma = false;
}

static void close_with(struct jsonout *j, char bracket)
{
	(void)buf_add_char(j->out, bracket);
	j->comma = true;
}

void jsonout_object(struct jsonout *j, const char *key) { open_with(j, key, '{'); }

void jsonout_base64(struct jsonout *j, const char *key, const void *bytes, size_t length)
{
	const size_t count = base64_length(BASE64_STANDARD, length);
	char *room;

	start(j, key);
	(void)buf_add_char(j->out, '"');
	if (buf_reserve(j->out, count, &room) == ERR_OK) {
		base64_encode(BASE64_STANDARD, bytes, length, room);
		buf_advance(j->out, count);
	}
	(void)buf_add_char(j->out, '"');
}

void jsonout_object_end(struct jsonout *j) { close_with(j, '}'); }

void jsonout_array(struct jsonout *j, const char *key) { open_with(j, key, '['); }

void jsonout_array_end(struct jsonout *j) { close_with(j, ']'); }

void jsonout_text_n(struct jsonout *j, const char *key, const char *text, size_t length)
{
	start(j, key);
	jsonout_quote(j->out, text, length);
}

void jsonout_text(struct jsonout *j, const char *key, const char *text)
{
	if (text)
		jsonout_text_n(j, key, text, strlen(text));
	else
		jsonout_null(j, key);
}

void jsonout_int(struct jsonout *j, const char *key, int64_t value)
{
	start(j, key);
	(void)buf_addf(j->out, "%" PRId64, value);
}

void jsonout_uint(struct jsonout *j, const char *key, uint64_t value)
{
	start(j, key);
	(void)buf_addf(j->out, "%" PRIu64, value);
}

void jsonout_real(struct jsonout *j, const char *key, double value)
{
	start(j, key);
	(void)buf_addf(j->out, value < 1 ? "%.3f" : value < 10 ? "%.2f" : "%.1f", value);
}

void jsonout_bool(struct jsonout *j, const char *key, bool value)
{
	start(j, key);
	(void)buf_add_text(j->out, value ? "true" : "false");
}

void jsonout_null(struct jsonout *j, const char *key)
{
	start(j, key);
	(void)buf_add_text(j->out, "null");
}

void jsonout_time_ms(struct jsonout *j, const char *key, int64_t wall_ms)
{
	char text[DATES_ISO_MS_BYTES];

	if (wall_ms <= 0)
		jsonout_null(j, key);
	else
		jsonout_text(j, key, dates_format_iso_ms(wall_ms, text));
}
