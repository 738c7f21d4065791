/*
 * Pages that are not what was written, held against a second, plain reader: each byte wrong, cells that are nearly
 * right, files cut at each place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "rig/faultfs.h"
#include "rig/logimage.h"
#include "rig/plainpages.h"
#include "rig/spooldir.h"
#include "store/files/pages.h"

static void put_byte(const char *path, size_t at, unsigned char byte)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0 && pwrite(fd, &byte, 1, (off_t)at) == 1);
	(void)close(fd);
}

/* Every byte of every page, with several others in its place: the same records as the plain reader finds. */
static void each_wrong_byte_is_read_alike(void **state)
{
	static const unsigned char changes[] = {0x01, 0x80, 0xff, 0x07};
	struct lines *want = new_lines(), *got = new_lines();
	struct spooldir d;
	struct image m;
	struct pages *p;

	(void)state;
	spooldir_make(&d);
	sound_file(&d, 512);
	m = image_of(d.path, 512);
	p = open_pages(&d, PAGES_OF_FILE);
	assert_int_equal(pages_count(p), m.pages);
	for (size_t at = 0; at < m.count; at++) {
		const uint32_t n = (uint32_t)(at / 512) + 1;
		const unsigned char old = m.bytes[at];

		if (at % 512 >= 64 && at % 512 < 400 && at % 3)
			continue; /* the midst of pages is values; their heads and pointers stand at the edges */
		for (size_t k = 0; k < sizeof changes; k++) {
			if (k > 1 && at % 7 != k && at % 512 > 24)
				continue;
			m.bytes[at] = old ^ changes[k];
			put_byte(d.path, at, m.bytes[at]);
			compare_page(p, &m, n, false, want, got, "wrong byte", at);
		}
		m.bytes[at] = old;
		put_byte(d.path, at, old);
	}
	pages_close(p);
	free(m.bytes);
	free_lines(want);
	free_lines(got);
	spooldir_remove(&d);
}

static uint32_t random_below(uint32_t n)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 20) % n;
}

static size_t put_varint(unsigned char *to, uint64_t v)
{
	size_t n = 1;

	for (uint64_t rest = v >> 7; rest > 0 && n < 8; rest >>= 7)
		n++;
	for (size_t i = 0; i < n; i++)
		to[i] = (unsigned char)((v >> (7 * (n - 1 - i)) & 0x7f) | (i + 1 < n ? 0x80 : 0));
	return n;
}

/* Off by one now and then. */
static uint64_t nearly(uint64_t v)
{
	const uint32_t dice = random_below(16);

	return dice == 0 ? v + 1 : dice == 1 && v > 0 ? v - 1 : v;
}

/* A cell that is nearly right; returns its bytes. */
static size_t nearly_a_cell(unsigned char *to, size_t room, int kind, uint32_t overflow)
{
	static const uint64_t large[] = {100, 101, 113, 300, 1000, 5000, 20000, 2000000, UINT64_MAX >> 8};
	unsigned char head[400], *at = to;
	const uint32_t dice = random_below(12);
	size_t columns = dice == 0 ? 31 + random_below(3) : random_below(7), head_bytes = 0;
	uint64_t body = 0, total, local;
	const bool is_index = kind != 13;
	const uint64_t most = is_index ? 500 * 64 / 255 - 23 : 512 - 35, least = 500 * 32 / 255 - 23;

	for (size_t i = 0; i < columns; i++) {
		uint64_t type = dice == 1                     ? random_below(16) + (random_below(4) ? 0 : 8)
		                : dice < 9 || random_below(5) ? random_below(random_below(3) ? 10 : 40)
		                                              : large[random_below(9)];

		head_bytes += put_varint(head + head_bytes, type);
		body += type < 10 ? (uint64_t)(unsigned char)"\0\1\2\3\4\6\10\10\0\0"[type] : (type - 12) / 2;
	}
	total = nearly(head_bytes + (head_bytes < 127 ? 1 : 2) + body);
	if (random_below(40) == 0)
		total = random_below(2) ? 0 : 1000000000 + random_below(2);
	local = total;
	if (total > most) {
		local = least + (total - least) % 508;
		local = local > most ? least : local;
	}
	if (kind == 2)
		at += 4;
	at += put_varint(at, total);
	if (!is_index)
		at += put_varint(at, random_below(2) ? random_below(200) : UINT64_MAX >> random_below(40));
	at += put_varint(at, nearly(head_bytes + (head_bytes < 127 ? 1 : 2)));
	memcpy(at, head, head_bytes);
	at += head_bytes;
	while (at < to + room)
		*at++ = (unsigned char)random_below(256);
	at = to + room - 4;
	if (local < total && local < room)
		log_put(at, overflow);
	return room;
}

