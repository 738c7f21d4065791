/*
 * spooldiff: what one act changes of a spool, as text: every column of every table, the counts that are told, the tide
 * mark, and which ids have left.
 *
 * What it is: for tests that say in full what a verb does, and that it does nothing else. Included after cmocka.h; the
 * clocks are rig/ownclock.h's, and times are told from NOW_MS on. Where the ledger's row and the tide mark are as the
 * last commit nothing is said of them, nor of a count of 0. Checksums and identities are left out. Fails the test by
 * itself.
 */
#ifndef KSPOOL_TESTS_SPOOLDIFF_H
#define KSPOOL_TESTS_SPOOLDIFF_H

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "rig/ownclock.h"

enum { DIFF_LINES = 600, DIFF_KEY = 80, DIFF_VALUE = 200, DIFF_TEXT = 1 << 16 };

struct diff_line {
	char key[DIFF_KEY], value[DIFF_VALUE];
};

struct snapshot {
	struct diff_line lines[DIFF_LINES];
	size_t count;
};

static inline void diff_add(struct snapshot *to, const char *key, const char *value)
{
	assert_true(to->count < DIFF_LINES);
	(void)snprintf(to->lines[to->count].key, DIFF_KEY, "%s", key);
	(void)snprintf(to->lines[to->count++].value, DIFF_VALUE, "%s", value);
}

static inline void diff_text_of_number(char *to, size_t size, int64_t n)
{
	if (n > NOW_MS - DAY_MS * 10 && n < NOW_MS + DAY_MS * 10)
		(void)snprintf(to, size, "T%+lld", (long long)(n - NOW_MS));
	else
		(void)snprintf(to, size, "%lld", (long long)n);
}

static inline void diff_number(struct snapshot *to, const char *group, const char *name, int64_t n)
{
	char key[DIFF_KEY], value[DIFF_VALUE];

	if (n == 0)
		return;
	(void)snprintf(key, sizeof key, "%s.%s", group, name);
	diff_text_of_number(value, sizeof value, n);
	diff_add(to, key, value);
}

/* Those of `first` and the numbers behind it whose bit is set, as runs. */
static inline void diff_runs(char *to, size_t size, uint64_t first, uint64_t last, bool (*has)(void *, uint64_t),
                             void *arg)
{
	size_t used = 0;

	*to = '\0';
	for (uint64_t id = first; id <= last; id++) {
		uint64_t end = id;

		if (!has(arg, id))
			continue;
		while (end < last && has(arg, end + 1))
			end++;
		used += (size_t)snprintf(to + used, size - used, end > id ? "%s%llu-%llu" : "%s%llu", used ? "," : "",
		                         (unsigned long long)id, (unsigned long long)end);
		assert_true(used < size);
		id = end;
	}
}

static inline bool diff_has_bit(void *bits, uint64_t i) { return ((const unsigned char *)bits)[i / 8] >> (i % 8) & 1; }

static inline bool diff_has_left(void *left, uint64_t id) { return left_has(left, id); }

static inline void diff_bytes(char *to, size_t size, const unsigned char *bytes, size_t count)
{
	size_t used = 0;

	for (size_t i = 0; i < count && i < (count > 16 ? 10 : 16); i++)
		used += (size_t)snprintf(to + used, size - used, isgraph(bytes[i]) ? "%c" : "%02x", bytes[i]);
	if (count > 16)
		(void)snprintf(to + used, size - used, "..%zu", count);
}

static inline void diff_column(char *to, size_t size, sqlite3_stmt *st, int i)
{
	static unsigned char bits[64];
	const char *name = sqlite3_column_name(st, i);
	const size_t count = (size_t)sqlite3_column_bytes(st, i);

	*to = '\0';
	if (strcmp(name, "bitmap") == 0 && count == sizeof bits) {
		memcpy(bits, sqlite3_column_blob(st, i), count);
		diff_runs(to, size, 0, 511, diff_has_bit, bits);
	} else if (sqlite3_column_type(st, i) == SQLITE_INTEGER) {
		diff_text_of_number(to, size, sqlite3_column_int64(st, i));
	} else if (sqlite3_column_type(st, i) == SQLITE_NULL) {
		(void)snprintf(to, size, "-");
	} else if (sqlite3_column_type(st, i) == SQLITE_TEXT) {
		(void)snprintf(to, size, "'%s'", (const char *)sqlite3_column_text(st, i));
	} else {
		diff_bytes(to, size, sqlite3_column_blob(st, i), count);
	}
}

