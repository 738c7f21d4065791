/* The head of a file as it is found: every bit of it, with and without a tide mark; and what is said about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/files/sql_schema.h"
#include "store/store_internal.h"

enum { HEAD = 100, OURS = FILE_OURS, DAMAGED = FILE_DAMAGED, REFUSED = 100, NEWER = 101 };

/* A closed spool with one block, its files open for looking. */
struct looked {
	struct spooldir d;
	struct files f;
	unsigned char *bytes;
	size_t count;
};

static void make(struct looked *l)
{
	struct store *s;
	struct error e;

	spooldir_make(&l->d);
	s = life_open(&l->d, NULL);
	life_append(s, 0, 10);
	life_close(s);
	assert_int_equal(unlink(spooldir_file(&l->d, "-wal")), 0);
	l->bytes = spooldir_load(l->d.path, &l->count);
	assert_int_equal(files_open(&l->f, l->d.path, &e), ERR_OK);
}

static void forget(struct looked *l)
{
	files_close(&l->f);
	free(l->bytes);
	spooldir_remove(&l->d);
}

static int look_at(struct looked *l, struct error *e)
{
	enum file_kind kind;

	spooldir_store(l->d.path, l->bytes, l->count);
	switch (store_inspect(&l->f, &kind, e)) {
	case ERR_OK:
		return (int)kind;
	case ERR_ENVIRONMENT:
		return REFUSED;
	case ERR_CONFIG:
		return NEWER;
	default:
		return -1;
	}
}

static int newest(void) { return schema_steps[schema_step_count - 1].version; }

/* sqlite.org/fileformat2.html, section 1.3: what is the same in every spool, and what may be anything. */
static int expected(int bit, bool has_tide)
{
	const int at = bit / 8;
	const unsigned version = (unsigned)newest() ^ (at >= 60 && at < 64 ? 1u << (8 * (63 - at) + bit % 8) : 0);

	if (at < 16 || (at >= 68 && at < 72))
		return DAMAGED;
	if (at >= 60 && at < 64) {
		if (version > (unsigned)newest())
			return has_tide ? DAMAGED : NEWER;
		return has_tide || version == 0 ? DAMAGED : OURS;
	}
	if ((at >= 24 && at < 44) || (at >= 48 && at < 56) || at >= 92)
		return OURS;
	return DAMAGED;
}

static void every_bit_of_a_head_is_judged(void **state)
{
	struct looked l;
	struct error e;

	(void)state;
	make(&l);
	for (int has_tide = 1; has_tide >= 0; has_tide--) {
		if (!has_tide)
			assert_int_equal(unlink(spooldir_file(&l.d, ".tide")), 0);
		assert_int_equal(look_at(&l, &e), OURS);
		for (int bit = 0; bit < HEAD * 8; bit++) {
			int is;

			l.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
			is = look_at(&l, &e);
			if (is != expected(bit, has_tide))
				fail_msg("bit %d of byte %d%s: %d", bit % 8, bit / 8,
				         has_tide ? "" : ", without a tide mark", is);
			l.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
		}
	}
	forget(&l);
}

static void set(struct looked *l, size_t at, const void *bytes, size_t count) { memcpy(l->bytes + at, bytes, count); }

/* Of somebody else: nothing of a spool stands behind it. */
static int look_at_head_alone(struct looked *l, struct error *e)
{
	unsigned char *kept = malloc(l->count);
	int is;

	assert_non_null(kept);
	memcpy(kept, l->bytes, l->count);
	memset(l->bytes + HEAD, 0, l->count - HEAD);
	is = look_at(l, e);
	memcpy(l->bytes, kept, l->count);
	free(kept);
	return is;
}

