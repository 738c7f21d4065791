/*
 * The process ended between its last commit and PATH.tide: what was committed then nobody heard of, and it may go out.
 * But when a page is damaged before the next start, it hides none of those that are missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "rig/spooldir.h"
#include "store/store_internal.h"

enum { BYTES = 300, GROUPS = 15, IN_GROUP = 20, HEARD = GROUPS * IN_GROUP, UNHEARD = 60, NEW = 40, PAGE = 4096 };

#define BEGAN_MS INT64_C(1700000000000) /* spooldir_message(0) */

/* In the place of the C library's: what a start may take for reading back has passed when it is asked for. */
static time_t passed_s, step_s;

int clock_gettime(clockid_t id, struct timespec *ret)
{
	const int rc = (int)syscall(SYS_clock_gettime, id, ret);

	if (id == CLOCK_MONOTONIC)
		ret->tv_sec += passed_s += step_s;
	return rc;
}

static struct error local;
static struct error *const e = &local;
static struct spooldir d;

static void ok(enum err err)
{
	if (err != ERR_OK)
		fail_msg("%s", local.text);
}

static struct store *open_it(void)
{
	struct store_options o = spooldir_options(&d);
	struct store *s = NULL;

	ok(store_open(&o, &s, NULL, e));
	return s;
}

/* Messages n to n + count - 1. `waits`: the row of the ledger stays behind. */
static void append(struct store *s, uint64_t n, uint32_t count, bool waits)
{
	ok(store_begin(s, e));
	if (waits)
		store_let_ledger_wait(s);
	for (uint32_t i = 0; i < count; i++) {
		struct message *m = spooldir_message(n + i, BYTES);

		ok(store_append(s, m, e));
		message_free(m);
	}
	ok(store_commit(s, e));
}

/* Two lives: the second is killed with UNHEARD committed that PATH.tide does not know. */
static void live(bool in_log, bool waits)
{
	struct store *s = open_it();
	unsigned char *tide;
	size_t bytes;

	for (int i = 0; i < GROUPS / 2; i++)
		append(s, 1 + (uint64_t)i * IN_GROUP, IN_GROUP, false);
	ok(store_close(s, e));
	s = open_it();
	for (int i = GROUPS / 2; i < GROUPS; i++)
		append(s, 1 + (uint64_t)i * IN_GROUP, IN_GROUP, waits);
	if (!in_log)
		ok(store_checkpoint(s, true, e));
	tide = spooldir_load(spooldir_file(&d, ".tide"), &bytes);
	append(s, HEARD + 1, UNHEARD, waits);
	store_abandon(s);
	spooldir_store(spooldir_file(&d, ".tide"), tide, bytes);
	free(tide);
}

static uint32_t pages(void)
{
	size_t bytes;

	free(spooldir_load(d.path, &bytes));
	return (uint32_t)(bytes / PAGE);
}

/* Zeros, or the next page, where page n was. */
static void harm(uint32_t n, bool exchange)
{
	size_t bytes;
	unsigned char *all = spooldir_load(d.path, &bytes), *page = all + (size_t)n * PAGE, kept[PAGE];

	memcpy(kept, page, PAGE);
	if (exchange) {
		memcpy(page, page + PAGE, PAGE);
		memcpy(page + PAGE, kept, PAGE);
	} else {
		memset(page, 0, PAGE);
	}
	spooldir_store(d.path, all, bytes);
	free(all);
}

static uint32_t count_here(struct store *s, bool *ret_has)
{
	uint64_t after = 0, last = 0;
	uint32_t count, all = 0;

	do {
		struct message_list list = STAILQ_HEAD_INITIALIZER(list);
		const struct message *m;

		ok(store_read(s, after, 512, 1 << 30, &list, &count, &last, e));
		STAILQ_FOREACH (m, &list, link) {
			const uint64_t n = (uint64_t)(m->received_ms - BEGAN_MS);

			assert_true(n >= 1 && n <= HEARD + UNHEARD + NEW && !ret_has[n]);
			ret_has[n] = true;
			all++;
		}
		message_list_free(&list);
		after = last;
	} while (count > 0);
	return all;
}

/* What is missing of what was heard, and nothing else, is damaged. */
static void expect(struct store *s, uint32_t new, const char *what, uint32_t page)
{
	static bool has[HEARD + UNHEARD + NEW + 1];
	const struct store_ledger *l = store_ledger(s);
	uint32_t all, missing = 0, came = 0;

	memset(has, 0, sizeof has);
	all = count_here(s, has);
	for (uint32_t n = 1; n <= HEARD; n++)
		missing += !has[n];
	for (uint32_t n = HEARD + 1; n <= HEARD + UNHEARD; n++)
		came += has[n];
	for (uint32_t n = HEARD + UNHEARD + 1; n <= HEARD + UNHEARD + new; n++)
		missing += !has[n];
	if (l->pending != all || l->damaged < missing || l->damaged > missing + UNHEARD - came ||
	    l->accepted != l->pending + l->delivered + l->damaged || l->delivered != 0)
		fail_msg("%s, page %u: %u missing, %u of %u unheard came, accepted %llu pending %llu delivered %llu"
		         " damaged %llu",
		         what, page, missing, came, UNHEARD, (unsigned long long)l->accepted,
		         (unsigned long long)l->pending, (unsigned long long)l->delivered,
		         (unsigned long long)l->damaged);
}

static void read_back(struct store *s)
{
	uint64_t first, last;
	bool more = true;

	while (more)
		ok(store_salvage(s, 1024, &first, &last, &more, e));
}

static void it_hides_none_that_is_missing(void **state)
{
	(void)state;
	for (int way = 0; way < 8; way++) {
		const bool exchange = way & 1, in_log = way & 2, waits = way & 4;
		uint32_t count;

		spooldir_make(&d);
		live(in_log, waits);
		count = pages();
		spooldir_remove(&d);
		for (uint32_t page = 1; page + exchange < count; page++) {
			struct store *s;

			spooldir_make(&d);
			live(in_log, waits);
			harm(page, exchange);
			s = open_it();
			read_back(s);
			expect(s, 0, exchange ? "exchanged" : "zeros", page);
			ok(store_close(s, e));
			spooldir_remove(&d);
		}
	}
}

/* Killed while it is read back, with messages of the new file between: which ids were known stays known. */
static void the_next_start_knows_it_still(void **state)
{
	uint32_t count, begun = 0;

	(void)state;
	spooldir_make(&d);
	live(true, true);
	count = pages();
	spooldir_remove(&d);
	for (uint32_t page = 1; page < count; page += 3) {
		uint64_t first, last;
		struct store *s;
		bool more;

		spooldir_make(&d);
		live(true, true);
		harm(page, false);
		step_s = 2;
		s = open_it();
		step_s = 0;
		begun += store_ledger(s)->pending == 0;
		for (uint32_t i = 0; i < page % 4; i++)
			ok(store_salvage(s, 1, &first, &last, &more, e));
		append(s, HEARD + UNHEARD + 1, NEW, true);
		store_abandon(s);
		s = open_it();
		read_back(s);
		expect(s, NEW, "zeros", page);
		ok(store_close(s, e));
		spooldir_remove(&d);
	}
	assert_true(begun > 5); /* set aside, and nothing of it was read in the first start */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_hides_none_that_is_missing),
	    cmocka_unit_test(the_next_start_knows_it_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
