#include "rig/lives.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "store/store_internal.h"

enum { GROUP = 10 };

static const struct store *by_hand; /* what a statement of a test changed need not agree any more */

uint32_t life_bytes(uint64_t n) { return (uint32_t)(n % 7 * 400); }

void life_append(struct store *s, uint64_t n, uint32_t count)
{
	struct error e;

	for (uint32_t i = 0; i < count;) {
		assert_int_equal(store_begin(s, &e), ERR_OK);
		for (int k = 0; k < GROUP && i < count; k++) {
			struct message *m = spooldir_message(n + i + 1, life_bytes(n + i + 1));

			assert_int_equal(store_append(s, m, &e), ERR_OK);
			message_free(m);
			i++;
		}
		assert_int_equal(store_commit(s, &e), ERR_OK);
	}
}

void life_settle(struct store *s, uint64_t first, uint64_t last)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t id = first; id <= last; id++) {
		const struct store_settlement item = {.id = id, .kind = SETTLE_DELIVERED};

		assert_int_equal(store_settle(s, &item, 1, &e), ERR_OK);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

/* How much a start reads back is bounded by the clock: it stands still meanwhile, or a busy machine would say how much.
 */
struct store *life_open(const struct spooldir *d, struct store_report *report)
{
	const bool stands_still = clock_test_stop();
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;
	struct error e;
	enum err err;

	err = store_open(&o, &s, report, &e);
	if (stands_still)
		clock_test_go_on();
	if (err != ERR_OK)
		fail_msg("%s", e.text);
	by_hand = by_hand == s ? NULL : by_hand;
	return s;
}

void life_checkpoint(struct store *s)
{
	struct error e;

	assert_int_equal(store_checkpoint(s, true, &e), ERR_OK);
}

static void agree(struct store *s, const char *what, uint64_t known, const char *sql)
{
	const int64_t there = life_number(s, sql);

	if ((int64_t)known != there)
		fail_msg("%s: %llu are known, and %lld there", what, (unsigned long long)known, (long long)there);
}

void life_adds_up(struct store *s)
{
	const struct totals *t = &s->durable;

	for (sqlite3_stmt *st = NULL; (st = sqlite3_next_stmt(s->db, st));)
		if (sqlite3_stmt_busy(st))
			fail_msg("it goes on reading: %s", sqlite3_sql(st));
	if (t->ledger.pending > 0)
		agree(s, "bytes", t->pending_bytes, "SELECT " PENDING_BYTES_SQL);
	agree(s, "shelf", t->ledger.dead, "SELECT count(*) FROM dead");
	if ((uint64_t)life_number(s, "SELECT ifnull(min(id), -1) FROM messages") < t->rows_from ||
	    (uint64_t)life_number(s, "SELECT ifnull(min(id), -1) FROM blocks") < t->blocks_from)
		fail_msg("one waits below the lowest that does");
}

void life_agrees(struct store *s)
{
	const struct totals *t = &s->durable;
	struct side_total positions, imports;
	struct error e;

	if (s == by_hand || s->untrusted || s->in_group)
		return;
	agree(s, "failures", store_retrying(s), "SELECT count(*) FROM failures");
	assert_int_equal(side_positions_total(s->db, &positions, &e), ERR_OK);
	assert_int_equal(side_imports_total(s->db, &imports, &e), ERR_OK);
	assert_int_equal(s->rows.positions, positions.rows);
	assert_int_equal(s->rows.imports, imports.rows);
	if (positions.wrong == 0)
		assert_int_equal(s->rows.positions_sum, positions.sum);
	if (imports.wrong == 0)
		assert_int_equal(s->rows.imports_sum, imports.sum);
	agree(s, "keys", s->rows.keys, "SELECT count(*) FROM cache");
	if (s->leads_durable > (uint64_t)life_number(s, "SELECT count(*) FROM clock"))
		fail_msg("notes of the clock are known that are not there");
	if ((uint64_t)life_number(s, "SELECT ifnull(max(id), 0) FROM failures") > s->failures_max_id)
		fail_msg("one failed behind the last that is known to have");
	if (t->told > t->ledger.damaged)
		fail_msg("%llu are damaged, and of %llu somebody knows", (unsigned long long)t->ledger.damaged,
		         (unsigned long long)t->told);
	if ((uint64_t)life_number(s, "SELECT ifnull(sum(messages), 0) FROM losses") > store_untold(t))
		fail_msg("more reasons than damaged messages");
	if (s->salvage_is_done && s->put_off_count == 0)
		agree(s, "awaited", 0, "SELECT ifnull(sum(after_id), 0) FROM salvage WHERE path = 'expected'");
}

void life_close(struct store *s)
{
	struct error e;

	life_agrees(s);
	assert_int_equal(store_close(s, &e), ERR_OK);
}

void life_make(struct spooldir *d, uint64_t n, uint32_t in_file, uint32_t in_log)
{
	struct store *s;

	spooldir_make(d);
	s = life_open(d, NULL);
	life_append(s, n, in_file);
	life_checkpoint(s);
	life_append(s, n + in_file, in_log);
	store_abandon(s);
}

void life_make_halves(const struct spooldir *d, uint32_t rows, bool in_log)
{
	struct store *s = life_open(d, NULL);
	struct error e;

	life_append(s, 0, rows / 2);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_position_put(s, "file", "123", &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	life_checkpoint(s);
	life_append(s, rows / 2, rows - rows / 2);
	if (in_log)
		store_abandon(s);
	else
		life_close(s);
}

void life_bring(const struct spooldir *from, const char *suffix, const struct spooldir *to)
{
	size_t count;
	unsigned char *bytes = spooldir_load(spooldir_file(from, suffix), &count);

	assert_non_null(bytes);
	spooldir_store(spooldir_file(to, suffix), bytes, count);
	free(bytes);
}

int life_count_files(const struct spooldir *d, const char *part)
{
	DIR *dir = opendir(d->dir);
	struct dirent *entry;
	int count = 0;

	while ((entry = readdir(dir)))
		count += strstr(entry->d_name, part) != NULL;
	(void)closedir(dir);
	return count;
}

static uint64_t number_of(const struct message *m)
{
	struct meta_entry entry;
	size_t cursor = 0;
	char text[32];

	assert_true(meta_next(message_meta(m), m->meta_bytes, &cursor, &entry));
	(void)snprintf(text, sizeof text, "%.*s", (int)entry.value_length, entry.value);
	return strtoull(text, NULL, 10);
}

uint32_t life_waiting(struct store *s, uint64_t n)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	bool there[1001] = {0};
	struct message *m;
	struct error e;
	uint32_t count;
	uint64_t last;

	assert_int_equal(store_read(s, 0, 10000, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
	STAILQ_FOREACH (m, &list, link) {
		const uint64_t number = number_of(m);

		/* Some came in a copy, or it is not known how the clock stood: younger than they say, and never older.
		 */
		assert_true(clock_mono_ms() - m->accepted_ms <= clock_wall_ms() - m->received_ms + 2000);
		if (number <= n || number > n + 1000)
			fail_msg("message %llu is another spool's", (unsigned long long)number);
		assert_true(spooldir_is_message(m, number, life_bytes(number)));
		assert_false(there[number - n]);
		there[number - n] = true;
	}
	message_list_free(&list);
	return count;
}

uint64_t life_problems(const struct spooldir *d, char *text, size_t size)
{
	struct error e;
	struct buf out;
	uint64_t problems = 7; /* told, whatever it was */

	buf_init(&out, 1 << 20);
	if (store_check(d->path, &out, &problems, &e) != ERR_OK)
		fail_msg("%s", e.text);
	(void)snprintf(text, size, "%.*s", (int)out.len, out.data);
	buf_fini(&out);
	return problems;
}

void life_expect(struct store *s, uint64_t accepted, uint64_t delivered, uint64_t pending, uint64_t damaged)
{
	const struct store_ledger *l = store_ledger(s);

	if (l->accepted != accepted || l->delivered != delivered || l->pending != pending || l->damaged != damaged)
		fail_msg("accepted %llu delivered %llu pending %llu damaged %llu", (unsigned long long)l->accepted,
		         (unsigned long long)l->delivered, (unsigned long long)l->pending,
		         (unsigned long long)l->damaged);
}

struct store *life_begin(struct spooldir *d)
{
	spooldir_make(d);
	return life_open(d, NULL);
}

void life_end(struct spooldir *d, struct store *s)
{
	life_close(s);
	spooldir_remove(d);
}

void life_sql(struct store *s, const char *sql)
{
	char *why = NULL;

	by_hand = s;
	if (sqlite3_exec(s->db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
}

int64_t life_number(struct store *s, const char *sql)
{
	struct error e;
	int64_t n = -1;

	if (sql_number(s->db, sql, &n, &e) != ERR_OK)
		fail_msg("%s", e.text);
	return n;
}
