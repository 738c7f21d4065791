/* The largest message, to the byte: by the option, by SQLite's rows, and by what the spool may hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "message/message.h"
#include "rig/lives.h"
#include "store/store_internal.h"

enum { MIB = 1 << 20, ROW_MIB = 32 };

/* Of a list of one that says to be so large, of which no byte is looked at. */
static enum err admit(struct store *s, uint32_t meta_bytes, uint32_t body_bytes, struct error *e)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct message *m = spooldir_message(1, 10);
	const uint32_t meta = m->meta_bytes, body = m->body_bytes;
	struct error ignored;
	enum err err;

	e->code = ERR_OK;
	e->text[0] = '\0';
	assert_int_equal(store_begin(s, &ignored), ERR_OK);
	m->meta_bytes = meta_bytes;
	m->body_bytes = body_bytes;
	STAILQ_INSERT_TAIL(&list, m, link);
	err = store_admit(s, &list, 0, e);
	m->meta_bytes = meta;
	m->body_bytes = body;
	assert_true(store_in_group(s)); /* a refusal is no failure */
	store_rollback(s);
	message_list_free(&list);
	return err;
}

static void what_a_row_can_hold_is_not_too_large(void **state)
{
	static const struct {
		uint32_t meta, body;
		bool fits;
	} sizes[] = {
	    {0, ROW_MIB * MIB, true},      {1, ROW_MIB * MIB - 1, true}, {MIB, (ROW_MIB - 1) * MIB, true},
	    {0, ROW_MIB * MIB + 1, false}, {1, ROW_MIB * MIB, false},    {UINT32_MAX, UINT32_MAX, false},
	    {0, UINT32_MAX, false},
	};
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		const enum err err = admit(s, sizes[i].meta, sizes[i].body, &e);

		if (sizes[i].fits ? err == ERR_TOOBIG : err != ERR_TOOBIG || !strstr(e.text, " with its metadata"))
			fail_msg("size %zu: %d: %s", i, (int)err,
			         e.text); /* ERR_FULL: as the disk of this machine is */
	}
	life_end(&d, s);
}

static void the_option_is_of_the_body_alone(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct store_options o = spooldir_options(&d);
	struct error e;

	(void)state;
	o.max_message_bytes = 1000;
	store_reconfigure(s, &o);
	assert_int_equal(admit(s, 5000, 1000, &e), ERR_OK);
	assert_int_equal(admit(s, 0, 1001, &e), ERR_TOOBIG);
	assert_string_equal(e.text, "the message has 1001 bytes, the limit is 1000");
	o.max_message_bytes = 0;
	store_reconfigure(s, &o);
	assert_int_equal(admit(s, 0, MIB, &e), ERR_OK);
	life_end(&d, s);
}

static void what_can_never_fit_is_told_from_what_does_not_now(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct store_options o = spooldir_options(&d);
	struct error e;

	(void)state;
	o.max_bytes = 2000;
	store_reconfigure(s, &o);
	assert_int_equal(admit(s, 0, 2000, &e), ERR_OK);
	assert_int_equal(admit(s, 1, 2000, &e), ERR_TOOBIG);
	assert_non_null(strstr(e.text, "2001 bytes at once can never fit"));
	life_append(s, 0, 2);
	{
		const uint32_t rest = (uint32_t)(2000 - store_pending_bytes(s));

		assert_int_equal(admit(s, 0, rest, &e), ERR_OK);
		assert_int_equal(admit(s, 1, rest, &e), ERR_FULL);
		assert_non_null(strstr(e.text, "max_bytes is 2000"));
		/* It is full now until a tenth is free. */
		assert_int_equal(admit(s, 0, rest - 200, &e), ERR_OK);
		assert_int_equal(admit(s, 1, rest, &e), ERR_FULL);
		assert_int_equal(admit(s, 0, rest - 199, &e), ERR_FULL);
	}
	life_end(&d, s);
}

/* Each of them, and nothing else: what an open spool stands on stays. */
static void what_may_change_while_it_is_open_changes(void **state)
{
	static const struct store_options other = {.path = "another",
	                                           .max_bytes = 1000,
	                                           .min_free_bytes = 2000,
	                                           .reserve_bytes = 3000,
	                                           .evict_oldest = true,
	                                           .page_size = 512,
	                                           .max_message_bytes = 4000,
	                                           .compress = STORE_COMPRESS_ALWAYS,
	                                           .create = false,
	                                           .vfs = "another"};
	struct spooldir d;
	struct store *s = life_begin(&d);
	const struct store_options was = s->options;

	(void)state;
	s->full_bytes = s->full_disk = true;
	s->free_checked_ms = 5;
	store_reconfigure(s, &other);
	assert_int_equal(s->options.max_bytes, 1000);
	assert_int_equal(s->options.min_free_bytes, 2000);
	assert_int_equal(s->options.max_message_bytes, 4000);
	assert_int_equal(s->options.compress, STORE_COMPRESS_ALWAYS);
	assert_true(s->options.evict_oldest);
	assert_ptr_equal(s->options.path, was.path);
	assert_ptr_equal(s->options.vfs, was.vfs);
	assert_int_equal(s->options.reserve_bytes, was.reserve_bytes);
	assert_int_equal(s->options.page_size, was.page_size);
	assert_int_equal(s->options.create, was.create);
	assert_false(s->full_bytes || s->full_disk); /* by the new limits it may not be */
	assert_int_equal(s->free_checked_ms, 0);
	store_reconfigure(s, &(struct store_options){.min_free_bytes = UINT64_C(1) << 62, .min_free_is_default = true});
	assert_true(s->options.min_free_is_default);
	assert_int_equal(s->options.min_free_bytes, files_share(&s->files, UINT64_C(1) << 62));
	assert_true(s->options.min_free_bytes < UINT64_C(1) << 62);
	assert_false(s->options.evict_oldest);
	life_end(&d, s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_may_change_while_it_is_open_changes),
	    cmocka_unit_test(what_a_row_can_hold_is_not_too_large),
	    cmocka_unit_test(the_option_is_of_the_body_alone),
	    cmocka_unit_test(what_can_never_fit_is_told_from_what_does_not_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
