/*
 * Invariants:
 * 1. At most one block is flying; the other one is filling. Both are null before feeder_init and after feeder_fini.
 * 2. `group` is set while the journal or the intake has the flying block; a flying block without a group waits to be
 *    offered again. So a refused offer is never overtaken by a later position.
 * 3. In a block: scanned <= length <= capacity, and its slices lie below scanned, in order, without overlap.
 * 4. `charged` is what the intake counts for us: the bytes of both blocks, what they set aside, and what the scanner
 *    keeps.
 * 5. `end` of a block is the stream offset behind its last whole message; a stored position is always such an offset.
 * 6. The bytes of the flying block stay as they are until its yes (promise 1): it may have to be offered again.
 */
#include "doors/feeder.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "doors/until.h"

enum { RETRY_FIRST_MS = 10, RETRY_MS = 250, FIRST_SLICES = 64 };

static void send_block(struct feeder *f);

static void update_charge(struct feeder *f)
{
	uint64_t now = scanner_held_bytes(&f->scanner);

	for (int i = 0; i < 2; i++)
		now += f->blocks[i].length + f->blocks[i].aside_bytes;
	if (now > f->charged)
		intake_charge(f->options.intake, now - f->charged);
	else
		intake_release(f->options.intake, f->charged - now);
	f->charged = now;
}

static void clear_block(struct block *b)
{
	for (uint32_t i = 0; i < b->count; i++)
		message_free(b->slices[i].aside);
	b->length = b->scanned = 0;
	b->count = b->first = 0;
	b->aside_bytes = 0;
	b->unfinished = false;
}

/* Nothing of it will be stored, and nothing more comes. */
static void drop_all(struct feeder *f)
{
	clear_block(&f->blocks[0]);
	clear_block(&f->blocks[1]);
	f->flying = NULL;
	f->ended = true;
	update_charge(f);
	intake_is_not_large(f->options.intake, f);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct feeder *f = arg;

	(void)fd;
	(void)what;
	if (f->flying && !f->group && until_is_met(f->options.until))
		drop_all(f);
	else if (!f->flying)
		feeder_flush(f);
	else if (!f->group)
		send_block(f);
}

/* With a check each goes alone, so that nothing behind the last one is stored. */
static uint32_t most_rows(const struct feeder *f) { return until_has_check(f->options.until) ? 1 : FEEDER_BLOCK_ROWS; }

void feeder_init(struct feeder *f, const struct feeder_options *options, uint64_t offset)
{
	uint64_t quarter = options->intake->memory_limit_bytes / 4;

	memset(f, 0, sizeof *f);
	f->options = *options;
	f->offset = offset;
	f->most_rows = most_rows(f);
	f->target_bytes = quarter < FEEDER_BLOCK_BYTES ? quarter : FEEDER_BLOCK_BYTES;
	scanner_init(&f->scanner, options->scanner, intake_pattern(options->intake, options->scanner),
	             options->intake->max_message_bytes, offset == 0);
	f->rows = options->rows;
	if (options->is_text)
		scanner_expect_text(&f->scanner, offset == 0);
	buf_init(&f->meta, FEEDER_META_MAX_BYTES);
	f->filling = &f->blocks[0];
	f->retry = evtimer_new(options->intake->base, on_retry, f);
	must(f->retry);
}

void feeder_fini(struct feeder *f)
{
	if (!f->retry)
		return;
	if (f->group) {
		f->group->answered = NULL;
		f->group->door = NULL;
	}
	for (int i = 0; i < 2; i++) {
		clear_block(&f->blocks[i]);
		free(f->blocks[i].data);
		free(f->blocks[i].slices);
	}
	intake_release(f->options.intake, f->charged);
	intake_is_not_large(f->options.intake, f);
	scanner_fini(&f->scanner);
	buf_fini(&f->meta);
	event_free(f->retry);
	memset(f, 0, sizeof *f);
}

static bool has_whole(const struct block *b) { return b->count > 0; }

static bool is_full(const struct feeder *f, const struct block *b)
{
	return b->count >= FEEDER_BLOCK_ROWS || b->scanned >= f->target_bytes;
}

bool feeder_is_idle(const struct feeder *f) { return !f->flying && (!f->filling || !has_whole(f->filling)); }

