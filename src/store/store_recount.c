/*
 * The ledger held against the rows: when a spool is opened, and when somebody asks.
 *
 * Invariants:
 * 1. A file without a ledger row and without rows is new: it inherits what is known of the one before it.
 * 2. No count of what ended ever goes down; what is missing becomes damaged, what nobody counted accepted.
 * 3. next_id is above every id of a row, of the tide mark and of what was inherited.
 * 4. Rows that prove to be another spool's are no messages: the page that they stand in was exchanged.
 * 5. A row below the ledger's next_id was accepted once: one that is not counted as waiting had left.
 * 6. base is the print of the row in the database file without its log: what the next log must fit.
 */
#include "store/store_count_internal.h"

#include <string.h>

#include "base/clock.h"

enum { COUNT_BUDGET_BYTES = 64 << 20 };

/* Of what waits by a ledger that is older than PATH.left, what had left since. */
struct came {
	bool is_known;
	uint64_t messages;
};

/*
 * The tide mark is never ahead of the truth: what it counted and the ledger did not is proof that this file is not the
 * one that was written last.
 */
static void check_tide(struct store *s, struct totals *t, const struct came *came, uint64_t *ret_lost,
                       struct store_report *report)
{
	const struct tide *tide = &s->tide;
	const bool is_ahead = tide->is_valid && store_tide_is_ahead(tide, t);
	const uint64_t possible = t->possible;

	*ret_lost = 0;
	if (is_ahead) {
		*ret_lost =
		    store_ledger_follow(t, tide, came->is_known ? came->messages : t->ledger.pending + t->ledger.dead);
	} else if (tide->is_valid && tide->count == 0 && tide->id >= t->next_id) {
		*ret_lost = tide->id - (t->next_id - 1);
		t->ledger.accepted += *ret_lost;
		t->ledger.damaged += *ret_lost;
	}
	t->possible += is_ahead ? 0 : came->messages;
	report->is_older |= is_ahead || came->messages > 0;
	if (t->possible > possible)
		store_warn(report, "what is here is older than what was counted: %s%llu messages may be sent twice",
		           came->is_known ? "" : "up to ", (unsigned long long)(t->possible - possible));
	if (!tide->is_valid)
		return;
	store_lose(s, LOSS_TAIL, *ret_lost, tide->id >= t->next_id ? t->next_id : 0, tide->id);
	t->next_id = store_most(t->next_id, tide->id + 1);
}

/*
 * A new database begins with what the old one is known to have counted: by this run, or by the file that was set aside.
 */
static enum err inherit(struct store *s, const struct totals *known, struct totals *t, struct error *e)
{
	struct totals old;
	bool found = false;
	enum err err = store_salvage_ledger(&s->files, s->id, &old, &found, e);

	if (err == ERR_DISK && s->tide.count > 0) /* it cannot be read now; the tide mark knows enough */
		err = ERR_OK;
	if (err == ERR_OK && found)
		*t = old;
	if (err == ERR_OK && known && (!found || store_ledger_is_later(known, &old)))
		*t = *known;
	store_clock_inherit(t, &s->tide);
	return err;
}

/* A sound row becomes `durable` at once: it need not be written again, and a full disk must not refuse a start. */
static enum err load_row(struct store *s, bool may_mend, bool *ret_fresh, struct totals *t, struct store_report *report,
                         struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_LEDGER_GET);
	int rc = sqlite3_step(st);
	uint64_t highest = 0;
	bool sound = rc == SQLITE_ROW && store_ledger_parse(st, t);
	bool missing = rc == SQLITE_DONE;
	bool behind = false;
	enum err err;

	(void)sqlite3_reset(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return store_fail(s, rc, e, "read the ledger");
	s->lag = (struct row_lag){.clock_ms = t->clock_ms, .handed = t->handed};
	rc = sound ? store_ledger_catch_up(s->db, t, &behind) : SQLITE_OK;
	if (rc != SQLITE_OK)
		return store_fail(s, rc, e, "count what the ledger does not have");
	s->lag.commits = behind;
	err = store_highest_id(s, &highest, e);
	if (err != ERR_OK)
		return err;
	s->unnumbered = 0;
	*ret_fresh = highest == 0 && (missing || (sound && t->next_id == 1 && t->ledger.accepted == 0));
	if (!sound && !*ret_fresh)
		return store_count_anew(s, may_mend, t, report, e);
	if (!sound)
		*t = (struct totals){.next_id = 1};
	else
		s->now = s->durable = *t;
	s->row = *t;
	if (highest >= t->next_id) {
		err = store_count_unnumbered(
		    s, s->tide.is_valid && s->tide.id >= t->next_id ? s->tide.id + 1 : t->next_id, e);
		if (err != ERR_OK)
			return err;
		store_warn(report, "the ledger's next id was behind the rows");
		t->next_id = highest + 1;
	}
	return ERR_OK;
}

