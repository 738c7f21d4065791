/*
 * Files that were set aside, as sources: found by their names, opened as pages, and done or put off.
 *
 * Invariants:
 * 1. `salvage` is null or open; null and `salvage_is_done` says that no file is left that can be read in this run.
 * 2. A file is done when its last page was read, and then has its mark beside it; only then is it not looked at again,
 *    as long as neither it nor its log has more bytes than were there when its reading began.
 * 3. A file that cannot be read ends no start: it is put off, and each start tries again until a person gives it up.
 * 4. A file of another spool is never read.
 */
#include "store/store_salvage_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/store_identity_internal.h"

void store_salvage_end(struct store *s)
{
	if (s->salvage) {
		pages_close(s->salvage->pages);
		block_free(s->salvage->block);
		free(s->salvage->marks);
		free(s->salvage->failures);
	}
	free(take(s->salvage));
	s->salvage_is_done = false;
}

/* How many of the damaged may come back. When the note is damaged: all that nobody has seen, or was told of. */
static enum err expected_rows(struct store *s, uint64_t *ret, struct error *e)
{
	const struct totals *t = s->in_group ? &s->now : &s->durable;
	struct note note;
	int64_t kept = 0;
	enum err err = store_note_get(s, SALVAGE_EXPECTED, &note, e);

	*ret = note.after;
	if (err != ERR_OK || !note.is_lost)
		return err;
	err = store_number(s, STORE_KEPT_SQL, &kept, e);
	*ret = store_untold(t);
	if (t->ledger.damaged - *ret < (uint64_t)kept)
		*ret = store_beyond(t->ledger.damaged, (uint64_t)kept);
	return err;
}

enum err store_salvage_expect(struct store *s, uint64_t rows, struct error *e)
{
	return store_note_put(s, SALVAGE_EXPECTED, &(struct note){.after = rows}, e);
}

/* What stands in them from next_id on was committed, and heard of by nobody. */
static enum err note_known(struct store *s, const char *suffix, uint64_t next_id, struct error *e)
{
	AUTOFREE char *key = mem_format(SALVAGE_KNOWN, suffix);
	struct note note;
	const enum err err = store_note_get(s, key, &note, e);

	return err != ERR_OK || note.done ? err
	                                  : store_note_put(s, key, &(struct note){.after = next_id, .done = true}, e);
}

enum err store_salvage_expect_more(struct store *s, uint64_t rows, uint64_t next_id, struct error *e)
{
	struct aside_list list;
	uint64_t before;
	enum err err = asides_find(&s->files, &list, e);

	if (err == ERR_OK)
		err = expected_rows(s, &before, e);
	if (err == ERR_OK)
		err = store_salvage_expect(s, before + rows, e);
	for (size_t i = 0; i < list.count && err == ERR_OK; i++)
		if (!list.items[i].is_read)
			err = note_known(s, list.items[i].suffix, next_id, e);
	asides_fini(&list);
	return err;
}

/* The spool begins under a new name beside files that could not be asked: they are its own, whatever they say later. */
enum err store_sources_adopt(struct store *s, struct error *e)
{
	struct aside_list list;
	enum err err = asides_find(&s->files, &list, e);

	for (size_t i = 0; i < list.count && err == ERR_OK; i++) {
		AUTOFREE char *key = mem_format("ours:%s:", list.items[i].suffix);

		if (!list.items[i].is_read)
			err = store_note_put(s, key, &(struct note){.done = true}, e);
	}
	asides_fini(&list);
	return err;
}

/* Sent again is better than lost: a mark that is not what was written marks nothing. */
static enum err take_mark(void *arg, const struct stored_record *r, struct error *e)
{
	struct store *s = arg;
	struct salvage *v = s->salvage;
	struct store_row unused;
	struct block_mark m = {.id = (uint64_t)r->rowid};

	(void)e;
	store_salvage_note_failure(s, r);
	if (row_of_record(r, &unused) != ROW_PARTIAL || r->values[4].count != sizeof m.bits ||
	    v->mark_count == MARKS_MAX)
		return ERR_OK;
	m.settled = (uint32_t)r->values[1].number;
	m.bytes = (uint64_t)r->values[2].number;
	memcpy(m.bits, r->values[4].bytes, sizeof m.bits);
	if (!mark_is_sound(&m, r->values[3].number, v->block->tag)) {
		v->marks_lost += m.settled < BLOCK_MESSAGES ? m.settled : BLOCK_MESSAGES;
		return ERR_OK;
	}
	v->marks = mem_grow(v->marks, v->mark_count + 1, sizeof *v->marks);
	v->marks[v->mark_count++] = m;
	return ERR_OK;
}