bool feeder_is_partial(const struct feeder *f)
{
	return f->filling->length > f->filling->scanned || f->scanner.skipping;
}

uint64_t feeder_uncut_bytes(const struct feeder *f)
{
	return f->filling->length - f->filling->scanned + f->scanner.skipped;
}

size_t feeder_put_down(struct feeder *f)
{
	const size_t again = f->filling->length - f->filling->scanned;

	must(feeder_is_idle(f));
	for (int i = 0; i < 2; i++) {
		struct block *b = &f->blocks[i];

		clear_block(b);
		free(take(b->data));
		free(take(b->slices));
		b->capacity = 0;
		b->slice_capacity = 0;
	}
	scanner_look_again(&f->scanner);
	update_charge(f);
	intake_is_not_large(f->options.intake, f);
	return again;
}

void feeder_give_back(struct feeder *f)
{
	f->filling->length = f->filling->scanned;
	scanner_forget(&f->scanner);
	f->ended = true;
	update_charge(f);
	feeder_flush(f);
}

bool feeder_take_head(struct feeder *f, const char *data, size_t length)
{
	const bool is_known = scanner_take_head(&f->scanner, data, length);

	update_charge(f);
	return is_known;
}

static void add_slice(struct feeder *f, uint64_t length, size_t used, const char *flaw, struct message *aside)
{
	struct block *b = f->filling;

	if (b->count == b->slice_capacity) {
		b->slice_capacity = b->slice_capacity ? b->slice_capacity * 2 : FIRST_SLICES;
		b->slices = mem_grow(b->slices, b->slice_capacity, sizeof *b->slices);
	}
	b->slices[b->count++] = (struct slice){.offset = (uint32_t)b->scanned,
	                                       .length = (uint32_t)length,
	                                       .behind = (uint32_t)(b->scanned + used),
	                                       .flaw = flaw,
	                                       .aside = aside,
	                                       .rows = f->rows};
	b->aside_bytes += aside ? message_cost(aside) : 0;
}

static void add_too_long(struct feeder *f, uint64_t begin, uint64_t length, size_t used)
{
	struct message *m =
	    message_new(f->meta.data, f->meta.len, f->scanner.head.data, f->scanner.head.len, clock_wall_ms());
	AUTOFREE char *reason = NULL;

	reason = mem_format("%s, offset %llu: a message of %llu bytes; the limit is %llu; its first %zu bytes are kept",
	                    f->options.origin, (unsigned long long)begin, (unsigned long long)length,
	                    (unsigned long long)f->scanner.max_bytes, f->scanner.head.len);
	message_fail(m, NULL, reason);
	add_slice(f, 0, used, NULL, m);
	metric_add(M_INPUT_REFUSED_SIZE, 1);
	LOG_LIMITED(LOG_WARN, "message set aside", LOG_S("origin", f->options.origin), LOG_U("offset", begin),
	            LOG_U("bytes", length), LOG_U("limit_bytes", f->scanner.max_bytes));
	buf_clear(&f->scanner.head);
}

/* The next bytes are no message and go to the shelf. */
static void set_aside(struct feeder *f, size_t length, size_t used)
{
	const char *bytes = f->filling->data + f->filling->scanned;
	struct message *m = message_new(f->meta.data, f->meta.len, bytes, length, clock_wall_ms());
	AUTOFREE char *reason =
	    mem_format("%s, offset %llu: %s", f->options.origin, (unsigned long long)f->offset, f->scanner.flaw);

	message_fail(m, NULL, reason);
	add_slice(f, 0, used, NULL, m);
	LOG_LIMITED(LOG_WARN, "message set aside", LOG_S("origin", f->options.origin), LOG_U("offset", f->offset),
	            LOG_U("bytes", length), LOG_S("reason", f->scanner.flaw));
}

/* What cannot be cut can be had again from a source that has a position; else its begin is kept on the shelf. */
static void break_off(struct feeder *f)
{
	struct block *b = f->filling;
	const size_t left = b->length - b->scanned;

	f->broken = f->scanner.flaw;
	f->ended = true;
	if (!f->options.position && left > 0)
		set_aside(f, left < SCANNER_HEAD_MAX_BYTES ? left : SCANNER_HEAD_MAX_BYTES, 0);
	b->length = b->scanned;
}

