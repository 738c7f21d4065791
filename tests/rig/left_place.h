/*
 * left_place: a folder with PATH.left beside a plain array of bits, for the tests of it.
 *
 * What it is: set and take_back do to both what a group does; compare holds each bit of the file against the array.
 * Owner: the test. Thread: one. Fails: a difference fails the test.
 */
#ifndef KSPOOL_TESTS_LEFT_PLACE_H
#define KSPOOL_TESTS_LEFT_PLACE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "rig/spooldir.h"
#include "store/files/left.h"

enum { PART = 32256, IDS = PART * 8, SLOT_BYTES = 4096 };
static const struct spool_id ours = {1, 2};

struct place {
	struct spooldir dir;
	struct files files;
	struct left *left;
	unsigned char *model; /* a byte an id */
	uint64_t commit;
	int descriptors; /* open when it began */
};

static inline int descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static inline void open_left(struct place *p, struct spool_id id)
{
	left_close(p->left);
	p->left = left_open(&p->files, id, true);
}

static inline void place_open(struct place *p)
{
	struct error e;

	*p = (struct place){.files = FILES_NONE, .model = calloc(IDS + 1, 1), .descriptors = descriptors()};
	spooldir_make(&p->dir);
	assert_int_equal(files_open(&p->files, p->dir.path, &e), ERR_OK);
	open_left(p, ours);
	assert_int_equal(left_trouble(p->left), 0);
	assert_false(left_is_doubtful(p->left));
}

static inline void place_close(struct place *p)
{
	left_close(p->left);
	files_close(&p->files);
	assert_int_equal(descriptors(), p->descriptors);
	free(p->model);
	spooldir_remove(&p->dir);
}

static inline void set(struct place *p, uint64_t first, uint64_t last)
{
	left_note(p->left, first, last);
	memset(p->model + first, 1, last - first + 1);
}

static inline void take_back(struct place *p, uint64_t id)
{
	left_note_back(p->left, id);
	p->model[id] = 0;
}

static inline void keep(struct place *p) { left_keep(p->left, ++p->commit); }

static inline uint64_t ones(const struct place *p, uint64_t first, uint64_t last)
{
	uint64_t n = 0;

	for (uint64_t id = first; id <= last; id++)
		n += p->model[id];
	return n;
}

static inline void compare(struct place *p)
{
	uint64_t highest = 0;

	for (uint64_t id = 1; id <= IDS; id++) {
		if (left_has(p->left, id) != p->model[id])
			fail_msg("id %lu: %d, must be %d", (unsigned long)id, !p->model[id], p->model[id]);
		highest = p->model[id] ? id : highest;
	}
	assert_int_equal(left_highest(p->left), highest);
	for (int i = 0; i < 200; i++) {
		const uint64_t first = 1 + (uint64_t)rand() % IDS, last = first + (uint64_t)rand() % (IDS - first + 1);

		assert_int_equal(left_count(p->left, first, last), ones(p, first, last));
	}
}

static inline off_t file_bytes(const struct place *p)
{
	AUTOFREE char *path = mem_format("%s.left", p->dir.path);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

#endif