/* Pages with cells that are nearly right, chains of other pages among them: the same records as the plain reader. */
static void cells_that_are_nearly_right_are_read_alike(void **state)
{
	enum { AT = 9, CHAIN = 12, ROUNDS = 6000 };
	static const unsigned char kinds[] = {13, 13, 13, 10, 2, 5, 0};
	struct lines *want = new_lines(), *got = new_lines();
	struct spooldir d;
	struct image m;
	struct pages *p;
	size_t found = 0;
	int fd;

	(void)state;
	spooldir_make(&d);
	sound_file(&d, 512);
	m = image_of(d.path, 512);
	p = open_pages(&d, PAGES_OF_FILE);
	fd = open(d.path, O_RDWR | O_CLOEXEC);
	for (uint32_t i = 0; i < 8; i++) /* a chain that ends, one that leaves the file, and rings */
		log_put(m.bytes + (CHAIN - 1 + i) * 512, i < 5    ? CHAIN + 1 + i
		                                         : i == 5 ? 0
		                                         : i == 6 ? m.pages + 1
		                                                  : CHAIN + 7);
	for (int round = 0; round < ROUNDS; round++) {
		unsigned char *page = m.bytes + (AT - 1) * 512;
		const int kind = kinds[random_below(sizeof kinds)];
		const size_t cells = 1 + random_below(3), head = kind == 2 ? 12 : 8;
		size_t at = 512;

		memset(page, 0, 512);
		page[0] = (unsigned char)kind;
		page[4] = (unsigned char)(random_below(30) ? cells : 245 + random_below(10));
		page[3] = random_below(200) == 0;
		for (size_t i = 0; i < cells; i++) {
			size_t room = i == 0 && random_below(3) == 0 ? 480 : 20 + random_below(120);

			at -= room;
			(void)nearly_a_cell(page + at, room, kind, CHAIN + random_below(9));
			log_put(page + head + 2 * i, 0);
			page[head + 2 * i] = (unsigned char)(at >> 8);
			page[head + 2 * i + 1] = (unsigned char)(at + (random_below(60) == 0));
		}
		if (random_below(10) == 0) {
			const size_t first = head + 2 * cells, odd[] = {first - 1, first, 510, 511, 512, 513, 0};
			const size_t where = odd[random_below(7)];

			page[first - 2] = (unsigned char)(where >> 8);
			page[first - 1] = (unsigned char)where;
		}
		assert_int_equal(pwrite(fd, page, 512, (AT - 1) * 512), 512);
		if (round == 0)
			assert_int_equal(pwrite(fd, page_of(&m, CHAIN), 8 * 512, (CHAIN - 1) * 512), 8 * 512);
		compare_page(p, &m, AT, false, want, got, "nearly right", (uint64_t)round);
		found += want->count;
	}
	assert_true(found > ROUNDS / 10);
	(void)close(fd);
	pages_close(p);
	free(m.bytes);
	free_lines(want);
	free_lines(got);
	spooldir_remove(&d);
}

static void put_in_three(unsigned char *at, uint32_t v)
{
	at[0] = (unsigned char)(0x80 | v >> 14);
	at[1] = (unsigned char)(0x80 | (v >> 7 & 127));
	at[2] = (unsigned char)(v & 127);
}

