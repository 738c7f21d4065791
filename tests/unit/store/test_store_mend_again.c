/* What is damaged beside the messages is to be mended until it is: a call that fails on the way, or a full disk at the
 * commit, leaves it due, and what failed is not told as mended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/clock.h"
#include "rig/errorwatch.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "store/store_damage.h"
#include "store/store_internal.h"

static void harm(struct spooldir *d, struct store **s)
{
	struct error e;

	*s = life_begin(d);
	life_append(*s, 0, 20);
	assert_int_equal(store_begin(*s, &e), ERR_OK);
	assert_int_equal(store_position_put(*s, "a", "100", &e), ERR_OK);
	assert_int_equal(store_commit(*s, &e), ERR_OK);
	life_sql(*s, "UPDATE positions SET value = '101'");
	store_suspect(*s);
	assert_true(store_mend_is_due(*s));
}

static void what_could_not_be_mended_stays_due(void **state)
{
	static const int codes[] = {SQLITE_FULL, SQLITE_NOMEM};

	(void)state;
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		struct spooldir d;
		struct store *s;
		struct store_report report;
		struct error e;
		uint64_t tries = 0;
		enum err err;

		harm(&d, &s);
		do {
			faultsql_arm(++tries, codes[i], false);
			err = store_mend(s, false, &report, &e);
			ERRORWATCH_EXPECT(err, &e, report.warning, "mended again", tries);
			if (!faultsql_failed())
				break;
			faultsql_arm(0, 0, false);
			if (err != ERR_OK && !store_mend_is_due(s))
				fail_msg("call %d (%s): it is not due any more", (int)tries, faultsql_what());
			if (err == ERR_OK)
				break;
		} while (tries < 500);
		faultsql_arm(0, 0, false);
		assert_int_equal(err, ERR_OK);
		assert_true(tries > 5);
		assert_non_null(strstr(report.warning, "one bit of 1 positions"));
		assert_false(store_mend_is_due(s));
		life_end(&d, s);
	}
}

/* The wrong bit may be in the key: the row goes back to the name it had, and none stays under the other. */
static void a_key_goes_back_to_its_name(void **state)
{
	struct spooldir d;
	struct store *s;
	struct store_report report;
	struct error e;
	bool damaged;
	char *value;

	(void)state;
	harm(&d, &s);
	life_sql(s, "UPDATE positions SET key = 'c', value = '100'"); /* a bit beside 'a' */
	store_suspect(s);
	assert_int_equal(store_mend(s, false, &report, &e), ERR_OK);
	assert_non_null(strstr(report.warning, "one bit of 1 positions"));
	assert_int_equal(life_number(s, "SELECT count(*) FROM positions"), 1);
	assert_int_equal(store_position_get(s, "a", &value, &damaged, &e), ERR_OK);
	assert_string_equal(value, "100");
	free(value);
	store_suspect(s);
	assert_int_equal(store_mend(s, false, &report, &e), ERR_OK);
	assert_string_equal(report.warning, "");
	life_end(&d, s);
}

/* What is told when it is in the spool, and only then: a call that fails leaves it to be told, and says nothing yet. */
static void what_is_gone_is_told_once(void **state)
{
	static const int codes[] = {SQLITE_FULL, SQLITE_NOMEM};

	(void)state;
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		struct spooldir d;
		struct store *s = life_begin(&d);
		struct store_report report;
		struct error e;
		uint64_t n = 0;
		bool failed;

		life_append(s, 0, 10);
		do {
			s->rows.keys_gone = 3; /* the tide mark has it still, and the next start */
			report = (struct store_report){.warning = "before"};
			faultsql_arm(++n, codes[i], false);
			const enum err err = store_rows_tell_now(s, &report, &e);
			ERRORWATCH_EXPECT(err, &e, report.warning, "told again", n);
			failed = faultsql_failed();
			faultsql_arm(0, 0, false);
			assert_int_equal(err, failed && codes[i] != SQLITE_FULL ? ERR_MEMORY : ERR_OK);
			if (failed && (strcmp(report.warning, "before") != 0 || store_possible_duplicates(s) != 0))
				fail_msg("call %u (%s): %s", (unsigned)n, faultsql_what(), report.warning);
		} while (failed && n < 100);
		assert_true(n > 3);
		assert_string_equal(report.warning,
		                    "before; 3 dedupe keys are gone: what they kept back may be sent, and is"
		                    " counted as possible duplicates");
		assert_int_equal(store_possible_duplicates(s), 3);
		report.warning[0] = '\0';
		assert_int_equal(store_rows_tell_now(s, &report, &e), ERR_OK);
		assert_string_equal(report.warning, "");
		life_end(&d, s);
	}
}