/* A block may stand before its mark, a message before its attempts: all of these are read first. */
static enum err read_marks(struct store *s, struct error *e)
{
	struct salvage *v = s->salvage;
	enum err err = ERR_OK;

	for (uint32_t n = 1; err == ERR_OK && (n = pages_next(v->pages, n)) <= pages_count(v->pages); n++) {
		const uint64_t unreadable = pages_unreadable(v->pages);

		err = pages_records(v->pages, n, take_mark, s, e);
		if (err == ERR_DISK || pages_unreadable(v->pages) > unreadable) {
			v->marks_unread |= pages_may_hold_rows(v->pages, n);
			err = ERR_OK;
		}
	}
	store_salvage_sort_failures(v);
	return err;
}

/* What a source says of itself. */
struct source_facts {
	int parts;                       /* which of its files are this spool's, as far as they say; 0: none is */
	uint32_t tag;                    /* of rows that are believed; 0: any, for the id they are of is forgotten */
	uint64_t blocks_from, rows_from; /* what waited stands from there on; 0: not known */
	uint64_t next_id;                /* 0: not known */
};

/* The part that is left has no byte: then there is nothing of ours to read. One that cannot be looked at is not empty.
 */
static enum err drop_empty(const struct files *f, const char *suffix, int part, int *parts, struct error *e)
{
	AUTOFREE char *name = mem_format("%s%s", f->name, suffix);
	struct stat st = {0};

	if (*parts != part)
		return ERR_OK;
	if (fstatat(f->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT)
		return error_set_errno(e, ERR_DISK, "cannot look at %s%s", f->path, suffix);
	*parts = st.st_size == 0 ? 0 : part;
	return ERR_OK;
}

static enum err read_facts(struct store *s, const char *suffix, struct source_facts *ret, struct error *e)
{
	AUTOFREE char *log_suffix = mem_format("%s-wal", suffix);
	struct ledger_found file = {.of = s->id};
	struct log_ledgers log = {0};
	AUTOFREE char *key = mem_format("ours:%s:", suffix);
	struct note ours;
	struct spool_id named, of_log;
	bool is_adopted, is_ours = false;
	enum err err = store_note_get(s, key, &ours, e);

	if (err == ERR_OK)
		err = store_ledger_find(&s->files, suffix, PAGES_OF_FILE | PAGES_TOLERATE, &file, e);
	if (err == ERR_OK)
		err = store_ledgers_of_log(&s->files, suffix, &log, e);
	if (store_source_failed(s, err) && s->tolerates)
		err = ERR_OK;
	named = store_totals_id(&file.totals);
	of_log = store_totals_id(&log.last.totals);
	if (err == ERR_OK && spool_id_differs(s->id, named)) /* one page of another may lie over the ledger's */
		err = store_rows_are_of(&s->files, suffix, s->id, named, &is_ours, e);
	is_ours |= spool_id_is(s->id, named);
	/* Where one part says that it is ours, the other is believed too. */
	is_adopted = (ours.done || ours.is_lost) && !is_ours && !spool_id_is(s->id, of_log);
	*ret = (struct source_facts){.parts = PAGES_OF_BOTH, .tag = is_adopted ? 0 : s->tag};
	if (!is_adopted && !is_ours && spool_id_differs(s->id, named))
		ret->parts &= ~PAGES_OF_FILE;
	if (!is_adopted && spool_id_differs(s->id, of_log))
		ret->parts &= ~PAGES_OF_LOG;
	if (err == ERR_OK)
		err = drop_empty(&s->files, suffix, PAGES_OF_FILE, &ret->parts, e);
	if (err == ERR_OK)
		err = drop_empty(&s->files, log_suffix, PAGES_OF_LOG, &ret->parts, e);
	if (ret->parts == PAGES_OF_BOTH) {
		const struct totals *later =
		    store_ledger_is_later(&log.last.totals, &file.totals) ? &log.last.totals : &file.totals;

		is_ours = spool_id_is(s->id, store_totals_id(later));
		ret->blocks_from = is_ours ? later->blocks_from : 0;
		ret->rows_from = is_ours ? later->rows_from : 0;
		ret->next_id = is_ours ? later->next_id : 0;
	}
	return err;
}

/* What earlier starts could not read is tried once more. */
static enum err bad_pages(struct store *s, struct salvage *v, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	AUTOFREE char *prefix = mem_format("bad:%s:", v->suffix);
	int rc = sqlite3_prepare_v2(
	    s->db, "SELECT after_id, salvaged FROM salvage WHERE done = 0 AND substr(path, 1, length(?1)) = ?1", -1,
	    &st, NULL);

	if (rc == SQLITE_OK) {
		(void)sqlite3_bind_text(st, 1, prefix, -1, SQLITE_STATIC);
		while ((rc = sqlite3_step(st)) == SQLITE_ROW && v->again_count < BAD_PARTS_MAX)
			v->again[v->again_count++] = (struct bad_part){(uint32_t)sqlite3_column_int64(st, 0),
			                                               (uint32_t)sqlite3_column_int64(st, 1)};
	}
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "see what was salvaged");
}

