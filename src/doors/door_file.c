/*
 * door_file: files, one after the other, each from its stored position to its end.
 *
 * The position of a file is committed with the messages before it (position.h), so a crash neither loses nor repeats
 * a line. A file that is not the one that was read (replaced, truncated, rewritten) is read from its start, and the log
 * says why. Paths are patterns (glob(7)), expanded at start, each sorted; a plain path that is not there is an error.
 *
 *   state      a turn does                                     may become
 *   BETWEEN    opens the next file; none left: tells the end   UNASKED, ENDED, BETWEEN (it cannot be opened)
 *   UNASKED    asks the journal for the position               ASKED
 *   ASKED      nothing: the answer does                        READING, BETWEEN (it cannot be read)
 *   READING    reads a slice                                   READ
 *   READ       waits until all of it is durable                BETWEEN
 *   ENDED      nothing
 *   STOPPED    nothing; every state may become it
 *
 * Invariants:
 * 1. The state moves only by set_state, along this table.
 * 2. `fd` and `key` are set in UNASKED, ASKED, READING and READ, and not before; `feeder` is begun in READING and READ.
 * 3. `asked` is set while the journal has our question, which may outlive ASKED when the door stops.
 * 4. A file is left only when its last offer was answered yes, so its stored position is its end (promise 1).
 * 5. has_failed, once set, stays: a finite run must not end with 0 then.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
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
#include "doors/door.h"
#include "doors/feeder.h"
#include "doors/position.h"

enum { READ_MAX_BYTES = 524288, FIRST_BYTES = 1048576, ASK_AGAIN_MS = 50, LEAD_MS = 2 };

enum file_state {
	FILE_BETWEEN,
	FILE_UNASKED,
	FILE_ASKED,
	FILE_READING,
	FILE_READ,
	FILE_ENDED,
	FILE_STOPPED,
};

/* Legal moves: a bit for each state that may follow. */
static const unsigned moves[] = {
    [FILE_BETWEEN] = 1u << FILE_BETWEEN | 1u << FILE_UNASKED | 1u << FILE_ENDED | 1u << FILE_STOPPED,
    [FILE_UNASKED] = 1u << FILE_ASKED | 1u << FILE_STOPPED,
    [FILE_ASKED] = 1u << FILE_READING | 1u << FILE_BETWEEN | 1u << FILE_STOPPED,
    [FILE_READING] = 1u << FILE_READ | 1u << FILE_STOPPED,
    [FILE_READ] = 1u << FILE_BETWEEN | 1u << FILE_STOPPED,
    [FILE_ENDED] = 1u << FILE_STOPPED,
    [FILE_STOPPED] = 0,
};

struct door_file {
	struct door door;
	enum file_state state;
	char **paths;
	size_t count;
	size_t current;
	int fd; /* of the current file; -1: none open yet */
	char *key;
	struct position head; /* of the current file, its offset aside */
	struct feeder feeder;
	struct event *turn; /* a timer that runs out at once: one slice, then the loop lives */
	struct question *asked;
};

static void set_state(struct door_file *f, enum file_state state)
{
	must(moves[f->state] & 1u << state);
	f->state = state;
}

/* The journal is asked for the stored position; the door may be gone when the answer comes. */
struct question {
	struct door_file *door;
};

static void take_turn(struct door_file *f, long delay_ms)
{
	const struct timeval delay = {.tv_usec = delay_ms * 1000};

	(void)evtimer_add(f->turn, &delay);
}

static char *print_position(void *arg, uint64_t offset)
{
	struct door_file *f = arg;
	struct position p = f->head;

	p.offset = offset;
	return position_print(&p);
}

static void on_answer(void *arg)
{
	struct door_file *f = arg;

	if (f->state != FILE_STOPPED)
		take_turn(f, 0);
}

static void add_metadata(struct door_file *f, const struct stat *st)
{
	struct buf *meta = &f->feeder.meta;
	const char *path = f->paths[f->current];
	char text[32];

	(void)meta_add(meta, 's', "path", 4, path, strlen(path));
	(void)snprintf(text, sizeof text, "%" PRId64, (int64_t)st->st_mtime);
	(void)meta_add(meta, 'j', "mod_time_unix", 13, text, strlen(text));
	(void)dates_format_iso((int64_t)st->st_mtime * MS_PER_S, text);
	(void)meta_add(meta, 's', "mod_time", 8, text, strlen(text));
}