static void tell_hole(struct feeder *f)
{
	if (f->hole_bytes > 0)
		LOG_LIMITED(LOG_WARN, "NUL bytes skipped", LOG_S("origin", f->options.origin),
		            LOG_U("offset", f->offset - f->hole_bytes), LOG_U("bytes", f->hole_bytes));
	f->hole_bytes = 0;
}

static void scan(struct feeder *f)
{
	struct block *b = f->filling;

	while (b->count < FEEDER_BLOCK_ROWS && !f->broken) {
		size_t used;
		uint64_t length;
		uint64_t begin = f->offset - f->scanner.skipped;
		enum scanner_event what =
		    scanner_next(&f->scanner, b->data + b->scanned, b->length - b->scanned, f->ended, &used, &length);

		if (what != SCANNER_HOLE)
			tell_hole(f);
		if (what == SCANNER_MESSAGE || what == SCANNER_FLAWED) {
			f->rows++;
			add_slice(f, length, used, what == SCANNER_FLAWED ? f->scanner.flaw : NULL, NULL);
			b->unfinished = f->early && b->scanned + used == b->length &&
			                !scanner_is_delimited(&f->scanner, b->data, b->length);
		} else if (what == SCANNER_TOO_LONG) {
			add_too_long(f, begin, length, used);
		} else if (what == SCANNER_REFUSED) {
			set_aside(f, length, used);
		} else if (what == SCANNER_BROKEN) {
			break_off(f);
		}
		b->scanned += used;
		f->offset += used;
		if (what == SCANNER_MORE || what == SCANNER_BROKEN)
			break;
		if (what == SCANNER_BETWEEN)
			continue;
		if (what == SCANNER_HOLE) {
			f->hole_bytes += used;
			continue;
		}
		b->end = f->offset;
		b->end_at = b->scanned;
	}
	/* nothing to keep: what was cut (omitted, skipped) makes room */
	if (!has_whole(b) && b->scanned > 0) {
		memmove(b->data, b->data + b->scanned, b->length - b->scanned);
		b->length -= b->scanned;
		b->scanned = 0;
	}
}

/* What a block holds of messages of the usual length, and a read behind it. */
static size_t usual_bytes(const struct feeder *f) { return (size_t)f->target_bytes + 65536; }

/* Of many clients most are quiet: they keep no large block. Nobody keeps one that a long message made. */
static void shrink_block(const struct feeder *f, struct block *b)
{
	if (b->capacity <= (f->options.alone ? usual_bytes(f) : f->options.first_bytes))
		return;
	free(b->data);
	b->data = NULL;
	b->capacity = 0;
}

void feeder_stop(struct feeder *f)
{
	if (!f->flying || f->group)
		return;
	if (!f->options.position)
		LOG(LOG_WARN, "bytes not stored", LOG_S("origin", f->options.origin),
		    LOG_U("bytes", f->blocks[0].length + f->blocks[1].length),
		    LOG_S("reason", "kspool stops and the spool takes no more"));
	/* refused, and nobody will offer it again: what came after it must not be stored either, or its position would
	 * cover the gap */
	drop_all(f);
}

/* A refused offer is halved. True when a smaller one may be tried at once. */
static bool take_less(struct feeder *f, enum offer_verdict verdict)
{
	uint32_t taking = f->flying->taking;

	if (verdict != OFFER_FULL && verdict != OFFER_TOO_BIG)
		return false;
	if (taking > 1) {
		f->most_rows = taking / 2;
		return true;
	}
	if (verdict == OFFER_TOO_BIG && taking == 1 && f->never_fits < FITS_IN_PART)
		f->never_fits++;
	else
		return false;
	return true;
}

/* Soon after rows were taken, for a small spool has room again at once; ever later while none are. */
static struct timeval next_wait(struct feeder *f)
{
	f->wait_ms = f->wait_ms == 0 ? RETRY_FIRST_MS : 2 * f->wait_ms;
	if (f->wait_ms > RETRY_MS)
		f->wait_ms = RETRY_MS;
	return (struct timeval){.tv_usec = f->wait_ms * 1000};
}

static void take_more(struct feeder *f)
{
	f->wait_ms = 0;
	f->flying->first += f->flying->taking;
	f->never_fits = FITS;
	f->is_checked = f->is_last = false;
	if (f->most_rows < most_rows(f))
		f->most_rows *= 2;
}

