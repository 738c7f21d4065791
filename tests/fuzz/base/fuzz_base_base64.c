/* Both ways: what is encoded decodes to itself; what decodes encodes to the very same text (there is no second one). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "rig/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int form = BASE64_STANDARD; form <= BASE64_STANDARD_BARE; form++) {
		size_t length = base64_length((enum base64_form)form, size), n;
		char *text = malloc(length ? length : 1), *again = malloc(size + 4);
		unsigned char *back = malloc(base64_room(length)), *out = malloc(base64_room(size));

		must(text && again && back && out);
		base64_encode((enum base64_form)form, data, size, text);
		must(base64_decode((enum base64_form)form, text, length, back, &n) && n == size);
		must(memcmp(back, data, size) == 0);
		if (base64_decode((enum base64_form)form, (const char *)data, size, out, &n)) {
			must(base64_length((enum base64_form)form, n) == size);
			base64_encode((enum base64_form)form, out, n, again);
			must(memcmp(again, data, size) == 0);
		}
		free(text), free(again), free(back), free(out);
	}
	return 0;
}
