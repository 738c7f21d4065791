/* Files cut by scanners that must know what came before: each row once, whatever happens, and what is none stays. */
#include "rig/doors_world.h"

enum { ROWS = 6000 };

static void read_to_the_end(struct world *w, const char *scanner)
{
	char *input = mem_format("  file:\n    paths: [ \"@/in\" ]\n    scanner: { %s }", scanner);

	open_world(w, input, "  max_message_bytes: 1000");
	free(input);
	run_until_finished(w);
}

/* Dies after `kill_after` answers, three times, then reads to the end. */
static void read_with_kills(struct world *w, const char *scanner, size_t kill_after)
{
	for (int round = 0; round < 3; round++) {
		pid_t pid = fork();
		int status;

		assert_true(pid >= 0);
		if (pid == 0) {
			w->kill_after = kill_after;
			read_to_the_end(w, scanner);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(round > 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
	}
	read_to_the_end(w, scanner);
	close_world(w);
}

static void write_rows(const char *folder, const char *scanner)
{
	const bool is_csv = strncmp(scanner, "csv", 3) == 0, is_array = strncmp(scanner, "json_a", 6) == 0;
	char *path = mem_format("%s/in", folder);
	FILE *f = fopen(path, "we");

	fputs(strcmp(scanner, "csv: {}") == 0 ? "n,text,pad\n" : is_array ? "[\n" : "", f);
	for (int i = 0; i < ROWS; i++)
		if (is_csv)
			fprintf(f, "%d,\"%s\r\n\",%0*d\n", i, i % 7 == 0 ? "two\nlines" : "one", 20 + i % 300, i);
		else
			fprintf(f, "%s{\"n\":\"%d\",\n\"pad\":\"%0*d\"}\n", is_array && i > 0 ? "," : "", i,
			        20 + i % 300, i);
	fputs(is_array ? "]\n" : "", f);
	fclose(f);
	free(path);
}

/* Its number, as an object's member or as an array's first. */
static int number_of(const struct message *m)
{
	const char *body = (const char *)message_body(m), *n = strstr(body, "\"n\":\"");

	return atoi(n ? n + 5 : body + 2);
}

static void a_kill_at_any_offer_neither_loses_nor_repeats(void **state)
{
	static const char *const scanners[] = {"csv: {}", "csv: { parse_header_row: false }", "json_documents: {}",
	                                       "json_array: {}"};

	(void)state;
	for (size_t c = 0; c < sizeof scanners / sizeof *scanners; c++)
		for (size_t kill_after = 1; kill_after <= 7; kill_after += 3) {
			const struct message *m;
			struct rows rows;
			struct world w;
			int i = 0;

			make_folder(&w);
			write_rows(w.folder, scanners[c]);
			read_with_kills(&w, scanners[c], kill_after);
			read_spool(&w, &rows);
			STAILQ_FOREACH (m, &rows.list, link) {
				char number[24];

				assert_int_equal(number_of(m), i);
				snprintf(number, sizeof number, "%d", i++);
				assert_meta(m, "csv_row", c < 2 ? number : NULL);
			}
			assert_int_equal(i, ROWS);
			message_list_free(&rows.list);
			remove_folder(&w);
		}
}

/* What cannot be cut is not passed over: the position stays before it, and the run is none that went well. */
static void a_row_that_is_none_ends_its_file(void **state)
{
	static const char *const before[] = {"{\"a\":\"1\"}", NULL};
	static const char *const after[] = {"{\"a\":\"1\"}", "{\"a\":\"2\"}", "{\"a\":\"3\"}", NULL};
	struct world w;
	struct rows rows;
	char path[128];

	(void)state;
	make_folder(&w);
	snprintf(path, sizeof path, "%s/in", w.folder);
	write_file(path, "a\n1\n2,2\n3\n", 10);
	read_to_the_end(&w, "csv: {}");
	assert_non_null(doors_failure(w.doors));
	close_world(&w);
	read_spool(&w, &rows);
	assert_bodies(&rows, before);
	message_list_free(&rows.list);
	int fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "2\n3\n", 4, 4), 4);
	assert_int_equal(ftruncate(fd, 8), 0);
	close(fd);
	read_to_the_end(&w, "csv: {}");
	assert_null(doors_failure(w.doors));
	close_world(&w);
	read_spool(&w, &rows);
	assert_bodies(&rows, after);
	assert_int_equal(rows.ledger.dead, 0);
	message_list_free(&rows.list);
	remove_folder(&w);
}

