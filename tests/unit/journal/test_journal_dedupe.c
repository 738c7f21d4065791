/* Keys of messages: one is remembered if and only if its message is durable, wherever the duplicates meet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "rig/crashvfs.h"
#include "rig/journalrig.h"

enum { HOUR_MS = 3600 * 1000 };

/* What became of a keyed offer. */
struct fate {
	struct answers answers;
	uint32_t count, filtered;
};

static void decided(struct offer *offer, void *arg)
{
	struct fate *f = arg;

	f->answers.count++;
	f->answers.last = offer->verdict;
	f->answers.first_id = offer->first_id;
	f->count = offer->count;
	f->filtered = offer->filtered;
	free(offer);
}

static void add_key(struct message *m, const char *cache, int64_t ttl_ms, const char *key, size_t bytes)
{
	struct origin *below = m->origin ? origin_ref(m->origin) : origin_new(0);

	message_set_origin(m, origin_with_key(below, cache, ttl_ms, key, bytes));
	origin_unref(below);
}

/* One message a word of `keys`; a word "a+b" has key a of cache one and key b of cache two, "." none. */
static struct offer *keyed_offer(const char *keys, int64_t ttl_ms, struct fate *f)
{
	struct offer *offer = mem_zero(sizeof *offer);
	char *copy = mem_string(keys), *rest = copy;

	*f = (struct fate){0};
	STAILQ_INIT(&offer->messages);
	STAILQ_INIT(&offer->set_aside);
	for (char *word = strsep(&rest, " "); word; word = strsep(&rest, " ")) {
		struct message *m = spooldir_message(offer->count + 1, 50);
		const bool has_none = strcmp(word, ".") == 0;
		char *plus = strchr(word, '+');

		if (plus)
			add_key(m, "two", ttl_ms, plus + 1, strlen(plus + 1));
		if (plus != word && !has_none)
			add_key(m, "one", ttl_ms, word, plus ? (size_t)(plus - word) : strlen(word));
		offer->count++;
		offer->bytes += message_cost(m);
		STAILQ_INSERT_TAIL(&offer->messages, m, link);
	}
	free(copy);
	offer->done = decided;
	offer->arg = f;
	return offer;
}

static void wait_for(struct journal *j, struct fate *f)
{
	while (f->answers.count == 0) {
		rig_wait_fd(journal_intake_fd(j));
		(void)journal_intake_run(j);
	}
}

static void expect(struct journal *j, const char *keys, int64_t ttl_ms, uint32_t kept, uint32_t filtered)
{
	struct fate f;

	must(journal_offer(j, keyed_offer(keys, ttl_ms, &f)));
	wait_for(j, &f);
	assert_int_equal(f.answers.last, OFFER_ACCEPTED);
	assert_int_equal(f.count, kept);
	assert_int_equal(f.filtered, filtered);
}

static struct store_ledger seen;
static void note_ledger(struct store *s) { seen = *store_ledger(s); }

static void expect_ledger(struct journal *j, uint64_t pending, uint64_t filtered)
{
	rig_on_journal_thread(j, note_ledger);
	assert_int_equal(seen.pending, pending);
	assert_int_equal(seen.filtered, filtered);
	assert_int_equal(seen.accepted, pending + filtered);
}

static void duplicates_are_filtered_wherever_they_meet(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct fate first, second;
	struct journal *j;
	uint64_t ids[8];

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	expect(j, "a b a c a", HOUR_MS, 3, 2); /* within one offer */
	/* Across offers; most often they share a group. */
	must(journal_offer(j, keyed_offer("d a", HOUR_MS, &first)));
	must(journal_offer(j, keyed_offer("e d d", HOUR_MS, &second)));
	wait_for(j, &first);
	wait_for(j, &second);
	assert_int_equal(first.count + second.count, 2);
	assert_int_equal(first.filtered + second.filtered, 3);
	expect(j, "a b c d e", HOUR_MS, 0, 5); /* an offer of which nothing is left */
	expect_ledger(j, 5, 10);
	journal_credit(j, 8, 1 << 20);
	rig_take_ids(j, ids, 5); /* ids have no gaps, and what was filtered is not handed on */
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(ids[i], i + 1);
	rig_settle_ids(j, ids, 5, SETTLE_DELIVERED, 0);
	rig_wait_empty(j);
	rig_stop(j);
	j = rig_start(&o, NULL);
	expect(j, "a e f", HOUR_MS, 1, 2); /* after a restart, also those that were delivered */
	rig_stop(j);
	spooldir_remove(&d);
}

/* What has no key is none's duplicate, whatever it comes with. */
static void what_has_no_key_is_kept(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct journal *j;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	expect(j, ". a . a .", HOUR_MS, 4, 1);
	expect(j, "a . b+c .", HOUR_MS, 3, 1);
	expect(j, ". .", HOUR_MS, 2, 0);
	expect_ledger(j, 9, 2);
	rig_stop(j);
	spooldir_remove(&d);
}

static void a_duplicate_leaves_no_key_behind(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct journal *j;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	expect(j, "a+x", HOUR_MS, 1, 0);
	expect(j, "b+x", HOUR_MS, 0, 1); /* b's message is stored nowhere */
	expect(j, "b+y", HOUR_MS, 1, 0);
	expect(j, "+a +b", HOUR_MS, 2, 0); /* caches know nothing of each other */
	rig_stop(j);
	spooldir_remove(&d);
}

static void fill_the_disk(struct store *s)
{
	(void)s;
	crashvfs_fail(1, FAULT_ENOSPC, true);
}

static void empty_the_disk(struct store *s)
{
	(void)s;
	crashvfs_fail(0, FAULT_ENOSPC, false);
}

