/* stdin and files over a real journal: what is accepted is in the spool, once, in order, whatever happens. */
#include "rig/doors_world.h"
#include "doors/intake.h"

static void files_are_read_in_order_and_finish(void **state)
{
	static const char *const expected[] = {"one", "two", "", "last", "b1", "b2", NULL};
	struct world w;
	struct rows rows;
	char path[128], b[128];
	char text[4000] = "one\r\ntwo\n\n";

	(void)state;
	make_folder(&w);
	memset(text + strlen(text), 'x', 2000); /* over the ceiling */
	strcat(text, "\nlast");
	snprintf(path, sizeof path, "%s/a.log", w.folder);
	write_file(path, text, strlen(text));
	let_rest(path);
	snprintf(b, sizeof b, "%s/b.log", w.folder);
	write_file(b, "b1\nb2\n", 6);
	open_world(&w, "  file:\n    paths: [ \"@/*.log\" ]", "  max_message_bytes: 1000");
	run_until_finished(&w);
	close_world(&w);
	read_spool(&w, &rows);
	assert_bodies(&rows, expected);
	assert_meta(STAILQ_FIRST(&rows.list), "path", path);
	assert_int_equal(rows.ledger.dead, 1);
	assert_int_equal(rows.ledger.accepted, 7);
	message_list_free(&rows.list);
	/* nothing is read twice; what was added is read */
	int fd = open(b, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "b3\n", 3), 3);
	close(fd);
	open_world(&w, "  file:\n    paths: [ \"@/*.log\" ]", "  max_message_bytes: 1000");
	run_until_finished(&w);
	close_world(&w);
	read_spool(&w, &rows);
	assert_int_equal(rows.count, 7);
	message_list_free(&rows.list);
	/* a file in its place is another file */
	unlink(b);
	write_file(b, "b1\nb2\nc3\nc4\n", 12);
	open_world(&w, "  file:\n    paths: [ \"@/*.log\" ]", "  max_message_bytes: 1000");
	run_until_finished(&w);
	close_world(&w);
	read_spool(&w, &rows);
	assert_int_equal(rows.count, 11);
	message_list_free(&rows.list);
	remove_folder(&w);
}

/* Nobody would bring it: every input is finite. */
static void a_missing_file_fails_a_finite_run_after_the_others(void **state)
{
	static const char *const expected[] = {"one", NULL};
	struct world w;
	struct rows rows;
	char path[128];

	(void)state;
	make_folder(&w);
	snprintf(path, sizeof path, "%s/a.log", w.folder);
	write_file(path, "one\n", 4);
	open_world(&w, "  file:\n    paths: [ \"@/none\", \"@/a.log\" ]", "");
	run_until_finished(&w);
	assert_non_null(doors_failure(w.doors));
	close_world(&w);
	read_spool(&w, &rows);
	assert_bodies(&rows, expected);
	message_list_free(&rows.list);
	remove_folder(&w);
}

enum { LINES = 6000 };

static void write_numbered(const char *path)
{
	FILE *f = fopen(path, "we");

	for (int i = 0; i < LINES; i++)
		fprintf(f, "%06d %0*d\n", i, 20 + i % 300, i);
	fclose(f);
}

static void assert_numbered(struct rows *rows)
{
	const struct message *m;
	int i = 0;

	STAILQ_FOREACH (m, &rows->list, link)
		assert_int_equal(atoi((const char *)message_body(m)), i++);
	assert_int_equal(i, LINES);
}