/*
 * A spool of an older kspool gets its id; what this run commits is told from what any other does. A log goes on with
 * the base that it has; one without a ledger (sqlite3's, in the hands of a person) has none: the row is the file's
 * still.
 */
static void take_identity(struct store *s, struct totals *t)
{
	const uint64_t base = t->epoch != 0 ? t->base : s->file_print;
	const bool goes_on = s->log_is_live && store_ledger_print(&s->row) != s->file_print;

	t->spool_high = s->id.high;
	t->spool_low = s->id.low;
	store_ledger_log_begins(s);
	t->epoch = s->durable.epoch;
	t->base = s->durable.base = goes_on ? base : s->durable.base;
	s->now = s->durable;
}

/* Its rows are counted, and each is looked at, before it begins. A large one would make its start wait: there
 * it is counted when a message is read that had left, and when the backlog has drained. */
static bool is_small(const struct store *s) { return files_bytes(&s->files, "") <= COUNT_BUDGET_BYTES; }

/*
 * The rows are those that the tide mark counted, up to the last id: the ledger's page alone is old. In a copy of an
 * earlier time they would end earlier.
 */
static bool row_alone_is_old(const struct store *s, const struct totals *t, const struct totals *found)
{
	struct totals newer = *t;

	if (!s->tide.is_valid || !store_tide_is_ahead(&s->tide, t))
		return false;
	store_ledger_of_tide(&newer, &s->tide);
	return newer.ledger.pending == found->ledger.pending && newer.ledger.dead == found->ledger.dead &&
	       (newer.ledger.pending == 0 || t->next_id == newer.next_id);
}

/* Of what stands here some had its end in commits that are not. */
static bool left_knows_later(const struct store *s, const struct totals *t)
{
	return t->commits < left_commit(s->left) && !s->left_is_behind;
}

/* All that the ledger counts is here beside what had left the shelf and stands on it again: an old page of it. */
static bool has_all_but_shelf(const struct totals *t, const struct totals *found)
{
	const uint64_t here = found->ledger.pending + found->ledger.dead;

	return found->shelf_again > 0 && here >= found->possible &&
	       t->ledger.pending + t->ledger.dead <= here - found->possible;
}

/* What disagrees with the ledger may lie about itself: it is taken apart before it is believed. */
static enum err hold_against_rows(struct store *s, bool may_mend, struct totals *t, struct came *ret_came,
                                  struct store_report *report, struct error *e)
{
	struct totals found = {0};
	int64_t noted = 0;
	bool row_is_old = false;
	enum err err = store_number(s, STORE_NOTED_SQL, &noted, e);

	if (err == ERR_OK && (uint64_t)noted > t->ledger.damaged && may_mend)
		err = error_set(e, ERR_DAMAGED, "%s: table `damaged` has rows that nobody counted", s->path);
	if (err == ERR_OK)
		err = store_count_rows(s, &found, e);
	if (s->row.next_id == 0) /* the ledger was counted anew, with what had left */
		found.possible = found.shelf_again = 0;
	row_is_old = err == ERR_OK && (row_alone_is_old(s, t, &found) || store_left_knows(s, t));
	if (row_is_old) {
		store_ledger_of_tide(t, &s->tide);
		report->is_older = true;
		store_warn(report, "the ledger's row was older than what it counts: the tide mark knows");
	}
	if (err == ERR_OK && may_mend && found.ledger.pending > t->ledger.pending)
		err = store_mend_unmarked(s, e); /* a page of marks may be gone */
	if (err == ERR_OK && may_mend &&
	    (found.ledger.pending != t->ledger.pending || found.ledger.dead != t->ledger.dead)) {
		s->now = *t;
		err = store_dissolve_all(s, e);
		*t = s->now;
		if (err == ERR_OK)
			err = store_count_rows(s, &found, e);
	}
	if (err == ERR_OK && left_knows_later(s, t)) {
		*ret_came = (struct came){left_commit(s->left) >= s->tide.counts[TIDE_LEFT], found.possible};
		found.possible = found.shelf_again = 0;
		err = store_left_take_back(s, e);
	}
	if (err == ERR_OK && may_mend && !row_is_old && ret_came->messages == 0 && has_all_but_shelf(t, &found))
		err = store_left_clear_shelf(s, &found, report, e);
	if (err == ERR_OK && row_is_old)
		err = store_left_put_back_again(s, t, store_ends_since(s, t), &found, report, e);
	if (err == ERR_OK)
		err = store_correct(s, t, &found, s->unnumbered, report, e);
	return err;
}

