#include "cli/stopped_spool.h"

#include <stdio.h>

#include "journal/journal.h"
#include "cli/shown.h"
#include "store/upkeep/store_upkeep.h"

enum { MESSAGE_MAX_BYTES = 64 << 20, MIN_FREE_BYTES = 64 << 20 };

struct store_options stopped_spool_options(const struct spool_place *place, bool create)
{
	const struct options_kspool *own = place->config ? &place->config->kspool : NULL;

	return (struct store_options){.path = place->path,
	                              .max_message_bytes = MESSAGE_MAX_BYTES,
	                              .max_bytes = own ? own->max_bytes_bytes : 0,
	                              .min_free_bytes = own ? own->min_free_bytes : MIN_FREE_BYTES,
	                              .min_free_is_default = !own || own->min_free_bytes == MIN_FREE_BYTES,
	                              .create = create};
}

enum err stopped_spool_open(const struct spool_place *place, const char *command, bool create, struct store **ret,
                            struct error *e)
{
	const struct store_options options = stopped_spool_options(place, create);
	struct store_report report = {0};
	enum err err;

	*ret = NULL;
	err = store_open(&options, ret, &report, e);
	if (err == ERR_OK)
		err = journal_count_flight(*ret, place->path, &report, e);
	if (err != ERR_OK && *ret) {
		store_abandon(*ret);
		*ret = NULL;
	}
	if (err == ERR_OK && report.warning[0])
		(void)fprintf(stderr, "kspool %s: %s\n", command, shown(report.warning));
	return err;
}

static const char *way_out(const struct store_report *report)
{
	return report->is_read_only
	           ? "nothing can be written here: for the rest, copy the spool with all that stands beside it to"
	             " a folder of a healthy disk, and run kspool repair there"
	           : "nothing was changed by looking: kspool repair, or a start, mends and reads back what can be";
}

enum err stopped_spool_read(const struct spool_place *place, bool newest, struct store **ret, struct error *ret_rest,
                            struct error *e)
{
	const struct store_options options = stopped_spool_options(place, false);
	struct store_report report;
	enum err err = store_look(&options, ret, &report, e);

	ret_rest->code = ERR_OK;
	if (err == ERR_DAMAGED && !report.is_read_only)
		(void)error_wrap(e, "it cannot be read as it is; %s", way_out(&report));
	if (err == ERR_OK && report.schema_is_old && newest) {
		store_abandon(*ret);
		*ret = NULL;
		return error_set(e, ERR_CONFIG,
		                 report.is_read_only
		                     ? "%s is of an older kspool and cannot be brought up where nothing can be written:"
		                       " kspool export it, and use the copy"
		                     : "%s is of an older kspool: a start, or kspool repair, brings it up",
		                 place->path);
	}
	if (err == ERR_OK && report.warning[0])
		(void)error_set(ret_rest, ERR_DAMAGED, "this is not all: %s; %s", report.warning, way_out(&report));
	return err;
}
