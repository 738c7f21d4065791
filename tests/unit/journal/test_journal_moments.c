/*
 * What may come at any moment comes at every one: settlements while a damaged file is set aside and read back, files
 * taken away while offers are written into them. The journal's thread looks at its clock often; each look is a moment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/metrics.h"
#include "rig/lives.h"
#include "rig/one_journal.h"

/* More than one step of reading back takes; what delivery has comes back with the last one, too. */
enum { ROWS = 4600, HANDED = 4500, STOLEN = 50, MOMENTS_MAX = 2000, LOOK_MS = 1100 };

static uint64_t moment; /* so many looks from now on; 0: never */
static void (*act)(void);
static int times_damaged;

static void at_a_look(void)
{
	if (moment > 0 && --moment == 0)
		act();
}

static void come_at(uint64_t n, void (*what)(void))
{
	moment = n;
	act = what;
	steps.each_look = at_a_look;
}

static void count_damage(const struct error *why, const struct store_report *report)
{
	(void)why;
	assert_true(report->quarantined);
	times_damaged++;
}

static void settle_range(uint64_t first, uint64_t last)
{
	struct store_settlements *group = store_settlements_new((uint32_t)(last - first + 1));

	for (uint64_t id = first; id <= last; id++)
		group->items[group->count++] =
		    (struct store_settlement){.id = id, .kind = SETTLE_DELIVERED, .sent = true};
	must(journal_settle(j, group));
}

static void settle_most(void)
{
	settle_range(1, STOLEN - 1);
	settle_range(STOLEN + 1, HANDED - 10);
}

/* *ret_came: they came before it was all over. */
static void settle_while_damaged(uint64_t n, bool *ret_came)
{
	bool seen[ROWS + 1] = {false};
	struct store_state state;
	uint32_t count;

	times_damaged = 0;
	o.on_damaged = count_damage;
	begin();
	credit(HANDED, 1 << 30);
	for (uint64_t first = 1; first < ROWS; first += 460)
		offer(first, 460, 20);
	assert_int_equal(take(ids), HANDED);
	spooldir_lose_in(j->store->db, STOLEN);
	come_at(n, settle_most);
	steps.tick_ns = LOOK_MS * NS_PER_MS;
	settle(STOLEN, 1, SETTLE_DELIVERED, 0);
	steps_advance(5000);
	*ret_came = moment == 0;
	if (!*ret_came)
		settle_most();
	moment = 0;
	steps.each_look = NULL;
	steps.tick_ns = 0;
	steps_advance(5000);
	credit(ROWS, 1 << 30);
	count = take(ids);
	assert_int_equal(count, ROWS - HANDED);
	for (uint32_t i = 0; i < count; i++) {
		assert_in_range(ids[i], HANDED + 1, ROWS);
		assert_false(seen[ids[i]]);
		seen[ids[i]] = true;
	}
	settle(HANDED - 9, 10, SETTLE_DELIVERED, 0);
	settle(HANDED + 1, ROWS - HANDED, SETTLE_DELIVERED, 0);
	steps_advance(1000);
	store_state(j->store, &state);
	life_expect(j->store, ROWS, ROWS - 1, 0, 1);
	assert_int_equal(state.unexpected_settlements, 1); /* the stolen one */
	assert_int_equal(times_damaged, 1);
	assert_true(journal_is_empty(j));
	assert_int_equal(take(ids), 0);
	end();
}

static void settlements_come_while_a_file_is_set_aside(void **state)
{
	bool came = true;
	uint64_t n;

	(void)state;
	for (n = 1; came; n += n < 20 ? 1 : 9) {
		assert_true(n < MOMENTS_MAX);
		settle_while_damaged(n, &came);
	}
	assert_true(n > 20);
}

static void take_away(void)
{
	char to[400];

	(void)snprintf(to, sizeof to, "%s.gone", d.path);
	must(rename(d.path, to) == 0);
}

/* Refused though it was written: it may be sent still, and who brings it elsewhere brings it twice. */
static void files_go_while_an_offer_is_written(void **state)
{
	uint32_t refused_and_written = 0, refused = 0, accepted = 0;
	bool came = true;

	(void)state;
	for (uint64_t n = 1; came; n++) {
		const int64_t metric = metric_get(M_POSSIBLE_DUPLICATES);
		uint64_t written, possible;
		struct error e;

		assert_true(n < MOMENTS_MAX);
		begin();
		offer(1, 10, 10);
		steps_advance(2000);
		come_at(n, take_away);
		must(journal_offer(j, rig_offer(11, 5, 10, &a)));
		steps_run();
		came = moment == 0;
		moment = 0;
		steps.each_look = NULL;
		assert_int_equal(journal_intake_run(j), 1);
		written = store_ledger(j->store)->accepted - 10;
		possible = (uint64_t)(metric_get(M_POSSIBLE_DUPLICATES) - metric);
		assert_int_equal(atomic_load(&journal_flight(j)->possible), possible);
		assert_true(written == 0 || written == 5);
		if (a.last == OFFER_ACCEPTED) {
			assert_int_equal(written, 5);
			assert_int_equal(possible, 0);
			accepted++;
		} else {
			assert_int_equal(possible, written);
			assert_true(came);
			refused++;
			refused_and_written += written > 0;
		}
		credit(20, 1 << 20);
		assert_int_equal(take(ids), 10 + written);
		steps_advance(3000); /* noticed, whenever it was */
		assert_int_equal(journal_stop(j, &e), came ? ERR_DISK : ERR_OK);
		spooldir_remove(&d);
		o = (struct journal_options){0};
	}
	print_message("%u accepted, %u refused, %u of them written\n", accepted, refused, refused_and_written);
	assert_true(accepted > 0 && refused > refused_and_written && refused_and_written > 0);
}

