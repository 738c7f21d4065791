/*
 * Who is let in, who leaves for whom, when the log goes into the database: to the byte, beside sums of the test's own.
 * This program's fstatvfs says what is free; nothing of it is taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "rig/lives.h"
#include "store/store_internal.h"

#define MIB (UINT64_C(1) << 20)
#define PLENTY (UINT64_C(1) << 40)

enum { PAGE = 4096, CLOCK_MS = 5000000 };

static uint64_t free_bytes = PLENTY, all_bytes = PLENTY;

/* In the place of the C library's. */
int fstatvfs(int fd, struct statvfs *ret)
{
	(void)fd;
	memset(ret, 0, sizeof *ret);
	ret->f_bsize = ret->f_frsize = 1;
	ret->f_blocks = all_bytes;
	ret->f_bfree = ret->f_bavail = free_bytes;
	return 0;
}

static struct spooldir d;
static struct store *s;
static struct error e;

static int begin(void **state)
{
	(void)state;
	free_bytes = all_bytes = PLENTY;
	s = life_begin(&d);
	assert_int_equal(s->page_bytes, PAGE);
	clock_test_set((int64_t)CLOCK_MS * NS_PER_MS, clock_wall_ns());
	return 0;
}

static int end(void **state)
{
	(void)state;
	clock_test_end();
	free_bytes = all_bytes = PLENTY;
	store_abandon(s);
	spooldir_remove(&d);
	return 0;
}

/* So many are free, and known to be; nobody looks for the time being. */
static void known(uint64_t bytes)
{
	free_bytes = s->free_bytes = bytes;
	s->free_checked_ms = clock_mono_ms();
}

