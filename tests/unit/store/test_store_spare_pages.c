/*
 * What SQLite keeps of pages themselves - the pointer map, the list of free pages, their number in the head - harmed at
 * rest: no message is lost or sent twice because of it, no start is refused, `check` sees it, `repair` mends it, and
 * giving pages back, or using free ones again, takes none that is not free.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/byte_order.h"
#include "base/mem.h"
#include "rig/lives.h"
#include "rig/sanitizer.h"

enum {
	PAGE = 4096,
	SETTLED = 90,
	BEHIND = 40,
	MESSAGES = SETTLED + BEHIND,
	SMALL = 3000,
	LARGE = 330000,
	MORE = 20,
	IDS = 400
};
static uint32_t weight = SMALL;
enum { MAP_AT = PAGE, ENTRY = 5, AT_TRUNK = 32, AT_FREE = 36 };

/* As the journal does: what met damage is done again in the spool that goes on. */
static void start_over(struct store *s, enum err err, const struct error *why)
{
	struct store_report report;
	struct error e;

	if (err != ERR_DAMAGED || store_restart_damaged(s, &report, &e) != ERR_OK)
		fail_msg("%s", why->text);
}

static enum err append_ten(struct store *s, struct error *e)
{
	enum err err = store_begin(s, e);

	for (int k = 0; k < 10 && err == ERR_OK; k++) {
		struct message *m = spooldir_message(store_next_id(s) + (uint64_t)k, weight);

		err = store_append(s, m, e);
		message_free(m);
	}
	return err == ERR_OK ? store_commit(s, e) : err;
}

static void append(struct store *s, uint64_t count)
{
	struct error e;

	for (uint64_t i = 0; i < count; i += 10) {
		enum err err = append_ten(s, &e);

		if (err != ERR_OK) {
			store_rollback(s);
			start_over(s, err, &e);
			if (append_ten(s, &e) != ERR_OK)
				fail_msg("again: %s", e.text);
		}
	}
}

static void bring_back(struct store *s)
{
	struct error e;
	uint64_t first, last;

	for (bool more = true; more;)
		if (store_salvage(s, 1000, &first, &last, &more, &e) != ERR_OK)
			fail_msg("reading back: %s", e.text);
}

static enum err settle_one(struct store *s, uint64_t id, struct error *e)
{
	const struct store_settlement item = {.id = id, .kind = SETTLE_DELIVERED, .may_be_gone = true};
	enum err err = store_begin(s, e);

	if (err == ERR_OK)
		err = store_settle(s, &item, 1, e);
	return err == ERR_OK ? store_commit(s, e) : err;
}

static void settle(struct store *s, uint64_t id)
{
	struct error e;
	enum err err = settle_one(s, id, &e);

	if (err == ERR_OK)
		return;
	store_rollback(s);
	start_over(s, err, &e);
	bring_back(s);
	if (settle_one(s, id, &e) != ERR_OK)
		fail_msg("again: %s", e.text);
}

static void retry(struct store *s, uint64_t id)
{
	const struct store_settlement item = {
	    .id = id, .kind = SETTLE_RETRY, .attempts = 3, .wait_ms = 1, .code = "Slow"};
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s, &item, 1, &e), ERR_OK);
	assert_int_equal(store_position_put(s, "file", "12", &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static struct store *open_raw(const struct spooldir *d, struct store_report *report)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;
	struct error e;

	o.compress = STORE_COMPRESS_NEVER;
	if (store_open(&o, &s, report, &e) != ERR_OK)
		fail_msg("%s", e.text);
	return s;
}

/*
 * Many free pages, and live ones behind them: a retry stands alone, a block has left in part. `earlier`: the first
 * pointer map, as it was before.
 */
static void make(struct spooldir *d, unsigned char *earlier)
{
	size_t bytes;
	unsigned char *data;
	struct store *s;

	spooldir_make(d);
	s = open_raw(d, NULL);
	append(s, MESSAGES);
	life_close(s);
	data = spooldir_load(d->path, &bytes);
	memcpy(earlier, data + MAP_AT, PAGE);
	free(data);
	s = open_raw(d, NULL);
	life_settle(s, 1, SETTLED);
	life_settle(s, SETTLED + 3, SETTLED + 4);
	retry(s, SETTLED + 12);
	life_close(s);
}

/* All that can be had, each once, as it was written; *seen by id. */
static uint64_t take(struct store *s, unsigned char *seen, const char *what)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	const struct message *m;
	struct error e;
	uint64_t last, total = 0;
	uint32_t count;

	for (int i = 0; i < 3; i++) {
		if (store_read(s, 0, 1000, UINT64_MAX, &list, &count, &last, &e) != ERR_OK ||
		    store_read_due(s, store_clock_ms(s) + 60000, 1000, UINT64_MAX, NULL, NULL, &list, &count, &e) !=
		        ERR_OK)
			fail_msg("%s: %s", what, e.text);
		STAILQ_FOREACH (m, &list, link) {
			if (m->id >= IDS || !spooldir_is_message(m, m->id, weight))
				fail_msg("%s: message %" PRIu64 " is not as it was written", what, m->id);
			if (seen[m->id]++)
				fail_msg("%s: message %" PRIu64 " came twice", what, m->id);
			settle(s, m->id);
			total++;
		}
		message_list_free(&list);
	}
	return total;
}

