/*
 * Blocks in parts: which are made so, what they read as, and what a wrong byte costs, wherever it lies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "rig/spooldir.h"
#include "store/store_internal.h"

enum { COUNT = 300, PART = 16 };

#define ok(call)                                                                      \
	do {                                                                          \
		struct error e_ = {0};                                                \
		struct error *e = &e_;                                                \
		if ((call) != ERR_OK)                                                 \
			fail_msg("%s:%d %s: %s", __FILE__, __LINE__, #call, e_.text); \
	} while (0)

struct kind {
	const char *name;
	uint32_t bytes;      /* of a body */
	uint32_t noise;      /* of these, that nothing makes smaller */
	uint32_t noise_each; /* messages with noise: every so many; 0: none */
	uint64_t count;
	int codec;
};

/* Follows from n alone; received at a time that goes back and forth. */
static struct message *make(const struct kind *k, uint64_t n)
{
	AUTOFREE char *body = mem_alloc(k->bytes + 100);
	size_t used = 0;
	uint64_t x = n * UINT64_C(0x9e3779b97f4a7c15) + 1;
	char meta[64];
	struct buf b;
	struct message *m;

	for (unsigned i = 0; used < k->bytes; i++)
		used += (size_t)snprintf(body + used, 100, "{\"sensor\":\"pump-%u\",\"n\":%u,\"state\":\"running\"},",
		                         (unsigned)n % 7, i);
	for (uint32_t i = 0; k->noise_each && n % k->noise_each == 0 && i < k->noise; i++) {
		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		body[i] = (char)(x >> 56);
	}
	buf_init(&b, 1024);
	assert_int_equal(
	    meta_add(&b, 's', "n", 1, meta, (size_t)snprintf(meta, sizeof meta, "%llu", (unsigned long long)n)),
	    ERR_OK);
	m = message_new(b.data, b.len, body, k->bytes, (int64_t)(UINT64_C(1700000000000) + x % 100000));
	buf_fini(&b);
	return m;
}

static bool is_as_written(const struct kind *k, const struct message *m)
{
	struct message *want = make(k, m->id);
	bool same = m->received_ms == want->received_ms && m->meta_bytes == want->meta_bytes &&
	            m->body_bytes == want->body_bytes &&
	            memcmp(m->bytes, want->bytes, (size_t)m->meta_bytes + m->body_bytes) == 0;

	message_free(want);
	return same;
}

static struct store *open_it(const struct spooldir *d)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;

	ok(store_open(&o, &s, NULL, e));
	return s;
}

static void append(struct store *s, const struct kind *k)
{
	ok(store_begin(s, e));
	for (uint64_t n = 1; n <= k->count; n++) {
		struct message *m = make(k, n);

		ok(store_append(s, m, e));
		message_free(m);
	}
	ok(store_commit(s, e));
}

/* Every message that is handed out is as it was written; returns how many. */
static uint32_t read_all(struct store *s, const struct kind *k)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	const struct message *m;
	uint64_t last, before = 0;
	uint32_t count;

	ok(store_read(s, 0, 100000, UINT64_MAX, &list, &count, &last, e));
	STAILQ_FOREACH (m, &list, link) {
		assert_true(m->id > before);
		before = m->id;
		if (!is_as_written(k, m))
			fail_msg("%s: message %llu is not as written", k->name, (unsigned long long)m->id);
	}
	message_list_free(&list);
	return count;
}

static int64_t number(struct store *s, const char *sql)
{
	int64_t n = -1;

	ok(sql_number(s->db, sql, &n, e));
	return n;
}

static void assert_sound(const struct spooldir *d)
{
	struct buf out;
	uint64_t problems;

	buf_init(&out, 1 << 20);
	ok(store_check(d->path, &out, &problems, e));
	if (problems)
		fail_msg("%s", out.data);
	buf_fini(&out);
}

static const struct kind kinds[] = {
    {"lines of 1 KiB", 1024, 0, 0, COUNT, 2},
    {"shorter lines", 300, 0, 0, 512, 2},
    {"too few to be worth it", 1024, 0, 0, 100, 0},
    {"noise", 1024, 1024, 1, COUNT, 0},
    {"noise in some", 1024, 1024, 9, COUNT, 2},
    {"half of each is noise", 1024, 700, 1, COUNT, 0},
    {"parts that are noise", 6000, 6000, 5, 150, 2},
    {"long ones", 30000, 0, 0, 30, 2},
    {"one of almost a block", (1 << 20) - 100, 0, 0, 1, 2},
};

static void what_is_packed_reads_as_it_was_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		const struct kind *k = &kinds[i];
		struct spooldir d;
		struct store *s;

		spooldir_make(&d);
		s = open_it(&d);
		append(s, k);
		if (number(s, "SELECT min(codec) = max(codec) AND codec FROM blocks") != (k->codec != 0) ||
		    number(s, "SELECT max(codec) FROM blocks") != k->codec)
			fail_msg("%s: codec %d", k->name, (int)number(s, "SELECT max(codec) FROM blocks"));
		if (k->codec)
			assert_true(number(s, "SELECT sum(length(body)) < sum(bytes) / 2 + 20 FROM blocks"));
		assert_int_equal(read_all(s, k), k->count);
		store_abandon(s);
		s = open_it(&d);
		assert_int_equal(read_all(s, k), k->count);
		ok(store_close(s, e));
		assert_sound(&d);
		spooldir_remove(&d);
	}
}

