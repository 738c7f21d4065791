/* scanner_ends: where a message ends, and what is kept of one that is too long. */
#include "doors/scanner_internal.h"

void scanner_rest(struct scanner *s) { arena_fini(&s->arena); }

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
enum scanner_event scanner_end(struct scanner *s, const char *data, size_t n, size_t used, size_t *ret_used,
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
enum scanner_event scanner_need_more(struct scanner *s, const char *data, size_t length, size_t keep, size_t *ret_used)
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

enum scanner_event scanner_wait(struct scanner *s, const char *data, size_t length, size_t *ret_used)
{
	const enum scanner_event what = scanner_need_more(s, data, length, length - s->looked, ret_used);

	if (s->skipping)
		s->looked = 0;
	return what;
}
