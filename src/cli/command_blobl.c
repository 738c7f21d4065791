/* Trying mappings out. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "bloblang/bloblang.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/shown.h"

enum { MAPPING_MAX_BYTES = 1 << 20, PIECE_BYTES = 65536 };

/* The mapping of -p; what is no JSON is shown as it is. */
static const char indented[] = "root = this.format_json(indent: \"  \")";

struct trial {
	struct bloblang_mapping *mapping;
	struct bloblang_mapping *pretty; /* may be null */
	struct evaluator *ev;
};

static void print_body(const struct trial *t, struct message *m)
{
	struct message_batch batch = {.messages = &m, .count = 1, .index = 0};
	struct error e = {.code = ERR_OK};
	struct message *result = NULL;

	if (!t->pretty || bloblang_mapping_run(t->pretty, t->ev, &batch, false, &result, &e) != ERR_OK)
		result = NULL;
	shown_payload(stdout, message_body(result ? result : m), (result ? result : m)->body_bytes);
	(void)putchar('\n');
	message_free(result);
}

static bool run_line(const struct trial *t, const char *line, size_t length, uint64_t number)
{
	struct message *m = message_new(NULL, 0, line, length, clock_wall_ms());
	struct message_batch batch = {.messages = &m, .count = 1, .index = 0};
	struct error e = {.code = ERR_OK};
	struct message *result = NULL;
	bool ok = bloblang_mapping_run(t->mapping, t->ev, &batch, false, &result, &e) == ERR_OK;

	if (ok && result)
		print_body(t, result);
	else if (!ok)
		(void)fprintf(stderr, "kspool blobl: message %" PRIu64 ": %s\n", number, shown(e.text));
	message_free(result);
	message_free(m);
	return ok;
}

static bool run_lines(const struct trial *t, FILE *in)
{
	char *line = NULL;
	size_t capacity = 0;
	uint64_t number = 0;
	ssize_t n;
	bool ok = true;

	while ((n = getline(&line, &capacity, in)) >= 0) {
		if (n > 0 && line[n - 1] == '\n')
			n--;
		ok = run_line(t, line, (size_t)n, ++number) && ok;
	}
	free(line);
	return ok;
}

static enum err read_file(const char *path, struct buf *ret, struct error *e)
{
	FILE *f = fopen(path, "re");
	enum err err = ERR_OK;
	char *room;
	size_t n;

	if (!f)
		return error_set_errno(e, ERR_NOINPUT, "%s", path);
	do {
		if (buf_reserve(ret, PIECE_BYTES, &room) != ERR_OK) {
			err = error_set(e, ERR_NOINPUT, "%s is larger than 1 MiB", path);
			break;
		}
		n = fread(room, 1, PIECE_BYTES, f);
		buf_advance(ret, n);
	} while (n > 0);
	if (err == ERR_OK && ferror(f))
		err = error_set_errno(e, ERR_NOINPUT, "%s", path);
	(void)fclose(f);
	return err;
}

/* The mapping's text: the first argument, or the file of -f. False: said. */
static bool read_mapping(const char *file, int *at, int argc, char **argv, struct buf *ret, int *ret_status)
{
	struct error e = {.code = ERR_OK};

	buf_init(ret, MAPPING_MAX_BYTES + PIECE_BYTES);
	if (!file && *at == argc) {
		*ret_status = command_misused("blobl", "give a mapping, or -f FILE with one");
		return false;
	}
	if (!file) {
		(void)buf_add_text(ret, argv[(*at)++]);
		return true;
	}
	if (read_file(file, ret, &e) == ERR_OK)
		return true;
	*ret_status = command_fail("blobl", &e);
	return false;
}

int command_blobl(int argc, char **argv)
{
	const char *file = NULL, *input = NULL;
	bool pretty = false;
	const struct command_option options[] = {
	    {"file", 'f', .text = &file},
	    {"input-file", 'i', .text = &input},
	    {"pretty", 'p', .flag = &pretty},
	};
	int status = command_read_options(argc, argv, options, sizeof options / sizeof *options), at = optind;
	struct trial t = {.mapping = NULL};
	struct bloblang_fault fault = {0};
	struct buf text CLEANUP(buf_fini) = {0};
	FILE *in = stdin;

	if (status != EX_OK || !read_mapping(file, &at, argc, argv, &text, &status))
		return status;
	if (!input && at < argc)
		input = argv[at++];
	if (at < argc)
		return command_misused("blobl", "give a mapping and at most one file");
	if (bloblang_mapping_parse(text.data ? text.data : "", ".", &t.mapping, &fault) != ERR_OK) {
		(void)fprintf(stderr, "kspool blobl: %s%s%s\n", file ? shown(file) : "", file ? ": " : "",
		              shown(fault.text));
		return EX_DATAERR;
	}
	if (input && !(in = fopen(input, "re"))) {
		(void)fprintf(stderr, "kspool blobl: %s: %s\n", shown(input), strerror(errno));
		bloblang_mapping_free(t.mapping);
		return EX_NOINPUT;
	}
	if (pretty)
		must(bloblang_mapping_parse(indented, NULL, &t.pretty, &fault) == ERR_OK);
	t.ev = evaluator_new();
	status = run_lines(&t, in) ? EX_OK : EX_DATAERR;
	if (in != stdin)
		(void)fclose(in);
	evaluator_free(t.ev);
	bloblang_mapping_free(t.pretty);
	bloblang_mapping_free(t.mapping);
	return status;
}