/* Whole fields. A tide mark beside it tells that it is ours, or PATH.left; without them a ledger in it does. */
static void heads_of_other_kinds(void **state)
{
	static const struct {
		size_t at;
		const char *value;
		size_t count;
		int beside_ours, alone;
		const char *words;
	} cases[] = {
	    {16, "\x00\x01", 2, OURS, OURS, ""}, /* pages of 65536 */
	    {16, "\x02\x00", 2, OURS, OURS, ""},
	    {16, "\x01\x00", 2, DAMAGED, DAMAGED, ""},
	    {16, "\x0c\x00", 2, DAMAGED, DAMAGED, ""},
	    {16, "\x00\x00", 2, DAMAGED, DAMAGED, ""},
	    {18, "\x01\x01", 2, OURS, OURS, ""}, /* a rollback journal, of a copy */
	    {18, "\x03\x03", 2, DAMAGED, DAMAGED, ""},
	    {18, "\x00\x00", 2, DAMAGED, DAMAGED, ""},
	    {18, "\x01\x02", 2, DAMAGED, DAMAGED, ""},
	    {68, "\x00\x00\x00\x00", 4, DAMAGED, REFUSED, "a database of another program (application_id 0)"},
	    {68, "KSPM", 4, DAMAGED, REFUSED, "a database of another program (application_id 0x4b53504d)"},
	    {0, "not a database..", 16, DAMAGED, REFUSED, "is not a spool (not an SQLite file)"},
	};
	struct looked l;
	struct error e;

	(void)state;
	make(&l);
	for (int beside = 2; beside >= 0; beside--) {
		if (beside < 2)
			assert_int_equal(unlink(spooldir_file(&l.d, beside == 1 ? ".tide" : ".left")), 0);
		for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
			unsigned char before[16];
			int is;

			if (cases[i].at == 68 && memcmp(cases[i].value, "KSPM", 4) == 0 && beside > 0)
				continue; /* one bit away or not: see below */
			memcpy(before, l.bytes + cases[i].at, cases[i].count);
			set(&l, cases[i].at, cases[i].value, cases[i].count);
			is = look_at(&l, &e);
			if (is != (beside > 0 || cases[i].alone == REFUSED ? cases[i].beside_ours : cases[i].alone))
				fail_msg("case %u: %d", (unsigned)i, is);
			if (beside == 0 && cases[i].alone == REFUSED) {
				is = look_at_head_alone(&l, &e);
				if (is != REFUSED || !strstr(e.text, cases[i].words))
					fail_msg("case %u: %d %s", (unsigned)i, is, e.text);
			}
			set(&l, cases[i].at, before, cases[i].count);
		}
	}
	forget(&l);
}

/* Either of them tells, without the other. */
static void what_stands_beside_it_tells(void **state)
{
	static const char *const suffixes[] = {".tide", ".left"};
	unsigned char *bytes[2], garbage[16] = "not a database..";
	size_t count[2];
	struct looked l;
	struct error e;

	(void)state;
	make(&l);
	set(&l, 0, garbage, sizeof garbage);
	for (int i = 0; i < 2; i++)
		bytes[i] = spooldir_load(spooldir_file(&l.d, suffixes[i]), &count[i]);
	for (int there = 0; there < 4; there++) {
		for (int i = 0; i < 2; i++) {
			(void)unlink(spooldir_file(&l.d, suffixes[i]));
			if (there >> i & 1)
				spooldir_store(spooldir_file(&l.d, suffixes[i]), bytes[i], count[i]);
		}
		assert_int_equal(look_at_head_alone(&l, &e), there > 0 ? DAMAGED : REFUSED);
		assert_int_equal(look_at(&l, &e), DAMAGED); /* a ledger stands in it */
	}
	free(bytes[0]);
	free(bytes[1]);
	forget(&l);
}

/* One of the spool's own files, or anything, in the database's place, and no tide mark: the log has all. */
static void another_file_in_its_place(void **state)
{
	static const char *const from[] = {".left", ".lock", "-wal", NULL};

	(void)state;
	for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
		struct store_report report;
		unsigned char *bytes, junk[777];
		uint64_t first, last;
		size_t count = sizeof junk;
		struct spooldir d;
		struct store *s;
		struct error e;
		bool more = true;

		life_make(&d, 0, 10, 20);
		memset(junk, 'j', sizeof junk);
		bytes = from[i] ? spooldir_load(spooldir_file(&d, from[i]), &count) : NULL;
		spooldir_store(d.path, bytes ? bytes : junk, count);
		free(bytes);
		assert_int_equal(unlink(spooldir_file(&d, ".tide")), 0);
		s = life_open(&d, &report);
		while (more)
			assert_int_equal(store_salvage(s, 1000, &first, &last, &more, &e), ERR_OK);
		count = life_waiting(s, 0); /* pages of the log have some of the file's, too */
		assert_true(count >= 20);
		life_expect(s, 30, 0, count, 30 - count);
		assert_true(life_count_files(&d, ".quarantine-") > 0);
		life_close(s);
		spooldir_remove(&d);
	}
}

