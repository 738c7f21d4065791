/* HTTP Date, ISO 8601 and SigV4 stamps; what is read prints back to the same second. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/dates.h"
#include "rig/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char stamp[DATES_ISO_BYTES];
	int64_t ms, back;
	char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	(void)dates_parse_http(text, &ms);
	if (dates_parse_iso(text, &ms) && ms >= 0 &&
	    (!dates_parse_iso(dates_format_iso(ms, stamp), &back) || back / 1000 != ms / 1000))
		abort();
	(void)dates_parse_amz(text, &ms);
	free(text);
	return 0;
}