/* What can be given back, until there is nothing, in a spool that may be set aside meanwhile. */
static void give_back(struct store *s, const char *what)
{
	struct store_report report;
	struct error e;
	bool more = true;

	for (int i = 0; more && i < 1000; i++) {
		enum err err = store_give_back(s, &more, &e);

		if (err == ERR_DAMAGED) {
			err = store_restart_damaged(s, &report, &e);
			more = true;
		}
		if (err != ERR_OK)
			fail_msg("%s: giving back: %s", what, e.text);
	}
	bring_back(s);
}

static void repair(const struct spooldir *d, const char *what)
{
	struct error e;
	struct buf out;

	buf_init(&out, 1 << 20);
	if (store_repair(d->path, &(struct store_repair){0}, &out, &e) != ERR_OK)
		fail_msg("%s: repair: %s\n%.*s", what, e.text, (int)out.len, out.data);
	buf_fini(&out);
}

struct harmed {
	struct spooldir from;
	unsigned char *data, *was, earlier[PAGE];
	size_t bytes;
	uint32_t trunk;
	uint64_t tried;
};

static void begin(struct harmed *h, uint32_t message_bytes)
{
	*h = (struct harmed){0};
	weight = message_bytes;
	make(&h->from, h->earlier);
	h->data = spooldir_load(h->from.path, &h->bytes);
	h->was = spooldir_load(h->from.path, &h->bytes);
	h->trunk = get_big_u32(h->data + AT_TRUNK);
	assert_true(get_big_u32(h->data + AT_FREE) * 2 > h->bytes / PAGE);
}

static void end(struct harmed *h)
{
	assert_true(h->tried > 10 / SANITIZED_EACH);
	free(h->data);
	free(h->was);
	spooldir_remove(&h->from);
}

/* The harmed file lives on: it gives pages back before it takes more, or after. */
static void live(struct harmed *h, const char *what)
{
	struct store_report report;
	unsigned char seen[IDS] = {0};
	char text[8192];
	struct spooldir d;
	struct store *s;
	uint64_t got;

	if (memcmp(h->data, h->was, h->bytes) == 0)
		return;
	spooldir_make(&d);
	spooldir_copy(&h->from, &d);
	spooldir_store(d.path, h->data, h->bytes);
	if (life_problems(&d, text, sizeof text) == 0)
		fail_msg("%s: check sees nothing", what);
	if (h->tried % 3 == 2) { /* a person was there first */
		repair(&d, what);
		assert_int_equal(life_problems(&d, NULL, 0), 0);
	}
	s = open_raw(&d, &report);
	if (h->tried % 2 == 1)
		give_back(s, what);
	append(s, MORE);
	give_back(s, what);
	got = take(s, seen, what);
	if (got != BEHIND - 2 + MORE || store_ledger(s)->damaged > 0 || store_ledger(s)->accepted != MESSAGES + MORE)
		fail_msg("%s: %" PRIu64 " of %d, damaged %" PRIu64 ", accepted %" PRIu64 ": %s", what, got,
		         BEHIND - 2 + MORE, store_ledger(s)->damaged, store_ledger(s)->accepted, report.warning);
	give_back(s, what);
	life_close(s);
	if (life_problems(&d, text, sizeof text) > 0)
		repair(&d, what);
	if (life_problems(&d, text, sizeof text) > 0)
		fail_msg("%s: check afterwards: %s", what, text);
	spooldir_remove(&d);
	memcpy(h->data, h->was, h->bytes);
	h->tried++;
}

static uint32_t random_state = 12345;
static uint32_t chance(uint32_t below)
{
	random_state = random_state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)random_state * below >> 32);
}

static unsigned char a_bit(void) { return (unsigned char)(1u << chance(8)); }

static uint32_t a_page(const struct harmed *h) { return 3 + chance((uint32_t)(h->bytes / PAGE) - 3); }

