/* What the intake thread asks: pages of the shelf with their limits, one message or all, and how many may ask at once.
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
#include "base/metrics.h"
#include "journal/journal_questions.h"
#include "rig/one_journal.h"

static struct {
	int times;
	struct error error;
	uint64_t count, ids[32];
	size_t dead;
	char text[2000], position[50];
} heard;

static void hear(void *arg, const struct journal_answer *answer)
{
	size_t at = 0;

	assert_ptr_equal(arg, &heard);
	heard.times++;
	heard.error = answer->error;
	heard.count = answer->count;
	heard.dead = answer->dead_count;
	heard.text[0] = '\0';
	(void)snprintf(heard.position, sizeof heard.position, "%s", answer->position ? answer->position : "none");
	for (size_t i = 0; i < answer->dead_count; i++) {
		const struct store_dead *m = &answer->dead[i];

		heard.ids[i] = m->id;
		at +=
		    (size_t)snprintf(heard.text + at, sizeof heard.text - at, "%s|%s|%.*s|%zu/%zu;", m->code, m->reason,
		                     m->body ? (int)m->body_bytes : 4, m->body ? (const char *)m->body : "none",
		                     m->meta ? m->meta_bytes : 0, m->meta_bytes);
	}
}

/* Of an enquiry that was taken. */
static void answered(bool taken)
{
	const int before = heard.times;

	assert_true(taken);
	assert_int_equal(heard.times, before);
	assert_false(is_readable(journal_intake_fd(j)));
	steps_run();
	assert_true(is_readable(journal_intake_fd(j)));
	assert_int_equal(journal_intake_run(j), 1);
	assert_int_equal(heard.times, before + 1);
}

static void ask_page(struct journal_page page) { answered(journal_ask_dead(j, &page, hear, &heard)); }

/* Ten on the shelf: bodies of n bytes, odd ones with metadata. */
static void fill_the_shelf(void)
{
	struct offer *one = rig_offer(1, 0, 0, &a);

	for (uint64_t n = 1; n <= 10; n++) {
		char body[16] = "0123456789", reason[32];
		struct message *with = spooldir_message(n, 1), *m;

		m = message_new(n % 2 ? message_meta(with) : NULL, n % 2 ? with->meta_bytes : 0, body, n, 1);
		message_free(with);
		(void)snprintf(reason, sizeof reason, "why %d", (int)n);
		message_fail(m, NULL, reason);
		STAILQ_INSERT_TAIL(&one->set_aside, m, link);
		one->set_aside_count++;
	}
	must(journal_offer(j, one));
	steps_run();
	(void)journal_intake_run(j);
}

static void pages_of_the_shelf_have_limits(void **state)
{
	(void)state;
	begin();
	fill_the_shelf();
	ask_page((struct journal_page){.limit = 20, .max_bytes = 1000});
	assert_int_equal(heard.error.code, ERR_OK);
	assert_int_equal(heard.dead, 10);
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(heard.ids[i], i + 1);
	assert_non_null(strstr(heard.text, "set_aside|why 1|none|0/"));
	ask_page((struct journal_page){.limit = 3, .max_bytes = 1000, .with_body = true, .after_id = 1});
	assert_int_equal(heard.dead, 3);
	assert_int_equal(heard.ids[0], 2);
	assert_int_equal(heard.ids[2], 4);
	assert_non_null(strstr(heard.text, "set_aside|why 2|01|0/0;set_aside|why 3|012|"));
	assert_null(strstr(heard.text, "|0/1"));
	ask_page((struct journal_page){.limit = 1, .max_bytes = 0, .with_body = true, .after_id = 9});
	assert_int_equal(heard.dead, 1);
	ask_page((struct journal_page){.limit = 5, .max_bytes = 1000, .after_id = 10});
	assert_int_equal(heard.dead, 0);
	/* It ends with the one that passes the bytes: 2, 4, 6 have no metadata. */
	ask_page((struct journal_page){.id = 0, .after_id = 3, .limit = 5, .max_bytes = 4, .with_body = true});
	assert_int_equal(heard.dead, 2);
	ask_page((struct journal_page){.id = 0, .after_id = 3, .limit = 5, .max_bytes = 3, .with_body = true});
	assert_int_equal(heard.dead, 1);
	ask_page((struct journal_page){.id = 0, .after_id = 3, .limit = 5, .max_bytes = 0}); /* without bodies */
	assert_int_equal(heard.dead, 5);
	ask_page((struct journal_page){.id = 7, .limit = 0, .max_bytes = 100, .with_body = true});
	assert_int_equal(heard.dead, 1);
	assert_int_equal(heard.ids[0], 7);
	ask_page((struct journal_page){.id = 4711});
	assert_int_equal(heard.error.code, ERR_INPUT);
	assert_non_null(strstr(heard.error.text, "4711"));
	end();
}

