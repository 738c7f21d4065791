/* Without memory a process ends at once, with a word and the status of ERR_MEMORY. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"

static void had_none(void) { mem_exhausted(); }

static void was_given_none(void) { (void)mem_given(NULL); }

static void it_ends_with_a_word(void **state)
{
	static void (*const ways[])(void) = {had_none, was_given_none};

	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		char said[200] = "";
		int status, out[2];
		pid_t child;

		assert_int_equal(pipe(out), 0);
		child = fork();
		if (child == 0) {
			(void)dup2(out[1], 2);
			ways[i]();
			_exit(EX_OK);
		}
		assert_int_equal(close(out[1]), 0);
		assert_true(read(out[0], said, sizeof said - 1) > 0);
		assert_int_equal(close(out[0]), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EX_OSERR);
		assert_non_null(strstr(said, "level=fatal msg=\"out of memory\""));
	}
}

static void what_was_made_is_what_is_given(void **state)
{
	char *p = mem_given(mem_alloc(0));

	(void)state;
	p = mem_resize(p, 6);
	memcpy(p, "hello", 6);
	p = mem_resize(p, 100000);
	assert_string_equal(p, "hello");
	p = mem_resize(p, 0);
	assert_non_null(p);
	free(p);
}

struct giver {
	unsigned asked, gives_at;
};

static bool wait_for_it(void *arg)
{
	struct giver *g = arg;

	if (++g->asked == g->gives_at)
		budget_give(80);
	return g->asked < 5;
}

/* Who may not refuse asks until there is room, nobody says that there will be, or it never could be. */
static void a_thread_may_wait_for_its_budget(void **state)
{
	static const struct {
		unsigned gives_at;
		uint64_t bytes;
		bool leaves, may;
		unsigned asked;
	} cases[] = {
	    {3, 50, false, true, 3}, {9, 50, false, false, 5}, {1, 101, false, false, 0},
	    {1, 50, true, false, 0}, {9, 20, false, true, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct giver giver = {.gives_at = cases[i].gives_at};

		budget_open(100);
		assert_true(budget_take(80, false));
		budget_wait_by(wait_for_it, &giver);
		assert_int_equal(budget_take(cases[i].bytes, cases[i].leaves), cases[i].may);
		assert_int_equal(giver.asked, cases[i].asked);
		budget_wait_by(NULL, NULL);
		budget_give(budget_taken());
	}
	budget_open(0);
}

/* What a shell makes of it is what it was. */
static void a_word_is_one_to_a_shell(void **state)
{
	static const char *const words[][2] = {
	    {"/var/lib/kspool/spool.db", "/var/lib/kspool/spool.db"},
	    {"", "''"},
	    {"~root", "'~root'"},
	    {"a b", "'a b'"},
	    {"$(id)`id`;&|<>*?\"\\", "'$(id)`id`;&|<>*?\"\\'"},
	    {"it's", "'it'\\''s'"},
	    {"\xc3\xa9", "'\xc3\xa9'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		char *word = mem_shell_word(words[i][0]);

		assert_string_equal(word, words[i][1]);
		free(word);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_ends_with_a_word),
	    cmocka_unit_test(a_word_is_one_to_a_shell),
	    cmocka_unit_test(what_was_made_is_what_is_given),
	    cmocka_unit_test(a_thread_may_wait_for_its_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
