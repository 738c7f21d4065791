#include "bloblang/formats/ksuid.h"

#include <stdint.h>

#include "base/clock.h"
#include "base/random.h"

enum { KSUID_BYTES = 20, KSUID_EPOCH_S = 1400000000, BASE62 = 62 };

char *ksuid_make(char text[KSUID_TEXT_MAX])
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	int64_t since_epoch_s = clock_wall_ms() / MS_PER_S - KSUID_EPOCH_S;
	unsigned char id[KSUID_BYTES];

	for (int i = 0; i < 4; i++)
		id[i] = (unsigned char)(since_epoch_s >> (24 - 8 * i));
	random_bytes(id + 4, KSUID_BYTES - 4);
	text[KSUID_TEXT_MAX - 1] = '\0';
	for (int i = KSUID_TEXT_MAX - 2; i >= 0; i--) { /* long division by 62, digit by digit */
		unsigned rest = 0;

		for (int k = 0; k < KSUID_BYTES; k++) {
			rest = rest << 8 | id[k];
			id[k] = (unsigned char)(rest / BASE62);
			rest %= BASE62;
		}
		text[i] = digits[rest];
	}
	return text;
}