static void a_kill_at_any_offer_neither_loses_nor_repeats(void **state)
{
	struct world w;
	struct rows rows;
	char path[128];

	(void)state;
	for (size_t kill_after = 1; kill_after <= 9; kill_after += 2) {
		make_folder(&w);
		snprintf(path, sizeof path, "%s/a.log", w.folder);
		write_numbered(path);
		for (int round = 0; round < 3; round++) {
			pid_t pid = fork();
			int status;

			assert_true(pid >= 0);
			if (pid == 0) {
				w.kill_after = kill_after;
				open_world(&w, "  file:\n    paths: [ \"@/a.log\" ]", "  max_message_bytes: 1000");
				run_until_finished(&w);
				_exit(0);
			}
			assert_int_equal(waitpid(pid, &status, 0), pid);
			assert_true(round > 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
		}
		open_world(&w, "  file:\n    paths: [ \"@/a.log\" ]", "  max_message_bytes: 1000");
		run_until_finished(&w);
		close_world(&w);
		read_spool(&w, &rows);
		assert_numbered(&rows);
		message_list_free(&rows.list);
		remove_folder(&w);
	}
}

static void a_full_spool_makes_files_wait(void **state)
{
	struct world w;
	struct rows rows;
	char path[128];

	(void)state;
	make_folder(&w);
	snprintf(path, sizeof path, "%s/a.log", w.folder);
	write_numbered(path);
	w.max_bytes = 200000;
	open_world(&w, "  file:\n    paths: [ \"@/a.log\" ]", "  max_message_bytes: 1000");
	for (int64_t end = clock_mono_ms() + 1500; clock_mono_ms() < end;)
		turn(&w);
	assert_false(w.finished);
	assert_true(doors_memory_bytes(w.doors) < 500000);
	close_world(&w);
	read_spool(&w, &rows);
	assert_true(rows.count > 0 && rows.count < LINES);
	message_list_free(&rows.list);
	w.max_bytes = 0;
	open_world(&w, "  file:\n    paths: [ \"@/a.log\" ]", "  max_message_bytes: 1000");
	run_until_finished(&w);
	close_world(&w);
	read_spool(&w, &rows);
	assert_numbered(&rows);
	message_list_free(&rows.list);
	remove_folder(&w);
}

enum { SOURCES = 4, EACH = 3, LONG_BYTES = 3600000, USUAL_BYTES = (2 << 20) + 65536 };

/* Each would hold one message in its block, and one on its way: only one of them does. */
static void long_messages_of_many_files_come_by_turns(void **state)
{
	struct world w;
	struct rows rows;
	const struct message *m;
	char path[128], *line = malloc(LONG_BYTES + 1);
	uint64_t most = 0;
	const int64_t end = clock_mono_ms() + 60000;

	(void)state;
	make_folder(&w);
	memset(line, 'x', LONG_BYTES);
	line[LONG_BYTES] = '\n';
	for (int n = 0; n < SOURCES; n++) {
		snprintf(path, sizeof path, "%s/%d.log", w.folder, n);
		FILE *f = fopen(path, "we");
		for (int i = 0; i < EACH; i++) {
			line[0] = (char)('0' + i);
			assert_int_equal(fwrite(line, LONG_BYTES + 1, 1, f), 1);
		}
		fclose(f);
	}
	free(line);
	w.memory_bytes = 64 << 20; /* not what holds them back */
	open_world(&w,
	           "  broker:\n    inputs:\n      - file: { paths: [ \"@/0.log\" ] }\n"
	           "      - file: { paths: [ \"@/1.log\" ] }\n      - file: { paths: [ \"@/2.log\" ] }\n"
	           "      - file: { paths: [ \"@/3.log\" ] }\n",
	           "  max_message_bytes: 3600000");
	while (!w.finished && clock_mono_ms() < end) {
		turn(&w);
		if (doors_memory_bytes(w.doors) > most)
			most = doors_memory_bytes(w.doors);
	}
	assert_true(w.finished);
	close_world(&w);
	assert_in_range(most, LONG_BYTES, SOURCES * USUAL_BYTES + 2 * LONG_BYTES + 65536);
	read_spool(&w, &rows);
	assert_int_equal(rows.count, SOURCES * EACH);
	int seen[EACH] = {0};
	STAILQ_FOREACH (m, &rows.list, link) {
		assert_int_equal(m->body_bytes, LONG_BYTES);
		seen[message_body(m)[0] - '0']++;
	}
	for (int i = 0; i < EACH; i++)
		assert_int_equal(seen[i], SOURCES);
	message_list_free(&rows.list);
	remove_folder(&w);
}

/* A turn ends with an answer, or when its owner came to no offer for seconds; whoever asked meanwhile is the next. */
static void one_at_a_time_is_large(void **state)
{
	struct intake i = {.base = event_base_new()};
	const char a, b, c;

	(void)state;
	intake_room_open(&i);
	assert_true(intake_may_be_large(&i, &a));
	assert_true(intake_may_be_large(&i, &a));
	assert_false(evtimer_pending(i.shed, NULL));
	assert_false(intake_may_be_large(&i, &b));
	assert_true(evtimer_pending(i.shed, NULL)); /* it is told to ask again */
	assert_false(intake_may_be_large(&i, &c));
	intake_is_not_large(&i, &c); /* it was neither */
	assert_true(intake_may_be_large(&i, &a));
	intake_is_not_large(&i, &a);
	assert_false(intake_may_be_large(&i, &a)); /* b asked first */
	assert_true(intake_may_be_large(&i, &b));
	intake_is_not_large(&i, &b);
	assert_true(intake_may_be_large(&i, &a));
	intake_is_not_large(&i, &a);
	assert_true(intake_may_be_large(&i, &c));
	/* Its source has no more for now. */
	i.large_ns -= 5 * NS_PER_S - NS_PER_S / 2;
	assert_false(intake_may_be_large(&i, &b));
	i.large_ns -= NS_PER_S / 2;
	intake_is_still_large(&i, &b); /* it is not */
	assert_true(intake_may_be_large(&i, &b));
	assert_false(intake_may_be_large(&i, &c));
	/* On its way: that may take as long as the spool is full. */
	i.large_ns -= 5 * NS_PER_S;
	intake_is_still_large(&i, &b);
	assert_false(intake_may_be_large(&i, &c));
	/* Whoever waits may go as well. */
	intake_is_not_large(&i, &c);
	intake_is_not_large(&i, &b);
	assert_null(i.large);
	assert_null(i.large_next);
	intake_room_close(&i);
	event_base_free(i.base);
}

static void stdin_is_read_to_its_end(void **state)
{
	static const char *const expected[] = {"a", "b", "-", NULL};
	struct world w;
	struct rows rows;
	int pipe_fds[2], saved = dup(STDIN_FILENO);

	(void)state;
	make_folder(&w);
	assert_int_equal(pipe(pipe_fds), 0);
	dup2(pipe_fds[0], STDIN_FILENO);
	open_world(
	    &w, "  stdin:\n    scanner:\n      lines:\n        custom_delimiter: \"--\"\n        omit_empty: true", "");
	assert_int_equal(write(pipe_fds[1], "a--b--", 6), 6);
	turn(&w);
	assert_int_equal(write(pipe_fds[1], "-", 1), 1);
	turn(&w);
	assert_false(w.finished);
	close(pipe_fds[1]);
	run_until_finished(&w);
	close_world(&w);
	dup2(saved, STDIN_FILENO);
	close(saved);
	close(pipe_fds[0]);
	read_spool(&w, &rows);
	assert_bodies(&rows, expected);
	message_list_free(&rows.list);
	remove_folder(&w);
}

static const struct stdin_case {
	const char *scanner, *pieces[4]; /* as they come */
	size_t bytes[4];
	bool is_refused;
} stdin_cases[] = {
    {"", {"\xff\xfeh\0i\0\n\0"}, {8}, true},
    {"", {"\xff", "\xfeh\0\n\0"}, {1, 5}, true},
    {"", {"\xfe", "\xff", "\0h\0\n"}, {1, 1, 4}, true},
    {"", {"\xff"}, {1}, false},
    {"", {"n\0o\0 \0m\0a\0r\0k\0\n\0"}, {16}, true},
    {"", {"\0n\0", "o\0", "\n\0m"}, {3, 2, 3}, true},
    {"", {"\0n\0o\0n\n"}, {7}, false},
    {"", {"n\0o\0 \0mm\n"}, {9}, false},
    {"", {"\xff\n", "\xfe\n"}, {2, 2}, false},
    {"", {"\xef\xbb\xbfh\n"}, {5}, false},
    {"{ to_the_end: {} }", {"\xff\xfeh\0\n\0"}, {6}, false},
    {"{ lines: { custom_delimiter: \"x\" } }", {"\xff\xfeh\0\n\0"}, {6}, true},
    {"{ lines: { custom_delimiter: \"x\" } }", {"a\0b\0c\0d\0x"}, {9}, false},
};

/* Whoever gave it has all of it again, when it stands in a file. */
static void try_stdin(const struct stdin_case *c, bool from_file)
{
	char input[200], path[128];
	struct world w;
	struct rows rows;
	int fds[2], saved = dup(STDIN_FILENO);

	make_folder(&w);
	(void)snprintf(input, sizeof input, "  stdin:\n    scanner: %s", *c->scanner ? c->scanner : "{ lines: {} }");
	(void)snprintf(path, sizeof path, "%s/in", w.folder);
	if (from_file) {
		write_file(path, "", 0);
		fds[0] = open(path, O_RDONLY | O_CLOEXEC);
		fds[1] = open(path, O_WRONLY | O_CLOEXEC);
	} else {
		assert_int_equal(pipe(fds), 0);
	}
	for (size_t i = 0; from_file && i < 4 && c->pieces[i]; i++)
		assert_int_equal(write(fds[1], c->pieces[i], c->bytes[i]), c->bytes[i]);
	dup2(fds[0], STDIN_FILENO);
	open_world(&w, input, "");
	for (size_t i = 0; !from_file && i < 4 && c->pieces[i]; i++) {
		assert_int_equal(write(fds[1], c->pieces[i], c->bytes[i]), c->bytes[i]);
		turn(&w);
	}
	close(fds[1]);
	run_until_finished(&w);
	assert_int_equal(doors_failure(w.doors) != NULL, c->is_refused);
	close_world(&w);
	if (from_file && c->is_refused)
		assert_int_equal(lseek(STDIN_FILENO, 0, SEEK_CUR), 0);
	dup2(saved, STDIN_FILENO);
	close(saved);
	close(fds[0]);
	read_spool(&w, &rows);
	assert_int_equal(rows.count == 0, c->is_refused);
	message_list_free(&rows.list);
	remove_folder(&w);
}

static void utf16_on_stdin_is_refused_before_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof stdin_cases / sizeof *stdin_cases; i++) {
		try_stdin(&stdin_cases[i], false);
		try_stdin(&stdin_cases[i], true);
	}
}

int main(void)
{
	const struct log_options quiet = {.level = LOG_OFF, .fd = 2};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_are_read_in_order_and_finish),
	    cmocka_unit_test(a_missing_file_fails_a_finite_run_after_the_others),
	    cmocka_unit_test(a_kill_at_any_offer_neither_loses_nor_repeats),
	    cmocka_unit_test(a_full_spool_makes_files_wait),
	    cmocka_unit_test(long_messages_of_many_files_come_by_turns),
	    cmocka_unit_test(one_at_a_time_is_large),
	    cmocka_unit_test(stdin_is_read_to_its_end),
	    cmocka_unit_test(utf16_on_stdin_is_refused_before_it_is_cut),
	};

	log_configure(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
