#include "daemon/inspect.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/trusted.h"
#include "aws/client.h"
#include "pipeline/pipeline.h"
#include "doors/doors.h"

/* What will not be read of who may write it, or what it is. One that is not here, or not for us, may be elsewhere. */
static void inspect_file(struct config_faults *faults, const char *key, const char *path)
{
	AUTOCLOSE int fd = -1;
	struct error e = {.code = ERR_OK};

	if (path && *path && access(path, R_OK) == 0 && trusted_open(path, O_RDONLY, &fd, NULL, &e) != ERR_OK)
		config_faults_foresee(faults, "the file of %s: %s", key, e.text);
}

static void inspect_files(const struct config *c, struct config_faults *faults)
{
	inspect_file(faults, "http.cert_file", c->http.cert_file);
	inspect_file(faults, "http.key_file", c->http.key_file);
	inspect_file(faults, "http.token_file", c->http.token_file);
	inspect_file(faults, "kspool.ca_file", c->kspool.ca_file);
	for (size_t i = 0; i < c->input_count; i++) {
		const struct options_input_http_server *h = &c->inputs[i].http_server;
		const struct options_input_socket_server *s = &c->inputs[i].socket_server;

		if (c->inputs[i].kind == INPUT_HTTP_SERVER) {
			inspect_file(faults, "http_server.cert_file", h->cert_file);
			inspect_file(faults, "http_server.key_file", h->key_file);
			inspect_file(faults, "http_server.client_ca_file", h->client_ca_file);
			inspect_file(faults, "http_server.token_file", h->token_file);
		} else if (c->inputs[i].kind == INPUT_SOCKET_SERVER) {
			inspect_file(faults, "socket_server.tls.cert_file", s->tls.cert_file);
			inspect_file(faults, "socket_server.tls.key_file", s->tls.key_file);
			inspect_file(faults, "socket_server.tls.client_ca_file", s->tls.client_ca_file);
			inspect_file(faults, "socket_server.token_file", s->token_file);
		}
	}
}

/* A shared folder is no place for a spool, whoever runs it. */
static void inspect_spool(const struct config *c, struct config_faults *faults)
{
	AUTOFREE char *folder = c->buffer.path ? mem_string(c->buffer.path) : NULL, *word = NULL;
	char *slash = folder ? strrchr(folder, '/') : NULL;
	struct stat st;

	if (!slash || slash == folder)
		return;
	*slash = '\0';
	word = mem_shell_word(folder);
	if (stat(folder, &st) == 0 && st.st_mode & S_ISVTX && st.st_mode & S_IWOTH)
		config_faults_foresee(faults,
		                      "buffer.sqlite.path: %s is shared by all users; make a folder of its own: install"
		                      " -d -m 0700 %s/kspool, and name a file in that",
		                      folder, word);
}

void inspect_config(const struct config *config, struct config_faults *faults)
{
	const struct aws_client_options aws = {
	    .output = &config->output, .kspool = &config->kspool, .service = "kinesis", .max_connections = 1};
	struct error e = {.code = ERR_OK};

	pipeline_lint(config, faults);
	doors_lint(config, faults);
	inspect_files(config, faults);
	inspect_spool(config, faults);
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
