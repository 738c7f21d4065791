#include "daemon/device_wear.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"

/* Up to two numbers as the kernel writes them, "0x03 0x01"; the greater. 0: none. */
static int read_number(const char *folder, const char *name, unsigned most)
{
	AUTOFREE char *path = mem_format("%s/%s", folder, name);
	FILE *f = fopen(path, "re");
	unsigned a = 0, b = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%x %x", &a, &b) < 1)
		a = b = 0;
	(void)fclose(f);
	a = b > a ? b : a;
	return a > most ? 0 : (int)a;
}

struct device_wear device_wear_read(const char *sys_root, const char *path)
{
	struct device_wear wear = {0};
	struct stat st;

	if (stat(path, &st) != 0)
		return wear;
	AUTOFREE char *link = mem_format("%s/dev/block/%u:%u", sys_root, major(st.st_dev), minor(st.st_dev));
	AUTOFREE char *block = realpath(link, NULL);
	if (!block)
		return wear;
	AUTOFREE char *partition = mem_format("%s/partition", block);
	AUTOFREE char *device = mem_format("%s%s/device", block, access(partition, F_OK) == 0 ? "/.." : "");
	wear.used_percent = 10 * read_number(device, "life_time", 11);
	wear.pre_eol = read_number(device, "pre_eol_info", 3);
	return wear;
}
