/* Holes in the files of a spool: where a tool that copies left out what is zero they are no harm, elsewhere they are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig/lives.h"
#include "store/store_internal.h"

enum { BLOCK = 4096 };

static bool is_zero(const unsigned char *bytes, size_t count)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0;
}

/* As tools copy that leave out what is zero. */
static void copy_with_holes(const char *path)
{
	size_t count;
	unsigned char *bytes = spooldir_load(path, &count);
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_true(fd >= 0 && ftruncate(fd, (off_t)count) == 0);
	for (size_t at = 0; at < count; at += BLOCK) {
		const size_t part = count - at < BLOCK ? count - at : BLOCK;

		if (!is_zero(bytes + at, part))
			assert_int_equal(pwrite(fd, bytes + at, part, (off_t)at), (ssize_t)part);
	}
	(void)close(fd);
	free(bytes);
}

static void append_zeros(struct store *s)
{
	static const char zeros[60000];
	struct message *m = message_new(NULL, 0, zeros, sizeof zeros, 1700000000000);
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_append(s, m, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	message_free(m);
}

static struct store *open_again(const struct store_options *o)
{
	struct store_report report;
	struct store *s = NULL;
	struct error e;

	assert_int_equal(store_open(o, &s, &report, &e), ERR_OK);
	assert_string_equal(report.warning, "");
	return s;
}

static void look_thrice(struct store *s)
{
	struct error e = {0};
	bool lost;

	for (int i = 0; i < 3; i++)
		if (store_watch(s, &lost, &e) != ERR_OK)
			fail_msg("look %d: %s", i, e.text);
}

static void make_killed(struct spooldir *d, uint32_t page_size, struct store_options *o)
{
	struct store *s;

	spooldir_make(d);
	*o = spooldir_options(d);
	o->page_size = page_size;
	s = open_again(o);
	life_append(s, 0, 10);
	life_checkpoint(s);
	for (uint64_t i = 0; i < 20; i++) {
		life_append(s, 10 + i, 1);
		append_zeros(s);
	}
	store_abandon(s);
}

static void holes_of_a_copy_are_no_cut(void **state)
{
	static const char *const suffixes[] = {"", "-wal", ".tide", ".left", ".lock"};

	(void)state;
	for (uint32_t page_size = 512; page_size <= 65536; page_size *= 2) {
		struct store_options o;
		struct spooldir d;
		struct store *s;

		make_killed(&d, page_size, &o);
		for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
			if (access(spooldir_file(&d, suffixes[i]), F_OK) == 0)
				copy_with_holes(spooldir_file(&d, suffixes[i]));
		s = open_again(&o);
		look_thrice(s);
		life_append(s, 100, 5);
		look_thrice(s);
		life_expect(s, 55, 0, 55, 0);
		life_checkpoint(s);
		look_thrice(s);
		life_close(s);
		spooldir_remove(&d);
	}
}

/* Where one may be that was made under us: a block within a page that is not the last; 0: there is none. */
static off_t block_within_a_page(const struct spooldir *d, size_t page_size)
{
	const size_t frame = 24 + page_size;
	size_t count;
	unsigned char *bytes = spooldir_load(spooldir_file(d, "-wal"), &count);
	off_t found = 0;

	for (size_t at = BLOCK; at + BLOCK + frame < count && found == 0; at += BLOCK)
		if ((at - 32) / frame == (at + BLOCK - 33) / frame && (at - 32) % frame >= 24 &&
		    !is_zero(bytes + at, BLOCK))
			found = (off_t)at;
	free(bytes);
	return found;
}

static void a_hole_where_none_was_is_noticed(void **state)
{
	(void)state;
	for (uint32_t page_size = 8192; page_size <= 65536; page_size *= 2) {
		struct store_options o;
		struct spooldir d;
		struct store *s;
		struct error e;
		bool lost;
		off_t at;
		int fd;

		make_killed(&d, page_size, &o);
		s = open_again(&o);
		life_append(s, 100, 30);
		look_thrice(s);
		at = block_within_a_page(&d, page_size);
		assert_true(at > 0);
		fd = open(spooldir_file(&d, "-wal"), O_WRONLY | O_CLOEXEC);
		assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, BLOCK), 0);
		(void)close(fd);
		assert_int_equal(store_watch(s, &lost, &e), ERR_DISK);
		assert_non_null(strstr(e.text, "-wal was cut while"));
		store_abandon(s);
		spooldir_remove(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(holes_of_a_copy_are_no_cut),
	    cmocka_unit_test(a_hole_where_none_was_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
