/* A stopped spool that is read and not changed: its tables as SQLite sees them, and what they do not show. */
#include "store/store_internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "store/files/sql_schema.h"
#include "store/files/vfs.h"
#include "store/store_identity_internal.h"
#include "store/upkeep/store_upkeep.h"

/* What a start would mend, part or read back. */
static enum err tell_the_rest(struct store *s, const struct identity *id, struct store_report *report, struct error *e)
{
	char words[IDENTITY_WORDS_MAX][IDENTITY_TEXT_BYTES];
	const size_t count = store_identity_words(id, words);
	uint64_t unread;
	enum err err = asides_count(&s->files, &s->aside_files, &unread, e);

	for (size_t i = 0; i < count; i++)
		store_warn(report, "%s", words[i]);
	if (unread > 0)
		store_warn(report, "%" PRIu64 " sets of files beside it are not read back: kspool check names them",
		           unread);
	if (wal_is_damaged(&id->scan))
		store_warn(report, "the log is damaged: %" PRIu64 " commits behind the break are not seen",
		           id->scan.commits_lost);
	return err;
}

static enum err look_at_tables(struct store *s, struct store_report *report, struct error *e)
{
	const int newest = schema_steps[schema_step_count - 1].version;
	int64_t version = 0;
	bool found;
	enum err err = sql_reader_open(s->path, NULL, &s->db, e);

	if (err == ERR_OK)
		err = sql_number(s->db, "PRAGMA user_version", &version, e);
	if (err == ERR_OK)
		err = sql_schema_check(s->db, s->path, (int)version, e);
	report->schema_is_old = version < newest;
	if (err == ERR_OK && !report->schema_is_old)
		err = side_functions(s->db, &s->tag, e);
	if (err == ERR_OK && !report->schema_is_old)
		err = store_prepare(s, e);
	if (err == ERR_OK)
		err = store_number(s, "PRAGMA page_size", &version, e);
	s->page_bytes = (uint32_t)version;
	return err == ERR_OK ? store_ledger_of(s->db, &s->durable, &found, e) : err;
}

/* The database is not there: what stands beside it may be all there is. */
static enum err tell_missing(struct store *s, struct error *e)
{
	uint64_t unread = 0;
	enum err err = asides_count(&s->files, &s->aside_files, &unread, e);

	if (err != ERR_OK)
		return err;
	if (unread > 0 || files_bytes(&s->files, "-wal") > 0)
		return error_set(e, ERR_DAMAGED, "%s is gone, and %s", s->path,
		                 unread > 0 ? "files set aside are not read back" : "its log is here");
	return error_set(e, ERR_NOINPUT, "there is no spool at %s", s->path);
}

static enum err look(struct store *s, struct store_report *report, struct error *e)
{
	struct identity id = {0};
	enum file_kind kind = FILE_MISSING;
	enum err err = files_open_reader(&s->files, s->path, e);

	report->is_read_only = s->files.is_read_only;
	if (err == ERR_OK)
		err = store_inspect(&s->files, &kind, e);
	if (err == ERR_OK && kind == FILE_MISSING)
		return tell_missing(s, e);
	if (err == ERR_OK)
		err = store_identity_look(&s->files, kind, &id, e);
	if (err == ERR_OK)
		err = tell_the_rest(s, &id, report, e);
	if (err == ERR_OK && kind == FILE_DAMAGED)
		err = error_set(e, ERR_DAMAGED, "%s: the head of the file is damaged", s->path);
	if (err == ERR_OK && id.page_is_strange)
		err = error_set(e, ERR_DAMAGED, "%s: the ledger is another spool's", s->path);
	if (err == ERR_OK && (id.file_is_strange || id.log != LOG_FITS)) /* SQLite would read them as one */
		err = error_set(e, ERR_DAMAGED, "%s", report->warning);
	s->tag = s->block->tag = sum_tag_of(id.ours);
	if (err == ERR_OK)
		err = look_at_tables(s, report, e);
	return err;
}

enum err store_look(const struct store_options *options, struct store **ret, struct store_report *ret_report,
                    struct error *e)
{
	struct store *s = mem_zero(sizeof *s);
	enum err err;

	sql_global_setup();
	vfs_forget_fault();
	(void)sql_lacked_memory();
	*ret_report = (struct store_report){0};
	s->options = *options;
	s->path = mem_string(options->path);
	s->block = block_new();
	s->is_looked_at = true;
	err = look(s, ret_report, e);
	if (err == ERR_DAMAGED && ret_report->is_read_only)
		(void)error_wrap(
		    e,
		    "%s cannot be written here: to mend it, copy it with all that stands beside it (%s*) to a"
		    " folder of a healthy disk, and use it there",
		    s->path, s->path);
	if (err == ERR_OK)
		*ret = s;
	else
		store_abandon(s);
	return err;
}
