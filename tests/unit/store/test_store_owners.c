/*
 * Whose a spool is when its files do not name the same: database, log, tide mark, lock, PATH.left and PATH.flight, each
 * ours, another's, gone or damaged. Who is believed, and, of one or two that are harmed, what a start makes of it.
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

#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/files/flight_file.h"
#include "store/store_identity_internal.h"

enum { DATABASE, LOG, TIDE, LOCK, LEFT, FLIGHT, FILES_OF };
static const char *const suffixes[FILES_OF] = {"", "-wal", ".tide", ".lock", ".left", ".flight"};
static const char *const names[FILES_OF] = {"database", "log", "tide", "lock", "left", "flight"};

enum { OURS, OTHERS, GONE, DAMAGED, STATES };
static const char letters[STATES] = {'o', 'x', '-', '#'};

struct part {
	unsigned char *bytes;
	size_t count;
};
enum { KILLED, STOPPED, ENDS };
static struct part parts[ENDS][FILES_OF][STATES];
static struct spool_id ours, other;

static void make_flight(const struct spooldir *d, struct spool_id id)
{
	uint64_t n[FLIGHT_NUMBERS] = {[AT_MAGIC] = FLIGHT_MAGIC, [AT_SPOOL_HIGH] = id.high, [AT_SPOOL_LOW] = id.low};

	files_flight_sum_all(n);
	spooldir_store(spooldir_file(d, ".flight"), n, sizeof n);
}

static void take_parts(const struct spooldir *d, int how, int state)
{
	for (int i = 0; i < FILES_OF; i++) {
		struct part *to = &parts[how][i][state];

		if (how == KILLED || i != LOG)
			to->bytes = spooldir_load(spooldir_file(d, suffixes[i]), &to->count);
		assert_true(to->count > 0 || i == LOG);
	}
}

/* Fifty messages in the file, forty in the log; then stopped, which leaves no log. Where its ledger is. */
static size_t make_parts(uint64_t n, int state, struct spool_id *ret)
{
	struct spooldir d;
	struct store *s;
	size_t ledger;

	life_make(&d, n, 50, 0);
	s = life_open(&d, NULL);
	*ret = s->id;
	ledger = (size_t)life_number(s, "SELECT (rootpage - 1) * 4096 FROM sqlite_schema WHERE name = 'ledger'");
	life_append(s, n + 50, 40);
	store_abandon(s);
	make_flight(&d, *ret);
	take_parts(&d, KILLED, state);
	life_close(life_open(&d, NULL));
	take_parts(&d, STOPPED, state);
	spooldir_remove(&d);
	return ledger;
}

static void damage(int how, int file, size_t ledger)
{
	const struct part *from = &parts[how][file][OURS];
	struct part *to = &parts[how][file][DAMAGED];

	if (!from->bytes)
		return;
	to->count = from->count;
	to->bytes = malloc(to->count);
	assert_non_null(to->bytes);
	memcpy(to->bytes, from->bytes, to->count);
	if (file == DATABASE)
		memset(to->bytes + ledger, 0, 4096);
	else if (file == LOG)
		memset(to->bytes, 0xa5, to->count);
	else
		to->bytes[20] ^= 0x80;
}

static int begin(void **state)
{
	size_t ledger;

	(void)state;
	(void)make_parts(LIFE_OTHERS, OTHERS, &other);
	ledger = make_parts(0, OURS, &ours);
	for (int i = 0; i < ENDS * FILES_OF; i++)
		damage(i / FILES_OF, i % FILES_OF, ledger);
	return 0;
}

static int end(void **state)
{
	(void)state;
	for (int i = 0; i < ENDS * FILES_OF * STATES; i++)
		free(parts[i / (FILES_OF * STATES)][i / STATES % FILES_OF][i % STATES].bytes);
	return 0;
}

static void put(const struct spooldir *d, int file, const struct part *p)
{
	if (p->bytes)
		spooldir_store(spooldir_file(d, suffixes[file]), p->bytes, p->count);
	else
		(void)unlink(spooldir_file(d, suffixes[file]));
}

static char letter_of(struct spool_id id)
{
	return spool_id_is(id, ours) ? 'o' : spool_id_is(id, other) ? 'x' : spool_id_is_known(id) ? '?' : '-';
}