static void overwrite_body(struct store *s, const void *bytes, size_t count)
{
	sqlite3_stmt *st = NULL;

	assert_int_equal(sqlite3_prepare_v2(s->db, "UPDATE blocks SET body = ?1", -1, &st, NULL), SQLITE_OK);
	(void)sqlite3_bind_blob64(st, 1, bytes, count, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(st), SQLITE_DONE);
	(void)sqlite3_finalize(st);
}

static unsigned char *body_of(struct store *s, size_t *ret_bytes)
{
	sqlite3_stmt *st = NULL;
	unsigned char *body;

	assert_int_equal(sqlite3_prepare_v2(s->db, "SELECT body FROM blocks", -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	*ret_bytes = (size_t)sqlite3_column_bytes(st, 0);
	body = mem_alloc(*ret_bytes + 1);
	memcpy(body, sqlite3_column_blob(st, 0), *ret_bytes);
	(void)sqlite3_finalize(st);
	return body;
}

/* A person is told of what is lost. */
static void repair(const struct spooldir *d)
{
	struct buf out;

	buf_init(&out, 1 << 20);
	ok(store_repair(d->path, &(struct store_repair){0}, &out, e));
	buf_fini(&out);
}

/* A copy of the spool, with that body: takes it apart, counts what it lost, and goes on. Returns what came back. */
static uint32_t read_with(const struct spooldir *from, const struct kind *k, const unsigned char *body, size_t bytes)
{
	struct spooldir d;
	struct store *s;
	uint32_t got;

	spooldir_make(&d);
	spooldir_copy(from, &d);
	s = open_it(&d);
	overwrite_body(s, body, bytes);
	ok(store_close(s, e));
	s = open_it(&d);
	got = read_all(s, k);
	assert_int_equal(store_ledger(s)->pending, got);
	assert_int_equal(store_ledger(s)->accepted, k->count);
	assert_int_equal(store_ledger(s)->damaged, k->count - got);
	assert_int_equal(number(s, "SELECT count(*) FROM blocks"), got == k->count);
	assert_int_equal(read_all(s, k), got);
	ok(store_close(s, e));
	repair(&d);
	assert_sound(&d);
	spooldir_remove(&d);
	return got;
}

/* Where the head of the n-th part stands; the whole when there is none. */
static size_t part_at(const unsigned char *body, size_t bytes, int n)
{
	size_t at = 0;

	for (; n > 0 && at + 18 <= bytes; n--)
		at += 18 + (body[at + 4] | (size_t)body[at + 5] << 8 | (size_t)body[at + 6] << 16);
	return at < bytes ? at : bytes;
}

static void a_wrong_bit_costs_at_most_its_part(void **state)
{
	const struct kind *k = &kinds[4];
	struct spooldir d;
	struct store *s;
	size_t bytes;
	AUTOFREE unsigned char *body = NULL;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d);
	append(s, k);
	body = body_of(s, &bytes);
	ok(store_close(s, e));
	assert_int_equal(read_with(&d, k, body, bytes), COUNT);
	for (int n = 0; n < 60; n += 23) {
		const size_t first = part_at(body, bytes, n), end = part_at(body, bytes, n + 1);

		for (size_t at = first + 18; at < end; at += (end - first) / 5 + 1) {
			uint32_t got;

			body[at] ^= (unsigned char)(1u << at % 8);
			got = read_with(&d, k, body, bytes);
			if (got + PART < COUNT || got == COUNT)
				fail_msg("byte %zu of part %d: %u of %d came back", at, n, got, COUNT);
			body[at] ^= (unsigned char)(1u << at % 8);
		}
	}
	spooldir_remove(&d);
}

/* Heads that lie: whatever they say, nothing is handed out that was not written. */
static void heads_that_lie_cost_no_more_than_what_stands_behind(void **state)
{
	static const unsigned char values[] = {0, 1, 0x7f, 0xff};
	const struct kind *k = &kinds[0];
	struct spooldir d;
	struct store *s;
	size_t bytes, head;
	AUTOFREE unsigned char *body = NULL;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d);
	append(s, k);
	body = body_of(s, &bytes);
	ok(store_close(s, e));
	head = part_at(body, bytes, 40);
	assert_in_range(head, 1000, bytes - 1000);
	for (size_t i = 0; i < 18; i++) {
		const unsigned char was = body[head + i], value = values[i % sizeof values];

		if (was == value)
			continue;
		body[head + i] = value;
		assert_in_range(read_with(&d, k, body, bytes), 40 * 3, COUNT - 1);
		body[head + i] = was;
	}
	assert_in_range(read_with(&d, k, body, head), 40 * 3, COUNT - 1);            /* cut between two parts */
	assert_in_range(read_with(&d, k, body, head + 7), 40 * 3, COUNT - 1);        /* in a head */
	assert_in_range(read_with(&d, k, body, bytes - 1), COUNT - PART, COUNT - 1); /* in the last */
	assert_int_equal(read_with(&d, k, body + 1, bytes - 1), 0);
	assert_int_equal(read_with(&d, k, body, 0), 0);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_packed_reads_as_it_was_written),
	    cmocka_unit_test(a_wrong_bit_costs_at_most_its_part),
	    cmocka_unit_test(heads_that_lie_cost_no_more_than_what_stands_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