static void begin_feeding(struct door_file *f, uint64_t offset)
{
	const struct feeder_options options = {
	    .intake = f->door.intake,
	    .scanner = &f->door.input->scanner,
	    .processors = f->door.processors,
	    .origin = f->paths[f->current],
	    .first_bytes = FIRST_BYTES,
	    .alone = true,
	    .position = print_position,
	    .position_key = f->key,
	    .on_answer = on_answer,
	    .arg = f,
	};
	struct stat st = {0};

	(void)fstat(f->fd, &st);
	feeder_init(&f->feeder, &options, offset);
	add_metadata(f, &st);
	set_state(f, FILE_READING);
	take_turn(f, 0);
}

/* Ends the current file, read or not, and goes on to the next. */
static void leave_file(struct door_file *f)
{
	feeder_fini(&f->feeder);
	if (f->fd >= 0)
		(void)close(f->fd);
	f->fd = -1;
	free(take(f->key));
	f->current++;
	set_state(f, FILE_BETWEEN);
	take_turn(f, 0);
}

static void give_up_file(struct door_file *f, const char *reason)
{
	LOG(LOG_ERROR, "file not read", LOG_S("path", f->paths[f->current]), LOG_S("reason", reason));
	f->door.has_failed = true;
	leave_file(f);
}

static void on_position(struct door_file *f, const char *text, const struct error *error)
{
	struct position stored;
	const char *reason = NULL;
	uint64_t offset = 0;

	if (error->code != ERR_OK) {
		give_up_file(f, error->text);
		return;
	}
	if (text && position_parse(text, &stored) && position_matches(&stored, f->fd, &reason))
		offset = stored.offset;
	else if (text)
		LOG(LOG_WARN, "file is read from its start", LOG_S("path", f->paths[f->current]),
		    LOG_S("reason", reason ? reason : "its stored position is not readable"));
	if (lseek(f->fd, (off_t)offset, SEEK_SET) < 0) {
		give_up_file(f, strerror(errno));
		return;
	}
	LOG(LOG_INFO, "file opened", LOG_S("path", f->paths[f->current]), LOG_U("offset", offset));
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
	if (f->state == FILE_ASKED)
		on_position(f, answer->position, &answer->error);
}

static void ask(struct door_file *f)
{
	struct question *question = mem_zero(sizeof *question);

	question->door = f;
	if (journal_ask_position(f->door.intake->journal, f->key, on_answered_position, question)) {
		f->asked = question;
		set_state(f, FILE_ASKED);
		return;
	}
	free(question);
	take_turn(f, ASK_AGAIN_MS);
}

