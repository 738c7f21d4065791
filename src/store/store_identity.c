/*
 * Which spool the files at the path are of, and whether they fit each other. The ledger's row names the spool, in the
 * database file and in every commit of the log; so do PATH.tide and PATH.lock.
 *
 * A file and a log are one spool's history when the log began at the state that the file has, or when that state is one
 * of the log's, which was brought into the file (schema/0004-identity.sql). Pages of another log over a file would be
 * read as if they were whole, and what was acknowledged would be exchanged for what was not.
 *
 * Invariants:
 * 1. Looking changes nothing; store_identity_part moves whole files, deletes none, and is run again after a kill.
 * 2. What cannot be read as a ledger says nothing: one flipped bit makes no stranger. Nor does one page of another
 *    spool: where the ledger and what lies beside it do not name the same, the rows decide, by their checksums' tags.
 *    Nor do fewer files than name this one (decide_whose).
 * 4. A database without a name has no companions with one, but those of a start that was killed: its first act is to
 *    choose the name, durably, in PATH.lock, for this database's row.
 * 3. A log of this spool is never put away: what does not fit the file is read back as a file that was set aside.
 */
#include "store/store_identity_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/files/flight_file.h"

#define JOURNAL "-journal"

static enum err look_in_log(void *arg, const struct stored_record *r, struct error *e)
{
	struct log_ledgers *l = arg;
	struct totals t;

	(void)e;
	if (!store_ledger_of_record(r, &t))
		return ERR_OK;
	if (!l->last.is_found)
		l->last = (struct ledger_found){.is_found = true, .totals = t};
	l->first = t;
	if (l->unnamed.next_id == 0 && t.epoch == 0)
		l->unnamed = t;
	for (size_t i = 0; i < sizeof l->wanted / sizeof *l->wanted; i++)
		l->is_there[i] |= store_ledger_print(&t) == l->wanted[i];
	return ERR_OK;
}

/* From its last commit back, until nothing is looked for any more. */
enum err store_ledgers_of_log(const struct files *f, const char *suffix, struct log_ledgers *l, struct error *e)
{
	AUTOFREE char *name = mem_format("%s%s", f->name, suffix);
	struct pages *p = NULL;
	uint32_t page;
	const int which = PAGES_OF_LOG | PAGES_AT_A_GLANCE | (*suffix ? PAGES_TOLERATE : 0);
	enum err err = pages_open(f->dir_fd, name, (enum pages_of)which, &p, e);

	if (err != ERR_OK)
		return err;
	l->scan = *pages_log(p);
	for (uint64_t i = l->scan.mend_frames; err == ERR_OK && i-- > 0;) {
		if (l->last.is_found && (l->wanted[0] == 0 || l->is_there[0]) &&
		    (l->wanted[1] == 0 || l->is_there[1]) && (!l->wants_unnamed || l->unnamed.next_id != 0))
			break;
		err = pages_frame_records(p, i, LEDGER_PAGES, &page, look_in_log, l, e);
	}
	pages_close(p);
	return err;
}

void store_identity(const struct store *s, uint64_t ret[2])
{
	ret[0] = s->durable.spool_high;
	ret[1] = s->durable.spool_low;
}

enum { OWNERS = 2, PAGES_THAT_PROVE = 16 };

/* How many pages hold whole rows of either. */
struct row_owners {
	uint32_t tags[OWNERS], pages[OWNERS];
	bool is_here[OWNERS]; /* on the page being read */
	struct stored_block *block;
};

