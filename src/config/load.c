/*
 * From a file to a struct config.
 *
 * Invariants:
 * 1. A struct config is whole at any time: the defaults first, so that config_free is always possible.
 * 2. What is given out has no fault but warnings.
 * 3. The keys beside components are settled before any row is read, and rooms above inspect what was read.
 */
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/trusted.h"
#include "config/components.h"
#include "config/default_place.h"
#include "config/expand.h"
#include "config/faults.h"
#include "config/inputs.h"
#include "config/options.h"
#include "config/rules.h"
#include "config/tree.h"

static const char lint_disable[] = "# BENTHOS LINT DISABLE";

static void read_pipeline(struct options_reader *r, const struct config_node *node, void *base)
{
	size_t length = options_reader_enter(r, "pipeline");

	options_read(r, options_pipeline(), node, base, NULL);
	options_reader_leave(r, length);
}

static void refuse_resources(struct options_reader *r, const struct config_node *node, void *base)
{
	(void)base;
	if (!node->unset && !tree_is_null(node) && node->kind != NODE_LIST)
		config_faults_add(r->faults, node->line, node->column, false, "%s: expected a list, not %s", node->key,
		                  tree_kind_name(node));
	else if (node->count > 0)
		config_faults_add(r->faults, node->key_line, node->key_column, false,
		                  "%s is not part of kspool: write the stream under output", node->key);
}

/* How Redpanda Connect treats failed messages. */
static void pass_over_error_handling(struct options_reader *r, const struct config_node *node, void *base)
{
	(void)base;
	if (!node->unset && (node->count > 0 || node->scalar))
		config_faults_add(r->faults, node->key_line, node->key_column, true,
		                  "error_handling has no effect: kspool.processor_error says what becomes of a failed "
		                  "message");
}

static const struct key_handler root_handlers[] = {
    {"input", component_read_input},
    {"buffer", component_read_buffer},
    {"pipeline", read_pipeline},
    {"output", component_read_output},
    {"metrics", component_read_metrics},
    {"tracer", component_read_tracer},
    {"output_resources", refuse_resources},
    {"error_handling", pass_over_error_handling},
    {"tests", NULL}, /* unit tests of a file, for another program */
    {NULL, NULL},
};

static const char *foreign_root(const char *key)
{
	static const struct {
		const char *key;
		const char *sentence;
	} rows[] = {
	    {"redpanda", "redpanda: the enterprise section of Redpanda Connect is not part of kspool"},
	    {"resources",
	     "resources is an old section of Redpanda Connect; use processor_resources, rate_limit_resources, "
	     "cache_resources"},
	    {"stream", "stream belongs to output.aws_kinesis"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(rows[i].key, key) == 0)
			return rows[i].sentence;
	return NULL;
}

static void report_missing_root(struct options_reader *r, const struct config_node *root)
{
	if (root->kind == NODE_LIST || (root->kind == NODE_SCALAR && root->scalar))
		return;
	if (!tree_member(root, "input"))
		config_faults_add(r->faults, 1, 1, false, "input is required: " INPUT_WORDS);
	if (!tree_member(root, "output"))
		config_faults_add(
		    r->faults, 1, 1, false,
		    "output is required: add output: { aws_kinesis: { stream: NAME, partition_key: ... } }");
}

static const struct option_section *(*const frames[])(void) = {options_root, options_pipeline, options_buffer,
                                                               options_output, options_metrics};

static struct config *new_config(const char *name)
{
	struct config *config = mem_zero(sizeof *config);

	config->file = mem_string(name);
	config->metrics_prometheus = true;
	for (size_t i = 0; i < sizeof frames / sizeof *frames; i++)
		options_defaults(frames[i](), config);
	return config;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < sizeof frames / sizeof *frames; i++)
		options_free(frames[i](), config);
	for (size_t i = 0; i < config->input_count; i++)
		input_fini(&config->inputs[i]);
	free(config->inputs);
	tree_free(config->intake_processors);
	input_untils_free(config);
	tree_free(config->tree);
	free(config->file);
	free(config);
}

