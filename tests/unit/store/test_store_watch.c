/* An open spool, and others at its files: what is written over them is noticed, what is harmless is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "rig/crashvfs.h"
#include "rig/lives.h"
#include "rig/sanitizer.h"
#include "store/store_internal.h"

/*
 * A spool of ours that is open, its log with frames that the database does not have, and what others put in its place:
 * its own files as they were one log ago, and some commits ago in the same log; those of a copy that went its own way
 * from there, under the same salts; another spool's.
 */
enum copy { OLD, YOUNG, TWIN, OTHERS, COPIES };
struct world {
	struct spooldir mine, copies[COPIES];
	struct store *s;
	uint32_t given; /* messages with a yes */
	const struct deed *deed;
};

struct deed {
	const char *what;
	void (*act)(struct world *w, const char *suffix, int n);
	int n;
};

static enum err give(struct world *w, struct error *e)
{
	struct message *m = spooldir_message(w->given + 1, 1500);
	enum err err = store_begin(w->s, e);

	if (err == ERR_OK)
		err = store_append(w->s, m, e);
	if (err == ERR_OK)
		err = store_commit(w->s, e);
	message_free(m);
	if (err == ERR_OK)
		w->given++;
	else
		store_rollback(w->s);
	return err;
}

static void give_some(struct world *w, int count)
{
	struct error e;

	for (int i = 0; i < count; i++)
		assert_int_equal(give(w, &e), ERR_OK);
}

static void make_world(struct world *w, const struct deed *deed)
{
	struct store_options o;
	struct store *twin;
	struct error e;

	*w = (struct world){.deed = deed};
	crashvfs_register();
	spooldir_make(&w->mine);
	for (int i = 0; i < COPIES - 1; i++)
		spooldir_make(&w->copies[i]);
	life_make(&w->copies[OTHERS], LIFE_OTHERS, 90, 300);
	o = spooldir_options(&w->mine);
	o.vfs = CRASHVFS_NAME;
	assert_int_equal(store_open(&o, &w->s, NULL, &e), ERR_OK);
	give_some(w, 12);
	spooldir_copy(&w->mine, &w->copies[OLD]);
	life_checkpoint(w->s);
	give_some(w, 20);
	spooldir_copy(&w->mine, &w->copies[YOUNG]);
	spooldir_copy(&w->mine, &w->copies[TWIN]);
	give_some(w, 20);
	twin = life_open(&w->copies[TWIN], NULL);
	life_append(twin, LIFE_OTHERS, 400);
	store_abandon(twin);
}

static void remove_world(struct world *w)
{
	crashvfs_meanwhile(0, NULL, NULL);
	spooldir_remove(&w->mine);
	for (int i = 0; i < COPIES; i++)
		spooldir_remove(&w->copies[i]);
}

static void copied_over(struct world *w, const char *suffix, int n) { life_bring(&w->copies[n], suffix, &w->mine); }

static void change(struct world *w, const char *suffix, size_t offset, const void *bytes, size_t count)
{
	int fd = open(spooldir_file(&w->mine, suffix), O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, bytes, count, (off_t)offset), (ssize_t)count);
	(void)close(fd);
}

/* As many bytes as ours has, and in its place: neither size nor inode tell. */
static void written_over(struct world *w, const char *suffix, int n)
{
	size_t count, mine;
	unsigned char *bytes = spooldir_load(spooldir_file(&w->copies[n], suffix), &count);

	free(spooldir_load(spooldir_file(&w->mine, suffix), &mine));
	change(w, suffix, 0, bytes, count < mine ? count : mine);
	free(bytes);
}

/* n < 0: so many from its end. */
static void cut(struct world *w, const char *suffix, int n)
{
	size_t size;

	free(spooldir_load(spooldir_file(&w->mine, suffix), &size));
	assert_int_equal(truncate(spooldir_file(&w->mine, suffix), n < 0 ? (off_t)size + n : n), 0);
}

static void zeroed_at(struct world *w, const char *suffix, int n)
{
	static const unsigned char zeros[512];
	size_t size;

	free(spooldir_load(spooldir_file(&w->mine, suffix), &size));
	change(w, suffix, n < 0 ? size - (size_t)-n : (size_t)n, zeros, sizeof zeros);
}

