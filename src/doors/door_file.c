/*
 * door_file: files, in turns, each from its stored position to its end.
 *
 * The position of a file is committed with the messages before it (position.h), so a crash neither loses nor repeats
 * a line. A file that is not the one that was read (truncated, rewritten) is read from its start, and the log says why.
 * Names come from door_paths.h; a plain one that is not there is waited for while another input is endless, else it
 * makes the run fail. Files grow: a last message without its end waits until its file was quiet for last_line_after,
 * and is sent then, marked. While its file goes on changing, it is left for the next start. A file that is not read to
 * its end when its turn is over is put down while another one can be read (door_file_turns.c): none holds up those
 * behind it.
 *
 *   state      a turn does                                     may become
 *   BETWEEN    takes up a file; none left: tells the end       UNASKED, READING, ENDED, BETWEEN (it cannot be opened)
 *   UNASKED    asks the journal for the position               ASKED
 *   ASKED      nothing: the answer does                        UNASKED (the older key), READING, BETWEEN (not readable)
 *   READING    reads a slice                                   GROWING, READ, RESTING
 *   GROWING    looks whether more came                         READING, READ, RESTING
 *   RESTING    waits until what was read is durable            BETWEEN
 *   READ       waits until all of it is durable                BETWEEN
 *   ENDED      nothing
 *   STOPPED    nothing; every state may become it
 *
 * Invariants:
 * 1. The state moves only by set_state, along this table.
 * 2. `at` is set from UNASKED to READ, and not before; its feeder is begun in READING, GROWING, RESTING and READ, and
 *    those of all others that rest, which hold no bytes.
 * 3. `asked` is set while the journal has our question, which may outlive ASKED when the door stops.
 * 4. A file is left only when its last offer was answered yes, so its stored position is its end (promise 1).
 * 5. has_failed, once set, stays: a finite run must not end with 0 then.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/dates.h"
#include "base/log.h"
#include "base/mem.h"
#include "journal/journal_questions.h"
#include "doors/door_file_internal.h"
#include "doors/until.h"

enum { READ_MAX_BYTES = 524288, FIRST_BYTES = 1048576, HEAD_BYTES = 65536, ASK_AGAIN_MS = 50, LEAD_MS = 2 };

/* Legal moves: a bit for each state that may follow. */
static const unsigned moves[] = {
    [FILE_BETWEEN] =
        1u << FILE_BETWEEN | 1u << FILE_UNASKED | 1u << FILE_READING | 1u << FILE_ENDED | 1u << FILE_STOPPED,
    [FILE_UNASKED] = 1u << FILE_ASKED | 1u << FILE_STOPPED,
    [FILE_ASKED] = 1u << FILE_UNASKED | 1u << FILE_READING | 1u << FILE_BETWEEN | 1u << FILE_STOPPED,
    [FILE_READING] = 1u << FILE_GROWING | 1u << FILE_READ | 1u << FILE_RESTING | 1u << FILE_STOPPED,
    [FILE_GROWING] = 1u << FILE_READING | 1u << FILE_READ | 1u << FILE_RESTING | 1u << FILE_STOPPED,
    [FILE_RESTING] = 1u << FILE_BETWEEN | 1u << FILE_STOPPED,
    [FILE_READ] = 1u << FILE_BETWEEN | 1u << FILE_STOPPED,
    [FILE_ENDED] = 1u << FILE_STOPPED,
    [FILE_STOPPED] = 0,
};

static void set_state(struct door_file *f, enum file_state state)
{
	must(moves[f->state] & 1u << state);
	f->state = state;
}

static const char *name_of(const struct door_file *f) { return f->paths.items[f->at->path].name; }

/* The journal is asked for the stored position; the door may be gone when the answer comes. */
struct question {
	struct door_file *door;
};

static void take_turn(struct door_file *f, long delay_ms)
{
	const struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};

	(void)evtimer_add(f->turn, &delay);
}

static char *print_position(void *arg, uint64_t offset, uint64_t rows)
{
	struct reader *r = arg;

	r->position.rows = scanner_shapes(&r->feeder.scanner) ? rows : 0;
	position_move(&r->position, r->fd, offset);
	return position_print(&r->position);
}

