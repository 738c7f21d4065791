/*
 * doors_world: a folder, a configuration, a real journal and the doors over it, in one thread as the daemon runs them;
 * afterwards, what the spool holds. Included by the tests of the doors, each of which uses all of it.
 */
#ifndef KSPOOL_TESTS_DOORS_WORLD_H
#define KSPOOL_TESTS_DOORS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "config/config.h"
#include "server/httpd.h"
#include "store/store.h"
#include "store/store_ledger.h"
#include "store/store_open.h"
#include "journal/journal.h"
#include "doors/doors.h"
#include "doors/frame.h"

struct world {
	char folder[64];
	char spool[96];
	struct config *config;
	struct journal *journal;
	struct event_base *base;
	struct event *answers;
	struct doors *doors;
	bool finished;
	size_t answered;
	size_t kill_after; /* answers; 0: never */
	uint64_t max_bytes;
	uint64_t memory_bytes;
	const char *address; /* in place of the first input's: the configuration has rules of its own */
};

static inline void on_finished(void *arg) { ((struct world *)arg)->finished = true; }

static inline void on_journal(evutil_socket_t fd, short what, void *arg)
{
	struct world *w = arg;

	(void)fd;
	(void)what;
	w->answered += journal_intake_run(w->journal);
	if (w->kill_after && w->answered >= w->kill_after)
		(void)raise(SIGKILL);
	if (w->doors)
		doors_resume(w->doors);
}

static inline void on_condemned(const struct error *reason)
{
	(void)fprintf(stderr, "condemned: %s\n", reason->text);
	abort();
}

static inline void make_folder(struct world *w)
{
	memset(w, 0, sizeof *w);
	snprintf(w->folder, sizeof w->folder, "/tmp/kspool_doors_XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	snprintf(w->spool, sizeof w->spool, "%s/spool/kspool.db", w->folder);
	char *sub = mem_format("%s/spool", w->folder);
	assert_int_equal(mkdir(sub, 0700), 0);
	free(sub);
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void remove_folder(struct world *w) { (void)nftw(w->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static inline struct store_options store_options_of(const struct world *w)
{
	return (struct store_options){.path = w->spool, .max_bytes = w->max_bytes, .create = true};
}

/* `input` is YAML with @ for the folder; `more` is put under kspool. */
static inline enum err try_open(struct world *w, const char *input, const char *more, struct error *e)
{
	char *text = mem_format(
	    "input:\n%s\nbuffer:\n  sqlite:\n    path: %s\noutput:\n  aws_kinesis:\n    stream: s\n"
	    "    partition_key: k\n    region: eu-west-1\nhttp:\n  enabled: false\nkspool:\n  memory: 4MiB\n%s\n",
	    input, w->spool, more);
	struct config_load_options load = {0};
	struct config_faults faults = {0};
	struct journal_options journal = {.store = store_options_of(w)};
	struct store_report report;
	struct doors_options options = {.memory_bytes = w->memory_bytes, .on_finished = on_finished, .arg = w};
	enum err err;

	for (char *at; (at = strchr(text, '@'));) {
		char *whole = mem_format("%.*s%s%s", (int)(at - text), text, w->folder, at + 1);

		free(text);
		text = whole;
	}
	if (config_parse("test", text, strlen(text), &load, &w->config, &faults, e) != ERR_OK) {
		for (size_t i = 0; i < faults.count; i++)
			print_message("%d: %s\n", faults.items[i].line, faults.items[i].text);
		fail_msg("%s", text);
	}
	config_faults_fini(&faults);
	free(text);
	if (w->address) {
		struct config_input *first = &w->config->inputs[0];
		char **address =
		    first->kind == INPUT_HTTP_SERVER ? &first->http_server.address : &first->socket_server.address;

		free(*address);
		*address = mem_string(w->address);
	}
	if (journal_start(&journal, on_condemned, &w->journal, &report, e) != ERR_OK)
		fail_msg("%s", e->text);
	w->base = event_base_new();
	w->answers = event_new(w->base, journal_intake_fd(w->journal), EV_READ | EV_PERSIST, on_journal, w);
	event_add(w->answers, NULL);
	w->finished = false;
	options.base = w->base;
	options.config = w->config;
	options.journal = w->journal;
	err = doors_start(&options, &w->doors, e);
	return err;
}

static inline void open_world(struct world *w, const char *input, const char *more)
{
	struct error e;

	if (try_open(w, input, more, &e) != ERR_OK)
		fail_msg("%s", e.text);
}

static inline void turn(struct world *w)
{
	const struct timeval tick = {.tv_usec = 2000};

	event_base_loopexit(w->base, &tick);
	event_base_dispatch(w->base);
}

static inline void close_world(struct world *w)
{
	struct error e;
	int64_t end = clock_mono_ms() + 10000;

	if (w->doors) {
		doors_stop(w->doors);
		while (!doors_is_idle(w->doors) && clock_mono_ms() < end)
			turn(w);
		assert_true(doors_is_idle(w->doors));
		doors_free(w->doors);
		w->doors = NULL;
	}
	event_free(w->answers);
	assert_int_equal(journal_stop(w->journal, &e), ERR_OK);
	event_base_free(w->base);
	config_free(w->config);
}

static inline void run_until_finished(struct world *w)
{
	int64_t end = clock_mono_ms() + 20000;

	while (!w->finished && clock_mono_ms() < end)
		turn(w);
	assert_true(w->finished);
}

/* What the spool holds. */
struct rows {
	struct message_list list;
	uint32_t count;
	struct store_ledger ledger;
};

static inline void read_spool(struct world *w, struct rows *rows)
{
	struct store_options options = store_options_of(w);
	struct store_report report;
	struct store_state state;
	struct store *s;
	struct error e;
	uint64_t after = 0;
	uint32_t n;

	STAILQ_INIT(&rows->list);
	rows->count = 0;
	if (store_open(&options, &s, &report, &e) != ERR_OK)
		fail_msg("%s", e.text);
	do {
		struct message_list some = STAILQ_HEAD_INITIALIZER(some);

		if (store_read(s, after, 1000, 1 << 26, &some, &n, &after, &e) != ERR_OK)
			fail_msg("%s", e.text);
		rows->count += n;
		STAILQ_CONCAT(&rows->list, &some);
	} while (n > 0);
	store_state(s, &state);
	rows->ledger = state.ledger;
	assert_int_equal(store_close(s, &e), ERR_OK);
}

static inline void write_file(const char *path, const char *text, size_t length)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, length), length);
	close(fd);
}

/* Nobody writes there any more: its last line needs no newline. */
static inline void let_rest(const char *path)
{
	const struct timespec times[2] = {{.tv_sec = 1600000000}, {.tv_sec = 1600000000}};

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static inline void assert_bodies(struct rows *rows, const char *const *bodies)
{
	const struct message *m;

	STAILQ_FOREACH (m, &rows->list, link) {
		assert_non_null(*bodies);
		assert_int_equal(m->body_bytes, strlen(*bodies));
		assert_memory_equal(message_body(m), *bodies, m->body_bytes);
		bodies++;
	}
	assert_null(*bodies);
}

static inline void assert_meta(const struct message *m, const char *key, const char *value)
{
	struct meta_entry entry;

	if (!value) {
		assert_false(meta_find(message_meta(m), m->meta_bytes, key, strlen(key), &entry));
		return;
	}
	if (!meta_find(message_meta(m), m->meta_bytes, key, strlen(key), &entry))
		fail_msg("no metadata %s", key);
	assert_int_equal(entry.value_length, strlen(value));
	assert_memory_equal(entry.value, value, entry.value_length);
}

#endif
