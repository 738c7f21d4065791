/* doors_lint: what of an input only its door can read. */
#include "config/config.h"
#include "doors/doors.h"
#include <string.h>

#include "doors/scanner_internal.h"
#include "doors/schedule.h"

static void lint_scanner(const struct config_input *input, struct config_faults *faults)
{
	const struct config_scanner *scanner = &input->scanner;
	const char *delimiter = scanner->csv.custom_delimiter;
	char fault[REGEX_FAULT_MAX];
	struct regex *pattern;
	struct arena arena;

	if (scanner->csv_input && !scanner_is_rune(delimiter))
		config_faults_add(faults, input->line, 1, false, "%s.csv.delimiter must be exactly one character",
		                  input->path);
	if (scanner->kind == SCANNER_CSV && delimiter &&
	    (*delimiter == '"' || *delimiter == '\r' || *delimiter == '\n'))
		config_faults_add(faults, input->line, 1, false,
		                  "%s: a quote or a line break cannot delimit values of csv", input->path);
	if (scanner->kind != SCANNER_RE_MATCH || !scanner->re_match.pattern)
		return;
	arena_init(&arena, 1048576);
	pattern = scanner_pattern(&arena, scanner, fault);
	if (!pattern)
		config_faults_add(faults, input->line, 1, false, "%s: scanner.re_match.pattern: %s", input->path,
		                  fault);
	regex_free(pattern);
	arena_fini(&arena);
}

void doors_lint(const struct config *config, struct config_faults *faults)
{
	for (size_t i = 0; i < config->input_count; i++) {
		const struct config_input *input = &config->inputs[i];
		struct schedule schedule;
		char why[160];

		if (input->kind == INPUT_GENERATE && input->generate.interval &&
		    !schedule_parse(input->generate.interval, &schedule, why, sizeof why))
			config_faults_add(faults, input->line, 1, false, "%s.generate.interval: %s", input->path, why);
		lint_scanner(input, faults);
	}
}