/* The bytes of a file that was set aside, and of its log, are told when they are others than these have. */
static inline void diff_sizes(const struct store *s, const char *suffix, char *value, size_t size)
{
	char part[DIFF_KEY], log[DIFF_KEY], want[DIFF_VALUE];

	(void)snprintf(part, sizeof part, "%.*s", (int)strcspn(suffix, ":"), suffix);
	(void)snprintf(log, sizeof log, "%.*s-wal", (int)strcspn(suffix, ":"), suffix);
	(void)snprintf(want, sizeof want, "%llu %llu 1", (unsigned long long)files_bytes(&s->files, part),
	               (unsigned long long)files_bytes(&s->files, log));
	if (strcmp(value, want) == 0)
		(void)snprintf(value, size, "as they are");
}

/* `keys` columns name a row. */
static inline void diff_table(struct snapshot *to, struct store *s, const char *table, int keys)
{
	static const char *const left_out[] = {"checksum", "note_checksum", "data_key", "route",
	                                       "class",    "origin",        "origin_id"};
	const bool is_blocks = strcmp(table, "blocks") == 0;
	char sql[100];
	sqlite3_stmt *st = NULL;

	(void)snprintf(sql, sizeof sql, "SELECT * FROM %s ORDER BY 1, 2", table);
	assert_int_equal(sqlite3_prepare_v2(s->db, sql, -1, &st, NULL), SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW) {
		char key[DIFF_KEY], value[DIFF_VALUE] = "";
		size_t used = (size_t)snprintf(key, sizeof key, "%s", table), filled = 0;

		for (int i = 0; i < sqlite3_column_count(st); i++) {
			char text[DIFF_VALUE];
			bool is_out = is_blocks && strcmp(sqlite3_column_name(st, i), "body") == 0;

			for (size_t k = 0; k < sizeof left_out / sizeof *left_out; k++)
				is_out |= strcmp(sqlite3_column_name(st, i), left_out[k]) == 0;
			if (is_out)
				continue;
			diff_column(text, sizeof text, st, i);
			if (i < keys)
				used += (size_t)snprintf(key + used, sizeof key - used, " %s", text);
			else
				filled += (size_t)snprintf(value + filled, sizeof value - filled, filled ? " %s" : "%s",
				                           text);
			assert_true(used < sizeof key && filled < sizeof value);
		}
		if (strncmp(key, "salvage 'size:", 14) == 0)
			diff_sizes(s, key + 14, value, sizeof value);
		diff_add(to, key, value);
	}
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
}

static inline bool diff_is_random(const char *column)
{
	static const char *const names[] = {"clock_boot", "spool_high", "spool_low", "epoch", "base"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(column, names[i]) == 0)
			return true;
	return false;
}

static inline int64_t diff_sql(struct store *s, const char *sql)
{
	struct error e;
	int64_t n = 0;

	if (sql_number(s->db, sql, &n, &e) != ERR_OK)
		fail_msg("%s: %s", sql, e.text);
	return n;
}

/* As of the last commit; of the row in the table what is not. */
static inline void diff_ledger(struct snapshot *to, struct store *s)
{
	static const struct {
		const char *name;
		size_t offset;
	} columns[] = {
#define LEDGER_PLACE(column) {#column, offsetof(struct totals, column)},
#define LEDGER_SUM(id, column, meaning) {#column, offsetof(struct totals, ledger.column)},
#define LEDGER_STATE(id, column, meaning) {#column, offsetof(struct totals, ledger.column)},
#include "base/ledger.def"
	};
	const struct totals *t = &s->durable;

	for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
		uint64_t n, row;
		char sql[100];
		int64_t there;

		(void)snprintf(sql, sizeof sql, "SELECT %s FROM ledger", columns[i].name);
		there = diff_sql(s, sql);
		memcpy(&n, (const char *)t + columns[i].offset, sizeof n);
		memcpy(&row, (const char *)&s->row + columns[i].offset, sizeof row);
		if (!diff_is_random(columns[i].name))
			diff_number(to, "ledger", columns[i].name, (int64_t)n);
		if (!diff_is_random(columns[i].name) && (uint64_t)there != n)
			diff_number(to, "row", columns[i].name, there);
		if (!diff_is_random(columns[i].name) && row != (uint64_t)there)
			diff_number(to, "known row", columns[i].name, (int64_t)row);
	}
	assert_int_equal(t->spool_high, s->id.high);
	assert_int_equal(t->spool_low, s->id.low);
	assert_int_equal(diff_sql(s, "SELECT spool_high FROM ledger"), s->id.high);
	assert_int_equal(diff_sql(s, "SELECT spool_low FROM ledger"), s->id.low);
}