/* A payload of as many bytes as the file, one fewer, one more; its chain ends at once, or behind a page. */
static void a_payload_is_no_longer_than_the_file(void **state)
{
	enum { AT = 9, LEAST = (512 - 12) * 32 / 255 - 23, MOST = 512 - 35 };
	struct lines *want = new_lines(), *got = new_lines();

	(void)state;
	for (uint32_t next = 0; next <= AT + 1; next += AT + 1)
		for (int more = -1; more <= 1; more++) {
			struct spooldir d;
			struct image m;
			struct pages *p;
			uint32_t total, local;
			unsigned char *page, *cell;

			spooldir_make(&d);
			sound_file(&d, 512);
			m = image_of(d.path, 512);
			total = m.pages * 512 + (uint32_t)more;
			local = LEAST + (total - LEAST) % 508;
			local = local > MOST ? LEAST : local;
			page = memset(m.bytes + (AT - 1) * 512, 0, 1024);
			cell = page + 512 - (3 + 1 + local + 4);
			page[0] = 13;
			page[4] = 1;
			page[8] = (unsigned char)((cell - page) >> 8);
			page[9] = (unsigned char)(cell - page);
			put_in_three(cell, total);
			cell[3] = 5;
			cell[4] = 4;
			put_in_three(cell + 5, (total - 4) * 2 + 12); /* all of it is one value */
			log_put(cell + 4 + local, next);
			spooldir_store(d.path, m.bytes, m.count);
			p = open_pages(&d, PAGES_OF_FILE);
			assert_int_equal(pages_count(p), m.pages);
			compare_page(p, &m, AT, false, want, got, "a long payload", total);
			assert_int_equal(want->count, more <= 0);
			pages_close(p);
			free(m.bytes);
			spooldir_remove(&d);
		}
	free_lines(want);
	free_lines(got);
}

/* Files that end anywhere: what is not there is zero, and the map says of it what it says. */
static void files_cut_anywhere_are_read_alike(void **state)
{
	struct lines *want = new_lines(), *got = new_lines();
	struct spooldir d;
	struct image whole;

	(void)state;
	spooldir_make(&d);
	sound_file(&d, 512);
	whole = image_of(d.path, 512);
	for (size_t count = whole.count; count > 2048; count -= count % 512 < 3 || count % 512 > 509 ? 1 : 101) {
		struct image m;
		struct pages *p;

		assert_int_equal(truncate(d.path, (off_t)count), 0);
		m = image_of(d.path, 512);
		p = open_pages(&d, PAGES_OF_FILE | PAGES_AT_A_GLANCE);
		assert_int_equal(pages_count(p), (count + 511) / 512);
		for (uint32_t n = pages_count(p) < 12 ? 1 : pages_count(p) - 10; n <= pages_count(p); n++)
			compare_page(p, &m, n, true, want, got, "cut", count);
		pages_close(p);
		free(m.bytes);
	}
	free(whole.bytes);
	free_lines(want);
	free_lines(got);
	spooldir_remove(&d);
}

static enum err collect_or_tell(void *arg, const struct stored_record *r, struct error *e)
{
	struct lines *l = arg;

	if (!r->is_unread)
		return collect(arg, r, e);
	assert_int_equal(r->count, 0);
	lines_begin(l, false, 0);
	return buf_addf(&l->text, " cannot be read");
}

static const char *line_of(const struct lines *l, size_t i)
{
	return i < l->count ? (const char *)l->text.data + l->at[i] : "nothing";
}

