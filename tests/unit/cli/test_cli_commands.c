/*
 * The command line: what a command takes is what its help says, what it does not take is a usage fault, and the exit
 * status names what is wrong. Each command runs in a child, with an empty standard input.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/metrics.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/man.h"
#include "cli/spool_place.h"

#define NOWHERE "/nonexistent/kspool-test"

enum { ARGUMENTS_MAX = 8, LINE_MAX_BYTES = 262144 };

static const struct command *find(const char *name)
{
	for (unsigned i = 0; i < command_count; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	fail_msg("there is no command %s", name);
	return NULL;
}

/* Runs one command; what it said on both outputs is in text. Returns its exit status. */
static int run(const char *const *words, char *text)
{
	char *argv[ARGUMENTS_MAX + 1] = {NULL};
	FILE *said = tmpfile();
	int argc = 0, status;
	size_t n;
	pid_t child;

	assert_non_null(said);
	for (; words[argc]; argc++) {
		assert_true(argc < ARGUMENTS_MAX);
		argv[argc] = strdup(words[argc]);
	}
	(void)fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)!freopen("/dev/null", "r", stdin);
		(void)dup2(fileno(said), STDOUT_FILENO);
		(void)dup2(fileno(said), STDERR_FILENO);
		status = find(words[0])->run(argc, argv);
		(void)fflush(stdout);
		_exit(status);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	rewind(said);
	n = fread(text, 1, LINE_MAX_BYTES - 1, said);
	text[n] = '\0';
	(void)fclose(said);
	while (argc > 0)
		free(argv[--argc]);
	return WEXITSTATUS(status);
}

static void assert_says(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static bool is_option_start(const char *text, const char *p)
{
	return *p == '-' && (p == text || strchr(" [|\n", p[-1])) && (p[1] == '-' || (p[1] >= 'a' && p[1] <= 'z'));
}

/* Runs the command with the option that begins at p, with an argument when its help names one. Returns its length. */
static size_t try_option(const struct command *c, const char *p)
{
	size_t n = strspn(p, "-abcdefghijklmnopqrstuvwxyz");
	bool has_argument = p[n] == ' ' && p[n + 1] >= 'A' && p[n + 1] <= 'Z';
	bool is_duration = has_argument && strncmp(p + n + 1, "DURATION", 8) == 0;
	char option[64], text[LINE_MAX_BYTES];
	const char *words[] = {c->name, option, NULL, NULL, NULL};
	size_t at = 2;

	assert_true(n < sizeof option);
	memcpy(option, p, n);
	option[n] = '\0';
	if (has_argument)
		words[at++] = is_duration ? "10m" : NOWHERE;
	words[at] = NOWHERE;
	assert_int_not_equal(run(words, text), EX_OK);
	if (strstr(text, "option"))
		fail_msg("kspool %s %s, which its help names: %s", c->name, option, text);
	return n;
}

static void every_option_of_the_help_is_taken(void **state)
{
	int options = 0;

	(void)state;
	for (unsigned i = 0; i < command_count; i++) {
		const char *const texts[] = {commands[i].arguments, commands[i].notes};

		if (strcmp(commands[i].name, "create") == 0)
			continue; /* it prints; see below */
		for (size_t t = 0; t < 2; t++)
			for (const char *p = texts[t]; *p; p++)
				if (is_option_start(texts[t], p)) {
					p += try_option(&commands[i], p) - 1;
					options++;
				}
	}
	assert_true(options >= 30); /* or the walk above sees none */
}

static void what_create_names_it_prints(void **state)
{
	static const struct {
		const char *option;
		const char *begin;
	} rows[] = {{"--schema", "{"}, {"--man", ".TH KSPOOL 1"}};
	char text[LINE_MAX_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *words[] = {"create", rows[i].option, NULL};

		assert_int_equal(run(words, text), EX_OK);
		assert_int_equal(strncmp(text, rows[i].begin, strlen(rows[i].begin)), 0);
	}
	assert_int_equal(run((const char *[]){"create", "--small", NULL}, text), EX_OK);
	assert_says(text, "aws_kinesis");
}

static void an_option_the_help_does_not_name_is_a_usage_fault(void **state)
{
	char text[LINE_MAX_BYTES], hint[64];

	(void)state;
	for (unsigned i = 0; i < command_count; i++) {
		const char *words[] = {commands[i].name, "--no-such-option", NULL};

		if (strcmp(words[0], "blobl") == 0)
			continue; /* its first argument is a mapping, whatever it looks like */
		assert_int_equal(run(words, text), EX_USAGE);
		(void)snprintf(hint, sizeof hint, "see kspool %s --help", words[0]);
		assert_says(text, hint);
	}
}

static void a_misused_command_says_how(void **state)
{
	static const struct {
		const char *words[ARGUMENTS_MAX];
		const char *says;
	} rows[] = {
	    {{"run", "a", "b"}, "one configuration at most"},
	    {{"run", "-s"}, "requires an argument"},
	    {{"lint"}, "name at least one configuration"},
	    {{"create", "x"}, "takes no argument"},
	    {{"create", "--small", "--man"}, "one option at most"},
	    {{"run", "--nope"}, "unknown option --nope"},
	    {{"put", "a", "b"}, "one file at most"},
	    {{"put", "--whole", "--framed"}, "--whole and --framed are two forms"},
	    {{"status", "-c", "a", "--spool", "b"}, "-c and --spool name two spools"},
	    {{"check", "-c", "a", "--spool", "b"}, "-c and --spool name two spools"},
	    {{"status", "x"}, "takes no argument"},
	    {{"drain", "x"}, "takes no argument"},
	    {{"drain", "--timeout", "5x"}, "duration like 10m"},
	    {{"drain", "--timeout", "-1s"}, "duration like 10m"},
	    {{"dead"}, "list, show, retry or purge"},
	    {{"dead", "eat"}, "list, show, retry or purge"},
	    {{"dead", "show"}, "needs the id of a message"},
	    {{"dead", "retry", "0"}, "needs the id of a message or --all"},
	    {{"dead", "retry", "1x"}, "needs the id of a message or --all"},
	    {{"dead", "list", "--all"}, "--all is for retry and purge"},
	    {{"dead", "show", "--all"}, "--all is for retry and purge"},
	    {{"dead", "list", "1"}, "too many arguments"},
	    {{"dead", "retry", "1", "2"}, "too many arguments"},
	    {{"export"}, "name the file to write"},
	    {{"export", "a", "b"}, "name the file to write"},
	    {{"import"}, "name the copy to read"},
	    {{"check", "x"}, "takes no argument"},
	    {{"repair", "x"}, "takes no argument"},
	    {{"blobl"}, "give a mapping"},
	    {{"blobl", "root = this", "a", "b"}, "at most one file"},
	    {{"list", "sources"}, "there is no kind sources"},
	    {{"list", "functions", "inputs"}, "there is no kind functions"},
	    {{"whoami", "a", "b"}, "one configuration at most"},
	};
	char text[LINE_MAX_BYTES], name[64];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(run(rows[i].words, text), EX_USAGE);
		assert_says(text, rows[i].says);
		(void)snprintf(name, sizeof name, "kspool %s: ", rows[i].words[0]);
		assert_says(text, name);
	}
}

