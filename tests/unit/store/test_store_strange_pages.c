/*
 * Pages that are whole and are not this spool's, or not of now: of another spool at the same place; rows with a number
 * that is not what was written. Nothing strange is sent, what it took the place of is counted, and nothing is invented.
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

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "rig/spooldir.h"
#include "rig/sanitizer.h"
#include "store/store_damage.h"
#include "store/store_internal.h"

#define ok(call)                                                                      \
	do {                                                                          \
		struct error e_ = {0};                                                \
		struct error *e = &e_;                                                \
		if ((call) != ERR_OK)                                                 \
			fail_msg("%s:%d %s: %s", __FILE__, __LINE__, #call, e_.text); \
	} while (0)

enum { PAGE = 4096, MESSAGES = 150 };
#define NOW_MS INT64_C(1790000000000)

static struct store *open_it(const struct spooldir *d, struct store_report *report)
{
	struct store_options o = spooldir_options(d);
	struct store_report unused;
	struct store *s = NULL;

	o.compress = STORE_COMPRESS_NEVER;
	ok(store_open(&o, &s, report ? report : &unused, e));
	return s;
}

/* Which messages a spool was given: body n of `first` on, received at that time: the very same in every spool. */
static void append_at(struct store *s, uint64_t first, uint64_t count, uint64_t together, uint32_t bytes, int64_t ms)
{
	for (uint64_t n = first; n < first + count;) {
		ok(store_begin(s, e));
		for (uint64_t i = 0; i < together && n < first + count; i++, n++) {
			struct message *m = spooldir_message(n, bytes);

			m->received_ms = ms;
			ok(store_append(s, m, e));
			message_free(m);
		}
		ok(store_commit(s, e));
	}
}

static void append(struct store *s, uint64_t first, uint64_t count, uint64_t together, uint32_t bytes)
{
	append_at(s, first, count, together, bytes, NOW_MS);
}

static void settle(struct store *s, uint64_t first, uint64_t last)
{
	ok(store_begin(s, e));
	for (uint64_t id = first; id <= last; id++) {
		const struct store_settlement item = {.id = id, .kind = SETTLE_DELIVERED};

		ok(store_settle(s, &item, 1, e));
	}
	ok(store_commit(s, e));
}

/* Reads and settles all; each must be body `id + offset` of `bytes`. How many of each id came is in `seen`. */
static uint64_t drain(struct store **s, uint64_t offset, uint32_t bytes, unsigned char *seen, size_t ids)
{
	uint64_t after = 0, sent = 0;

	memset(seen, 0, ids);
	for (int rounds = 0; rounds < 1000; rounds++) {
		struct message_list list = STAILQ_HEAD_INITIALIZER(list);
		struct error e = {0};
		struct store_report report;
		struct message *m;
		uint32_t count;
		uint64_t last;
		enum err err = store_read(*s, after, 64, UINT64_MAX, &list, &count, &last, &e);

		if (err == ERR_DAMAGED) { /* as the journal does */
			message_list_free(&list);
			if (store_restart_damaged(*s, &report, &e) != ERR_OK)
				fail_msg("%s", e.text);
			after = 0;
			continue;
		}
		if (err != ERR_OK)
			fail_msg("%s", e.text);
		STAILQ_FOREACH (m, &list, link) {
			m->received_ms = (int64_t)(1700000000000 + m->id + offset); /* what spooldir_message says */
			if (!spooldir_is_message(m, m->id + offset, bytes))
				fail_msg("message %llu is forged", (unsigned long long)m->id);
			assert_true(m->id < ids);
			seen[m->id]++;
			sent++;
		}
		STAILQ_FOREACH (m, &list, link)
			settle(*s, m->id, m->id);
		message_list_free(&list);
		if (count == 0 && last + 1 >= store_next_id(*s))
			return sent;
		after = last;
	}
	fail_msg("it does not end");
	return 0;
}

static void make_two(struct spooldir *a, struct spooldir *b, uint64_t together, uint32_t bytes)
{
	struct spooldir *dirs[] = {a, b};

	for (uint64_t i = 0; i < 2; i++) {
		struct store *s;

		spooldir_make(dirs[i]);
		s = open_it(dirs[i], NULL);
		append(s, 1 + i * 1000, MESSAGES, together, bytes);
		ok(store_close(s, e));
	}
}

