#include "daemon/reload.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/inputs.h"

struct comparison {
	void (*say)(void *arg, const char *field);
	void *arg;
};

static void compare(const struct comparison *c, const char *prefix, const struct option_section *section,
                    const void *old, const void *new)
{
	for (size_t i = 0; i < section->count; i++) {
		const struct option_row *row = &section->rows[i];
		char field[256];

		(void)snprintf(field, sizeof field, "%s.%s", prefix, row->key);
		if (row->kind == OPTION_OBJECT)
			compare(c, field, row->section(), (const char *)old + row->offset,
			        (const char *)new + row->offset);
		else if (!(row->flags & RELOAD) && !option_is_equal(row, old, new))
			c->say(c->arg, field);
	}
}

static void compare_input(const struct comparison *c, const struct config_input *a, const struct config_input *b)
{
	if (a->kind != b->kind)
		c->say(c->arg, a->path);
	else
		compare(c, a->path, input_section(a->kind), input_options(a), input_options(b));
}

void reload_compare(const struct config *old, const struct config *new, void (*say)(void *arg, const char *field),
                    void *arg)
{
	const struct comparison c = {.say = say, .arg = arg};

	compare(&c, "http", options_http(), &old->http, &new->http);
	compare(&c, "logger", options_logger(), &old->logger, &new->logger);
	compare(&c, "metrics.prometheus", options_prometheus(), &old->prometheus, &new->prometheus);
	compare(&c, "buffer.sqlite", options_buffer_sqlite(), &old->buffer, &new->buffer);
	compare(&c, "output.aws_kinesis", options_aws_kinesis(), &old->output, &new->output);
	compare(&c, "kspool", options_kspool(), &old->kspool, &new->kspool);
	if (old->input_count != new->input_count)
		say(arg, "input");
	for (size_t i = 0; i < old->input_count && i < new->input_count; i++)
		compare_input(&c, &old->inputs[i], &new->inputs[i]);
}

static enum log_level level_of(int level)
{
	static const enum log_level levels[] = {
	    [LEVEL_OFF] = LOG_OFF,     [LEVEL_FATAL] = LOG_FATAL, [LEVEL_ERROR] = LOG_ERROR,
	    [LEVEL_WARN] = LOG_WARN,   [LEVEL_INFO] = LOG_INFO,   [LEVEL_DEBUG] = LOG_DEBUG,
	    [LEVEL_TRACE] = LOG_TRACE, [LEVEL_NONE] = LOG_OFF,    [LEVEL_ALL] = LOG_TRACE,
	};

	return levels[level];
}

/* Other threads may be writing a line: a new file takes over the descriptor of the one before. */
static int keep_one(int fd)
{
	static int kept = -1;

	if (kept < 0) {
		kept = fd;
	} else {
		(void)dup3(fd, kept, O_CLOEXEC);
		(void)close(fd);
	}
	return kept;
}

enum err reload_log(const struct config *config, struct error *e)
{
	enum { STATIC_FIELDS_MAX = 32 };
	const struct options_logger *l = &config->logger;
	const char *fields[STATIC_FIELDS_MAX * 2 + 1] = {"@service", "kspool"};
	struct log_options options = {
	    .level = level_of(l->level),
	    .format = l->format == FORMAT_JSON ? LOG_FORMAT_JSON : LOG_FORMAT_LOGFMT,
	    .add_timestamp = l->add_timestamp,
	    .level_name = l->level_name,
	    .timestamp_name = l->timestamp_name,
	    .message_name = l->message_name,
	    .static_fields = fields,
	    .fd = STDOUT_FILENO,
	};

	if (l->static_fields) {
		if (l->static_fields->kind != NODE_MAP || l->static_fields->count > STATIC_FIELDS_MAX)
			return error_set(e, ERR_CONFIG, "logger.static_fields is a map of at most %d fields",
			                 STATIC_FIELDS_MAX);
		memset(fields, 0, sizeof fields);
		for (size_t i = 0; i < l->static_fields->count; i++) {
			fields[2 * i] = l->static_fields->children[i].key;
			fields[2 * i + 1] =
			    l->static_fields->children[i].scalar ? l->static_fields->children[i].scalar : "";
		}
	}
	if (l->file.path && l->file.path[0]) {
		options.fd = open(l->file.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
		if (options.fd < 0)
			return error_set_errno(e, ERR_ENVIRONMENT, "logger.file.path %s cannot be opened",
			                       l->file.path);
		options.fd = keep_one(options.fd);
	}
	log_configure(&options);
	return ERR_OK;
}