/* The tag of a row that is what was written; 0: it is not, or has none. */
static uint32_t proven_tag(struct stored_block *b, const struct stored_record *r)
{
	const struct stored_value *v = r->values;
	struct store_row row;

	if (r->is_unread || r->is_cut)
		return 0;
	switch (row_of_record(r, &row)) {
	case ROW_MESSAGE:
	case ROW_DEAD:
		return row_has_sum(&row, row.checksum) ? sum_tag(row.checksum) : 0;
	case ROW_BLOCK:
		block_of_record(b, r);
		return b->is_sound ? sum_tag(b->checksum) : 0;
	case ROW_NONE:
	case ROW_PARTIAL:
		break;
	}
	if (r->is_index || !row_has_types(r, "nii"))
		return 0;
	return sum_numbers(sum_tag(v[2].number), SUM_OF_LEAD,
	                   (const uint64_t[]){(uint64_t)r->rowid, (uint64_t)v[1].number}, 2) == v[2].number
	           ? sum_tag(v[2].number)
	           : 0;
}

static enum err look_at_owner(void *arg, const struct stored_record *r, struct error *e)
{
	struct row_owners *o = arg;
	const uint32_t tag = proven_tag(o->block, r);

	(void)e;
	for (int i = 0; i < OWNERS; i++)
		o->is_here[i] |= tag != 0 && tag == o->tags[i];
	return ERR_OK;
}

enum err store_rows_are_of(const struct files *f, const char *suffix, struct spool_id one, struct spool_id other,
                           bool *ret, struct error *e)
{
	AUTOFREE char *name = mem_format("%s%s", f->name, suffix);
	struct row_owners o = {.tags = {sum_tag_of(one), sum_tag_of(other)}, .block = block_new()};
	struct pages *p = NULL;
	enum err err =
	    pages_open(f->dir_fd, name, (enum pages_of)(PAGES_OF_FILE | (*suffix ? PAGES_TOLERATE : 0)), &p, e);

	for (uint32_t n = 1; err == ERR_OK && (n = pages_next(p, n)) <= pages_count(p); n++) {
		o.is_here[0] = o.is_here[1] = false;
		err = pages_records(p, n, look_at_owner, &o, e);
		for (int i = 0; i < OWNERS; i++)
			o.pages[i] += o.is_here[i];
		if (o.pages[0] >= PAGES_THAT_PROVE || o.pages[1] >= PAGES_THAT_PROVE)
			break;
	}
	pages_close(p);
	block_free(o.block);
	*ret = o.pages[0] > o.pages[1];
	return err;
}

/* One row of a query for rows whose checksum names another spool: whether the row has that checksum. */
typedef bool row_proof(struct stored_block *b, sqlite3_stmt *st);

static bool row_is_whole(struct stored_block *b, sqlite3_stmt *st)
{
	const struct store_row row = row_read(st);

	(void)b;
	return row_has_sum(&row, row.checksum);
}

static bool block_is_whole(struct stored_block *b, sqlite3_stmt *st)
{
	block_read(b, st);
	return b->is_sound;
}

static enum err look_for_strange(struct store *s, const char *query, row_proof *is_whole, struct error *e)
{
	AUTOFREE char *sql = mem_format("%s WHERE b.checksum >> 32 NOT IN (0, -1, %" PRIu32 ")", query, s->tag);
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	struct stored_block *b = block_new();
	bool found = false;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

	while (rc == SQLITE_OK && !found && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		found = is_whole(b, st);
		rc = SQLITE_OK;
	}
	block_free(b);
	if (rc != SQLITE_OK && rc != SQLITE_DONE)
		return store_fail(s, rc, e, "look for another spool's rows");
	return found ? error_set(e, ERR_DAMAGED, "%s: a page of another spool stands in it", s->path) : ERR_OK;
}

/* The shelf is small as a rule, and what is on it is not looked at before somebody asks. */
#define ROWS_OF(table) ROW_SELECT " FROM " table " AS b"

