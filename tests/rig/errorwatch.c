#include "rig/errorwatch.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "rig/callers.h"

enum { EVENTS_MAX = 64, LOG_BYTES = 1 << 14 };

enum passed { A_FAULT = 1, AN_ERROR = 2 };

/* Who may pass over what fails below it, and why: a fault without making an error of it, or an error that was made. */
static const struct {
	const char *functions; /* one, or some that call each other, from inside out */
	int passed;
	enum err code;    /* of the error; ERR_OK: any */
	const char *word; /* of what failed, or that is to be said of an error; null: any */
	const char *reason;
} tolerated[] = {
    {"files_open_read", A_FAULT, ERR_OK, NULL,
     "what cannot be looked at cannot be opened either, or what it is does not matter"},
    {"files_remove", A_FAULT, ERR_OK, NULL, "what is left over is removed by the next start"},
    {"files_drop_cache", A_FAULT, ERR_OK, NULL, "a hint to the system"},
    {"files_marker_put", A_FAULT, ERR_OK, NULL, "a hint to the next start"},
    {"files_lock_name", A_FAULT, ERR_OK, NULL, "one of the witnesses of a spool's name"},
    {"left_names", A_FAULT | AN_ERROR, ERR_OK, NULL,
     "one of the witnesses of a spool's name: read again, and once more when it is opened"},
    {"files_flight_names", A_FAULT | AN_ERROR, ERR_OK, NULL,
     "one of the witnesses of a spool's name: read again, and once more when it is opened"},
    {"files_reserve_make", A_FAULT, ERR_OK, NULL, "there is none then, which status tells"},
    {"files_reserve_give_up", A_FAULT, ERR_OK, NULL, "the disk stays as full as it is, which is told"},
    {"files_wal_hold", A_FAULT, ERR_OK, NULL, "the log is not held then"},
    {"store_free_inside", A_FAULT | AN_ERROR, ERR_OK, NULL,
     "what cannot be counted is no room: whoever asks waits, and asks again"},
    {"files_held", A_FAULT, ERR_OK, NULL, "of unknown size is nothing: the less is counted upon"},
    {"files_is_at_path", A_FAULT, ERR_OK, NULL, "another error than of a name says nothing of it"},
    {"files_bytes", A_FAULT, ERR_OK, NULL, "of unknown size is small: it is looked at the more"},
    {"asides_is_taken", A_FAULT, ERR_OK, NULL, "what cannot be looked at counts as taken"},
    {"asides_parts", A_FAULT, ERR_OK, NULL, "what cannot be looked at has not grown: the next start looks again"},
    {"asides_sweep_copies", A_FAULT, ERR_OK, NULL, "swept by the next start"},
    {"store_tide_write", A_FAULT, ERR_OK, NULL, "its trouble is told, and it is written with the next commit"},
    {"files_tide_open", A_FAULT, ERR_OK, NULL, "its trouble is told"},
    {"files_tide_stands", A_FAULT, ERR_OK, NULL, "what is not read says nothing; where it is gone it is opened anew"},
    {"left_open", A_FAULT, ERR_OK, NULL, "PATH.left only counts: its trouble is told"},
    {"left_look", A_FAULT | AN_ERROR, ERR_OK, NULL,
     "PATH.left only counts: its trouble is told, and it is tried again"},
    {"left_read_slot", A_FAULT, ERR_OK, NULL, "it is read again; what cannot be read time and again is told"},
    {"left_keep", A_FAULT, ERR_OK, NULL, "PATH.left only counts: its trouble is told, and it is tried again"},
    {"left_sync", A_FAULT, ERR_OK, NULL, "PATH.left only counts, and is written without syncs"},
    {"left_be_whole_from", A_FAULT, ERR_OK, NULL, "PATH.left only counts: it is known to be whole by a later start"},
    {"left_confirm", A_FAULT, ERR_OK, NULL, "PATH.left only counts: it is tried again"},
    {"store_watch_note", A_FAULT, ERR_OK, NULL, "the next look notes it"},
    {"layer_open", A_FAULT, ERR_OK, NULL, "SQLite's own looks at owner and links of what it opened"},
    {"reader_open", A_FAULT, ERR_OK, "stat ", "SQLite's own looks at owner and links of what it opened"},
    {"reader_close", A_FAULT, ERR_OK, "stat ", "SQLite's own looks at owner and links of what it closes"},
    {"layer_close", A_FAULT, ERR_OK, NULL, "SQLite's own looks at owner and links of what it closes"},
    {"is_dead", AN_ERROR, ERR_OK, NULL, "a companion is read again; what is dead time and again is told"},
    {"left_open", AN_ERROR, ERR_OK, NULL, "PATH.left only counts: its trouble is told"},
    {"asides_is_read", AN_ERROR, ERR_OK, NULL, "that there is one says enough"},
    {"store_admission < journal_publish_now", AN_ERROR, ERR_FULL, NULL,
     "what is published says that nothing is accepted"},
    {"store_rollback", A_FAULT, ERR_OK, "ROLLBACK", "it is said in another way then; why a group ends is told"},
    {"files_publish", A_FAULT, ERR_OK, NULL, "the folder above ours is not ours to answer for"},
    {"files_marker_exists", A_FAULT, ERR_OK, NULL, "in doubt there is one"},
    {"open_database", AN_ERROR, ERR_DAMAGED, "was damaged and moved to", "the spool is set aside, and another begins"},
    {"open_database", AN_ERROR, ERR_FULL, NULL, "tried again without the reserve"},
    {"store_ledger_load", AN_ERROR, ERR_FULL, NULL, "tried again without the reserve, and without mending"},
    {"store_set_aside", AN_ERROR, ERR_FULL, NULL, "tried again without the reserve"},
    {"files_rename", AN_ERROR, ERR_FULL, NULL, "tried again without the reserve"},
    {"wal_mend_file", AN_ERROR, ERR_FULL, NULL, "tried again without the reserve, and without a copy"},
    {"store_checkpoint", AN_ERROR, ERR_FULL, NULL, "the log keeps what the database has no room for"},
    {"store_settle_full", AN_ERROR, ERR_FULL, NULL, "tried again without the reserve"},
    {"store_dead_purge", AN_ERROR, ERR_FULL, NULL, "tried again a few at a time"},
    {"store_close", AN_ERROR, ERR_FULL, NULL, "the log keeps what the database has no room for"},
    {"store_salvage_for", AN_ERROR, ERR_FULL, NULL, "it goes on when there is room"},
    {"store_rows_tell_now", AN_ERROR, ERR_FULL, NULL, "told when there is room"},
    {"store_salvage_ledger", AN_ERROR, ERR_DISK, NULL, "told when it is to be read back"},
    {"store_salvage", AN_ERROR, ERR_DISK, "cannot be read", "a part is left out, and tried at the next start"},
    {"trouble_of", AN_ERROR, ERR_DISK, "from byte", "told with its place; a long path is cut"},
    {"read_facts", AN_ERROR, ERR_DISK, NULL, "a part that cannot be read is met again when it is read back"},
    {"pages_open", AN_ERROR, ERR_DISK, NULL, "a part that cannot be read is met again when it is read back"},
    {"watch_inside", A_FAULT, ERR_OK, "stat ", "then all of it is looked at"},
    {"watch_inside", A_FAULT, ERR_OK, "-wal", "the next look tells of a hole"},
    {"note_one", A_FAULT, ERR_OK, "stat ", "the next look notes it"},
    {"store_export", A_FAULT, ERR_OK, "stat ", "no file is replaced, and room that is not known is tried"},
    {"store_export", A_FAULT, ERR_OK, "-part-journal", "a copy half made is thrown away"},
    {"open_source", AN_ERROR, ERR_DISK, NULL,
     "what may come back with a mark unread is counted as possible duplicates"},
    {"may_hold_records", AN_ERROR, ERR_DISK, NULL, "a page that holds no rows need not be read"},
    {"files_read_at < pages_records", AN_ERROR, ERR_DISK, NULL, "a page that holds no rows need not be read"},
    {"store_state", A_FAULT, ERR_OK, NULL, "a number of the status, which the next look has"},
    {"store_put_possible", AN_ERROR, ERR_FULL, NULL,
     "a full disk refuses no start; what is not accepted then is told, and PATH.flight has the count"},
    {"store_source_give_up", AN_ERROR, ERR_DISK, NULL, "a person said so"},
};