static void a_refused_group_forgets_its_keys(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct journal *j;
	struct fate f;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	o.store.vfs = CRASHVFS_NAME;
	j = rig_start(&o, NULL);
	expect(j, "a", HOUR_MS, 1, 0);
	rig_on_journal_thread(j, fill_the_disk);
	must(journal_offer(j, keyed_offer("a b c", HOUR_MS, &f)));
	wait_for(j, &f);
	assert_int_equal(f.answers.last, OFFER_FULL);
	rig_on_journal_thread(j, empty_the_disk);
	for (int i = 0; i < 200 && f.answers.last != OFFER_ACCEPTED; i++) {
		(void)usleep(10000);
		must(journal_offer(j, keyed_offer("a b c", HOUR_MS, &f)));
		wait_for(j, &f);
	}
	assert_int_equal(f.answers.last, OFFER_ACCEPTED);
	assert_int_equal(f.count, 2);
	assert_int_equal(f.filtered, 1);
	expect_ledger(j, 3, 1);
	rig_stop(j);
	spooldir_remove(&d);
}

static void keys_expire(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct fate f = {0};
	struct journal *j;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	expect(j, "a a", 100, 1, 1);
	expect(j, "b b", HOUR_MS, 1, 1);
	for (int i = 0; i < 10000 && f.count == 0; i++) { /* until its time is over */
		(void)usleep(1000);
		must(journal_offer(j, keyed_offer("a", HOUR_MS, &f)));
		wait_for(j, &f);
	}
	assert_int_equal(f.count, 1);
	expect(j, "a b", HOUR_MS, 0, 2);
	expect(j, "a", 0, 0, 1);
	rig_stop(j);
	spooldir_remove(&d);
}

static struct origin *key_below(struct origin *parent, const char *key)
{
	struct origin *o = origin_with_key(parent, "one", HOUR_MS, key, strlen(key));

	origin_unref(parent);
	return o;
}

/* Takes the origins over, a message for each. */
static void expect_origins(struct journal *j, struct origin **origins, size_t count, uint32_t kept, uint32_t filtered)
{
	struct offer *offer = mem_zero(sizeof *offer);
	struct fate f = {0};

	STAILQ_INIT(&offer->messages);
	STAILQ_INIT(&offer->set_aside);
	for (size_t i = 0; i < count; i++) {
		struct message *m = spooldir_message(i + 1, 50);

		message_set_origin(m, origins[i]);
		offer->count++;
		offer->bytes += message_cost(m);
		STAILQ_INSERT_TAIL(&offer->messages, m, link);
	}
	offer->done = decided;
	offer->arg = &f;
	must(journal_offer(j, offer));
	wait_for(j, &f);
	assert_int_equal(f.answers.last, OFFER_ACCEPTED);
	assert_int_equal(f.count, kept);
	assert_int_equal(f.filtered, filtered);
}

static void pieces_are_kept_or_filtered_together(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct journal *j;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	for (int time = 0; time < 2; time++) {
		struct origin *whole = key_below(origin_new(0), "a");
		struct origin *pieces[] = {whole, origin_ref(whole), origin_ref(whole)};

		expect_origins(j, pieces, 3, time == 0 ? 3 : 0, time == 0 ? 0 : 3);
	}
	/* pieces with keys of their own: a known one goes alone, and the whole's key is remembered by the other */
	{
		struct origin *whole = key_below(origin_new(0), "b");
		struct origin *pieces[] = {key_below(origin_ref(whole), "a"), key_below(origin_ref(whole), "c"),
		                           key_below(whole, "c")};

		expect_origins(j, pieces, 3, 1, 2);
		expect(j, "b c", HOUR_MS, 0, 2);
	}
	/* nothing of it was stored: its key is free */
	{
		struct origin *whole = key_below(origin_new(0), "d");
		struct origin *pieces[] = {key_below(origin_ref(whole), "a"), key_below(whole, "b")};

		expect_origins(j, pieces, 2, 0, 2);
		expect(j, "d", HOUR_MS, 1, 0);
	}
	rig_stop(j);
	spooldir_remove(&d);
}

static void what_was_joined_goes_when_all_of_it_is_known(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct journal *j;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	expect(j, "a b", HOUR_MS, 2, 0);
	for (int time = 0; time < 2; time++) {
		struct origin *parts[] = {key_below(origin_new(0), "a"), key_below(origin_new(0), "n")};
		struct origin *joined[] = {origin_join(parts, 2)};

		origin_unref(parts[0]);
		origin_unref(parts[1]);
		expect_origins(j, joined, 1, time == 0, time == 1);
	}
	/* one without a key is always new; a known part adds no key of its own */
	{
		struct origin *parts[] = {origin_new(0), key_below(key_below(origin_new(0), "a"), "x")};
		struct origin *joined[] = {origin_join(parts, 2)};

		origin_unref(parts[0]);
		origin_unref(parts[1]);
		expect_origins(j, joined, 1, 1, 0);
		expect(j, "x", HOUR_MS, 1, 0);
	}
	rig_stop(j);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(duplicates_are_filtered_wherever_they_meet),
	    cmocka_unit_test(what_has_no_key_is_kept),
	    cmocka_unit_test(a_duplicate_leaves_no_key_behind),
	    cmocka_unit_test(a_refused_group_forgets_its_keys),
	    cmocka_unit_test(keys_expire),
	    cmocka_unit_test(pieces_are_kept_or_filtered_together),
	    cmocka_unit_test(what_was_joined_goes_when_all_of_it_is_known),
	};

	crashvfs_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
