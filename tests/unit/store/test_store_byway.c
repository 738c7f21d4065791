/*
 * Notes of copies that another spool took in: each length, spool and number beside what is to be made of it; which of
 * its messages may be here; what becomes a note of this spool; and the note of what was put back, byte for byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "rig/errorwatch.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "store/store_byway.h"

enum { TAG = 77, NOTE_MOST = 80, PUT_BACK = 65 };
enum whose { NOBODYS, OURS, KNOWN, ANOTHERS };

static struct spooldir d;
static struct store *s;
static sqlite3 *source;
static struct error e;

static struct spool_id id_of(enum whose whose)
{
	switch (whose) {
	case NOBODYS:
		break;
	case OURS:
		return s->id;
	case KNOWN:
		return (struct spool_id){.high = s->id.high ^ 5, .low = 7};
	case ANOTHERS:
		return (struct spool_id){.high = 0, .low = 9};
	}
	return (struct spool_id){0};
}

static void make_table(bool has_checksum)
{
	assert_int_equal(sqlite3_exec(source,
	                              has_checksum ? "DROP TABLE IF EXISTS imports; CREATE TABLE imports"
	                                             " (copy, imported_ms, messages, first_id, checksum)"
	                                           : "DROP TABLE IF EXISTS imports; CREATE TABLE imports"
	                                             " (copy, imported_ms, messages, first_id)",
	                              NULL, NULL, NULL),
	                 SQLITE_OK);
}

/* A note of the source: bytes of one value, and the spool where a note has it. */
static void put_note(enum whose whose, size_t bytes, int64_t messages, int64_t first_id, uint32_t tag, int64_t wrong)
{
	const struct spool_id id = id_of(whose);
	unsigned char copy[NOTE_MOST];
	const struct stored_value values[] = {{.type = VALUE_BLOB, .bytes = copy, .count = bytes},
	                                      {.type = VALUE_INT, .number = 1234567},
	                                      {.type = VALUE_INT, .number = messages},
	                                      {.type = VALUE_INT, .number = first_id}};
	sqlite3_stmt *st = NULL;

	memset(copy, 'c', sizeof copy);
	memcpy(copy + 32, &id, sizeof id);
	if (sqlite3_prepare_v2(source, "INSERT INTO imports VALUES (?1, 1234567, ?2, ?3, ?4)", -1, &st, NULL) !=
	    SQLITE_OK)
		assert_int_equal(
		    sqlite3_prepare_v2(source, "INSERT INTO imports VALUES (?1, 1234567, ?2, ?3)", -1, &st, NULL),
		    SQLITE_OK);
	(void)sqlite3_bind_blob64(st, 1, copy, bytes, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 2, messages);
	(void)sqlite3_bind_int64(st, 3, first_id);
	if (sqlite3_bind_parameter_count(st) > 3)
		(void)sqlite3_bind_int64(st, 4, side_sum(tag, SIDE_IMPORT, values, 4) + wrong);
	assert_int_equal(sqlite3_step(st), SQLITE_DONE);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
}

