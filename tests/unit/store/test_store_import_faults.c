/*
 * Copies of every kind are taken in while a call of SQLite has no memory, one after the other until none does: that is
 * told, and nothing of the copy is there. Then all of it is, once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig/faultfs.h"
#include "rig/fullspool.h"
#include "rig/verbs.h"

enum { ALL = FULL_MESSAGES + FULL_OTHERS - 1 };

static struct spooldir copy;

static enum err take_in(struct store *s, uint64_t *ret, struct error *e)
{
	return store_import(s, copy.path, false, ret, e);
}

static enum err take_in_again(struct store *s, uint64_t *ret, struct error *e)
{
	return store_import(s, copy.path, true, ret, e);
}

static const struct {
	const char *name, *harm;
} copies[] = {
    {"whole", "SELECT 1"},
    {"no ledger", "DELETE FROM ledger"},
    {"a ledger that is not what was written", "UPDATE ledger SET checksum = 5"},
    {"older", "DROP TABLE losses; ALTER TABLE imports DROP COLUMN checksum; PRAGMA user_version = 9"},
    {"older, without a ledger",
     "DROP TABLE losses; ALTER TABLE imports DROP COLUMN checksum; PRAGMA user_version = 9; DELETE FROM ledger"},
};

static void make_copy(struct spooldir *d, const char *harm)
{
	struct spooldir other;
	struct store *s = full_open(&other);
	struct error e;

	spooldir_make(d);
	assert_int_equal(store_export(s, d->path, &e), ERR_OK);
	life_end(&other, s);
	full_change(d->path, harm);
}

static void a_call_that_fails_is_told_and_nothing_is_taken_in(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
		const struct verb first = {copies[i].name, take_in, ALL}, again = {copies[i].name, take_in_again, ALL};
		struct spooldir d;
		struct store *s = life_begin(&d);

		life_append(s, 5000, 20);
		make_copy(&copy, copies[i].harm);
		try_verb(s, &first, false);
		life_expect(s, 20 + ALL, 0, 20 + ALL - 2, 0);
		if (i == 0) {
			try_verb(s, &again, false);
			life_expect(s, 20 + 2 * ALL, 0, 20 + 2 * ALL - 4, 0);
			assert_int_equal(store_possible_duplicates(s), ALL);
		}
		spooldir_remove(&copy);
		life_end(&d, s);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_call_that_fails_is_told_and_nothing_is_taken_in),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
