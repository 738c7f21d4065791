/* Metadata survives, damaged metadata is noticed, and a message's companions are carried over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "message/message.h"

static struct buf two_entries(void)
{
	struct buf b;

	buf_init(&b, 4096);
	assert_int_equal(meta_add(&b, 's', "a", 1, "x\0y", 3), ERR_OK);
	assert_int_equal(meta_add(&b, 'j', "", 0, "[1]", 3), ERR_OK);
	return b;
}

static void entries_come_back(void **state)
{
	struct buf b = two_entries();
	struct meta_entry e;
	size_t cursor = 0;

	(void)state;
	assert_true(meta_next(b.data, b.len, &cursor, &e));
	assert_int_equal(e.type, 's');
	assert_int_equal(e.value_length, 3);
	assert_memory_equal(e.value, "x\0y", 3);
	assert_true(meta_next(b.data, b.len, &cursor, &e));
	assert_int_equal(e.key_length, 0);
	assert_false(meta_next(b.data, b.len, &cursor, &e));
	assert_true(meta_find(b.data, b.len, "a", 1, &e));
	assert_false(meta_find(b.data, b.len, "b", 1, &e));
	assert_true(meta_is_valid(b.data, b.len));
	buf_fini(&b);
}

static void damage_is_noticed(void **state)
{
	struct buf b = two_entries();
	size_t first = 9 + 1 + 3;

	(void)state;
	for (size_t cut = 0; cut < b.len; cut++)
		assert_int_equal(meta_is_valid(b.data, cut), cut == 0 || cut == first);
	b.data[0] = 'q';
	assert_false(meta_is_valid(b.data, b.len));
	b.data[0] = 's';
	b.data[4] = '\x7f';
	assert_false(meta_is_valid(b.data, b.len));
	buf_fini(&b);
}

static void another_body_keeps_what_it_stands_for(void **state)
{
	static const struct message_source source = {"mapping", "", "pipeline.processors.0"};
	struct message *m = message_new("", 0, "body", 4, 77), *n;

	(void)state;
	m->id = 9;
	m->attempts = 2;
	message_set_origin(m, origin_new(4));
	message_fail(m, &source, "why");
	n = message_derive(m, NULL, 0, "other", 5);
	message_free(m);
	assert_int_equal(n->id, 9);
	assert_int_equal(n->received_ms, 77);
	assert_int_equal(n->attempts, 2);
	assert_int_equal(n->origin->ids[0], 4);
	assert_int_equal(n->origin->references, 1);
	assert_string_equal(n->failure->reason, "why");
	assert_ptr_equal(n->failure->at, &source);
	assert_memory_equal(message_body(n), "other", 6);
	message_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(entries_come_back),
	    cmocka_unit_test(damage_is_noticed),
	    cmocka_unit_test(another_body_keeps_what_it_stands_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
