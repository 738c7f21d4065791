#include "doors/scanner.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { MARKLESS_MIN_BYTES = 8 };

static bool ends_at_newlines(const struct config_scanner *config)
{
	return !config->lines.custom_delimiter || !*config->lines.custom_delimiter;
}

static bool is_utf16(const unsigned char *mark, size_t length)
{
	bool little = true, big = true;

	if (length >= 2 && ((mark[0] == 0xff && mark[1] == 0xfe) || (mark[0] == 0xfe && mark[1] == 0xff)))
		return true;
	for (size_t i = 0; i < length; i++) {
		bool is_odd = i % 2 == 1, is_nul = mark[i] == 0;

		little &= is_odd == is_nul;
		big &= is_odd != is_nul;
	}
	return length >= MARKLESS_MIN_BYTES && (little || big);
}

bool scanner_is_foreign(const struct config_scanner *config, const unsigned char *mark, size_t length)
{
	return config->kind == SCANNER_LINES && ends_at_newlines(config) && is_utf16(mark, length);
}

void scanner_init(struct scanner *s, const struct config_scanner *config, uint64_t max_bytes)
{
	memset(s, 0, sizeof *s);
	s->kind = config->kind;
	s->strip_cr = ends_at_newlines(config);
	s->delimiter = mem_string(s->strip_cr ? "\n" : config->lines.custom_delimiter);
	s->delimiter_length = strlen(s->delimiter);
	s->omit_empty = config->kind == SCANNER_LINES && config->lines.omit_empty;
	s->chunk_bytes = config->chunker.size_bytes;
	s->max_bytes = max_bytes;
	buf_init(&s->head, SCANNER_HEAD_MAX_BYTES);
}

void scanner_fini(struct scanner *s)
{
	free(s->delimiter);
	s->delimiter = NULL;
	buf_fini(&s->head);
}

void scanner_forget(struct scanner *s)
{
	s->looked = 0;
	s->skipping = false;
	s->skipped = 0;
	buf_clear(&s->head);
}

void scanner_look_again(struct scanner *s) { s->looked = 0; }

bool scanner_is_between(const struct scanner *s) { return !s->skipping; }

void scanner_expect_text(struct scanner *s, bool at_start)
{
	s->is_text = s->kind == SCANNER_LINES && s->strip_cr;
	s->may_be_mark = s->is_text && at_start;
}

bool scanner_is_delimited(const struct scanner *s, const char *data, size_t length)
{
	return s->kind == SCANNER_LINES && length >= s->delimiter_length &&
	       memcmp(data + length - s->delimiter_length, s->delimiter, s->delimiter_length) == 0;
}

/* What stands before a line of a text and is none of it. True: *ret says so. */
static bool skip_before_line(struct scanner *s, const char *data, size_t length, bool at_end, size_t *ret_used,
                             enum scanner_event *ret)
{
	static const char mark[] = {'\xef', '\xbb', '\xbf'};
	size_t n = length < sizeof mark ? length : sizeof mark;

	*ret_used = 0;
	if (s->may_be_mark && memcmp(data, mark, n) == 0) {
		*ret = SCANNER_MORE;
		if (n < sizeof mark && !at_end)
			return true; /* its other bytes may come */
		s->may_be_mark = false;
		*ret_used = n == sizeof mark ? n : 0;
		*ret = SCANNER_SKIPPED;
		return n == sizeof mark;
	}
	s->may_be_mark = false;
	*ret = SCANNER_HOLE;
	while (*ret_used < length && data[*ret_used] == '\0')
		++*ret_used;
	return *ret_used > 0;
}

/* Where the delimiter begins, or null. Searches only what was not searched before. */
static const char *find_delimiter(struct scanner *s, const char *data, size_t length)
{
	size_t overlap = s->delimiter_length - 1;
	size_t from = s->looked > overlap ? s->looked - overlap : 0;
	const char *found;

	if (length == 0) /* there may be no block yet */
		return NULL;
	found = s->delimiter_length == 1 ? memchr(data + from, s->delimiter[0], length - from)
	                                 : memmem(data + from, length - from, s->delimiter, s->delimiter_length);
	s->looked = found ? 0 : length;
	return found;
}