enum err store_no_strange_rows(struct store *s, bool all, struct error *e)
{
	struct look {
		const char *query;
		row_proof *is_whole;
	};
	static const struct look some[] = {{ROWS_OF("(SELECT * FROM dead LIMIT 10000)"), row_is_whole}};
	static const struct look every[] = {
	    {ROWS_OF("dead"), row_is_whole}, {ROWS_OF("messages"), row_is_whole}, {BLOCK_SELECT, block_is_whole}};
	const struct look *tables = all ? every : some;
	const size_t count = all ? sizeof every / sizeof *every : sizeof some / sizeof *some;
	enum err err = ERR_OK;

	for (size_t i = 0; i < count && err == ERR_OK && s->tag != 0; i++)
		err = look_for_strange(s, tables[i].query, tables[i].is_whole, e);
	return err;
}

/* What names a spool, each by itself; of equals the first is believed. PATH.poison names none. */
enum witness { BY_FILE, BY_TIDE, BY_LOCK, BY_LOG, BY_LEFT, BY_FLIGHT, WITNESSES };
struct witnesses {
	struct spool_id of[WITNESSES];
	int votes[WITNESSES];
	int votes_needed; /* to name the spool */
};
enum { VOTES_OF_ANY = 1, VOTES_TO_NAME = 3, VOTES_OF_PROOF = 4 };

static int votes_for(const struct witnesses *w, struct spool_id id)
{
	int votes = 0;

	for (int i = 0; i < WITNESSES; i++)
		if (spool_id_is_known(id) && spool_id_is(w->of[i], id))
			votes += w->votes[i];
	return votes;
}

static bool tide_is_old(const struct tide *t) { return t->is_valid && !spool_id_is_known(t->spool); }

static bool has_no_name(const struct ledger_found *file)
{
	return file->is_found && file->totals.epoch == 0 && !spool_id_is_known(store_totals_id(&file->totals));
}

/*
 * Beside a database without a name. The first row of any spool is like that of any other: where there is no later one
 * in the database, any log fits it. The last row without a name in the log stands for it then, and the tide mark of
 * the older kspool tells how far that log went.
 */
static void weigh(struct witnesses *w, const struct ledger_found *file, const struct log_ledgers *log,
                  const struct tide *tide, uint64_t lock_print, struct identity *id)
{
	const bool is_first = file->totals.next_id <= 1;
	const bool log_is_named = spool_id_is_known(w->of[BY_LOG]);
	const struct totals *row = is_first ? &log->unnamed : &file->totals;

	id->named_print = store_ledger_print(row);
	w->votes_needed = VOTES_TO_NAME;
	if (lock_print != 0 && lock_print == id->named_print && !(is_first && log_is_named))
		w->votes[BY_LOCK] = VOTES_OF_PROOF;
	if (!is_first && log->last.totals.base == id->named_print)
		w->votes[BY_LOG] = VOTES_OF_PROOF;
	if (is_first && tide_is_old(tide))
		w->votes[BY_LOG] = tide->id + 1 == row->next_id ? VOTES_OF_PROOF : 0;
	else if (is_first && log_is_named)
		w->votes_needed = VOTES_OF_ANY;
	id->tide_is_short = is_first && tide_is_old(tide) && !log_is_named && tide->id + 1 < row->next_id;
}

static bool file_and_tide_agree(const struct witnesses *w)
{
	return spool_id_is_known(w->of[BY_FILE]) && spool_id_is(w->of[BY_FILE], w->of[BY_TIDE]);
}

/* Where the database and the tide mark do not settle it, all that lies here is asked; a log without a database was set
 * aside before this look. What cannot be read names none. */
static enum err ask_beside(const struct files *f, struct witnesses *w, struct error *e)
{
	struct totals aside;
	bool found = false;
	enum err err = ERR_OK;

	if (file_and_tide_agree(w))
		return ERR_OK;
	if (!spool_id_is_known(w->of[BY_LOG]))
		err = store_salvage_ledger(f, w->of[BY_LOG], &aside, &found, e);
	if (err == ERR_OK && found)
		w->of[BY_LOG] = store_totals_id(&aside);
	w->of[BY_LEFT] = left_names(f);
	w->of[BY_FLIGHT] = files_flight_names(f);
	return err;
}