static void open_file(struct door_file *f)
{
	const char *path = f->paths[f->current];
	struct error error;

	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (f->fd < 0) {
		give_up_file(f, strerror(errno));
		return;
	}
	if (position_of(f->fd, 0, &f->head, &error) != ERR_OK) {
		give_up_file(f, error.text);
		return;
	}
	(void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	f->key = mem_format("file:%s", path);
	set_state(f, FILE_UNASKED);
	ask(f);
}

static void read_slice(struct door_file *f)
{
	char *room;
	size_t free_bytes = feeder_room(&f->feeder, &room);
	ssize_t n;

	if (free_bytes == 0)
		return; /* resume or an answer gives the next turn */
	/* The file keeps its own data: while messages leave, it is not read far ahead of them. */
	if (journal_is_far_ahead(f->door.intake->journal, f->door.intake->config->kspool.memory_bytes / 4)) {
		take_turn(f, LEAD_MS);
		return;
	}
	n = read(f->fd, room, free_bytes < READ_MAX_BYTES ? free_bytes : READ_MAX_BYTES);
	if (n > 0) {
		feeder_filled(&f->feeder, (size_t)n);
		take_turn(f, 0);
		return;
	}
	if (n < 0) {
		LOG(LOG_ERROR, "file not read to its end", LOG_S("path", f->paths[f->current]),
		    LOG_S("reason", strerror(errno)));
		f->door.has_failed = true;
	}
	set_state(f, FILE_READ);
	if (n == 0)
		feeder_end(&f->feeder);
	else
		feeder_flush(&f->feeder);
	take_turn(f, 0);
}

static void tell_end(struct door_file *f)
{
	set_state(f, FILE_ENDED);
	LOG(LOG_INFO, "input ended", LOG_S("input", "file"), LOG_U("files", f->count));
	f->door.on_ended(f->door.arg);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct door_file *f = arg;

	(void)fd;
	(void)what;
	switch (f->state) {
	case FILE_BETWEEN:
		if (f->current < f->count)
			open_file(f);
		else
			tell_end(f);
		break;
	case FILE_UNASKED:
		ask(f);
		break;
	case FILE_READING:
		read_slice(f);
		break;
	case FILE_READ:
		if (!feeder_is_idle(&f->feeder))
			break;
		LOG(LOG_INFO, "file ended", LOG_S("path", f->paths[f->current]), LOG_U("offset", f->feeder.offset));
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
	feeder_flush(&f->feeder);
	feeder_stop(&f->feeder);
}

static bool is_idle(const struct door *d)
{
	const struct door_file *f = (const struct door_file *)d;

	return !f->asked && feeder_is_idle(&f->feeder);
}

static bool has_ended(const struct door *d) { return ((const struct door_file *)d)->state == FILE_ENDED; }

static void free_door(struct door *d)
{
	struct door_file *f = (struct door_file *)d;

	if (f->asked)
		f->asked->door = NULL;
	feeder_fini(&f->feeder);
	if (f->fd >= 0)
		(void)close(f->fd);
	for (size_t i = 0; i < f->count; i++)
		free(f->paths[i]);
	free(f->paths);
	free(f->key);
	event_free(f->turn);
	free(f);
}

static enum err add_path(struct door_file *f, const char *path, struct error *e)
{
	AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return error_set_errno(e, ERR_NOINPUT, "%s", path);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return error_set(e, ERR_NOINPUT, "%s is not a regular file (a pipe is read with input stdin)", path);
	f->paths = mem_grow(f->paths, f->count + 1, sizeof *f->paths);
	f->paths[f->count++] = mem_string(path);
	return ERR_OK;
}

static enum err expand(struct door_file *f, const char *pattern, struct error *e)
{
	enum err err = ERR_OK;
	glob_t found;
	int failed;

	if (strstr(pattern, "**"))
		return error_set(e, ERR_CONFIG, "%s: kspool does not expand ** (name the folders with *)", pattern);
	failed = glob(pattern, 0, NULL, &found);
	if (failed == GLOB_NOMATCH && strpbrk(pattern, "*?[")) {
		LOG(LOG_WARN, "no file matches", LOG_S("pattern", pattern));
		return ERR_OK;
	}
	if (failed == GLOB_NOMATCH)
		return add_path(f, pattern, e);
	if (failed)
		return error_set(e, ERR_NOINPUT, "%s cannot be expanded", pattern);
	for (size_t i = 0; err == ERR_OK && i < found.gl_pathc; i++)
		err = add_path(f, found.gl_pathv[i], e);
	globfree(&found);
	return err;
}

static enum err open_door(struct intake *i, const struct config_input *input, struct pipeline *processors,
                          struct door **ret, struct error *e)
{
	struct door_file *f = mem_zero(sizeof *f);
	const struct config_strings *patterns = &input->file.paths;
	enum err err = ERR_OK;

	f->door = (struct door){.kind = &door_file_kind, .intake = i, .input = input, .processors = processors};
	f->fd = -1;
	f->turn = evtimer_new(i->base, on_turn, f);
	must(f->turn);
	for (size_t n = 0; err == ERR_OK && n < patterns->count; n++)
		err = expand(f, patterns->items[n], e);
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
    .resume = resume,
    .stop = stop,
    .is_idle = is_idle,
    .has_ended = has_ended,
    .free = free_door,
};
