/*
 * Invariants:
 * 1. A published configuration neither changes nor ends: another thread may be reading it.
 * 2. What goes out is one line, was redacted after its last change, and is one write.
 */
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/dates.h"
#include "base/error.h"
#include "base/jsonout.h"
#include "base/mem.h"

enum { LINE_MAX_BYTES = 8192, LIMIT_WINDOW_MS = 60000, MESSAGE_CUT_BYTES = 1000, LAST_BYTES = 128 };

struct settings {
	struct log_options options;
	const char *prefix_keys[3];
	char **static_fields;
	bool is_for_journald; /* lines begin with their priority */
	struct settings *replaced;
};

static _Atomic(struct settings *) current;
static const struct log_options defaults = {.level = LOG_INFO, .add_timestamp = true, .fd = STDERR_FILENO};

/* As Redpanda Connect prints them, and what syslog and journald (sd-daemon(3)) call each. */
static const struct {
	const char *name;
	char priority[4];
} levels[] = {
    [LOG_OFF] = {"off", "<2>"},      [LOG_FATAL] = {"fatal", "<2>"}, [LOG_ERROR] = {"error", "<3>"},
    [LOG_WARN] = {"warning", "<4>"}, [LOG_INFO] = {"info", "<6>"},   [LOG_DEBUG] = {"debug", "<7>"},
    [LOG_TRACE] = {"trace", "<7>"},
};

bool log_level_parse(const char *text, enum log_level *ret)
{
	for (int i = 0; i <= LOG_TRACE; i++)
		if (strcasecmp(text, levels[i].name) == 0) {
			*ret = (enum log_level)i;
			return true;
		}
	if (strcasecmp(text, "WARN") == 0)
		*ret = LOG_WARN;
	else if (strcasecmp(text, "NONE") == 0)
		*ret = LOG_OFF;
	else if (strcasecmp(text, "ALL") == 0)
		*ret = LOG_TRACE;
	else
		return false;
	return true;
}

/* $JOURNAL_STREAM names the descriptor that systemd connected to the journal: systemd.exec(5). */
static bool goes_to_journald(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char own[64];
	struct stat st;

	if (!stream || fstat(fd, &st) != 0)
		return false;
	(void)snprintf(own, sizeof own, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, own) == 0;
}

void log_configure(const struct log_options *options)
{
	struct settings *s = mem_zero(sizeof *s);
	size_t n = 0;

	s->options = *options;
	s->prefix_keys[0] = mem_string(options->level_name ? options->level_name : "level");
	s->prefix_keys[1] = mem_string(options->timestamp_name ? options->timestamp_name : "time");
	s->prefix_keys[2] = mem_string(options->message_name ? options->message_name : "msg");
	while (options->static_fields && options->static_fields[n])
		n++;
	s->static_fields = mem_array(n + 1, sizeof *s->static_fields);
	for (size_t i = 0; i < n; i++)
		s->static_fields[i] = mem_string(options->static_fields[i]);
	s->is_for_journald = goes_to_journald(options->fd);
	s->replaced = atomic_load(&current);
	atomic_store(&current, s);
}

bool log_wanted(enum log_level level)
{
	struct settings *s = atomic_load_explicit(&current, memory_order_acquire);

	return level <= (s ? s->options.level : defaults.level) && level != LOG_OFF;
}

bool log_limit_pass(struct log_limit *limit, uint32_t *ret_suppressed)
{
	int64_t now = clock_mono_ms();
	int64_t start = atomic_load(&limit->window_start_ms);

	*ret_suppressed = 0;
	if ((start == 0 || now - start >= LIMIT_WINDOW_MS) &&
	    atomic_compare_exchange_strong(&limit->window_start_ms, &start, now)) {
		atomic_store(&limit->written, 1);
		*ret_suppressed = atomic_exchange(&limit->suppressed, 0);
		return true;
	}
	if (atomic_fetch_add(&limit->written, 1) < LOG_LIMIT_PER_MINUTE)
		return true;
	atomic_fetch_add(&limit->suppressed, 1);
	return false;
}

static bool is_plain(const char *text)
{
	if (*text == '\0')
		return false;
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if (*p <= 0x20 || *p == '"' || *p == '=' || *p == '\\' || *p >= 0x7f)
			return false;
	return true;
}

enum { KEY_MAX_BYTES = 64 };

/* A key of a stranger's making: only these characters, so that it is one word in logfmt and says no more than it is. */
static void add_word(struct buf *b, const char *key)
{
	size_t n = 0;

	for (; key[n] && n < KEY_MAX_BYTES; n++) {
		bool plain = (key[n] >= 'A' && key[n] <= 'Z') || (key[n] >= 'a' && key[n] <= 'z') ||
		             (key[n] >= '0' && key[n] <= '9') || strchr("_.@-", key[n]);

		(void)buf_add_char(b, plain ? key[n] : '_');
	}
	if (n == 0)
		(void)buf_add_char(b, '_');
}

