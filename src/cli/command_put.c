/*
 * Messages into a running daemon, over its length-framed unix socket (doors/frame.h).
 *
 * Invariants:
 * 1. Every byte read is in `held`, in `out`, or sent; a message moves from `held` to `out` whole or not at all.
 * 2. `sent` counts messages framed, by_status the answers that came; each frame is owed one answer, in order.
 * 3. The end is success only when the input ended, `held` and `out` are empty, and every message was accepted
 *    (promise 1, seen from the other side).
 * 4. `out` grows by one message beyond OUT_MAX_BYTES at most; the input is not read while it is that full.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "doors/frame.h"
#include "doors/scanner.h"
#include "cli/command.h"
#include "cli/commands.h"

enum {
	READ_BYTES = 64 << 10,
	OUT_MAX_BYTES = 1 << 20,
	MESSAGE_MAX_BYTES = 64 << 20,
	ANSWERS_MAX_BYTES = 1 << 20,
	ANSWER_WAIT_S = 10
};
enum form { FORM_LINES, FORM_WHOLE, FORM_FRAMED };

struct put {
	int form; /* enum form */
	int in;
	int socket;
	bool in_ended;
	bool has_begun;  /* its first line, or all there is, was looked at */
	struct buf held; /* read and not yet framed */
	struct buf out;  /* framed and not yet sent */
	struct buf answers;
	uint64_t sent;
	int64_t begun_ns; /* since when something was sent; 0: nothing was */
	uint64_t by_status[FRAME_STATUS_COUNT];
	char why[FRAME_STATUS_COUNT][FRAME_TEXT_MAX_BYTES + 1]; /* of the last one of each */
};

static enum err connect_to(const char *path, int *ret_fd, struct error *e)
{
	const struct timeval patience = {.tv_sec = ANSWER_WAIT_S};
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof address.sun_path)
		return error_set(e, ERR_CONFIG, "the path of the socket is too long: %s", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	*ret_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*ret_fd < 0)
		return error_set_errno(e, ERR_SYSTEM, "socket");
	(void)setsockopt(*ret_fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(*ret_fd, (const struct sockaddr *)&address, sizeof address) != 0)
		return error_set_errno(e, ERR_UNAVAILABLE, "no daemon answers at %s, nothing was stored", path);
	if (fcntl(*ret_fd, F_SETFL, O_NONBLOCK) != 0)
		return error_set_errno(e, ERR_SYSTEM, "fcntl");
	return ERR_OK;
}

static void frame_one(struct put *p, const char *data, size_t length)
{
	unsigned char header[FRAME_HEADER_BYTES];

	frame_header_encode((uint32_t)length, header);
	must(buf_add(&p->out, header, sizeof header) == ERR_OK);
	must(buf_add(&p->out, data, length) == ERR_OK);
	p->sent++;
}

/* Lines, as kspool reads them from files: without a mark before them, and without NULs before any. */
static enum err cut_lines(struct put *p, size_t *ret_used, struct error *e)
{
	size_t used = 0;

	while (used < p->held.len && p->out.len < OUT_MAX_BYTES) {
		const char *start = p->held.data + used;
		const char *end = memchr(start, '\n', p->held.len - used);
		const char *stop = end ? end : p->held.data + p->held.len;

		if (!end && !p->in_ended)
			break;
		if (!p->has_begun && scanner_mark_is_foreign(start, p->held.len, false))
			return error_set(e, ERR_INPUT, "%s, or put it as one message (--whole)", SCANNER_MARK_FOREIGN);
		if (!p->has_begun)
			start += scanner_mark_utf8(start, p->held.len);
		p->has_begun = true;
		while (start < stop && *start == '\0')
			start++;
		frame_one(p, start, (size_t)(stop - start));
		used = (size_t)(stop - p->held.data) + (end ? 1 : 0);
	}
	*ret_used = used;
	return ERR_OK;
}

/* Cuts what was read into frames, as long as the output has room. */
static enum err cut(struct put *p, struct error *e)
{
	size_t used = 0;

	if (p->form == FORM_LINES && cut_lines(p, &used, e) != ERR_OK)
		return ERR_INPUT;
	while (p->form == FORM_FRAMED && used < p->held.len && p->out.len < OUT_MAX_BYTES) {
		const unsigned char *h = (const unsigned char *)p->held.data + used;
		size_t left = p->held.len - used, length;

		if (left >= FRAME_HEADER_BYTES) {
			length = (size_t)h[0] << 24 | (size_t)h[1] << 16 | (size_t)h[2] << 8 | h[3];
			if (left - FRAME_HEADER_BYTES >= length) {
				frame_one(p, (const char *)h + FRAME_HEADER_BYTES, length);
				used += FRAME_HEADER_BYTES + length;
				continue;
			}
		}
		if (p->in_ended)
			return error_set(e, ERR_INPUT, "the input ends inside a frame");
		break;
	}
	if (p->form == FORM_WHOLE && p->in_ended && p->sent == 0) {
		frame_one(p, p->held.data ? p->held.data : "", p->held.len);
		used = p->held.len;
	}
	buf_consume(&p->held, used);
	return ERR_OK;
}

