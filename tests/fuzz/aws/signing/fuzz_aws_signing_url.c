/* Endpoint URLs and stream ARNs. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "aws/signing/endpoint.h"
#include "rig/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct endpoint place;
	struct stream_arn arn;
	struct error e;
	char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	if (endpoint_parse_url(text, &place, &e) == ERR_OK &&
	    (!place.host[0] || place.path[0] != '/' || (place.plain && !place.loopback)))
		abort();
	(void)endpoint_parse_arn(text, &arn);
	free(text);
	return 0;
}