/* Pages of the database that hold nothing: about as many. */
static uint64_t make_inside(uint32_t bytes)
{
	struct message *m = spooldir_message(1, bytes);
	uint64_t id;

	known(PLENTY);
	s->full_disk = false;
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_append(s, m, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	id = m->id;
	message_free(m);
	life_checkpoint(s);
	life_settle(s, id, id);
	life_checkpoint(s);
	return (uint64_t)life_number(s, "PRAGMA freelist_count") * PAGE;
}

/* What comes stands in the log and in the database, a sixteenth larger; what the log holds beyond its end is there. */
static void what_comes_has_room_twice_or_is_refused(void **state)
{
	static const struct {
		uint64_t bytes, held, before, group, least, reserve;
		uint32_t frames;
		bool given;
	} cases[] = {
	    {.bytes = 1600},
	    {.bytes = 1615, .least = 4000},
	    {.bytes = 1616, .before = 500, .group = 500},
	    {.bytes = 1600, .before = 501, .group = 500},
	    {.bytes = 1600, .before = 500, .group = 501},
	    {.bytes = 1600, .before = 500, .group = 16500, .least = 4003},
	    {.bytes = 160000, .frames = 3, .held = 3 * PAGE},
	    {.bytes = 160000, .frames = 3, .held = 3 * PAGE - 1},
	    {.bytes = 160000, .frames = 3, .held = 3 * PAGE + 1},
	    {.bytes = 160000, .frames = 3, .held = 3 * PAGE + 170000},
	    {.bytes = 160000, .frames = 3, .held = 3 * PAGE + 169999},
	    {.bytes = 160000, .frames = 3, .held = 3 * PAGE + 170001},
	    {.bytes = 160000, .frames = 7, .held = 9 * PAGE, .reserve = 777, .least = 1 << 20},
	    {.bytes = 160000, .frames = 7, .held = 9 * PAGE, .reserve = 777, .least = 1 << 20, .given = true},
	    {.bytes = 1, .reserve = PLENTY, .given = true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int has_inside = 0; has_inside < 2; has_inside++) {
			const uint64_t log = (uint64_t)cases[i].frames * PAGE,
			               inside = has_inside ? make_inside(40000) : 0,
			               spare = cases[i].held < log ? 0 : cases[i].held - log,
			               more = cases[i].group < cases[i].before ? 0 : cases[i].group - cases[i].before,
			               comes = (cases[i].bytes + more) * 17 / 16,
			               grows = comes < spare ? 0 : comes - spare,
			               share = cases[i].reserve == PLENTY ? PLENTY / 8 : cases[i].reserve,
			               needed = comes + grows + log + cases[i].least / 4 + (cases[i].given ? share : 0),
			               tries[] = {0,
			                          grows - (grows > 0),
			                          grows,
			                          needed - inside - 1,
			                          needed - inside,
			                          needed - 1,
			                          needed};
			char text[400];

			assert_int_equal((uint64_t)life_number(s, "PRAGMA freelist_count") * PAGE, inside);
			s->options.reserve_bytes = cases[i].reserve;
			s->reserve_given = cases[i].given;
			s->wal_frames = cases[i].frames;
			s->log_held = cases[i].held;
			s->log_least = cases[i].least;
			s->durable.pending_bytes = cases[i].before;
			s->now.pending_bytes = cases[i].group;
			for (size_t k = 0; k < sizeof tries / sizeof *tries; k++) {
				const uint64_t bytes = tries[k];
				const bool fits = bytes >= needed || (bytes >= grows && bytes + inside >= needed);

				if (bytes > needed) /* what is free inside is more than that */
					continue;
				known(bytes);
				if (store_has_room_for(s, cases[i].bytes) != fits)
					fail_msg("case %zu: %llu of %llu", i, (unsigned long long)bytes,
					         (unsigned long long)needed);
				s->log_is_due = false;
				e.text[0] = '\0';
				assert_int_equal(store_make_room(s, cases[i].bytes, &e), fits ? ERR_OK : ERR_FULL);
				assert_int_equal(s->log_is_due, !fits && log > 0);
				if (fits)
					continue;
				(void)snprintf(text, sizeof text,
				               "%llu bytes at once need %llu on the file system of %s until they are"
				               " stored and settled, and %llu are free; send less at a time",
				               (unsigned long long)cases[i].bytes, (unsigned long long)needed, s->path,
				               (unsigned long long)bytes);
				assert_string_equal(e.text, text);
			}
			s->durable.pending_bytes = s->now.pending_bytes = 0;
			s->reserve_given = s->log_is_due = false;
			s->wal_frames = 0;
			if (has_inside)
				life_sql(s, "PRAGMA incremental_vacuum");
			life_checkpoint(s);
		}
}

/* What is known is believed while it is eight times as much. */
static void what_is_little_is_looked_at_again(void **state)
{
	enum { BYTES = 16000, NEEDED = 2 * 17000 };

	(void)state;
	s->log_least = s->log_held = 0;
	s->wal_frames = 0;
	known(8 * NEEDED);
	free_bytes = 0;
	assert_true(store_has_room_for(s, BYTES));
	assert_int_equal(s->free_bytes, 8 * NEEDED);
	s->free_bytes = 8 * NEEDED - 1;
	assert_false(store_has_room_for(s, BYTES));
	assert_int_equal(s->free_bytes, 0);
	free_bytes = NEEDED;
	assert_true(store_has_room_for(s, BYTES));
	assert_int_equal(s->free_bytes, NEEDED);
	known(NEEDED - 1);
	assert_true(store_has_room_for(s, 0)); /* nothing comes */
	s->disk_refused = true;
	assert_true(store_has_room_for(s, 0));
	known(PLENTY);
	assert_false(store_has_room_for(s, 1));
	assert_false(store_has_room_for(s, BYTES));
}

/* Beyond min_free and a tenth, what may come in meanwhile, and what the log holds. */
static void of_its_own_it_writes_what_nobody_needs(void **state)
{
	uint64_t room = 7;

	(void)state;
	for (int has_inside = 0; has_inside < 2; has_inside++)
		for (int is_small = 0; is_small < 2; is_small++) {
			const uint64_t inside = has_inside ? make_inside(40000) : 0,
			               share = is_small ? 5 * MIB : 16 * MIB, taken = 110 + share + 3 * PAGE;

			all_bytes = is_small ? 40 * MIB : 4096 * MIB;
			s->options.min_free_bytes = 100;
			s->wal_frames = 3;
			for (int more = -1; more < 2; more++) {
				known(taken - inside + (uint64_t)more);
				assert_int_equal(store_own_room(s, &room, &e), ERR_OK);
				assert_int_equal(room, more < 0 ? 0 : more);
			}
			known(taken + 1000);
			assert_int_equal(store_own_room(s, &room, &e), ERR_OK);
			assert_int_equal(room, 1000 + inside);
			s->disk_refused = true;
			assert_int_equal(store_own_room(s, &room, &e), ERR_OK);
			assert_int_equal(room, 0);
			s->disk_refused = false;
			s->free_bytes = UINT64_MAX; /* nobody knows */
			assert_int_equal(store_own_room(s, &room, &e), ERR_OK);
			assert_true(room == UINT64_MAX - taken);
			s->wal_frames = 0;
			if (has_inside)
				life_sql(s, "PRAGMA incremental_vacuum");
			life_checkpoint(s);
		}
}

/* By the numbers: more is free, of the disk or of the file, than a log needs. */
static void a_disk_is_tried_where_there_is_room_for_a_log(void **state)
{
	uint64_t inside = 0;

	(void)state;
	for (int has_inside = 0; has_inside < 2; has_inside++) {
		inside = has_inside ? make_inside(20000) : 0;
		s->log_least = inside + 1000;
		s->full_disk = false;
		known(1000);
		assert_false(store_may_try_disk(s));
		known(1001);
		assert_true(store_may_try_disk(s));
		s->full_disk = true;
		assert_false(store_may_try_disk(s));
	}
	assert_true(inside > PAGE);
}

/* Below min_free it is full unless the file itself has room, of which a full one must have twice as much; a tenth more
 * than min_free ends that. */
static void a_disk_is_full_by_its_numbers(void **state)
{
	enum { MIN = 1000 };
	uint64_t inside;

	(void)state;
	inside = make_inside(60000);
	s->options.min_free_bytes = MIN;
	for (int was_full = 0; was_full < 2; was_full++)
		for (int more = -1; more < 2; more++) {
			const struct {
				uint64_t bytes;
				bool is_full;
			} cases[] = {{MIN - 1, more > 0}, {MIN, was_full}, {MIN + 99, was_full}, {MIN + 100, false}};

			/* What counts as room inside is an eighth of a small disk. */
			all_bytes = inside / (was_full ? 2 : 1) * 8 + (more > 0 ? 8 : more < 0 ? -UINT64_C(8) : 0);
			for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
				free_bytes = cases[i].bytes;
				s->free_checked_ms = 0;
				s->full_disk = was_full;
				store_look_at_disk(s);
				assert_int_equal(s->full_disk, cases[i].is_full);
				assert_int_equal(s->free_bytes, cases[i].bytes);
				assert_int_equal(s->free_checked_ms, clock_mono_ms());
			}
		}
}

/* Ten times a second at most. */
static void the_disk_is_looked_at_now_and_then(void **state)
{
	const int64_t at = clock_mono_ms();

	(void)state;
	known(PLENTY);
	free_bytes = 12345;
	clock_test_advance(99 * NS_PER_MS);
	store_look_at_disk(s);
	assert_int_equal(s->free_bytes, PLENTY);
	assert_int_equal(s->free_checked_ms, at);
	clock_test_advance(NS_PER_MS);
	store_look_at_disk(s);
	assert_int_equal(s->free_bytes, 12345);
	assert_int_equal(s->free_checked_ms, at + 100);
}

/* A reserve that was given up is made again by a look that finds the disk not full. */
static void a_look_makes_the_reserve_again(void **state)
{
	(void)state;
	s->options.reserve_bytes = 2 * PAGE;
	for (int i = 0; i < 4; i++) {
		const bool is_given = i & 1, is_full = i & 2;

		(void)files_reserve_give_up(&s->files);
		s->reserve_given = is_given;
		s->options.min_free_bytes = is_full ? MIB : 0;
		free_bytes = is_full ? MIB - 1 : PLENTY;
		s->full_disk = false;
		s->free_checked_ms = 0;
		store_look_at_disk(s);
		assert_int_equal(s->full_disk, is_full);
		assert_int_equal(files_held(&s->files, ".reserve"), is_given && !is_full ? 2 * PAGE : 0);
		assert_int_equal(s->reserve_given, is_given && is_full);
	}
	s->options.reserve_bytes = 0; /* there is to be none */
	s->reserve_given = true;
	s->log_held = 77;
	store_reserve(s);
	assert_true(s->reserve_given);
	assert_int_equal(s->log_held, 77);
}

static void expect_refusal(uint64_t bytes, const char *text)
{
	e.text[0] = '\0';
	assert_int_equal(store_make_room(s, bytes, &e), text ? ERR_FULL : ERR_OK);
	if (text)
		assert_string_equal(e.text, text);
}

/* max_bytes is the last byte that comes in; once it was reached, a tenth must be free. */
static void max_bytes_is_the_last_that_comes_in(void **state)
{
	enum { MAX = 1005 };
	static const struct {
		uint64_t pending, bytes;
		bool was_full, is_full;
	} cases[] = {
	    {0, MAX, false, false}, {0, MAX + 1, false, true}, {5, MAX - 5, false, false}, {5, MAX - 4, false, true},
	    {904, 0, true, false},  {905, 0, true, false},     {906, 0, true, true},       {904, 1, true, false},
	    {904, 2, true, true},   {MAX, 0, false, false},    {MAX + 1, 0, false, true},  {0, 905, true, false},
	};

	(void)state;
	known(PLENTY);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[100];

		(void)snprintf(text, sizeof text, "the spool holds %llu bytes, max_bytes is %d",
		               (unsigned long long)cases[i].pending, MAX);
		s->options.max_bytes = MAX;
		s->durable.pending_bytes = s->now.pending_bytes = cases[i].pending;
		s->full_bytes = cases[i].was_full;
		if (cases[i].bytes <= MAX)
			expect_refusal(cases[i].bytes, cases[i].is_full ? text : NULL);
		else
			assert_int_equal(store_make_room(s, cases[i].bytes, &e), ERR_TOOBIG);
		assert_int_equal(s->full_bytes, cases[i].bytes <= MAX ? cases[i].is_full : cases[i].was_full);
		if (cases[i].bytes > 0)
			continue;
		s->full_bytes = cases[i].was_full;
		assert_int_equal(store_admission(s, &e), cases[i].is_full ? ERR_FULL : ERR_OK);
		s->full_bytes = cases[i].was_full;
		store_space_after_commit(s, false);
		assert_int_equal(s->full_bytes, cases[i].was_full && cases[i].is_full);
	}
	s->options.max_bytes = 0; /* there is no limit */
	s->full_bytes = true;
	expect_refusal(MIB, NULL);
	s->durable.pending_bytes = s->now.pending_bytes = 0;
}