static int opened, told;

/* The clock moves while a statement begins, and at no other time. */
static int move_clock(unsigned type, void *arg, void *statement, void *text)
{
	(void)type;
	(void)arg;
	(void)statement;
	(void)text;
	clock_test_advance(INT64_C(6000000000));
	return 0;
}

static enum err note_opened(struct store *s, const char *path, struct store_report *report, struct error *e)
{
	(void)e;
	assert_non_null(strstr(path, "spool"));
	assert_string_equal(report->warning, "");
	assert_int_equal(store_ledger(s)->damaged, 0);
	assert_int_equal(sqlite3_trace_v2(s->db, SQLITE_TRACE_STMT, move_clock, NULL), SQLITE_OK);
	opened++;
	return ERR_OK;
}

static void note_told(const char *text)
{
	assert_ptr_equal(strstr(text, "every page is checked: 6 s so far"), text);
	told++;
}

static void expect_repair(const struct spooldir *d, const struct store_repair *how, const char *const *words)
{
	struct buf out;
	struct error e = {0};

	buf_init(&out, 1 << 20);
	assert_int_equal(store_repair(d->path, how, &out, &e), ERR_OK);
	assert_int_equal(buf_add(&out, "", 1), ERR_OK);
	for (size_t i = 0; words[i]; i++)
		if (!strstr(out.data, words[i]))
			fail_msg("%s is not in: %s", words[i], out.data);
	buf_fini(&out);
}

/* What a repair did, in numbers; how far it is, every few seconds of a long look; who asked is told when it begins. */
static void a_repair_says_what_it_does(void **state)
{
	static const struct store_repair how = {.tell = note_told, .opened = note_opened}, in_silence = {0};
	struct spooldir d;
	struct store *s;
	struct error e;

	(void)state;
	s = life_begin(&d);
	life_append(s, 0, 40);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t n = 0; n < 40000; n++) {
		bool is_new;

		assert_int_equal(store_cache_add(s, "c", &n, sizeof n, INT64_C(1) << 40, &is_new, &e), ERR_OK);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	life_close(s);
	spooldir_damage(d.path, 3);
	spooldir_damage(d.path, 17);
	opened = told = 0;
	clock_test_set(INT64_C(1000000000000), INT64_C(1800000000000000000));
	expect_repair(&d, &how,
	              (const char *const[]){
	                  "rows: 2 with a wrong checksum moved to `damaged`, 0 counted as missing, 0 salvaged\n",
	                  "told: 2 messages are damaged", NULL});
	assert_int_equal(opened, 1);
	assert_int_equal(told, 1);
	expect_repair(&d, &in_silence, (const char *const[]){"rows: 0 with a wrong checksum moved", NULL});
	clock_test_end();
	s = life_open(&d, NULL);
	life_expect(s, 40, 0, 38, 2);
	life_end(&d, s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_could_not_be_mended_stays_due),
	    cmocka_unit_test(a_key_goes_back_to_its_name),
	    cmocka_unit_test(what_is_gone_is_told_once),
	    cmocka_unit_test(a_repair_says_what_it_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