static enum err read_place(struct store *s, struct error *e)
{
	struct salvage *v = s->salvage;
	AUTOFREE char *key = mem_format(SALVAGE_PLACE, v->suffix), *known = mem_format(SALVAGE_KNOWN, v->suffix);
	struct note note;
	enum err err = store_note_get(s, known, &note, e);

	if (err == ERR_OK && note.done)
		v->next_id = store_least(v->next_id, note.after);
	if (err == ERR_OK)
		err = store_note_get(s, key, &note, e);
	if (err == ERR_OK && note.after == v->after_page + UINT64_C(1))
		v->reached = (struct place){(uint32_t)note.after, (uint32_t)(note.rows >> 32), (uint32_t)note.rows};
	v->is_repeat |= note.is_lost;
	return err;
}

static enum err open_source(struct store *s, const char *suffix, const struct aside_parts *parts,
                            const struct source_facts *facts, const struct note *note, struct error *e)
{
	AUTOFREE char *name = mem_format("%s%s", s->files.name, suffix);
	struct salvage *v = mem_zero(sizeof *v);
	uint64_t expected;
	int64_t noted = 0;
	enum err err = expected_rows(s, &expected, e);

	if (err == ERR_OK)
		err = store_number(s, STORE_NOTED_SQL, &noted, e);
	s->salvage = v;
	(void)snprintf(v->suffix, sizeof v->suffix, "%s", suffix);
	v->parts = *parts;
	v->after_page = (uint32_t)note->after;
	v->marks_counted = note->after > 0;
	v->rows = note->rows;
	v->expected = expected;
	v->gone = s->durable.ledger.damaged - store_least((uint64_t)noted, s->durable.ledger.damaged);
	v->next_id = s->durable.next_id;
	v->is_repeat = note->is_lost;
	v->most_bytes = UINT64_MAX;
	v->tolerates = s->tolerates;
	if (err == ERR_OK)
		err = read_place(s, e);
	if (err == ERR_OK)
		err = bad_pages(s, v, e);
	if (err == ERR_OK)
		err = pages_open(s->files.dir_fd, name,
		                 (enum pages_of)(facts->parts | (v->tolerates ? PAGES_TOLERATE : PAGES_PIECEMEAL)),
		                 &v->pages, e);
	v->block = block_new();
	v->block->tag = facts->tag;
	v->blocks_from = facts->blocks_from;
	v->rows_from = facts->rows_from;
	v->counted = facts->next_id <= s->durable.next_id ? facts->next_id : 0;
	if (s->tide.is_valid && s->tide.id >= v->counted) /* the file's ledger may be old */
		v->counted = s->tide.id + 1;
	if (err == ERR_OK)
		err = read_marks(s, e);
	if (err != ERR_OK)
		store_salvage_end(s);
	return err;
}

