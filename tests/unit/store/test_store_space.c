/* Full disks, without filling one: this program's fstatvfs says what is free. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/statvfs.h>

#include "rig/spooldir.h"

static uint64_t free_mib = 1000;

/* In the place of the C library's. */
int fstatvfs(int fd, struct statvfs *ret)
{
	(void)fd;
	memset(ret, 0, sizeof *ret);
	ret->f_bsize = ret->f_frsize = 1 << 20;
	ret->f_blocks = 1 << 20;
	ret->f_bfree = ret->f_bavail = free_mib;
	return 0;
}

static enum err admission_at(struct store *s, uint64_t mib)
{
	struct error e;

	free_mib = mib;
	assert_int_equal(store_checkpoint(s, true, &e), ERR_OK); /* after it the disk is looked at anew */
	return store_admission(s, &e);
}

static void a_full_disk_is_full_until_a_tenth_more_is_free(void **state)
{
	struct store_options o;
	struct spooldir d;
	struct store *s = NULL;
	struct error e;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	o.min_free_bytes = UINT64_C(100) << 20;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	assert_int_equal(admission_at(s, 101), ERR_OK);
	assert_int_equal(admission_at(s, 99), ERR_FULL);
	assert_int_equal(admission_at(s, 101), ERR_FULL);
	assert_int_equal(admission_at(s, 109), ERR_FULL);
	assert_int_equal(admission_at(s, 111), ERR_OK);
	assert_int_equal(admission_at(s, 101), ERR_OK);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

static void fill_and_empty(struct store *s, uint64_t messages, uint32_t bytes)
{
	struct store_settlements *g = store_settlements_new((uint32_t)messages);
	uint64_t first = store_next_id(s);
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t n = 0; n < messages; n++) {
		struct message *m = spooldir_message(n, bytes);

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
		g->items[g->count++] = (struct store_settlement){.id = first + n, .kind = SETTLE_DELIVERED};
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	assert_int_equal(store_checkpoint(s, true, &e), ERR_OK);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s, g->items, g->count, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	store_settlements_free(g);
}

static void an_idle_spool_gives_its_file_and_its_log_back(void **state)
{
	struct store_options o;
	struct store_state st;
	struct spooldir d;
	struct store *s = NULL;
	struct error e;
	bool more = true;

	(void)state;
	free_mib = 1000;
	spooldir_make(&d);
	o = spooldir_options(&d);
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	for (int round = 0; round < 2; round++) {
		fill_and_empty(s, 100, 100000);
		store_state(s, &st);
		assert_in_range(st.database_bytes, 9 << 20, 20 << 20);
		for (int i = 0; more && i < 1000; i++)
			assert_int_equal(store_give_back(s, &more, &e), ERR_OK);
		assert_false(more);
		more = true;
		store_state(s, &st);
		assert_in_range(st.database_bytes, 1, 1 << 20);
		assert_int_equal(st.wal_bytes, 0);
	}
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_full_disk_is_full_until_a_tenth_more_is_free),
	    cmocka_unit_test(an_idle_spool_gives_its_file_and_its_log_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