/* What of it is not as the last commit has it. */
static inline void diff_tide(struct snapshot *to, struct store *s)
{
	static const struct {
		const char *name;
		size_t offset;
	} counts[] = {
	    {"accepted", offsetof(struct totals, ledger.accepted)},
#define LEDGER_STATE(id, column, meaning) {#column, offsetof(struct totals, ledger.column)},
#include "base/ledger.def"
	};
	static const char *const more[] = {
	    [TIDE_POSITIONS] = "positions", [TIDE_KEYS] = "keys",         [TIDE_IMPORTS] = "imports",
	    [TIDE_LEFT] = "left",           [TIDE_BACK] = "back_first",   [TIDE_BACK + 1] = "back_last",
	    [TIDE_BACK + 2] = "back_count", [TIDE_POSSIBLE] = "possible", [TIDE_CLOCK] = "clock",
	    [TIDE_OFFSET] = "offset"};
	struct tide tide;
	struct error e;
	uint64_t lead;

	assert_int_equal(files_tide_read(&s->files, &tide, &e), ERR_OK);
	assert_true(tide.is_valid && tide.has_more);
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		uint64_t n;

		memcpy(&n, (const char *)&s->durable + counts[i].offset, sizeof n);
		if (tide.counts[i] != n)
			diff_number(to, "tide", counts[i].name, (int64_t)tide.counts[i]);
	}
	for (size_t i = 0; i < sizeof more / sizeof *more; i++)
		if (more[i])
			diff_number(to, "tide", more[i], (int64_t)tide.counts[i]);
	if (tide.id + 1 != s->durable.next_id)
		diff_number(to, "tide", "id", (int64_t)tide.id);
	if (tide.commits != s->durable.commits)
		diff_number(to, "tide", "commits", (int64_t)tide.commits);
	assert_int_equal(tide.epoch, s->row.epoch);
	assert_int_equal(tide.base, s->row.base);
	assert_true(spool_id_is(tide.spool, s->id));
	assert_int_equal(tide.counts[TIDE_BOOT], s->durable.clock_boot);
	lead = (uint64_t)sum_numbers(
	    1, SUM_OF_LEAD,
	    (const uint64_t[]){(uint64_t)diff_sql(s, "SELECT first_id FROM clock ORDER BY first_id DESC LIMIT 1"),
	                       (uint64_t)diff_sql(s, "SELECT lead_ms FROM clock ORDER BY first_id DESC LIMIT 1")},
	    2);
	if (tide.counts[TIDE_LEAD] != 0 && tide.counts[TIDE_LEAD] != lead)
		fail_msg("the tide mark has another last row of the clock");
	diff_number(to, "tide", "has the clock's row", tide.counts[TIDE_LEAD] != 0);
	if (tide.counts[TIDE_POSITIONS_SUM] != s->rows.positions_sum)
		diff_number(to, "tide", "positions are off", 1);
	if (tide.counts[TIDE_IMPORTS_SUM] != s->rows.imports_sum)
		diff_number(to, "tide", "imports are off", 1);
}

static inline uint64_t diff_bytes_of(const struct store *s, const char *suffix)
{
	char path[400];
	struct stat st = {0};

	(void)snprintf(path, sizeof path, "%s%s", s->path, suffix);
	(void)stat(path, &st);
	return (uint64_t)st.st_size;
}