struct event {
	bool is_error; /* else a fault */
	enum err code;
	int line;
	const char *file;
	char text[ERROR_TEXT_MAX];
	struct callers callers;
};

static struct {
	pthread_mutex_t lock;
	struct event events[EVENTS_MAX]; /* from the first fault on */
	int count;
	size_t log_used;
	char log[LOG_BYTES];
} now = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void lock(void) { (void)pthread_mutex_lock(&now.lock); }

static void unlock(void) { (void)pthread_mutex_unlock(&now.lock); }

void errorwatch_begin(void)
{
	struct callers first;

	callers_note(&first); /* the first one opens files */
	lock();
	now.count = 0;
	now.log_used = 0;
	now.log[0] = '\0';
	unlock();
}

static struct event *add(bool is_error)
{
	struct event *event = &now.events[now.count < EVENTS_MAX ? now.count++ : EVENTS_MAX - 1];

	event->is_error = is_error;
	event->code = ERR_OK;
	event->line = 0;
	event->file = NULL;
	event->text[0] = '\0';
	callers_note(&event->callers);
	return event;
}

void errorwatch_fault(const char *what)
{
	const int saved = errno;
	struct event *event;

	lock();
	event = add(false);
	(void)snprintf(event->text, sizeof event->text, "%s", what);
	unlock();
	errno = saved;
}