/* Drops n bytes of a message that is too long, keeping its first ones. */
static void skip(struct scanner *s, const char *data, size_t n)
{
	size_t room = SCANNER_HEAD_MAX_BYTES - s->head.len;

	(void)buf_add(&s->head, data, n < room ? n : room);
	s->skipped += n;
	if (n > 0)
		s->last_is_cr = data[n - 1] == '\r';
}

static enum scanner_event end_skipping(struct scanner *s, uint64_t *ret_length)
{
	*ret_length = s->skipped - (s->strip_cr && s->kind == SCANNER_LINES && s->last_is_cr ? 1 : 0);
	s->skipping = false;
	s->skipped = 0;
	s->looked = 0;
	return SCANNER_TOO_LONG;
}

/* The head of the last message that was too long stays readable until the next one begins. */
static void begin_skipping(struct scanner *s)
{
	buf_clear(&s->head);
	s->skipping = true;
	s->skipped = 0;
}

/* A message of n bytes at the front, with what ends it `used` bytes long in all. */
static enum scanner_event end_message(struct scanner *s, const char *data, size_t n, size_t used, size_t *ret_used,
                                      uint64_t *ret_length)
{
	size_t body = n;

	*ret_used = used;
	s->looked = 0;
	if (s->skipping) {
		skip(s, data, n);
		return end_skipping(s, ret_length);
	}
	if (s->kind == SCANNER_LINES && s->strip_cr && n > 0 && data[n - 1] == '\r')
		body--;
	*ret_length = body;
	if (body > s->max_bytes) {
		begin_skipping(s);
		skip(s, data, n);
		return end_skipping(s, ret_length);
	}
	return body == 0 && s->omit_empty ? SCANNER_SKIPPED : SCANNER_MESSAGE;
}

/* Nothing ends in these bytes: they wait, unless the message is already certain to be too long. */
static enum scanner_event need_more(struct scanner *s, const char *data, size_t length, size_t keep, size_t *ret_used)
{
	*ret_used = 0;
	if (!s->skipping && length <= s->max_bytes + s->delimiter_length)
		return SCANNER_MORE;
	if (!s->skipping)
		begin_skipping(s);
	if (keep > length)
		keep = length;
	skip(s, data, length - keep);
	*ret_used = length - keep;
	s->looked = keep;
	return SCANNER_MORE;
}

static enum scanner_event next_line(struct scanner *s, const char *data, size_t length, bool at_end, size_t *ret_used,
                                    uint64_t *ret_length)
{
	enum scanner_event before;
	const char *found;

	if (s->is_text && !s->skipping && s->looked == 0 && length > 0 &&
	    skip_before_line(s, data, length, at_end, ret_used, &before))
		return before;
	found = find_delimiter(s, data, length);
	if (found)
		return end_message(s, data, (size_t)(found - data), (size_t)(found - data) + s->delimiter_length,
		                   ret_used, ret_length);
	if (!at_end)
		return need_more(s, data, length, s->delimiter_length - 1, ret_used);
	if (length == 0 && !s->skipping) {
		*ret_used = 0;
		return SCANNER_MORE;
	}
	return end_message(s, data, length, length, ret_used, ret_length);
}

static enum scanner_event next_whole(struct scanner *s, const char *data, size_t length, bool at_end, size_t *ret_used,
                                     uint64_t *ret_length)
{
	if (at_end && (length > 0 || s->skipping))
		return end_message(s, data, length, length, ret_used, ret_length);
	return need_more(s, data, length, 0, ret_used);
}

static enum scanner_event next_chunk(struct scanner *s, const char *data, size_t length, bool at_end, size_t *ret_used,
                                     uint64_t *ret_length)
{
	size_t n = (size_t)s->chunk_bytes;

	if (length < n && !(at_end && length > 0)) {
		*ret_used = 0;
		return SCANNER_MORE;
	}
	if (n > length)
		n = length;
	return end_message(s, data, n, n, ret_used, ret_length);
}

enum scanner_event scanner_next(struct scanner *s, const char *data, size_t length, bool at_end, size_t *ret_used,
                                uint64_t *ret_length)
{
	*ret_length = 0;
	switch (s->kind) {
	case SCANNER_LINES:
		return next_line(s, data, length, at_end, ret_used, ret_length);
	case SCANNER_TO_THE_END:
		return next_whole(s, data, length, at_end, ret_used, ret_length);
	case SCANNER_CHUNKER:
		break;
	}
	return next_chunk(s, data, length, at_end, ret_used, ret_length);
}
