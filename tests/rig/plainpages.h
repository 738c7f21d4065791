/*
 * plainpages: a database made by SQLite, and its pages read by rules written down a second time.
 *
 * What it is: what src/store/files/pages.c is held against; records as lines of text, sorted and compared.
 * sqlite.org/fileformat2.html, sections 1.6, 1.8 and 2.1. Included after cmocka.h by the tests of pages.
 */
#ifndef KSPOOL_TESTS_PLAINPAGES_H
#define KSPOOL_TESTS_PLAINPAGES_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/mem.h"
#include "rig/logimage.h"
#include "rig/spooldir.h"
#include "store/files/pages.h"

enum { LINES_MAX = 6000 };

/* Records as lines of text, to be sorted and compared. */
struct lines {
	struct buf text;
	size_t count, at[LINES_MAX];
};

static inline void lines_clear(struct lines *l)
{
	l->count = 0;
	l->text.len = 0;
}

static inline void lines_begin(struct lines *l, bool is_index, int64_t rowid)
{
	assert_true(l->count < LINES_MAX);
	if (l->text.len > 0)
		buf_add(&l->text, "", 1);
	l->at[l->count++] = l->text.len;
	buf_addf(&l->text, "%c%lld", is_index ? 'i' : 't', (long long)rowid);
}

static inline void lines_value(struct lines *l, char type, int64_t number, const unsigned char *bytes, size_t count)
{
	uint64_t print = 1469598103934665603u;

	for (size_t i = 0; i < count; i++)
		print = (print ^ bytes[i]) * 1099511628211u;
	if (type == 'i')
		buf_addf(&l->text, " i%lld", (long long)number);
	else
		buf_addf(&l->text, " %c%zu:%llx", type, count, (unsigned long long)(count ? print : 0));
}

static struct lines *sorting;

static inline int by_text(const void *a, const void *b)
{
	return strcmp((const char *)sorting->text.data + *(const size_t *)a,
	              (const char *)sorting->text.data + *(const size_t *)b);
}

static inline void lines_sort(struct lines *l)
{
	buf_add(&l->text, "", 1);
	sorting = l;
	qsort(l->at, l->count, sizeof *l->at, by_text);
}

static inline void lines_compare(struct lines *want, struct lines *got, const char *what, uint64_t where)
{
	lines_sort(want);
	lines_sort(got);
	for (size_t i = 0; i < want->count || i < got->count; i++) {
		const char *w = i < want->count ? (const char *)want->text.data + want->at[i] : "nothing";
		const char *g = i < got->count ? (const char *)got->text.data + got->at[i] : "nothing";

		if (strcmp(w, g) != 0)
			fail_msg("%s at %llu: record %zu should be \"%s\", is \"%s\"", what, (unsigned long long)where,
			         i, w, g);
	}
}

static inline struct lines *new_lines(void)
{
	struct lines *l = mem_zero(sizeof *l);

	buf_init(&l->text, 8 << 20);
	return l;
}

static inline void free_lines(struct lines *l)
{
	buf_fini(&l->text);
	free(l);
}

/* The plain reader. A page of an image, by section 1.6 and 2.1 of the format; bytes that are not there are zero. */
struct image {
	unsigned char *bytes; /* with as many zeros behind as a page is long */
	size_t count;
	uint32_t page, pages;
};

static inline uint64_t varint(const unsigned char **at, const unsigned char *end, bool *ok)
{
	uint64_t v = 0;

	for (int i = 0; i < 9; i++) {
		unsigned char c;

		if (*at >= end) {
			*ok = false;
			return 0;
		}
		c = *(*at)++;
		if (i == 8)
			return v * 256 + c;
		v = v * 128 + c % 128;
		if (c < 128)
			return v;
	}
	return v;
}

static inline const unsigned char *page_of(const struct image *m, uint32_t n)
{
	return m->bytes + (size_t)(n - 1) * m->page;
}

/* Of its `total` bytes so many are there, and zeros behind. */
static inline bool record_line(const unsigned char *p, uint64_t there, uint64_t total, bool is_index, int64_t rowid,
                               struct lines *out)
{
	const unsigned char *at = p, *end, *value;
	uint64_t head, sum, types[RECORD_COLUMNS_MAX], sizes[RECORD_COLUMNS_MAX];
	bool ok = true;
	int n = 0;