/* A file whose head is lost is ours by the tide mark beside it or the ledger in it, unless it looks like another's. */
static void a_head_that_is_lost(void **state)
{
	static const struct {
		unsigned char head, application;
		bool has_tide;
		int is;
	} cases[] = {{0x00, 1, true, DAMAGED},  {0x00, 0, true, DAMAGED}, {0xff, 0, true, DAMAGED},
	             {0x00, 0, false, DAMAGED}, {0x01, 0, true, DAMAGED}, {0x01, 1, true, DAMAGED}};
	struct looked l;
	struct error e;

	(void)state;
	make(&l);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		unsigned char before[HEAD], head[16];

		memcpy(before, l.bytes, HEAD);
		memset(head, cases[i].head, sizeof head);
		if (cases[i].head == 1) { /* one bit of the name of the format alone */
			memcpy(head, before, sizeof head);
			head[3] ^= 1;
		}
		set(&l, 0, head, sizeof head);
		if (!cases[i].application)
			set(&l, 68, "\0\0\0\0", 4);
		if (!cases[i].has_tide) {
			size_t count;
			char *tide = (char *)spooldir_load(spooldir_file(&l.d, ".tide"), &count);

			assert_int_equal(unlink(spooldir_file(&l.d, ".tide")), 0);
			assert_int_equal(look_at(&l, &e), cases[i].is);
			spooldir_store(spooldir_file(&l.d, ".tide"), tide, count);
			free(tide);
		} else if (look_at(&l, &e) != cases[i].is) {
			fail_msg("case %u: %d", (unsigned)i, look_at(&l, &e));
		}
		set(&l, 0, before, HEAD);
	}
	set(&l, 68, "\0\0\0\0", 4);
	assert_int_equal(look_at(&l, &e), DAMAGED); /* a ledger of the spool of the tide mark stands in it */
	memset(l.bytes + HEAD, 0, l.count - HEAD);
	assert_int_equal(look_at(&l, &e), REFUSED);
	l.count = HEAD - 1;
	assert_int_equal(look_at(&l, &e), DAMAGED);
	l.count = 0;
	assert_int_equal(look_at(&l, &e), DAMAGED);
	assert_int_equal(unlink(spooldir_file(&l.d, ".tide")), 0);
	assert_int_equal(look_at(&l, &e), DAMAGED); /* a spool is never empty, and nothing else is lost with it */
	l.count = 1;
	assert_int_equal(look_at(&l, &e), DAMAGED);
	assert_int_equal(unlink(spooldir_file(&l.d, ".left")), 0);
	assert_int_equal(look_at(&l, &e), REFUSED);
	assert_int_equal(unlink(l.d.path), 0);
	{
		enum file_kind kind = FILE_OURS;

		assert_int_equal(store_inspect(&l.f, &kind, &e), ERR_OK);
		assert_int_equal(kind, FILE_MISSING);
	}
	forget(&l);
}

/* A page of the free list of which the pointer map says that it is in use may not be written over as free. */
static void a_free_page_is_free_for_both_that_know(void **state)
{
	struct looked l;
	struct store *s;
	struct error e;
	uint32_t trunk;
	unsigned char *use;

	(void)state;
	make(&l);
	files_close(&l.f);
	s = life_open(&l.d, NULL);
	life_append(s, 10, 200);
	life_settle(s, 1, 210);
	life_close(s);
	assert_int_equal(files_open(&l.f, l.d.path, &e), ERR_OK);
	free(l.bytes);
	l.bytes = spooldir_load(l.d.path, &l.count);
	trunk = (uint32_t)l.bytes[34] << 8 | l.bytes[35];
	assert_in_range(trunk, 3, l.count / 4096);
	use = l.bytes + 4096 + (trunk - 3) * 5;
	assert_int_equal(*use, 2);
	assert_int_equal(store_look_at_free(&l.f, &e), ERR_OK);
	*use = 5;
	spooldir_store(l.d.path, l.bytes, l.count);
	assert_int_equal(store_look_at_free(&l.f, &e), ERR_DAMAGED);
	*use = 2;
	spooldir_store(l.d.path, l.bytes, l.count);
	assert_int_equal(store_look_at_free(&l.f, &e), ERR_OK);
	forget(&l);
}

