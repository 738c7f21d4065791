#include "rig/starts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/faultpoints.h"
#include "rig/faultsql.h"
#include "rig/spooltell.h"

enum { IN_FILE = 20, IN_LOG = 10, TOLD_EACH = 11 };

static const char aside[] = ".quarantine-20260101T000000Z-000";

static void settle_some(struct store *s)
{
	const struct store_settlement some[] = {
	    {.id = 3, .kind = SETTLE_DEAD, .attempts = 1, .code = "a"},
	    {.id = 5, .kind = SETTLE_DELIVERED},
	    {.id = 12, .kind = SETTLE_RETRY, .attempts = 2, .wait_ms = 7, .code = "b"},
	    {.id = 13, .kind = SETTLE_RETRY, .attempts = 9, .wait_ms = 3600001, .code = "c"},
	};
	bool is_new;
	struct error e;

	must(store_begin(s, &e) == ERR_OK && store_settle(s, some, sizeof some / sizeof *some, &e) == ERR_OK &&
	     store_position_put(s, "file", "12", &e) == ERR_OK &&
	     store_cache_add(s, "cache", "k", 1, INT64_MAX, &is_new, &e) == ERR_OK && store_commit(s, &e) == ERR_OK);
}

static void make(struct spooldir *d, uint64_t n)
{
	struct store *s = life_begin(d);

	life_append(s, n, IN_FILE);
	settle_some(s);
	life_checkpoint(s);
	life_append(s, n + IN_FILE, IN_LOG);
	store_abandon(s);
}

static void move(const struct spooldir *d, const char *from, const char *to)
{
	char old[400], new[400];

	(void)snprintf(old, sizeof old, "%s%s", d->path, from);
	(void)snprintf(new, sizeof new, "%s%s", d->path, to);
	must(rename(old, new) == 0);
}

static void set_aside(const struct spooldir *d)
{
	move(d, "", aside);
	move(d, "-wal", ".quarantine-20260101T000000Z-000-wal");
}

static void stranger_in(const struct spooldir *d, const char *suffix)
{
	struct spooldir other;

	make(&other, LIFE_OTHERS);
	life_bring(&other, suffix, d);
	spooldir_remove(&other);
}

static void another_log(const struct spooldir *d) { stranger_in(d, "-wal"); }

static void another_database(const struct spooldir *d) { stranger_in(d, ""); }

static void another_aside(const struct spooldir *d)
{
	struct spooldir other;
	size_t count;
	unsigned char *bytes;

	make(&other, LIFE_OTHERS);
	bytes = spooldir_load(other.path, &count);
	spooldir_store(spooldir_file(d, aside), bytes, count);
	free(bytes);
	spooldir_remove(&other);
}

static void aside_with_anothers_log(const struct spooldir *d)
{
	struct spooldir other;
	size_t count;
	unsigned char *bytes;

	make(&other, LIFE_OTHERS);
	life_close(life_open(d, NULL));
	move(d, "", aside);
	bytes = spooldir_load(spooldir_file(&other, "-wal"), &count);
	spooldir_store(spooldir_file(d, ".quarantine-20260101T000000Z-000-wal"), bytes, count);
	free(bytes);
	spooldir_remove(&other);
}

static void harm_in_file(const struct spooldir *d, const char *sql)
{
	struct store *s = life_open(d, NULL);

	life_sql(s, sql);
	life_close(s);
}

static void harm_marks(const struct spooldir *d) { harm_in_file(d, "UPDATE partial SET bytes = bytes + 7"); }

static void harm_bit(const struct spooldir *d) { harm_in_file(d, "UPDATE partial SET settled = settled + 64"); }

static void harm_failures(const struct spooldir *d)
{
	harm_in_file(d, "UPDATE failures SET attempts = 7 WHERE id = 13");
}

static void harm_keys(const struct spooldir *d)
{
	harm_in_file(d, "UPDATE cache SET checksum = 7; UPDATE positions SET checksum = 8;"
	                "INSERT INTO clock (first_id, lead_ms, checksum) VALUES (15, 77, 5)");
}

