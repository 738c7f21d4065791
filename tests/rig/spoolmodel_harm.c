#include "rig/spoolmodel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig/faultsql.h"
#include "rig/spoolmodel_internal.h"

static void run_sql(const struct model *m, const char *verb, uint64_t id)
{
	sqlite3 *db = NULL;
	char text[200];

	(void)snprintf(text, sizeof text, "%s WHERE id = %" PRIu64, verb, id);
	assert_int_equal(sqlite3_open(m->dir.path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_changes(db), 1);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

bool model_is_alone(const struct model *m, uint64_t id)
{
	char sql[80];

	(void)snprintf(sql, sizeof sql, "SELECT count(*) FROM messages WHERE id = %" PRIu64, id);
	return model_count(m, sql) > 0;
}

void model_stop(struct model *m)
{
	struct error e;

	assert_int_equal(store_close(m->s, &e), ERR_OK);
	m->s = NULL;
}

void model_harm(struct model *m, uint64_t id, bool alone)
{
	m->now.items[id].harm = alone ? HARMED_ALONE : HARMED_IN_BLOCK;
	if (alone)
		run_sql(m, "UPDATE messages SET body = CAST(body || x'00' AS BLOB)", id);
	else
		spooldir_damage(m->dir.path, id);
}

void model_lose(struct model *m, uint64_t id, bool alone)
{
	m->now.items[id].harm = LOST;
	if (alone)
		run_sql(m, "DELETE FROM messages", id);
	else
		spooldir_lose(m->dir.path, id);
}

/* One that was harmed is damaged now; what failed of it may be left. */
static void count_damaged(struct model *m, struct model_message *x)
{
	x->place = MODEL_GONE;
	m->now.ledger.pending--;
	m->now.ledger.damaged++;
	m->now.damaged_rows += x->harm != LOST;
	if (x->failed && x->harm != HARMED_ALONE)
		m->orphans++;
	x->harm = UNHARMED;
}

static uint64_t count_harmed(const struct model *m, enum model_harm_kind from, enum model_harm_kind to)
{
	uint64_t count = 0;

	for (uint64_t id = 1; id < m->now.next_id; id++)
		count += m->now.items[id].harm >= from && m->now.items[id].harm <= to;
	return count;
}

static void check_finds(const struct model *m)
{
	const uint64_t wrong = count_harmed(m, HARMED_ALONE, HARMED_IN_BLOCK), lost = count_harmed(m, LOST, LOST);
	struct error e;
	struct buf out;
	uint64_t problems;
	char line[160];

	buf_init(&out, 1 << 20);
	assert_int_equal(store_check(m->dir.path, &out, &problems, &e), ERR_OK);
	assert_int_equal(buf_add_char(&out, '\0'), ERR_OK);
	(void)snprintf(line, sizeof line, "messages: %" PRIu64 " rows have a wrong checksum\n", wrong);
	assert_true((strstr(out.data, line) != NULL) == (wrong > 0));
	(void)snprintf(line, sizeof line, "messages: %" PRIu64 " rows,", m->now.ledger.pending - lost);
	assert_non_null(strstr(out.data, line));
	(void)snprintf(line, sizeof line,
	               "the ledger counts %" PRIu64 " pending and %" PRIu64 " dead, there are %" PRIu64 " and",
	               m->now.ledger.pending, m->now.ledger.dead, m->now.ledger.pending - lost);
	assert_true((strstr(out.data, line) != NULL) == (lost > 0));
	buf_fini(&out);
}

void model_start_harmed(struct model *m)
{
	const uint64_t lost = count_harmed(m, LOST, LOST);
	struct store_report report;

	check_finds(m);
	model_open_store(m, &report);
	model_ids_after_stop(m);
	same("missing", report.missing_rows, lost);
	assert_true((strstr(report.warning, "of the ledger have no row") != NULL) == (lost > 0));
	for (uint64_t id = 1; id < m->now.next_id; id++) { /* where counts disagree each block is looked at */
		struct model_message *x = &m->now.items[id];

		if (x->harm == LOST || (lost > 0 && x->harm == HARMED_IN_BLOCK))
			count_damaged(m, x);
	}
	same("rows", report.rows, m->now.ledger.pending);
}

/* What failed and is gone is cleared away when it is due. */
static enum err read_all_due(struct model *m, struct error *e)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint32_t count = 0, sum = 0, want = 0;
	enum err err;

	do {
		err = store_read_due(m->s, INT64_MAX, 1000, UINT64_MAX, NULL, NULL, &list, &count, e);
		sum += count;
		message_list_free(&list);
	} while (err == ERR_OK && count > 0);
	if (err != ERR_OK) { /* what was handed out before is handed out */
		m->due_ms = m->s->due_ms;
		m->due_id = m->s->due_id;
		return err;
	}
	for (uint64_t id = 1; id < m->now.next_id; id++) {
		struct model_message *x = &m->now.items[id];

		if (x->place == MODEL_WAITS && x->failed && x->harm != UNHARMED)
			count_damaged(m, x);
		else
			want += x->place == MODEL_WAITS && x->failed && !model_was_handed_out(m, id);
	}
	same("all that failed", sum, want);
	assert_true(m->s->unexpected_settlements >= m->now.unexpected + m->orphans); /* of failed tries, too */
	m->now.unexpected = m->s->unexpected_settlements;
	m->orphans = 0;

	m->due_ms = m->s->due_ms;
	m->due_id = m->s->due_id;
	return ERR_OK;
}

enum err model_read_harmed(struct model *m, struct error *e)
{
	const uint64_t end = m->durable_next - 1;
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint64_t last = 0, id = 0;
	struct message *x;
	uint32_t count;

	while (last < end) {
		enum err err = store_read(m->s, last, 50, UINT64_MAX, &list, &count, &last, e);

		STAILQ_FOREACH (x, &list, link) {
			do
				id++;
			while (id <= end && (m->now.items[id].place != MODEL_WAITS || m->now.items[id].failed ||
			                     m->now.items[id].harm != UNHARMED));
			same("the message read", x->id, id);
			model_same_bytes(&m->now.items[id], id, message_meta(x), x->meta_bytes, message_body(x),
			                 x->body_bytes);
		}
		message_list_free(&list);
		if (err != ERR_OK)
			return err;
	}
	for (id = 1; id <= end; id++)
		if (m->now.items[id].harm == HARMED_IN_BLOCK ||
		    (m->now.items[id].harm == HARMED_ALONE && !m->now.items[id].failed))
			count_damaged(m, &m->now.items[id]);
	m->durable_next = store_next_id(m->s);
	return read_all_due(m, e);
}

void model_repair(struct model *m)
{
	/* where counts disagree its start has looked at each block already */
	const bool is_lost = count_harmed(m, LOST, LOST) > 0;
	const uint64_t wrong = count_harmed(m, HARMED_ALONE, is_lost ? HARMED_ALONE : HARMED_IN_BLOCK);
	struct store_report report;
	struct error e;
	struct buf out;
	char line[160];

	buf_init(&out, 1 << 20);
	if (store_repair(m->dir.path, &(struct store_repair){0}, &out, &e) != ERR_OK)
		fail_msg("repair: %s\n%.*s", e.text, (int)out.len, out.data);
	assert_int_equal(buf_add_char(&out, '\0'), ERR_OK);
	(void)snprintf(line, sizeof line,
	               "rows: %" PRIu64 " with a wrong checksum moved to `damaged`, 0 counted as missing,"
	               " 0 salvaged\n",
	               wrong);
	if (!strstr(out.data, line))
		fail_msg("not %s but %s", line, out.data);
	buf_fini(&out);
	for (uint64_t id = 1; id < m->now.next_id; id++)
		if (m->now.items[id].harm != UNHARMED)
			count_damaged(m, &m->now.items[id]);
	model_open_store(m, &report);
	model_ids_after_stop(m);
	assert_string_equal(report.warning, "");
	assert_int_equal(read_all_due(m, &e), ERR_OK);
}

/* All comes back, each message alone. */
static void come_back(struct model *m, const struct store_report *report)
{
	model_ids_after_stop(m);
	assert_int_equal(report->missing_rows, 0);
	same("salvaged", report->salvaged_rows, m->now.ledger.pending + m->now.ledger.dead);
	same("rows", report->rows, m->now.ledger.pending);
	m->asides++;
	m->now.damaged_rows = 0;
	for (uint64_t id = 1; id < m->now.next_id; id++) {
		struct model_message *x = &m->now.items[id];

		if (!x->failed)
			continue;
		x->due_ms = model_own_ms(m);
		x->reason[0] = '\0';
	}
}

/* The head of the file is gone. */
void model_behead(struct model *m)
{
	struct store_report report;
	size_t count;
	unsigned char *bytes = spooldir_load(m->dir.path, &count);

	memset(bytes, 0, 100);
	spooldir_store(m->dir.path, bytes, count);
	free(bytes);
	model_open_store(m, &report);
	assert_true(report.quarantined);
	come_back(m, &report);
}

static void move_part(const struct model *m, const char *from, const char *to)
{
	char name[400];

	(void)snprintf(name, sizeof name, "%s", spooldir_file(&m->dir, from));
	assert_true(rename(name, spooldir_file(&m->dir, to)) == 0 || access(name, F_OK) != 0);
}

/* One start has neither the file nor what was set aside of it, the next has: of what waited nothing was lost. */
void model_take_away(struct model *m, uint64_t keys)
{
	static const char suffix[] = ".quarantine-20200101T000000Z-";
	const struct store_ledger *l = &m->now.ledger;
	char file[80], log[90];
	struct store_report report;
	struct error e;

	(void)snprintf(file, sizeof file, "%s%03llu", suffix, (unsigned long long)m->asides);
	(void)snprintf(log, sizeof log, "%s-wal", file);
	move_part(m, "", ".away");
	move_part(m, "-wal", ".away-wal");
	model_open_store(m, &report);
	same("accepted", store_ledger(m->s)->accepted, l->accepted);
	same("damaged", store_ledger(m->s)->damaged, l->damaged + l->pending + l->dead);
	assert_int_equal(store_close(m->s, &e), ERR_OK);
	m->now.possible += keys; /* nothing says yet that they come back */
	move_part(m, ".away", file);
	move_part(m, ".away-wal", log);
	model_open_store(m, &report);
	come_back(m, &report);
}

/* How many of its block wait; 0: it stands alone. */
static int64_t waits_in_block(const struct model *m, uint64_t id)
{
	char sql[200];

	if (model_is_alone(m, id))
		return 0;
	(void)snprintf(
	    sql, sizeof sql,
	    "SELECT b.count - ifnull(p.settled, 0) FROM blocks AS b LEFT JOIN partial AS p ON p.block_id = b.id"
	    " WHERE b.id <= %llu ORDER BY b.id DESC",
	    (unsigned long long)id);
	return model_count(m, sql);
}

static void end_harm(struct model *m, bool harmed, uint64_t *ret_failed, const struct side_rows *rows)
{
	struct error e = {.code = ERR_OK};
	enum err err = ERR_MEMORY;

	if (model_pick(4) == 0) {
		model_repair(m);
	} else if (!harmed && rows->imports == 0 && model_pick(2)) {
		model_take_away(m, rows->keys);
	} else if (!harmed) {
		model_behead(m);
	} else {
		model_start_harmed(m);
		for (int tries = 0; err == ERR_MEMORY; tries++) {
			faultsql_arm(tries < 12 ? 1 + model_pick(60) : 0, SQLITE_NOMEM, false);
			err = model_read_harmed(m, &e);
			*ret_failed += faultsql_failed();
			assert_true((err == ERR_MEMORY) ==
			            (faultsql_failed() && strcmp(faultsql_what(), "ROLLBACK") != 0));
		}
		faultsql_arm(0, 0, false);
		if (err != ERR_OK)
			fail_msg("%s", e.text);
	}
	model_expect(m);
}

/* Some messages are damaged or gone while nobody looks; or the head of the file is. */
void model_do_harm(struct model *m, uint64_t *ret_failed)
{
	enum { MOST = 6 };
	struct {
		uint64_t id;
		bool alone, lose;
	} harm[MOST];
	struct side_rows rows;
	size_t count = 0;

	for (size_t i = model_pick(3) ? model_pick(MOST + 1) : 0; i > 0; i--) {
		const uint64_t id = model_some_pending(m);
		const int64_t waits = id ? waits_in_block(m, id) : 1;

		if (id == 0 || m->now.items[id].harm != UNHARMED || model_weight(&m->now.items[id]) == 0 ||
		    (waits > 0 && waits <= MOST))
			continue;
		m->now.items[id].harm = LOST;
		harm[count].id = id;
		harm[count].alone = waits == 0;
		harm[count++].lose = model_pick(3) == 0;
	}
	rows = m->s->rows;
	model_stop(m);
	for (size_t i = 0; i < count; i++)
		(harm[i].lose ? model_lose : model_harm)(m, harm[i].id, harm[i].alone);
	end_harm(m, count > 0, ret_failed, &rows);
}
