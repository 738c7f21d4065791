/* generate over a real journal: as many as asked for, each stored once. */
#include "rig/doors_world.h"
#include "doors/intake.h"

static void a_count_is_made_and_the_run_ends(void **state)
{
	static const char *const expected[] = {"{\"id\":1}", "{\"id\":2}", "{\"id\":3}", NULL};
	struct world w;
	struct rows rows;

	(void)state;
	make_folder(&w);
	open_world(&w,
	           "  generate:\n    count: 3\n    interval: 1ms\n    mapping: |\n"
	           "      root.id = count(\"three\")\n      meta from = \"here\"",
	           "");
	run_until_finished(&w);
	close_world(&w);
	read_spool(&w, &rows);
	assert_bodies(&rows, expected);
	assert_meta(STAILQ_FIRST(&rows.list), "from", "here");
	message_list_free(&rows.list);
	remove_folder(&w);
}

/* Deleted ones are none; a batch that fails is none; what processors drop was made. */
static void what_counts_is_what_was_made(void **state)
{
	static const char *const expected[] = {"2", "4", "6", NULL};
	struct world w;
	struct rows rows;

	(void)state;
	make_folder(&w);
	open_world(&w,
	           "  generate:\n    count: 5\n    interval: \"\"\n    mapping: |\n"
	           "      let n = count(\"tries\")\n"
	           "      root = if $n % 2 == 1 { deleted() } else if $n == 8 { throw(\"no\") } else { $n }\n"
	           "  processors: [{mapping: \"root = if this > 6 { deleted() }\"}]",
	           "");
	run_until_finished(&w);
	close_world(&w);
	read_spool(&w, &rows);
	assert_bodies(&rows, expected);
	assert_int_equal(rows.ledger.accepted, 5);
	assert_int_equal(rows.ledger.filtered, 2);
	message_list_free(&rows.list);
	remove_folder(&w);
}

static void processors_see_a_batch(void **state)
{
	static const char *const expected[] = {"[{\"a\":1},{\"a\":1},{\"a\":1}]", "[{\"a\":1}]", NULL};
	struct world w;
	struct rows rows;

	(void)state;
	make_folder(&w);
	open_world(&w,
	           "  generate:\n    count: 4\n    batch_size: 3\n    interval: \"\"\n    mapping: root.a = 1\n"
	           "  processors:\n    - archive: {format: json_array}",
	           "");
	run_until_finished(&w);
	close_world(&w);
	read_spool(&w, &rows);
	assert_bodies(&rows, expected);
	message_list_free(&rows.list);
	remove_folder(&w);
}

enum { MANY = 3000 };

/* What a full spool refused comes again as it was made: no number is missing, none comes twice. */
static void a_full_spool_loses_no_number(void **state)
{
	struct store_options wider;
	struct world w;
	struct rows rows;
	const struct message *m;
	int64_t end_ms = clock_mono_ms() + 20000;
	int n = 1;

	(void)state;
	make_folder(&w);
	w.max_bytes = 262144;
	open_world(&w,
	           "  generate:\n    count: 3000\n    interval: \"\"\n"
	           "    mapping: root = count(\"full\").string() + \" \" + \"x\".repeat(200)",
	           "");
	while (w.answered < 40 && clock_mono_ms() < end_ms) /* a few are taken, all others refused */
		turn(&w);
	assert_true(w.answered >= 40 && !w.finished);
	w.max_bytes = 8388608;
	wider = store_options_of(&w);
	journal_reconfigure(w.journal, &wider);
	run_until_finished(&w);
	close_world(&w);
	read_spool(&w, &rows);
	STAILQ_FOREACH (m, &rows.list, link)
		assert_int_equal(atoi((const char *)message_body(m)), n++);
	assert_int_equal(n, MANY + 1);
	message_list_free(&rows.list);
	remove_folder(&w);
}

/* What there is no memory for is no batch, and no part of one: it is made anew when there is. */
static void a_batch_without_memory_is_made_later(void **state)
{
	struct world w;
	struct rows rows;
	const struct message *m;
	int64_t end_ms = clock_mono_ms() + 300;
	int n = 0;

	(void)state;
	make_folder(&w);
	budget_open(1048576);
	open_world(&w,
	           "  generate:\n    count: 200\n    batch_size: 200\n    interval: \"\"\n"
	           "    mapping: root = \"x\".repeat(40000)",
	           "");
	while (!w.finished && clock_mono_ms() < end_ms)
		turn(&w);
	budget_open(0);
	run_until_finished(&w);
	assert_int_equal(w.answered, 1); /* one offer */
	close_world(&w);
	read_spool(&w, &rows);
	STAILQ_FOREACH (m, &rows.list, link)
		n++;
	assert_int_equal(n, 200);
	message_list_free(&rows.list);
	remove_folder(&w);
}

int main(void)
{
	const struct log_options quiet = {.level = LOG_OFF, .fd = 2};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_count_is_made_and_the_run_ends),
	    cmocka_unit_test(what_counts_is_what_was_made),
	    cmocka_unit_test(processors_see_a_batch),
	    cmocka_unit_test(a_full_spool_loses_no_number),
	    cmocka_unit_test(a_batch_without_memory_is_made_later),
	};

	log_configure(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
