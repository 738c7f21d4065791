#include "cli/stopped_spool.h"

#include "journal/journal.h"

enum { MESSAGE_MAX_BYTES = 64 << 20 };

enum err stopped_spool_open(const struct spool_place *place, bool create, struct store **ret, struct error *e)
{
	const struct store_options options = {.path = place->path,
	                                      .max_message_bytes = MESSAGE_MAX_BYTES,
	                                      .max_bytes = place->config ? place->config->kspool.max_bytes_bytes : 0,
	                                      .create = create};
	struct store_report report = {0};
	enum err err = store_open(&options, ret, &report, e);

	if (err == ERR_OK)
		journal_count_flight(*ret, place->path, &report);
	return err;
}
