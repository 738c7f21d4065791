/*
 * device_wear: what an eMMC or SD device says of its own wear.
 *
 * What it is: life_time and pre_eol_info of the device below a file, as the kernel shows them
 * (Documentation/driver-api/mmc/mmc-dev-attrs.rst; JEDEC JESD84-B51, EXT_CSD 267 to 269).
 * Promises: none of its own. Owner: plain data. Thread: any.
 * Fails: never; what no file tells is 0.
 * Does not: ask other kinds of devices, which need privileges (NVMe, SATA).
 */
#ifndef KSPOOL_DAEMON_DEVICE_WEAR_H
#define KSPOOL_DAEMON_DEVICE_WEAR_H

struct device_wear {
	int used_percent; /* of its life, at most, in tenths; 110: more than all; 0: not told */
	int pre_eol;      /* spare blocks: 1 normal, 2 80 % are used, 3 90 %; 0: not told */
};

/* Of the device that `path` lies on; sys_root is "/sys". */
struct device_wear device_wear_read(const char *sys_root, const char *path);

#endif