static char owner_of(const struct spooldir *d)
{
	enum file_kind kind = FILE_MISSING;
	struct files f = FILES_NONE;
	struct identity id;
	struct error e;
	char letter;

	assert_int_equal(files_open(&f, d->path, &e), ERR_OK);
	if (store_inspect(&f, &kind, &e) != ERR_OK || store_identity_look(&f, kind, &id, &e) != ERR_OK)
		fail_msg("%s", e.text);
	letter = letter_of(id.ours);
	files_close(&f);
	return letter;
}

static void expect_rows(const char *is, const char *const *rows, size_t count, size_t row, int *wrong)
{
	const char *want = row < count ? rows[row] : "nothing";

	if (getenv("KSPOOL_SHOW_DIFFS")) {
		(void)fprintf(stderr, "    \"%s\",\n", is);
	} else if (strcmp(is, want) != 0) {
		(void)fprintf(stderr, "%s\nand not\n%s\n", is, want);
		++*wrong;
	}
}

/* Database, log, tide mark, lock; then the owner with PATH.left ours, another's, gone, each with PATH.flight ours,
 * another's, gone. */
static const char *const owners[] = {
    "oooo: ooooooooo", "ooox: ooooooooo", "ooo-: ooooooooo", "ooxo: ooooooooo", "ooxx: oxoxxxoxx", "oox-: ooooxxoxo",
    "oo-o: ooooooooo", "oo-x: ooooxoooo", "oo--: ooooooooo", "oxoo: ooooooooo", "oxox: ooooooooo", "oxo-: ooooooooo",
    "oxxo: ooooxxoxo", "oxxx: xxxxxxxxx", "oxx-: oxxxxxxxx", "ox-o: ooooxoooo", "ox-x: oxoxxxoxx", "ox--: ooooxxoxo",
    "o-oo: ooooooooo", "o-ox: ooooooooo", "o-o-: ooooooooo", "o-xo: ooooxoooo", "o-xx: oxxxxxxxx", "o-x-: oxoxxxoxx",
    "o--o: ooooooooo", "o--x: ooooxxoxo", "o---: ooooxoooo", "xooo: ooooooooo", "xoox: oxoxxxoxx", "xoo-: ooooxoooo",
    "xoxo: xxxxxxxxx", "xoxx: xxxxxxxxx", "xox-: xxxxxxxxx", "xo-o: ooooxxoxo", "xo-x: oxxxxxxxx", "xo--: oxoxxxoxx",
    "xxoo: ooooxxoxo", "xxox: xxxxxxxxx", "xxo-: oxoxxxoxx", "xxxo: xxxxxxxxx", "xxxx: xxxxxxxxx", "xxx-: xxxxxxxxx",
    "xx-o: oxxxxxxxx", "xx-x: xxxxxxxxx", "xx--: xxxxxxxxx", "x-oo: ooooxoooo", "x-ox: oxxxxxxxx", "x-o-: ooooxxoxo",
    "x-xo: xxxxxxxxx", "x-xx: xxxxxxxxx", "x-x-: xxxxxxxxx", "x--o: oxoxxxoxx", "x--x: xxxxxxxxx", "x---: oxxxxxxxx",
    "-ooo: ooooooooo", "-oox: ooooxoooo", "-oo-: ooooooooo", "-oxo: ooooxxoxo", "-oxx: oxxxxxxxx", "-ox-: oxoxxxoxx",
    "-o-o: ooooooooo", "-o-x: oxoxxxoxx", "-o--: ooooxoooo", "-xoo: ooooxoooo", "-xox: oxoxxxoxx", "-xo-: ooooxxoxo",
    "-xxo: oxxxxxxxx", "-xxx: xxxxxxxxx", "-xx-: xxxxxxxxx", "-x-o: ooooxxoxo", "-x-x: xxxxxxxxx", "-x--: oxxxxxxxx",
    "--oo: ooooooooo", "--ox: ooooxxoxo", "--o-: ooooxoooo", "--xo: oxoxxxoxx", "--xx: xxxxxxxxx", "--x-: oxxxxxxxx",
    "---o: ooooxoooo", "---x: oxxxxxxxx", "----: oooxxxox-", "#ooo: ooooooooo", "#oox: ooooxoooo", "#oo-: ooooooooo",
    "#oxo: ooooooooo", "#oxx: oxoxxxoxx", "#ox-: ooooxxoxo", "#o-o: ooooooooo", "#o-x: oxoxxxoxx", "#o--: ooooxoooo",
    "#xoo: ooooxoooo", "#xox: oxoxxxoxx", "#xo-: ooooxxoxo", "#xxo: ooooooooo", "#xxx: xxxxxxxxx", "#xx-: oxxxxxxxx",
    "#x-o: ooooxxoxo", "#x-x: xxxxxxxxx", "#x--: oxxxxxxxx", "#-oo: ooooooooo", "#-ox: ooooxxoxo", "#-o-: ooooxoooo",
    "#-xo: ooooooooo", "#-xx: oxxxxxxxx", "#-x-: oxoxxxoxx", "#--o: ooooxoooo", "#--x: oxxxxxxxx", "#---: oooxxxox-",
};