static void on_answer(void *arg)
{
	struct door_file *f = ((struct reader *)arg)->door;

	if (f->state != FILE_STOPPED)
		take_turn(f, 0);
}

static void add_metadata(struct door_file *f, const struct stat *st)
{
	struct buf *meta = &f->at->feeder.meta;
	const char *path = name_of(f);
	char text[32];

	(void)meta_add(meta, 's', "path", 4, path, strlen(path));
	(void)snprintf(text, sizeof text, "%" PRId64, (int64_t)st->st_mtime);
	(void)meta_add(meta, 'j', "mod_time_unix", 13, text, strlen(text));
	(void)dates_format_iso((int64_t)st->st_mtime * MS_PER_S, text);
	(void)meta_add(meta, 's', "mod_time", 8, text, strlen(text));
}

static void end_file(struct door_file *f)
{
	set_state(f, FILE_READ);
	feeder_flush(&f->at->feeder);
	take_turn(f, 0);
}

/* What stands there cannot be cut into messages: its position stays before it. */
static void end_broken(struct door_file *f)
{
	LOG(LOG_ERROR, "file not read to its end", LOG_S("path", name_of(f)), LOG_U("offset", f->at->feeder.offset),
	    LOG_S("reason", f->at->feeder.broken));
	f->door.has_failed = true;
	end_file(f);
}

/* Who begins in the middle of a file may have to know what its first row is. */
static bool take_head(struct reader *r)
{
	AUTOFREE char *head = NULL;
	ssize_t n;

	if (!scanner_shapes(&r->feeder.scanner))
		return true;
	head = mem_alloc(HEAD_BYTES);
	n = pread(r->fd, head, HEAD_BYTES, 0);
	return n > 0 && feeder_take_head(&r->feeder, head, (size_t)n);
}

static void begin_feeding(struct door_file *f, uint64_t offset)
{
	const struct feeder_options options = {
	    .intake = f->door.intake,
	    .scanner = &f->door.input->scanner,
	    .processors = f->door.processors,
	    .until = until_of(f->door.intake, f->door.input),
	    .origin = name_of(f),
	    .first_bytes = FIRST_BYTES,
	    .alone = true,
	    .is_text = true,
	    .position = print_position,
	    .position_key = f->at->key,
	    .rows = offset > 0 ? f->at->position.rows : 0,
	    .again_until = f->at->position.again_until,
	    .on_answer = on_answer,
	    .arg = f->at,
	};
	struct stat st = {0};

	(void)fstat(f->at->fd, &st);
	feeder_init(&f->at->feeder, &options, offset);
	add_metadata(f, &st);
	set_state(f, FILE_READING);
	if (offset > 0 && !take_head(f->at)) {
		LOG(LOG_ERROR, "file not read", LOG_S("path", name_of(f)),
		    LOG_S("reason", "its header row is not within its first 64 KiB"));
		f->door.has_failed = true;
		end_file(f);
		return;
	}
	take_turn(f, 0);
}

/* Ends the current file, read or not, and goes on to the next. */
static void leave_file(struct door_file *f)
{
	f->paths.items[f->at->path].is_done = true;
	door_file_reader_free(take(f->at));
	set_state(f, FILE_BETWEEN);
	take_turn(f, 0);
}

static void give_up_file(struct door_file *f, const char *reason)
{
	LOG(LOG_ERROR, "file not read", LOG_S("path", name_of(f)), LOG_S("reason", reason));
	f->door.has_failed = true;
	leave_file(f);
}

/* A plain name beside an endless input: it may come yet. */
static void wait_for_file(struct door_file *f, const char *reason)
{
	struct path_entry *path = &f->paths.items[f->at->path];

	if (!path->is_absent)
		LOG(LOG_WARN, "file cannot be opened", LOG_S("path", path->name), LOG_S("reason", reason),
		    LOG_S("outcome", "it is tried again; the others go on"));
	path->is_absent = true;
	free(f->trouble);
	f->trouble = mem_format("%s: %s", path->name, reason);
	door_file_reader_free(take(f->at));
	set_state(f, FILE_BETWEEN);
	take_turn(f, 0);
}