/* Each page of the other spool in turn, over the one at its place. */
static void a_page_of_another_spool_is_damage(void **state)
{
	static const struct {
		uint64_t together;
		uint32_t bytes;
	} shapes[] = {{1, 300}, {40, 300}, {1, 5000}};

	(void)state;
	clock_test_set(INT64_C(5000) * NS_PER_MS, NOW_MS * NS_PER_MS);
	for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
		struct spooldir a, b;
		unsigned char *ours, *theirs;
		size_t our_bytes, their_bytes;
		unsigned hit = 0;

		make_two(&a, &b, shapes[k].together, shapes[k].bytes);
		ours = spooldir_load(a.path, &our_bytes);
		theirs = spooldir_load(b.path, &their_bytes);
		for (size_t at = PAGE; at + PAGE <= our_bytes && at + PAGE <= their_bytes;
		     at += (size_t)PAGE * (k == 0 ? 1 : 7)) {
			unsigned char *mixed = mem_alloc(our_bytes), seen[MESSAGES + 1];
			struct spooldir d;
			struct store *s;
			uint64_t sent;
			const struct store_ledger *l;

			memcpy(mixed, ours, our_bytes);
			memcpy(mixed + at, theirs + at, PAGE);
			spooldir_make(&d);
			spooldir_copy(&a, &d);
			spooldir_store(d.path, mixed, our_bytes);
			free(mixed);
			s = open_it(&d, NULL);
			sent = drain(&s, 0, shapes[k].bytes, seen, sizeof seen);
			for (size_t i = 0; i < sizeof seen; i++)
				assert_in_range(seen[i], 0, 1);
			l = store_ledger(s);
			if (l->damaged != MESSAGES - sent || l->accepted != MESSAGES || l->delivered != sent)
				fail_msg("page %zu, %llu together: sent %llu, damaged %llu, accepted %llu", at / PAGE,
				         (unsigned long long)shapes[k].together, (unsigned long long)sent,
				         (unsigned long long)l->damaged, (unsigned long long)l->accepted);
			hit += sent < MESSAGES;
			ok(store_close(s, e));
			spooldir_remove(&d);
		}
		assert_true(hit > 0);
		free(ours);
		free(theirs);
		spooldir_remove(&a);
		spooldir_remove(&b);
	}
	clock_test_end();
}

static size_t root_of(const struct spooldir *d, const char *table)
{
	AUTOFREE char *sql = mem_format("SELECT rootpage FROM sqlite_schema WHERE name = '%s'", table);
	struct store *s = open_it(d, NULL);
	int64_t page;

	ok(store_number(s, sql, &page, e));
	store_abandon(s);
	return (size_t)page - 1;
}

/* A spool of its own, longer than ours: its messages have ids that no message of ours ever had, and some are dead. */
static void make_longer(struct spooldir *d)
{
	static const char code[] = "Slow";
	struct store *s;

	spooldir_make(d);
	s = open_it(d, NULL);
	append(s, 1001, 2 * MESSAGES, 1, 300);
	ok(store_begin(s, e));
	for (uint64_t id = MESSAGES; id < MESSAGES + 30; id++) {
		const struct store_settlement dies = {.id = id, .kind = SETTLE_DEAD, .code = code};

		ok(store_settle(s, &dies, 1, e));
	}
	for (uint64_t id = MESSAGES + 30; id < MESSAGES + 60; id++) {
		const struct store_settlement again = {.id = id, .kind = SETTLE_RETRY, .attempts = 2, .code = code};

		ok(store_settle(s, &again, 1, e));
	}
	ok(store_commit(s, e));
	ok(store_close(s, e));
}

