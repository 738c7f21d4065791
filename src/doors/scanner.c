/*
 * Invariants:
 * 1. `looked` bytes at the front were searched and hold no end; it is 0 when a message was cut.
 * 2. While `skipping` the begin of the message under way is gone, but for `head`; `skipped` counts its bytes.
 */
#include "doors/scanner.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "bloblang/golang/regex.h"
#include "doors/scanner_internal.h"

enum { ARENA_SLACK_BYTES = 1048576, REGEX_SHORT_BYTES = 1024, MARKLESS_MIN_BYTES = 8 };

static bool ends_at_newlines(const struct config_scanner *config)
{
	return !config->lines.custom_delimiter || !*config->lines.custom_delimiter;
}

static bool begins_with(const unsigned char *text, size_t length, const char *mark, size_t mark_length)
{
	return length >= mark_length && memcmp(text, mark, mark_length) == 0;
}

/* The characters of ASCII in so many bytes each. */
static bool is_wide(const unsigned char *text, size_t length, size_t width)
{
	bool little = true, big = true;

	for (size_t i = 0; i < length; i++) {
		bool is_nul = text[i] == 0;

		little &= is_nul == (i % width != 0);
		big &= is_nul == (i % width != width - 1);
	}
	return length >= MARKLESS_MIN_BYTES && (little || big);
}

bool scanner_mark_is_foreign(const void *text, size_t length, bool by_mark_alone)
{
	/* that of little UTF-32 begins as that of UTF-16 */
	if (begins_with(text, length, "\xff\xfe", 2) || begins_with(text, length, "\xfe\xff", 2) ||
	    begins_with(text, length, "\0\0\xfe\xff", 4))
		return true;
	if (length > SCANNER_MARK_BYTES)
		length = SCANNER_MARK_BYTES;
	return !by_mark_alone && (is_wide(text, length, 2) || is_wide(text, length, 4));
}

size_t scanner_mark_utf8(const void *text, size_t length)
{
	return begins_with(text, length, "\xef\xbb\xbf", 3) ? 3 : 0;
}

bool scanner_is_foreign(const struct config_scanner *config, const unsigned char *mark, size_t length)
{
	return config->kind == SCANNER_LINES && scanner_mark_is_foreign(mark, length, !ends_at_newlines(config));
}

void scanner_init(struct scanner *s, const struct config_scanner *config, const struct regex *pattern,
                  uint64_t max_bytes, bool at_start)
{
	memset(s, 0, sizeof *s);
	s->kind = config->kind;
	s->strip_cr = ends_at_newlines(config);
	s->delimiter = mem_string(s->strip_cr ? "\n" : config->lines.custom_delimiter);
	s->delimiter_length = strlen(s->delimiter);
	s->omit_empty = config->kind == SCANNER_LINES && config->lines.omit_empty;
	s->chunk_bytes = config->chunker.size_bytes;
	s->max_bytes = max_bytes;
	s->drops_bom = config->skip_bom;
	s->may_be_bom = s->drops_bom && at_start;
	buf_init(&s->head, SCANNER_HEAD_MAX_BYTES);
	/* a row in quotes, or what is searched with its bad UTF-8 replaced, beside what is made of it */
	arena_init(&s->arena, (size_t)(8 * max_bytes) + ARENA_SLACK_BYTES);
	if (s->kind == SCANNER_CSV)
		scanner_csv_init(s, config);
	else if (s->kind == SCANNER_JSON_DOCUMENTS || s->kind == SCANNER_JSON_ARRAY)
		scanner_json_init(s, at_start);
	s->pattern = pattern;
	must(s->kind != SCANNER_RE_MATCH || s->pattern); /* the configuration was checked */
}

struct regex *scanner_pattern(struct arena *a, const struct config_scanner *config, char fault[REGEX_FAULT_MAX])
{
	const char *pattern = config->re_match.pattern ? config->re_match.pattern : "";

	return regex_compile(a, pattern, strlen(pattern), fault);
}

void scanner_fini(struct scanner *s)
{
	free(s->delimiter);
	s->delimiter = NULL;
	buf_fini(&s->head);
	scanner_csv_fini(s);
	arena_fini(&s->arena);
}

void scanner_forget(struct scanner *s)
{
	s->looked = 0;
	s->skipping = false;
	s->skipped = 0;
	buf_clear(&s->head);
	scanner_look_again(s);
}

void scanner_look_again(struct scanner *s)
{
	s->looked = 0;
	if (s->skipping) /* what was dropped is not seen again */
		return;
	scanner_csv_rewind(s);
	scanner_json_rewind(s);
}

uint64_t scanner_held_bytes(const struct scanner *s) { return s->head.len + s->csv.held; }

bool scanner_shapes(const struct scanner *s) { return s->kind == SCANNER_CSV; }

bool scanner_is_between(const struct scanner *s) { return !s->skipping; }

void scanner_expect_text(struct scanner *s, bool at_start)
{
	s->is_text = s->kind == SCANNER_LINES && s->strip_cr;
	s->may_be_mark = s->is_text && at_start;
}

bool scanner_is_delimited(const struct scanner *s, const char *data, size_t length)
{
	if (s->kind == SCANNER_JSON_DOCUMENTS || s->kind == SCANNER_JSON_ARRAY) /* only a number may have more digits */
		return length > 0 && !(data[length - 1] >= '0' && data[length - 1] <= '9');
	return (s->kind == SCANNER_LINES || s->kind == SCANNER_CSV) && length >= s->delimiter_length &&
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
		return scanner_end(s, data, (size_t)(found - data), (size_t)(found - data) + s->delimiter_length,
		                   ret_used, ret_length);
	if (!at_end)
		return scanner_need_more(s, data, length, s->delimiter_length - 1, ret_used);
	if (length == 0 && !s->skipping) {
		*ret_used = 0;
		return SCANNER_MORE;
	}
	return scanner_end(s, data, length, length, ret_used, ret_length);
}