/* What the file says, or what is known of the one before it; then what the tide mark saw after that. */
static enum err load_totals(struct store *s, const struct totals *known, bool may_mend,
                            const struct side_mended *mended, struct totals *t, uint64_t *ret_expected,
                            struct store_report *report, struct error *e)
{
	const uint64_t missing = report->missing_rows;
	uint64_t lost = 0, waited, before;
	bool fresh = false, is_told;
	struct came came = {0};
	uint64_t all, unread = 0, others;
	enum err err = load_row(s, may_mend && is_small(s), &fresh, t, report, e);
	const struct totals row = *t;

	/* A row that is old knows nothing of what came to stand lower since. */
	if (err == ERR_OK && s->tide.is_valid && store_tide_is_ahead(&s->tide, t))
		t->blocks_from = t->rows_from = 0;
	if (err == ERR_OK && !fresh && may_mend)
		err = store_drop_left(s, t, report, e);
	if (err == ERR_OK && fresh)
		err = inherit(s, known, t, e);
	store_ledger_keep_possible(t, &s->tide);
	s->last_commits = store_most(s->tide.is_valid ? s->tide.commits : 0, t->commits);
	if (err == ERR_OK && !fresh && (is_small(s) || mended->waits_again > 0 || left_knows_later(s, t)))
		err = hold_against_rows(s, may_mend, t, &came, report, e);
	t->possible += mended->possible;
	if (err == ERR_OK)
		err = asides_count(&s->files, &all, &unread, e); /* what is gone here may be there */
	if (err != ERR_OK)
		return err;
	err = store_rows_load(s, t, mended->possible, is_small(s), e);
	if (err != ERR_OK)
		return err;
	if (fresh && unread > 0 && t->ledger.accepted > 0 && store_left_knows(s, t)) /* that row may be an old page */
		store_ledger_of_tide(t, &s->tide);
	check_tide(s, t, &came, &lost, report);
	store_left_beyond(s, t, report);
	/* Of what was lost before the file that goes now some may stand in another one; the tide mark may be all that
	 * tells of it. */
	others = unread - (unread > 0 && report->quarantined);
	before = fresh && others > 0 ? store_beyond(store_untold(t), lost) : 0;
	*ret_expected = unread > 0 ? report->missing_rows - missing + lost + before : 0;
	waited = fresh ? store_ledger_succeed(t) : 0;
	report->is_fresh = fresh && t->ledger.accepted > 0;
	report->waited = waited;
	if (report->is_fresh && !report->created && !report->quarantined && unread > 0)
		store_warn(report,
		           "a start or a run ended while the spool was set aside: it goes on in a new database");
	s->is_uncounted = fresh && unread > 0 && s->last_commits == 0;
	s->is_counted = is_small(s);
	s->is_exact = may_mend && unread == 0 && t->next_id == s->row.next_id && came.messages == 0 &&
	              memcmp(&t->ledger, &row.ledger, sizeof row.ledger) == 0;
	store_lose(s, LOSS_ASIDE, waited, 0, 0);
	*ret_expected += waited;
	store_clock_begin(t);
	take_identity(s, t);
	report->missing_rows += lost;
	if (fresh && report->created && lost == 0 && unread == 0 && !s->id_is_new)
		store_warn(report, "the database was gone: a new one goes on with what the files beside it tell");
	if (lost > 0)
		store_warn(report,
		           fresh && !report->created && !report->quarantined
		               ? "the log was gone, and nothing stands in the database: the tide mark had counted %llu"
		                 " that waited"
		           : fresh ? "the database was gone: the tide mark had counted %llu more that waited"
		                   : "%llu acknowledged messages are gone: what is here ends before the tide mark",
		           (unsigned long long)lost);
	/* The row that was last may stand in a page that is old, or come back later. */
	is_told = s->tide.has_more && (fresh || !store_tide_is_behind(&s->tide, t));
	s->lead_untold = is_told && unread > 0 ? s->tide.counts[TIDE_LEAD] : 0;
	is_told &= fresh || unread == 0; /* nothing of it is read back yet; or nothing is to be */
	return store_leads_load(s, is_told ? s->tide.counts[TIDE_LEAD] : 0, fresh ? NULL : report, e);
}

static enum err load(struct store *s, const struct totals *known, bool may_mend, struct store_report *report,
                     struct error *e)
{
	struct side_mended mended = {0};
	struct totals t = {0};
	uint64_t expected = 0;
	enum err err;