static const struct deed log_deeds[] = {
    {"another spool's copied over it", copied_over, OTHERS},
    {"another spool's written over it", written_over, OTHERS},
    {"an older one copied over it", copied_over, OLD},
    {"an older one written over it", written_over, OLD},
    {"its own earlier form copied over it", copied_over, YOUNG},
    {"a twin's copied over it", copied_over, TWIN},
    {"a twin's written over it", written_over, TWIN},
    {"emptied", cut, 0},
    {"cut to a byte", cut, 1},
    {"cut in its header", cut, 31},
    {"cut to its header", cut, 32},
    {"cut in a frame's header", cut, 40},
    {"cut behind its first frame", cut, 32 + 24 + 4096},
    {"cut in the middle", cut, 3 * 4096 + 1234},
    {"cut by a byte", cut, -1},
    {"cut by a page", cut, -4096},
    {"cut by a frame", cut, -(24 + 4096)},
    {"its header zeroed", zeroed_at, 0},
    {"its last frame's header zeroed", zeroed_at, -(24 + 4096)},
};

static const struct deed database_deeds[] = {
    {"another spool's copied over it", copied_over, OTHERS},
    {"another spool's written over it", written_over, OTHERS},
    {"an older one copied over it", copied_over, OLD},
    {"emptied", cut, 0},
    {"cut to a page", cut, 4096},
    {"cut in a page", cut, 4 * 4096 + 100},
    {"its header zeroed", zeroed_at, 0},
    {"its third page zeroed", zeroed_at, 2 * 4096},
    {"a page behind its tables zeroed", zeroed_at, 20 * 4096},
};

static void do_log_deed(void *arg)
{
	struct world *w = arg;

	w->deed->act(w, "-wal", w->deed->n);
}

static void do_database_deed(void *arg)
{
	struct world *w = arg;

	w->deed->act(w, "", w->deed->n);
}

static void must_be_noticed(struct world *w, const char *when, enum err err, const struct error *e)
{
	if (err != ERR_DISK)
		fail_msg("%s, %s: not noticed (%d)", w->deed->what, when, err);
	if (!strstr(e->text, w->mine.path) && !strstr(e->text, "SQLite"))
		fail_msg("%s, %s: %s", w->deed->what, when, e->text);
}

