/*
 * Commands on the spool itself: export, import, check, repair.
 *
 * Invariants:
 * 1. Only import and repair change a spool; export and check leave what is damaged as it is.
 * 2. None ends with success when something of what it looked at, or copied, is not what was written.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "journal/journal.h"
#include "store/upkeep/store_copy.h"
#include "store/upkeep/store_upkeep.h"
#include "store/store_ledger.h"
#include "store/store_open.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/control_call.h"
#include "cli/spool_place.h"
#include "cli/stopped_spool.h"
#include "cli/shown.h"

enum { REPORT_MAX_BYTES = 16 << 20 };

static int read_place(int argc, char **argv, struct spool_place *place)
{
	const struct command_option options[] = {
	    {"config", 'c', .text = &place->config_path},
	    {"spool", .text = &place->spool_path},
	};

	return command_read_options(argc, argv, options, sizeof options / sizeof *options);
}

static void add_escaped(struct buf *out, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (strchr("%&+#= ?", *p) || *p < 0x21 || *p > 0x7e)
			(void)buf_addf(out, "%%%02X", *p);
		else
			(void)buf_add_char(out, (char)*p);
	}
}

/* What somebody asked to export. */
struct export
{
	struct spool_place place;
	const char *target;
	const char *schema; /* null: that of this kspool */
	struct error rest;  /* of a stopped spool: what does not show in it */
};

/* What is damaged is in the copy as it is here; *e may have what is not in it. */
static enum err look_at_copy(const struct export *x, const char *copy, enum err err, struct error *e)
{
	struct error local = {.code = ERR_OK};
	uint64_t problems = 0;
	struct buf words;

	buf_init(&words, REPORT_MAX_BYTES);
	if (store_check_copy(copy, &words, &problems, &local) != ERR_OK) {
		(void)error_wrap(&local, "%s holds a copy, and what is in it cannot be looked at", x->target);
	} else if (problems > 0) {
		shown_lines(stdout, words.data, words.len);
		(void)error_set(&local, ERR_DAMAGED,
		                x->schema ? "%s holds a copy, and what the lines above name is not in it, or counts as"
		                            " damaged there"
		                          : "%s holds a copy, and of what the lines above name it has what was found:"
		                            " import does not take that in; kspool repair sets it aside",
		                x->target);
	}
	buf_fini(&words);
	if (err == ERR_OK && local.code != ERR_OK) {
		*e = local;
		err = local.code;
	} else if (local.code != ERR_OK) {
		(void)error_wrap(e, "%s", local.text);
	}
	return err;
}

/* As it is: what is damaged is evidence, and a person decides when it is mended. */
static enum err export_stopped(struct export *x, const char *copy, struct error *e)
{
	struct store *store = NULL;
	enum err err = stopped_spool_read(&x->place, false, &store, &x->rest, e);

	if (err != ERR_OK)
		return err;
	err = store_export(store, copy, e);
	(void)store_close(store, NULL);
	if (err == ERR_DAMAGED)
		(void)error_wrap(e,
		                 "no copy was made, and nothing changed; kspool repair, or a start, mends what can be");
	return err;
}

/* The daemon copies when it runs; otherwise this process opens the stopped spool and copies. */
static enum err export_to(struct export *x, const char *copy, struct error *e)
{
	struct buf request;
	enum err err;

	buf_init(&request, 3 * PATH_MAX + 64);
	(void)buf_add_text(&request, "/export?to=");
	if (copy[0] != '/') {
		char folder[PATH_MAX];

		if (getcwd(folder, sizeof folder)) {
			add_escaped(&request, folder);
			(void)buf_add_char(&request, '/');
		}
	}
	add_escaped(&request, copy);
	err = control_call(x->place.control, "POST", request.data, NULL, e);
	buf_fini(&request);
	return err == ERR_UNAVAILABLE ? export_stopped(x, copy, e) : err;
}

static enum err tell_the_rest(const struct export *x, const char *copy, struct error *e)
{
	enum err err = ERR_OK;

	if (x->rest.code != ERR_OK) {
		*e = x->rest;
		err = error_wrap(e, "%s holds a copy", x->target);
	}
	return look_at_copy(x, copy, err, e);
}

