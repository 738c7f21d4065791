/*
 * Positions as the journal keeps them. The first line is a stored text, what follows is a file that was read up to a
 * byte in the middle. Oracles: what parses is printed and parsed to the same; the position of a file is still its own
 * after it grew, and no longer after a byte of the head or before the offset changed, or when it was cut.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "doors/position.h"
#include "rig/fuzz.h"

static void stored_text(const char *text)
{
	struct position p, again;
	const char *why;
	char *printed;

	if (!position_parse(text, &p))
		return;
	must(p.head.bytes <= POSITION_PRINT_MAX_BYTES && p.tail.bytes <= POSITION_PRINT_MAX_BYTES);
	must(p.tail.bytes <= p.offset);
	(void)position_matches(&p, 0, &why);
	printed = position_print(&p);
	must(position_parse(printed, &again));
	must(again.inode == p.inode && again.offset == p.offset && again.head.bytes == p.head.bytes);
	must(strcmp(again.head.hash, p.head.hash) == 0 && again.tail.bytes == p.tail.bytes);
	free(printed);
}

static bool is_still(const struct position *p, int fd)
{
	const char *why;

	return position_matches(p, fd, &why);
}

static void a_file(const uint8_t *data, size_t size, size_t offset)
{
	static int fd = -1;
	struct position p, parsed;
	struct error e;
	char *printed;
	uint8_t other;
	size_t at;

	if (fd < 0)
		fd = memfd_create("kspool-fuzz-position", MFD_CLOEXEC);
	must(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
	must(position_of(fd, &p, &e) == ERR_OK);
	position_move(&p, fd, offset);
	printed = position_print(&p);
	must(position_parse(printed, &parsed) && is_still(&parsed, fd));
	free(printed);
	must(pwrite(fd, "more", 4, (off_t)size) == 4 && is_still(&parsed, fd));
	if (offset == 0)
		return;
	at = offset - 1 - (size_t)data[0] % (offset < POSITION_PRINT_MAX_BYTES ? offset : POSITION_PRINT_MAX_BYTES);
	other = (uint8_t)~data[at];
	must(pwrite(fd, &other, 1, (off_t)at) == 1 && !is_still(&parsed, fd));
	must(pwrite(fd, data + at, 1, (off_t)at) == 1 && is_still(&parsed, fd));
	must(ftruncate(fd, (off_t)offset - 1) == 0 && !is_still(&parsed, fd));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	size_t length = end ? (size_t)(end - data) : size;
	char *text = malloc(length + 1);

	must(text);
	if (length > 0)
		memcpy(text, data, length);
	text[length] = '\0';
	stored_text(text);
	free(text);
	if (end && size - length > 1)
		a_file(end + 1, size - length - 1, (size - length) / 2);
	return 0;
}
