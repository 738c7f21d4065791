/*
 * One page of another spool over one of ours: of each table over each table, its first page and one below it. Nothing
 * strange is on its way or on the shelf, whatever is gone is counted, nothing is counted twice; check says so before
 * the start, and finds nothing after a repair.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sqlite3.h>

#include "base/buf.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "rig/sanitizer.h"
#include "store/store_internal.h"

#define ASIDE ".quarantine-20260101T000000Z-000"
enum { PAGE = 4096, KEYS = 300, PLACES_MAX = 64, IDS = 2000, PAIRS_EACH = IS_SANITIZED ? 9 : 3 };

static void settle(struct store *s, const struct store_settlement *item)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s, item, 1, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static void remember(struct store *s, const char *of)
{
	char key[64];
	bool is_new;
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (int i = 0; i < KEYS; i++) {
		(void)snprintf(key, sizeof key, "%s, the key of message %d", of, i);
		assert_int_equal(store_cache_add(s, "seen", key, strlen(key), 1000000, &is_new, &e), ERR_OK);
		(void)snprintf(key, sizeof key, "file:%s:%d", of, i);
		assert_int_equal(store_position_put(s, key, "12345", &e), ERR_OK);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

/* Every table has rows: some came back from a file that was set aside, some died, failed, left their block. */
static void make(struct spooldir *d, uint64_t n, uint32_t count, char *of)
{
	struct store *s = life_begin(d), *other;
	struct spooldir source;
	char aside[400];
	struct error e;
	uint64_t rows;

	life_append(s, n, count);
	life_close(s);
	(void)snprintf(aside, sizeof aside, "%s", spooldir_file(d, ASIDE));
	assert_int_equal(rename(d->path, aside), 0);
	s = life_open(d, NULL);
	life_append(s, n + count, count);
	life_close(s);
	spooldir_damage(d->path, count + 3);
	s = life_open(d, NULL);
	(void)life_waiting(s, n);
	for (uint64_t id = 2; id < count * 2; id += 10) {
		const struct store_settlement dies = {.id = id, .kind = SETTLE_DEAD, .code = "Slow", .reason = of};
		const struct store_settlement again = {
		    .id = id + 3, .kind = SETTLE_RETRY, .attempts = 2, .code = "Slow"};
		const struct store_settlement leaves = {.id = id + 7, .kind = SETTLE_DELIVERED};

		settle(s, &dies);
		settle(s, &again);
		settle(s, &leaves);
	}
	remember(s, of);
	other = life_begin(&source);
	life_append(other, n + count * 2, 10);
	life_close(other);
	assert_int_equal(store_import(s, source.path, false, &rows, &e), ERR_OK);
	spooldir_remove(&source);
	life_close(s);
}

struct place {
	char table[40];
	uint32_t page;
	bool is_root;
};

/* The first page of each table and index, and one of those below it. */
static size_t find_places(const struct spooldir *d, struct place *places)
{
	static const char sql[] =
	    "SELECT name, pageno, path = '/' FROM dbstat WHERE pagetype != 'overflow' AND name !="
	    " 'sqlite_schema' GROUP BY name, path = '/' HAVING pageno = min(pageno) ORDER BY pageno";
	sqlite3_stmt *st;
	sqlite3 *db;
	size_t n = 0;

	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW && n < PLACES_MAX) {
		struct place *p = &places[n++];

		(void)snprintf(p->table, sizeof p->table, "%s", (const char *)sqlite3_column_text(st, 0));
		p->page = (uint32_t)sqlite3_column_int(st, 1);
		p->is_root = sqlite3_column_int(st, 2) != 0;
	}
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return n;
}

/* What a spool has, by the numbers of its messages. */
struct census {
	unsigned char waits[IDS], is_dead[IDS];
	uint64_t strange, unsound, damaged_on_shelf;
	struct store_ledger ledger;
	uint64_t possible;
};

static uint64_t number_of(const struct message *m) { return (uint64_t)(m->received_ms - 1700000000000); }

