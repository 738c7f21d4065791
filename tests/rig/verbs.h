/*
 * verbs: a verb of the store while a call of SQLite fails, one after the other until none does: the answer is that
 * error, never success, and the spool is as it was. Then the verb succeeds, with the answer that it must give.
 *
 * Included after cmocka.h; everything fails the test by itself.
 */
#ifndef KSPOOL_TESTS_VERBS_H
#define KSPOOL_TESTS_VERBS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig/errorwatch.h"
#include "rig/faultpoints.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "store/store_internal.h"

enum { VERB_CALLS_MAX = 3000 };

struct verb {
	const char *name;
	enum err (*run)(struct store *s, uint64_t *ret, struct error *e);
	uint64_t answer;
};

/* What stands in the tables, as one text. */
static inline void tables_of(struct store *s, char *to, size_t size)
{
	sqlite3_stmt *st = NULL;

	assert_int_equal(
	    sqlite3_prepare_v2(
	        s->db,
	        "SELECT (SELECT count(*) || ':' || total(id) || ':' || total(length(body)) FROM messages) || ' ' ||"
	        " (SELECT count(*) || ':' || total(id) || ':' || total(count) FROM blocks) || ' ' ||"
	        " (SELECT count(*) || ':' || total(settled) || ':' || total(bytes) FROM partial) || ' ' ||"
	        " (SELECT count(*) || ':' || total(id) || ':' || total(attempts) || ':' || total(next_ms) FROM "
	        "failures)"
	        " || ' ' || (SELECT count(*) || ':' || total(id) FROM dead) || ' ' ||"
	        " (SELECT count(*) || ':' || total(id) FROM damaged) || ' ' || (SELECT count(*) FROM positions) || ' ' "
	        "||"
	        " (SELECT count(*) FROM cache) || ' ' || (SELECT count(*) FROM imports) || ' ' ||"
	        " (SELECT accepted || ':' || pending || ':' || pending_bytes || ':' || dead || ':' || possible FROM "
	        "ledger)",
	        -1, &st, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	(void)snprintf(to, size, "%s", (const char *)sqlite3_column_text(st, 0));
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
}

/* writes_ledger: its row first, in a commit of its own. */
static inline void try_verb(struct store *s, const struct verb *v, bool writes_ledger)
{
	const bool every = getenv("KSPOOL_EVERY_FAULT") != NULL;

	faultpoints_forget();
	for (uint64_t n = 1; n < VERB_CALLS_MAX; n++) {
		const struct totals before = s->durable;
		char tables[600], after[600];
		struct error e = {.code = ERR_OK};
		uint64_t answer = 0;
		bool failed;
		enum err err;

		tables_of(s, tables, sizeof tables);
		if (every)
			faultsql_arm(n, SQLITE_NOMEM, false);
		else
			faultsql_arm_new(SQLITE_NOMEM);
		err = v->run(s, &answer, &e);
		ERRORWATCH_EXPECT(err, &e, NULL, v->name, n);
		failed = faultsql_failed();
		faultsql_arm(0, 0, false);
		life_adds_up(s);
		if (!failed) {
			if (err != ERR_OK || answer != v->answer)
				fail_msg("%s: error %d, answer %u: %s", v->name, (int)err, (unsigned)answer, e.text);
			if (n == 1)
				fail_msg("%s: it called nothing, so nothing was tried", v->name);
			return;
		}
		if (err != ERR_MEMORY || e.code != ERR_MEMORY || e.text[0] == '\0')
			fail_msg("%s: call %u failed; error %d, answer %u: %s", v->name, (unsigned)n, (int)err,
			         (unsigned)answer, e.text);
		store_rollback(s);
		assert_false(store_in_group(s));
		tables_of(s, after, sizeof after);
		if (strcmp(tables, after) != 0 || (!writes_ledger && memcmp(&before, &s->durable, sizeof before) != 0))
			fail_msg("%s: call %u failed and left something:\n%s\n%s", v->name, (unsigned)n, tables, after);
		assert_int_equal(store_trust(s, &e), ERR_OK);
	}
	fail_msg("%s: there is no end to it", v->name);
}

#endif
