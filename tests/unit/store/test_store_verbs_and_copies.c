/*
 * Whatever a person asked of a stopped spool, and whichever of its files is then put back as it was before that, or
 * taken away: the ledger is known to the last message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/store_internal.h"

enum {
	SHELF = 20,
	GONE = 20,
	WAIT = 10,
	OF_OTHER = 8,        /* in the copy that is taken in: that wait, */
	OF_OTHERS_SHELF = 3, /* and on its shelf */
	ACCEPTED = SHELF + GONE + WAIT,
	SENT_SINCE = 4, /* of what waited before the verb */
};

static struct spooldir clean, killed, other, after;
static const struct spooldir *before; /* `clean`, or `killed`: the same with a log */
static char copy[400];
static struct error e;

static void shelve(struct store *s, uint64_t first, uint64_t last)
{
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t id = first; id <= last; id++) {
		const struct store_settlement x = {
		    .id = id, .kind = SETTLE_DEAD, .attempts = 1, .code = "a", .reason = mem_string("b")};

		assert_int_equal(store_settle(s, &x, 1, &e), ERR_OK);
		free(x.reason);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static void copy_all(const struct spooldir *from, const struct spooldir *to)
{
	size_t bytes;
	unsigned char *left;

	spooldir_copy(from, to);
	left = spooldir_load(spooldir_file(from, ".left"), &bytes);
	spooldir_store(spooldir_file(to, ".left"), left, bytes);
	free(left);
}

static int begin(void **state)
{
	struct store *s = life_begin(&clean);

	(void)state;
	life_append(s, 0, SHELF + GONE);
	life_checkpoint(s);
	shelve(s, 1, SHELF);
	life_append(s, SHELF + GONE, WAIT);
	life_settle(s, SHELF + 1, SHELF + GONE);
	spooldir_make(&killed);
	copy_all(&clean, &killed);
	life_close(s);
	s = life_begin(&other);
	life_append(s, LIFE_OTHERS, OF_OTHER + OF_OTHERS_SHELF);
	shelve(s, 1, OF_OTHERS_SHELF);
	(void)snprintf(copy, sizeof copy, "%s/copy", other.dir);
	assert_int_equal(store_export(s, copy, &e), ERR_OK);
	life_close(s);
	return 0;
}

static int end(void **state)
{
	(void)state;
	spooldir_remove(&clean);
	spooldir_remove(&killed);
	spooldir_remove(&other);
	return 0;
}

static void retry_all(struct store *s)
{
	uint64_t count, damaged;

	assert_int_equal(store_dead_retry(s, 0, &count, &damaged, &e), ERR_OK);
	assert_int_equal(count, SHELF);
}

static void retry_one(struct store *s)
{
	uint64_t count, damaged;

	assert_int_equal(store_dead_retry(s, 3, &count, &damaged, &e), ERR_OK);
}

/* More of them than the tide mark has places for, with others between. */
static void retry_each(struct store *s)
{
	uint64_t count, damaged;

	for (uint64_t id = 1; id <= SHELF; id++)
		assert_int_equal(store_dead_retry(s, id, &count, &damaged, &e), ERR_OK);
}

static void purge_all(struct store *s)
{
	uint64_t count;

	assert_int_equal(store_dead_purge(s, 0, &count, &e), ERR_OK);
}

static void purge_one(struct store *s)
{
	uint64_t count;

	assert_int_equal(store_dead_purge(s, 3, &count, &e), ERR_OK);
}

static void purge_one_retry_rest(struct store *s)
{
	uint64_t count, damaged;

	purge_one(s);
	assert_int_equal(store_dead_retry(s, 0, &count, &damaged, &e), ERR_OK);
}

static void import_copy(struct store *s)
{
	uint64_t rows;

	assert_int_equal(store_import(s, copy, false, &rows, &e), ERR_OK);
	assert_int_equal(rows, OF_OTHER + OF_OTHERS_SHELF);
}

static void export_copy(struct store *s)
{
	char to[400];

	(void)snprintf(to, sizeof to, "%s/copy", after.dir);
	assert_int_equal(store_export(s, to, &e), ERR_OK);
}

static void nothing(struct store *s) { (void)s; }

static void check(void)
{
	struct buf out;
	uint64_t problems;

	buf_init(&out, 1 << 16);
	assert_int_equal(store_check(after.path, &out, &problems, &e), ERR_OK);
	assert_int_equal(problems, 0);
	buf_fini(&out);
}

static void repair(void)
{
	const struct store_repair how = {.give_up = NULL};
	struct buf out;

	buf_init(&out, 1 << 16);
	assert_int_equal(store_repair(after.path, &how, &out, &e), ERR_OK);
	buf_fini(&out);
}

/* What a verb leaves; whatever is not said is as it was. */
static const struct verb {
	const char *name;
	void (*of_store)(struct store *s);
	void (*of_path)(void);
	uint64_t put_back, purged, taken_in, shelf_taken_in;
} verbs[] = {
    {.name = "dead retry --all", .of_store = retry_all, .put_back = SHELF},
    {.name = "dead retry ID", .of_store = retry_one, .put_back = 1},
    {.name = "dead retry ID, each", .of_store = retry_each, .put_back = SHELF},
    {.name = "dead purge --all", .of_store = purge_all, .purged = SHELF},
    {.name = "dead purge ID", .of_store = purge_one, .purged = 1},
    {.name = "dead purge ID, retry --all", .of_store = purge_one_retry_rest, .purged = 1, .put_back = SHELF - 1},
    {.name = "import", .of_store = import_copy, .taken_in = OF_OTHER, .shelf_taken_in = OF_OTHERS_SHELF},
    {.name = "export", .of_store = export_copy},
    {.name = "a start and a stop", .of_store = nothing},
    {.name = "check", .of_path = check},
    {.name = "repair", .of_path = repair},
};

/* What came and left after it. */
static const struct since {
	const char *name;
	uint32_t starts;    /* clean ones */
	uint32_t accepted;  /* a start */
	uint64_t delivered; /* of what waits because of the verb */
	bool is_killed;     /* at last */
} sinces[] = {
    {"nothing since", 0, 0, 0, false},
    {"a start", 1, 15, 0, false},
    {"a start, some delivered", 1, 15, 6, false},
    {"three starts, some delivered", 3, 7, 6, false},
    {"killed", 1, 15, 6, true},
};

/* What stands in the database then. */
enum old { AS_IT_WAS_LAST, AS_BEFORE_THE_VERB, AS_THE_VERB_LEFT_IT };
static const struct harm {
	const char *name;
	const char *put_back[4], *gone[4]; /* suffixes */
	bool is_of_log;                    /* a log says more than none */
	enum old old;                      /* when it was killed at last */
	enum old old_when_clean;
} harms[] = {
    {.name = "nothing"},
    {.name = "database and log",
     .put_back = {"", "-wal"},
     .is_of_log = true,
     .old = AS_BEFORE_THE_VERB,
     .old_when_clean = AS_BEFORE_THE_VERB},
    {.name = "log", .put_back = {"-wal"}, .is_of_log = true, .old = AS_THE_VERB_LEFT_IT},
    {.name = "tide", .put_back = {".tide"}},
    {.name = "left", .put_back = {".left"}},
    {.name = "tide and left", .put_back = {".tide", ".left"}},
    {.name = "lock", .put_back = {".lock"}},
    {.name = "tide gone", .gone = {".tide"}},
    {.name = "left gone", .gone = {".left"}},
    {.name = "lock gone", .gone = {".lock"}},
};

static void put_back_file(const char *suffix)
{
	size_t bytes;
	char path[400];
	unsigned char *data;

	(void)snprintf(path, sizeof path, "%s", spooldir_file(before, suffix));
	if (access(path, F_OK) != 0) {
		(void)unlink(spooldir_file(&after, suffix));
		return;
	}
	data = spooldir_load(path, &bytes);
	spooldir_store(spooldir_file(&after, suffix), data, bytes);
	free(data);
}

/* What a kill leaves. */
static void kill_it(struct store *s)
{
	struct spooldir kept;

	spooldir_make(&kept);
	copy_all(&after, &kept);
	store_abandon(s);
	spooldir_remove(&after);
	after = kept;
}

static void live(const struct verb *v, const struct since *x)
{
	const uint64_t new_first = ACCEPTED + 1;
	struct store *s;

	copy_all(before, &after);
	if (v->of_path) {
		v->of_path();
	} else {
		s = life_open(&after, NULL);
		v->of_store(s);
		life_close(s);
	}
	for (uint32_t i = 0; i < x->starts; i++) {
		s = life_open(&after, NULL);
		life_append(s, 1000 + i * 100, x->accepted);
		if (i == 0) {
			life_settle(s, SHELF + GONE + 1, SHELF + GONE + SENT_SINCE);
			if (x->delivered > 0 && v->put_back + v->taken_in > 0)
				life_settle(s, new_first,
				            new_first + store_least(x->delivered, v->put_back + v->taken_in) - 1);
		}
		if (x->is_killed)
			kill_it(s);
		else
			life_close(s);
	}
}

static struct store_ledger wanted(const struct verb *v, const struct since *x, enum old old)
{
	const uint64_t came = (uint64_t)x->starts * x->accepted, taken_in = v->taken_in + v->shelf_taken_in;
	const uint64_t waits = v->put_back + v->taken_in, shelf = SHELF - v->put_back - v->purged + v->shelf_taken_in;
	const uint64_t sent = x->starts > 0 ? SENT_SINCE : 0, sent_new = store_least(x->delivered, waits);
	const uint64_t sent_of_other = v->taken_in > 0 ? sent_new : 0;

	if (old == AS_BEFORE_THE_VERB) /* what was put back is on the shelf again, and what was taken in is not here */
		return (struct store_ledger){.accepted = ACCEPTED + came + taken_in,
		                             .delivered = GONE + sent_of_other,
		                             .pending = WAIT,
		                             .dead = SHELF,
		                             .damaged = came + taken_in - sent_of_other};
	if (old == AS_THE_VERB_LEFT_IT)
		return (struct store_ledger){.accepted = ACCEPTED + came + taken_in,
		                             .delivered = GONE,
		                             .pending = WAIT + waits,
		                             .dead = shelf,
		                             .purged = v->purged,
		                             .damaged = came};
	return (struct store_ledger){.accepted = ACCEPTED + came + taken_in,
	                             .delivered = GONE + sent + sent_new,
	                             .pending = WAIT - sent + waits - sent_new + came,
	                             .dead = shelf,
	                             .purged = v->purged};
}

/* What comes twice was announced. */
static uint64_t announced(const struct verb *v, const struct since *x, enum old old)
{
	const bool comes_again = old == AS_THE_VERB_LEFT_IT || v->put_back > 0;

	if (old == AS_IT_WAS_LAST || x->starts == 0)
		return 0;
	return SENT_SINCE + (comes_again ? store_least(x->delivered, v->put_back + v->taken_in) : 0);
}

static void agrees(const struct store_ledger *want, uint64_t possible, const char *what)
{
	struct store_report report;

	for (int life = 0; life < 2; life++) {
		struct store *s = life_open(&after, &report);
		const struct store_ledger l = *store_ledger(s);

		if (memcmp(&l, want, sizeof *want) != 0)
			fail_msg("%s; start %d: accepted %d of %d, delivered %d of %d, pending %d of %d, dead %d of"
			         " %d, purged %d of %d, damaged %d of %d: %s",
			         what, life, (int)l.accepted, (int)want->accepted, (int)l.delivered,
			         (int)want->delivered, (int)l.pending, (int)want->pending, (int)l.dead, (int)want->dead,
			         (int)l.purged, (int)want->purged, (int)l.damaged, (int)want->damaged, report.warning);
		if (store_possible_duplicates(s) < possible)
			fail_msg("%s; start %d: %d of %d possible duplicates: %s", what, life,
			         (int)store_possible_duplicates(s), (int)possible, report.warning);
		life_close(s);
	}
}

static void is_known(const struct verb *v, const struct since *x, const struct harm *h)
{
	const enum old old = x->is_killed ? h->old : h->old_when_clean;
	const struct store_ledger want = wanted(v, x, old);
	char what[400];

	(void)snprintf(what, sizeof what, "%s; %s; %s; put back: %s", before == &killed ? "killed before" : "clean",
	               v->name, x->name, h->name);
	spooldir_make(&after);
	live(v, x);
	for (size_t i = 0; i < 4 && h->put_back[i]; i++)
		put_back_file(h->put_back[i]);
	for (size_t i = 0; i < 4 && h->gone[i]; i++)
		(void)unlink(spooldir_file(&after, h->gone[i]));
	agrees(&want, announced(v, x, old), what);
	spooldir_remove(&after);
}

/* The older database went on for a while; then the newer one is put back. */
static void newer_is_known(const struct verb *v, const struct since *x)
{
	enum { CAME_BETWEEN = 7 };
	struct spooldir newest;
	struct store_ledger want = wanted(v, x, AS_IT_WAS_LAST);
	struct store *s;
	char what[400];

	(void)snprintf(what, sizeof what, "%s; %s; the newer one after the older", v->name, x->name);
	spooldir_make(&after);
	live(v, x);
	spooldir_make(&newest);
	copy_all(&after, &newest);
	put_back_file("");
	put_back_file("-wal");
	s = life_open(&after, NULL);
	life_append(s, 5000, CAME_BETWEEN);
	life_close(s);
	for (int i = 0; i < 2; i++) {
		before = &newest;
		put_back_file(i ? "-wal" : "");
	}
	before = &clean;
	/* what ended in the newer one alone had not, as far as the older one counted: it is gone, like what came there
	 */
	want.accepted += CAME_BETWEEN;
	want.delivered = wanted(v, x, AS_BEFORE_THE_VERB).delivered;
	want.purged = 0;
	want.damaged = want.accepted - want.delivered - want.pending - want.dead;
	agrees(&want, 0, what);
	spooldir_remove(&newest);
	spooldir_remove(&after);
}

static void every_harm(const struct verb *v, const struct since *x)
{
	for (size_t h = 0; h < sizeof harms / sizeof *harms; h++)
		if (before == &clean || harms[h].is_of_log)
			is_known(v, x, &harms[h]);
}

static void each_is_known(void **state)
{
	(void)state;
	for (before = &clean; before; before = before == &clean ? &killed : NULL)
		for (size_t v = 0; v < sizeof verbs / sizeof *verbs; v++)
			for (size_t x = 0; x < sizeof sinces / sizeof *sinces; x++)
				every_harm(&verbs[v], &sinces[x]);
}

static void a_newer_one_is_known(void **state)
{
	(void)state;
	before = &clean;
	for (size_t v = 0; v < sizeof verbs / sizeof *verbs; v++)
		for (size_t x = 0; x < sizeof sinces / sizeof *sinces; x++)
			newer_is_known(&verbs[v], &sinces[x]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_is_known),
	    cmocka_unit_test(a_newer_one_is_known),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, begin, end);
}
