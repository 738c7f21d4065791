/*
 * A file that was set aside fills its disk but for little, which is a limit here: whatever takes more fails the test.
 * Nothing waits that could make room by leaving, so a little comes back, leaves, and makes room for the next; over
 * restarts too, and within a block that is larger than the room. Each message comes once, with its attempts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "rig/lives.h"
#include "store/store_internal.h"

enum { ROWS_MAX = 1200, ATTEMPTS = 3, STEPS_MAX = 4000 };

static const char *disk; /* a folder whose files take room on a disk of all_kib; null: there is plenty */
static uint64_t all_kib;

static uint64_t used_kib(void)
{
	DIR *dir = opendir(disk);
	struct dirent *entry;
	uint64_t used = 0;
	struct stat st;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			used += (uint64_t)st.st_blocks / 2;
	(void)closedir(dir);
	return used;
}

/* In the place of the C library's. */
int fstatvfs(int fd, struct statvfs *ret)
{
	const uint64_t all = disk ? all_kib : UINT64_C(1) << 30, used = disk ? used_kib() : 0;

	(void)fd;
	memset(ret, 0, sizeof *ret);
	ret->f_bsize = ret->f_frsize = 1024;
	ret->f_blocks = all;
	ret->f_bfree = ret->f_bavail = all > used ? all - used : 0;
	return 0;
}

static const struct room {
	uint32_t rows, bytes, at_once;
	uint32_t kib;   /* that are left on the disk */
	uint32_t fails; /* the first ones were tried before */
	enum store_compress compress;
	bool restarts;
} rooms[] = {
    {60, 20000, 5, 300, 7, STORE_COMPRESS_NEVER, false},    {60, 20000, 5, 300, 7, STORE_COMPRESS_NEVER, true},
    {400, 2000, 400, 320, 0, STORE_COMPRESS_NEVER, true},   {512, 2000, 512, 320, 40, STORE_COMPRESS_NEVER, false},
    {1200, 2000, 300, 320, 9, STORE_COMPRESS_ALWAYS, true}, {1200, 300, 100, 260, 0, STORE_COMPRESS_AUTO, false},
    {500, 700, 1, 260, 500, STORE_COMPRESS_AUTO, true},     {8, 90000, 8, 900, 2, STORE_COMPRESS_NEVER, true},
};

static void settle(struct store *s, struct store_settlement item)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s, &item, 1, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static void fill(struct store *s, const struct room *r)
{
	struct error e;

	store_set_waits(s, true);
	for (uint32_t n = 0; n < r->rows;) {
		assert_int_equal(store_begin(s, &e), ERR_OK);
		for (uint32_t end = n + r->at_once; n < end && n < r->rows; n++) {
			struct message *m = spooldir_message(r->compress == STORE_COMPRESS_ALWAYS ? 0 : n, r->bytes);

			assert_int_equal(store_append(s, m, &e), ERR_OK);
			message_free(m);
		}
		assert_int_equal(store_commit(s, &e), ERR_OK);
	}
	for (uint32_t i = 0; i < r->fails; i++)
		for (uint32_t n = 1; n <= ATTEMPTS; n++)
			settle(s, (struct store_settlement){
			              .id = i + 1, .kind = SETTLE_RETRY, .attempts = n, .wait_ms = 1, .code = "Slow"});
}

/* All that waits leaves; `came` has how often each did. */
static uint64_t deliver(struct store *s, const struct room *r, uint8_t *came)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct store_settlement items[256];
	const struct message *m;
	struct error e;
	uint64_t last;
	uint32_t count, due;
	size_t n = 0, done;

	assert_int_equal(store_read(s, 0, 128, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
	assert_int_equal(store_read_due(s, INT64_MAX, 128, UINT64_MAX, NULL, NULL, &list, &due, &e), ERR_OK);
	STAILQ_FOREACH (m, &list, link) {
		assert_in_range(m->id, 1, r->rows);
		came[m->id]++;
		assert_int_equal(m->attempts, m->id <= r->fails ? ATTEMPTS : 0);
		items[n++] = (struct store_settlement){.id = m->id, .kind = SETTLE_DELIVERED};
	}
	message_list_free(&list);
	if (n > 0)
		assert_int_equal(store_settle_full(s, items, n, &done, &e), ERR_OK);
	assert_in_range(used_kib(), 0, all_kib);
	return n;
}

static void all_of_it_comes_back(const struct room *r)
{
	uint8_t came[ROWS_MAX + 1] = {0};
	struct store_options o;
	struct spooldir d;
	struct store *s = NULL;
	struct error e;
	uint64_t delivered = 0, first, last;
	bool more = true;
	int steps = 0;

	spooldir_make(&d);
	o = spooldir_options(&d);
	o.compress = r->compress;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	fill(s, r);
	life_close(s);
	assert_int_equal(rename(d.path, spooldir_file(&d, ".quarantine-20260101T000000Z-000")), 0);
	assert_int_equal(rename(spooldir_file(&d, ".left"), spooldir_file(&d, ".was-left")), 0);
	disk = d.dir;
	all_kib = used_kib() + r->kib;
	o.min_free_bytes = o.reserve_bytes = 0;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	for (; more || delivered < r->rows; steps++) {
		enum err err = store_salvage(s, 1000, &first, &last, &more, &e);

		assert_true(err == ERR_OK || err == ERR_FULL);
		assert_in_range(used_kib(), 0, all_kib);
		assert_int_equal(store_checkpoint(s, false, &e), ERR_OK);
		assert_in_range(used_kib(), 0, all_kib);
		if (err == ERR_FULL && store_ledger(s)->pending == 0)
			fail_msg("%u x %u in %u KiB: %s", r->rows, r->bytes, r->kib, e.text);
		if (err == ERR_FULL || steps % 3 == 0)
			delivered += deliver(s, r, came);
		if (r->restarts && steps % 5 == 0) {
			assert_int_equal(store_close(s, &e), ERR_OK);
			assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
			more = true;
		}
		assert_in_range(steps, 0, STEPS_MAX);
	}
	for (uint32_t id = 1; id <= r->rows; id++)
		if (came[id] != 1)
			fail_msg("%u x %u in %u KiB: %u came %u times", r->rows, r->bytes, r->kib, id, came[id]);
	assert_int_equal(delivered, r->rows);
	disk = NULL;
	life_end(&d, s);
}

static void what_was_set_aside_comes_back_where_there_is_little_room(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
		all_of_it_comes_back(&rooms[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_set_aside_comes_back_where_there_is_little_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
