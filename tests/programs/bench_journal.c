/*
 * bench_journal: what the journal costs beside SQLite alone.
 *
 *   bench_journal [rows] [body bytes] [rows a commit] [page bytes] [rows behind] [auto|always|never] [every us] \
 *                 [window us] [bare|store|journal]
 *
 * Prints for (a) a bare SQLite loop with one row a message, (b) the store and (c) the journal's thread with its lanes,
 * in the same group sizes with the same settings: rows/s, CPU microseconds a row, bytes written per body byte. Bodies
 * are lines of JSON. The store must reach 0.7 of the bare loop. The journal's delivery lets as many wait. `every`: a
 * group is offered so often, and its answer waited for; `window`: kspool.commit_window; a name at the end: that bench
 * alone. When all rows wait, as in an outage, the size of the file is told too.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sqlite3.h>

#include "base/check.h"
#include "base/mem.h"
#include "store/files/vfs.h"
#include "journal/journal.h"
#include "rig/journalrig.h"
#include "rig/spooldir.h"

struct task {
	uint64_t rows;
	uint32_t body;
	uint64_t group;
	uint32_t page;
	uint64_t behind; /* rows that stay between what comes and what goes */
	enum store_compress compress;
	uint64_t every_us;
	uint64_t window_us;
	struct spooldir d;
};

struct stopwatch {
	double wall, cpu;
	uint64_t written;
};

static double seconds(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t written_bytes(void)
{
	FILE *f = fopen("/proc/self/io", "r");
	char line[128];
	unsigned long long n = 0;

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "wchar: %llu", &n) == 1)
			break;
	if (f)
		(void)fclose(f);
	return n;
}

static struct stopwatch start_watch(void)
{
	return (struct stopwatch){seconds(CLOCK_MONOTONIC), seconds(CLOCK_PROCESS_CPUTIME_ID), written_bytes()};
}

static double stop_watch(const char *name, const struct task *t, struct stopwatch w)
{
	double wall = seconds(CLOCK_MONOTONIC) - w.wall;
	double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - w.cpu;
	double rows = (double)t->rows;

	(void)printf("%-8s %9.0f rows/s  %6.2f CPU us/row  %6.2f bytes written per body byte\n", name, rows / wall,
	             cpu / rows * 1e6, (double)(written_bytes() - w.written) / rows / t->body);
	return rows / wall;
}

/* A line of JSON of t->body bytes. */
static void make_body(const struct task *t, char *body, uint64_t n)
{
	uint64_t x = n * UINT64_C(0x9e3779b97f4a7c15) + 1;
	size_t used = 0;

	while (used < t->body) {
		char text[128];
		int bytes =
		    snprintf(text, sizeof text,
		             "{\"sensor\":\"pump-%llu\",\"seq\":%llu,\"value\":%llu.%02llu,\"state\":\"%s\"},",
		             (unsigned long long)(x >> 60), (unsigned long long)n, (unsigned long long)(x >> 20 & 4095),
		             (unsigned long long)(x >> 40) % 100, x & 8192 ? "running" : "idle");

		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		memcpy(body + used, text, (size_t)bytes < t->body - used ? (size_t)bytes : t->body - used);
		used += (size_t)bytes;
	}
}

static void run(sqlite3 *db, const char *sql)
{
	char *text = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK) {
		(void)fprintf(stderr, "%s: %s\n", sql, text);
		exit(1);
	}
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *st = NULL;

	must(sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL) == SQLITE_OK);
	return st;
}

static void step(sqlite3_stmt *st)
{
	must(sqlite3_step(st) == SQLITE_DONE);
	must(sqlite3_reset(st) == SQLITE_OK);
}

static int note_frames(void *arg, sqlite3 *db, const char *name, int frames)
{
	(void)db;
	(void)name;
	*(int *)arg = frames;
	return SQLITE_OK;
}

