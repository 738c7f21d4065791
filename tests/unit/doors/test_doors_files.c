/* Files as their owners treat them: they grow, are renamed, cut, rewritten, not there yet, or not quite text. */
#include "rig/doors_world.h"

#define FILES "  file:\n    paths: [ \"@/*.log\", \"@/*.log.1\" ]\n    last_line_after: 1h"

static void put_file(struct world *w, const char *name, const char *text, size_t length)
{
	char *path = mem_format("%s/%s", w->folder, name);

	write_file(path, text, length);
	free(path);
}

static void append(struct world *w, const char *name, const char *text, size_t length)
{
	char *path = mem_format("%s/%s", w->folder, name);
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	assert_int_equal(write(fd, text, length), length);
	close(fd);
	free(path);
}

static void rename_file(struct world *w, const char *from, const char *to)
{
	char *old = mem_format("%s/%s", w->folder, from);
	char *new = mem_format("%s/%s", w->folder, to);

	assert_int_equal(rename(old, new), 0);
	free(old);
	free(new);
}

static void run_once(struct world *w, const char *input)
{
	open_world(w, input, "");
	run_until_finished(w);
	close_world(w);
}

static void assert_spool(struct world *w, const char *const *bodies)
{
	struct rows rows;

	read_spool(w, &rows);
	assert_bodies(&rows, bodies);
	message_list_free(&rows.list);
}

static void a_renamed_file_goes_on_and_its_successor_begins(void **state)
{
	static const char *const expected[] = {"a1", "a2", "b1", "a3", NULL};
	struct world w;

	(void)state;
	make_folder(&w);
	put_file(&w, "app.log", "a1\na2\n", 6);
	run_once(&w, FILES);
	append(&w, "app.log", "a3\n", 3);
	rename_file(&w, "app.log", "app.log.1");
	put_file(&w, "app.log", "b1\n", 3);
	run_once(&w, FILES);
	run_once(&w, FILES); /* and nothing again */
	assert_spool(&w, expected);
	remove_folder(&w);
}

/* Whatever the length of what both have in common at their heads. */
static void a_rewritten_file_is_read_from_its_start(void **state)
{
	static const size_t heads[] = {10, 1000, 1023, 1024, 1025, 5000};
	struct world w;

	(void)state;
	for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
		char *text = mem_zero(heads[i] + 64);
		struct rows rows;

		make_folder(&w);
		memset(text, 'h', heads[i]);
		memcpy(text + heads[i], "\nday1\n", 6);
		put_file(&w, "a.log", text, heads[i] + 6);
		run_once(&w, FILES);
		memcpy(text + heads[i], "\nday2\nmore\n", 11);
		put_file(&w, "a.log", text, heads[i] + 11); /* the same inode, and longer than what was read */
		run_once(&w, FILES);
		read_spool(&w, &rows);
		assert_int_equal(rows.count, 5);
		message_list_free(&rows.list);
		remove_folder(&w);
		free(text);
	}
}

static void a_line_waits_for_its_end(void **state)
{
	static const char *const expected[] = {"whole", "begun and done", NULL};
	struct world w;

	(void)state;
	make_folder(&w);
	put_file(&w, "a.log", "whole\nbegun ", 12);
	open_world(&w, FILES, "");
	for (int i = 0; i < 50; i++)
		turn(&w);
	assert_false(w.finished);
	append(&w, "a.log", "and ", 4);
	for (int i = 0; i < 100; i++)
		turn(&w);
	assert_false(w.finished);
	close_world(&w); /* stopped while it waits: it stays unread */
	append(&w, "a.log", "done\n", 5);
	run_once(&w, FILES);
	assert_spool(&w, expected);
	remove_folder(&w);
}

static void a_quiet_file_gives_its_last_line_marked(void **state)
{
	static const char *const expected[] = {"whole", "begun", NULL};
	struct world w;
	struct rows rows;
	char path[128];

	(void)state;
	make_folder(&w);
	snprintf(path, sizeof path, "%s/a.log", w.folder);
	put_file(&w, "a.log", "whole\nbegun", 11);
	let_rest(path);
	run_once(&w, FILES);
	read_spool(&w, &rows);
	assert_bodies(&rows, expected);
	assert_meta(STAILQ_FIRST(&rows.list), "unfinished", NULL);
	assert_meta(STAILQ_NEXT(STAILQ_FIRST(&rows.list), link), "unfinished", "true");
	message_list_free(&rows.list);
	remove_folder(&w);
}

static void a_whole_that_grew_comes_again_whole(void **state)
{
	static const char input[] = "  file:\n    paths: [ \"@/a.log\" ]\n    scanner: { to_the_end: {} }";
	static const char *const expected[] = {"one\n", "one\ntwo\n", NULL};
	struct world w;
	char path[128];

	(void)state;
	make_folder(&w);
	snprintf(path, sizeof path, "%s/a.log", w.folder);
	put_file(&w, "a.log", "one\n", 4);
	let_rest(path);
	run_once(&w, input);
	run_once(&w, input);
	append(&w, "a.log", "two\n", 4);
	let_rest(path);
	run_once(&w, input);
	assert_spool(&w, expected);
	remove_folder(&w);
}