static void note_error(enum err code, const char *file, int line, const char *text)
{
	lock();
	if (now.count > 0) {
		struct event *event = add(true);

		event->code = code;
		event->file = file;
		event->line = line;
		(void)snprintf(event->text, sizeof event->text, "%s", text);
	}
	unlock();
}

enum err __real_error_set_at(struct error *e, enum err code, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
enum err __real_error_set_errno_at(struct error *e, enum err code, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
enum err __wrap_error_set_at(struct error *e, enum err code, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
enum err __wrap_error_set_errno_at(struct error *e, enum err code, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void __real_log_write(enum log_level level, const char *message, uint32_t suppressed, const struct log_field *fields);
void __wrap_log_write(enum log_level level, const char *message, uint32_t suppressed, const struct log_field *fields);

#define FORMAT_TEXT(text)                               \
	va_list ap;                                     \
                                                        \
	va_start(ap, format);                           \
	(void)vsnprintf(text, sizeof text, format, ap); \
	va_end(ap);                                     \
	note_error(code, file, line, text)

enum err __wrap_error_set_at(struct error *e, enum err code, const char *file, int line, const char *format, ...)
{
	char text[ERROR_TEXT_MAX];

	FORMAT_TEXT(text);
	return __real_error_set_at(e, code, file, line, "%s", text);
}

enum err __wrap_error_set_errno_at(struct error *e, enum err code, const char *file, int line, const char *format, ...)
{
	const int saved = errno;
	char text[ERROR_TEXT_MAX];

	FORMAT_TEXT(text);
	errno = saved;
	return __real_error_set_errno_at(e, code, file, line, "%s", text);
}

void __wrap_log_write(enum log_level level, const char *message, uint32_t suppressed, const struct log_field *fields)
{
	lock();
	for (const struct log_field *f = fields; level <= LOG_WARN && f->kind != LOG_END; f++)
		if (f->kind == LOG_TEXT && f->text && now.log_used + strlen(f->text) + 2 < LOG_BYTES)
			now.log_used += (size_t)sprintf(now.log + now.log_used, "%s\n", f->text);
	unlock();
	__real_log_write(level, message, suppressed, fields);
}

void errorwatch_hear(const char *text)
{
	lock();
	if (now.log_used + strlen(text) + 2 < LOG_BYTES)
		now.log_used += (size_t)sprintf(now.log + now.log_used, "%s\n", text);
	unlock();
}

static bool is_heard(const char *word, const char *said)
{
	return strstr(now.log, word) || (said && strstr(said, word));
}

/* Who called, from inside out: " < a < b < ", without what a compiler adds to a name. */
static const char *chain_of(const struct event *event)
{
	static char chain[4000];
	size_t used = (size_t)snprintf(chain, sizeof chain, " < ");

	for (int i = 0; i < event->callers.count; i++) {
		const char *name = callers_name(&event->callers, i);
		const int length = name ? (int)strcspn(name, ".") : 0;

		if (length > 0 && used + (size_t)length + 4 < sizeof chain)
			used += (size_t)sprintf(chain + used, "%.*s < ", length, name);
	}
	return chain;
}

static bool is_tolerated(const struct event *event, const char *said)
{
	const int passed = event->is_error ? AN_ERROR : A_FAULT;
	const char *chain = chain_of(event);

	for (size_t i = 0; i < sizeof tolerated / sizeof *tolerated; i++) {
		char link[200];

		(void)snprintf(link, sizeof link, " < %s < ", tolerated[i].functions);
		if (tolerated[i].passed & passed && (tolerated[i].code == ERR_OK || event->code == tolerated[i].code) &&
		    (!tolerated[i].word || (event->is_error ? is_heard(tolerated[i].word, said)
		                                            : strstr(event->text, tolerated[i].word) != NULL)) &&
		    strstr(chain, link))
			return true;
	}
	return false;
}

static const char *show(const struct event *event)
{
	static char text[5000];

	if (event->is_error)
		(void)snprintf(text, sizeof text, "%s:%d: %s\n   by%s", event->file, event->line, event->text,
		               chain_of(event));
	else
		(void)snprintf(text, sizeof text, "no error was made of %s\n   by%s", event->text, chain_of(event));
	return text;
}

static bool is_said(const struct event *event, const char *said)
{
	return event->is_error && event->text[0] && is_heard(event->text, said);
}

const char *errorwatch_silent(enum err err, const struct error *e, const char *said)
{
	const struct event *silent = NULL;

	lock();
	for (int i = 0; i < now.count; i++) {
		const struct event *event = &now.events[i];

		if (event->is_error && err != ERR_OK && (event->code == err || strstr(e->text, event->text))) {
			silent = NULL;
			break;
		}
		/* A fault of which an error was made is told where that one is. */
		if (!event->is_error && i + 1 < now.count && now.events[i + 1].is_error)
			continue;
		if (!silent && !is_said(event, said) && !is_tolerated(event, said))
			silent = event;
	}
	unlock();
	return silent ? show(silent) : NULL;
}
