/*
 * Verbs that meet rows which are not what was written, or tell of what is gone, while a call of SQLite has no memory:
 * it is told, and the spool is as it was (rig/verbs.h). Then each does what it must.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig/faultfs.h"
#include "rig/verbs.h"
#include "store/store_salvage_internal.h"

enum { ROWS = 40 };

static enum err read_all(struct store *s, uint64_t *ret, struct error *e)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint32_t count = 0;
	uint64_t last;
	const enum err err = store_read(s, 0, 1000, UINT64_MAX, &list, &count, &last, e);

	message_list_free(&list);
	*ret = count;
	return err;
}

static enum err read_due(struct store *s, uint64_t *ret, struct error *e)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint32_t count = 0;
	const enum err err = store_read_due(s, INT64_MAX, 1000, UINT64_MAX, NULL, NULL, &list, &count, e);

	message_list_free(&list);
	*ret = count;
	return err;
}

static enum err is_one_pending(struct store *s, uint64_t *ret, struct error *e)
{
	bool first, second = false;
	enum err err = store_is_pending(s, 2, &first, e);

	if (err == ERR_OK)
		err = store_is_pending(s, 3, &second, e);
	*ret = (uint64_t)first + 2 * (uint64_t)second;
	return err;
}

static enum err move_damaged_of_shelf(struct store *s, uint64_t *ret, struct error *e)
{
	*ret = 0;
	return store_dead_move_damaged(s, e);
}

static enum err tell_what_is_gone(struct store *s, uint64_t *ret, struct error *e)
{
	struct store_report report = {0};
	const enum err err = store_mend(s, true, &report, e);

	*ret = strlen(report.warning) > 0;
	return err;
}

static enum err count_positions_gone(struct store *s, uint64_t *ret, struct error *e)
{
	return store_rows_gone(s, ret, e);
}

static enum err be_told_of_positions(struct store *s, uint64_t *ret, struct error *e)
{
	*ret = 0;
	return store_rows_told(s, e);
}

static enum err stamp_and_append(struct store *s, uint64_t *ret, struct error *e)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct message *m = spooldir_message(77, 100);
	enum err err = store_begin(s, e);

	STAILQ_INSERT_TAIL(&list, m, link);
	if (err == ERR_OK)
		err = store_clock_stamp(s, &list, e);
	if (err == ERR_OK)
		err = store_admit(s, &list, 0, e);
	if (err == ERR_OK)
		err = store_append_list(s, &list, e);
	if (err == ERR_OK)
		err = store_commit(s, e);
	message_list_free(&list);
	*ret = 0;
	return err;
}

static enum err look_for_files(struct store *s, uint64_t *ret, struct error *e)
{
	uint64_t first, last;
	bool more = true;
	enum err err;

	s->salvage_is_done = false;
	err = store_salvage(s, 10, &first, &last, &more, e);
	*ret = more;
	return err;
}

static const struct {
	const char *before; /* it */
	struct verb verb;
} verbs[] = {
    {"SELECT 1", {"see whether one waits", is_one_pending, 2}},
    {"UPDATE messages SET checksum = 5 WHERE id = 9", {"read past a damaged row", read_due, 0}},
    {"UPDATE blocks SET checksum = 5 WHERE id = 21", {"read past a damaged block", read_all, 20 - 3}},
    {"SELECT 1", {"read what it was taken apart into", read_all, 40 - 3}},
    {"UPDATE dead SET checksum = 5 WHERE id = 15", {"move a damaged one off the shelf", move_damaged_of_shelf, 0}},
    {"UPDATE partial SET settled = 100 WHERE block_id = 11", {"mend a mark", tell_what_is_gone, 1}},
    {"DELETE FROM positions WHERE key = 'a'", {"tell of a position", tell_what_is_gone, 1}},
    {"SELECT 1", {"count what is gone", count_positions_gone, 1}},
    {"SELECT 1", {"be told of it", be_told_of_positions, 0}},
    {"SELECT 1", {"count it once more", count_positions_gone, 0}},
    {"DELETE FROM cache", {"tell of keys", tell_what_is_gone, 1}},
    {"SELECT 1", {"stamp and append", stamp_and_append, 0}},
    {"INSERT INTO salvage VALUES ('expected', 3, 0, 0, side_sum(9, 'expected', 3, 0, 0))",
     {"expect nothing any more", look_for_files, 0}},
    {"INSERT INTO salvage VALUES ('uncounted', 45, 0, 1, side_sum(9, 'uncounted', 45, 0, 1))",
     {"count what nobody counted", look_for_files, 0}},
    {"INSERT INTO salvage VALUES ('bad:x', 3, 0, 0, 5)", {"clear a wrong note away", look_for_files, 0}},
};

static void fill(struct store *s)
{
	struct error e;
	bool is_new;

	life_append(s, 0, ROWS);
	life_settle(s, 2, 2);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t id = 9; id <= 15; id += 6)
		assert_int_equal(store_settle(s,
		                              &(struct store_settlement){.id = id,
		                                                         .kind = id == 9 ? SETTLE_RETRY : SETTLE_DEAD,
		                                                         .attempts = 3,
		                                                         .wait_ms = 5000,
		                                                         .code = "x"},
		                              1, &e),
		                 ERR_OK);
	assert_int_equal(store_position_put(s, "a", "1", &e), ERR_OK);
	assert_int_equal(store_position_put(s, "b", "2", &e), ERR_OK);
	assert_int_equal(store_cache_add(s, "c", "k", 1, 1000000, &is_new, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static void a_call_that_fails_beside_harm_is_told_and_leaves_nothing(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);

	(void)state;
	fill(s);
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		life_sql(s, verbs[i].before);
		try_verb(s, &verbs[i].verb, false);
	}
	life_end(&d, s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_call_that_fails_beside_harm_is_told_and_leaves_nothing),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
