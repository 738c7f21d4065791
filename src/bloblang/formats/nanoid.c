#include "bloblang/formats/nanoid.h"

#include "base/check.h"
#include "base/random.h"

void nanoid_make(char *text, size_t length, const char *alphabet, size_t alphabet_length)
{
	must(alphabet_length >= 1 && alphabet_length <= 256);
	for (size_t i = 0; i < length; i++) {
		unsigned char draws[8];
		size_t limit = 256 - 256 % alphabet_length, k = sizeof draws;

		do { /* draws past the last full multiple are thrown away: no letter is favoured */
			if (k == sizeof draws) {
				random_bytes(draws, sizeof draws);
				k = 0;
			}
		} while (draws[k++] >= limit);
		text[i] = alphabet[draws[k - 1] % alphabet_length];
	}
}