	store_rollback(s); /* of an earlier try */
	s->now = s->durable = s->row = t;
	err = store_no_strange_rows(s, is_small(s), e);
	if (err == ERR_OK)
		err = store_begin(s, e);
	if (err == ERR_OK)
		err = may_mend ? store_mend_rows(s, is_small(s), &mended, report, e) : ERR_OK;
	if (err == ERR_OK)
		err = load_totals(s, known, may_mend, &mended, &t, &expected, report, e);
	if (err != ERR_OK)
		return err;
	s->now = t;
	s->handed_noted =
	    t.handed - t.handed / (HANDED_SPARE + 1); /* the row says it again, until who counts has read it */
	/* written with the next change: a full disk must not refuse a start */
	s->durable.clock_boot = t.clock_boot;
	s->durable.clock_offset = t.clock_offset;
	err = s->left_is_behind ? store_left_take_back(s, e) : ERR_OK;
	if (err == ERR_OK)
		err = store_failures_load(s, e);
	if (err == ERR_OK)
		err = store_leads_mend(s, e);
	if (err == ERR_OK)
		err = store_merge_begin(s, e);
	if (err == ERR_OK && expected > 0)
		err = store_salvage_expect_more(s, expected, t.next_id, e);
	if (err == ERR_OK && s->is_uncounted)
		err = store_sources_uncounted(s, t.next_id, e);
	if (err == ERR_OK)
		err = store_commit(s, e);
	s->mend_is_due &= err != ERR_OK;
	return err;
}

enum err store_ledger_load(struct store *s, const struct totals *known, struct store_report *report, struct error *e)
{
	enum err err = store_left_open(s, known, report, e);
	const struct store_report before = *report;
	bool may_mend = true;

	if (err != ERR_OK)
		return err;
	err = load(s, known, may_mend, report, e);
	while (err == ERR_FULL && may_mend) { /* it must not refuse a start: at worst damage stays for the next one */
		may_mend = files_reserve_give_up(&s->files);
		*report = before;
		err = load(s, known, may_mend, report, e);
	}
	if (err == ERR_OK && s->left_is_behind)
		left_confirm(s->left, s->durable.commits);
	s->left_is_behind = false;
	return err == ERR_OK ? store_left_begin(s, e) : err;
}

enum err store_count_missing(struct store *s, uint64_t *ret_missing, struct error *e)
{
	const struct store_ledger *l = &s->durable.ledger;
	struct totals found = {0};
	enum err err = store_count_rows(s, &found, e);
	uint64_t has = found.ledger.pending + found.ledger.dead - found.possible;

	*ret_missing = err == ERR_OK ? store_beyond(l->pending + l->dead, has) : 0;
	return err;
}

static enum err correct_in_group(struct store *s, const struct totals *found, struct store_report *report,
                                 struct error *e)
{
	const uint64_t possible = s->now.possible;
	const enum err err = store_correct(s, &s->now, found, 0, report, e);

	s->possible_in_group += s->now.possible - possible;
	return err;
}

enum err store_recount(struct store *s, struct store_report *ret, struct error *e)
{
	struct totals found = {0};
	enum err err = store_count_rows(s, &found, e);

	*ret = (struct store_report){0};
	if (err == ERR_OK)
		err = store_begin(s, e);
	if (err == ERR_OK)
		err = correct_in_group(s, &found, ret, e);
	if (err == ERR_OK)
		err = store_commit(s, e);
	return err;
}

enum err store_mend(struct store *s, bool all, struct store_report *report, struct error *e)
{
	struct side_mended mended;
	struct totals found = {0};
	enum err err = store_no_fault(s->path, e);

	*report = (struct store_report){0};
	if (err == ERR_OK)
		err = store_begin(s, e);
	if (err == ERR_OK)
		err = store_mend_rows(s, all, &mended, report, e);
	if (err == ERR_OK)
		store_count_possible(s, mended.possible);
	if (err == ERR_OK && (mended.waits_again > 0 || s->came_again)) {
		err = store_count_rows(s, &found, e);
		if (err == ERR_OK)
			err = correct_in_group(s, &found, report, e);
	}
	if (err == ERR_OK)
		err = store_failures_load(s, e);
	if (err == ERR_OK && all)
		err = store_rows_recount(s, e);
	if (err == ERR_OK)
		err = store_rows_tell(s, report, e);
	if (err == ERR_OK)
		err = store_commit(s, e);
	s->mend_is_due &= err != ERR_OK; /* else it is tried again */
	s->came_again &= err != ERR_OK;
	s->due_ms = 0; /* whatever is not on its way is looked for anew: no message is due at 0 */
	return err;
}