static sqlite3 *open_bare(const struct task *t, int *frames)
{
	sqlite3 *db = NULL;
	char page[64];

	(void)snprintf(page, sizeof page, "PRAGMA page_size=%u", t->page);
	must(sqlite3_open_v2(t->d.path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) ==
	     SQLITE_OK);
	run(db, "PRAGMA locking_mode=EXCLUSIVE");
	run(db, page);
	run(db, "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
	        "PRAGMA wal_autocheckpoint=0; PRAGMA secure_delete=0; PRAGMA cache_size=-8192");
	run(db, "CREATE TABLE m (id INTEGER PRIMARY KEY, received_ms INTEGER NOT NULL, meta BLOB, body BLOB NOT NULL) "
	        "STRICT");
	(void)sqlite3_wal_hook(db, note_frames, frames);
	return db;
}

static double bench_bare(const struct task *t)
{
	int frames = 0;
	sqlite3 *db = open_bare(t, &frames);
	sqlite3_stmt *begin = prepare(db, "BEGIN IMMEDIATE"), *commit = prepare(db, "COMMIT");
	sqlite3_stmt *insert = prepare(db, "INSERT INTO m VALUES (?1, ?2, NULL, ?3)");
	sqlite3_stmt *delete = prepare(db, "DELETE FROM m WHERE id BETWEEN ?1 AND ?2"), *each;
	char *body = mem_zero(t->body);
	uint64_t in = 0, out = 0;
	struct stopwatch w = start_watch();
	double rate;

	while (out < t->rows) {
		step(begin);
		for (uint64_t i = 0; i < t->group && in < t->rows; i++) {
			make_body(t, body, in);
			(void)sqlite3_bind_int64(insert, 1, (sqlite3_int64)++in);
			(void)sqlite3_bind_int64(insert, 2, (sqlite3_int64)(1700000000000 + in));
			(void)sqlite3_bind_blob(insert, 3, body, (int)t->body, SQLITE_STATIC);
			step(insert);
		}
		if (in - out > t->behind || in == t->rows) {
			uint64_t last = out + t->group < in ? out + t->group : in;

			(void)sqlite3_bind_int64(delete, 1, (sqlite3_int64)out + 1);
			(void)sqlite3_bind_int64(delete, 2, (sqlite3_int64)last);
			step(delete);
			out = last;
		}
		step(commit);
		if ((uint64_t)frames * t->page >= 16 << 20) {
			must(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) == SQLITE_OK);
			frames = 0;
		}
	}
	free(body);
	rate = stop_watch("bare", t, w);
	while ((each = sqlite3_next_stmt(db, NULL)))
		(void)sqlite3_finalize(each);
	must(sqlite3_close(db) == SQLITE_OK);
	return rate;
}

static void settle_group(struct store *s, uint64_t first, uint64_t last, uint32_t bytes, struct store_settlements *g)
{
	struct error e;

	g->count = 0;
	for (uint64_t id = first; id <= last; id++)
		g->items[g->count++] = (struct store_settlement){.id = id, .kind = SETTLE_DELIVERED, .bytes = bytes};
	must(store_settle(s, g->items, g->count, &e) == ERR_OK);
}

static double bench_store(const struct task *t)
{
	struct store_options o = spooldir_options(&t->d);
	struct store_settlements *g = store_settlements_new((uint32_t)t->group);
	char *body = mem_zero(t->body);
	struct store *s = NULL;
	uint64_t in = 0, out = 0;
	struct stopwatch w;
	struct error e;
	double rate;

	o.page_size = t->page;
	o.compress = t->compress;
	must(store_open(&o, &s, NULL, &e) == ERR_OK);
	w = start_watch();
	while (out < t->rows) {
		must(store_begin(s, &e) == ERR_OK);
		store_let_ledger_wait(s);
		store_set_waits(s, t->behind > 20000);
		for (uint64_t i = 0; i < t->group && in < t->rows; i++) {
			struct message *m;

			make_body(t, body, in);
			m = message_new(NULL, 0, body, t->body, (int64_t)(1700000000000 + ++in));
			must(store_append(s, m, &e) == ERR_OK);
			message_free(m);
		}
		if (in - out > t->behind || in == t->rows) {
			uint64_t last = out + t->group < in ? out + t->group : in;

			settle_group(s, out + 1, last, t->body, g);
			out = last;
		}
		must(store_commit(s, &e) == ERR_OK);
		must(store_checkpoint(s, false, &e) == ERR_OK);
	}
	rate = stop_watch("store", t, w);
	must(store_close(s, &e) == ERR_OK);
	store_settlements_free(g);
	free(body);
	return rate;
}

