/*
 * Any bytes as a configuration: a config or at least one fault, never both nor neither; faults in order and each with
 * a sentence; the same answer twice.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "rig/fuzz.h"

static size_t run(const uint8_t *data, size_t size, bool for_run)
{
	const struct config_load_options options = {.for_run = for_run};
	struct config_faults faults;
	struct config *config;
	enum err err = config_parse("fuzz", (const char *)data, size, &options, &config, &faults, NULL);
	size_t errors = 0, count = faults.count;

	for (size_t i = 0; i < faults.count; i++) {
		errors += !faults.items[i].warning;
		if (faults.items[i].line < 1 || faults.items[i].column < 1 || *faults.items[i].text == '\0')
			abort();
		if (i > 0 && faults.items[i].line < faults.items[i - 1].line)
			abort();
	}
	if ((err == ERR_OK) != (errors == 0) || (config != NULL) != (err == ERR_OK))
		abort();
	config_free(config);
	config_faults_fini(&faults);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (run(data, size, false) != run(data, size, false) || run(data, size, true) < run(data, size, false))
		abort();
	return 0;
}