static enum err close_source(struct store *s, const char *suffix, const struct aside_parts *parts, uint64_t rows,
                             uint64_t unreadable, struct error *e)
{
	char outcome[112];
	enum err err;

	if (s->tolerates)
		(void)snprintf(outcome, sizeof outcome,
		               "given up, %" PRIu64 " messages came back, %" PRIu64 " pages could not be read", rows,
		               unreadable);
	else
		(void)snprintf(outcome, sizeof outcome, "read to its end, %" PRIu64 " messages came back", rows);
	err = asides_close(&s->files, suffix, parts, outcome, e);
	if (err != ERR_ENVIRONMENT || s->tolerates)
		return err;
	store_source_put_off(s, suffix, e); /* the spool has all of it; something is in the way of the word for that */
	return ERR_OK;
}

enum err store_source_done(struct store *s, struct error *e)
{
	struct salvage *v = s->salvage;
	struct error local;
	enum err err;

	if (v->bad_count > 0 || v->again_count > 0) {
		struct error why;

		(void)error_set(&why, ERR_DISK, "%zu pages of it cannot be read", v->bad_count);
		store_source_put_off(s, v->suffix, &why);
		store_salvage_end(s);
		return ERR_OK;
	}
	err = close_source(s, v->suffix, &v->parts, v->rows, pages_unreadable(v->pages), e ? e : &local);
	store_salvage_end(s);
	return err;
}

bool store_source_failed(const struct store *s, enum err err) { return err == ERR_DISK && !s->untrusted; }

static bool is_put_off(const struct store *s, const char *suffix)
{
	for (size_t i = 0; i < s->put_off_count; i++)
		if (strcmp(s->put_off[i].suffix, suffix) == 0)
			return true;
	return false;
}

void store_source_put_off(struct store *s, const char *suffix, const struct error *why)
{
	s->put_off = mem_grow(s->put_off, s->put_off_count + 1, sizeof *s->put_off);
	(void)snprintf(s->put_off[s->put_off_count].suffix, ASIDE_SUFFIX_BYTES, "%s", suffix);
	s->put_off[s->put_off_count++].why = *why;
}

/* An older kspool noted whole paths, and read by ids: done is done, the rest is read again. */
static enum err was_done_by_older(struct store *s, const char *suffix, bool *ret, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_SALVAGE_OLD);
	int rc;

	(void)sqlite3_bind_text(st, 1, suffix, -1, SQLITE_STATIC);
	rc = sqlite3_step(st);
	*ret = rc == SQLITE_ROW && sqlite3_column_int64(st, 0) != 0;
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "see what was salvaged");
}

/* What cannot be looked at will not have grown. */
static struct aside_parts parts_of(const struct store *s, const char *suffix)
{
	struct aside_parts parts;

	return asides_parts(&s->files, suffix, &parts) ? parts : (struct aside_parts){UINT64_MAX, UINT64_MAX};
}

/* How far it was read; what is there now and was not then is read, and all with it, from the beginning. */
static enum err read_note(struct store *s, const char *suffix, const struct aside_parts *parts, struct note *ret,
                          struct error *e)
{
	AUTOFREE char *key = mem_format("pages:%s", suffix);
	AUTOFREE char *parts_key = mem_format(SALVAGE_PARTS, suffix);
	struct note before;
	enum err err = store_note_get(s, key, ret, e);

	if (err == ERR_OK)
		err = store_note_get(s, parts_key, &before, e);
	if (err != ERR_OK || !before.done || parts->file == UINT64_MAX ||
	    !asides_have_grown(parts, &(struct aside_parts){before.after, before.rows}))
		return err;
	ret->after = 0;
	ret->done = false;
	ret->is_lost = true;
	return ERR_OK;
}

static enum err look_at_source(struct store *s, const char *suffix, bool *ret, struct error *e)
{
	const struct aside_parts parts = parts_of(s, suffix);
	struct note note;
	bool older = false;
	struct source_facts facts;
	enum err err = read_note(s, suffix, &parts, &note, e);

	*ret = false;
	if (err == ERR_OK && !note.done)
		err = was_done_by_older(s, suffix, &older, e);
	if (err != ERR_OK)
		return err;
	if (note.done || older)
		return close_source(s, suffix, &parts, note.rows, 0, e);
	err = read_facts(s, suffix, &facts, e);
	if (err == ERR_OK && facts.parts == 0)
		return asides_close(&s->files, suffix, &parts, "of another spool: nothing of it is taken in", e);
	*ret = err == ERR_OK;
	return err == ERR_OK ? open_source(s, suffix, &parts, &facts, &note, e) : err;
}