static void most_of_them_are_believed(void **state)
{
	static char found[STATES][STATES][STATES][STATES][STATES][STATES];
	struct spooldir d;
	size_t row = 0;
	int wrong = 0;

	(void)state;
	spooldir_make(&d);
	for (int n = 0; n < STATES * STATES * STATES * STATES; n++) {
		const int db = n / 64, log = n / 16 % STATES, tide = n / 4 % STATES, lock = n % STATES;
		const int as_db = db == DAMAGED ? GONE : db, as_log = log == DAMAGED ? GONE : log;
		const int as_tide = tide == DAMAGED ? GONE : tide, as_lock = lock == DAMAGED ? GONE : lock;
		char is[40];
		size_t used = (size_t)snprintf(is, sizeof is, "%c%c%c%c: ", letters[db], letters[log], letters[tide],
		                               letters[lock]);

		put(&d, DATABASE, &parts[KILLED][DATABASE][db]);
		put(&d, LOG, &parts[KILLED][LOG][log]);
		put(&d, TIDE, &parts[KILLED][TIDE][tide]);
		put(&d, LOCK, &parts[KILLED][LOCK][lock]);
		for (int k = 0; k < STATES * STATES; k++) {
			const int left = k / STATES, flight = k % STATES;
			char *letter = &found[db][log][tide][lock][left][flight];

			put(&d, LEFT, &parts[KILLED][LEFT][left]);
			put(&d, FLIGHT, &parts[KILLED][FLIGHT][flight]);
			*letter = owner_of(&d);
			if (left != DAMAGED && flight != DAMAGED)
				is[used++] = *letter;
			/* What is not what was written says as little as what is gone; but the rows of a database say
			 * whose it is. */
			if (db != DAMAGED)
				assert_int_equal(*letter,
				                 found[as_db][as_log][as_tide][as_lock][left == DAMAGED ? GONE : left]
				                      [flight == DAMAGED ? GONE : flight]);
		}
		is[used] = '\0';
		if (log != DAMAGED && tide != DAMAGED && lock != DAMAGED)
			expect_rows(is, owners, sizeof owners / sizeof *owners, row++, &wrong);
	}
	assert_int_equal(wrong, 0);
	spooldir_remove(&d);
}

/* Files that are harmed: the owner, then of the ledger: accepted, waiting, damaged; and what may be sent twice. In all
 * that are not written here it is ours, and whole. */
