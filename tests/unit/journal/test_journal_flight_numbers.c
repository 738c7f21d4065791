/*
 * PATH.flight number by number: what stands there after each act, and what an open makes of what stands there, by rules
 * written down here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "journal/flight.h"
#include "rig/spooldir.h"

/* Of the file; S: where a checksum stands. */
enum { MAGIC, OPENED, HIGH, LOW, S1, POSSIBLE, SENDING, DELIVERED, S2, SETTLED, STATE, S3, NEXT, NEXT_STATE, S4 };
enum { BOOT = S4 + 1, CEILING, S5, NUMBERS };
static const uint64_t magic = UINT64_C(0x6b73706c666c7434), old_magic = UINT64_C(0x6b73706c666c7431);

static struct spooldir d;

static void put_sums(uint64_t n[NUMBERS])
{
	static const int first[] = {MAGIC, POSSIBLE, SETTLED, NEXT, BOOT}, sum[] = {S1, S2, S3, S4, S5};

	for (int i = 0; i < 5; i++) {
		const uint64_t place = (uint64_t)first[i];

		n[sum[i]] = crc32c(crc32c(0, &place, 8), n + first[i], (size_t)(sum[i] - first[i]) * 8);
	}
}

/* The boot, as it stands in this very file. */
static uint64_t boot_in(const char *suffix, uint64_t boot)
{
	struct stat st;

	assert_int_equal(stat(spooldir_file(&d, suffix), &st), 0);
	return boot ^ (uint64_t)st.st_ino * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)st.st_dev << 32;
}

/* All but the checksums, which follow, and the file that it is. */
static void expect_file(const char *suffix, const uint64_t without_sums[NUMBERS])
{
	uint64_t n[NUMBERS];
	size_t count;
	uint64_t *is = (uint64_t *)(void *)spooldir_load(spooldir_file(&d, suffix), &count);

	memcpy(n, without_sums, sizeof n);
	n[BOOT] = boot_in(suffix, n[BOOT]);
	put_sums(n);
	assert_int_equal(count, sizeof n);
	for (int i = 0; i < NUMBERS; i++)
		if (is[i] != n[i])
			fail_msg("number %d is %llu, not %llu", i, (unsigned long long)is[i], (unsigned long long)n[i]);
	free(is);
}

static void begin(void)
{
	spooldir_make(&d);
	clock_test_set(50 * NS_PER_S, 0);
	clock_test_boot(11);
}

static void end(void)
{
	clock_test_end();
	spooldir_remove(&d);
}

/* What a journal that begins has of another time. */
static struct flight used_before(void)
{
	return (struct flight){.fd = -1,
	                       .trouble = 7,
	                       .is_unsure = true,
	                       .was_anothers = true,
	                       .was_damaged = true,
	                       .sending = 8,
	                       .delivered = 8,
	                       .settled = 8,
	                       .ceiling = 8,
	                       .spare = 3,
	                       .raised_ns = 50 * NS_PER_S,
	                       .sync_ns = NS_PER_S};
}

static void write_as_it_goes(void)
{
	struct flight f = used_before();
	struct flight_start start = {
	    .path = d.path, .possible = 5, .handed = 7, .pending = 9, .state = 3, .spool = {1, 2}};
	struct stat st;

	start.unclean = true;
	assert_int_equal(flight_open(&f, &start), 7);
	assert_true(stat(spooldir_file(&d, ".flight"), &st) == 0 && (st.st_mode & 07777) == 0600);
	assert_false(f.was_anothers || f.was_damaged || atomic_load(&f.is_unsure));
	assert_int_equal(atomic_load(&f.trouble), 0);
	assert_int_equal(atomic_load(&f.possible), 12);
	assert_true(f.state == 3 && f.ceiling == 12);
	expect_file(".flight", (uint64_t[NUMBERS]){magic, 12, 1, 2, 0, 12, 0, 0, 0, 0, 3, 0, 0, 3, 0, 11, 12});
	flight_send(&f, 10);
	expect_file(".flight", (uint64_t[NUMBERS]){magic, 12, 1, 2, 0, 12, 10, 0, 0, 0, 3, 0, 0, 3, 0, 11, 12});
	flight_end(&f, 4, 3, 2);
	expect_file(".flight", (uint64_t[NUMBERS]){magic, 12, 1, 2, 0, 14, 6, 3, 0, 0, 3, 0, 0, 3, 0, 11, 12});
	flight_send(&f, 1); /* the disk took no time */
	expect_file(".flight", (uint64_t[NUMBERS]){magic, 12, 1, 2, 0, 14, 7, 3, 0, 0, 3, 0, 0, 3, 0, 11, 14});
	assert_int_equal(f.raised_ns, 50 * NS_PER_S);
	flight_end(&f, 1, 0, 1);
	flight_send(&f, 2);
	expect_file(".flight", (uint64_t[NUMBERS]){magic, 12, 1, 2, 0, 15, 8, 3, 0, 0, 3, 0, 0, 3, 0, 11, 15});
	flight_settling(&f, 2, 4);
	expect_file(".flight", (uint64_t[NUMBERS]){magic, 12, 1, 2, 0, 15, 8, 3, 0, 0, 3, 0, 2, 4, 0, 11, 15});
	flight_settled(&f, 1, 5);
	expect_file(".flight", (uint64_t[NUMBERS]){magic, 12, 1, 2, 0, 15, 8, 3, 0, 1, 5, 0, 2, 4, 0, 11, 15});
	flight_settling(&f, 2, 6);
	expect_file(".flight", (uint64_t[NUMBERS]){magic, 12, 1, 2, 0, 15, 8, 3, 0, 1, 5, 0, 3, 6, 0, 11, 15});
	atomic_store(&f.is_unsure, true); /* it could not be written meanwhile */
	assert_int_equal(rename(spooldir_file(&d, ".flight"), spooldir_file(&d, ".flight.unsure")), 0);
	f.sending = 20;
	f.ceiling = 30;
	flight_close(&f);
	assert_int_not_equal(access(spooldir_file(&d, ".flight.unsure"), F_OK), 0);
	expect_file(".flight", (uint64_t[NUMBERS]){magic, 12, 1, 2, 0, 15, 20, 3, 0, 1, 5, 0, 1, 5, 0, 11, 30});
}

