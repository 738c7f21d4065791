#include "daemon/reload.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/trusted.h"
#include "config/inputs.h"

struct keeping {
	void (*say)(void *arg, const char *field);
	void *arg;
};

static void keep(const struct keeping *k, const char *prefix, const struct option_section *section, const void *old,
                 void *new)
{
	for (size_t i = 0; i < section->count; i++) {
		const struct option_row *row = &section->rows[i];
		AUTOFREE char *field = mem_format("%s%s%s", prefix, *prefix ? "." : "", row->key);

		if (row->kind == OPTION_OBJECT) {
			keep(k, field, row->section(), (const char *)old + row->offset, (char *)new + row->offset);
		} else if (!(row->flags & (RELOAD | INERT)) && !option_is_equal(row, old, new)) {
			k->say(k->arg, field);
			option_copy(row, old, new);
		}
	}
}

/* The doors stay as they were opened: what is said of inputs is for the operator alone. */
static void keep_input(const struct keeping *k, const struct config_input *a, struct config_input *b)
{
	if (a->kind != b->kind) {
		k->say(k->arg, a->path);
		return;
	}
	keep(k, a->path, options_input(), a, b);
	keep(k, a->path, input_section(a->kind), input_options(a), input_options_edit(b));
}

void reload_keep(const struct config *old, struct config *new, void (*say)(void *arg, const char *field), void *arg)
{
	static const struct {
		const char *prefix;
		const struct option_section *(*section)(void);
	} frames[] = {{"", options_root},
	              {"metrics", options_metrics},
	              {"buffer", options_buffer},
	              {"pipeline", options_pipeline},
	              {"output", options_output}};
	const struct keeping k = {.say = say, .arg = arg};

	for (size_t i = 0; i < sizeof frames / sizeof *frames; i++)
		keep(&k, frames[i].prefix, frames[i].section(), old, new);
	if (old->metrics_prometheus != new->metrics_prometheus) {
		say(arg, "metrics");
		new->metrics_prometheus = old->metrics_prometheus;
	}
	if (old->input_count != new->input_count)
		say(arg, "input");
	for (size_t i = 0; i < old->input_count && i < new->input_count; i++)
		keep_input(&k, &old->inputs[i], &new->inputs[i]);
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
		if (trusted_open(l->file.path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, &options.fd, NULL, e) !=
		    ERR_OK) {
			e->code = ERR_ENVIRONMENT;
			return error_wrap(e, "logger.file.path");
		}
		options.fd = keep_one(options.fd);
	}
	log_configure(&options);
	return ERR_OK;
}