/* Something of it was taken in here. */
static void know(enum whose whose)
{
	make_table(true);
	put_note(whose, 64, 3, 5, TAG, 0);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_byway_each(s, source, TAG, NULL, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static int begin(void **state)
{
	(void)state;
	s = life_begin(&d);
	assert_int_equal(sqlite3_open(":memory:", &source), SQLITE_OK);
	return 0;
}

static int end(void **state)
{
	(void)state;
	faultsql_arm(0, 0, false);
	assert_int_equal(sqlite3_close(source), SQLITE_OK);
	store_abandon(s);
	spooldir_remove(&d);
	return 0;
}

static void a_note_says_which_messages_may_be_here(void **state)
{
	static const struct {
		enum whose whose;
		size_t bytes;
		int64_t messages, first_id, wrong;
		uint32_t tag;
		bool is_old; /* without checksums */
		bool is_shared, is_all, has_span;
	} cases[] = {
	    {OURS, 64, 3, 5, 0, TAG, false, true, false, true},
	    {OURS, 65, 3, 5, 0, TAG, false, true, false, true},
	    {OURS, 63, 3, 5, 0, TAG, false, true, false, false},
	    {OURS, 66, 3, 5, 0, TAG, false, true, false, false},
	    {OURS, 48, 3, 5, 0, TAG, false, true, false, false},
	    {OURS, 47, 3, 5, 0, TAG, false, true, true, false},
	    {OURS, 0, 3, 5, 0, TAG, false, true, true, false},
	    {OURS, 64, 3, 0, 0, TAG, false, true, false, false},
	    {OURS, 64, 1, 1, 0, TAG, false, true, false, true},
	    {OURS, 64, 3, 5, 1, TAG, false, true, true, false},
	    {OURS, 64, 3, 5, 0, TAG + 1, false, true, true, false},
	    {OURS, 64, 3, 5, 1, TAG, true, true, false, true},
	    {OURS, 47, 3, 5, 0, TAG, true, true, true, false},
	    {KNOWN, 64, 3, 5, 0, TAG, false, true, false, true},
	    {KNOWN, 66, 3, 5, 0, TAG, false, true, false, false},
	    {KNOWN, 64, 3, 5, 1, TAG, true, true, false, true},
	    {ANOTHERS, 64, 3, 5, 0, TAG, false, false, false, true},
	    {ANOTHERS, 66, 3, 5, 0, TAG, false, false, false, false},
	    {ANOTHERS, 64, 3, 5, 1, TAG, false, true, true, false},
	    {NOBODYS, 64, 3, 5, 0, TAG, false, false, false, true},
	    {NOBODYS, 64, 3, 5, 1, TAG, false, true, true, false},
	};

	(void)state;
	know(KNOWN);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct byway c = {0};

		make_table(!cases[i].is_old);
		put_note(cases[i].whose, cases[i].bytes, cases[i].messages, cases[i].first_id, cases[i].tag,
		         cases[i].wrong);
		assert_int_equal(store_byway_each(s, source, TAG, &c, &e), ERR_OK);
		if (c.is_shared != cases[i].is_shared || c.is_all != cases[i].is_all || c.count != cases[i].has_span)
			fail_msg("case %zu: shared %d, all %d, %zu spans", i, c.is_shared, c.is_all, c.count);
		if (c.count > 0) {
			assert_int_equal(c.spans[0].first, cases[i].first_id);
			assert_int_equal(c.spans[0].count, cases[i].messages);
		}
		store_byway_fini(&c);
		assert_true(!c.spans && c.count == 0 && !c.is_shared && !c.is_all);
	}
}

/* Of several notes: what one says is not forgotten for the next. */
static void notes_add_up(void **state)
{
	static const struct {
		uint64_t id;
		bool has;
	} cases[] = {{0, false},  {4, false},  {5, true},           {6, true},   {7, true},   {8, false},
	             {19, false}, {20, true},  {21, false},         {39, false}, {40, true},  {49, true},
	             {50, false}, {99, false}, {UINT64_MAX, false}, {100, true}, {101, false}};
	struct byway c = {0};

	(void)state;
	make_table(true);
	put_note(ANOTHERS, 64, 10, 40, TAG, 0);
	put_note(NOBODYS, 64, 3, 5, TAG, 0);
	assert_int_equal(store_byway_each(s, source, TAG, &c, &e), ERR_OK);
	assert_int_equal(c.count, 2);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_false(store_byway_has(&c, cases[i].id)); /* none of it is from here */
	store_byway_fini(&c);
	put_note(OURS, 65, 1, 20, TAG, 0);
	put_note(ANOTHERS, 64, 1, 100, TAG, 0);
	assert_int_equal(store_byway_each(s, source, TAG, &c, &e), ERR_OK);
	assert_int_equal(c.count, 4);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (store_byway_has(&c, cases[i].id) != cases[i].has)
			fail_msg("%llu", (unsigned long long)cases[i].id);
	store_byway_fini(&c);
	put_note(ANOTHERS, 10, 1, 100, TAG, 0);
	put_note(ANOTHERS, 64, 1, 200, TAG, 0);
	assert_int_equal(store_byway_each(s, source, TAG, &c, &e), ERR_OK);
	assert_true(c.is_shared && c.is_all);
	assert_int_equal(c.count, 5);
	for (uint64_t id = 0; id < 300; id++)
		assert_true(store_byway_has(&c, id));
	store_byway_fini(&c);
}

/* Where it is from is known here from now on; its ids are not of this spool. */
static void a_note_becomes_one_of_this_spool(void **state)
{
	struct byway c = {0};

	(void)state;
	know(NOBODYS);
	know(OURS);
	assert_int_equal(life_number(s, "SELECT count(*) FROM imports"), 0);
	for (int again = 0; again < 2; again++) {
		know(KNOWN);
		assert_int_equal(life_number(s, "SELECT count(*) FROM imports"), 1);
		assert_int_equal(life_number(s, "SELECT count(*) FROM imports WHERE length(copy) = 64 AND"
		                                " imported_ms = 1234567 AND messages = 3 AND first_id = 0 AND"
		                                " checksum = side_sum(11, copy, imported_ms, messages, first_id) AND"
		                                " hex(copy) LIKE '636363%'"),
		                 1);
	}
	make_table(true);
	put_note(KNOWN, 64, 3, 5, TAG, 0);
	assert_int_equal(store_byway_each(s, source, TAG, &c, &e), ERR_OK);
	assert_true(c.is_shared);
	store_byway_fini(&c);
	life_sql(s, "UPDATE imports SET checksum = checksum + 1"); /* which is believed in nothing */
	assert_int_equal(store_byway_each(s, source, TAG, &c, &e), ERR_OK);
	assert_false(c.is_shared);
	store_byway_fini(&c);
	assert_int_equal(sqlite3_exec(source, "DROP TABLE imports", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(store_byway_each(s, source, TAG, &c, &e), ERR_OK); /* of an older kspool */
	assert_true(!c.is_shared && !c.is_all && c.count == 0);
}

/* Whichever call fails is told, and no note is taken for the last. */
static void a_call_that_fails_is_told(void **state)
{
	(void)state;
	know(KNOWN);
	put_note(ANOTHERS, 64, 3, 5, TAG, 0);
	put_note(OURS, 64, 3, 15, TAG, 0);
	for (int keeps = 0; keeps < 2; keeps++) {
		bool failed = true;
		uint64_t n = 1;

		for (; failed; n++) {
			struct byway c = {0};
			enum err err;

			assert_int_equal(store_begin(s, &e), ERR_OK);
			faultsql_arm(n, SQLITE_NOMEM, false);
			err = store_byway_each(s, source, TAG, keeps ? NULL : &c, &e);
			failed = faultsql_failed();
			ERRORWATCH_EXPECT(err, &e, NULL, "notes of another spool", n);
			faultsql_arm(0, 0, false);
			assert_int_equal(err, failed ? ERR_MEMORY : ERR_OK);
			store_byway_fini(&c);
			store_rollback(s);
		}
		assert_true(n > 5);
	}
}

/* As many spans as there are places; then the closest become one, which says how many it has. */
static void spans_of_what_was_put_back_are_joined(void **state)
{
	static const struct put_backs full = {{{100, 109, 10},
	                                       {200, 209, 10},
	                                       {300, 309, 10},
	                                       {350, 359, 10},
	                                       {500, 509, 10},
	                                       {600, 609, 10},
	                                       {700, 709, 10},
	                                       {800, 809, 10}}};
	static const struct put_backs joined = {{{100, 109, 10},
	                                         {200, 209, 10},
	                                         {300, 359, 20},
	                                         {500, 509, 10},
	                                         {600, 609, 10},
	                                         {700, 709, 10},
	                                         {800, 814, 15},
	                                         {1000, 1000, 1}}};
	static const struct put_backs first_joined = {{{100, 209, 20},
	                                               {300, 359, 20},
	                                               {500, 509, 10},
	                                               {600, 609, 10},
	                                               {700, 709, 10},
	                                               {800, 814, 15},
	                                               {1000, 1000, 1},
	                                               {1100, 1101, 2}}};
	struct tide tide = {.count = 7};
	struct put_backs p = {0};

	(void)state;
	for (size_t i = 0; i < TIDE_BACK_SPANS; i++)
		put_backs_add(&p, full.spans[i].first, full.spans[i].count);
	assert_memory_equal(&p, &full, sizeof p);
	put_backs_add(&p, 810, 5); /* what goes on needs no place */
	put_backs_add(&p, 1000, 1);
	assert_memory_equal(&p, &joined, sizeof p);
	put_backs_add(&p, 1100, 2); /* of two that are as close the first */
	assert_memory_equal(&p, &first_joined, sizeof p);
	put_backs_into(&p, &tide);
	assert_memory_equal(&tide.counts[TIDE_BACK], &p, sizeof p);
	assert_int_equal(tide.counts[TIDE_BACK - 1], 0);
	p = (struct put_backs){0};
	for (uint64_t i = 1; i <= TIDE_BACK_SPANS; i++)
		put_backs_add(&p, i == TIDE_BACK_SPANS ? 7010 : i * 1000, i);
	put_backs_add(&p, 9000, 1); /* the last two */
	assert_int_equal(p.spans[TIDE_BACK_SPANS - 2].first, 7000);
	assert_int_equal(p.spans[TIDE_BACK_SPANS - 2].last, 7017);
	assert_int_equal(p.spans[TIDE_BACK_SPANS - 2].count, 15);
	assert_int_equal(p.spans[TIDE_BACK_SPANS - 1].first, 9000);
}

/* What was put back has new ids: the first and the last of them, how many, and the note itself. */
static void what_was_put_back_is_noted(void **state)
{
	static const struct put_backs both = {{{0x1234, 0x1236, 3}, {0x2000, 0x2000, 1}}};
	unsigned char want[PUT_BACK] = "put-back";
	struct put_backs noted;
	uint64_t sum = s->rows.imports_sum;
	sqlite3_stmt *st = NULL;

	(void)state;
	clock_test_set(clock_mono_ns(), INT64_C(1800000000123) * NS_PER_MS);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_byway_note(s, 0x1234, 0, 3, &e), ERR_OK);
	assert_memory_equal(&s->rows.back, &((struct put_backs){{{0x1234, 0x1236, 3}}}), sizeof s->rows.back);
	assert_int_equal(s->rows.imports, 1);
	assert_int_equal(store_byway_note(s, 0x2000, 0, 1, &e), ERR_OK);
	assert_memory_equal(&s->rows.back, &both, sizeof both);
	assert_int_equal(s->rows.imports, 2);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	clock_test_end();
	assert_int_equal(store_put_backs(s, &noted, &e), ERR_OK);
	assert_memory_equal(&noted, &both, sizeof both);
	sum += (uint64_t)life_number(s, "SELECT checksum FROM imports WHERE first_id = 0x1234");
	sum += (uint64_t)life_number(s, "SELECT checksum FROM imports WHERE first_id = 0x2000");
	assert_true(s->rows.imports_sum == sum);
	assert_int_equal(life_number(s, "SELECT count(*) FROM imports WHERE imported_ms = 1800000000123 AND messages ="
	                                " iif(first_id = 0x2000, 1, 3) AND checksum = side_sum(11, copy, imported_ms,"
	                                " messages, first_id)"),
	                 2);
	want[8] = 0x34;
	want[9] = 0x12;
	memcpy(want + 32, &s->id, sizeof s->id);
	assert_int_equal(sqlite3_prepare_v2(s->db, "SELECT copy FROM imports WHERE first_id = 0x1234", -1, &st, NULL),
	                 SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_int_equal(sqlite3_column_bytes(st, 0), sizeof want);
	assert_memory_equal(sqlite3_column_blob(st, 0), want, sizeof want);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_note_says_which_messages_may_be_here, begin, end),
	    cmocka_unit_test_setup_teardown(notes_add_up, begin, end),
	    cmocka_unit_test_setup_teardown(a_note_becomes_one_of_this_spool, begin, end),
	    cmocka_unit_test_setup_teardown(a_call_that_fails_is_told, begin, end),
	    cmocka_unit_test(spans_of_what_was_put_back_are_joined),
	    cmocka_unit_test_setup_teardown(what_was_put_back_is_noted, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