static inline void diff_state(struct snapshot *to, struct store *s)
{
	struct store_state x;

	store_state(s, &x);
	assert_memory_equal(&x.ledger, &s->durable.ledger, sizeof x.ledger);
	assert_memory_equal(store_ledger(s), &x.ledger, sizeof x.ledger);
	assert_int_equal(x.pending_bytes, s->durable.pending_bytes);
	assert_int_equal(x.next_id, s->durable.next_id);
	assert_int_equal(store_retrying(s), x.retrying);
	assert_int_equal(store_pending_bytes(s), x.pending_bytes);
	assert_int_equal(store_next_id(s), x.next_id);
	assert_int_equal(store_possible_duplicates(s), s->durable.possible);
	assert_int_equal(store_handed(s), s->durable.handed);
	assert_int_equal(store_moves(s), s->durable.ledger.accepted * 2 - s->durable.ledger.pending);
	assert_int_equal(x.database_bytes, diff_bytes_of(s, ""));
	assert_int_equal(x.wal_bytes, diff_bytes_of(s, "-wal"));
	assert_true(x.free_bytes > 0 && x.written_bytes > 0);
	diff_number(to, "state", "retrying", (int64_t)x.retrying);
	diff_number(to, "state", "oldest", x.oldest_received_ms);
	diff_number(to, "state", "next_retry", x.next_retry_ms);
	diff_number(to, "state", "unexpected", (int64_t)x.unexpected_settlements);
	diff_number(to, "state", "checkpoints", (int64_t)x.checkpoints);
	diff_number(to, "state", "aside", (int64_t)x.aside_files);
	diff_number(to, "state", "unread", (int64_t)x.aside_unread);
	diff_number(to, "state", "aside_waits", x.aside_waits);
	diff_number(to, "state", "upgrade_waits", x.upgrade_waits);
	diff_number(to, "state", "stored", (int64_t)x.stored_bytes);
	diff_number(to, "state", "untold", (int64_t)store_damaged_untold(s));
	diff_number(to, "state", "mend", store_mend_is_due(s));
	diff_number(to, "state", "failures_max_id", (int64_t)s->failures_max_id);
	diff_number(to, "state", "possible_untold", (int64_t)s->possible_untold);
	diff_number(to, "state", "lag", s->lag.commits);
	diff_number(to, "state", "positions_lost", (int64_t)s->positions_lost);
	diff_number(to, "state", "left", (int64_t)left_commit(s->left));
	diff_number(to, "state", "left synced", (int64_t)left_synced(s->left));
	diff_number(to, "state", "left whole from", (int64_t)left_whole_from(s->left));
	diff_number(to, "state", "left took back", (int64_t)left_taken_back(s->left));
	diff_number(to, "state", "left knows", (int64_t)s->left_knows);
	diff_number(to, "state", "last_commits", (int64_t)s->last_commits);
	diff_number(to, "state", "is_exact", s->is_exact);
	diff_number(to, "state", "keys gone", (int64_t)s->rows.keys_gone);
	diff_number(to, "state", "positions gone", (int64_t)s->rows.positions_gone);
	diff_number(to, "state", "imports gone", (int64_t)s->rows.imports_gone);
	diff_number(to, "state", "joins from", (int64_t)s->merging.row_at);
	diff_number(to, "state", "joins to", (int64_t)s->merging.last_row);
	for (size_t i = 0; i < s->lead_count; i++) {
		char key[DIFF_KEY], value[DIFF_VALUE];

		(void)snprintf(key, sizeof key, "lead from %llu", (unsigned long long)s->leads[i].first_id);
		diff_text_of_number(value, sizeof value, s->leads[i].lead_ms);
		diff_add(to, key, value);
	}
}

/* Of an open spool, outside a group. */
static inline void diff_take(struct store *s, struct snapshot *to)
{
	static const struct {
		const char *name;
		int keys;
	} tables[] = {{"messages", 1},  {"blocks", 1}, {"partial", 1}, {"failures", 1}, {"dead", 1},    {"damaged", 1},
	              {"positions", 1}, {"cache", 2},  {"imports", 1}, {"clock", 1},    {"salvage", 1}, {"losses", 1}};
	char value[DIFF_VALUE];

	to->count = 0;
	assert_false(store_in_group(s));
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		diff_table(to, s, tables[i].name, tables[i].keys);
	diff_ledger(to, s);
	diff_tide(to, s);
	diff_state(to, s);
	diff_runs(value, sizeof value, 1, s->durable.next_id + 100, diff_has_left, s->left);
	diff_add(to, "left", value);
}

static inline const struct diff_line *diff_find(const struct snapshot *in, const char *key)
{
	for (size_t i = 0; i < in->count; i++)
		if (strcmp(in->lines[i].key, key) == 0)
			return &in->lines[i];
	return NULL;
}

static char diff_words[1024]; /* what the act was told, said with what it changed */

/* The spool's path in it is PATH, and the name of any spool ID. */
static inline void diff_say(const struct spooldir *d, const char *text)
{
	const size_t length = strlen(d->path);
	size_t used = 0;

	for (const char *at = text; *at;) {
		const bool is_path = strncmp(at, d->path, length) == 0;
		const bool is_id = strspn(at, "0123456789abcdef") == SPOOL_ID_TEXT_BYTES - 1;

		used += (size_t)snprintf(diff_words + used, sizeof diff_words - used, "%.*s", is_path || is_id ? 4 : 1,
		                         is_path ? "PATH"
		                         : is_id ? "ID"
		                                 : at);
		at += is_path ? length : is_id ? SPOOL_ID_TEXT_BYTES - 1 : 1;
	}
	diff_words[used] = '\0';
}