static void the_exit_status_names_what_is_wrong(void **state)
{
	static const struct {
		const char *words[ARGUMENTS_MAX];
		int status;
		const char *says;
	} rows[] = {
	    {{"run", NOWHERE}, EX_NOINPUT, NOWHERE},
	    {{"whoami", NOWHERE}, EX_NOINPUT, NOWHERE},
	    {{"status", "-c", NOWHERE}, EX_NOINPUT, NOWHERE},
	    {{"lint", NOWHERE}, 1, NOWHERE "(1,1)"},
	    {{"status", "--spool", NOWHERE}, EX_UNAVAILABLE, "no daemon answers at " NOWHERE ".sock"},
	    {{"drain", "--spool", NOWHERE}, EX_UNAVAILABLE, "no daemon answers"},
	    {{"put", "--socket", NOWHERE}, EX_UNAVAILABLE, "nothing was stored"},
	    {{"put", "--socket", NOWHERE, NOWHERE}, EX_NOINPUT, NOWHERE},
	    {{"dead", "list", "--spool", NOWHERE}, EX_NOPERM, "folder /nonexistent is missing"},
	    {{"dead", "purge", "--all", "--spool", NOWHERE}, EX_TEMPFAIL, "nothing was purged"},
	    {{"export", "--spool", NOWHERE, "x"}, EX_NOPERM, "folder /nonexistent is missing"},
	    {{"check", "--spool", NOWHERE}, EX_NOPERM, "folder /nonexistent is missing"},
	    {{"repair", "--spool", NOWHERE}, EX_NOPERM, "folder /nonexistent is missing"},
	    {{"blobl", "root = this", NOWHERE}, EX_NOINPUT, NOWHERE},
	    {{"blobl", "root = "}, EX_DATAERR, "kspool blobl: "},
	    {{"blobl", "root = this"}, EX_OK, ""},
	    {{"list", "functions"}, EX_OK, "uuid_v4"},
	};
	char text[LINE_MAX_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int status = run(rows[i].words, text);

		if (status != rows[i].status)
			fail_msg("kspool %s %s: status %d, not %d: %s", rows[i].words[0], rows[i].words[1], status,
			         rows[i].status, text);
		if (strcmp(rows[i].words[0], "list") != 0) /* a long list is not read to its end here */
			assert_says(text, rows[i].says);
	}
}