static const char whole[] = "o 90 90 0 0";
static const char *const killed[] = {
    "database x log x o 90 0 90 0",
    "database x log - o 90 0 90 0",
    "database x log # o 90 0 90 0",
    "database - log x o 90 0 90 0",
    "database - log - o 90 0 90 0",
    "database - log # o 90 0 90 0",
    "database # log x o 90 50 40 0",
    "database # log - o 90 50 40 0",
    "database # log # o 90 50 40 0",
    "database x tide x x 90 50 40 0",
    "log x o 90 50 40 0",
    "log - o 90 50 40 0",
    "log # o 90 50 40 0",
    "log x tide x o 50 50 0 0",
    "log x tide - o 50 50 0 0",
    "log x tide # o 50 50 0 0",
    "log - tide x o 50 50 0 0",
    "log - tide - o 50 50 0 0",
    "log - tide # o 50 50 0 0",
    "log # tide x o 50 50 0 0",
    "log # tide - o 50 50 0 0",
    "log # tide # o 50 50 0 0",
    "log x lock x o 90 50 40 0",
    "log x lock - o 90 50 40 0",
    "log x lock # o 90 50 40 0",
    "log - lock x o 90 50 40 0",
    "log - lock - o 90 50 40 0",
    "log - lock # o 90 50 40 0",
    "log # lock x o 90 50 40 0",
    "log # lock - o 90 50 40 0",
    "log # lock # o 90 50 40 0",
    "log x left x o 90 50 40 0",
    "log x left - o 90 50 40 0",
    "log x left # o 90 50 40 0",
    "log - left x o 90 50 40 0",
    "log - left - o 90 50 40 0",
    "log - left # o 90 50 40 0",
    "log # left x o 90 50 40 0",
    "log # left - o 90 50 40 0",
    "log # left # o 90 50 40 0",
    "log x flight x o 90 50 40 0",
    "log x flight - o 90 50 40 0",
    "log x flight # o 90 50 40 0",
    "log - flight x o 90 50 40 0",
    "log - flight - o 90 50 40 0",
    "log - flight # o 90 50 40 0",
    "log # flight x o 90 50 40 0",
    "log # flight - o 90 50 40 0",
    "log # flight # o 90 50 40 0",
};
static const char *const stopped[] = {
    "database x o 90 0 90 0",          "database - o 90 0 90 0",          "database x tide x x 90 90 0 0",
    "database x tide - o 0 0 0 0",     "database x tide # o 0 0 0 0",     "database - tide x o 0 0 0 0",
    "database - tide - o 0 0 0 0",     "database - tide # o 0 0 0 0",     "database x lock x o 90 0 90 0",
    "database x lock - o 90 0 90 0",   "database x lock # o 90 0 90 0",   "database - lock x o 90 0 90 0",
    "database - lock - o 90 0 90 0",   "database - lock # o 90 0 90 0",   "database x left x o 90 0 90 0",
    "database x left - o 90 0 90 0",   "database x left # o 90 0 90 0",   "database - left x o 90 0 90 0",
    "database - left - o 90 0 90 0",   "database - left # o 90 0 90 0",   "database x flight x o 90 0 90 0",
    "database x flight - o 90 0 90 0", "database x flight # o 90 0 90 0", "database - flight x o 90 0 90 0",
    "database - flight - o 90 0 90 0", "database - flight # o 90 0 90 0",
};

/* False: all is here. */
static bool say_start(const int harm[FILES_OF], int how, char *to, size_t size)
{
	size_t used = 0, start;
	struct spooldir d;
	struct store *s;
	char owner;

	spooldir_make(&d);
	for (int i = 0; i < FILES_OF; i++) {
		put(&d, i, &parts[how][i][harm[i]]);
		if (harm[i] != OURS)
			used += (size_t)snprintf(to + used, size - used, "%s %c ", names[i], letters[harm[i]]);
	}
	start = used;
	s = life_open(&d, NULL);
	owner = letter_of(s->id);
	/* Of a stranger nothing waits: life_waiting would say so. */
	(void)snprintf(to + used, size - used, "%c %u %u %u %u", owner, (unsigned)store_ledger(s)->accepted,
	               life_waiting(s, owner == 'x' ? LIFE_OTHERS : 0), (unsigned)store_ledger(s)->damaged,
	               (unsigned)store_possible_duplicates(s));
	assert_true(owner == 'o' || (harm[DATABASE] == OTHERS && harm[TIDE] == OTHERS));
	store_abandon(s);
	s = life_open(&d, NULL); /* and it stays so */
	assert_int_equal(letter_of(s->id), owner);
	assert_int_equal(life_waiting(s, owner == 'x' ? LIFE_OTHERS : 0), store_ledger(s)->pending);
	store_abandon(s);
	spooldir_remove(&d);
	return strcmp(to + start, whole) != 0;
}

static void starts(int how, const char *const *rows, size_t count)
{
	size_t row = 0;
	int wrong = 0;

	for (int a = 0; a < FILES_OF; a++)
		for (int b = a; b < FILES_OF; b++)
			for (int k = 0; k < 9; k++) {
				int harm[FILES_OF] = {OURS};
				char is[100];

				if ((a == b && k >= 3) || (how == STOPPED && (a == LOG || b == LOG)))
					continue;
				harm[a] = 1 + k / 3;
				harm[b] = 1 + k % 3;
				if (say_start(harm, how, is, sizeof is))
					expect_rows(is, rows, count, row++, &wrong);
			}
	assert_int_equal(wrong, 0);
	assert_true(getenv("KSPOOL_SHOW_DIFFS") || row == count);
}

static void one_or_two_are_outvoted_after_a_kill(void **state)
{
	(void)state;
	starts(KILLED, killed, sizeof killed / sizeof *killed);
}

static void one_or_two_are_outvoted_after_a_stop(void **state)
{
	(void)state;
	starts(STOPPED, stopped, sizeof stopped / sizeof *stopped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(most_of_them_are_believed),
	    cmocka_unit_test(one_or_two_are_outvoted_after_a_kill),
	    cmocka_unit_test(one_or_two_are_outvoted_after_a_stop),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, begin, end);
}
