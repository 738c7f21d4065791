/*
 * Who is let in, and what is known of the disk: to the byte, beside sums of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "rig/lives.h"
#include "rig/ownroom.h"
#include "store/store_internal.h"

enum { PAGE = 4096, CLOCK_MS = 5000000 };

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

static void expect_answer(uint64_t bytes, uint64_t needed, bool fits)
{
	char text[400] = "";

	s->log_is_due = false;
	e.text[0] = '\0';
	if (!fits)
		(void)snprintf(text, sizeof text,
		               "%llu bytes at once need %llu on the file system of %s until they are stored and"
		               " settled, and %llu are free; send less at a time",
		               (unsigned long long)bytes, (unsigned long long)needed, s->path,
		               (unsigned long long)free_bytes);
	assert_int_equal(store_make_room(s, bytes, &e), fits ? ERR_OK : ERR_FULL);
	assert_string_equal(e.text, text);
}

static uint64_t beyond(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

/* Blocks of the database. */
static uint64_t blocks_held(void)
{
	struct stat st;

	assert_int_equal(stat(s->path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* What comes stands in the log and in the database, a sixteenth larger; what both hold beyond what they use is there.
 * Who only asks need not look at the files where there is enough whatever they hold. */
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
			               pages = (uint64_t)life_number(s, "PRAGMA page_count") * PAGE,
			               spare = beyond(cases[i].held, log),
			               more = beyond(cases[i].group, cases[i].before),
			               comes = (cases[i].bytes + more) * 17 / 16,
			               share = cases[i].reserve == PLENTY ? PLENTY / 8 : cases[i].reserve,
			               beside = cases[i].least / 4 + (cases[i].given ? share : 0);

			assert_int_equal((uint64_t)life_number(s, "PRAGMA freelist_count") * PAGE, inside);
			s->options.reserve_bytes = cases[i].reserve;
			s->reserve_given = cases[i].given;
			s->wal_frames = cases[i].frames;
			s->log_held = cases[i].held;
			s->log_least = cases[i].least;
			s->durable.pending_bytes = cases[i].before;
			s->now.pending_bytes = cases[i].group;
			const uint64_t room = store_log_room(s),
			               lacks = beyond(pages + beyond(comes, inside), blocks_held()),
			               needed = lacks + beyond(comes, room > spare ? room : spare) + beside,
			               enough = comes + beyond(comes, spare) + log + beside,
			               tries[] = {0, needed - (needed > 0), needed, enough - 1, enough};

			for (size_t k = 0; k < sizeof tries / sizeof *tries; k++) {
				const uint64_t bytes = tries[k];
				const bool fits = bytes >= needed || bytes >= enough;

				known(bytes);
				if (store_has_room_for(s, cases[i].bytes) != fits)
					fail_msg("case %zu: %llu of %llu or %llu", i, (unsigned long long)bytes,
					         (unsigned long long)needed, (unsigned long long)enough);
				expect_answer(cases[i].bytes, needed, fits);
				assert_int_equal(s->log_is_due, !fits && log > 0);
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
	s->disk_refused = false;
	assert_true(store_has_room_for(s, BYTES));
	free_bytes = 0; /* what is known is old */
	s->free_checked_ms -= 100;
	assert_false(store_has_room_for(s, BYTES));
	assert_int_equal(s->free_bytes, 0);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
