/*
 * A companion that is cut, or overwritten where it lies, while the spool is open: its name and its inode stay. The next
 * look makes it anew, tells it once, and it says what it said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/files/left_parts.h"
#include "store/store_internal.h"

enum { ROWS = 60 };

static struct spooldir other;

enum harm { EMPTIED, CUT, ZEROS, A_BIT_IN_THE_END, LONGER, OF_ANOTHER, HARMS };

static void harm_file(const struct spooldir *d, const char *suffix, enum harm how)
{
	size_t count;
	unsigned char *bytes = spooldir_load(spooldir_file(d, suffix), &count);

	switch (how) {
	case EMPTIED:
	case CUT:
		assert_int_equal(truncate(spooldir_file(d, suffix), how == CUT ? (off_t)count / 2 : 0), 0);
		break;
	case ZEROS:
		memset(bytes, 0, count);
		break;
	case A_BIT_IN_THE_END:
		bytes[count - 9] ^= 4;
		break;
	case LONGER:
		bytes = realloc(bytes, count + 8192);
		assert_non_null(bytes);
		memset(bytes + count, 'x', 8192);
		count += 8192;
		break;
	case OF_ANOTHER:
		life_bring(&other, suffix, d);
		break;
	case HARMS:
		break;
	}
	if (how == ZEROS || how == A_BIT_IN_THE_END || how == LONGER)
		spooldir_store(spooldir_file(d, suffix), bytes, count);
	free(bytes);
}

static void look(struct store *s)
{
	struct error e;
	bool lost;

	assert_int_equal(store_watch(s, &lost, &e), ERR_OK);
}

static int begin(void **state)
{
	struct store *s = life_begin(&other);

	(void)state;
	life_append(s, LIFE_OTHERS, ROWS);
	life_settle(s, 20, 50);
	life_close(s);
	return 0;
}

static int end(void **state)
{
	(void)state;
	spooldir_remove(&other);
	return 0;
}

/* Killed after it, the next start finds nothing to say. */
static void what_is_overwritten_is_made_anew(void **state)
{
	static const char *const suffixes[] = {".tide", ".left"};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		for (enum harm how = 0; how < HARMS; how++) {
			const bool is_told = i == 1 || how != LONGER; /* what stands behind a tide mark says nothing */
			struct store_report report;
			const char *told;
			char text[4000];
			struct spooldir d;
			struct store *s = life_begin(&d);

			life_append(s, 0, ROWS);
			life_settle(s, 11, 40);
			look(s);
			assert_null(store_take_companion(s));
			harm_file(&d, suffixes[i], how);
			look(s);
			told = store_take_companion(s);
			if ((told != NULL) != is_told || (told && strcmp(told, suffixes[i]) != 0))
				fail_msg("%s, harm %d: %s is told", suffixes[i], (int)how, told ? told : "nothing");
			look(s);
			assert_null(store_take_companion(s));
			life_settle(s, 5, 6);
			look(s);
			assert_null(store_take_companion(s));
			assert_int_equal(left_count(s->left, 1, ROWS), 32);
			store_abandon(s);
			if (life_problems(&d, text, sizeof text) > 0)
				fail_msg("%s, harm %d: %s", suffixes[i], (int)how, text);
			s = life_open(&d, &report);
			if (report.warning[0])
				fail_msg("%s, harm %d: %s", suffixes[i], (int)how, report.warning);
			assert_int_equal(left_count(s->left, 1, ROWS), 32);
			life_expect(s, ROWS, 32, ROWS - 32, 0);
			life_end(&d, s);
		}
}

/* It holds nothing, and is made again without a word, when there is room. */
static void a_reserve_that_goes_is_made_again(void **state)
{
	struct store_options o;
	struct store *s;
	struct spooldir d;
	struct error e;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	o.reserve_bytes = 1 << 20;
	for (int cut = 0; cut < 2; cut++) {
		assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
		look(s);
		assert_true(files_held(&s->files, ".reserve") >= 1 << 20);
		assert_int_equal(
		    cut ? truncate(spooldir_file(&d, ".reserve"), 0) : unlink(spooldir_file(&d, ".reserve")), 0);
		look(s);
		store_look_at_disk(s);
		assert_true(files_held(&s->files, ".reserve") >= 1 << 20);
		assert_null(store_take_companion(s));
		assert_int_equal(store_close(s, &e), ERR_OK);
	}
	spooldir_remove(&d);
}

/* Of more parts than are in memory, those that are not are gone with the file, and it says so; the others stay. */
static void what_is_not_in_memory_is_known_to_be_gone(void **state)
{
	enum { PARTS = LOADED + 4 };
	struct files f = FILES_NONE;
	struct left *l;
	struct spooldir d;
	struct error e;
	uint64_t known = 0;

	(void)state;
	for (int twice = 0; twice < 2; twice++) {
		spooldir_make(&d);
		assert_int_equal(files_open(&f, d.path, &e), ERR_OK);
		l = left_open(&f, (struct spool_id){1, 2}, true);
		for (uint64_t n = 0; n < PARTS; n++) {
			left_note(l, n * PART_IDS + 7, n * PART_IDS + 9);
			left_keep(l, n + 1);
		}
		left_be_whole_from(l, 1);
		assert_int_equal(left_whole_from(l), 1);
		assert_false(left_look(l));
		if (twice)
			harm_file(&d, ".left", EMPTIED);
		assert_int_equal(left_look(l), twice);
		assert_false(left_look(l));
		assert_int_equal(left_trouble(l), 0);
		left_close(l);
		l = left_open(&f, (struct spool_id){1, 2}, false);
		assert_false(left_is_doubtful(l));
		assert_int_equal(left_whole_from(l), twice ? 0 : 1);
		assert_int_equal(left_commit(l), PARTS);
		known = left_count(l, 1, (uint64_t)PARTS * PART_IDS);
		if (twice ? known < (uint64_t)(LOADED - 1) * 3 || known >= (uint64_t)PARTS * 3
		          : known != (uint64_t)PARTS * 3)
			fail_msg("%llu are known", (unsigned long long)known);
		left_close(l);
		files_close(&f);
		spooldir_remove(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_overwritten_is_made_anew),
	    cmocka_unit_test(a_reserve_that_goes_is_made_again),
	    cmocka_unit_test(what_is_not_in_memory_is_known_to_be_gone),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, begin, end);
}