static enum scanner_event next_whole(struct scanner *s, const char *data, size_t length, bool at_end, size_t *ret_used,
                                     uint64_t *ret_length)
{
	if (at_end && (length > 0 || s->skipping))
		return scanner_end(s, data, length, length, ret_used, ret_length);
	return scanner_need_more(s, data, length, 0, ret_used);
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
	return scanner_end(s, data, n, n, ret_used, ret_length);
}

/*
 * Where the message at the front ends, by Go's rules for the first two matches; SIZE_MAX: not here. What begins at the
 * front of a message whose begin is gone was seen before, or only looks like a match there.
 */
static struct regex_span find_match(struct scanner *s, const char *data, size_t length)
{
	struct regex_span found = {.start = SIZE_MAX};
	const struct regex_span *spans;
	struct regex_walk *walk;

	walk = regex_walk_new(s->pattern, &s->arena, data, length);
	for (int i = 0; i < 2 && found.start == SIZE_MAX && regex_walk_next(walk, &spans) == REGEX_MATCH; i++)
		if (spans[0].start > 0)
			found = spans[0];
	scanner_rest(s);
	return found;
}

/* The message at the front is too long, whatever begins in the last bytes of these. */
static bool is_beyond_match(const struct scanner *s, size_t length)
{
	return s->skipping || length > s->max_bytes + SCANNER_MATCH_MAX_BYTES;
}

/*
 * What is long is searched anew only when it grew by a part of itself, as a peer may send byte by byte; but nothing is
 * dropped that was not searched.
 */
static bool is_worth_a_search(const struct scanner *s, size_t length)
{
	return length < REGEX_SHORT_BYTES || length - s->looked >= length / 16 ||
	       (!s->skipping && is_beyond_match(s, length));
}

static enum scanner_event next_match(struct scanner *s, const char *data, size_t length, bool at_end, size_t *ret_used,
                                     uint64_t *ret_length)
{
	struct regex_span next;
	bool may_grow;

	*ret_used = 0;
	if ((length == 0 && !(at_end && s->skipping)) || !(at_end || is_worth_a_search(s, length)))
		return SCANNER_MORE;
	s->looked = length;
	next = find_match(s, data, length);
	may_grow = next.end == length && length - next.start < SCANNER_MATCH_MAX_BYTES;
	if (next.start != SIZE_MAX && (at_end || !may_grow))
		return scanner_end(s, data, next.start, next.start, ret_used, ret_length);
	if (at_end)
		return scanner_end(s, data, length, length, ret_used, ret_length);
	return is_beyond_match(s, length) ? scanner_need_more(s, data, length, SCANNER_MATCH_MAX_BYTES, ret_used)
	                                  : SCANNER_MORE;
}

/* True: *ret says what to do about the bytes at the front of the stream that may be a byte order mark. */
static bool skip_bom(struct scanner *s, const char *data, size_t length, bool at_end, size_t *ret_used,
                     enum scanner_event *ret)
{
	static const struct {
		size_t length;
		char bytes[4];
	} marks[] = {{4, "\0\0\xfe\xff"}, {4, "\xff\xfe\0\0"}, {3, "\xef\xbb\xbf"}, {2, "\xfe\xff"}, {2, "\xff\xfe"}};

	*ret_used = 0;
	*ret = SCANNER_MORE;
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
		const size_t n = length < marks[i].length ? length : marks[i].length;

		if (memcmp(data, marks[i].bytes, n) != 0 || (n < marks[i].length && at_end))
			continue;
		if (n == marks[i].length) {
			s->may_be_bom = false;
			*ret_used = n;
			*ret = SCANNER_SKIPPED;
		}
		return true;
	}
	s->may_be_bom = false;
	return false;
}

enum scanner_event scanner_next(struct scanner *s, const char *data, size_t length, bool at_end, size_t *ret_used,
                                uint64_t *ret_length)
{
	enum scanner_event before;

	*ret_length = 0;
	if (s->may_be_bom && skip_bom(s, data, length, at_end, ret_used, &before))
		return before;
	switch (s->kind) {
	case SCANNER_LINES:
		return next_line(s, data, length, at_end, ret_used, ret_length);
	case SCANNER_TO_THE_END:
		return next_whole(s, data, length, at_end, ret_used, ret_length);
	case SCANNER_CSV:
		return scanner_csv_next(s, data, length, at_end, ret_used, ret_length);
	case SCANNER_JSON_DOCUMENTS:
	case SCANNER_JSON_ARRAY:
		return scanner_json_next(s, data, length, at_end, ret_used, ret_length);
	case SCANNER_RE_MATCH:
		return next_match(s, data, length, at_end, ret_used, ret_length);
	case SCANNER_CHUNKER:
	case SCANNER_KINDS:
		break;
	}
	return next_chunk(s, data, length, at_end, ret_used, ret_length);
}

bool scanner_take_head(struct scanner *s, const char *data, size_t length)
{
	size_t used = 0;
	uint64_t n;
	enum scanner_event what = SCANNER_SKIPPED;

	if (s->kind != SCANNER_CSV)
		return true;
	s->may_be_bom = s->drops_bom;
	for (size_t at = 0; s->csv.width == 0 && at < length; at += used) {
		what = scanner_next(s, data + at, length - at, false, &used, &n);
		if (what == SCANNER_MORE || what == SCANNER_BROKEN)
			break;
	}
	s->may_be_bom = false;
	scanner_forget(s);
	return s->csv.width > 0 || !s->csv.has_header;
}