/* One reason is told, the worst first. */
static void a_refusal_tells_the_worst(void **state)
{
	char full[400], low[400];

	(void)state;
	(void)snprintf(full, sizeof full, "the file system of %s is full", s->path);
	(void)snprintf(low, sizeof low, "999 bytes are free on the file system of %s, min_free is 1000", s->path);
	s->options.max_bytes = 10;
	s->now.pending_bytes = s->durable.pending_bytes = 11;
	s->options.min_free_bytes = 1000;
	known(999);
	s->full_disk = s->disk_refused = s->files_lost = true;
	(void)error_set(&s->files_lost_why, ERR_DISK, "it was deleted");
	expect_refusal(5, "it was deleted");
	assert_int_equal(store_admission(s, &e), ERR_DISK);
	assert_string_equal(e.text, "it was deleted");
	s->files_lost = false;
	expect_refusal(5, full);
	s->disk_refused = false;
	expect_refusal(5, low);
	s->full_disk = false;
	expect_refusal(5, "the spool holds 11 bytes, max_bytes is 10");
	s->now.pending_bytes = s->durable.pending_bytes = 0;
	known(PLENTY);
	expect_refusal(5, NULL);
	assert_int_equal(store_make_room(s, 11, &e), ERR_TOOBIG);
	assert_string_equal(e.text,
	                    "11 bytes at once can never fit: kspool.max_bytes is 10; send less at a time or raise"
	                    " it");
	/* A group may try a disk that refused, where there is room by the numbers. */
	for (int i = 0; i < 8; i++) {
		const bool in_group = i & 1, has_room = i & 2, refused = i & 4;

		s->in_group = in_group;
		s->disk_refused = refused;
		s->tries_disk = !refused;
		known(has_room ? PLENTY : s->log_least);
		s->log_held = PLENTY;
		s->log_least = 4;
		s->wal_frames = 0;
		if (!has_room)
			known(4);
		expect_refusal(1, refused && !(in_group && has_room) ? full : NULL);
		assert_int_equal(s->tries_disk, refused && in_group && has_room);
	}
	s->in_group = false;
}