/* Who the rows may be of, when not of this spool; not known: nobody that is worth a look at them. */
static struct spool_id who_else(const struct witnesses *w, struct spool_id named)
{
	const int votes = votes_for(w, named) - spool_id_is(named, w->of[BY_FILE]);
	int best = BY_FILE;

	for (int i = BY_TIDE; i < WITNESSES; i++)
		if (spool_id_differs(named, w->of[i]) &&
		    (best == BY_FILE || votes_for(w, w->of[i]) > votes_for(w, w->of[best])))
			best = i;
	if (best == BY_FILE || (best > BY_LOCK && votes_for(w, w->of[best]) < votes))
		return (struct spool_id){0};
	return w->of[best];
}

/* A page of another spool may lie over the ledger's, and its tide mark in the place of ours. */
static enum err ask_rows(const struct files *f, struct identity *id, struct ledger_found *file, struct witnesses *w,
                         struct error *e)
{
	const struct spool_id named = w->of[file->is_found ? BY_FILE : BY_TIDE];
	const struct spool_id other = who_else(w, named);
	bool is_others = false;
	enum err err = spool_id_differs(named, other) ? store_rows_are_of(f, "", other, named, &is_others, e) : ERR_OK;

	if (err != ERR_OK || !is_others)
		return err;
	id->ours = other;
	id->theirs = named;
	id->page_is_strange = file->is_found;
	*file = (struct ledger_found){0};
	w->of[BY_FILE] = (struct spool_id){0};
	return ERR_OK;
}

/* Of as many votes: the database is another's when the tide mark says so and the lock does not back the database. */
static struct spool_id of_equals(const struct witnesses *w)
{
	const struct spool_id file = w->of[BY_FILE], tide = w->of[BY_TIDE];

	if (spool_id_differs(file, tide) && !spool_id_is(w->of[BY_LOCK], file))
		return tide;
	for (int i = 0; i < WITNESSES; i++)
		if (spool_id_is_known(w->of[i]))
			return w->of[i];
	return file;
}

static bool is_strange(const struct identity *id, struct spool_id its)
{
	return id->is_nameless ? spool_id_is_known(its) : spool_id_differs(id->ours, its);
}

/*
 * Each file can be exchanged by itself, so that most of them are believed. A database with its tide mark is a spool
 * that somebody put here, whatever else was left behind.
 */
static void decide_whose(struct identity *id, const struct ledger_found *database, const struct witnesses *w)
{
	const struct spool_id file = w->of[BY_FILE], tide = w->of[BY_TIDE], lock = w->of[BY_LOCK];

	if (!spool_id_is_known(id->ours)) { /* the rows did not say */
		id->ours = of_equals(w);
		for (int i = 0; i < WITNESSES && !file_and_tide_agree(w); i++)
			if (votes_for(w, w->of[i]) > votes_for(w, id->ours))
				id->ours = w->of[i];
	}
	if (has_no_name(database) && votes_for(w, id->ours) < w->votes_needed) {
		id->ours = (struct spool_id){0};
		id->is_nameless = true;
	}
	id->is_to_be_named = has_no_name(database) && (id->is_nameless || w->votes[BY_LOCK] != VOTES_OF_PROOF ||
	                                               spool_id_differs(id->ours, lock));
	id->file_is_strange = spool_id_differs(id->ours, file);
	id->tide_is_strange = is_strange(id, tide);
	id->lock_is_strange = is_strange(id, lock);
	id->beside_is_strange = id->is_nameless && (is_strange(id, w->of[BY_LEFT]) || is_strange(id, w->of[BY_FLIGHT]));
	id->tide_of = tide;
	if (!id->page_is_strange)
		id->theirs = id->file_is_strange ? file : id->tide_is_strange ? tide : lock;
	if (id->tide_is_strange)
		id->tide = (struct tide){0};
}