static bool see_dead(void *arg, const struct store_dead *dead)
{
	struct census *c = arg;
	struct message *m = message_new(dead->meta, dead->meta_bytes, dead->body, dead->body_bytes, dead->received_ms);
	const uint64_t n = number_of(m);

	c->damaged_on_shelf += dead->is_damaged;
	if (n >= IDS || !spooldir_is_message(m, n, life_bytes(n)))
		c->strange++;
	else
		c->is_dead[n]++;
	message_free(m);
	return true;
}

static void take_census(struct store *s, struct census *c)
{
	struct block_walk w;
	struct block_message found;
	struct error e;
	uint64_t first, last;
	bool more = true;
	int rc;

	memset(c, 0, sizeof *c);
	while (more)
		assert_int_equal(store_salvage(s, 1000, &first, &last, &more, &e), ERR_OK);
	if (store_dead_walk(s, 0, 10000, see_dead, c, &e) != ERR_OK)
		fail_msg("%s", e.text);
	assert_int_equal(walk_open(&w, s->db, s->tag, 0, INT64_MAX), SQLITE_OK);
	while ((rc = walk_next(&w, &found)) == SQLITE_ROW) {
		struct message *m = row_message(&found.row);
		const uint64_t n = number_of(m);

		if (!found.is_sound)
			c->unsound++;
		else if (n >= IDS || !spooldir_is_message(m, n, life_bytes(n)))
			c->strange++;
		else
			c->waits[n]++;
		message_free(m);
	}
	assert_int_equal(rc, SQLITE_DONE);
	walk_close(&w);
	c->ledger = *store_ledger(s);
	c->possible = store_possible_duplicates(s);
}

static uint64_t failures;
__attribute__((format(printf, 2, 3))) static void wrong(const char *what, const char *format, ...)
{
	va_list ap;

	failures++;
	print_error("%s: ", what);
	va_start(ap, format);
	vprint_error(format, ap);
	va_end(ap);
	print_error("\n");
}

static void compare(const struct census *was, const struct census *is, const char *what)
{
	uint64_t gone = 0, back = 0, twice = 0, waits = 0, dead = 0;

	for (size_t n = 0; n < IDS; n++) {
		const bool had = was->waits[n] || was->is_dead[n], has = is->waits[n] || is->is_dead[n];

		gone += had && !has;
		back += has && !had;
		twice += is->waits[n] + is->is_dead[n] > 1;
		waits += is->waits[n];
		dead += is->is_dead[n];
	}
	if (is->strange > 0 || is->damaged_on_shelf > 0)
		wrong(what, "%llu are another's, %llu damaged ones on the shelf", (unsigned long long)is->strange,
		      (unsigned long long)is->damaged_on_shelf);
	if (twice > 0 || is->ledger.accepted != was->ledger.accepted || is->ledger.pending != waits + is->unsound ||
	    is->ledger.dead != dead)
		wrong(what,
		      "%llu twice; accepted %llu of %llu, pending %llu of %llu, dead %llu of %llu, damaged %llu more",
		      (unsigned long long)twice, (unsigned long long)is->ledger.accepted,
		      (unsigned long long)was->ledger.accepted, (unsigned long long)is->ledger.pending,
		      (unsigned long long)waits, (unsigned long long)is->ledger.dead, (unsigned long long)dead,
		      (unsigned long long)(is->ledger.damaged - was->ledger.damaged));
	if (is->ledger.damaged - was->ledger.damaged + is->unsound != gone)
		wrong(what, "%llu are gone, damaged %llu more", (unsigned long long)gone,
		      (unsigned long long)(is->ledger.damaged - was->ledger.damaged));
	if (back > is->possible - was->possible)
		wrong(what, "%llu that had left came back, possible %llu more", (unsigned long long)back,
		      (unsigned long long)(is->possible - was->possible));
}

static void copy(const struct spooldir *from, const struct spooldir *to)
{
	spooldir_copy(from, to);
	if (access(spooldir_file(from, ASIDE), F_OK) != 0)
		return;
	life_bring(from, ASIDE, to);
	life_bring(from, ASIDE ".read", to);
}