/* Counted anew, with what had left and waits again. */
static void harm_ledger(const struct spooldir *d)
{
	harm_in_file(d, "UPDATE ledger SET checksum = 5; DELETE FROM partial");
}

/* One on the shelf has an id that nobody gave out. */
static void harm_ids(const struct spooldir *d)
{
	harm_in_file(d, "UPDATE dead SET id = id + 5000 WHERE id = (SELECT max(id) FROM dead)");
}

/* In the first of several commits. */
static void harm_log(const struct spooldir *d)
{
	struct store *s = life_open(d, NULL);
	unsigned char *bytes;
	size_t count;

	life_checkpoint(s);
	life_append(s, IN_FILE + IN_LOG, 4 * IN_LOG);
	store_abandon(s);
	bytes = spooldir_load(spooldir_file(d, "-wal"), &count);
	bytes[32 + 24 + 4096 + 24 + 200] ^= 4;
	spooldir_store(spooldir_file(d, "-wal"), bytes, count);
	free(bytes);
}

/* Its application's id is none of ours by more than a bit: what stands in it says whose it is. */
static void harm_head(const struct spooldir *d)
{
	size_t count;
	unsigned char *bytes;

	life_close(life_open(d, NULL));
	harm_in_file(d, "DELETE FROM cache; DELETE FROM positions");
	bytes = spooldir_load(d->path, &count);
	memset(bytes + 68, 0x5a, 4);
	spooldir_store(d->path, bytes, count);
	free(bytes);
}

/* A run that died between two renames. */
static void log_alone(const struct spooldir *d) { move(d, "", aside); }

static void harm_whole_head(const struct spooldir *d)
{
	size_t count;
	unsigned char *bytes;

	life_close(life_open(d, NULL));
	bytes = spooldir_load(d->path, &count);
	memset(bytes, 0x5a, 4096);
	spooldir_store(d->path, bytes, count);
	free(bytes);
}

/* A page of another's lies over the ledger: whose the rest is its rows say. */
static void another_ledger(const struct spooldir *d)
{
	struct store *s = life_open(d, NULL);
	const size_t at =
	    (size_t)(life_number(s, "SELECT rootpage FROM sqlite_schema WHERE name = 'ledger'") - 1) * 4096;
	struct spooldir other;
	size_t count;
	unsigned char *bytes, *its;

	life_close(s);
	make(&other, LIFE_OTHERS);
	life_close(life_open(&other, NULL));
	its = spooldir_load(other.path, &count);
	must(count >= at + 4096);
	bytes = spooldir_load(d->path, &count);
	memcpy(bytes + at, its + at, 4096);
	spooldir_store(d->path, bytes, count);
	free(bytes);
	free(its);
	spooldir_remove(&other);
}

/* A run that died when it had said what it sets aside, and had moved nothing yet. */
static void about_to_be_aside(const struct spooldir *d)
{
	harm_whole_head(d);
	for (uint64_t n = 1; access(spooldir_file(d, ".aside"), F_OK) != 0; n++) {
		struct store_options o = spooldir_options(d);
		struct store *s = NULL;
		struct error e;

		faultfs_arm(FAULTFS_RENAME, n, EIO, true);
		must(store_open(&o, &s, NULL, &e) != ERR_OK);
		faultfs_arm(0, 0, 0, false);
	}
}

/* What another's run said so. */
static void another_about_to_be_aside(const struct spooldir *d)
{
	static const char intent[] = ".quarantine-20260101T000000Z-000 00112233445566778899aabbccddeeff";

	spooldir_store(spooldir_file(d, ".aside"), intent, sizeof intent - 1);
}

/* Of another database: ours never has one. */
static void a_journal(const struct spooldir *d)
{
	static const unsigned char head[512] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7, 0, 0, 0, 1};

	spooldir_store(spooldir_file(d, "-journal"), head, sizeof head);
}

static void no_file(const struct spooldir *d) { must(unlink(d->path) == 0); }

static void nothing(const struct spooldir *d)
{
	struct spooldir old = *d;

	spooldir_remove(&old);
	must(mkdir(d->dir, 0700) == 0);
}

static void leave(const struct spooldir *d) { (void)d; }