enum { OF_FILE, OF_TIDE }; /* log_ledgers.wanted */

/* The tide mark saw another log begin at this one's state: this one is of a copy that went its own way. */
static bool is_of_a_twin(const struct tide *t, const struct log_ledgers *log)
{
	const struct totals *last = &log->last.totals;

	return t->epoch != 0 && t->base == last->base && t->commits <= last->commits && !log->is_there[OF_TIDE] &&
	       log->scan.header_is_sound && log->scan.frames == log->scan.mend_frames;
}

static bool sides_with_file(const struct tide *t, const struct totals *file)
{
	return t->epoch != 0 && (t->epoch == file->epoch || t->base == store_ledger_print(file));
}

/*
 * What cannot be joined behind the last commit may be of commits that were refused, as their sync failed, under shorter
 * ones: each leaves its end. It is, when nothing was acknowledged behind it as far as the tide mark of this log knows.
 * What the mark counted besides is told by the ledger.
 */
static bool has_remains(const struct tide *t, const struct log_ledgers *log)
{
	return log->scan.header_is_sound && log->scan.commits_lost > 0 && log->scan.commits_mended == 0 &&
	       log->last.is_found && t->is_valid && t->epoch != 0 && t->epoch == log->last.totals.epoch &&
	       t->commits + 1 >= log->last.totals.commits && t->commits <= log->last.totals.commits;
}

/* Whatever ended stays so, and no id is given twice. */
static bool comes_after(const struct totals *t, const struct totals *than)
{
	const struct store_ledger *a = &t->ledger, *b = &than->ledger;

	return t->next_id >= than->next_id && a->accepted >= b->accepted && a->delivered >= b->delivered &&
	       a->expired >= b->expired && a->evicted >= b->evicted && a->filtered >= b->filtered &&
	       a->purged >= b->purged;
}

/* Both by an older kspool, so that nothing but their counts tells. */
static enum log_fit fit_of_counts(const struct ledger_found *file, const struct log_ledgers *log)
{
	if (log->is_there[OF_FILE] || comes_after(&log->first, &file->totals))
		return LOG_FITS;
	return comes_after(&file->totals, &log->last.totals) ? LOG_OLDER : LOG_OF_ANOTHER;
}

static enum log_fit fit_of(const struct identity *id, const struct ledger_found *file, const struct log_ledgers *log)
{
	const struct totals *f = &file->totals, *l = &log->last.totals;
	const struct spool_id its = store_totals_id(l);

	/* A log of ours begins with a ledger; sqlite3, in the hands of a person, makes one without. */
	if (!log->last.is_found)
		return LOG_FITS;
	if (!spool_id_is(its, id->ours) && (spool_id_is_known(its) || f->epoch != 0))
		return LOG_OF_ANOTHER;
	if (!file->is_found || id->file_is_strange)
		return LOG_FITS;
	if (has_no_name(file) && !spool_id_is_known(its))
		return fit_of_counts(file, log);
	/* 0: it began where no name was, by a kspool that did not say where. */
	if (store_ledger_print(f) == l->base || log->is_there[OF_FILE] || (f->epoch == 0 && l->base == 0))
		return is_of_a_twin(&id->tide, log) ? LOG_OF_ANOTHER : LOG_FITS;
	if (l->commits <= f->commits)
		return LOG_OLDER;
	return sides_with_file(&id->tide, f) ? LOG_OF_ANOTHER : LOG_NEWER;
}

enum err store_identity_look(const struct files *f, enum file_kind kind, struct identity *ret, struct error *e)
{
	struct ledger_found file = {0};
	struct log_ledgers log = {0};
	uint64_t lock_print;
	struct witnesses w = {.of[BY_LOCK] = files_lock_spool(f, &lock_print)};
	struct tide tide;
	enum err err = files_tide_read(f, &tide, e);