static void try_one(const struct spooldir *from, const unsigned char *ours, size_t our_bytes, uint32_t to,
                    const unsigned char *page, const struct census *was, const char *what)
{
	unsigned char *mixed = malloc(our_bytes);
	struct store_repair how = {0};
	char text[2000];
	struct spooldir d;
	struct census is;
	struct store *s;
	struct error e;
	struct buf out;

	memcpy(mixed, ours, our_bytes);
	memcpy(mixed + (size_t)(to - 1) * PAGE, page, PAGE);
	spooldir_make(&d);
	copy(from, &d);
	spooldir_store(d.path, mixed, our_bytes);
	free(mixed);
	if (life_problems(&d, text, sizeof text) == 0)
		wrong(what, "check finds nothing");
	s = life_open(&d, NULL);
	take_census(s, &is);
	compare(was, &is, what);
	life_close(s);
	buf_init(&out, 1 << 20);
	if (store_repair(d.path, &how, &out, &e) != ERR_OK)
		wrong(what, "repair: %s", e.text);
	buf_fini(&out);
	s = life_open(&d, NULL);
	take_census(s, &is);
	compare(was, &is, what);
	life_close(s);
	spooldir_remove(&d);
}

/* Each page of `places` of b over each of those of a. */
static void exchange(const struct spooldir *a, const struct spooldir *b)
{
	struct place to[PLACES_MAX], from[PLACES_MAX];
	size_t our_bytes, their_bytes, to_count = find_places(a, to), from_count = find_places(b, from);
	unsigned char *ours = spooldir_load(a->path, &our_bytes), *theirs = spooldir_load(b->path, &their_bytes);
	struct store *s = life_open(a, NULL);
	const size_t each = getenv("KSPOOL_EVERY_FAULT") ? 1 : PAIRS_EACH;
	struct census was;

	take_census(s, &was);
	assert_int_equal(was.strange, 0);
	life_close(s);
	assert_true(to_count > 14 && from_count > 14);
	for (size_t i = 0; i < to_count; i++)
		for (size_t k = 0; k < from_count; k++) {
			const unsigned char *page = theirs + (size_t)(from[k].page - 1) * PAGE;
			char what[2 * sizeof from->table + 60];

			(void)snprintf(what, sizeof what, "%.39s%s (%u) over %.39s%s (%u)", from[k].table,
			               from[k].is_root ? "" : "'", from[k].page, to[i].table, to[i].is_root ? "" : "'",
			               to[i].page);
			/* The worst is a page of the same table; of the others each row and column has some. */
			if (strcmp(from[k].table, to[i].table) != 0 && (i + k) % each != 0)
				continue;
			if (memcmp(page, ours + (size_t)(to[i].page - 1) * PAGE, PAGE) != 0)
				try_one(a, ours, our_bytes, to[i].page, page, &was, what);
		}
	free(ours);
	free(theirs);
	assert_int_equal(failures, 0);
}

static void a_page_of_any_table_over_any_other(void **state)
{
	char our_name[] = "ours", their_name[] = "theirs";
	struct spooldir a, b;

	(void)state;
	make(&a, 0, 60, our_name);
	make(&b, LIFE_OTHERS, 90, their_name);
	exchange(&a, &b);
	spooldir_remove(&a);
	spooldir_remove(&b);
}

/* Most of its tables have no rows, so nothing but the strange page itself tells that it is one. */
static void a_page_of_any_table_over_an_empty_one(void **state)
{
	char their_name[] = "theirs";
	struct spooldir a, b;
	struct store *s = life_begin(&a);

	(void)state;
	life_append(s, 0, 60);
	life_settle(s, 1, 20);
	life_close(s);
	make(&b, LIFE_OTHERS, 10, their_name);
	exchange(&a, &b);
	spooldir_remove(&a);
	spooldir_remove(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_page_of_any_table_over_any_other),
	    cmocka_unit_test(a_page_of_any_table_over_an_empty_one),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