static void on_answered(struct group *g, void *door)
{
	const struct timeval now = {0};
	struct feeder *f = door;

	f->group = NULL;
	f->is_checked = g->is_checked;
	f->is_last = g->is_last;
	if (g->offer.verdict != OFFER_ACCEPTED) {
		bool at_once = take_less(f, g->offer.verdict);
		const struct timeval wait = next_wait(f);

		if (!at_once)
			LOG_LIMITED(LOG_WARN, "input waits", LOG_S("origin", f->options.origin),
			            LOG_S("reason", g->offer.error.text));
		if (at_once || !f->options.intake->stopping)
			(void)event_add(f->retry, at_once ? &now : &wait);
		else
			feeder_stop(f);
		return;
	}
	take_more(f);
	if (f->flying->first < f->flying->count) {
		(void)event_add(f->retry, &now);
		return;
	}
	clear_block(f->flying);
	shrink_block(f, f->flying);
	f->flying = NULL;
	update_charge(f);
	intake_is_not_large(f->options.intake, f);
	if (f->options.intake->stopping)
		(void)evtimer_add(f->retry,
		                  &now); /* the journal may be closing under this very answer: not from here */
	else
		feeder_flush(f);
	if (f->options.on_answer)
		f->options.on_answer(f->options.arg);
}

/* Stream offset behind what the offer takes. */
static uint64_t end_of_offer(const struct block *b)
{
	uint32_t next = b->first + b->taking;

	return next == b->count ? b->end : b->end - (b->end_at - b->slices[next - 1].behind);
}

/* Some of what the offer takes stands before the place up to which it may be the second time. */
static bool may_repeat(const struct feeder *f, const struct block *b)
{
	return b->end - (b->end_at - b->slices[b->first].offset) < f->options.again_until;
}

/* The first bytes of a message, in its place. */
static struct message *head_of(struct message *m)
{
	const uint32_t bytes = m->body_bytes < SCANNER_HEAD_MAX_BYTES ? m->body_bytes : SCANNER_HEAD_MAX_BYTES;
	struct message *head = message_new(message_meta(m), m->meta_bytes, message_body(m), bytes, m->received_ms);

	message_free(m);
	return head;
}

/* A row of which a message longer than the ceiling would be made. */
static void set_aside_raw(struct feeder *f, struct group *g, uint32_t i, int64_t now_ms)
{
	const struct slice *row = &f->flying->slices[i];

	group_set_aside(g, message_new(f->meta.data, f->meta.len, f->flying->data + row->offset, row->length, now_ms),
	                "as JSON it is longer than kspool.max_message_bytes; it is kept as it came");
	metric_add(M_INPUT_REFUSED_SIZE, 1);
}

/* A message that failed when it was cut, and no processor looks at it. */
static bool is_set_aside_unseen(const struct feeder *f)
{
	return !f->options.processors && !f->options.intake->common &&
	       f->options.intake->config->kspool.processor_error == FAILED_SET_ASIDE;
}

/* Makes the flying block an offer, or the next part of it. */
static void send_block(struct feeder *f)
{
	struct block *b = f->flying;
	struct group *g = group_new(f->options.intake, f->options.processors, on_answered, f);
	uint32_t rest = b->count - b->first;
	int64_t now_ms = clock_wall_ms();

	b->taking = rest < f->most_rows ? rest : f->most_rows;
	for (uint32_t i = b->first; i < b->first + b->taking; i++) {
		struct message *new = feeder_message(f, i, now_ms);

		if (!new)
			set_aside_raw(f, g, i, now_ms);
		else if (f->never_fits < FITS_IN_PART && b->slices[i].aside)
			group_set_aside(g, new, b->slices[i].aside->failure->reason);
		else if (f->never_fits == FITS && new->failure && is_set_aside_unseen(f))
			group_set_aside(g, new, b->slices[i].flaw);
		else if (f->never_fits == FITS)
			group_add(g, new);
		else if (f->never_fits == FITS_ON_THE_SHELF)
			group_set_aside(g, new, "larger than what kspool.max_bytes can ever hold");
		else
			group_set_aside(
			    g, head_of(new),
			    "larger than what the file system of the spool can ever hold; its first bytes are kept");
		if (g->offer.bytes >= 2 * f->target_bytes && scanner_shapes(&f->scanner))
			b->taking = i + 1 - b->first; /* rows became larger than the block was */
	}
	if (f->options.position) {
		g->offer.position_key = mem_string(f->options.position_key);
		g->offer.position =
		    f->options.position(f->options.arg, end_of_offer(b), b->slices[b->first + b->taking - 1].rows);
	}
	g->offer.may_repeat = may_repeat(f, b);
	g->until = f->options.until;
	g->is_checked = f->is_checked;
	g->is_last = f->is_last;
	g->comes_again = true;
	g->offer.can_wait = f->options.alone && f->options.intake->has_peers;
	g->peer = group_peer(f->options.origin ? f->options.origin : "");
	f->group = g;
	intake_is_still_large(f->options.intake, f);
	group_send(g);
}

