#include "base/hex.h"

const char hex_lower[17] = "0123456789abcdef";
const char hex_upper[17] = "0123456789ABCDEF";

int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

char *hex_encode(const char *digits, const void *data, size_t bytes, char *out)
{
	const unsigned char *in = data;

	for (size_t i = 0; i < bytes; i++) {
		*out++ = digits[in[i] >> 4];
		*out++ = digits[in[i] & 15];
	}
	return out;
}

int hex_percent_decode(const char *p, const char *end)
{
	int high, low;

	if (end - p < HEX_PERCENT_CHARS || p[0] != '%')
		return -1;
	high = hex_value(p[1]);
	low = hex_value(p[2]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

void hex_percent_add(struct buf *out, char c)
{
	char escape[HEX_PERCENT_CHARS] = {'%'};

	(void)hex_encode(hex_upper, &c, 1, escape + 1);
	(void)buf_add(out, escape, sizeof escape);
}