/* Without a buffer of its own. */
static void place_spool(struct config *config, struct config_faults *faults)
{
	const struct config_node *buffer = tree_member(config->tree, "buffer");
	int line = buffer ? buffer->key_line : 1, column = buffer ? buffer->key_column : 1;
	struct error e = {.code = ERR_OK};

	if (faults_count_errors(faults) > 0 || (buffer && (buffer->unset || tree_member(buffer, "sqlite"))))
		return;
	config->has_default_place = default_place_find(config->file, &config->buffer.path, &e) == ERR_OK;
	if (config->has_default_place)
		config_faults_add(faults, line, column, true,
		                  "no buffer.sqlite.path is set: run by this user, kspool keeps messages in %s",
		                  config->buffer.path);
	else
		config_faults_add(faults, line, column, false,
		                  "%s; write buffer: { sqlite: { path: /var/lib/kspool/spool.db } }", e.text);
}

/* Nothing that they make differs by the side of the buffer they run on. */
static void join_processors(struct config *config)
{
	const struct config_node *const lists[] = {config->buffer.pre_processors, config->buffer.post_processors,
	                                           config->pipeline_processors};

	config->intake_processors = mem_zero(sizeof *config->intake_processors);
	config->intake_processors->kind = NODE_LIST;
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		tree_append_copies(config->intake_processors, lists[i]);
	if (config->intake_processors->count == 0) {
		tree_free(config->intake_processors);
		config->intake_processors = NULL;
	}
}

static void read_tree(struct config *config, struct config_faults *faults)
{
	static const struct options_extras extras = {.handlers = root_handlers, .foreign = foreign_root};
	struct options_reader reader = {.faults = faults};

	component_keys_settle(config->tree, faults);
	options_read(&reader, options_root(), config->tree, config, &extras);
	report_missing_root(&reader, config->tree);
	place_spool(config, faults);
	join_processors(config);
	if (!config->output_label)
		config->output_label = mem_string("");
	input_check_unused(config, faults);
	rules_check(config, faults);
}

enum err config_parse(const char *name, const char *text, size_t length, const struct config_load_options *options,
                      struct config **ret, struct config_faults *faults, struct error *e)
{
	static const struct config_load_options none = {0};
	struct config *config = new_config(name);
	struct expansion x = {0};
	size_t errors;

	*ret = NULL;
	memset(faults, 0, sizeof *faults);
	if (!options)
		options = &none;
	if (length > TREE_BYTES_MAX)
		config_faults_add(faults, 1, 1, false, "the file is larger than 1 MiB");
	else if (expand(&x, text, length, options->skip_env_check, faults))
		config->tree = tree_parse(&x, faults);
	for (size_t i = 0; config->tree && i < options->set_count; i++)
		tree_set(config->tree, options->sets[i], faults);
	if (config->tree)
		read_tree(config, faults);
	if (config->tree && options->inspect)
		options->inspect(config, faults);
	expansion_fini(&x);
	if (length >= sizeof lint_disable - 1 && memcmp(text, lint_disable, sizeof lint_disable - 1) == 0)
		faults_drop_warnings(faults);
	faults_sort(faults);
	errors = faults_count_errors(faults);
	if (errors == 0) {
		*ret = config;
		return ERR_OK;
	}
	config_free(config);
	return error_set(e, ERR_CONFIG, "%s: %zu %s", name, errors, errors == 1 ? "fault" : "faults");
}

/* Who may have written what we obey: only root and ourselves. */
static enum err check_file(const char *path, int fd, bool for_run, bool *ret_lax, struct config_faults *warnings,
                           struct error *e)
{
	AUTOFREE char *word = mem_shell_word(path);
	struct stat st;
	const char *wrong = NULL;