/* Each page of a longer spool, over the first page of our ledger: nothing of it is taken for a message. */
static void a_page_of_a_longer_spool_forges_nothing(void **state)
{
	static const char *const tables[] = {"ledger"};
	struct spooldir a, b;
	unsigned char *ours, *theirs;
	size_t our_bytes, their_bytes;

	(void)state;
	clock_test_set(INT64_C(5000) * NS_PER_MS, NOW_MS * NS_PER_MS);
	make_two(&a, &b, 1, 300);
	spooldir_remove(&b);
	make_longer(&b);
	ours = spooldir_load(a.path, &our_bytes);
	theirs = spooldir_load(b.path, &their_bytes);
	for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
		const size_t to = root_of(&a, tables[t]);

		for (size_t from = PAGE; from + PAGE <= their_bytes;
		     from += (size_t)PAGE * (t < 2 ? 1 : 3) * SANITIZED_EACH) {
			unsigned char *mixed = mem_alloc(our_bytes), seen[MESSAGES + 1];
			struct store_report report;
			struct spooldir d;
			struct store *s;
			uint64_t sent;

			memcpy(mixed, ours, our_bytes);
			memcpy(mixed + to * PAGE, theirs + from, PAGE);
			spooldir_make(&d);
			spooldir_copy(&a, &d);
			spooldir_store(d.path, mixed, our_bytes);
			free(mixed);
			s = open_it(&d, &report);
			sent = drain(&s, 0, 300, seen, sizeof seen);
			if (sent != MESSAGES || store_ledger(s)->accepted != MESSAGES || store_ledger(s)->dead != 0 ||
			    store_ledger(s)->damaged != 0)
				fail_msg("%s: page %zu: sent %llu, accepted %llu, dead %llu, damaged %llu: %s",
				         tables[t], from / PAGE, (unsigned long long)sent,
				         (unsigned long long)store_ledger(s)->accepted,
				         (unsigned long long)store_ledger(s)->dead,
				         (unsigned long long)store_ledger(s)->damaged, report.warning);
			ok(store_close(s, e));
			spooldir_remove(&d);
		}
	}
	free(ours);
	free(theirs);
	spooldir_remove(&a);
	spooldir_remove(&b);
	clock_test_end();
}

static int64_t age_of(struct store *s, uint64_t id)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint32_t count;
	uint64_t last;
	int64_t age;

	ok(store_read_range(s, id, id, 1, UINT64_MAX, &list, &count, &last, e));
	assert_int_equal(count, 1);
	age = clock_mono_ms() - STAILQ_FIRST(&list)->accepted_ms;
	message_list_free(&list);
	return age;
}

/* 150 that left all but one, which failed and waits alone, and then as many more: the file between, and after. */
static void make_times(struct spooldir *d, bool one_stays, unsigned char **before, size_t *before_bytes)
{
	struct store *s;

	spooldir_make(d);
	s = open_it(d, NULL);
	append(s, 1, MESSAGES, 1, 300);
	ok(store_close(s, e));
	*before = spooldir_load(d->path, before_bytes);
	s = open_it(d, NULL);
	if (one_stays) {
		const struct store_settlement again = {.id = 1, .kind = SETTLE_RETRY, .attempts = 9, .code = "Slow"};

		ok(store_begin(s, e));
		ok(store_settle(s, &again, 1, e));
		ok(store_commit(s, e));
	}
	for (uint64_t id = one_stays ? 2 : 1; id <= MESSAGES; id += 5)
		settle(s, id, id + 4 < MESSAGES ? id + 4 : MESSAGES);
	append(s, MESSAGES + 1, MESSAGES, 1, 300);
	ok(store_close(s, e));
}

/* Each page as it was at an earlier clean stop: what it hides is counted, and what it shows again is not sent. */
static void a_page_of_an_earlier_time_is_noticed(void **state)
{
	(void)state;
	clock_test_set(INT64_C(5000) * NS_PER_MS, NOW_MS * NS_PER_MS);
	for (int one_stays = 0; one_stays < 2; one_stays++) {
		struct spooldir now;
		unsigned char *before, *after;
		size_t before_bytes, after_bytes;
		unsigned hit = 0, whole = 0;

		make_times(&now, one_stays, &before, &before_bytes);
		after = spooldir_load(now.path, &after_bytes);
		for (size_t at = PAGE; at + PAGE <= before_bytes && at + PAGE <= after_bytes;
		     at += PAGE * SANITIZED_EACH) {
			unsigned char *mixed = mem_alloc(after_bytes), seen[2 * MESSAGES + 1];
			const struct store_ledger *l;
			struct spooldir d;
			struct store *s;
			uint64_t sent, again = 0;

			memcpy(mixed, after, after_bytes);
			memcpy(mixed + at, before + at, PAGE);
			spooldir_make(&d);
			spooldir_copy(&now, &d);
			spooldir_store(d.path, mixed, after_bytes);
			free(mixed);
			s = open_it(&d, NULL);
			sent = drain(&s, 0, 300, seen, sizeof seen);
			for (size_t i = 0; i < sizeof seen; i++) {
				assert_in_range(seen[i], 0, 1);
				again += i > (size_t)one_stays && i <= MESSAGES && seen[i];
			}
			l = store_ledger(s);
			if (again > store_possible_duplicates(s) ||
			    l->damaged + l->pending + sent - again != MESSAGES + (uint64_t)one_stays ||
			    l->accepted != 2 * MESSAGES)
				fail_msg(
				    "page %zu, %d stays: sent %llu, %llu of them again; accepted %llu, damaged %llu",
				    at / PAGE, one_stays, (unsigned long long)sent, (unsigned long long)again,
				    (unsigned long long)l->accepted, (unsigned long long)l->damaged);
			hit += l->damaged > 0;
			whole += l->damaged == 0;
			ok(store_close(s, e));
			spooldir_remove(&d);
		}
		assert_true(hit > 0 && whole > 0);
		free(before);
		free(after);
		spooldir_remove(&now);
	}
	clock_test_end();
}