static int read_words(const struct command_option *options, size_t count, const char *const *words)
{
	char *argv[ARGUMENTS_MAX + 1] = {NULL};
	int argc = 0, status;

	for (; words[argc]; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc];
	status = command_read_options(argc, argv, options, count);
	return status == EX_OK ? argc - optind : -status;
}

static void options_go_where_their_rows_say(void **state)
{
	const char *text = NULL, *items[2];
	struct command_list list = {.items = items, .most = 2};
	bool flag = false, other = false;
	int form = 0;
	const struct command_option options[] = {
	    {"text", 't', .text = &text},         {"flag", .flag = &flag},
	    {"other", 'o', .flag = &other},       {"one", .choice = &form, .value = 1},
	    {"two", .choice = &form, .value = 2}, {"set", 's', .list = &list},
	};
	size_t n = sizeof options / sizeof *options;

	(void)state;
	assert_int_equal(read_words(options, n, (const char *[]){"x", "a", "-t", "T", "--flag", "b", NULL}), 2);
	assert_string_equal(text, "T");
	assert_true(flag);
	assert_false(other);
	assert_int_equal(read_words(options, n, (const char *[]){"x", "--one", "--two", "--text=U", NULL}), 0);
	assert_int_equal(form, 2);
	assert_string_equal(text, "U");
	assert_int_equal(read_words(options, n, (const char *[]){"x", "-s", "1", "--set", "2", "--", "-o", NULL}), 1);
	assert_int_equal(list.count, 2);
	assert_string_equal(items[1], "2");
	assert_false(other);
	assert_int_equal(read_words(options, n, (const char *[]){"x", "-s", "3", NULL}), -EX_USAGE);
	assert_int_equal(list.count, 2);
	assert_int_equal(read_words(options, n, (const char *[]){"x", "-q", NULL}), -EX_USAGE);
}

static void place_of(const char *yaml, const char *path, const char *control)
{
	char file[] = "/tmp/kspool-test-place-XXXXXX";
	struct spool_place place = {0};
	struct error e = {.code = ERR_OK};
	int fd = mkstemp(file);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, yaml, strlen(yaml)), (ssize_t)strlen(yaml));
	(void)close(fd);
	place.config_path = file;
	assert_int_equal(spool_place_find(&place, &e), ERR_OK);
	(void)unlink(file);
	assert_string_equal(place.path, path);
	assert_string_equal(place.control, control);
	spool_place_fini(&place);
}

#define OUTPUT \
	"input:\n  stdin: {}\noutput:\n  aws_kinesis:\n    stream: s\n    partition_key: k\n    region: us-east-1\n"

static void a_spool_is_found_by_its_path_or_its_configuration(void **state)
{
	struct spool_place place = {.spool_path = "some/spool.db"};
	struct error e = {.code = ERR_OK};

	(void)state;
	assert_int_equal(spool_place_find(&place, &e), ERR_OK);
	assert_string_equal(place.path, "some/spool.db");
	assert_string_equal(place.control, "some/spool.db.sock");
	assert_null(place.config);
	spool_place_fini(&place);
	place_of(OUTPUT "buffer:\n  sqlite:\n    path: /x/y.db\n", "/x/y.db", "/x/y.db.sock");
	place_of(OUTPUT "buffer:\n  sqlite:\n    path: y.db\n", "y.db", "./y.db.sock");
	place_of(OUTPUT "buffer:\n  sqlite:\n    path: /x/y.db\nkspool:\n  control: /run/z\n", "/x/y.db", "/run/z");
	place_of(OUTPUT "buffer:\n  sqlite:\n    path: /x/y.db\nkspool:\n  control: z\n", "/x/y.db", "./z");
}

static void the_manual_names_every_command_and_metric(void **state)
{
	char line[128];
	struct buf out;

	(void)state;
	buf_init(&out, 4 << 20);
	man_print(&out);
	assert_int_equal(buf_add_char(&out, '\0'), ERR_OK);
	for (unsigned i = 0; i < command_count; i++) {
		(void)snprintf(line, sizeof line, "\n.SS \"kspool %s ", commands[i].name);
		assert_says(out.data, line);
	}
	for (int m = 0; m < METRIC_COUNT; m++) {
		(void)snprintf(line, sizeof line, "\n.B %s\n", metric_info((enum metric)m)->name);
		assert_says(out.data, line);
	}
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_option_of_the_help_is_taken),
	    cmocka_unit_test(what_create_names_it_prints),
	    cmocka_unit_test(an_option_the_help_does_not_name_is_a_usage_fault),
	    cmocka_unit_test(a_misused_command_says_how),
	    cmocka_unit_test(the_exit_status_names_what_is_wrong),
	    cmocka_unit_test(options_go_where_their_rows_say),
	    cmocka_unit_test(a_spool_is_found_by_its_path_or_its_configuration),
	    cmocka_unit_test(the_manual_names_every_command_and_metric),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