/* Messages and counts of those that are gone are all that was accepted; nothing of another's is there. */
static void next_start_goes_on(struct world *w, const char *when, bool was_noticed)
{
	struct store *s = life_open(&w->mine, NULL);
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct message *m;
	struct error e;
	uint32_t count;
	uint64_t last;

	assert_int_equal(store_read(s, 0, 10000, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
	STAILQ_FOREACH (m, &list, link)
		if (m->received_ms >= 1700000000000 + LIFE_OTHERS && w->deed->n != TWIN)
			fail_msg("%s, %s: another spool's message", w->deed->what, when);
	message_list_free(&list);
	if (store_ledger(s)->accepted < w->given || store_ledger(s)->damaged + count != store_ledger(s)->accepted)
		fail_msg("%s, %s: %u given, %llu accepted, %u there, %llu damaged", w->deed->what, when, w->given,
		         (unsigned long long)store_ledger(s)->accepted, count,
		         (unsigned long long)store_ledger(s)->damaged);
	if (!was_noticed && store_ledger(s)->damaged > 0)
		fail_msg("%s, %s: not noticed, and %llu are gone", w->deed->what, when,
		         (unsigned long long)store_ledger(s)->damaged);
	life_close(s);
}

static enum err look(struct world *w, struct error *e)
{
	bool lost;
	enum err err = store_watch(w->s, &lost, e);

	assert_false(err != ERR_OK && lost);
	return err;
}

static enum err checkpoint(struct world *w, struct error *e) { return store_checkpoint(w->s, true, e); }

static enum err end(struct world *w, struct error *e) { return store_close(take(w->s), e); }

/* Done after the look that comes before a commit, or a checkpoint: that one may still say yes, the next look does not.
 */
static enum err race(struct world *w, void (*deed)(void *arg), enum err (*step)(struct world *w, struct error *e),
                     struct error *e)
{
	enum err err;

	crashvfs_meanwhile(1, deed, w);
	err = step(w, e);
	if (err == ERR_OK)
		err = look(w, e);
	return err == ERR_OK ? checkpoint(w, e) : err;
}

static const struct way {
	const char *when;
	enum err (*notice)(struct world *w, struct error *e);
	bool is_raced, of_log, of_database;
} ways[] = {
    {"at the next look", look, false, true, true},
    {"at the next commit", give, false, true, false},
    {"at a checkpoint", checkpoint, false, true, true},
    {"at the end", end, false, true, true},
    {"done while a commit is written", give, true, true, true},
    {"done while a checkpoint is written", checkpoint, true, true, true},
};

/* A look sees it, the glance before a commit does not: our last frame stays. */
static bool spares_the_end(const struct deed *d)
{
	return (d->act == written_over && d->n == OLD) || (d->act == zeroed_at && d->n == 0);
}

static void try_all(const struct deed *deeds, size_t count, bool log)
{
	void (*const act)(void *arg) = log ? do_log_deed : do_database_deed;

	for (size_t i = 0; i < count * (sizeof ways / sizeof *ways); i += SANITIZED_EACH) {
		const struct way *way = &ways[i % (sizeof ways / sizeof *ways)];
		struct error e = {0};
		struct world w;
		enum err err;

		const struct deed *deed = &deeds[i / (sizeof ways / sizeof *ways)];

		if ((log ? !way->of_log : !way->of_database) ||
		    (spares_the_end(deed) && way->notice == give && !way->is_raced))
			continue;
		make_world(&w, deed);
		assert_int_equal(look(&w, &e), ERR_OK);
		if (!way->is_raced)
			act(&w);
		err = way->is_raced ? race(&w, act, way->notice, &e) : way->notice(&w, &e);
		if (!way->is_raced || err != ERR_OK)
			must_be_noticed(&w, way->when, err, &e);
		store_abandon(w.s);
		next_start_goes_on(&w, way->when, err != ERR_OK);
		remove_world(&w);
	}
}

static void whatever_is_done_to_a_log_is_noticed(void **state)
{
	(void)state;
	try_all(log_deeds, sizeof log_deeds / sizeof *log_deeds, true);
}

static void whatever_is_done_to_a_database_is_noticed(void **state)
{
	(void)state;
	try_all(database_deeds, sizeof database_deeds / sizeof *database_deeds, false);
}

static void append_one(struct store *s, uint32_t bytes, int count)
{
	struct error e;

	for (int i = 0; i < count; i++) {
		struct message *m = spooldir_message(1, bytes);

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
}

/* More than SQLite keeps in memory: pages are written before the commit, some of them twice. */
static void append_much(struct store *s)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	append_one(s, 60000, 300);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static void live_on(struct store *s, int life)
{
	struct error e;
	bool lost, more;

	for (int i = 0; i < 12; i++) {
		life_append(s, (uint64_t)i, (uint32_t)(i % 5 * 13));
		assert_int_equal(store_begin(s, &e), ERR_OK);
		append_one(s, 700, 1);
		store_rollback(s);
		assert_int_equal(store_watch(s, &lost, &e), ERR_OK);
		if (i == 5)
			append_much(s);
		if (i % 4 == life % 4)
			life_checkpoint(s);
		assert_int_equal(store_watch(s, &lost, &e), ERR_OK);
		if (i % 5 == life % 5)
			assert_int_equal(store_give_back(s, &more, &e), ERR_OK);
		assert_int_equal(store_watch(s, &lost, &e), ERR_OK);
	}
}

/* Logs that end, begin again, are given back, roll back, are read at the next start: none of it is another's doing. */
static void a_spool_alone_is_never_suspected(void **state)
{
	static const uint32_t page_sizes[] = {0, 512, 65536};

	(void)state;
	for (size_t size = 0; size < sizeof page_sizes / sizeof *page_sizes; size++) {
		struct spooldir d;
		struct store_options o;

		spooldir_make(&d);
		o = spooldir_options(&d);
		o.page_size = page_sizes[size];
		for (int life = 0; life < 4; life++) {
			struct store *s;
			struct error e;

			assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
			live_on(s, life);
			if (life % 2)
				store_abandon(s);
			else
				life_close(s);
		}
		spooldir_remove(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whatever_is_done_to_a_log_is_noticed),
	    cmocka_unit_test(whatever_is_done_to_a_database_is_noticed),
	    cmocka_unit_test(a_spool_alone_is_never_suspected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