static void add_key(struct buf *b, enum log_format format, const char *key)
{
	if (format == LOG_FORMAT_JSON) {
		(void)buf_add_char(b, b->len ? ',' : '{');
		jsonout_quote(b, key, strlen(key));
		(void)buf_add_char(b, ':');
	} else {
		if (b->len)
			(void)buf_add_char(b, ' ');
		add_word(b, key);
		(void)buf_add_char(b, '=');
	}
}

/* What does not fit is left out as a whole: half a field could be taken for another. */
static void undo(struct buf *b, size_t before)
{
	b->len = before;
	b->data[before] = '\0';
}

static void add_text(struct buf *b, enum log_format format, const char *key, const char *text)
{
	bool was_cut = b->overflow;
	size_t before = b->len;

	b->overflow = false;
	add_key(b, format, key);
	if (!text)
		text = "";
	if (format == LOG_FORMAT_JSON || !is_plain(text))
		jsonout_quote(b, text, strlen(text));
	else
		(void)buf_add_text(b, text);
	if (b->overflow)
		undo(b, before);
	b->overflow = b->overflow || was_cut;
}

/* Its beginning when the whole does not fit. */
static void add_message(struct buf *b, enum log_format format, const char *key, const char *message)
{
	size_t before = b->len;

	add_text(b, format, key, message);
	if (b->len == before) {
		char *beginning = mem_string_n(message, strnlen(message, MESSAGE_CUT_BYTES));

		add_text(b, format, key, beginning);
		free(beginning);
	}
}

/* A field that is named like one of ours would be taken for it: "_level" is what it then is. */
static struct log_field without_collision(const struct log_field *f, const char *const *keys, char **fixed, char *room,
                                          size_t size)
{
	struct log_field own = *f;
	bool collides = strcmp(f->key, keys[0]) == 0 || strcmp(f->key, keys[1]) == 0 || strcmp(f->key, keys[2]) == 0;

	for (; !collides && fixed && fixed[0] && fixed[1]; fixed += 2)
		collides = strcmp(f->key, fixed[0]) == 0;
	if (collides) {
		(void)snprintf(room, size, "_%s", f->key);
		own.key = room;
	}
	return own;
}

static void add_field(struct buf *b, enum log_format format, const struct log_field *f)
{
	if (f->kind == LOG_TEXT) {
		add_text(b, format, f->key, f->text);
		return;
	}
	add_key(b, format, f->key);
	if (f->kind == LOG_INT)
		(void)buf_addf(b, "%" PRId64, f->i);
	else if (f->kind == LOG_UINT)
		(void)buf_addf(b, "%" PRIu64, f->u);
	else
		(void)buf_addf(b, "%.6g", f->real);
}

static void add_time(struct buf *b, enum log_format format, const char *key)
{
	char text[DATES_ISO_BYTES];

	add_text(b, format, key, dates_format_iso(clock_wall_ms(), text));
}

static void write_line(int fd, const char *priority, const char *text)
{
	char line[LINE_MAX_BYTES + sizeof levels[0].priority + 1];
	int n = snprintf(line, sizeof line, "%s%s", priority, text);

	if (write(fd, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1) < 0)
		(void)0; /* nowhere to say that the log cannot be written */
}

void log_write(enum log_level level, const char *message, uint32_t suppressed, const struct log_field *fields)
{
	static const char *const default_keys[] = {"level", "time", "msg"};
	struct settings *s = atomic_load_explicit(&current, memory_order_acquire);
	const struct log_options *o = s ? &s->options : &defaults;
	const char *const *keys = s ? s->prefix_keys : default_keys;
	struct buf b;

	buf_init(&b, LINE_MAX_BYTES);
	add_text(&b, o->format, keys[0], levels[level].name);
	if (o->add_timestamp)
		add_time(&b, o->format, keys[1]);
	for (char **f = s ? s->static_fields : NULL; f && f[0] && f[1]; f += 2)
		add_text(&b, o->format, f[0], f[1]);
	b.max = LINE_MAX_BYTES - LAST_BYTES;
	add_message(&b, o->format, keys[2], message);
	for (const struct log_field *f = fields; f->kind != LOG_END; f++) {
		char room[KEY_MAX_BYTES + 2];
		struct log_field own = without_collision(f, keys, s ? s->static_fields : NULL, room, sizeof room);

		add_field(&b, o->format, &own);
	}
	if (suppressed)
		add_field(&b, o->format, &LOG_U("suppressed", suppressed));
	b.max = LINE_MAX_BYTES;
	if (b.overflow)
		add_field(&b, o->format, &LOG_S("cut", "true"));
	if (o->format == LOG_FORMAT_JSON)
		(void)buf_add_char(&b, '}');
	(void)buf_add_char(&b, '\n');
	error_redact(b.data);
	write_line(o->fd, s && s->is_for_journald ? levels[level].priority : "", b.data);
	buf_fini(&b);
}
