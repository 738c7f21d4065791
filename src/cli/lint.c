#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

#include "aws/whoami.h"
#include "cli/cli.h"
#include "pipeline/pipeline.h"

enum { FINDINGS = 1 };

static int lint_one(const char *path, const struct config_load_options *options, bool explain)
{
	struct error e = {.code = ERR_OK};
	struct config_faults faults = {0};
	struct config *config = NULL;
	enum err r = config_load(path, options, &config, &faults, &e);
	int status;

	if (r == ERR_OK && pipeline_lint(config, &faults) != ERR_OK)
		r = ERR_CONFIG;
	status = faults.count > 0 || r != ERR_OK ? FINDINGS : EX_OK;

	for (size_t i = 0; i < faults.count; i++)
		(void)printf("%s(%d,%d) %s\n", path, faults.items[i].line, faults.items[i].column,
		             faults.items[i].text);
	if (r != ERR_OK && faults.count == 0)
		(void)printf("%s(1,1) %s\n", path, e.text);
	if (config && explain) {
		struct buf out;

		buf_init(&out, 1 << 20);
		aws_explain(config, &out);
		(void)fwrite(out.data ? out.data : "", 1, out.len, stdout);
		buf_fini(&out);
	}
	config_faults_fini(&faults);
	config_free(config);
	return status;
}

int command_lint(int argc, char **argv)
{
	static const struct option longs[] = {
	    {"explain", no_argument, NULL, 'e'},
	    {"skip-env-var-check", no_argument, NULL, 'k'},
	    {NULL, 0, NULL, 0},
	};
	struct config_load_options options = {0};
	bool explain = false;
	int status = EX_OK, opt;

	while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (opt == 'e')
			explain = true;
		else if (opt == 'k')
			options.skip_env_check = true;
		else
			return command_misused("lint", "unknown option");
	}
	if (optind == argc)
		return command_misused("lint", "name at least one configuration");
	for (int i = optind; i < argc; i++)
		if (lint_one(argv[i], &options, explain) != EX_OK)
			status = FINDINGS;
	return status;
}