/* 150 messages in blocks of 40, of which those of one block left and some of another. */
static void make_blocks(struct spooldir *d, const char *lie)
{
	struct store *s;

	spooldir_make(d);
	s = open_it(d, NULL);
	append(s, 1, MESSAGES, 40, 100);
	settle(s, 41, 80);
	settle(s, 85, 94);
	if (sqlite3_exec(s->db, lie, NULL, NULL, NULL) != SQLITE_OK || sqlite3_changes(s->db) != 1)
		fail_msg("%s: %s", lie, sqlite3_errmsg(s->db));
	ok(store_close(s, e));
}

/* One wrong number in a block: nothing is counted that never was, nothing twice, and nothing is set aside. */
static void a_wrong_number_of_a_block_invents_no_message(void **state)
{
	static const char *const columns[] = {"count", "bytes", "codec", "checksum", "first_ms", "last_ms"};
	static const int64_t bits[] = {0, 1, 3, 5, 6, 7, 8, 14, 31, 40, 62};
	static const uint64_t ids[] = {1, 81, 121};
	const uint64_t waits = MESSAGES - 50;

	(void)state;
	for (size_t n = 0; n < 6 * 11 * 3; n += SANITIZED_EACH) {
		const char *column = columns[n % 6];
		const int64_t bit = INT64_C(1) << bits[n / 6 % 11];
		AUTOFREE char *lie =
		    mem_format("UPDATE blocks SET %s = (%s | %lld) - (%s & %lld) WHERE id = %llu", column, column,
		               (long long)bit, column, (long long)bit, (unsigned long long)ids[n / 66]);
		unsigned char seen[MESSAGES + 1];
		struct store_report report;
		struct spooldir d;
		struct store *s;
		uint64_t sent, lost;

		make_blocks(&d, lie);
		s = open_it(&d, &report);
		assert_int_equal(store_ledger(s)->accepted, MESSAGES);
		sent = drain(&s, 0, 100, seen, sizeof seen);
		lost = store_ledger(s)->damaged;
		if (sent + lost != waits || (lost > 0 && strcmp(column, "codec") != 0) ||
		    store_ledger(s)->accepted != MESSAGES || store_ledger(s)->delivered != sent + 50 ||
		    report.quarantined)
			fail_msg("%s: sent %llu, accepted %llu, delivered %llu, damaged %llu", lie,
			         (unsigned long long)sent, (unsigned long long)store_ledger(s)->accepted,
			         (unsigned long long)store_ledger(s)->delivered, (unsigned long long)lost);
		ok(store_close(s, e));
		spooldir_remove(&d);
	}
}

/* The ledger's row is damaged too: it is counted anew from what the blocks really hold. */
static void a_wrong_count_invents_no_message_without_a_ledger(void **state)
{
	static const char *const lies[] = {
	    "UPDATE blocks SET count = count | 256 WHERE id = 1",
	    "UPDATE blocks SET count = count - 3 WHERE id = 81",
	    "UPDATE blocks SET count = count + 100 WHERE id = 121",
	    "UPDATE blocks SET count = 1 WHERE id = 121",
	};

	(void)state;
	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
		AUTOFREE char *both = mem_format("%s; UPDATE ledger SET accepted = accepted + 64", lies[i]);
		unsigned char seen[MESSAGES + 1];
		struct spooldir d;
		struct store *s;

		make_blocks(&d, both);
		(void)unlink(spooldir_file(&d, ".tide"));
		s = open_it(&d, NULL);
		assert_int_equal(store_ledger(s)->pending, MESSAGES - 50);
		assert_int_equal(drain(&s, 0, 100, seen, sizeof seen), MESSAGES - 50);
		assert_in_range(store_ledger(s)->accepted, MESSAGES,
		                MESSAGES + 511 - 30); /* the last id is not known */
		assert_int_equal(store_ledger(s)->damaged, 0);
		ok(store_close(s, e));
		spooldir_remove(&d);
	}
}