/* What cannot be read is no stranger's, and not sound. */
static void a_read_that_fails_is_no_finding(void **state)
{
	struct looked l;
	struct error e;
	uint64_t looks = 0, lists = 0;

	(void)state;
	make(&l);
	memset(l.bytes + 68, 0, 4); /* the application's number: the ledger inside says whose it is */
	spooldir_store(l.d.path, l.bytes, l.count);
	for (uint64_t n = 1;; n++) {
		enum file_kind kind;
		enum err err;

		faultfs_arm(FAULTFS_READ, n, EIO, false);
		err = store_inspect(&l.f, &kind, &e);
		if (faultfs_failed() == 0) {
			assert_int_equal(err, ERR_OK);
			assert_int_equal(kind, FILE_DAMAGED);
			break;
		}
		if (err != ERR_DISK &&
		    !(err == ERR_OK && kind == FILE_DAMAGED)) /* of that it is ours there are other witnesses */
			fail_msg("read %u of %s: error %d: %s", (unsigned)n, faultfs_what(), (int)err, e.text);
		looks++;
	}
	memcpy(l.bytes + 68, "KSPL", 4);
	spooldir_store(l.d.path, l.bytes, l.count);
	for (uint64_t n = 1;; n++) {
		enum err err;

		faultfs_arm(FAULTFS_READ, n, EIO, false);
		err = store_look_at_free(&l.f, &e);
		if (faultfs_failed() == 0) {
			assert_int_equal(err, ERR_OK);
			break;
		}
		assert_int_equal(err, ERR_DISK);
		lists++;
	}
	faultfs_arm(0, 0, 0, false);
	if (looks < 3 || lists < 1)
		fail_msg("%u, %u", (unsigned)looks, (unsigned)lists);
	forget(&l);
}

/* An older schema's number is believed while a log may hold the newer one, or the last writer was as old. */
static void an_older_number_with_a_log(void **state)
{
	struct looked l;
	struct error e;
	unsigned char number[4] = {0};

	(void)state;
	make(&l);
	number[3] = (unsigned char)(newest() - 1);
	set(&l, 60, number, 4);
	assert_int_equal(look_at(&l, &e), DAMAGED);
	spooldir_store(spooldir_file(&l.d, "-wal"), "x", 1);
	assert_int_equal(look_at(&l, &e), OURS);
	assert_int_equal(unlink(spooldir_file(&l.d, "-wal")), 0);
	assert_int_equal(look_at(&l, &e), DAMAGED);
	forget(&l);
}

/* One sentence after the other, never beyond the end. */
static void warnings_are_joined_and_cut(void **state)
{
	struct store_report r = {0};
	char line[101];

	(void)state;
	store_warn(&r, "one of %d", 7);
	assert_string_equal(r.warning, "one of 7");
	store_warn(&r, "two");
	assert_string_equal(r.warning, "one of 7; two");
	memset(line, 'x', 100);
	line[100] = '\0';
	for (int i = 0; i < 8; i++) {
		const size_t before = strlen(r.warning);

		store_warn(&r, "%s", line);
		assert_int_equal(strlen(r.warning),
		                 before + 102 < sizeof r.warning ? before + 102 : sizeof r.warning - 1);
	}
	r = (struct store_report){0};
	memset(r.warning, 'y', sizeof r.warning - 2);
	store_warn(&r, "%s", line);
	assert_int_equal(strlen(r.warning), sizeof r.warning - 1);
	assert_int_equal(r.warning[sizeof r.warning - 2], 'x'); /* no room for what stands between */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_bit_of_a_head_is_judged),
	    cmocka_unit_test(heads_of_other_kinds),
	    cmocka_unit_test(what_stands_beside_it_tells),
	    cmocka_unit_test(another_file_in_its_place),
	    cmocka_unit_test(a_head_that_is_lost),
	    cmocka_unit_test(an_older_number_with_a_log),
	    cmocka_unit_test(warnings_are_joined_and_cut),
	    cmocka_unit_test(a_read_that_fails_is_no_finding),
	    cmocka_unit_test(a_free_page_is_free_for_both_that_know),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