/* Its descriptor may be 0. */
static void each_act_writes_what_it_says(void **state)
{
	(void)state;
	begin();
	write_as_it_goes();
	end();
	begin();
	assert_int_equal(close(0), 0);
	write_as_it_goes();
	assert_int_equal(open("/dev/null", O_RDONLY), 0);
	end();
}

/* What is not there says nothing wrong. */
static void no_file_is_no_damage(void **state)
{
	struct flight f = used_before();
	const struct flight_start start = {.path = d.path, .handed = 7, .pending = 9, .state = 3, .unclean = true};

	(void)state;
	begin();
	assert_int_equal(mkdir(spooldir_file(&d, ".flight"), 0700), 0);
	assert_int_equal(flight_open(&f, &start), 7);
	assert_int_equal(atomic_load(&f.trouble), EISDIR);
	assert_false(f.was_damaged || f.was_anothers || atomic_load(&f.is_unsure));
	flight_close(&f);
	assert_int_equal(rmdir(spooldir_file(&d, ".flight")), 0);
	end();
}

/* A case of an open: what stands in the file, and what the database says. */
enum whose { OURS, ANOTHERS_HIGH, ANOTHERS_LOW, NOBODYS, WHOSE_COUNT };

struct life {
	enum whose whose;
	int broken; /* where a bit is wrong; 0: nowhere */
	bool is_unsure, is_other_boot;
	uint64_t n[NUMBERS];
	struct flight_start start;
};

static uint64_t most(uint64_t a, uint64_t b) { return a > b ? a : b; }

static uint64_t out_of(const struct life *l, int settled)
{
	const uint64_t out = l->n[SENDING] + l->n[DELIVERED];

	return out - (l->n[settled] < out ? l->n[settled] : out);
}

/* As far as it says. */
static bool is_anothers(const struct life *l)
{
	return l->broken != S1 && (l->whose == ANOTHERS_HIGH || l->whose == ANOTHERS_LOW);
}

/* The rules: what was out, and what is possible because of the file itself. */
static uint64_t expected_out(const struct life *l)
{
	const bool is_read =
	    l->broken != S2 && l->broken != S1 && l->whose != ANOTHERS_HIGH && l->whose != ANOTHERS_LOW;
	const bool is_of_boot = l->broken != S5 && !l->is_other_boot;
	const bool is_exact = is_read && l->broken != S3 && is_of_boot;
	const uint64_t bound = l->start.unclean || (l->start.is_anew && !is_exact)
	                           ? l->start.handed < l->start.pending ? l->start.handed : l->start.pending
	                           : 0;
	const uint64_t at_most = is_read && l->broken != S3 ? out_of(l, SETTLED) : 0;

	if (l->is_unsure)
		return most(l->start.pending, l->start.is_anew ? at_most : 0);
	if (l->start.unclean && !is_of_boot)
		return most(bound, at_most);
	if (is_read && l->broken != S3 && l->n[STATE] == l->start.state)
		return out_of(l, SETTLED);
	if (is_read && l->broken != S4 && l->n[NEXT_STATE] == l->start.state)
		return most(out_of(l, NEXT), l->start.is_anew ? at_most : 0);
	return most(bound, l->start.is_anew || l->start.unclean ? at_most : 0);
}

