/*
 * A repair of a spool with a wrong row, a wrong block and more, while the n-th call of SQLite fails, n = 1, 2, ...
 * until none does: it says so, moves nothing twice, and the next repair ends where one without a fault does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/faultpoints.h"
#include "rig/faultsql.h"
#include "rig/fullspool.h"
#include "store/upkeep/store_upkeep.h"

enum { EACH = 5 }; /* of so many one is repaired again */

static void make(struct spooldir *d)
{
	struct store *s = full_open(d);

	life_sql(s, "UPDATE messages SET checksum = checksum + 1 WHERE id = 5;"
	            "UPDATE blocks SET checksum = checksum + 1 WHERE id = 11;"
	            "UPDATE blocks SET route = 'x' WHERE id = 21;"
	            "UPDATE failures SET checksum = checksum + 1 WHERE id = 6;"
	            "UPDATE positions SET checksum = checksum + 1");
	life_close(s);
}

static enum err repair(const struct spooldir *d, uint64_t n, int code, struct buf *out, struct error *e)
{
	enum err err;

	*e = (struct error){0};
	buf_init(out, 1 << 20);
	faultsql_arm(n, code, false);
	err = store_repair(d->path, &(struct store_repair){0}, out, e);
	assert_int_equal(buf_add_char(out, '\0'), ERR_OK);
	return err;
}

static struct store_ledger ledger_of(const struct spooldir *d)
{
	struct store *s = life_open(d, NULL);
	const struct store_ledger l = *store_ledger(s);

	life_close(s);
	return l;
}

/* *ret_tried: it met the fault; n FAULTPOINTS_NONE: none is made, and what could fail is noted. */
static void repair_twice(const struct spooldir *from, uint64_t n, struct store_ledger *want, bool *ret_tried)
{
	struct store_ledger got;
	struct spooldir d;
	struct error e;
	struct buf out;
	enum err err;

	spooldir_make(&d);
	spooldir_copy(from, &d);
	if (n == FAULTPOINTS_NONE)
		faultpoints_note();
	err = repair(&d, n, SQLITE_IOERR_READ, &out, &e);
	*ret_tried = faultsql_failed();
	if (n == FAULTPOINTS_NONE)
		faultpoints_end_firsts();
	ERRORWATCH_EXPECT(err, &e, (char *)out.data, faultsql_what(), n);
	assert_true(err == ERR_OK || *ret_tried);
	buf_fini(&out);
	if (n == FAULTPOINTS_NONE || n % EACH == 0) {
		err = repair(&d, 0, 0, &out, &e);
		if (err != ERR_OK)
			fail_msg("call %u: %s", (unsigned)n, e.text);
		buf_fini(&out);
		got = ledger_of(&d);
		if (n == FAULTPOINTS_NONE)
			*want = got;
		assert_memory_equal(&got, want, sizeof got);
	}
	faultsql_arm(0, 0, false);
	spooldir_remove(&d);
}

static void a_call_that_fails_is_told(void **state)
{
	struct spooldir from;
	struct store_ledger want;
	bool tried;

	(void)state;
	make(&from);
	repair_twice(&from, FAULTPOINTS_NONE, &want, &tried);
	assert_true(want.damaged > 0 && faultpoints_count() > 100);
	for (uint64_t n = faultpoints_next(0); n == 1 || tried; n = faultpoints_next(n))
		repair_twice(&from, n, &want, &tried);
	spooldir_remove(&from);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(a_call_that_fails_is_told)};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
