/*
 * door_stdin: standard input. It has no position: what was read and not committed when the process dies is lost to
 * kspool, as its writer got no yes. Its descriptor is shared with other processes, so it is never made non-blocking:
 * pipes, sockets and terminals are read when poll says so, everything else (files) in slices.
 *
 * UTF-16 that is to be cut at newlines is refused before anything of it is stored: from a file it can be had again.
 *
 * A graceful stop takes what the pipe held at that moment, for nobody could have it again, and a line that has begun is
 * a message, marked unfinished. Of a file the bytes of such a line are given back: whoever reads on begins with it.
 *
 * Invariants:
 * 1. state goes forward only; nothing is read but in OPEN and DRAINING, and `left` counts in DRAINING alone.
 * 2. The feeder has no byte of a text that is foreign by its mark: the first two are looked at before the second is
 * given to it. One without a mark shows after eight: of a pipe that brings fewer at first, these may be stored.
 * 3. on_ended is called once, in ENDED, when all that came is durable.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "doors/door.h"
#include "doors/feeder.h"
#include "doors/until.h"

enum { READ_MAX_BYTES = 524288, FIRST_BYTES = 65536 };

/* Goes forward only. */
enum stdin_state {
	STDIN_OPEN,
	STDIN_DRAINING, /* kspool stops: what the pipe held then is read */
	STDIN_ENDED,    /* nothing more is read; what came may still be under way */
	STDIN_TOLD,     /* all of it is durable and the end was told, or nobody waits for the end any more */
};

struct door_stdin {
	struct door door;
	struct feeder feeder;
	struct event *ready; /* bytes wait (pipes) or it is our turn again (files) */
	bool is_always_ready;
	enum stdin_state state;
	size_t left; /* in DRAINING: bytes still to read */
	unsigned char mark[SCANNER_MARK_BYTES];
	size_t mark_bytes; /* of the first ones that came */
};

static void set_state(struct door_stdin *s, enum stdin_state state)
{
	must(state > s->state);
	s->state = state;
}

static void wait_ready(struct door_stdin *s)
{
	const struct timeval now = {0};

	if (s->is_always_ready)
		(void)evtimer_add(s->ready, &now);
	else
		(void)event_add(s->ready, NULL);
}

static void tell_end(struct door_stdin *s)
{
	if (s->state != STDIN_ENDED || !feeder_is_idle(&s->feeder))
		return;
	set_state(s, STDIN_TOLD);
	s->door.on_ended(s->door.arg);
}

static void end(struct door_stdin *s)
{
	set_state(s, STDIN_ENDED);
	feeder_end(&s->feeder);
	s->door.has_failed |= s->feeder.broken != NULL; /* its last message too */
	LOG(LOG_INFO, "input ended", LOG_S("input", "stdin"), LOG_U("bytes", s->feeder.offset));
	tell_end(s);
}

/* Nothing more is read, and not because the writer was done. */
static void end_early(struct door_stdin *s)
{
	uint64_t begun = feeder_uncut_bytes(&s->feeder);

	set_state(s, STDIN_TOLD);
	if (s->is_always_ready && begun > 0 && lseek(STDIN_FILENO, -(off_t)begun, SEEK_CUR) >= 0)
		feeder_give_back(&s->feeder);
	else
		feeder_end_early(&s->feeder);
	feeder_stop(&s->feeder);
}

/* What stands there cannot be cut into messages. */
static void end_broken(struct door_stdin *s)
{
	LOG(LOG_ERROR, "input failed", LOG_S("input", "stdin"), LOG_U("offset", s->feeder.offset),
	    LOG_S("reason", s->feeder.broken));
	s->door.has_failed = true;
	end(s);
}

/* n more bytes lie in the feeder's room. */
static void take_in(struct door_stdin *s, const char *bytes, size_t n)
{
	const uint64_t before = feeder_uncut_bytes(&s->feeder);

	for (size_t i = 0; i < n && s->mark_bytes < sizeof s->mark; i++)
		s->mark[s->mark_bytes++] = (unsigned char)bytes[i];
	if (!scanner_is_foreign(&s->door.input->scanner, s->mark, s->mark_bytes)) {
		feeder_filled(&s->feeder, n);
		if (s->feeder.broken)
			end_broken(s);
		return;
	}
	LOG(LOG_ERROR, "input failed", LOG_S("input", "stdin"), LOG_S("reason", SCANNER_FOREIGN));
	s->door.has_failed = true;
	if (s->is_always_ready)
		(void)lseek(STDIN_FILENO, -(off_t)(before + n), SEEK_CUR);
	feeder_give_back(&s->feeder);
	end(s);
}