	head = varint(&at, p + total, &ok);
	if (!ok || head > total)
		return false;
	end = p + head;
	for (sum = head; at < end; n++) {
		static const int fixed[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0};
		uint64_t type = varint(&at, end, &ok);

		if (!ok || n == RECORD_COLUMNS_MAX || type == 10 || type == 11)
			return false;
		types[n] = type;
		sizes[n] = type < 10 ? (uint64_t)fixed[type] : (type - 12) / 2;
		if (sizes[n] > total)
			return false;
		sum += sizes[n];
	}
	if (sum != total || n == 0)
		return false;
	lines_begin(out, is_index, rowid);
	if (there < total)
		buf_addf(&out->text, " cut");
	value = p + head;
	for (int i = 0; i < n; value += sizes[i++]) {
		int64_t number = types[i] == 9;

		if (types[i] > 0 && types[i] < 7) {
			number = value[0] >= 128 ? -1 : 0;
			for (uint64_t k = 0; k < sizes[i]; k++)
				number = (int64_t)((uint64_t)number * 256 + value[k]);
		}
		lines_value(out, "niiiiiifii"[types[i] < 10 ? types[i] : 0], number, value, types[i] == 7 ? 8 : 0);
		if (types[i] >= 12) {
			out->text.len -= strlen(" n0:0");
			lines_value(out, types[i] % 2 ? 't' : 'b', 0, value,
			            value + sizes[i] <= p + there ? (size_t)sizes[i]
			            : value < p + there           ? (size_t)(p + there - value)
			                                          : 0);
		}
	}
	return true;
}

static inline void cell_lines(const struct image *m, const unsigned char *page, const unsigned char *at, int kind,
                              bool glance, struct lines *out)
{
	const unsigned char *end = page + m->page;
	const uint64_t u = m->page;
	const bool is_index = kind != 13;
	const uint64_t most = is_index ? (u - 12) * 64 / 255 - 23 : u - 35, least = (u - 12) * 32 / 255 - 23;
	uint64_t total, rowid = 0, local;
	unsigned char *all;
	bool ok = true;

	at += kind == 2 ? 4 : 0;
	total = varint(&at, end, &ok);
	if (ok && !is_index)
		rowid = varint(&at, end, &ok);
	if (!ok || total == 0 || total > 1000000000)
		return;
	local = total;
	if (total > most) {
		local = least + (total - least) % (u - 4);
		local = local > most ? least : local;
	}
	if (at + local + (local < total ? 4 : 0) > end)
		return;
	if (local < total && (glance || total > m->pages * u))
		return;
	all = mem_zero((size_t)total + 1);
	memcpy(all, at, (size_t)local);
	if (local < total)
		for (uint32_t next = log_get(at + local); local < total;) {
			uint64_t n = total - local < u - 4 ? total - local : u - 4;

			if (next == 0 || next > m->pages)
				break;
			memcpy(all + local, page_of(m, next) + 4, (size_t)n);
			next = log_get(page_of(m, next));
			local += n;
		}
	(void)record_line(all, local, total, is_index, (int64_t)rowid, out);
	free(all);
}

static inline void bare_page_lines(const struct image *m, const unsigned char *page, uint32_t n, bool glance,
                                   struct lines *out)
{
	const size_t head = n == 1 ? 100 : 0;
	const int kind = page[head];
	const size_t cells = page[head + 3] * 256u + page[head + 4], first = head + (kind == 2 ? 12 : 8);

	if ((kind != 2 && kind != 10 && kind != 13) || first + cells * 2 > m->page)
		return;
	for (size_t i = 0; i < cells; i++) {
		size_t at = page[first + 2 * i] * 256u + page[first + 2 * i + 1];

		if (at >= first + cells * 2 && at < m->page)
			cell_lines(m, page, page + at, kind, glance, out);
	}
}

static inline bool is_free_page(const struct image *m, uint32_t n)
{
	const uint32_t group = m->page / 5 + 1;

	if (n < 2)
		return false;
	return (n - 2) % group == 0 || page_of(m, n - (n - 2) % group)[((n - 2) % group - 1) * 5] == 2;
}

static inline void page_lines(const struct image *m, uint32_t n, bool glance, struct lines *out)
{
	if (!is_free_page(m, n))
		bare_page_lines(m, page_of(m, n), n, glance, out);
}

static inline struct image image_of(const char *path, uint32_t page)
{
	struct image m = {.page = page};
	unsigned char *bytes = spooldir_load(path, &m.count);

	m.pages = (uint32_t)((m.count + page - 1) / page);
	m.bytes = mem_zero(m.count + 2 * (size_t)page);
	memcpy(m.bytes, bytes, m.count);
	free(bytes);
	return m;
}