/* A commit that tried the disk, or brought a message, ends what a full one began. */
static void a_commit_that_works_ends_the_refusal(void **state)
{
	(void)state;
	for (int i = 0; i < 32; i++) {
		const bool tries = i & 1, appended = i & 2, refused = i & 4, full = i & 8;
		const uint32_t refusals = i & 16 ? 3 : 0;
		const bool ends = tries || (refusals > 0 && appended);

		s->tries_disk = tries;
		s->disk_refused = refused;
		s->refusals = refusals;
		s->full_bytes = full;
		s->options.max_bytes = 1000;
		s->evict_after = 9;
		store_space_after_commit(s, appended);
		assert_int_equal(s->disk_refused, refused && !ends);
		assert_int_equal(s->refusals, ends && appended ? 0 : refusals);
		assert_false(s->tries_disk || s->full_bytes);
		assert_int_equal(s->evict_after, 0);
	}
}

/* As many of the oldest leave as it takes, to the byte; none of those on their way. */
static bool is_that(void *arg, uint64_t id) { return id == *(const uint64_t *)arg; }

static void the_oldest_leave_to_the_byte(void **state)
{
	enum { ROWS = 40, BYTES = 110 };
	static const struct {
		uint64_t bytes, less; /* less: below max_bytes before it comes */
		bool is_low;          /* by min_free */
		uint32_t gone;
	} cases[] = {
	    {1, 0, false, 1},
	    {BYTES, 0, false, 1},
	    {BYTES + 1, 0, false, 2},
	    {BYTES, BYTES, false, 0},
	    {BYTES, BYTES - 1, false, 1},
	    {20 * BYTES, 0, false, 20},
	    {20 * BYTES + 1, 0, false, 21},
	    {BYTES, BYTES, true, 1},
	    {2 * BYTES, BYTES, true, 2},
	    {2 * BYTES + 1, BYTES, true, 3},
	    {ROWS * BYTES - 2 * BYTES, 0, false, ROWS - 2},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const uint64_t first = store_next_id(s), evicted = store_ledger(s)->evicted;
		uint64_t bytes, last, claimed = first + i % 3;

		s->options.max_bytes = 0;
		s->options.min_free_bytes = 0;
		s->full_disk = s->full_bytes = false;
		known(PLENTY);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		for (uint64_t n = 0; n < ROWS; n++) {
			struct message *m = message_new("0123456789", 10, (char[100]){0}, 100, 1700000000000);

			assert_int_equal(store_append(s, m, &e), ERR_OK);
			message_free(m);
		}
		assert_int_equal(store_commit(s, &e), ERR_OK);
		bytes = store_pending_bytes(s);
		assert_int_equal(bytes, ROWS * BYTES);
		s->options.evict_oldest = true;
		s->options.max_bytes = bytes + cases[i].less;
		s->full_disk = cases[i].is_low;
		store_set_claims(s, is_that, &claimed);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_make_room(s, cases[i].bytes, &e), ERR_OK);
		assert_int_equal(s->now.ledger.evicted - evicted, cases[i].gone);
		assert_int_equal(s->now.pending_bytes, bytes - cases[i].gone * BYTES);
		assert_int_equal(store_commit(s, &e), ERR_OK);
		store_set_claims(s, NULL, NULL);
		last = first + cases[i].gone +
		       (claimed - first <= cases[i].gone - 1 && cases[i].gone > 0); /* that stays */
		for (uint64_t id = first; id < first + ROWS; id++) {
			bool is_there = false;

			assert_int_equal(store_is_pending(s, id, &is_there, &e), ERR_OK);
			assert_int_equal(is_there, id == claimed || id >= last);
			assert_int_equal(left_has(s->left, id), !is_there);
		}
		if (claimed < last)
			life_settle(s, claimed, claimed);
		life_settle(s, last, first + ROWS - 1);
		assert_int_equal(store_pending_bytes(s), 0);
	}
}

