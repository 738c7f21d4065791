/* Trying mappings out, and listing what the language knows. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "bloblang/bloblang.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/shown.h"

static bool run_line(const struct bloblang_mapping *mapping, struct evaluator *ev, const char *line, size_t length)
{
	struct message *m = message_new(NULL, 0, line, length, clock_wall_ms());
	struct message_batch batch = {.messages = &m, .count = 1, .index = 0};
	struct error e = {.code = ERR_OK};
	struct message *result = NULL;
	bool ok = bloblang_mapping_run(mapping, ev, &batch, false, &result, &e) == ERR_OK;

	if (ok && result) {
		shown_payload(stdout, message_body(result), result->body_bytes);
		(void)putchar('\n');
	} else if (!ok) {
		(void)fprintf(stderr, "kspool blobl: %s\n", shown(e.text));
	}
	message_free(result);
	message_free(m);
	return ok;
}

int command_blobl(int argc, char **argv)
{
	struct bloblang_mapping *mapping = NULL;
	struct bloblang_fault fault = {0};
	struct evaluator *ev;
	FILE *in = stdin;
	char *line = NULL;
	size_t capacity = 0;
	ssize_t n;
	bool ok = true;

	if (argc < 2 || argc > 3)
		return command_misused("blobl", "give a mapping and at most one file");
	if (bloblang_mapping_parse(argv[1], ".", &mapping, &fault) != ERR_OK) {
		(void)fprintf(stderr, "kspool blobl: %s\n", shown(fault.text));
		return EX_DATAERR;
	}
	if (argc == 3 && !(in = fopen(argv[2], "re"))) {
		(void)fprintf(stderr, "kspool blobl: %s: %s\n", shown(argv[2]), strerror(errno));
		bloblang_mapping_free(mapping);
		return EX_NOINPUT;
	}
	ev = evaluator_new();
	while ((n = getline(&line, &capacity, in)) >= 0) {
		if (n > 0 && line[n - 1] == '\n')
			n--;
		ok = run_line(mapping, ev, line, (size_t)n) && ok;
	}
	free(line);
	if (in != stdin)
		(void)fclose(in);
	evaluator_free(ev);
	bloblang_mapping_free(mapping);
	return ok ? EX_OK : EX_DATAERR;
}

int command_list(int argc, char **argv)
{
	struct buf out;

	buf_init(&out, 4 << 20);
	if (argc == 2 && strcmp(argv[1], "functions") == 0)
		bloblang_list_functions(&out);
	else if (argc == 2 && strcmp(argv[1], "methods") == 0)
		bloblang_list_methods(&out);
	else if (argc == 2 && strcmp(argv[1], "processors") == 0)
		config_print_processors(&out);
	else
		return command_misused("list", "say functions, methods or processors");
	(void)fwrite(out.data ? out.data : "", 1, out.len, stdout);
	buf_fini(&out);
	return EX_OK;
}
