/* read_until: the message that is the last one is stored, and nothing behind it; what stands there comes next time. */
#include "rig/doors_world.h"

enum { ROWS = 3000, PART = 40 };

static void write_rows(const char *folder)
{
	char *path = mem_format("%s/in", folder);
	FILE *f = fopen(path, "we");

	for (int i = 1; i <= ROWS; i++)
		fprintf(f, "%d\n", i);
	fclose(f);
	free(path);
}

static void assert_numbers(struct world *w, int count, int final)
{
	const struct message *m;
	struct rows rows;
	int n = 0;

	read_spool(w, &rows);
	STAILQ_FOREACH (m, &rows.list, link) {
		assert_int_equal(atoi((const char *)message_body(m)), ++n);
		assert_meta(m, "benthos_read_until", n % final == 0 ? "final" : NULL);
	}
	assert_int_equal(n, count);
	message_list_free(&rows.list);
}

static void a_file_is_read_up_to_the_last_one_and_goes_on_behind_it(void **state)
{
	struct world w;

	(void)state;
	make_folder(&w);
	write_rows(w.folder);
	for (int round = 1; round <= 3; round++) {
		open_world(&w, "  read_until:\n    check: this % 40 == 0\n    input: { file: { paths: [ \"@/in\" ] } }",
		           "");
		run_until_finished(&w);
		assert_null(doors_failure(w.doors));
		close_world(&w);
		assert_numbers(&w, PART * round, PART);
	}
	remove_folder(&w);
}

/* What a full spool refuses is looked at once: a check that counts counts each message once. */
static void refused_messages_are_checked_once(void **state)
{
	struct world w;

	(void)state;
	make_folder(&w);
	write_rows(w.folder);
	w.max_bytes = 65536;
	open_world(
	    &w,
	    "  read_until:\n    check: count(\"refused\") >= 500\n    input:\n      file: { paths: [ \"@/in\" ] }\n"
	    "      processors: [ { mapping: 'root = content().string() + \" \" + \"x\".repeat(200)' } ]",
	    "");
	for (int64_t end_ms = clock_mono_ms() + 1500; clock_mono_ms() < end_ms;)
		turn(&w);
	assert_false(w.finished);
	close_world(&w);
	w.max_bytes = 0;
	open_world(
	    &w,
	    "  read_until:\n    check: count(\"refused\") >= 500\n    input:\n      file: { paths: [ \"@/in\" ] }\n"
	    "      processors: [ { mapping: 'root = content().string() + \" \" + \"x\".repeat(200)' } ]",
	    "");
	run_until_finished(&w);
	close_world(&w);
	/* each once; the one whose offer was given up at the stop was looked at twice */
	struct rows rows;
	read_spool(&w, &rows);
	assert_in_range(rows.count, 499, 500);
	message_list_free(&rows.list);
	remove_folder(&w);
}

static void it_ends_when_nothing_comes(void **state)
{
	static const char *const expected[] = {"1", "2", "3", NULL};
	struct world w;
	struct rows rows;

	(void)state;
	make_folder(&w);
	open_world(
	    &w,
	    "  sequence:\n    inputs:\n    - read_until:\n        idle_timeout: 300ms\n        input: { generate: { "
	    "interval: '0 0 1 1 *', mapping: root = 9 } }\n"
	    "    - generate: { count: 3, interval: '', mapping: root = count(\"idle\") }",
	    "");
	run_until_finished(&w);
	close_world(&w);
	read_spool(&w, &rows);
	assert_bodies(&rows, expected);
	message_list_free(&rows.list);
	remove_folder(&w);
}

static void what_is_made_ends_too(void **state)
{
	struct world w;

	(void)state;
	make_folder(&w);
	open_world(&w,
	           "  read_until:\n    check: this == 7\n    input: { generate: { interval: '', mapping: root = "
	           "count(\"made\") "
	           "} }",
	           "");
	run_until_finished(&w);
	close_world(&w);
	assert_numbers(&w, 7, 7);
	remove_folder(&w);
}

int main(void)
{
	const struct log_options quiet = {.level = LOG_OFF, .fd = 2};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_file_is_read_up_to_the_last_one_and_goes_on_behind_it),
	    cmocka_unit_test(refused_messages_are_checked_once),
	    cmocka_unit_test(it_ends_when_nothing_comes),
	    cmocka_unit_test(what_is_made_ends_too),
	};

	log_configure(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