static enum err read_input(struct put *p, struct error *e)
{
	char *room;
	ssize_t n;

	if (buf_reserve(&p->held, READ_BYTES, &room) != ERR_OK)
		return error_set(e, ERR_TOOBIG, "a message is larger than %d bytes", MESSAGE_MAX_BYTES);
	n = read(p->in, room, READ_BYTES);
	if (n < 0 && errno != EINTR && errno != EAGAIN)
		return error_set_errno(e, ERR_NOINPUT, "read");
	if (n == 0)
		p->in_ended = true;
	if (n > 0)
		buf_advance(&p->held, (size_t)n);
	return ERR_OK;
}

static uint64_t answered(const struct put *p)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < FRAME_STATUS_COUNT; i++)
		sum += p->by_status[i];
	return sum;
}

static enum err read_answers(struct put *p, struct error *e)
{
	char *room;
	ssize_t n;

	must(buf_reserve(&p->answers, READ_BYTES, &room) == ERR_OK);
	n = read(p->socket, room, READ_BYTES);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return ERR_OK;
	if (n <= 0)
		return error_set(e, ERR_UNAVAILABLE, "the daemon closed the connection");
	buf_advance(&p->answers, (size_t)n);
	for (;;) {
		enum frame_status status;
		const char *text;
		size_t text_length;
		int used = frame_answer_decode(p->answers.data, p->answers.len, &status, &text, &text_length);

		if (used < 0)
			return error_set(e, ERR_FORMAT, "the peer does not speak kspool's framing");
		if (used == 0)
			return ERR_OK;
		p->by_status[status]++;
		if (status != FRAME_ACCEPTED && text_length <= FRAME_TEXT_MAX_BYTES) {
			memcpy(p->why[status], text, text_length);
			p->why[status][text_length] = '\0';
		}
		buf_consume(&p->answers, (size_t)used);
	}
}

static enum err send_output(struct put *p, struct error *e)
{
	ssize_t n = send(p->socket, p->out.data, p->out.len, MSG_NOSIGNAL);

	if (n < 0 && errno != EINTR && errno != EAGAIN)
		return error_set_errno(e, ERR_UNAVAILABLE, "the daemon closed the connection");
	if (n > 0)
		buf_consume(&p->out, (size_t)n);
	if (n > 0 && p->begun_ns == 0)
		p->begun_ns = clock_mono_ns();
	return ERR_OK;
}

/* Whoever speaks frames answers the first one, however long the others take. */
static enum err wait_for_any(const struct put *p, struct pollfd *fds, struct error *e)
{
	const bool is_mute = p->begun_ns > 0 && p->answers.len == 0 && answered(p) == 0;
	const int64_t left_ms = is_mute ? ANSWER_WAIT_S * MS_PER_S - (clock_mono_ns() - p->begun_ns) / NS_PER_MS : -1;

	if (is_mute && left_ms <= 0)
		return error_set(
		    e, ERR_FORMAT,
		    "no answer in %d s: the peer does not speak kspool's framing, or takes nothing just now",
		    ANSWER_WAIT_S);
	if (poll(fds, 2, (int)left_ms) < 0 && errno != EINTR)
		return error_set_errno(e, ERR_SYSTEM, "poll");
	return ERR_OK;
}

static enum err pump(struct put *p, struct error *e)
{
	enum err err = ERR_OK;

	while (err == ERR_OK) {
		bool wants_input = !p->in_ended && p->out.len < OUT_MAX_BYTES;
		struct pollfd fds[] = {
		    {.fd = wants_input ? p->in : -1, .events = POLLIN},
		    {.fd = p->socket, .events = (short)(POLLIN | (p->out.len > 0 ? POLLOUT : 0))},
		};

		err = cut(p, e);
		if (err != ERR_OK)
			return err;
		if (p->out.len > 0)
			fds[1].events |= POLLOUT;
		else if (p->in_ended && p->held.len == 0 && answered(p) == p->sent)
			return ERR_OK;
		err = wait_for_any(p, fds, e);
		if (err == ERR_OK && fds[1].revents & (POLLIN | POLLHUP | POLLERR))
			err = read_answers(p, e);
		if (err == ERR_OK && fds[1].revents & POLLOUT && p->out.len > 0)
			err = send_output(p, e);
		if (err == ERR_OK && fds[0].revents)
			err = read_input(p, e);
	}
	return err;
}

