/*
 * The way out of a full disk, step by step: how much each step takes with it, when the log goes into the database, how
 * much of the reserve is given up, when nothing leaves any more; beside sums of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "rig/ownroom.h"
#include "store/store_internal.h"

enum { PAGE = 4096, EXIT = 16 * PAGE, TABLES = 4 * PAGE, NOTE = 512, ROWS = 130, STEPS = 400 };

static struct spooldir d;
static struct store *s;
static struct error e;
static struct store_settlement items[ROWS];

/* What each commit took with it. */
static size_t steps, took[STEPS];

static int note_step(void *arg)
{
	const struct store_ledger *now = &s->now.ledger, *before = &s->durable.ledger;

	(void)arg;
	assert_true(steps < STEPS);
	took[steps++] = (size_t)(before->pending - now->pending + s->now.retrying - s->durable.retrying);
	return 0;
}

static int begin(void **state)
{
	(void)state;
	free_bytes = PLENTY;
	s = life_begin(&d);
	assert_int_equal(s->page_bytes, PAGE);
	assert_int_equal(store_begin(s, &e), ERR_OK); /* all in one commit: it begins often */
	for (uint64_t n = 1; n <= ROWS; n++) {
		struct message *m = spooldir_message(n, life_bytes(n));

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	life_checkpoint(s);
	assert_int_equal(store_cut_log(s), SQLITE_OK); /* it holds nothing */
	s->wal_frames = 0;
	steps = 0;
	return 0;
}

static int end(void **state)
{
	(void)state;
	faultsql_arm(0, 0, false);
	free_bytes = PLENTY;
	store_abandon(s);
	spooldir_remove(&d);
	return 0;
}

static void begin_anew(void)
{
	(void)end(NULL);
	(void)begin(NULL);
}

/* All that waits, each with such an end. */
static void make_items(enum settle_kind kind, uint32_t bytes)
{
	for (uint64_t i = 0; i < ROWS; i++)
		items[i] = (struct store_settlement){
		    .id = i + 1, .kind = kind, .bytes = bytes, .attempts = 1, .code = "x", .wait_ms = 10};
}

static uint64_t held(const char *suffix)
{
	struct stat st;

	return stat(spooldir_file(&d, suffix), &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

static uint64_t log_room(void)
{
	const uint64_t used = (uint64_t)s->wal_frames * (24 + PAGE);

	return held("-wal") < used ? 0 : held("-wal") - used;
}

static uint64_t inside(void) { return (uint64_t)life_number(s, "PRAGMA freelist_count") * PAGE; }

static void keep_reserve(uint64_t bytes)
{
	s->options.reserve_bytes = bytes;
	assert_true(files_reserve_make(&s->files, bytes, 0) || bytes == 0);
	assert_int_equal(held(".reserve"), bytes);
}

/* 64 a commit, or as many as write 64 KiB anew; the log goes into the database after every second, after each that
 * writes anew, and at the end where the reserve waits for what it holds. */
static void steps_have_their_size(void **state)
{
	static const struct {
		enum settle_kind kind;
		uint32_t bytes;
		size_t count, step;
		bool given;
		uint64_t checkpoints;
	} cases[] = {
	    {SETTLE_DELIVERED, 9, 1, 64, false, 0},      {SETTLE_DELIVERED, 9, 64, 64, false, 0},
	    {SETTLE_DELIVERED, 9, 65, 64, false, 1},     {SETTLE_DELIVERED, 9, 128, 64, true, 1},
	    {SETTLE_DELIVERED, 9, 129, 64, true, 2},     {SETTLE_DELIVERED, 9, 129, 64, false, 1},
	    {SETTLE_DELIVERED, 9, 130, 64, false, 1},    {SETTLE_RETRY, 9, 130, 64, false, 3},
	    {SETTLE_DAMAGED, 3615, 20, 8, false, 3},     {SETTLE_DAMAGED, 3614, 20, 9, false, 3},
	    {SETTLE_DAMAGED, 30600, 3, 1, false, 3},     {SETTLE_DAMAGED, 30599, 3, 2, false, 2},
	    {SETTLE_DEAD, 9, 20, 64, false, 1}, /* of one block */
	    {SETTLE_EXPIRED, 1 << 20, 65, 64, false, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint64_t before;
		size_t done = 7, sum = 0;

		begin_anew();
		(void)sqlite3_commit_hook(s->db, note_step, NULL);
		make_items(cases[i].kind, cases[i].bytes);
		s->reserve_given = cases[i].given;
		before = s->checkpoints;
		assert_int_equal(store_settle_full(s, items, cases[i].count, &done, &e), ERR_OK);
		assert_int_equal(done, cases[i].count);
		if (s->checkpoints - before != cases[i].checkpoints)
			fail_msg("case %zu: %d checkpoints", i, (int)(s->checkpoints - before));
		for (size_t k = 0; k < steps; k++) {
			const size_t rest = cases[i].count - sum;

			if (took[k] == 0) /* the ledger alone */
				continue;
			if (took[k] != (rest < cases[i].step ? rest : cases[i].step))
				fail_msg("case %zu: step %zu took %zu", i, k, took[k]);
			sum += took[k];
		}
		assert_int_equal(sum, cases[i].count);
	}
}

/* What writes anew leaves the exit to what only leaves: a step is tried smaller until it does. */
static void a_step_leaves_the_exit(void **state)
{
	static const struct {
		uint64_t reserve;
		size_t count, fits; /* so many at once, to the byte */
		int more;
		size_t step; /* 0: none */
	} cases[] = {
	    {0, 64, 64, 0, 64},
	    {0, 64, 64, -1, 17},
	    {0, 64, 17, 0, 17},
	    {0, 64, 17, -1, 5},
	    {0, 64, 5, -1, 2},
	    {0, 64, 2, -1, 1},
	    {0, 64, 1, -1, 0},
	    {0, 3, 3, 0, 3},
	    {0, 3, 3, -1, 1},
	    {0, 2, 2, -1, 1},
	    {0, 1, 1, 0, 1},
	    {0, 1, 1, -1, 0},
	    {0, 9, 9, -1, 3},
	    {0, 8, 8, -1, 3},
	    {0, 7, 7, -1, 2},
	    {16 * PAGE, 64, 64, 0, 64},
	    {16 * PAGE, 64, 64, -1, 17},
	    {34 * PAGE, 64, 64, 0, 64},
	    {34 * PAGE, 64, 17, -1, 5},
	    {33 * PAGE, 64, 17, -1, 5},
	    {33 * PAGE, 64, 5, 0, 5},
	    {31 * PAGE, 64, 5, 0, 5},
	    {31 * PAGE, 64, 5, -1, 2},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const uint64_t bytes = cases[i].fits * NOTE, half = cases[i].reserve / 2,
		               keep = half > EXIT ? half : EXIT;
		uint64_t needed, all;
		size_t done = 7;
		enum err err;

		begin_anew();
		keep_reserve(cases[i].reserve);
		make_items(SETTLE_RETRY, 9);
		needed = (bytes + EXIT > log_room() ? bytes + EXIT - log_room() : 0) +
		         (bytes + TABLES > inside() ? bytes + TABLES - inside() : 0);
		all = keep + needed + (uint64_t)cases[i].more;
		free_bytes = all - cases[i].reserve;
		if (all < cases[i].reserve)
			fail_msg("case %zu: %d of %d", i, (int)all, (int)cases[i].reserve);
		(void)sqlite3_commit_hook(s->db, note_step, NULL);
		err = store_settle_full(s, items, cases[i].count, &done, &e);
		if (cases[i].step == 0) {
			char text[400];

			assert_int_equal(err, ERR_FULL);
			assert_int_equal(done, 0);
			assert_true(s->disk_refused);
			(void)snprintf(text, sizeof text, "%llu bytes are free on the file system of %s",
			               (unsigned long long)free_bytes, s->path);
			assert_string_equal(e.text, text);
			assert_int_equal(steps, 0);
			continue;
		}
		assert_true(steps > 0);
		if (took[0] != cases[i].step && !(took[0] == 0 && took[1] == cases[i].step))
			fail_msg("case %zu: %zu and %zu at once", i, took[0], took[1]);
	}
}

/* Of the reserve no more is given than the step takes beyond what is free. */
static void the_reserve_gives_what_a_step_takes(void **state)
{
	enum { RESERVE = 64 * PAGE, COUNT = 20 };
	static const int64_t missing[] = {0, 1, PAGE - 1, PAGE, PAGE + 1, 5 * PAGE};

	(void)state;
	for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
		uint64_t needed, want, before;
		size_t done;

		begin_anew();
		keep_reserve(RESERVE);
		make_items(SETTLE_RETRY, 9);
		needed = COUNT * NOTE + EXIT - (log_room() < EXIT + COUNT * NOTE ? log_room() : EXIT + COUNT * NOTE) +
		         COUNT * NOTE + TABLES - inside();
		free_bytes = EXIT + needed - (uint64_t)missing[i];
		want = RESERVE - (uint64_t)((missing[i] + PAGE - 1) / PAGE * PAGE);
		before = s->checkpoints;
		s->options.reserve_bytes = 0; /* nothing is made of it again */
		s->reserve_given = false;
		assert_int_equal(store_settle_full(s, items, COUNT, &done, &e), ERR_OK);
		assert_int_equal(done, COUNT);
		assert_int_equal(held(".reserve"), want);
		assert_int_equal(s->reserve_given, missing[i] > 0);
		assert_int_equal(s->checkpoints - before, 1 + (missing[i] > 0)); /* before the step, and behind it */
	}
}

/* Half of it first, while that half still lets something leave; then all. */
static void the_reserve_goes_by_halves(void **state)
{
	static const struct {
		uint64_t reserve, left;
		bool more;
	} cases[] = {
	    {64 * PAGE, 32 * PAGE, true},
	    {32 * PAGE, 16 * PAGE, true},
	    {31 * PAGE, 0, false},
	    {33 * PAGE, 16 * PAGE, true},
	    {PAGE, 0, false},
	    {0, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const uint64_t before = s->checkpoints;
		bool more = !cases[i].more;

		(void)files_reserve_give_up(&s->files);
		keep_reserve(cases[i].reserve);
		s->reserve_given = false;
		assert_int_equal(store_make_way(s, &more, &e), ERR_OK);
		assert_int_equal(more, cases[i].more);
		assert_int_equal(held(".reserve"), cases[i].left);
		assert_int_equal(s->reserve_given, cases[i].reserve > 0);
		assert_int_equal(s->checkpoints - before, 1);
	}
}

/* The log goes into a database that has room for it, be it by pages that hold nothing at its end. */
static void the_log_goes_where_it_fits(void **state)
{
	(void)state;
	for (int empties = 0; empties < 2; empties++)
		for (int more = -1; more < 1; more++) {
			uint64_t before, pages, spare;

			begin_anew();
			life_append(s, ROWS, 100);
			if (empties)
				life_settle(s, ROWS + 1, ROWS + 100);
			spare = inside() / PAGE;
			assert_int_equal(spare > 3, empties);
			pages = (uint64_t)life_number(s, "PRAGMA page_count") - spare;
			assert_true(pages * PAGE >= held(""));
			free_bytes = pages * PAGE - held("") + (uint64_t)more;
			before = s->checkpoints;
			assert_int_equal(store_empty_log(s, &e), ERR_OK);
			assert_int_equal(s->checkpoints - before, more == 0);
			assert_int_equal(s->wal_frames == 0, more == 0);
			assert_int_equal(inside(), 0);
		}
}

/* Nothing can leave: less than the exit is left of the reserve, the log and what is free together. */
static void less_than_the_exit_is_none(void **state)
{
	static const uint64_t reserves[] = {0, 3 * PAGE, 15 * PAGE, 16 * PAGE};

	(void)state;
	life_append(s, ROWS, 100);
	for (size_t i = 0; i < sizeof reserves / sizeof *reserves; i++)
		for (int more = -1; more < 1; more++)
			for (int given = 0; given < 2; given++) {
				const off_t log = 32 + (off_t)s->wal_frames * (24 + PAGE);
				uint64_t left;

				free_bytes = PLENTY;
				(void)files_reserve_give_up(&s->files);
				assert_true(files_reserve_make(&s->files, reserves[i], 0) || reserves[i] == 0);
				assert_int_equal(truncate(spooldir_file(&d, "-wal"), log), 0);
				left = held(".reserve") + log_room();
				assert_true(log_room() < PAGE * 2);
				free_bytes = left < EXIT ? EXIT - left + (uint64_t)more : 0;
				s->reserve_given = given;
				s->free_checked_ms = 0;
				assert_int_equal(store_is_shut(s), given && more < 0 && left < EXIT);
			}
}

/* A log that is shut in is tried again when that is due, and the next try waits as long. */
static void what_is_shut_in_is_tried_again(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		const bool has_log = i & 1, is_shut = i & 2, is_due = i & 4;
		int64_t refused_ms;
		uint64_t before;

		begin_anew();
		life_append(s, ROWS, 100);
		if (!has_log)
			life_checkpoint(s);
		assert_int_equal(
		    truncate(spooldir_file(&d, "-wal"), has_log ? 32 + (off_t)s->wal_frames * (24 + PAGE) : 0), 0);
		clock_test_set(clock_mono_ns(), clock_wall_ns());
		s->reserve_given = true;
		s->options.reserve_bytes = 0;
		s->refusals = 1;
		free_bytes = is_shut ? 0 : PLENTY;
		s->free_checked_ms = 0;
		s->refused_ms = refused_ms = clock_mono_ms() - (is_due ? 500 : 499);
		before = s->checkpoints;
		assert_int_equal(store_probe_disk(s, &e), ERR_OK);
		assert_int_equal(s->checkpoints, before); /* it does not fit */
		assert_int_equal(s->refused_ms, has_log && is_shut && is_due ? clock_mono_ms() : refused_ms);
		clock_test_end();
	}
}

/* Much that is free is cut, 128 pages a step, and the last step puts it into the file. */
static void much_that_is_free_is_cut(void **state)
{
	enum { LARGE = 65536, MUCH = 64 << 20, PARTS = 4, STEP = 128 };
	struct store_options o;
	struct message *m;
	unsigned char *body = calloc(1, MUCH / PARTS + LARGE);
	uint64_t pages;
	bool more = false;

	(void)state;
	(void)end(NULL);
	spooldir_make(&d);
	o = spooldir_options(&d);
	o.page_size = LARGE;
	o.compress = STORE_COMPRESS_NEVER;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	assert_non_null(body);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (int i = 0; i < PARTS; i++) {
		m = message_new(NULL, 0, body, MUCH / PARTS + LARGE, 1);
		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
	free(body);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	life_settle(s, 1, PARTS);
	life_checkpoint(s);
	pages = (uint64_t)life_number(s, "PRAGMA freelist_count");
	assert_true(pages * LARGE > MUCH && (pages - STEP) * LARGE < MUCH);
	for (int i = 0; i < 4; i++) {
		const uint64_t before = s->checkpoints, frames = s->wal_frames;

		assert_int_equal(store_shrink(s, &more, &e), ERR_OK);
		assert_int_equal(more, i == 0);
		assert_int_equal(s->is_shrinking, i == 0);
		assert_int_equal(s->checkpoints - before, i == 1);
		assert_true(i == 1 ? frames > 0 && s->wal_frames == 0 : s->wal_frames >= frames);
		assert_int_equal(life_number(s, "PRAGMA freelist_count"), pages - STEP);
	}
	for (int i = 0; i < 2; i++) { /* whatever is free, when nothing happens for long */
		assert_int_equal(store_give_back(s, &more, &e), ERR_OK);
		assert_true(more);
		assert_int_equal(life_number(s, "PRAGMA freelist_count"), pages - STEP * (uint64_t)(2 + i));
	}
}

static enum err give_back(void)
{
	bool more = true;
	enum err err = ERR_OK;

	for (int i = 0; i < 100 && more && err == ERR_OK; i++)
		err = store_give_back(s, &more, &e);
	return err;
}

/* A log that does not fit gets the reserve, once; what is refused besides is told. */
static void what_is_given_back_may_take_the_reserve(void **state)
{
	int helped = 0;
	bool failed = true;

	(void)state;
	for (uint64_t n = 1; failed; n++) {
		bool is_checkpoint;
		enum err err;

		begin_anew();
		keep_reserve(40 * PAGE);
		life_settle(s, 1, ROWS);
		s->reserve_given = n % 2 == 0; /* given up before: there is none */
		faultsql_arm(n, SQLITE_FULL, false);
		err = give_back();
		failed = faultsql_failed();
		is_checkpoint = failed && !*faultsql_what();
		faultsql_arm(0, 0, false);
		assert_true(err == ERR_OK || (failed && err == ERR_FULL));
		if (!is_checkpoint || err != ERR_OK)
			continue;
		helped++;
		assert_false(s->reserve_given); /* and made again of the log */
		assert_int_equal(held(".reserve"), 40 * PAGE);
		assert_int_equal(held("-wal"), 0);
	}
	assert_true(helped > 0);
}

/* The disk refused, and nothing waits: the file is made shorter by what there is of the reserve, and the disk is asked
 * soon. Not while something waits, nor where there is no reserve, or too little in the file. */
static void a_refusal_ends_with_what_the_reserve_gives(void **state)
{
	enum { WHOLE, NOT_REFUSED, NO_RESERVE, WAITS, NOTHING_FREE, CASES };

	(void)state;
	for (int i = 0; i < CASES; i++) {
		uint64_t before;
		bool more;

		begin_anew();
		keep_reserve(i == NO_RESERVE ? 0 : 40 * PAGE);
		if (i != NOTHING_FREE)
			life_settle(s, 1, ROWS - (i == WAITS));
		else
			s->now.ledger.pending = s->durable.ledger.pending = 0;
		before = held("");
		s->disk_refused = i != NOT_REFUSED;
		s->refusals = 7;
		assert_int_equal(store_give_back(s, &more, &e), ERR_OK);
		assert_int_equal(s->refusals, i == WHOLE ? 0 : 7);
		if (i == NOTHING_FREE)
			s->now.ledger.pending = s->durable.ledger.pending = ROWS;
		if (i != WHOLE)
			continue;
		assert_true(held("") < before);
		assert_false(more); /* cut to the end, at once */
		assert_int_equal(life_number(s, "PRAGMA freelist_count"), 0);
		assert_int_equal(held(".reserve"), 40 * PAGE); /* made again of what that gave */
	}
}

static enum err settle_all(void)
{
	size_t done;

	return store_settle_full(s, items, ROWS, &done, &e);
}

static enum err empty_log(void) { return store_empty_log(s, &e); }

static enum err make_way(void) { return store_make_way(s, &(bool){false}, &e); }

static enum err shrink(void)
{
	s->is_shrinking = true;
	return store_shrink(s, &(bool){false}, &e);
}

static enum err probe(void)
{
	s->disk_refused = true;
	s->refused_ms = -100000;
	return store_probe_disk(s, &e);
}

static enum err own_room(void) { return store_own_room(s, &(uint64_t){0}, &e); }

/* Each call in turn, where all fits, and where the log does not. */
static void whatever_fails_is_told(void **state)
{
	static const struct {
		const char *name;
		enum err (*act)(void);
		uint64_t least; /* calls that it makes */
		bool is_low;
	} acts[] = {
	    {"give back", give_back, 8, false},    {"settle all", settle_all, 25, false},
	    {"settle all", settle_all, 25, true},  {"empty the log", empty_log, 2, false},
	    {"empty the log", empty_log, 3, true}, {"make way", make_way, 2, false},
	    {"make way", make_way, 1, true},       {"shrink", shrink, 2, false},
	    {"try the disk", probe, 3, false},     {"room of its own", own_room, 1, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
		bool failed = true, passed;
		uint64_t n = 1;

		for (; failed; n++) {
			enum err err;

			begin_anew();
			life_append(s, ROWS, 20);
			life_settle(s, ROWS + 1, ROWS + 20);
			make_items(SETTLE_DELIVERED, 9);
			if (acts[i].act == give_back)
				life_settle(s, 1, ROWS);
			free_bytes = acts[i].is_low ? 0 : PLENTY;
			e.text[0] = '\0';
			faultsql_arm(n, SQLITE_NOMEM, false);
			err = acts[i].act();
			failed = faultsql_failed();
			ERRORWATCH_EXPECT(err, &e, NULL, acts[i].name, n);
			faultsql_arm(0, 0, false);
			/* What is free inside the file is none where nobody can tell. */
			passed = acts[i].act == probe && strcmp(faultsql_what(), "PRAGMA freelist_count") == 0;
			if (err != (failed && !passed ? ERR_MEMORY : ERR_OK))
				fail_msg("%s: call %d: %s", acts[i].name, (int)n, e.text);
			assert_false(store_in_group(s));
		}
		if (n <= acts[i].least)
			fail_msg("%s: %d calls", acts[i].name, (int)n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(steps_have_their_size, begin, end),
	    cmocka_unit_test_setup_teardown(a_step_leaves_the_exit, begin, end),
	    cmocka_unit_test_setup_teardown(the_reserve_gives_what_a_step_takes, begin, end),
	    cmocka_unit_test_setup_teardown(the_reserve_goes_by_halves, begin, end),
	    cmocka_unit_test_setup_teardown(the_log_goes_where_it_fits, begin, end),
	    cmocka_unit_test_setup_teardown(less_than_the_exit_is_none, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_shut_in_is_tried_again, begin, end),
	    cmocka_unit_test_setup_teardown(much_that_is_free_is_cut, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_given_back_may_take_the_reserve, begin, end),
	    cmocka_unit_test_setup_teardown(a_refusal_ends_with_what_the_reserve_gives, begin, end),
	    cmocka_unit_test_setup_teardown(whatever_fails_is_told, begin, end),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