/* The same numbers: another checksum for each spool and each table, and none that is taken for an older one. */
static void a_checksum_is_of_its_spool_and_its_table(void **state)
{
	static const uint64_t numbers[] = {1, 2, 3};
	const uint32_t tags[] = {1, 0x100, 0x10000, INT32_MAX};
	int64_t seen[sizeof tags / sizeof *tags * SUM_OF_LEAD];
	size_t count = 0;

	(void)state;
	for (size_t t = 0; t < sizeof tags / sizeof *tags; t++)
		for (enum sum_kind kind = SUM_OF_MESSAGE; kind <= SUM_OF_LEAD; kind++) {
			const int64_t sum = sum_numbers(tags[t], kind, numbers, 3);

			assert_int_equal(sum_tag(sum), tags[t]);
			assert_false(sum_is_ours(sum, 2));
			for (size_t i = 0; i < count; i++) /* neither tag nor kind shows in the upper half alone */
				assert_true((uint32_t)seen[i] != (uint32_t)sum);
			seen[count++] = sum;
		}
	assert_int_equal(sum_tag(INT32_MIN), 0);
	assert_int_equal(sum_tag(UINT32_MAX), 0);
	assert_int_equal(sum_numbers(0, SUM_OF_BLOCK, numbers, 3), sum_numbers(0, SUM_OF_LEAD, numbers, 3));
}

static uint64_t problems_of(const struct spooldir *d)
{
	struct buf out = {0};
	uint64_t problems;

	ok(store_check(d->path, &out, &problems, e));
	buf_fini(&out);
	return problems;
}

/* Begun at 1970, then the clock was set, and set back by weeks; those of the first time have left. */
static struct store *make_clocked(struct spooldir *d)
{
	struct store *s;

	clock_test_set(INT64_C(5000) * NS_PER_MS, INT64_C(5000) * NS_PER_MS);
	spooldir_make(d);
	s = open_it(d, NULL);
	append(s, 1, 5, 5, 20);
	clock_test_set(INT64_C(7000) * NS_PER_MS, (NOW_MS + INT64_C(3000000000)) * NS_PER_MS);
	append_at(s, 6, 5, 5, 20, NOW_MS + INT64_C(3000000000));
	clock_test_set(INT64_C(9000) * NS_PER_MS, NOW_MS * NS_PER_MS);
	append(s, 11, 5, 5, 20);
	settle(s, 1, 5);
	return s;
}

/* Any wrong bit of a clock row makes nobody old, now and after another start. */
static void a_wrong_clock_row_makes_no_message_old(void **state)
{
	(void)state;
	for (int n = 0; n < 2 * 63; n += SANITIZED_EACH) {
		const char *column = n % 2 ? "lead_ms" : "first_id";
		struct spooldir d;
		struct store_report report;
		struct store *s = make_clocked(&d);
		AUTOFREE char *sql = mem_format("UPDATE clock SET %s = (%s | %lld) - (%s & %lld) WHERE first_id = 11",
		                                column, column, 1LL << n / 2, column, 1LL << n / 2);

		assert_int_equal(sqlite3_exec(s->db, sql, NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_changes(s->db), 1);
		ok(store_close(s, e));
		assert_int_equal(problems_of(&d), 1);
		s = open_it(&d, &report);
		if (!strstr(report.warning, "clock"))
			fail_msg("%s bit %d: '%s'", column, n / 2, report.warning);
		for (int rounds = 0; rounds < 2; rounds++) {
			assert_in_range(age_of(s, 8), 0, 10000);
			assert_in_range(age_of(s, 13), 0, 10000);
			if (rounds == 0)
				append(s, 16, 1, 1, 20);
			assert_int_equal(age_of(s, 16), 0);
			ok(store_close(s, e));
			assert_int_equal(problems_of(&d), 0);
			s = open_it(&d, &report);
			assert_null(strstr(report.warning, "clock"));
		}
		ok(store_close(s, e));
		spooldir_remove(&d);
	}
	clock_test_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_checksum_is_of_its_spool_and_its_table),
	    cmocka_unit_test(a_wrong_number_of_a_block_invents_no_message),
	    cmocka_unit_test(a_wrong_count_invents_no_message_without_a_ledger),
	    cmocka_unit_test(a_page_of_an_earlier_time_is_noticed),
	    cmocka_unit_test(a_wrong_clock_row_makes_no_message_old),
	    cmocka_unit_test(a_page_of_another_spool_is_damage),
	    cmocka_unit_test(a_page_of_a_longer_spool_forges_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
