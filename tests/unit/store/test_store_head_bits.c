/* A spool with one bit of its head wrong: it starts, and no message is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "rig/faultfs.h"
#include "rig/lives.h"

enum { ROWS = 600 };

/* No bit of the header keeps a spool from starting, nor costs a message; check finds nothing to say afterwards. A
 * fifth of them: what each is taken for, test_store_heads knows. */
static void bits_of_the_header(void **state)
{
	struct spooldir original;
	uint64_t found = 0, aside = 0;

	(void)state;
	spooldir_make(&original);
	life_make_halves(&original, ROWS, false);
	for (size_t bit = 0; bit < 800; bit += 5) {
		struct store_report report;
		struct store_options o;
		struct spooldir d;
		struct store *s = NULL;
		struct buf out;
		struct error e;
		uint64_t problems;
		size_t count;
		unsigned char *bytes;

		spooldir_make(&d);
		spooldir_copy(&original, &d);
		bytes = spooldir_load(d.path, &count);
		bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
		spooldir_store(d.path, bytes, count);
		free(bytes);
		buf_init(&out, 1 << 20);
		if (store_check(d.path, &out, &problems, &e) != ERR_OK)
			fail_msg("bit %zu: check: %s", bit, e.text);
		found += problems > 0;
		o = spooldir_options(&d);
		if (store_open(&o, &s, &report, &e) != ERR_OK)
			fail_msg("bit %zu: %s", bit, e.text);
		if (report.quarantined && problems == 0)
			fail_msg("bit %zu: check found nothing, a start set it aside: %s", bit, report.warning);
		aside += report.quarantined;
		assert_int_equal(store_ledger(s)->accepted, ROWS);
		assert_int_equal(store_ledger(s)->pending, ROWS);
		assert_int_equal(store_close(s, &e), ERR_OK);
		buf_clear(&out);
		assert_int_equal(store_check(d.path, &out, &problems, &e), ERR_OK);
		if (problems > 0)
			fail_msg("bit %zu: %s", bit, out.data);
		buf_fini(&out);
		spooldir_remove(&d);
	}
	print_message("160 bits: check finds %llu, %llu spools set aside\n", (unsigned long long)found,
	              (unsigned long long)aside);
	spooldir_remove(&original);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bits_of_the_header),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