/* Where to begin; what is stored may not be about this file, or not about all of it. */
static uint64_t place_to_begin(struct door_file *f, const char *text)
{
	struct position stored = {0};
	const char *reason = NULL;
	struct stat st = {0};

	if (fstat(f->at->fd, &st) != 0 || (!text && !f->at->position_is_lost))
		return 0;
	if (!text || !position_parse(text, &stored)) {
		f->at->position.again_until = (uint64_t)st.st_size;
		reason = "its stored position is damaged: what stands in it now may be sent twice";
	} else if (position_matches(&stored, f->at->fd, &reason) && f->door.input->scanner.kind == SCANNER_TO_THE_END &&
	           stored.offset > 0 && (uint64_t)st.st_size > stored.offset) {
		reason = "it grew since it was sent, and is one message";
	}
	if (reason) {
		LOG(LOG_WARN, "file is read from its start", LOG_S("path", name_of(f)), LOG_S("reason", reason));
		return 0;
	}
	f->at->position.again_until = stored.again_until;
	f->at->position.rows = stored.rows;
	if (f->at->position_is_lost && (uint64_t)st.st_size > stored.offset) {
		f->at->position.again_until = (uint64_t)st.st_size;
		LOG(LOG_WARN, "file may have been read further", LOG_S("path", name_of(f)),
		    LOG_U("offset", stored.offset),
		    LOG_S("reason", "its stored position is of an earlier time: what stands behind it now may be sent"
		                    " twice"));
	}
	return stored.offset;
}

static bool is_foreign(const struct door_file *f)
{
	unsigned char mark[SCANNER_MARK_BYTES];
	ssize_t n = pread(f->at->fd, mark, sizeof mark, 0);

	return n > 0 && scanner_is_foreign(&f->door.input->scanner, mark, (size_t)n);
}

static void on_position(struct door_file *f, const char *text, const struct error *error)
{
	uint64_t offset;

	if (error->code != ERR_OK) {
		give_up_file(f, error->text);
		return;
	}
	if (!text && f->at->older_key) {
		free(f->at->key);
		f->at->key = take(f->at->older_key);
		set_state(f, FILE_UNASKED);
		take_turn(f, 0);
		return;
	}
	if (is_foreign(f)) {
		give_up_file(f, SCANNER_FOREIGN);
		return;
	}
	offset = place_to_begin(f, text);
	if (lseek(f->at->fd, (off_t)offset, SEEK_SET) < 0) {
		give_up_file(f, strerror(errno));
		return;
	}
	free(f->at->key);
	f->at->key = position_key(f->at->fd);
	if (!f->at->key) {
		give_up_file(f, strerror(errno));
		return;
	}
	LOG(LOG_INFO, "file opened", LOG_S("path", name_of(f)), LOG_U("offset", offset));
	begin_feeding(f, offset);
}

static void on_answered_position(void *arg, const struct journal_answer *answer)
{
	struct question *question = arg;
	struct door_file *f = question->door;

	free(question);
	if (!f)
		return;
	f->asked = NULL;
	f->at->position_is_lost |= answer->position_damaged;
	if (f->state == FILE_ASKED)
		on_position(f, answer->position, &answer->error);
}

static void ask(struct door_file *f)
{
	struct question *question = mem_zero(sizeof *question);

	question->door = f;
	if (journal_ask_position(f->door.intake->journal, f->at->key, on_answered_position, question)) {
		f->asked = question;
		set_state(f, FILE_ASKED);
		return;
	}
	free(question);
	take_turn(f, ASK_AGAIN_MS);
}