static void condemned(const struct error *reason)
{
	(void)fprintf(stderr, "%s\n", reason->text);
	exit(1);
}

static uint64_t accepted; /* rows */

static void answered(struct offer *offer, void *arg)
{
	(void)arg;
	must(offer->verdict == OFFER_ACCEPTED);
	accepted += offer->count;
	free(offer);
}

static struct offer *make_offer(const struct task *t, char *body, uint64_t first, uint64_t count)
{
	struct offer *offer = mem_zero(sizeof *offer);

	STAILQ_INIT(&offer->messages);
	STAILQ_INIT(&offer->set_aside);
	for (uint64_t i = 0; i < count; i++) {
		struct message *m;

		make_body(t, body, first + i);
		m = message_new(NULL, 0, body, t->body, (int64_t)(1700000000000 + first + i));
		offer->bytes += message_cost(m);
		STAILQ_INSERT_TAIL(&offer->messages, m, link);
	}
	offer->count = (uint32_t)count;
	offer->done = answered;
	return offer;
}

/* Takes up to `most` and a group of what waits, and settles it at once, as a delivery without a network would. */
static uint64_t deliver(struct journal *j, uint64_t most)
{
	struct journal_rows rows;
	uint64_t done = 0;

	while (done < most && journal_take_rows(j, &rows)) {
		struct store_settlements *g = store_settlements_new(rows.count);
		const struct message *m;

		STAILQ_FOREACH (m, &rows.messages, link)
			g->items[g->count++] = (struct store_settlement){.id = m->id, .kind = SETTLE_DELIVERED};
		message_list_free(&rows.messages);
		while (!journal_settle(j, g)) {
			struct pollfd p = {.fd = journal_delivery_fd(j), .events = POLLIN};

			(void)poll(&p, 1, 1000);
		}
		journal_credit(j, rows.count, rows.bytes);
		done += rows.count;
	}
	return done;
}

static double journal_cpu;

static void note_cpu(struct store *s)
{
	(void)s;
	journal_cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
}

static uint64_t file_bytes;

static void note_file(struct store *s)
{
	struct store_state state;
	struct error e;

	must(store_checkpoint(s, true, &e) == ERR_OK);
	store_state(s, &state);
	file_bytes = state.database_bytes;
}

/* Offers groups, two commits ahead, and lets t->behind rows wait. */
static void flow(const struct task *t, struct journal *j, char *body)
{
	const uint64_t group = t->group < 256 ? t->group : 256;
	uint64_t in = 0, out = 0;

	journal_credit(j, 20000, 32 << 20);
	while (out < t->rows) {
		struct pollfd p[] = {{.fd = journal_intake_fd(j), .events = POLLIN},
		                     {.fd = journal_delivery_fd(j), .events = POLLIN}};

		while (in < t->rows && in - accepted < 8192) {
			uint64_t n = group < t->rows - in ? group : t->rows - in;
			struct offer *offer = make_offer(t, body, in, n);

			while (!journal_offer(j, offer)) {
				(void)poll(p, 1, 1000);
				(void)journal_intake_run(j);
			}
			in += n;
		}
		(void)poll(p, accepted - out > t->behind || accepted == t->rows ? 2 : 1, 1000);
		(void)journal_intake_run(j);
		if (accepted == t->rows && out == 0) { /* as after an outage */
			rig_on_journal_thread(j, note_file);
			(void)printf("all of it waits: %.2f bytes of file per body byte\n",
			             (double)file_bytes / (double)t->rows / t->body);
		}
		if (accepted == t->rows)
			out += deliver(j, UINT64_MAX);
		else if (accepted - out > t->behind)
			out += deliver(j, accepted - out - t->behind);
	}
}