/* How large a log may become, and how small it is not worth it. */
static void the_log_goes_into_the_database_in_time(void **state)
{
	static const struct {
		uint64_t known, now, held, reserve, least, limit;
	} cases[] = {
	    {PLENTY, PLENTY, 0, 0, MIB, 128 * MIB},
	    {PLENTY, PLENTY, 50 * MIB, 1, MIB, 40 * MIB},
	    {PLENTY, PLENTY, 50 * MIB, 0, MIB, 128 * MIB},
	    {PLENTY, 40 * MIB, 50 * MIB, 1, MIB, 10 * MIB},
	    {PLENTY, 160 * MIB, 50 * MIB, 1, MIB, 40 * MIB},
	    {PLENTY, PLENTY, 200 * MIB, 1, MIB, 128 * MIB},
	    {PLENTY, 0, 50 * MIB, 1, MIB, MIB},
	    {2 * MIB, 0, 0, 0, MIB, MIB / 2},
	    {0, 0, 0, 0, MIB, 16 * PAGE},
	    {64 * PAGE, 0, 0, 0, MIB, 16 * PAGE},
	    {68 * PAGE, 0, 0, 0, MIB, 17 * PAGE},
	    {PLENTY, 0, 0, 0, 3 * PAGE, 3 * PAGE},
	    {8 * MIB, 5 * MIB, 0, 0, MIB, 5 * MIB / 4},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int more = -1; more < 1; more++) {
			const uint64_t before = s->checkpoints;

			s->options.reserve_bytes = cases[i].reserve;
			s->log_held = cases[i].held;
			s->log_least = cases[i].least;
			known(cases[i].known);
			free_bytes = cases[i].now;
			s->wal_frames = (uint32_t)((cases[i].limit + PAGE - 1) / PAGE) + (uint32_t)more;
			assert_int_equal(store_checkpoint(s, false, &e), ERR_OK);
			assert_int_equal(s->checkpoints - before, more == 0);
			if (more == 0) {
				assert_int_equal(s->wal_frames, 0);
				assert_int_equal(s->free_checked_ms, 0);
			}
		}
	for (int i = 0; i < 4; i++) { /* unless it must */
		const uint64_t before = s->checkpoints;

		known(PLENTY);
		s->wal_frames = 1;
		s->log_is_due = i & 1;
		assert_int_equal(store_checkpoint(s, i & 2, &e), ERR_OK);
		assert_int_equal(s->checkpoints - before, i > 0);
		assert_false(s->log_is_due);
	}
}