/* The header is read again by whoever begins in the middle, its mark too. */
static void names_are_the_same_for_rows_that_come_later(void **state)
{
	static const char *const expected[] = {"{\"a\":\"1\"}", "{\"a\":\"2\"}", NULL};
	struct world w;
	struct rows rows;
	char path[128];
	int fd;

	(void)state;
	make_folder(&w);
	snprintf(path, sizeof path, "%s/in", w.folder);
	write_file(path,
	           "\xef\xbb\xbf"
	           "a\n1\n",
	           7);
	read_to_the_end(&w, "skip_bom: { into: { csv: {} } }");
	close_world(&w);
	fd = open(path, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "2\n", 2), 2);
	close(fd);
	read_to_the_end(&w, "skip_bom: { into: { csv: {} } }");
	close_world(&w);
	read_spool(&w, &rows);
	assert_bodies(&rows, expected);
	message_list_free(&rows.list);
	remove_folder(&w);
}

/* A failed row is a message like any other that failed: processors can tell, and kspool.processor_error decides. */
static void failed_rows_go_the_way_of_failed_messages(void **state)
{
	static const char *const sent[] = {"[\"a\"]", "[]", "[\"b\"]", NULL}, *const kept[] = {"[\"a\"]", "[\"b\"]",
	                                                                                       NULL};
	static const char *const told[] = {"", "bare \" in non-quoted-field", "", NULL};
	static const struct {
		const char *more;
		const char *const *bodies;
		int dead;
	} cases[] = {
	    {"", sent, 0},
	    {"  processor_error: set_aside", kept, 1},
	    {"pipeline: {processors: [{mapping: root = error().or(\"\")}]}", told, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct world w;
		struct rows rows;
		char path[128];

		make_folder(&w);
		snprintf(path, sizeof path, "%s/in", w.folder);
		write_file(path, "a\nx\"\nb\n", 7);
		open_world(&w,
		           "  file:\n    paths: [ \"@/in\" ]\n"
		           "    scanner: { csv: { parse_header_row: false, continue_on_error: true } }",
		           cases[i].more);
		run_until_finished(&w);
		close_world(&w);
		read_spool(&w, &rows);
		assert_bodies(&rows, cases[i].bodies);
		assert_int_equal(rows.ledger.dead, cases[i].dead);
		message_list_free(&rows.list);
		remove_folder(&w);
	}
}

/* Bytes that are no rows count as rows do: no offer takes more of them, and the memory knows of them. */
static void bad_rows_are_set_aside_by_the_block(void **state)
{
	enum { BAD = 20000, BLOCK = 4096 };
	struct world w;
	struct rows rows;
	char path[128];
	FILE *f;

	(void)state;
	make_folder(&w);
	snprintf(path, sizeof path, "%s/in", w.folder);
	f = fopen(path, "we");
	fputs("a\n1\n", f);
	for (int i = 0; i < BAD; i++)
		fputs("x\"\n", f);
	fputs("2\n", f);
	fclose(f);
	open_world(&w, "  csv:\n    paths: [ \"@/in\" ]", "");
	run_until_finished(&w);
	assert_true(w.answered >= BAD / BLOCK);
	assert_int_equal(doors_memory_bytes(w.doors), 0);
	close_world(&w);
	read_spool(&w, &rows);
	assert_int_equal(rows.ledger.dead, BAD);
	message_list_free(&rows.list);
	remove_folder(&w);
}

int main(void)
{
	const struct log_options quiet = {.level = LOG_OFF, .fd = 2};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_kill_at_any_offer_neither_loses_nor_repeats),
	    cmocka_unit_test(a_row_that_is_none_ends_its_file),
	    cmocka_unit_test(names_are_the_same_for_rows_that_come_later),
	    cmocka_unit_test(failed_rows_go_the_way_of_failed_messages),
	    cmocka_unit_test(bad_rows_are_set_aside_by_the_block),
	};

	log_configure(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
