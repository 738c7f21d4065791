#include "bloblang/formats/ulid.h"

#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/random.h"

enum { ULID_BYTES = 16 };

static void ulid_bytes(unsigned char id[ULID_BYTES])
{
	int64_t now_ms = clock_wall_ms();

	for (int i = 0; i < 6; i++)
		id[i] = (unsigned char)(now_ms >> (40 - 8 * i));
	random_bytes(id + 6, ULID_BYTES - 6);
}

char *ulid_make(char text[ULID_TEXT_MAX])
{
	static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	unsigned char id[ULID_BYTES];

	ulid_bytes(id);
	for (int i = 0; i < ULID_TEXT_MAX - 1; i++) { /* 26 digits of 5 bits hold 130 bits: the first two are zero */
		int bit = i * 5 - 2;
		unsigned v = 0;

		for (int k = bit; k < bit + 5; k++)
			v = v << 1 | (k < 0 ? 0U : (unsigned)(id[k / 8] >> (7 - k % 8) & 1));
		text[i] = crockford[v];
	}
	text[ULID_TEXT_MAX - 1] = '\0';
	return text;
}

char *ulid_make_hex(char text[ULID_HEX_MAX])
{
	unsigned char id[ULID_BYTES];

	ulid_bytes(id);
	for (int i = 0; i < ULID_BYTES; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", id[i]);
	return text;
}
