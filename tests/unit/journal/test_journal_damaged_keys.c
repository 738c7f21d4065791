/*
 * A commit that meets damage is made once more, into new files. What of an offer was filtered was so for what the first
 * try held: such an offer is refused, and comes again; the others of the same commit are written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "rig/journal_steps.h"

enum { HOUR_MS = 3600 * 1000 };

static int lies_in; /* rows that a statement changed: so many are told, then one answer is one too few */
static bool has_lied;

/* In the place of SQLite's own. */
int sqlite3_changes(sqlite3 *db)
{
	const int changes = ((__typeof__(&sqlite3_changes))dlsym(RTLD_NEXT, "sqlite3_changes"))(db);

	if (lies_in == 0 || changes == 0 || --lies_in > 0)
		return changes;
	has_lied = true;
	return changes - 1;
}

struct fate {
	int heard;
	enum offer_verdict verdict;
	uint32_t count, filtered;
	enum err err;
};

static void decided(struct offer *offer, void *arg)
{
	struct fate *f = arg;

	f->heard++;
	f->verdict = offer->verdict;
	f->count = offer->count;
	f->filtered = offer->filtered;
	f->err = offer->verdict == OFFER_ACCEPTED ? ERR_OK : offer->error.code;
	free(offer);
}

/* A message a letter, which is its key; '.' has none. */
static struct offer *offer_of(const char *keys, struct fate *f)
{
	struct offer *offer = mem_zero(sizeof *offer);

	*f = (struct fate){0};
	STAILQ_INIT(&offer->messages);
	STAILQ_INIT(&offer->set_aside);
	for (; *keys; keys++) {
		struct message *m = spooldir_message(offer->count + 1, 50);
		struct origin *below = origin_new(0);

		if (*keys != '.')
			message_set_origin(m, origin_with_key(below, "one", HOUR_MS, keys, 1));
		origin_unref(below);
		offer->count++;
		offer->bytes += message_cost(m);
		STAILQ_INSERT_TAIL(&offer->messages, m, link);
	}
	offer->done = decided;
	offer->arg = f;
	return offer;
}

static void what_was_filtered_comes_again(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct fate first, known, other;
	struct journal *j;
	uint64_t ids[3];

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = steps_start(&o, NULL);
	must(journal_offer(j, offer_of("abd", &first)));
	journal_credit(j, 3, 1 << 20);
	steps_run();
	(void)journal_intake_run(j);
	assert_true(first.heard == 1 && first.verdict == OFFER_ACCEPTED);
	rig_take_ids(j, ids, 3);
	rig_settle_ids(j, ids, 1, SETTLE_DEAD, 0);
	steps_run();
	/* That the second has left is marked by the commit, behind the offers: the key c is one row, the mark the next.
	 */
	must(journal_offer(j, offer_of("ac", &known)));
	must(journal_offer(j, offer_of("..", &other)));
	rig_settle_ids(j, ids + 1, 2, SETTLE_EXPIRED, 0);
	has_lied = false;
	lies_in = 2;
	steps_run();
	lies_in = 0;
	(void)journal_intake_run(j);
	assert_true(has_lied);
	assert_int_equal(other.heard, 1);
	assert_int_equal(other.verdict, OFFER_ACCEPTED);
	assert_int_equal(other.count, 2);
	assert_int_equal(known.heard, 1);
	assert_int_equal(known.verdict, OFFER_FAILED);
	assert_int_equal(known.err, ERR_DAMAGED);
	assert_int_equal(store_ledger(j->store)->accepted, 3 + 2);
	assert_int_equal(store_ledger(j->store)->filtered, 0);
	must(journal_offer(j, offer_of("ac", &known))); /* all is read back */
	steps_advance(1000);
	(void)journal_intake_run(j);
	assert_int_equal(known.verdict, OFFER_ACCEPTED);
	assert_int_equal(known.filtered, 1);
	assert_int_equal(store_ledger(j->store)->accepted, 3 + 2 + 2);
	assert_int_equal(store_ledger(j->store)->filtered, 1);
	rig_stop(j);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_filtered_comes_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
