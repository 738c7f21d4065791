#include "daemon/inspect.h"

#include <string.h>

#include "base/mem.h"
#include "aws/client.h"
#include "pipeline/pipeline.h"

void inspect_config(const struct config *config, struct config_faults *faults)
{
	const struct aws_client_options aws = {
	    .output = &config->output, .kspool = &config->kspool, .service = "kinesis", .max_connections = 1};
	struct error e = {.code = ERR_OK};

	pipeline_lint(config, faults);
	if (config->output.stream && aws_options_check(&aws, &e) != ERR_OK)
		config_faults_add(faults, 1, 1, false, "output.aws_kinesis: %s", e.text);
}

char *inspect_control_path(const struct config *config)
{
	const char *control = config->kspool.control;
	bool is_given = control && control[0];
	const char *path = is_given ? control : config->buffer.path;

	/* without a slash it would be taken for host:port */
	return mem_format("%s%s%s", strchr(path, '/') ? "" : "./", path, is_given ? "" : ".sock");
}