/* A copy as this kspool writes it, and of that one, which then goes, one in the form of the first release. */
static enum err export_old(struct export *x, struct error *e)
{
	AUTOFREE char *copy = mem_format("%s.kspool-whole", x->target);
	const struct store_options options = stopped_spool_options(&x->place, false);
	struct store_old_copy old;
	struct stat st;
	enum err err;

	if (lstat(x->target, &st) == 0)
		return error_set(e, ERR_INPUT, "%s is there already; name a new file", x->target);
	(void)unlink(copy); /* of an export that was cut short: nobody else has such names */
	err = export_to(x, copy, e);
	if (err == ERR_OK)
		err = store_export_old(copy, x->target, &options, &old, e);
	if (err == ERR_OK) {
		(void)printf("of schema 1: %" PRIu64 " messages that wait, %" PRIu64 " set aside, %" PRIu64
		             " not what was written; which copies were taken in, why messages are damaged and what of"
		             " that you confirmed, how the clock was set, possible duplicates and the spool's name have"
		             " no place there, nor has what stands beside the spool\n",
		             old.waiting, old.dead, old.damaged);
		err = tell_the_rest(x, copy, e);
	}
	(void)unlink(copy);
	return err;
}

int command_export(int argc, char **argv)
{
	struct export x = {.rest = {.code = ERR_OK}};
	struct error e = {.code = ERR_OK};
	const struct command_option options[] = {
	    {"config", 'c', .text = &x.place.config_path},
	    {"spool", .text = &x.place.spool_path},
	    {"schema", .text = &x.schema},
	};
	int status = command_read_options(argc, argv, options, sizeof options / sizeof *options);
	enum err err;

	if (status != EX_OK)
		return status;
	if (argc - optind != 1)
		return command_misused("export", "name the file to write");
	if (x.schema && strcmp(x.schema, "1") != 0)
		return command_misused("export", "--schema takes 1, the form of the first release");
	x.target = argv[optind];
	err = spool_place_find(&x.place, &e);
	if (err == ERR_OK && x.schema)
		err = export_old(&x, &e);
	else if (err == ERR_OK && (err = export_to(&x, x.target, &e)) == ERR_OK)
		err = tell_the_rest(&x, x.target, &e);
	if (err != ERR_OK)
		status = command_fail("export", &e);
	else
		(void)printf("%s holds a copy of %s\n", shown(x.target), shown(x.place.path));
	spool_place_fini(&x.place);
	return status;
}

/* What an import did, in messages. */
struct imported {
	uint64_t rows, left_out, damaged;
	uint64_t by_way;   /* of the possible ones */
	uint64_t possible; /* duplicates */
};

static enum err import_from(const struct spool_place *place, const char *source, bool again, struct imported *ret,
                            struct error *e)
{
	struct store *store;
	uint64_t before;
	enum err err = stopped_spool_open(place, "import", true, &store, e);

	if (err != ERR_OK)
		return err;
	before = store_possible_duplicates(store);
	err = store_import(store, source, again, &ret->rows, e);
	ret->left_out = store_import_left_out(store);
	ret->by_way = store_import_by_way(store);
	ret->damaged = store_import_damaged(store);
	ret->possible = store_possible_duplicates(store) - before;
	if (err == ERR_OK)
		return store_close(store, e);
	(void)store_close(store, NULL);
	return err;
}

/* All of it that can be read is here now; what of the copy is not what was written, a person should know. */
static int tell_of_copy(const char *source)
{
	struct error e = {.code = ERR_OK};
	uint64_t problems = 0;
	struct buf words;
	int status = EX_OK;

	buf_init(&words, REPORT_MAX_BYTES);
	if (store_check_copy(source, &words, &problems, &e) != ERR_OK)
		status = command_fail("import", &e);
	if (problems > 0) {
		shown_lines(stdout, words.data, words.len);
		(void)printf("the copy is not what was written; what does not show there may be missing here\n");
		status = EX_DATAERR;
	}
	buf_fini(&words);
	return status;
}