static void one_is_retried_or_purged_or_all(void **state)
{
	(void)state;
	begin();
	fill_the_shelf();
	answered(journal_retry_dead(j, 3, hear, &heard));
	assert_int_equal(heard.error.code, ERR_OK);
	assert_int_equal(heard.count, 1);
	answered(journal_purge_dead(j, 4, hear, &heard));
	assert_int_equal(heard.count, 1);
	ask_page((struct journal_page){.limit = 20, .max_bytes = 1000});
	assert_int_equal(heard.dead, 8);
	assert_int_equal(heard.ids[2], 5);
	assert_int_equal(metric_get(M_LEDGER_PENDING), 1);
	assert_int_equal(metric_get(M_LEDGER_PURGED), 1);
	answered(journal_purge_dead(j, 4, hear, &heard));
	assert_int_equal(heard.error.code, ERR_INPUT);
	answered(journal_retry_dead(j, 4, hear, &heard));
	assert_int_equal(heard.error.code, ERR_INPUT);
	credit(10, 1 << 20); /* what was retried comes */
	assert_int_equal(take(ids), 1);
	answered(journal_retry_dead(j, 0, hear, &heard));
	assert_int_equal(heard.count, 8);
	assert_int_equal(take(ids), 8);
	fill_the_shelf();
	answered(journal_purge_dead(j, 0, hear, &heard));
	assert_int_equal(heard.count, 10);
	assert_int_equal(metric_get(M_LEDGER_DEAD), 0);
	end();
}

static void so_many_may_ask_at_once(void **state)
{
	struct offer *one;

	(void)state;
	begin();
	heard.times = 0;
	answered(journal_ask_position(j, "key", hear, &heard));
	assert_string_equal(heard.position, "none");
	one = rig_offer(1, 0, 0, &a);
	one->position_key = mem_string("key");
	one->position = mem_string("77");
	must(journal_offer(j, one));
	for (int i = 0; i < 64; i++)
		assert_true(journal_ask_position(j, "key", hear, &heard));
	assert_false(journal_ask_position(j, "key", hear, &heard));
	assert_false(journal_export(j, "/nowhere/at/all", hear, &heard));
	steps_run();
	assert_int_equal(lane_count(j->questions_done), 64);
	assert_false(journal_ask_position(j, "key", hear, &heard)); /* until they were heard */
	assert_int_equal(journal_intake_run(j), 65);
	assert_int_equal(heard.times, 65);
	assert_string_equal(heard.position, "77");
	answered(journal_export(j, "/nowhere/at/all", hear, &heard));
	assert_int_not_equal(heard.error.code, ERR_OK);
	/* What is held is committed before the question looks. */
	hand_out(3);
	settle(1, 1, SETTLE_DELIVERED, 0);
	assert_int_equal(j->held_count, 1);
	answered(journal_ask_position(j, "key", hear, &heard));
	assert_int_equal(j->held_count, 0);
	settle(2, 1, SETTLE_DELIVERED, 0);
	assert_int_equal(j->held_count, 1);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pages_of_the_shelf_have_limits),
	    cmocka_unit_test(one_is_retried_or_purged_or_all),
	    cmocka_unit_test(so_many_may_ask_at_once),
	};

	if (access("/dev/shm", W_OK) == 0)
		(void)setenv("TMPDIR", "/dev/shm", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
