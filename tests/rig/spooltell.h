/*
 * spooltell: a spool in words, to be compared with another: each message, each count, each row beside them.
 *
 * What it is: what acts answered and what a start makes of a stopped spool, however it is stored. A difference of two
 * such texts is what somebody could notice. Included after cmocka.h. Everything but bring_back fails the test by
 * itself.
 */
#ifndef KSPOOL_TESTS_SPOOLTELL_H
#define KSPOOL_TESTS_SPOOLTELL_H

#include <stdio.h>

#include "base/check.h"
#include "rig/errorwatch.h"
#include "rig/lives.h"
#include "store/store_internal.h"

enum { TEXT_BYTES = 1 << 14 };

/* What an act answered, or what a spool is. */
struct text {
	size_t used;
	char bytes[TEXT_BYTES];
};

static inline void say(struct text *t, const char *form, ...) __attribute__((format(printf, 2, 3)));
static inline void say(struct text *t, const char *form, ...)
{
	va_list ap;

	va_start(ap, form);
	t->used += (size_t)vsnprintf(t->bytes + t->used, sizeof t->bytes - t->used, form, ap);
	va_end(ap);
	must(t->used < sizeof t->bytes);
}

/* What it says of files that it could not read back. */
static inline void hear(const struct store *s)
{
	for (size_t i = 0; i < s->put_off_count; i++)
		errorwatch_hear(s->put_off[i].why.text);
}

static inline enum err bring_back(struct store *s, struct error *e)
{
	uint64_t first, last;
	bool more = true;
	enum err err = ERR_OK;

	while (err == ERR_OK && more)
		err = store_salvage(s, 7, &first, &last, &more, e);
	hear(s);
	return err;
}

/* All that is in it after a start that brings everything back, however it is stored. */
static inline void tell(const struct spooldir *d, struct text *t)
{
	struct store_report report;
	struct store *s = life_open(d, &report);
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct message *m;
	uint32_t count = 0;
	uint64_t last;
	struct error e;

	*t = (struct text){0};
	if (bring_back(s, &e) != ERR_OK)
		fail_msg("%s", e.text);
	if (store_read(s, 0, 10000, UINT64_MAX, &list, &count, &last, &e) != ERR_OK)
		fail_msg("%s", e.text);
	STAILQ_FOREACH (m, &list, link)
		say(t, "%llu:%u ", (unsigned long long)m->id, m->body_bytes);
	message_list_free(&list);
	if (store_read_due(s, INT64_MAX, 10000, UINT64_MAX, NULL, NULL, &list, &count, &e) != ERR_OK)
		fail_msg("%s", e.text);
	STAILQ_FOREACH (m, &list, link)
		say(t, "due %llu:%u:%u ", (unsigned long long)m->id, m->body_bytes, m->attempts);
	message_list_free(&list);
	say(t, "accepted %llu", (unsigned long long)store_ledger(s)->accepted);
#define LEDGER_STATE(id, column, meaning) say(t, " " #column " %llu", (unsigned long long)store_ledger(s)->column);
#include "base/ledger.def"
	say(t, " bytes %llu possible %llu", (unsigned long long)store_pending_bytes(s),
	    (unsigned long long)store_possible_duplicates(s));
	for (size_t i = 0; i < 4; i++) {
		static const char *const numbers[] = {
		    "SELECT count(*) * 1000 + total(id) FROM dead", "SELECT count(*) FROM positions WHERE value = '12'",
		    "SELECT count(*) FROM cache WHERE cache = 'cache'", "SELECT count(*) FROM damaged"};

		say(t, " %lld", (long long)life_number(s, numbers[i]));
	}
	say(t, " aside %d", life_count_files(d, "quarantine"));
	life_close(s);
}

#endif