static void marks_and_holes_are_no_text(void **state)
{
	static const char *const expected[] = {"first", "second", "\xef\xbb\xbfinner", "third", "last", NULL};
	static const char text[] = "\xef\xbb\xbf"
	                           "first\n\0\0\0second\n\xef\xbb\xbfinner\nthird\n";
	static const char zeros[3000000];
	struct world w;

	(void)state;
	make_folder(&w);
	put_file(&w, "a.log", text, sizeof text - 1);
	append(&w, "a.log", zeros, sizeof zeros); /* larger than a block, and nothing behind it yet */
	run_once(&w, FILES);
	append(&w, "a.log", "last\n", 5);
	run_once(&w, FILES);
	assert_spool(&w, expected);
	remove_folder(&w);
}

/* What was allocated ahead is written later, in its place. */
static void a_hole_is_filled_later(void **state)
{
	static const char *const expected[] = {"one", "two", NULL};
	struct world w;
	char path[128];
	int fd;

	(void)state;
	make_folder(&w);
	snprintf(path, sizeof path, "%s/a.log", w.folder);
	put_file(&w, "a.log", "one\n\0\0\0\0\0\0\0\0", 12);
	run_once(&w, FILES);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "two\n", 4, 4), 4);
	close(fd);
	run_once(&w, FILES);
	assert_spool(&w, expected);
	remove_folder(&w);
}

static void utf16_is_refused_by_name(void **state)
{
	static const char *const expected[] = {"good", NULL};
	struct world w;

	(void)state;
	make_folder(&w);
	put_file(&w, "a.log", "\xff\xfeh\0i\0\n\0", 8);
	put_file(&w, "b.log", "\xfe\xff\0h\0\n", 6);
	put_file(&w, "b2.log", "n\0o\0 \0m\0a\0r\0k\0\n\0", 16);
	put_file(&w, "b3.log", "\0n\0o\0\n\0m", 8);
	put_file(&w, "c.log", "good\n", 5);
	open_world(&w, FILES, "");
	run_until_finished(&w);
	assert_non_null(doors_failure(w.doors));
	close_world(&w);
	assert_spool(&w, expected);
	remove_folder(&w);
}

#define BESIDE "  broker:\n    inputs:\n      - file: { paths: [ \"@/plain\", \"@/logs/*\" ] }\n"

static void what_is_not_there_yet_is_waited_for(void **state)
{
	static const char *const expected[] = {"a", "late", NULL};
	static const char input[] = BESIDE "      - socket_server: { network: tcp, address: \"127.0.0.1:0\" }";
	struct world w;
	int64_t end;
	char *path;

	(void)state;
	make_folder(&w);
	path = mem_format("%s/logs", w.folder);
	assert_int_equal(mkdir(path, 0700), 0);
	free(path);
	put_file(&w, "logs/a", "a\n", 2);
	path = mem_format("%s/logs/dangling", w.folder);
	assert_int_equal(symlink("nowhere", path), 0);
	free(path);
	path = mem_format("%s/logs/pipe", w.folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	free(path);
	open_world(&w, input, "");
	for (end = clock_mono_ms() + 5000; !doors_trouble(w.doors, 0) && clock_mono_ms() < end;)
		turn(&w);
	assert_non_null(strstr(doors_trouble(w.doors, 0), "/plain"));
	assert_null(doors_trouble(w.doors, 1));
	doors_resume(w.doors); /* as the daemon does each second: it counts */
	assert_int_equal(metric_get(M_INPUTS_DOWN), 1);
	put_file(&w, "plain", "late\n", 5);
	for (end = clock_mono_ms() + 10000; doors_trouble(w.doors, 0) && clock_mono_ms() < end;)
		turn(&w);
	assert_null(doors_trouble(w.doors, 0));
	for (int i = 0; i < 50; i++)
		turn(&w);
	assert_false(w.finished);
	close_world(&w);
	assert_spool(&w, expected);
	remove_folder(&w);
}

int main(void)
{
	const struct log_options quiet = {.level = LOG_OFF, .fd = 2};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_renamed_file_goes_on_and_its_successor_begins),
	    cmocka_unit_test(a_rewritten_file_is_read_from_its_start),
	    cmocka_unit_test(a_line_waits_for_its_end),
	    cmocka_unit_test(a_quiet_file_gives_its_last_line_marked),
	    cmocka_unit_test(a_whole_that_grew_comes_again_whole),
	    cmocka_unit_test(marks_and_holes_are_no_text),
	    cmocka_unit_test(a_hole_is_filled_later),
	    cmocka_unit_test(utf16_is_refused_by_name),
	    cmocka_unit_test(what_is_not_there_yet_is_waited_for),
	};

	log_configure(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