/* What came of it all: ERR_OK only when every message is durable. */
static enum err verdict(const struct put *p, enum err err, struct error *e)
{
	static const struct {
		enum frame_status status;
		enum err err;
	} order[] = {
	    {FRAME_REFUSED, ERR_INPUT}, {FRAME_FULL, ERR_FULL}, {FRAME_CLOSING, ERR_FULL}, {FRAME_UNKNOWN, ERR_DISK}};
	uint64_t accepted = p->by_status[FRAME_ACCEPTED];
	char reason[sizeof e->text > sizeof *p->why ? sizeof e->text : sizeof *p->why];
	size_t worst = 0;

	if (err == ERR_OK && accepted == p->sent)
		return ERR_OK;
	while (worst < sizeof order / sizeof *order - 1 && p->by_status[order[worst].status] == 0)
		worst++;
	/* why it was refused says more than that the connection ended then */
	if (err == ERR_UNAVAILABLE && p->by_status[FRAME_REFUSED] > 0)
		err = ERR_OK;
	(void)snprintf(reason, sizeof reason, "%s", err != ERR_OK ? e->text : p->why[order[worst].status]);
	if (err == ERR_OK)
		err = order[worst].err;
	return error_set(e, err, "%" PRIu64 " of %" PRIu64 " messages are durable: %s", accepted, p->sent, reason);
}

static enum err put(struct put *p, const char *path, struct error *e)
{
	enum err err = connect_to(path, &p->socket, e);

	if (err != ERR_OK)
		return err;
	buf_init(&p->held, MESSAGE_MAX_BYTES + READ_BYTES);
	buf_init(&p->out, OUT_MAX_BYTES + MESSAGE_MAX_BYTES + READ_BYTES);
	buf_init(&p->answers, ANSWERS_MAX_BYTES);
	err = verdict(p, pump(p, e), e);
	buf_fini(&p->held);
	buf_fini(&p->out);
	buf_fini(&p->answers);
	return err;
}

/* The first length-framed unix socket of the configuration. */
static const char *socket_of(const struct config *config)
{
	for (size_t i = 0; i < config->input_count; i++) {
		const struct config_input *in = &config->inputs[i];

		if (in->kind == INPUT_SOCKET_SERVER && in->socket_server.network == NETWORK_UNIX &&
		    in->socket_server.framing == FRAMING_LENGTH)
			return in->socket_server.address;
	}
	return NULL;
}

static enum err find_socket(const char *config_path, struct config **ret_config, const char **ret_socket,
                            struct error *e)
{
	const struct config_load_options options = {.skip_env_check = true};
	enum err err = command_load(config_path, &options, false, ret_config, e);

	if (err != ERR_OK)
		return err;
	*ret_socket = socket_of(*ret_config);
	if (!*ret_socket)
		return error_set(
		    e, ERR_CONFIG,
		    "%s has no input socket_server with network: unix and framing: length; add one or name "
		    "it with --socket",
		    config_path);
	return ERR_OK;
}

int command_put(int argc, char **argv)
{
	struct put p = {.in = STDIN_FILENO, .socket = -1};
	const char *config_path = KSPOOL_CONFIG_FILE, *socket_path = NULL;
	struct config *config = NULL;
	struct error e = {.code = ERR_OK};
	bool whole = false, framed = false;
	const struct command_option options[] = {
	    {"config", 'c', .text = &config_path},
	    {"socket", .text = &socket_path},
	    {"whole", .flag = &whole},
	    {"framed", .flag = &framed},
	};
	enum err err = ERR_OK;
	int status;

	status = command_read_options(argc, argv, options, sizeof options / sizeof *options);
	if (status != EX_OK)
		return status;
	if (whole && framed)
		return command_misused("put", "--whole and --framed are two forms; give one");
	p.form = whole ? FORM_WHOLE : FORM_LINES;
	p.form = framed ? FORM_FRAMED : p.form;
	if (argc - optind > 1)
		return command_misused("put", "one file at most");
	if (optind < argc && (p.in = open(argv[optind], O_RDONLY | O_CLOEXEC)) < 0)
		err = error_set_errno(&e, ERR_NOINPUT, "%s", argv[optind]);
	if (err == ERR_OK && !socket_path)
		err = find_socket(config_path, &config, &socket_path, &e);
	if (err == ERR_OK)
		err = put(&p, socket_path, &e);
	if (p.socket >= 0)
		(void)close(p.socket);
	config_free(config);
	return err == ERR_OK ? EX_OK : command_fail("put", &e);
}