	*ret = (struct identity){.tide = tide, .tide_is_dead = tide.is_dead};
	if (err == ERR_OK && kind != FILE_MISSING)
		err = store_ledger_find(f, "", PAGES_OF_FILE | PAGES_AT_A_GLANCE, &file, e);
	log.wanted[OF_FILE] = store_ledger_print(&file.totals);
	log.wants_unnamed = has_no_name(&file);
	log.wanted[OF_TIDE] = store_ledger_print(&(struct totals){.epoch = tide.epoch, .commits = tide.commits});
	if (err == ERR_OK)
		err = store_ledgers_of_log(f, "", &log, e);
	for (int i = 0; i < WITNESSES; i++)
		w.votes[i] = VOTES_OF_ANY;
	w.of[BY_FILE] = store_totals_id(&file.totals);
	w.of[BY_TIDE] = tide.spool;
	w.of[BY_LOG] = store_totals_id(&log.last.totals);
	if (err == ERR_OK)
		err = ask_beside(f, &w, e);
	if (err == ERR_OK && kind != FILE_MISSING)
		err = ask_rows(f, ret, &file, &w, e);
	if (err != ERR_OK)
		return err;
	ret->file_print = store_ledger_print(&file.totals);
	ret->scan = log.scan;
	if (has_remains(&tide, &log))
		ret->scan.commits_lost = 0;
	ret->tide_is_lost =
	    kind != FILE_MISSING && !tide.is_valid && (tide.is_broken || spool_id_is_known(w.of[BY_LOCK]));
	if (has_no_name(&file))
		weigh(&w, &file, &log, &tide, lock_print, ret);
	for (int i = BY_TIDE; err == ERR_OK && i < WITNESSES && has_no_name(&file); i++) {
		bool is_its = false; /* an older kspool tagged no row */

		if (spool_id_is_known(w.of[i]))
			err = store_rows_are_of(f, "", w.of[i], (struct spool_id){0}, &is_its, e);
		w.votes[i] = is_its ? VOTES_OF_PROOF : w.votes[i];
	}
	if (err != ERR_OK)
		return err;
	decide_whose(ret, &file, &w);
	ret->log = fit_of(ret, &file, &log);
	ret->has_journal = asides_is_taken(f, JOURNAL, "");
	return ERR_OK;
}

static const char *log_words(const struct identity *id)
{
	static const char *const words[] = {
	    [LOG_OF_ANOTHER] = "the log is another spool's, or of a copy that went its own way",
	    [LOG_OLDER] = "the log is older than the database",
	    [LOG_NEWER] = "the database is older than its log: somebody put an earlier copy in its place",
	};

	return words[id->log];
}

size_t store_identity_words(const struct identity *id, char words[IDENTITY_WORDS_MAX][IDENTITY_TEXT_BYTES])
{
	char ours[SPOOL_ID_TEXT_BYTES], theirs[SPOOL_ID_TEXT_BYTES], tide[SPOOL_ID_TEXT_BYTES];
	size_t n = 0;

	if (id->is_nameless)
		(void)snprintf(ours, sizeof ours, "a spool without a name yet");
	else
		(void)files_id_text(id->ours, ours);
	(void)files_id_text(id->theirs, theirs);
	(void)files_id_text(id->tide_of, tide);
	if (id->file_is_strange)
		(void)snprintf(words[n++], IDENTITY_TEXT_BYTES,
		               "the database is of spool %s, what lies beside it of %s", theirs, ours);
	if (id->page_is_strange)
		(void)snprintf(words[n++], IDENTITY_TEXT_BYTES,
		               "a page of spool %s stands over the ledger; the rows are of %s", theirs, ours);
	if (id->tide_is_strange)
		(void)snprintf(words[n++], IDENTITY_TEXT_BYTES, "the tide mark is of spool %s, this is %s", tide, ours);
	if (id->lock_is_strange)
		(void)snprintf(words[n++], IDENTITY_TEXT_BYTES, "the lock file is of another spool than %s", ours);
	if (id->beside_is_strange)
		(void)snprintf(words[n++], IDENTITY_TEXT_BYTES,
		               "a file that counts beside it is of another spool than %s", ours);
	if (id->log != LOG_FITS)
		(void)snprintf(words[n++], IDENTITY_TEXT_BYTES, "%s", log_words(id));
	if (id->has_journal)
		(void)snprintf(words[n++], IDENTITY_TEXT_BYTES, "a rollback journal lies here, which no spool has");
	return n;
}

