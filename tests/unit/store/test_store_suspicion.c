/* What an open spool notes of its files, to be held against what is there later; and how often it suspects itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rig/lives.h"
#include "store/store_internal.h"

static int64_t bytes_of(const struct spooldir *d)
{
	struct stat st;

	assert_int_equal(stat(d->path, &st), 0);
	return (int64_t)st.st_size;
}

/* Each checkpoint notes how long the database is: one that is as long as it once was is cut. */
static void a_database_cut_to_what_it_was_is_noticed(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e = {.code = ERR_OK};
	int64_t before;
	bool lost;

	(void)state;
	life_append(s, 0, 10);
	life_checkpoint(s);
	before = bytes_of(&d);
	life_append(s, 10, 200);
	life_checkpoint(s);
	assert_true(bytes_of(&d) > before);
	assert_int_equal(store_watch_names(s, &lost, &e), ERR_OK);
	assert_int_equal(truncate(d.path, before), 0);
	assert_int_equal(store_watch_names(s, &lost, &e), ERR_DISK);
	assert_false(lost);
	assert_non_null(strstr(e.text, "was cut short while kspool had it open"));
	store_abandon(s);
	spooldir_remove(&d);
}

/* The first time at once, and not again for a while: what is damaged is met at each read of it. */
static void it_suspects_itself_once_in_a_while(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);

	(void)state;
	assert_false(store_mend_is_due(s));
	store_suspect(s);
	assert_true(store_mend_is_due(s));
	s->mend_is_due = false;
	store_suspect(s);
	assert_false(store_mend_is_due(s));
	s->suspected_ms -= INT32_MAX;
	store_suspect(s);
	assert_true(store_mend_is_due(s));
	life_end(&d, s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_database_cut_to_what_it_was_is_noticed),
	    cmocka_unit_test(it_suspects_itself_once_in_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