/* A page that does not answer costs itself, and each record that goes on in it: no more, and no value of those. */
static void what_does_not_answer_costs_only_itself(void **state)
{
	struct lines *sound = new_lines(), *zeros = new_lines(), *got = new_lines();
	struct spooldir d;
	uint64_t unread = 0, refused = 0;
	struct image m;
	uint32_t pages;

	(void)state;
	spooldir_make(&d);
	sound_file(&d, 512);
	m = image_of(d.path, 512);
	pages = m.pages;
	free(m.bytes);
	for (uint32_t n = 3; n <= pages; n++) {
		struct pages *whole = open_pages(&d, PAGES_OF_FILE | PAGES_OF_A_SPOOL), *tolerant, *p;

		faultfs_dead("spool.db", (int64_t)(n - 1) * 512, 512);
		tolerant = open_pages(&d, PAGES_OF_FILE | PAGES_OF_A_SPOOL | PAGES_TOLERATE);
		p = open_pages(&d, PAGES_OF_FILE | PAGES_OF_A_SPOOL | PAGES_PIECEMEAL);
		for (uint32_t i = 1; i <= pages; i++) {
			struct error e = {0};
			enum err err;

			lines_clear(sound);
			lines_clear(zeros);
			lines_clear(got);
			err = pages_records(p, i, collect_or_tell, got, &e);
			assert_int_equal(pages_records(tolerant, i, collect, zeros, &e), ERR_OK);
			faultfs_dead(NULL, 0, 0);
			assert_int_equal(pages_records(whole, i, collect, sound, &e), ERR_OK);
			faultfs_dead("spool.db", (int64_t)(n - 1) * 512, 512);
			if (i == n) {
				assert_true(err == ERR_DISK || (err == ERR_OK && sound->count == 0));
				refused += err == ERR_DISK;
				continue;
			}
			assert_int_equal(err, ERR_OK);
			assert_int_equal(got->count, sound->count);
			buf_add(&got->text, "", 1);
			buf_add(&sound->text, "", 1);
			buf_add(&zeros->text, "", 1);
			for (size_t k = 0; k < got->count; k++) {
				const bool is_told = strstr(line_of(got, k), "cannot be read") != NULL;
				const bool is_other = strcmp(line_of(zeros, k), line_of(sound, k)) != 0;

				if (is_told != is_other ||
				    (!is_told && strcmp(line_of(got, k), line_of(sound, k)) != 0))
					fail_msg("page %u is dead, record %zu of page %u: %s", n, k, i,
					         line_of(got, k));
				unread += is_told;
			}
		}
		faultfs_dead(NULL, 0, 0);
		pages_close(whole);
		pages_close(tolerant);
		pages_close(p);
	}
	assert_true(unread > 10);
	assert_true(refused > 5);
	free_lines(sound);
	free_lines(zeros);
	free_lines(got);
	spooldir_remove(&d);
}

/* What has the name is no file; and a log of which a frame does not say whose it is. */
static void what_cannot_be_opened_is_told(void **state)
{
	static const struct {
		bool is_log;
		const char *text;
	} cases[] = {{false, "spool.db: it is a directory, not a file"}, {true, "spool.db: it is a fifo, not a file"}};
	struct spooldir d;
	sqlite3 *db;
	struct error e;
	struct pages *p = NULL;
	int dir;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		spooldir_make(&d);
		dir = open(d.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_int_equal(cases[i].is_log ? mkfifo(spooldir_file(&d, "-wal"), 0600) : mkdir(d.path, 0700), 0);
		assert_int_equal(pages_open(dir, "spool.db", PAGES_OF_BOTH, &p, &e), ERR_DISK);
		assert_string_equal(e.text, cases[i].text);
		assert_null(p);
		assert_int_equal(cases[i].is_log ? unlink(spooldir_file(&d, "-wal")) : rmdir(d.path), 0);
		(void)close(dir);
		spooldir_remove(&d);
	}
	spooldir_make(&d);
	db = make_database(&d, 512, "");
	faultfs_dead("spool.db-wal", 32 + 24 + 512, 24);
	dir = open(d.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(pages_open(dir, "spool.db", PAGES_OF_BOTH | PAGES_PIECEMEAL, &p, &e), ERR_DISK);
	assert_string_equal(e.text, "spool.db: 1 frames of its log cannot be read");
	assert_int_equal(pages_open(dir, "spool.db", PAGES_OF_BOTH | PAGES_TOLERATE, &p, &e), ERR_OK);
	assert_int_equal(pages_unreadable(p), 1);
	pages_close(p);
	faultfs_dead(NULL, 0, 0);
	(void)close(dir);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_wrong_byte_is_read_alike),
	    cmocka_unit_test(cells_that_are_nearly_right_are_read_alike),
	    cmocka_unit_test(a_payload_is_no_longer_than_the_file),
	    cmocka_unit_test(files_cut_anywhere_are_read_alike),
	    cmocka_unit_test(what_does_not_answer_costs_only_itself),
	    cmocka_unit_test(what_cannot_be_opened_is_told),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