/* SQLite would play it back over the file; it may be anything, so it is not opened either. */
static enum err part_journal(struct store *s, struct store_report *report, struct error *e)
{
	char stranger[ASIDE_SUFFIX_BYTES];
	enum err err = asides_new_suffix(&s->files, STRANGER_PREFIX, stranger, e);

	if (err == ERR_OK)
		err = store_move_part(s, stranger, JOURNAL, e);
	if (err == ERR_OK)
		store_warn(report, "moved away: %s%s" JOURNAL, s->path, stranger);
	return err == ERR_OK ? files_sync_dir(&s->files, e) : err;
}

/* The log goes first: killed between the two, the next start sees the same stranger. */
static enum err part_files(struct store *s, enum file_kind *kind, struct identity *id, struct store_report *report,
                           struct error *e)
{
	char stranger[ASIDE_SUFFIX_BYTES], aside[ASIDE_SUFFIX_BYTES];
	bool log_is_ours = id->log == LOG_NEWER || (id->file_is_strange && id->log == LOG_FITS);
	int64_t log_bytes = 0;
	enum err err = asides_new_suffix(&s->files, STRANGER_PREFIX, stranger, e);

	if (err == ERR_OK)
		err = asides_new_suffix(&s->files, ASIDE_PREFIX, aside, e);
	if (err == ERR_OK)
		err = files_size(&s->files, "-wal", &log_bytes, e);
	if (err == ERR_OK && log_bytes > 0)
		err = store_move_part(s, log_is_ours ? aside : stranger, "-wal", e);
	if (err == ERR_OK && id->file_is_strange)
		err = store_move_part(s, stranger, "", e);
	if (err == ERR_OK)
		err = files_sync_dir(&s->files, e);
	if (err != ERR_OK)
		return err;
	if (id->file_is_strange)
		*kind = FILE_MISSING;
	if (id->file_is_strange)
		store_warn(report, "moved away: %s%s; kspool import takes in a database that was meant", s->path,
		           stranger);
	if (log_bytes > 0)
		store_warn(report, "moved away: %s%s-wal%s", s->path, log_is_ours ? aside : stranger,
		           log_is_ours ? ", which is read back" : "");
	id->scan = (struct wal_scan){.is_empty = true};
	return ERR_OK;
}

enum err store_identity_part(struct store *s, enum file_kind *kind, struct identity *id, struct store_report *report,
                             struct error *e)
{
	char words[IDENTITY_WORDS_MAX][IDENTITY_TEXT_BYTES];
	size_t count = store_identity_words(id, words);

	for (size_t i = 0; i < count; i++)
		store_warn(report, "%s", words[i]);
	report->strangers = count > 0;
	if (id->has_journal) {
		enum err err = part_journal(s, report, e);

		if (err != ERR_OK)
			return err;
	}
	return id->file_is_strange || id->log != LOG_FITS ? part_files(s, kind, id, report, e) : ERR_OK;
}

enum err store_identity_name(const struct store *s, const struct identity *id, struct error *e)
{
	const enum err err = files_lock_choose(&s->files, s->id, id->named_print, e);

	if (err == ERR_OK && id->tide_is_short) /* it would speak against the log that has the name */
		files_remove(&s->files, ".tide");
	return err;
}