static void a_tenth_more_is_spare(void **state)
{
	static const uint64_t cases[][2] = {{0, 0},
	                                    {1, 1},
	                                    {9, 9},
	                                    {10, 11},
	                                    {19, 20},
	                                    {1000, 1100},
	                                    {10 * MIB, 11 * MIB},
	                                    {UINT64_MAX, UINT64_MAX},
	                                    {UINT64_MAX / 11 * 10 + 1, UINT64_MAX / 11 * 10 + 1},
	                                    {UINT64_MAX / 11 * 10, UINT64_MAX / 11 * 11}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		s->options.min_free_bytes = cases[i][0];
		assert_true(store_spare_bytes(s) == cases[i][1]);
	}
}

static void what_is_written_anew_is_counted(void **state)
{
	static const struct {
		enum settle_kind kind;
		uint32_t bytes;
		uint64_t want;
	} cases[] = {{SETTLE_RETRY, 100, 512},  {SETTLE_DEAD, 100, 712},
	             {SETTLE_DAMAGED, 1, 514},  {SETTLE_DELIVERED, 100, 0},
	             {SETTLE_EXPIRED, 100, 0},  {SETTLE_EVICTED, 100, 0},
	             {SETTLE_FILTERED, 100, 0}, {SETTLE_DEAD, UINT32_MAX, 512 + 2 * (uint64_t)UINT32_MAX},
	             {SETTLE_RELEASE, 100, 0},  {SETTLE_FETCH, 100, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(
		    store_room_of(&(struct store_settlement){.id = 1, .kind = cases[i].kind, .bytes = cases[i].bytes}),
		    cases[i].want);
}

/* Twice as long after each refusal, half a minute at most. */
static void a_disk_that_refused_is_tried_now_and_then(void **state)
{
	static const struct {
		uint32_t refusals;
		int64_t wait_ms;
	} cases[] = {{0, 500},   {1, 500},   {2, 1000},    {3, 2000},          {6, 16000},
	             {7, 30000}, {8, 30000}, {100, 30000}, {UINT32_MAX, 30000}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int more = -1; more < 1; more++) {
			const uint64_t commits = s->durable.commits;

			known(PLENTY);
			s->disk_refused = true;
			s->refusals = cases[i].refusals;
			s->refused_ms = clock_mono_ms() - cases[i].wait_ms - more;
			assert_int_equal(store_probe_disk(s, &e), ERR_OK);
			assert_int_equal(s->disk_refused, more < 0);
			assert_int_equal(s->durable.commits - commits, more == 0); /* it was written to */
			assert_int_equal(s->refusals, cases[i].refusals);
		}
	for (int i = 0; i < 8; i++) { /* and only then */
		const bool lost = i & 1, refused = i & 2, has_room = i & 4, tries = refused && has_room && !lost;
		const uint64_t commits = s->durable.commits;

		known(has_room ? PLENTY : s->log_least);
		s->files_lost = lost;
		s->disk_refused = refused;
		s->refusals = 1;
		s->refused_ms = clock_mono_ms() - 60000;
		assert_int_equal(store_probe_disk(s, &e), ERR_OK);
		assert_int_equal(s->durable.commits - commits, tries);
		assert_int_equal(s->disk_refused, refused && !tries);
	}
	s->files_lost = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(what_comes_has_room_twice_or_is_refused, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_little_is_looked_at_again, begin, end),
	    cmocka_unit_test_setup_teardown(of_its_own_it_writes_what_nobody_needs, begin, end),
	    cmocka_unit_test_setup_teardown(a_disk_is_tried_where_there_is_room_for_a_log, begin, end),
	    cmocka_unit_test_setup_teardown(a_disk_is_full_by_its_numbers, begin, end),
	    cmocka_unit_test_setup_teardown(the_disk_is_looked_at_now_and_then, begin, end),
	    cmocka_unit_test_setup_teardown(a_look_makes_the_reserve_again, begin, end),
	    cmocka_unit_test_setup_teardown(max_bytes_is_the_last_that_comes_in, begin, end),
	    cmocka_unit_test_setup_teardown(a_refusal_tells_the_worst, begin, end),
	    cmocka_unit_test_setup_teardown(a_commit_that_works_ends_the_refusal, begin, end),
	    cmocka_unit_test_setup_teardown(the_oldest_leave_to_the_byte, begin, end),
	    cmocka_unit_test_setup_teardown(the_log_goes_into_the_database_in_time, begin, end),
	    cmocka_unit_test_setup_teardown(a_tenth_more_is_spare, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_written_anew_is_counted, begin, end),
	    cmocka_unit_test_setup_teardown(a_disk_that_refused_is_tried_now_and_then, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