static void open_file(struct door_file *f, size_t path)
{
	const struct path_entry *entry = &f->paths.items[path];
	struct error error = {.code = ERR_OK};
	struct reader *r = f->at = door_file_reader_new(f, path);

	r->fd = paths_open(entry->name, &error);
	if (r->fd < 0 && entry->is_plain && f->door.intake->waits) {
		wait_for_file(f, error.text);
		return;
	}
	if (r->fd >= 0)
		r->key = position_key(r->fd);
	if (r->fd < 0 || !r->key || position_of(r->fd, &r->position, &error) != ERR_OK) {
		give_up_file(f, error.text);
		return;
	}
	f->paths.items[path].is_absent = false;
	if (door_file_is_read_by_another(f)) { /* by another name: its turn is when that one is read */
		door_file_reader_free(take(f->at));
		set_state(f, FILE_BETWEEN);
		take_turn(f, 0);
		return;
	}
	f->paths.items[path].is_begun = true;
	r->older_key = mem_format("file:%s", entry->name);
	(void)posix_fadvise(r->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	set_state(f, FILE_UNASKED);
	ask(f);
}

static void tell_end(struct door_file *f)
{
	set_state(f, FILE_ENDED);
	LOG(LOG_INFO, "input ended", LOG_S("input", "file"), LOG_U("files", f->paths.count));
	f->door.on_ended(f->door.arg);
}

static void next_file(struct door_file *f)
{
	const struct file_turn turn = door_file_next(f);

	switch (turn.kind) {
	case TURN_NEW:
		open_file(f, turn.path);
		break;
	case TURN_OLD:
		set_state(f, FILE_READING);
		take_turn(f, 0);
		break;
	case TURN_LATER:
		take_turn(f, turn.delay_ms);
		break;
	case TURN_NONE:
		tell_end(f);
		break;
	}
}

/* The current file is not read before delay_ms passed, and others are. */
static void rest(struct door_file *f, long delay_ms)
{
	f->at->due_ns = clock_mono_ns() + delay_ms * NS_PER_MS;
	set_state(f, FILE_RESTING);
	feeder_flush(&f->at->feeder);
	take_turn(f, 0);
}

/* The last message has no end. Its rest may come; nobody waits for it for ever, and nobody cuts it while it is written.
 */
static void watch_growth(struct door_file *f)
{
	struct growing *g = &f->at->growing;
	int64_t after_ns = f->last_line_after_ns;
	int64_t now_ns = clock_mono_ns();
	struct stat st = {0};
	off_t at = lseek(f->at->fd, 0, SEEK_CUR);

	(void)fstat(f->at->fd, &st);
	if (st.st_size > at) {
		set_state(f, FILE_READING);
		take_turn(f, 0);
		return;
	}
	if (g->since_ns == 0)
		g->since_ns = now_ns;
	if (g->still_ns == 0 || st.st_mtim.tv_sec != g->seen.st_mtim.tv_sec ||
	    st.st_mtim.tv_nsec != g->seen.st_mtim.tv_nsec)
		g->still_ns = now_ns;
	g->seen = st;
	if (st.st_size < at || now_ns - g->still_ns >= after_ns ||
	    clock_wall_ms() - (int64_t)st.st_mtime * MS_PER_S >= after_ns / NS_PER_MS) {
		if (f->door.input->scanner.kind == SCANNER_LINES || f->door.input->scanner.kind == SCANNER_CSV)
			feeder_end_early(&f->at->feeder);
		else
			feeder_end(&f->at->feeder); /* a whole, or the last piece, ends where its file does */
		if (f->at->feeder.broken)
			end_broken(f);
		else
			end_file(f);
	} else if (now_ns - g->since_ns >= 2 * after_ns) {
		LOG(LOG_INFO, "last message left for the next start", LOG_S("path", name_of(f)),
		    LOG_S("reason", "its file goes on changing and its end has not come"));
		end_file(f);
	} else if (door_file_others_wait(f)) {
		rest(f, GROW_MS);
	} else {
		take_turn(f, GROW_MS);
	}
}

static void read_slice(struct door_file *f)
{
	char *room;
	size_t free_bytes = feeder_room(&f->at->feeder, &room);
	ssize_t n;

	if (f->at->feeder.broken) {
		end_broken(f);
		return;
	}
	if (free_bytes == 0)
		return; /* resume or an answer gives the next turn */
	if (door_file_turn_is_over(f)) {
		rest(f, 0);
		return;
	}
	/* The file keeps its own data: while messages leave, it is not read far ahead of them. */
	if (journal_is_far_ahead(f->door.intake->journal, f->door.intake->config->kspool.memory_bytes / 4)) {
		take_turn(f, LEAD_MS);
		return;
	}
	n = read(f->at->fd, room, free_bytes < READ_MAX_BYTES ? free_bytes : READ_MAX_BYTES);
	if (n > 0) {
		f->at->turn_bytes += (uint64_t)n;
		feeder_filled(&f->at->feeder, (size_t)n);
		take_turn(f, 0);
		return;
	}
	if (n < 0) {
		LOG(LOG_ERROR, "file not read to its end", LOG_S("path", name_of(f)), LOG_S("reason", strerror(errno)));
		f->door.has_failed = true;
		end_file(f);
	} else if (feeder_is_partial(&f->at->feeder)) {
		set_state(f, FILE_GROWING);
		watch_growth(f);
	} else {
		end_file(f);
	}
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct door_file *f = arg;

	(void)fd;
	(void)what;
	switch (f->state) {
	case FILE_BETWEEN:
		next_file(f);
		break;
	case FILE_RESTING:
		if (!door_file_put_down(f))
			break;
		set_state(f, FILE_BETWEEN);
		take_turn(f, 0);
		break;
	case FILE_UNASKED:
		ask(f);
		break;
	case FILE_READING:
		read_slice(f);
		break;
	case FILE_GROWING:
		watch_growth(f);
		break;
	case FILE_READ:
		if (!feeder_is_idle(&f->at->feeder))
			break;
		LOG(LOG_INFO, "file ended", LOG_S("path", name_of(f)), LOG_U("offset", f->at->feeder.offset));
		leave_file(f);
		break;
	case FILE_ASKED:
	case FILE_ENDED:
	case FILE_STOPPED:
		break;
	}
}

static void resume(struct door *d)
{
	struct door_file *f = (struct door_file *)d;

	if (f->state != FILE_STOPPED && f->state != FILE_ENDED && !evtimer_pending(f->turn, NULL))
		take_turn(f, 0);
}

static void stop(struct door *d)
{
	struct door_file *f = (struct door_file *)d;

	set_state(f, FILE_STOPPED);
	(void)event_del(f->turn);
	if (f->at) { /* the others rest: nothing of theirs is under way */
		feeder_flush(&f->at->feeder);
		feeder_stop(&f->at->feeder);
	}
}

static bool is_idle(const struct door *d)
{
	const struct door_file *f = (const struct door_file *)d;

	return !f->asked && (!f->at || feeder_is_idle(&f->at->feeder));
}

static bool has_ended(const struct door *d) { return ((const struct door_file *)d)->state == FILE_ENDED; }

static void free_door(struct door *d)
{
	struct door_file *f = (struct door_file *)d;

	if (f->asked)
		f->asked->door = NULL;
	door_file_readers_free(f);
	paths_fini(&f->paths);
	free(f->trouble);
	event_free(f->turn);
	free(f);
}

static const char *trouble(const struct door *d)
{
	const struct door_file *f = (const struct door_file *)d;

	for (size_t i = 0; i < f->paths.count; i++)
		if (f->paths.items[i].is_absent)
			return f->trouble;
	return NULL;
}

static enum err open_door(struct intake *i, const struct config_input *input, struct pipeline *processors,
                          struct door **ret, struct error *e)
{
	struct door_file *f = mem_zero(sizeof *f);
	enum err err;

	f->door = (struct door){.kind = &door_file_kind, .intake = i, .input = input, .processors = processors};
	STAILQ_INIT(&f->resting);
	f->last_line_after_ns =
	    input->kind == INPUT_CSV ? input->csv.last_line_after_ns : input->file.last_line_after_ns;
	f->turn = evtimer_new(i->base, on_turn, f);
	must(f->turn);
	err = paths_expand(&f->paths, input->kind == INPUT_CSV ? &input->csv.paths : &input->file.paths, e);
	if (err != ERR_OK) {
		free_door(&f->door);
		return err;
	}
	take_turn(f, 0);
	*ret = &f->door;
	return ERR_OK;
}

const struct door_kind door_file_kind = {
    .name = "file",
    .open = open_door,
    .trouble = trouble,
    .resume = resume,
    .stop = stop,
    .is_idle = is_idle,
    .has_ended = has_ended,
    .free = free_door,
};
