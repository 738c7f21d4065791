/* The shared files. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "aws/identity/ini.h"
#include "rig/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ini ini;
	struct error e;

	if (ini_parse("f", (const char *)data, size, &ini, &e) == ERR_OK) {
		for (size_t i = 0; i < ini.count; i++)
			if (ini.entries[i].key &&
			    !ini_get_below(&ini, ini.entries[i].section, ini.entries[i].key, ini.entries[i].below))
				abort(); /* what was read can be found */
		ini_fini(&ini);
	} else if (ini.count != 0) {
		abort();
	}
	return 0;
}