/* Nobody knows how far it was read before. */
static void what_may_repeat_is_counted(void **state)
{
	const int64_t before = metric_get(M_POSSIBLE_DUPLICATES);
	struct offer *again;

	(void)state;
	begin();
	offer(1, 10, 10);
	again = rig_offer(11, 7, 10, &a);
	again->may_repeat = true;
	must(journal_offer(j, again));
	steps_run();
	(void)journal_intake_run(j);
	assert_int_equal(a.accepted, 2);
	assert_int_equal(metric_get(M_POSSIBLE_DUPLICATES) - before, 7);
	assert_int_equal(atomic_load(&journal_flight(j)->possible), 7);
	assert_int_equal(store_possible_duplicates(j->store), 7);
	end();
}

/* They are with the service: whatever became of them must be counted as that. */
static void what_delivery_has_is_not_evicted(void **state)
{
	uint64_t evicted;
	uint32_t count;

	(void)state;
	begin();
	credit(4, 1 << 20);
	offer(1, 10, 1000);
	assert_int_equal(take(ids), 4);
	store_reconfigure(j->store,
	                  &(struct store_options){.max_bytes = store_pending_bytes(j->store), .evict_oldest = true});
	offer(11, 3, 1000);
	assert_int_equal(a.accepted, 2);
	evicted = store_ledger(j->store)->evicted;
	assert_in_range(evicted, 3, 5);
	settle(1, 4, SETTLE_DELIVERED, 0);
	steps_advance(1000);
	assert_int_equal(store_ledger(j->store)->delivered, 4);
	assert_int_equal(j->store->unexpected_settlements, 0);
	credit(20, 1 << 20);
	count = take(ids);
	assert_int_equal(count, 9 - evicted);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(ids[i], 5 + evicted + i);
	end();
}

/* Found by a read, with no group open: what is held goes on into the new files. */
static void what_is_held_when_damage_is_found_is_settled(void **state)
{
	enum { ALL = 20, OUT = 8, MORE = 10 };

	(void)state;
	times_damaged = 0;
	o.on_damaged = count_damage;
	begin();
	credit(OUT, 1 << 30);
	offer(1, ALL, 20);
	assert_int_equal(take(ids), OUT);
	j->store->now.next_id = j->store->durable.next_id = ALL - 4; /* the next block has ids of this one */
	offer(ALL + 1, MORE, 20);
	settle(1, 3, SETTLE_DELIVERED, 0);
	assert_int_equal(j->held_count, 1);
	credit(2 * ALL, 1 << 30);
	assert_int_equal(times_damaged, 1);
	assert_int_equal(j->held_count, 0);
	assert_int_equal(j->held_rows, 0);
	assert_int_equal(j->held_bytes, 0);
	life_expect(j->store, ALL + MORE, 3, ALL + MORE - 3, 0); /* at once, when all is read back */
	steps_advance(5000);
	life_expect(j->store, ALL + MORE, 3, ALL + MORE - 3, 0);
	end();
}

/* Not gone, but cut or written over: what it holds is not to be trusted, and the next start judges it. */
static void a_file_that_is_cut_ends_the_process(void **state)
{
	static const char *const suffixes[] = {"", "-wal"};

	(void)state;
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		struct spooldir mine;
		pid_t child;
		int status;

		spooldir_make(&mine);
		child = fork();
		if (child == 0) {
			(void)freopen("/dev/null", "w", stderr);
			o.store = spooldir_options(&mine);
			j = steps_start(&o, NULL);
			steps_run();
			offer(1, 50, 2000);
			steps_advance(3000);
			must(truncate(spooldir_file(&mine, suffixes[i]), 4096) == 0);
			offer(51, 1, 20);
			steps_advance(3000);
			_exit(1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 74);
		spooldir_remove(&mine);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(settlements_come_while_a_file_is_set_aside),
	    cmocka_unit_test(what_is_held_when_damage_is_found_is_settled),
	    cmocka_unit_test(a_file_that_is_cut_ends_the_process),
	    cmocka_unit_test(files_go_while_an_offer_is_written),
	    cmocka_unit_test(what_may_repeat_is_counted),
	    cmocka_unit_test(what_delivery_has_is_not_evicted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