/* What a start found: each number and flag that is not 0, then the words. */
static inline void diff_say_report(const struct spooldir *d, const struct store_report *r)
{
	const struct {
		const char *name;
		uint64_t n;
	} fields[] = {{"created", r->created},
	              {"unclean", r->unclean},
	              {"marker", r->marker},
	              {"quarantined", r->quarantined},
	              {"older", r->is_older},
	              {"mended", r->wal_mended},
	              {"frames lost", r->wal_frames_lost},
	              {"rows", r->rows},
	              {"salvaged", r->salvaged_rows},
	              {"in flight", r->in_flight},
	              {"damaged", r->damaged},
	              {"missing", r->missing_rows},
	              {"strangers", r->strangers},
	              {"read only", r->is_read_only},
	              {"old schema", r->schema_is_old}};
	char text[sizeof r->warning + sizeof r->quarantine_path + 400] = "report:";
	size_t used = strlen(text);

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (fields[i].n != 0)
			used += (size_t)snprintf(text + used, sizeof text - used, " %s %llu", fields[i].name,
			                         (unsigned long long)fields[i].n);
	used += (size_t)snprintf(text + used, sizeof text - used, *r->quarantine_path ? " as %s" : "%s",
	                         r->quarantine_path);
	(void)snprintf(text + used, sizeof text - used, *r->warning ? "\n%s" : "%s", r->warning);
	diff_say(d, text);
}

/* A line each: "+key: value" came, "-key: value" went, "key: old > new" changed. */
static inline const char *diff_between(const struct snapshot *before, const struct snapshot *after)
{
	static char text[DIFF_TEXT];
	size_t used = (size_t)snprintf(text, sizeof text, *diff_words ? "%s\n" : "", diff_words);

	*diff_words = '\0';
	for (size_t i = 0; i < before->count; i++) {
		const struct diff_line *was = &before->lines[i], *is = diff_find(after, was->key);

		if (!is)
			used += (size_t)snprintf(text + used, sizeof text - used, "-%s: %s\n", was->key, was->value);
		else if (strcmp(was->value, is->value) != 0)
			used += (size_t)snprintf(text + used, sizeof text - used, "%s: %s > %s\n", was->key, was->value,
			                         is->value);
	}
	for (size_t i = 0; i < after->count; i++)
		if (!diff_find(before, after->lines[i].key))
			used += (size_t)snprintf(text + used, sizeof text - used, "+%s: %s\n", after->lines[i].key,
			                         after->lines[i].value);
	assert_true(used < sizeof text);
	return text;
}

/* What became of `s` since *at, which is then as it is now. With KSPOOL_SHOW_DIFFS it is printed instead. */
static inline void diff_expect(struct store *s, struct snapshot *at, const char *what, const char *want)
{
	static struct snapshot now;
	const char *is;

	diff_take(s, &now);
	is = diff_between(at, &now);
	if (getenv("KSPOOL_SHOW_DIFFS")) {
		(void)fprintf(stderr, "## %s\n%s", what, is);
	} else if (strcmp(is, want) != 0) { /* cmocka's own lines are short */
		(void)fprintf(stderr, "%s changed:\n%sand was to change:\n%s", what, is, want);
		fail_msg("%s", what);
	}
	memcpy(at, &now, sizeof now);
}

/* Messages of 4 and 1, 2, ... bytes, received a second before now, in one commit. */
static inline void diff_append(struct store *s, int count)
{
	ok(store_begin(s, e));
	for (int i = 0; i < count; i++) {
		struct message *m = message_new("meta", 4, "0123456789", (size_t)i + 1, clock_wall_ms() - 1000);

		ok(store_append(s, m, e));
		message_free(m);
	}
	ok(store_commit(s, e));
}

static inline void diff_settle(struct store *s, struct store_settlement item)
{
	ok(store_begin(s, e));
	ok(store_settle(s, &item, 1, e));
	ok(store_commit(s, e));
}

/* By the store's own connection. */
static inline void diff_do(struct store *s, const char *sql)
{
	char *why = NULL;

	if (sqlite3_exec(s->db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
}

struct diff_step {
	const char *what;
	void (*act)(struct store **s, const struct spooldir *d);
	const char *want;
};

/* One after the other, in a new spool. */
static inline void diff_steps(const struct diff_step *steps, size_t count)
{
	static struct snapshot at;
	struct spooldir d;
	struct store *s;

	spooldir_make(&d);
	set_clocks(5000, NOW_MS);
	s = open_it(&d);
	at.count = 0;
	for (size_t i = 0; i < count; i++) {
		if (steps[i].act)
			steps[i].act(&s, &d);
		diff_expect(s, &at, steps[i].what, steps[i].want);
	}
	ok(store_close(s, e));
	clock_test_end();
	spooldir_remove(&d);
}

#endif