int command_import(int argc, char **argv)
{
	struct spool_place place = {0};
	struct error e = {.code = ERR_OK};
	struct imported m = {0};
	bool again = false;
	const struct command_option options[] = {
	    {"config", 'c', .text = &place.config_path},
	    {"spool", .text = &place.spool_path},
	    {"again", .flag = &again},
	};
	int status = command_read_options(argc, argv, options, sizeof options / sizeof *options);

	if (status != EX_OK)
		return status;
	if (argc - optind != 1)
		return command_misused("import", "name the copy to read");
	if (spool_place_find(&place, &e) != ERR_OK || import_from(&place, argv[optind], again, &m, &e) != ERR_OK)
		status = command_fail("import", &e);
	else
		(void)printf("%" PRIu64 " messages of %s are in %s\n", m.rows, shown(argv[optind]), shown(place.path));
	if (status == EX_OK && m.left_out > 0)
		(void)printf("%" PRIu64 " that were taken in before are left out (--again takes them in once more)\n",
		             m.left_out);
	if (status == EX_OK && m.by_way > 0)
		(void)printf("%" PRIu64
		             " came there by way of another spool, or were put back from its shelf, and may be here"
		             " already, or have been sent: they count as possible duplicates\n",
		             m.by_way);
	if (status == EX_OK && !again && m.possible > m.by_way)
		(void)printf("%" PRIu64
		             " may have been taken in before, or have left there since: they count as possible"
		             " duplicates\n",
		             m.possible - m.by_way);
	if (status == EX_OK && m.damaged > 0)
		(void)printf("%" PRIu64 " that are not what was written are not taken in, nor counted here\n",
		             m.damaged);
	if (status == EX_OK)
		status = tell_of_copy(argv[optind]);
	if (status == EX_OK && m.damaged > 0)
		status = EX_DATAERR;
	spool_place_fini(&place);
	return status;
}

int command_check(int argc, char **argv)
{
	struct spool_place place = {0};
	struct error e = {.code = ERR_OK};
	uint64_t problems = 0;
	struct buf report;
	int status = read_place(argc, argv, &place);

	if (status != EX_OK)
		return status;
	if (optind < argc)
		return command_misused(argv[0], "takes no argument; name the spool with --spool");
	buf_init(&report, REPORT_MAX_BYTES);
	if (spool_place_find(&place, &e) != ERR_OK || store_check(place.path, &report, &problems, &e) != ERR_OK)
		status = command_fail("check", &e);
	else
		status = problems > 0 ? EX_DATAERR : EX_OK;
	shown_lines(stdout, report.data ? report.data : "", report.len);
	if (problems > 0)
		(void)printf(
		    "nothing was changed by looking: kspool repair, or a start, mends and reads back what can be\n");
	buf_fini(&report);
	spool_place_fini(&place);
	return status;
}

static bool show(const char *text, size_t length)
{
	shown_lines(stdout, text, length);
	return fflush(stdout) == 0 && !ferror(stdout);
}

static void tell(const char *text) { (void)fprintf(stderr, "kspool repair: %s\n", text); }

int command_repair(int argc, char **argv)
{
	struct spool_place place = {0};
	struct error e = {.code = ERR_OK};
	struct store_repair how = {.tell = tell, .show = show, .opened = journal_count_flight};
	const struct command_option options[] = {
	    {"config", 'c', .text = &place.config_path},
	    {"spool", .text = &place.spool_path},
	    {"give-up", .text = &how.give_up},
	};
	struct buf report;
	int status = command_read_options(argc, argv, options, sizeof options / sizeof *options);

	if (status != EX_OK)
		return status;
	if (optind < argc)
		return command_misused(argv[0], "takes no argument; name the spool with --spool");
	buf_init(&report, REPORT_MAX_BYTES);
	if (spool_place_find(&place, &e) != ERR_OK || store_repair(place.path, &how, &report, &e) != ERR_OK)
		status = command_fail("repair", &e);
	shown_lines(stdout, report.data ? report.data : "", report.len);
	buf_fini(&report);
	spool_place_fini(&place);
	return status;
}
