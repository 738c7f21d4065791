/* The ledger's page as it was at the stop before, while rows came to stand lower than it knows: nothing is taken away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "rig/lives.h"
#include "store/store_damage.h"

enum { ROWS = 60, LATER = 40, EARLIER = 10, FAILED = 11, PAGE = 4096 };

/* Messages that failed stand alone, below those that came later. */
static void fail_some(struct store *s, uint64_t first)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t id = first; id < first + FAILED; id++) {
		const struct store_settlement x = {.id = id,
		                                   .kind = SETTLE_RETRY,
		                                   .attempts = 9,
		                                   .wait_ms = 600000,
		                                   .code = "a",
		                                   .reason = mem_string("b")};

		assert_int_equal(store_settle(s, &x, 1, &e), ERR_OK);
		free(x.reason);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static void exchange(const struct spooldir *d, size_t root, const unsigned char *page)
{
	size_t bytes;
	unsigned char *data = spooldir_load(d->path, &bytes);

	assert_true(root * PAGE <= bytes);
	memcpy(data + (root - 1) * PAGE, page, PAGE);
	spooldir_store(d->path, data, bytes);
	free(data);
}

static void what_came_to_stand_lower_stays(void **state)
{
	const bool *repairs = *state;
	struct store_report report;
	struct spooldir d;
	struct store *s = life_begin(&d);
	unsigned char *data, page[PAGE];
	size_t bytes, root;

	life_append(s, 0, ROWS);
	fail_some(s, LATER);
	life_settle(s, 1, 2); /* now the ledger says from where on rows stand */
	root = (size_t)life_number(s, "SELECT rootpage FROM sqlite_schema WHERE name = 'ledger'");
	life_close(s);
	data = spooldir_load(d.path, &bytes);
	memcpy(page, data + (root - 1) * PAGE, PAGE);
	free(data);
	s = life_open(&d, NULL);
	fail_some(s, EARLIER);
	life_settle(s, ROWS - 1, ROWS);
	life_close(s);
	exchange(&d, root, page);
	assert_true(life_problems(&d, NULL, 0) > 0);
	if (*repairs) {
		struct error e;
		struct buf out;

		buf_init(&out, 1 << 16);
		if (store_repair(d.path, &(const struct store_repair){0}, &out, &e) != ERR_OK)
			fail_msg("%s: %s", e.text, out.data);
		buf_fini(&out);
	}
	for (int start = 0; start < 2; start++) {
		s = life_open(&d, &report);
		assert_int_equal(life_number(s, "SELECT count(*) FROM messages"), 2 * FAILED);
		assert_int_equal(store_ledger(s)->accepted, ROWS);
		assert_int_equal(store_ledger(s)->pending, ROWS - 4);
		assert_int_equal(store_ledger(s)->damaged, 0);
		life_close(s);
	}
	assert_int_equal(life_problems(&d, NULL, 0), 0);
	spooldir_remove(&d);
}

int main(void)
{
	static bool repairs[] = {false, true};
	const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(what_came_to_stand_lower_stays, &repairs[0]),
	                                   cmocka_unit_test_prestate(what_came_to_stand_lower_stays, &repairs[1])};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