void feeder_flush(struct feeder *f)
{
	struct block *b = f->filling, *other;
	size_t rest;

	if (b && !f->flying && until_is_met(f->options.until))
		drop_all(f);
	if (!b || f->flying || !has_whole(b))
		return;
	other = b == &f->blocks[0] ? &f->blocks[1] : &f->blocks[0];
	rest = b->length - b->scanned;
	if (other->capacity < rest + 1) {
		other->capacity = b->capacity <= usual_bytes(f) ? b->capacity : usual_bytes(f);
		if (other->capacity < rest + 1)
			other->capacity = rest + 1;
		other->data = mem_grow(other->data, other->capacity, 1);
	}
	if (rest > 0)
		memcpy(other->data, b->data + b->scanned, rest);
	other->length = rest;
	b->length = b->scanned;
	f->flying = b;
	f->filling = other;
	send_block(f);
	scan(f);
	update_charge(f);
}

/*
 * A block may hold one message of the longest kind, its delimiter and a read behind it; but such a message comes
 * neither beside what is under way nor beside another source's: each is held here, and twice more behind us.
 */
static bool grow(struct feeder *f, struct block *b)
{
	size_t most = (size_t)f->scanner.max_bytes + f->scanner.delimiter_length + 65536;
	size_t want = b->capacity ? b->capacity * 2 : f->options.first_bytes;

	if (most < usual_bytes(f) || f->flying)
		most = usual_bytes(f);
	if (want > most)
		want = most;
	if (want > usual_bytes(f) && f->options.alone && !intake_may_be_large(f->options.intake, f))
		want = usual_bytes(f);
	if (want <= b->capacity)
		return false;
	b->data = mem_grow(b->data, want, 1);
	b->capacity = want;
	return true;
}

size_t feeder_room(struct feeder *f, char **ret)
{
	struct intake *i = f->options.intake;
	struct block *b = f->filling;

	if (!f->flying && until_is_met(f->options.until))
		drop_all(f);
	if (f->ended || (i->stopping && !f->drains))
		return 0;
	if (intake_held_ns(i, f->options.processors) > 0 ||
	    (!intake_has_room(i) && !(f->passes && intake_has_room_for_small(i)) &&
	     !(f->options.alone && i->outstanding == 0 && intake_may_be_large(i, f)))) {
		feeder_flush(f);
		return 0;
	}
	if (is_full(f, b)) {
		feeder_flush(f);
		b = f->filling;
		if (is_full(f, b))
			return 0;
	}
	if (b->length == b->capacity && !grow(f, b)) {
		/* whole messages and the begin of a long one: the former must leave first */
		feeder_flush(f);
		b = f->filling;
		if (b->length == b->capacity)
			return 0;
	}
	*ret = b->data + b->length;
	return b->capacity - b->length;
}

void feeder_filled(struct feeder *f, size_t n)
{
	must(f->filling && f->filling != f->flying);
	f->filling->length += n;
	must(f->filling->length <= f->filling->capacity);
	scan(f);
	update_charge(f);
	if (is_full(f, f->filling))
		feeder_flush(f);
}

void feeder_end_early(struct feeder *f)
{
	f->early = true;
	feeder_end(f);
}

void feeder_drain(struct feeder *f) { f->drains = true; }

void feeder_end(struct feeder *f)
{
	f->ended = true;
	scan(f);
	update_charge(f);
	feeder_flush(f);
}
