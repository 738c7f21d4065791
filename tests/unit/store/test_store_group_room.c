/* What a group brings beside its messages, keys and what goes to the shelf: it must fit, and takes no more than was
 * said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rig/lives.h"
#include "rig/ownroom.h"
#include "store/store_internal.h"

/* Keys and what goes to the shelf are of one group with the messages; what was refused is none of it. */
static void what_comes_beside_messages_must_fit_too(void **state)
{
	struct message_list none = STAILQ_HEAD_INITIALIZER(none);
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;

	(void)state;
	for (int round = 0; round < 2; round++) {
		free_bytes = 10 * MIB;
		assert_int_equal(store_checkpoint(s, true, &e), ERR_OK); /* after it the disk is looked at anew */
		assert_int_equal(store_admission(s, &e), ERR_OK);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_admit(s, &none, MIB, &e), ERR_OK);
		assert_int_equal(store_admit(s, &none, 4 * MIB, &e), ERR_FULL);
		assert_int_equal(store_admit(s, &none, 3 * MIB, &e), ERR_OK);
		assert_int_equal(store_admit(s, &none, MIB, &e), ERR_FULL);
		assert_int_equal(store_make_room(s, MIB, &e), ERR_FULL);
		store_rollback(s);
		assert_int_equal(store_admission(s, &e), ERR_OK); /* none of that is left */
		assert_true(store_has_room_for(s, 4 * MIB));
	}
	free_bytes = PLENTY;
	life_end(&d, s);
}

/* Of the file, by many of one length; the number of pages that a tree has above its leaves is not in it. */
static void what_stands_beside_messages_takes_no_more_than_was_said(void **state)
{
	static const size_t lengths[] = {0, 1, 30, 100, 400, 511, 512, 900, 1500, 3000, 4096, 9000, 70000};
	enum { MANY = 150 };

	(void)state;
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths * 2; i++) {
		const size_t length = lengths[i / 2];
		const bool is_key = i % 2 == 0;
		struct spooldir d;
		struct store *s = life_begin(&d);
		int64_t before, after;
		char *text = mem_alloc(length + 32);
		uint64_t said = 0;
		struct error e;

		memset(text, 'k', length + 32);
		assert_int_equal(store_number(s, "SELECT page_count FROM pragma_page_count", &before, &e), ERR_OK);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		for (int n = 0; n < MANY; n++) {
			bool is_new;

			snprintf(text + length, 32, "%d", (n * 7919) % MANY);
			if (is_key) {
				const size_t bytes = strlen(text);

				said += store_room_of_key(s, bytes);
				assert_int_equal(store_cache_add(s, "c", text, bytes, 1000, &is_new, &e), ERR_OK);
				assert_true(is_new);
			} else {
				struct message *m = message_new("", 0, text, length, 1);

				message_fail(m, NULL, text);
				said += store_room_of_dead(m);
				assert_int_equal(store_append_dead(s, m, "set_aside", &e), ERR_OK);
				message_free(m);
			}
		}
		assert_int_equal(store_commit(s, &e), ERR_OK);
		assert_int_equal(store_number(s, "SELECT page_count FROM pragma_page_count", &after, &e), ERR_OK);
		assert_true((uint64_t)(after - before) * s->page_bytes <= said + said / 2 + 8 * s->page_bytes);
		assert_true(length < 1000 || (uint64_t)(after - before) * s->page_bytes > said / 4);
		free(text);
		life_end(&d, s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_comes_beside_messages_must_fit_too),
	    cmocka_unit_test(what_stands_beside_messages_takes_no_more_than_was_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