static const struct harm {
	const char *name;
	void (*make)(const struct spooldir *d);
	bool files, sql; /* what fails: operations on files, calls of SQLite */
} harms[] = {
    {"a harmed log", harm_log, true, false}, /* first: what its reads are called by is what matters least */
    {"whole", leave, true, false},
    {"another's log", another_log, true, false},
    {"a journal of SQLite's", a_journal, true, false},
    {"another about to be set aside", another_about_to_be_aside, true, false},
    {"another's database", another_database, true, false},
    {"ours set aside beside another's log", aside_with_anothers_log, true, false},
    {"no database", no_file, true, false},
    {"a log alone", log_alone, true, false},
    {"marks lost", harm_marks, false, true},
    {"a mark's bit", harm_bit, false, true},
    {"set aside", set_aside, false, true},
    {"failures lost", harm_failures, false, true},
    {"keys and clock lost", harm_keys, false, true},
    {"the ledger's row lost", harm_ledger, false, true},
    {"ids that nobody gave out", harm_ids, false, true},
    {"about to be set aside", about_to_be_aside, true, true},
    {"a head of another's", harm_head, true, false},
    {"another's ledger", another_ledger, true, true},
    {"another's file set aside", another_aside, true, true},
    {"nothing", nothing, true, true},
};

static enum err start(const struct spooldir *d, struct text *t, struct error *e)
{
	struct store_options o = spooldir_options(d);
	struct store_report report;
	struct store *s = NULL;
	enum err err = store_open(&o, &s, &report, e);

	if (err == ERR_FULL && access(spooldir_file(d, ".reserve"), F_OK) == 0)
		fail_msg("there is a reserve: %s", e->text);
	if (err != ERR_OK)
		return err;
	err = bring_back(s, e);
	say(t, "%s\n%llu %llu %d %d", report.warning, (unsigned long long)report.rows,
	    (unsigned long long)report.missing_rows, report.strangers, report.quarantined);
	if (err == ERR_OK)
		return store_close(s, e);
	store_abandon(s);
	return err;
}

static const unsigned char reserve[65536];

struct fault {
	const char *name;
	unsigned kinds; /* 0: calls of SQLite */
	int code;
	bool has_reserve;
};

/* It is given up when the disk is full, and what failed is tried again. */
static enum err run(const struct spooldir *d, const struct fault *f, uint64_t n, struct text *answer, struct error *e,
                    bool *ret_failed)
{
	enum err err;

	*answer = (struct text){0};
	*e = (struct error){0};
	if (f->has_reserve)
		spooldir_store(spooldir_file(d, ".reserve"), reserve, sizeof reserve);
	if (f->kinds)
		faultfs_arm(f->kinds, n, f->code, false);
	else
		faultsql_arm(n, f->code, false);
	err = start(d, answer, e);
	*ret_failed = f->kinds ? faultfs_failed() > 0 : faultsql_failed();
	faultfs_arm(0, 0, 0, false);
	faultsql_arm(0, 0, false);
	return err;
}

/* A set that could not be read was put off, and what its keys kept back was counted until it came back. */
static void forgive_possible(struct text *is, const struct text *want)
{
	static const char word[] = " possible ";
	char *mine = strstr(is->bytes, word);
	const char *its = strstr(want->bytes, word);
	unsigned long long more, least;

	assert_true(mine && its);
	more = strtoull(mine + sizeof word - 1, NULL, 10);
	least = strtoull(its + sizeof word - 1, NULL, 10);
	if (more > least && more < 10 && least < 10)
		mine[sizeof word - 1] = its[sizeof word - 1];
}

/* What failed half way is moved away once more. */
static void forgive_files(struct text *is, const struct text *want)
{
	char *mine = strstr(is->bytes, " aside ");
	const char *its = strstr(want->bytes, " aside ");

	assert_true(mine && its);
	if (mine[7] > its[7] && mine[8] == '\0')
		mine[7] = its[7];
}

/* What failed is a disk, or has no room, or no memory: nothing is damaged, and no one asked for anything wrong. */
static bool is_of_environment(enum err err)
{
	return err == ERR_DISK || err == ERR_FULL || err == ERR_NOSPACE || err == ERR_MEMORY || err == ERR_ENVIRONMENT;
}

