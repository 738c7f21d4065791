#include "base/jsonout.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

void jsonout_init(struct jsonout *j, struct buf *out)
{
	j->out = out;
	j->comma = false;
}

/* Length of the valid UTF-8 sequence at p, 0 when there is none. */
static size_t sequence_length(const unsigned char *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : 4;

	if (n == 1)
		return 1;
	if (n > left || p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

void jsonout_quote(struct buf *out, const char *text, size_t length)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t i = 0;

	(void)buf_add_char(out, '"');
	while (i < length) {
		size_t n = sequence_length(p + i, length - i);

		if (n == 0) {
			(void)buf_add_text(out, "\xef\xbf\xbd");
			n = 1;
		} else if (p[i] == '"' || p[i] == '\\') {
			(void)buf_addf(out, "\\%c", p[i]);
		} else if (p[i] == '\n') {
			(void)buf_add_text(out, "\\n");
		} else if (p[i] < 0x20 || p[i] == 0x7f) {
			(void)buf_addf(out, "\\u%04x", p[i]);
		} else {
			(void)buf_add(out, p + i, n);
		}
		i += n;
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
	(void)buf_addf(j->out, "%.1f", value);
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
	time_t seconds = (time_t)(wall_ms / MS_PER_S);
	char text[48], whole[64];
	struct tm tm;

	if (wall_ms <= 0 || !gmtime_r(&seconds, &tm)) {
		jsonout_null(j, key);
		return;
	}
	(void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(whole, sizeof whole, "%s.%03dZ", text, (int)(wall_ms % MS_PER_S));
	jsonout_text(j, key, whole);
}
