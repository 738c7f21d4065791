/* What the kernel shows of an eMMC's wear, below a made /sys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "daemon/device_wear.h"
#include "rig/spooldir.h"

static char root[300];

static void run(const char *format, ...)
{
	char command[1200], text[700];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	(void)snprintf(command, sizeof command, "cd '%s' && %s", root, text);
	assert_int_equal(system(command), 0);
}

static void put(const char *name, const char *text)
{
	run("printf '%%s' '%s' > devices/mmc/block/mmcblk0/device/%s", text, name);
}

static void assert_wear(const char *path, int used_percent, int pre_eol)
{
	const struct device_wear wear = device_wear_read(root, path);

	assert_int_equal(wear.used_percent, used_percent);
	assert_int_equal(wear.pre_eol, pre_eol);
}

/* The spool lies on a partition, or on the whole device. */
static void the_device_below_the_spool_is_found(void **state)
{
	(void)state;
	for (int whole = 0; whole < 2; whole++) {
		struct spooldir d;
		struct stat st;

		spooldir_make(&d);
		(void)snprintf(root, sizeof root, "%s", d.dir);
		assert_int_equal(stat(d.dir, &st), 0);
		assert_wear(d.dir, 0, 0); /* no such device */
		run("mkdir -p dev/block devices/mmc/block/mmcblk0/mmcblk0p2 devices/mmc/block/mmcblk0/device");
		run("ln -s ../../devices/mmc/block/mmcblk0%s dev/block/%u:%u", whole ? "" : "/mmcblk0p2",
		    major(st.st_dev), minor(st.st_dev));
		run("echo 2 > devices/mmc/block/mmcblk0/mmcblk0p2/partition");
		assert_wear(d.dir, 0, 0); /* a device that tells nothing */
		put("life_time", "0x02 0x03\n");
		assert_wear(d.dir, 30, 0);
		put("pre_eol_info", "0x01\n");
		assert_wear(d.dir, 30, 1);
		put("life_time", "0x0b 0x01\n");
		put("pre_eol_info", "0x03\n");
		assert_wear(d.dir, 110, 3);
		assert_wear("/no/such/spool", 0, 0);
		static const char *const strange[] = {"", "x", "0x00 0x00", "0xff 0xff", "0x0c", "-1"};
		for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
			put("life_time", strange[i]);
			put("pre_eol_info", strange[i]);
			assert_wear(d.dir, 0, 0);
		}
		run("rm -r dev devices");
		spooldir_remove(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_device_below_the_spool_is_found)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