/* False: nothing failed. */
static bool try(const struct spooldir *from, const struct harm *h, const struct fault *f, uint64_t n,
                const struct text *want)
{
	static struct text answer, is;
	struct spooldir d;
	struct error e;
	static int tries;
	const bool is_told = ++tries % TOLD_EACH == 0;
	bool failed, looks;
	enum err err;

	spooldir_make(&d);
	spooldir_copy(from, &d);
	err = run(&d, f, n, &answer, &e, &failed);
	ERRORWATCH_EXPECT(err, &e, answer.bytes, h->name, n);
	if (err != ERR_OK && (!failed || !is_of_environment(err) || e.code != err || e.text[0] == '\0'))
		fail_msg("%s, %s %llu: error %d: %s", h->name, f->name, (unsigned long long)n, (int)err, e.text);
	looks =
	    !(f->has_reserve && err == ERR_FULL) && /* the attempts of what comes back later are not known any more */
	    (err == ERR_OK || is_told) &&
	    (f->kinds != FAULTFS_READ || !strstr(faultfs_what(), "quarantine")); /* of these a part may be left out */
	if (looks)
		tell(&d, &is);
	if (looks && f->kinds)
		forgive_possible(&is, want);
	if (looks && f->has_reserve)
		forgive_files(&is, want);
	if (looks && strcmp(is.bytes, want->bytes) != 0)
		fail_msg("%s, %s %llu (%s, error %d): it is\n%s\nand not\n%s", h->name, f->name, (unsigned long long)n,
		         f->kinds ? faultfs_what() : faultsql_what(), (int)err, is.bytes, want->bytes);
	spooldir_remove(&d);
	return failed;
}

static const struct fault faults[] = {
    [START_READS] = {"read", FAULTFS_READ, EIO, false},
    [START_CALLS] = {"call", 0, SQLITE_NOMEM, false},
    [START_OPERATIONS] = {"operation", FAULTFS_ALL & ~(unsigned)FAULTFS_READ, EIO, true},
    [START_FULL] = {"change of a full disk", FAULTFS_CHANGES, ENOSPC, true},
};

/* Not `is_ours`: another program tries it, and what it calls is not tried again here. */
static void try_all(const struct spooldir *from, const struct harm *h, const struct fault *f, bool is_ours)
{
	static struct text clean, want;
	uint64_t n, tried = 0;
	struct spooldir d;
	struct error e;
	bool failed;

	spooldir_make(&d);
	spooldir_copy(from, &d);
	faultpoints_note();
	assert_int_equal(run(&d, f, FAULTPOINTS_NONE, &clean, &e, &failed), ERR_OK);
	faultpoints_end();
	if (is_ours)
		tell(&d, &want);
	spooldir_remove(&d);
	if (!is_ours)
		return;
	for (n = faultpoints_next(0); n <= faultpoints_count(); n = faultpoints_next(n)) {
		failed = try(from, h, f, n, &want);
		assert_true(failed || f->has_reserve); /* a full disk lets some operations pass */
		tried++;
	}
	assert_false(try(from, h, f, n, &want));
	print_message("%s: %llu of %llu %ss\n", h->name, (unsigned long long)tried, (unsigned long long)n, f->name);
}

static bool is_hit(const struct harm *h, enum start_fault fault) { return faults[fault].kinds ? h->files : h->sql; }

void starts_try(enum start_fault fault, size_t part, size_t parts)
{
	struct spooldir whole;
	size_t count = 0, nth = 0;

	for (size_t h = 0; h < sizeof harms / sizeof *harms; h++)
		count += is_hit(&harms[h], fault);
	make(&whole, 0);
	faultpoints_forget();
	for (size_t h = 0; h < sizeof harms / sizeof *harms; h++) {
		struct spooldir from;
		size_t its_part;

		if (!is_hit(&harms[h], fault))
			continue;
		its_part = nth++ * parts / count;
		if (its_part > part)
			break;
		spooldir_make(&from);
		spooldir_copy(&whole, &from);
		harms[h].make(&from);
		try_all(&from, &harms[h], &faults[fault], its_part == part);
		spooldir_remove(&from);
	}
	spooldir_remove(&whole);
}