	if (fstat(fd, &st) != 0)
		return error_set_errno(e, ERR_NOINPUT, "cannot examine %s", path);
	if (S_ISDIR(st.st_mode) || (for_run && !S_ISREG(st.st_mode)))
		return error_set(e, ERR_NOINPUT, "%s is not a regular file", path);
	*ret_lax = false;
	if (!S_ISREG(st.st_mode))
		return ERR_OK;
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		wrong = "can be written by others; run: chmod go-w";
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		wrong = "belongs neither to root nor to the user of this process; run: chown root";
	*ret_lax = (st.st_mode & S_IROTH) && !trusted_is_mounted(path);
	if (wrong && for_run)
		return error_set(e, ERR_ENVIRONMENT, "%s %s %s", path, wrong, word);
	if (wrong)
		config_faults_foresee(warnings, "this file: it %s %s", wrong, word);
	return ERR_OK;
}

/* One that stands in the file itself, not in a variable that it names. */
static bool stands_in(const char *secret, const char *text)
{
	return secret && *secret && text && strstr(text, secret);
}

static void warn_of_secrets(const char *path, const struct config *config, const char *text,
                            struct config_faults *warnings)
{
	const struct options_credentials *c = &config->output.credentials;
	const char *proxy = config->kspool.proxy, *what = NULL;
	AUTOFREE char *word = mem_shell_word(path);

	if (stands_in(c->secret, text))
		what = "output.aws_kinesis.credentials.secret";
	else if (stands_in(c->token, text))
		what = "output.aws_kinesis.credentials.token";
	else if (proxy && strchr(proxy, '@') && stands_in(proxy, text))
		what = "the password in kspool.proxy";
	if (!what)
		return;
	config_faults_add(warnings, 1, 1, true, "%s is in a file that everybody may read; run: chmod o-r %s", what,
	                  word);
}

static enum err read_all(const char *path, int fd, struct buf *ret, struct error *e)
{
	for (;;) {
		char *room;
		ssize_t n;

		if (buf_reserve(ret, 65536, &room) != ERR_OK)
			return error_set(e, ERR_CONFIG, "%s is larger than 1 MiB", path);
		n = read(fd, room, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(e, ERR_NOINPUT, "cannot read %s", path);
		if (n == 0)
			return ERR_OK;
		buf_advance(ret, (size_t)n);
	}
}

/* Opens without waiting on a FIFO, through a link only of root's or ours. "-" is standard input. */
static enum err open_file(const char *path, bool for_run, int *ret_fd, struct error *e)
{
	enum err err = trusted_link(path, e);

	if (err != ERR_OK)
		return err;
	if (strcmp(path, "-") == 0 && for_run)
		return error_set(e, ERR_USAGE, "a configuration to run cannot come from standard input: name a file");
	*ret_fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
	                                 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (*ret_fd >= 0)
		return ERR_OK;
	return error_set_errno(e, ERR_NOINPUT, "cannot open %s", path);
}

enum err config_load(const char *path, const struct config_load_options *options, struct config **ret,
                     struct config_faults *faults, struct error *e)
{
	struct config_faults warnings = {0};
	struct buf text CLEANUP(buf_fini);
	bool for_run = options && options->for_run;
	int fd AUTOCLOSE = -1;
	bool lax = false;
	enum err err;

	*ret = NULL;
	memset(faults, 0, sizeof *faults);
	buf_init(&text, TREE_BYTES_MAX + 2 * 65536);
	err = open_file(path, for_run, &fd, e);
	if (err == ERR_OK)
		err = check_file(path, fd, for_run, &lax, &warnings, e);
	if (err == ERR_OK)
		err = read_all(path, fd, &text, e);
	if (err == ERR_OK) {
		err = config_parse(path, text.data ? text.data : "", text.len, options, ret, faults, e);
		if (lax && *ret)
			warn_of_secrets(path, *ret, text.data, &warnings);
		for (size_t i = 0; i < warnings.count; i++) {
			config_faults_add(faults, 1, 1, true, "%s", warnings.items[i].text);
			faults->items[faults->count - 1].foreseen = warnings.items[i].foreseen;
		}
		faults_sort(faults);
	} else if (err == ERR_CONFIG) {
		config_faults_add(faults, 1, 1, false, "the file is larger than 1 MiB");
	}
	config_faults_fini(&warnings);
	return err;
}
