#include "base/percent.h"

#include "base/hex.h"

int percent_decode(const char *p, const char *end)
{
	int high, low;

	if (end - p < PERCENT_CHARS || p[0] != '%')
		return -1;
	high = hex_value(p[1]);
	low = hex_value(p[2]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

void percent_add(struct buf *out, char c)
{
	char escape[PERCENT_CHARS] = {'%'};

	(void)hex_encode(hex_upper, &c, 1, escape + 1);
	(void)buf_add(out, escape, sizeof escape);
}