static inline enum err collect(void *arg, const struct stored_record *r, struct error *e)
{
	struct lines *l = arg;

	(void)e;
	lines_begin(l, r->is_index, r->rowid);
	if (r->is_cut)
		buf_addf(&l->text, " cut");
	for (int i = 0; i < r->count; i++) {
		const struct stored_value *v = &r->values[i];

		lines_value(l, "niftb"[v->type], v -> number, v -> bytes,
		            v -> type == VALUE_NULL || v -> type == VALUE_INT ? 0 : v -> count);
		assert_true(v->type == VALUE_INT || v->number == 0);
	}
	return ERR_OK;
}

static inline int folder_of(const struct spooldir *d)
{
	int fd = open(d->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), high = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	assert_true(fd >= 0 && high >= 3);
	(void)close(fd);
	return high;
}

static inline struct pages *open_pages(const struct spooldir *d, unsigned which)
{
	int dir = folder_of(d);
	struct pages *p = NULL;
	struct error e = {0};

	(void)close(0); /* a descriptor may be 0 */
	if (pages_open(dir, "spool.db", (enum pages_of)which, &p, &e) != ERR_OK)
		fail_msg("%s", e.text);
	(void)close(dir);
	return p;
}

static inline void all_records(struct pages *p, struct lines *out)
{
	struct error e = {0};

	for (uint32_t n = 1; n <= pages_count(p); n++)
		if (pages_records(p, n, collect, out, &e) != ERR_OK)
			fail_msg("page %u: %s", n, e.text);
}

static inline void run_sql(sqlite3 *db, const char *sql)
{
	char *text = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
		fail_msg("%.60s: %s", sql, text);
}

/* Tables and indexes of every type and of sizes around each limit; a table that was dropped left its pages free. */
static inline sqlite3 *make_database(const struct spooldir *d, uint32_t page, const char *more)
{
	sqlite3 *db = NULL;
	char *sql = sqlite3_mprintf(
	    "PRAGMA secure_delete=OFF; PRAGMA page_size=%u; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; "
	    "PRAGMA wal_autocheckpoint=0;"
	    "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, c); CREATE TABLE gone (x);"
	    "CREATE TABLE w (k PRIMARY KEY, v) WITHOUT ROWID; CREATE INDEX i ON t (b);"
	    "WITH RECURSIVE n(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n WHERE x < 40)"
	    " INSERT INTO t SELECT x * x * x * 977 - 300000, CASE x %% 3 WHEN 0 THEN 1 << (x + 8) WHEN 1 THEN -(1 << x)"
	    " ELSE x / 3 %% 3 END, x, CASE x %% 4 WHEN 0 THEN NULL WHEN 1 THEN x * 1.5 WHEN 2 THEN 'text ' || x ELSE"
	    " zeroblob(x) END FROM n;"
	    "INSERT INTO t VALUES (9223372036854775807, 140737488355328, -140737488355329, 9223372036854775807),"
	    " (-9223372036854775808, -9223372036854775808, 32768, -32769), (77, 8388608, -8388609, '');"
	    "WITH RECURSIVE n(x) AS (SELECT -4 UNION ALL SELECT x + 1 FROM n WHERE x < 4)"
	    " INSERT INTO t SELECT 1000000 + x, 0, 1, substr(hex(zeroblob(%u)), 1, %u + x) FROM n UNION ALL"
	    " SELECT 2000000 + x, 0, x, randomblob(2 * %u + x) FROM n UNION ALL"
	    " SELECT 3000000 + x, 0, randomblob(%u + x), 1 FROM n;"
	    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 60)"
	    " INSERT INTO w SELECT 'key' || x, randomblob(x * %u / 200) FROM n;"
	    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 200)"
	    " INSERT INTO gone SELECT 'not any more ' || x FROM n; %s",
	    page, page, page - 42, page - 4, (page - 12) * 64 / 255 - 23, page, more);

	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	run_sql(db, sql);
	sqlite3_free(sql);
	return db;
}

static inline void sound_file(const struct spooldir *d, uint32_t page)
{
	sqlite3 *db = make_database(d, page,
	                            "PRAGMA wal_checkpoint(TRUNCATE); DROP TABLE gone; CREATE TABLE gone (x);"
	                            "PRAGMA wal_checkpoint(TRUNCATE)");

	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static inline void compare_page(struct pages *p, const struct image *m, uint32_t n, bool glance, struct lines *want,
                                struct lines *got, const char *what, uint64_t where)
{
	struct error e;

	lines_clear(want);
	lines_clear(got);
	page_lines(m, n, glance, want);
	assert_int_equal(pages_records(p, n, collect, got, &e), ERR_OK);
	lines_compare(want, got, what, where);
}

#endif