static void flow_slowly(const struct task *t, struct journal *j, char *body)
{
	uint64_t out = 0;

	journal_credit(j, 20000, 32 << 20);
	for (uint64_t in = 0; in < t->rows; in += t->group) {
		must(journal_offer(j, make_offer(t, body, in, t->group)));
		(void)poll(NULL, 0, (int)(t->every_us / 1000));
		(void)journal_intake_run(j);
		out += deliver(j, UINT64_MAX);
	}
	while (out < t->rows)
		out += deliver(j, UINT64_MAX);
}

static double bench_journal(const struct task *t)
{
	struct journal_options o = {.store = spooldir_options(&t->d)};
	char *body = mem_zero(t->body);
	struct journal *j = NULL;
	struct stopwatch w;
	struct error e;
	double rate;

	o.store.page_size = t->page;
	o.store.compress = t->compress;
	o.commit_max_rows = t->group == 1 && !t->every_us ? 1 : 0;
	o.commit_window_ns = (int64_t)t->window_us * 1000;
	must(journal_start(&o, condemned, &j, NULL, &e) == ERR_OK);
	w = start_watch();
	if (t->every_us)
		flow_slowly(t, j, body);
	else
		flow(t, j, body);
	while (!journal_is_empty(j)) {
		(void)journal_intake_run(j);
		(void)poll(NULL, 0, 1);
	}
	rate = stop_watch("journal", t, w);
	rig_on_journal_thread(j, note_cpu);
	(void)printf("the journal's thread: %.2f CPU us/row\n", journal_cpu / (double)t->rows * 1e6);
	must(journal_stop(j, &e) == ERR_OK);
	free(body);
	return rate;
}

static enum store_compress compress_of(const char *word)
{
	if (strcmp(word, "always") == 0)
		return STORE_COMPRESS_ALWAYS;
	return strcmp(word, "never") == 0 ? STORE_COMPRESS_NEVER : STORE_COMPRESS_AUTO;
}

int main(int argc, char **argv)
{
	struct task t = {.rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 200000,
	                 .body = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1024,
	                 .group = argc > 3 ? strtoull(argv[3], NULL, 10) : 1024,
	                 .page = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 8192,
	                 .behind = argc > 5 ? strtoull(argv[5], NULL, 10) : 20000,
	                 .compress = argc > 6 ? compress_of(argv[6]) : STORE_COMPRESS_AUTO,
	                 .every_us = argc > 7 ? strtoull(argv[7], NULL, 10) : 0,
	                 .window_us = argc > 8 ? strtoull(argv[8], NULL, 10) : 0};
	static const char *const names[] = {"bare", "store", "journal"};
	double (*const benches[])(const struct task *) = {bench_bare, bench_store, bench_journal};
	double rates[3] = {0};

	(void)printf("%llu rows of %u bytes, %llu a commit, pages of %u, %llu behind\n", (unsigned long long)t.rows,
	             t.body, (unsigned long long)t.group, t.page, (unsigned long long)t.behind);
	for (size_t i = 0; i < 3; i++) {
		if (argc > 9 && strcmp(argv[9], names[i]) != 0)
			continue;
		spooldir_make(&t.d);
		rates[i] = benches[i](&t);
		spooldir_remove(&t.d);
	}
	if (argc <= 9)
		(void)printf("store/bare %.2f, journal/bare %.2f\n", rates[1] / rates[0], rates[2] / rates[0]);
	return 0;
}