/* *ret: this one is being read now. One that cannot be read is put off. */
static enum err try_source(struct store *s, const char *suffix, bool *ret, struct error *e)
{
	struct error local;
	enum err err = look_at_source(s, suffix, ret, e ? e : &local);

	if (!store_source_failed(s, err))
		return err;
	store_source_put_off(s, suffix, e ? e : &local);
	*ret = false;
	return ERR_OK;
}

enum err store_source_give_up(struct store *s, const char *suffix, struct error *e)
{
	struct error local;
	const struct aside_parts parts = parts_of(s, suffix);
	bool is_open = false;
	enum err err;

	store_salvage_end(s);
	s->put_off_count = 0;
	s->tolerates = true;
	err = look_at_source(s, suffix, &is_open, e ? e : &local);
	if (store_source_failed(s, err)) /* it may be so for a moment only */
		err = look_at_source(s, suffix, &is_open, e ? e : &local);
	if (store_source_failed(s, err))
		err = close_source(s, suffix, &parts, 0, 0, e ? e : &local);
	return err;
}

static enum err expect_nothing(struct store *s, struct error *e)
{
	struct note expected;
	int64_t wrong = 0;
	enum err err = store_note_get(s, SALVAGE_EXPECTED, &expected, e);

	if (err == ERR_OK)
		err = store_number(s, "SELECT count(*) FROM salvage WHERE NOT " SALVAGE_NOTE_IS_SOUND, &wrong, e);
	if (err != ERR_OK || (expected.after == 0 && wrong == 0))
		return err;
	err = store_begin(s, e);
	if (err == ERR_OK)
		err = store_exec(s, "DELETE FROM salvage WHERE NOT " SALVAGE_NOTE_IS_SOUND, e,
		                 "clear damaged notes away");
	if (err == ERR_OK)
		err = store_salvage_expect(s, 0, e);
	return err == ERR_OK ? store_commit(s, e) : err;
}

enum err store_sources_uncounted(struct store *s, uint64_t from_id, struct error *e)
{
	return store_note_put(s, SALVAGE_UNCOUNTED, &(struct note){.after = from_id, .done = true}, e);
}

/* Neither a ledger nor the tide mark told of it: an id that did not come back, and had no end, was a message. */
static enum err count_uncounted(struct store *s, struct error *e)
{
	struct note note;
	uint64_t gone = 0;
	enum err err = store_note_get(s, SALVAGE_UNCOUNTED, &note, e);

	if (err != ERR_OK || !note.done)
		return err;
	err = store_left_absent(s, note.after, &gone, e);
	if (err == ERR_OK)
		err = store_begin(s, e);
	if (err == ERR_OK)
		err = store_note_put(s, SALVAGE_UNCOUNTED, &(struct note){.done = false}, e);
	if (err != ERR_OK)
		return err;
	s->now.ledger.accepted += gone;
	s->now.ledger.damaged += gone;
	store_lose(s, LOSS_ROWS, gone, 0, 0);
	return store_commit(s, e);
}

enum err store_source_next(struct store *s, struct error *e)
{
	struct aside_list list;
	bool found = false;
	enum err err = asides_find(&s->files, &list, e);

	s->tolerates = false; /* one file is given up, and no other with it */
	s->aside_files = list.count;
	s->aside_unread = 0;
	for (size_t i = 0; i < list.count && err == ERR_OK && !found; i++)
		if (!list.items[i].is_read && !is_put_off(s, list.items[i].suffix))
			err = try_source(s, list.items[i].suffix, &found, e);
	for (size_t i = 0; i < list.count; i++) /* of one that had been read the mark was made again */
		s->aside_unread +=
		    !list.items[i].is_read && (found || err != ERR_OK || is_put_off(s, list.items[i].suffix));
	asides_fini(&list);
	if (err == ERR_OK && !found && s->put_off_count == 0)
		err = count_uncounted(s, e);
	if (err == ERR_OK && !found && s->put_off_count == 0)
		err = expect_nothing(s, e);
	if (err == ERR_OK && !found && s->put_off_count == 0 && s->lead_untold != 0)
		err = store_leads_look(s, e);
	s->salvage_is_done = err == ERR_OK && !found;
	s->mend_is_due |= s->salvage_is_done && store_rows_are_untold(s);
	if (s->salvage_is_done && !s->in_group) /* the clock's last row is known now */
		store_tide_write(s);
	return err;
}
