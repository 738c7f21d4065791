/*
 * one_journal: a journal in steps (journal_steps.h), and a test's door and delivery for it in one word each.
 *
 * Included after cmocka.h by tests of the journal; between begin and end there is one journal, `j`.
 */
#ifndef KSPOOL_TESTS_ONE_JOURNAL_H
#define KSPOOL_TESTS_ONE_JOURNAL_H

#include "rig/journal_steps.h"
#include "store/store_internal.h"

static struct spooldir d;
static struct journal_options o;
static struct answers a;
static struct journal *j;
static uint64_t ids[8192];

static inline void begin(void)
{
	const char *vfs = o.store.vfs;

	a = (struct answers){0};
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	o.store.vfs = vfs;
	j = steps_start(&o, NULL);
	steps_run();
}

static inline void end(void)
{
	rig_stop(j);
	spooldir_remove(&d);
	o = (struct journal_options){0};
}

static inline void offer(uint64_t first, uint32_t count, uint32_t bytes)
{
	must(journal_offer(j, rig_offer(first, count, bytes, &a)));
	steps_run();
	(void)journal_intake_run(j);
}

static inline uint32_t take(uint64_t *to)
{
	struct journal_rows rows;
	uint32_t n = 0;

	while (journal_take_rows(j, &rows)) {
		struct message *m;

		STAILQ_FOREACH (m, &rows.messages, link)
			to[n++] = m->id;
		message_list_free(&rows.messages);
	}
	return n;
}

static inline uint32_t take_one(uint64_t *ret_bytes)
{
	struct journal_rows rows;

	*ret_bytes = 0;
	if (!journal_take_rows(j, &rows))
		return 0;
	*ret_bytes = rows.bytes;
	message_list_free(&rows.messages);
	return rows.count;
}

static inline void credit(uint32_t rows, uint64_t bytes)
{
	journal_credit(j, rows, bytes);
	steps_run();
}

static inline void settle(uint64_t first, uint32_t count, enum settle_kind kind, int64_t wait_ms)
{
	uint64_t list[4200];

	for (uint32_t i = 0; i < count; i++)
		list[i] = first + i;
	rig_settle_ids(j, list, count, kind, wait_ms);
	steps_run();
}

/* So many rows, all with delivery. */
static inline void hand_out(uint32_t count)
{
	credit(count, UINT64_C(1) << 30);
	for (uint32_t n = 0; n < count; n += 500)
		offer(n + 1, count - n < 500 ? count - n : 500, 20);
	assert_int_equal(take(ids), count);
}

static inline bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return look(&p, 1) > 0;
}

#endif