static uint64_t expected_possible(const struct life *l)
{
	const bool is_read =
	    l->broken != S2 && l->broken != S1 && l->whose != ANOTHERS_HIGH && l->whose != ANOTHERS_LOW;
	uint64_t possible = l->start.possible;

	if (is_read)
		possible = most(possible, l->n[POSSIBLE]);
	if (!is_anothers(l) && l->start.unclean && (l->is_other_boot || !is_read) && l->broken != S5)
		possible = most(possible, l->n[CEILING]);
	return possible;
}

static void live(const struct life *l)
{
	struct flight f = {.fd = -1};
	uint64_t n[NUMBERS];
	uint64_t out = expected_out(l), possible = expected_possible(l) + out;

	memcpy(n, l->n, sizeof n);
	spooldir_store(spooldir_file(&d, ".flight"), "", 0);
	n[BOOT] = boot_in(".flight", n[BOOT]);
	put_sums(n);
	n[l->broken] ^= l->broken ? 1 : 0;
	spooldir_store(spooldir_file(&d, ".flight"), n, sizeof n);
	if (l->is_unsure)
		spooldir_store(spooldir_file(&d, ".flight.unsure"), "", 0);
	assert_int_equal(flight_open(&f, &l->start), out);
	assert_int_equal(atomic_load(&f.possible), possible);
	assert_int_equal(f.was_damaged, l->broken != 0);
	assert_int_equal(f.was_anothers, is_anothers(l));
	flight_close(&f);
	assert_int_not_equal(access(spooldir_file(&d, ".flight.unsure"), F_OK), 0);
	expect_file(".flight", (uint64_t[NUMBERS]){magic, possible, 1, 2, 0, possible, 0, 0, 0, 0, l->start.state, 0, 0,
	                                           l->start.state, 0, 11, possible});
}

/* Everything an open looks at, in every combination. */
static void an_open_finds_what_the_rules_say(void **state)
{
	static const uint64_t ids[WHOSE_COUNT][2] = {
	    [OURS] = {1, 2}, [ANOTHERS_HIGH] = {3, 2}, [ANOTHERS_LOW] = {1, 3}};
	static const int broken[] = {0, S1, S2, S3, S4, S5};

	(void)state;
	begin();
	for (uint32_t i = 0; i < 4 * 6 * 3 * 128; i++) {
		const uint32_t bits = i % 128;
		struct life l = {
		    .whose = (enum whose)(i / 128 % 4),
		    .broken = broken[i / 512 % 6],
		    .is_unsure = bits & 1,
		    .is_other_boot = bits & 2,
		    .n = {magic, 4, 0, 0, 0, 40, 60, 30, 0, bits & 32 ? 100 : 25, 5, 0, 41, 6, 0, bits & 2 ? 12 : 11,
		          44},
		    .start = {.path = d.path, .possible = bits & 4 ? 50 : 42, .state = 5 + i / 3072, .spool = {1, 2}},
		};

		l.start.unclean = bits & 8;
		l.start.is_anew = bits & 16;
		l.start.handed = bits & 64 ? 200 : 20;
		l.start.pending = 70;
		l.n[HIGH] = ids[l.whose][0];
		l.n[LOW] = ids[l.whose][1];
		live(&l);
	}
	end();
}

/* Of an older kspool: nine numbers, or eleven with the spool whose they are. */
static void an_older_file_says_whose_it_is(void **state)
{
	static const struct {
		size_t count;
		uint64_t high, low;
		bool is_anothers;
	} cases[] = {{9, 0, 0, false}, {11, 0, 0, false}, {11, 1, 2, false}, {11, 1, 3, true}, {11, 3, 2, true}};

	(void)state;
	begin();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const uint64_t n[] = {old_magic, 7, 20, 5, 3, 4, 8, 9, 1, cases[i].high, cases[i].low};
		struct flight_start start = {.path = d.path, .pending = 70, .state = 4, .spool = {1, 2}};
		const bool is_ours = !cases[i].is_anothers;

		for (start.state = 4; start.state < 12;
		     start.state += 5) { /* as committed, and as it was about to be */
			struct flight f = {.fd = -1};

			spooldir_store(spooldir_file(&d, ".flight"), n, cases[i].count * sizeof *n);
			assert_int_equal(flight_open(&f, &start), is_ours ? start.state == 4 ? 22 : 17 : 0);
			assert_int_equal(atomic_load(&f.possible), is_ours ? start.state == 4 ? 29 : 24 : 0);
			assert_int_equal(f.was_anothers, cases[i].is_anothers);
			assert_false(f.was_damaged);
			flight_close(&f);
		}
	}
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_act_writes_what_it_says),
	    cmocka_unit_test(no_file_is_no_damage),
	    cmocka_unit_test(an_open_finds_what_the_rules_say),
	    cmocka_unit_test(an_older_file_says_whose_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