/* As much of what was there as there is room for; the next answer brings the next turn. */
static void drain(struct door_stdin *s)
{
	while (s->state == STDIN_DRAINING) {
		struct pollfd ready = {.fd = STDIN_FILENO, .events = POLLIN};
		char *room;
		size_t free_bytes = feeder_room(&s->feeder, &room);
		ssize_t n;

		if (s->left == 0 || s->feeder.ended || poll(&ready, 1, 0) <= 0) {
			end_early(s);
			return;
		}
		if (free_bytes == 0)
			return;
		n = read(STDIN_FILENO, room, free_bytes < s->left ? free_bytes : s->left);
		if (n == 0) {
			end(s);
		} else if (n > 0) {
			s->left -= (size_t)n;
			take_in(s, room, (size_t)n);
		} else if (errno != EINTR) {
			s->left = 0;
		}
	}
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct door_stdin *s = arg;
	char *room;
	size_t free_bytes;
	ssize_t n;

	(void)fd;
	(void)what;
	if (s->state != STDIN_OPEN || (free_bytes = feeder_room(&s->feeder, &room)) == 0)
		return; /* resume or an answer asks again */
	n = read(STDIN_FILENO, room, free_bytes < READ_MAX_BYTES ? free_bytes : READ_MAX_BYTES);
	if (n > 0) {
		take_in(s, room, (size_t)n);
		if (s->state != STDIN_OPEN)
			return;
		if (!s->is_always_ready || (size_t)n < free_bytes)
			feeder_flush(&s->feeder);
	} else if (n == 0) {
		end(s);
		return;
	} else if (errno != EAGAIN && errno != EINTR) {
		LOG(LOG_ERROR, "input failed", LOG_S("input", "stdin"), LOG_S("reason", strerror(errno)));
		s->door.has_failed = true;
		end(s);
		return;
	}
	wait_ready(s);
}

static void resume(struct door *d)
{
	struct door_stdin *s = (struct door_stdin *)d;

	if (s->state == STDIN_DRAINING)
		drain(s);
	if (s->state == STDIN_OPEN && !event_pending(s->ready, EV_READ | EV_TIMEOUT, NULL))
		wait_ready(s);
}

static void on_answer(void *arg)
{
	struct door_stdin *s = arg;

	tell_end(s);
	if (s->state == STDIN_OPEN)
		resume(&s->door);
}

static void stop(struct door *d)
{
	struct door_stdin *s = (struct door_stdin *)d;

	int held = 0;

	(void)event_del(s->ready);
	if (s->state == STDIN_OPEN) {
		set_state(s, STDIN_DRAINING);
		if (!s->is_always_ready && ioctl(STDIN_FILENO, FIONREAD, &held) == 0 && held > 0)
			s->left = (size_t)held;
		feeder_drain(&s->feeder);
		drain(s);
	} else {
		if (s->state != STDIN_TOLD)
			set_state(s, STDIN_TOLD);
		feeder_flush(&s->feeder);
		feeder_stop(&s->feeder);
	}
}

static bool is_idle(const struct door *d)
{
	const struct door_stdin *s = (const struct door_stdin *)d;

	return s->state != STDIN_DRAINING && feeder_is_idle(&s->feeder);
}

static bool has_ended(const struct door *d)
{
	return ((const struct door_stdin *)d)->state >= STDIN_ENDED && is_idle(d);
}

static void free_door(struct door *d)
{
	struct door_stdin *s = (struct door_stdin *)d;

	feeder_fini(&s->feeder);
	event_free(s->ready);
	free(s);
}

static enum err open_door(struct intake *i, const struct config_input *input, struct pipeline *processors,
                          struct door **ret, struct error *e)
{
	struct door_stdin *s;
	struct stat st;
	struct feeder_options options = {
	    .intake = i,
	    .scanner = &input->scanner,
	    .processors = processors,
	    .until = until_of(i, input),
	    .origin = "stdin",
	    .first_bytes = FIRST_BYTES,
	    .alone = true,
	    .is_text = true,
	    .on_answer = on_answer,
	};

	if (fstat(STDIN_FILENO, &st) != 0 || (fcntl(STDIN_FILENO, F_GETFL) & O_ACCMODE) == O_WRONLY)
		return error_set(e, ERR_NOINPUT, "standard input is closed");
	if (S_ISDIR(st.st_mode))
		return error_set(e, ERR_NOINPUT, "standard input is a directory");
	s = mem_zero(sizeof *s);
	s->door = (struct door){.kind = &door_stdin_kind, .intake = i, .input = input, .processors = processors};
	options.arg = s;
	s->is_always_ready = !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode) && !isatty(STDIN_FILENO);
	s->ready = s->is_always_ready ? evtimer_new(i->base, on_ready, s)
	                              : event_new(i->base, STDIN_FILENO, EV_READ, on_ready, s);
	must(s->ready);
	feeder_init(&s->feeder, &options, 0);
	wait_ready(s);
	*ret = &s->door;
	return ERR_OK;
}

const struct door_kind door_stdin_kind = {
    .name = "stdin",
    .open = open_door,
    .resume = resume,
    .stop = stop,
    .is_idle = is_idle,
    .has_ended = has_ended,
    .free = free_door,
};