static unsigned char *trunk_of(struct harmed *h) { return h->data + (size_t)(h->trunk - 1) * PAGE; }

/* Each entry of a pointer map: its kind, its parent, or those of another page. */
static void an_entry_of_the_pointer_map(void **state)
{
	struct harmed h;

	(void)state;
	begin(&h, SMALL);
	for (uint32_t n = 3; n <= h.bytes / PAGE; n += SANITIZED_EACH) {
		unsigned char *entry = h.data + MAP_AT + (size_t)(n - 3) * ENTRY;
		char what[80];

		(void)snprintf(what, sizeof what, "the map of page %u, %u of %u", n, entry[0], get_big_u32(entry + 1));
		if (n % 4 == 0)
			entry[0] ^= a_bit();
		else if (n % 4 == 1)
			entry[0] = (unsigned char)chance(7);
		else if (n % 4 == 2)
			entry[1 + chance(4)] ^= a_bit();
		else
			memcpy(entry, h.was + MAP_AT + (size_t)(a_page(&h) - 3) * ENTRY, ENTRY);
		live(&h, what);
	}
	end(&h);
}

static void a_bit_of_the_list_of_free_pages(void **state)
{
	struct harmed h;

	(void)state;
	begin(&h, SMALL);
	for (int i = 0; i < 60; i += SANITIZED_EACH) {
		const uint32_t used = 8 + 4 * get_big_u32(trunk_of(&h) + 4);
		const uint32_t at = chance(i % 3 == 2 ? used : 8);
		char what[80];

		(void)snprintf(what, sizeof what, "%s, byte %u", i % 3 == 0 ? "the head" : "the list", at);
		*((i % 3 == 0 ? h.data + AT_TRUNK : trunk_of(&h)) + at) ^= a_bit();
		live(&h, what);
	}
	end(&h);
}

/* Of each page of the file, the map and the head too. */
static void a_page_that_is_not_free_is_called_so(void **state)
{
	struct harmed h;

	(void)state;
	begin(&h, SMALL);
	for (uint32_t n = 1; n <= h.bytes / PAGE; n += SANITIZED_EACH) {
		char what[80];

		(void)snprintf(what, sizeof what, "page %u in the list", n);
		put_big_u32(trunk_of(&h) + 8 + (size_t)4 * chance(20), n);
		live(&h, what);
	}
	end(&h);
}

/* A whole map: zeros, ones, all free, all in use, as it was earlier, another page; or of a page of the list. */
static void harm_page(struct harmed *h, int how)
{
	unsigned char *map = h->data + MAP_AT;

	if (how == 0)
		memset(map, 0, PAGE);
	else if (how == 1)
		memset(map, 0xff, PAGE);
	else if (how == 2 || how == 3)
		for (size_t k = 0; k < PAGE / ENTRY; k++)
			map[k * ENTRY] = how == 2 ? 2 : 5;
	else if (how == 4)
		memcpy(map, h->earlier, PAGE);
	else if (how == 5)
		memcpy(map, h->was + (size_t)(a_page(h) - 1) * PAGE, PAGE);
	else if (how == 6)
		memset(trunk_of(h), 0, PAGE);
	else
		memcpy(trunk_of(h), h->was + (size_t)(a_page(h) - 1) * PAGE, PAGE);
}

static void a_whole_page_of_them(void **state)
{
	(void)state;
	struct harmed h;

	begin(&h, SMALL);
	for (int i = 0; i < 48; i += SANITIZED_EACH) {
		char what[40];

		(void)snprintf(what, sizeof what, "a whole page, %d", i % 8);
		harm_page(&h, i % 8);
		live(&h, what);
	}
	end(&h);
}

/* Too large to be checked when it starts: what is called free is looked at all the same. */
static void of_a_large_spool(void **state)
{
	struct harmed h;

	(void)state;
	begin(&h, LARGE);
	assert_true(h.bytes > 33 << 20);
	for (int i = 0; i < 16; i += SANITIZED_EACH) {
		char what[40];

		(void)snprintf(what, sizeof what, "a large spool, %d", i);
		if (i < 8)
			harm_page(&h, i);
		else if (i < 14)
			put_big_u32(trunk_of(&h) + 8 + (size_t)4 * chance(20), i == 8 ? 2 : a_page(&h));
		else
			h.data[AT_FREE + 3] ^= a_bit();
		live(&h, what);
	}
	end(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_entry_of_the_pointer_map),
	    cmocka_unit_test(a_bit_of_the_list_of_free_pages),
	    cmocka_unit_test(a_page_that_is_not_free_is_called_so),
	    cmocka_unit_test(a_whole_page_of_them),
	    cmocka_unit_test(of_a_large_spool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
