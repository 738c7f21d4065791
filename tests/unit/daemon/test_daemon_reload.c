/* A reload: what may change while running, what needs a restart, and a logger that cannot be had. */
#include "rig/daemon_world.h"

#include <fcntl.h>

#include "config/options.h"
#include "daemon/inspect.h"
#include "daemon/reload.h"

#define BASE(input, output, rest)                                                                                      \
	"input: {" input "}\noutput: {aws_kinesis: {stream: s, partition_key: k, region: eu-west-1" output "}}\n" rest \
	"\n"
#define BUFFER "buffer: {sqlite: {path: /s}}\n"

static void note(void *arg, const char *field)
{
	char *said = arg;

	(void)snprintf(said + strlen(said), 400 - strlen(said), "%s ", field);
}

static void only_what_needs_a_restart_is_said(void **state)
{
	static const struct {
		const char *old;
		const char *new;
		const char *said;
	} rows[] = {
	    {BASE("stdin: {}", "", BUFFER), BASE("stdin: {}", "", BUFFER), ""},
	    {BASE("stdin: {}", "", BUFFER), BASE("stdin: {}", ", batching: {count: 3}", BUFFER), ""},
	    {BASE("stdin: {}", "", BUFFER), BASE("stdin: {}", ", credentials: {id: a, secret: b}", BUFFER), ""},
	    {BASE("stdin: {}", "", BUFFER), BASE("stdin: {}", "", BUFFER "logger: {level: DEBUG}"), ""},
	    {BASE("stdin: {}", "", BUFFER), BASE("stdin: {}", "", BUFFER "kspool: {max_bytes: 1GiB, linger: 1s}"), ""},
	    {BASE("stdin: {}", "", BUFFER), BASE("stdin: {}", ", endpoint: 'http://[::1]:1'", BUFFER),
	     "output.aws_kinesis.endpoint "},
	    {BASE("stdin: {}", "", BUFFER "logger: {static_fields: {a: b}}"),
	     BASE("stdin: {}", "", BUFFER "logger: {static_fields: {a: b}}"), ""},
	    {BASE("stdin: {}", "", BUFFER), BASE("stdin: {}", "", "buffer: {sqlite: {path: /t}}"),
	     "buffer.sqlite.path "},
	    {BASE("stdin: {}", "", BUFFER), BASE("stdin: {}", "", BUFFER "http: {address: '127.0.0.1:1'}"),
	     "http.address "},
	    {BASE("stdin: {}", "", BUFFER), BASE("stdin: {}", "", BUFFER "kspool: {memory: 99MiB, max_bytes: 1GiB}"),
	     "kspool.memory "},
	    {BASE("stdin: {}", "", BUFFER), BASE("file: {paths: [/f]}", "", BUFFER), "input "},
	    {BASE("file: {paths: [/f]}", "", BUFFER), BASE("file: {paths: [/f, /g]}", "", BUFFER), "input.paths "},
	    {BASE("stdin: {}", "", BUFFER), BASE("broker: {inputs: [{stdin: {}}, {file: {paths: [/f]}}]}", "", BUFFER),
	     "input "},
	    {BASE("file: {paths: [/f]}", "", BUFFER), BASE("file: {paths: [/g]}", "", BUFFER), "input.paths "},
	    {BASE("stdin: {}, processors: [noop: ]", "", BUFFER), BASE("stdin: {}, processors: [noop: ]", "", BUFFER),
	     ""},
	    {BASE("stdin: {}, processors: [noop: ]", "", BUFFER), BASE("stdin: {}, processors: [try: []]", "", BUFFER),
	     "input.processors "},
	    {BASE("stdin: {}", "", BUFFER),
	     BASE("stdin: {}", "", BUFFER "pipeline: {processors: [noop: ], threads: 3}"), "pipeline.processors "},
	    {BASE("stdin: {}", "", BUFFER "pipeline: {processors: [mapping: root = 1]}"),
	     BASE("stdin: {}", "", BUFFER "pipeline: {processors: [mapping: root = 2]}"), "pipeline.processors "},
	    {BASE("stdin: {}", "", BUFFER "cache_resources: [{label: c, lru: }]"),
	     BASE("stdin: {}", "", BUFFER "cache_resources: [{label: c, memory: }]"), "cache_resources "},
	    {BASE("stdin: {}", "}, processors: [{noop: {}}], meta: {a: 1", BUFFER), BASE("stdin: {}", "", BUFFER),
	     "output.processors "},
	    {BASE("stdin: {}", "", BUFFER), BASE("stdin: {}", "", BUFFER "metrics: {none: {}}"), "metrics "},
	    {BASE("stdin: {}", "", BUFFER), BASE("stdin: {}", "", BUFFER "shutdown_timeout: 3s"), ""},
	    {BASE("stdin: {}", "", BUFFER), BASE("stdin: {}", "", BUFFER "logger: {file: {path: /x}}"), ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct config *old = world_config(rows[i].old), *new = world_config(rows[i].new);
		char said[400] = "";

		reload_keep(old, new, note, said);
		if (strcmp(said, rows[i].said) != 0)
			fail_msg("%s -> %s: said \"%s\", not \"%s\"", rows[i].old, rows[i].new, said, rows[i].said);
		/* What was said is as before: said once more it is nothing, but for inputs of another kind or number.
		 */
		said[0] = '\0';
		reload_keep(old, new, note, said);
		if (said[0] && strcmp(said, "input ") != 0)
			fail_msg("%s -> %s: \"%s\" was not kept", rows[i].old, rows[i].new, said);
		config_free(new);
		config_free(old);
	}
}

/* Another value than the one that stands there; false for kinds that have no other by themselves. */
static bool change(const struct option_row *row, void *base)
{
	char *at = (char *)base + row->offset;

	switch (row->kind) {
	case OPTION_STRING:
	case OPTION_SECRET:
	case OPTION_TEMPLATE: /* text is the first member of struct config_text */
	case OPTION_MAPPING:
		free(*(char **)(void *)at);
		*(char **)(void *)at = mem_string("another");
		return true;
	case OPTION_BOOL:
		*(bool *)(void *)at = !*(bool *)(void *)at;
		return true;
	case OPTION_INT:
	case OPTION_DURATION:
	case OPTION_SIZE:
		++*(int64_t *)(void *)at;
		return true;
	case OPTION_ENUM:
		++*(int *)(void *)at;
		return true;
	default:
		return false;
	}
}

/* Each option by itself, of every section that is in `old` and `new`: applied, or said and kept, and never both. */
static unsigned change_each(const struct option_section *section, void *old_base, void *new_base,
                            const struct config *old, struct config *new)
{
	unsigned changed = 0;

	for (size_t i = 0; i < section->count; i++) {
		const struct option_row *row = &section->rows[i];
		bool applied = row->flags & (RELOAD | INERT);
		char said[400] = "";

		if (row->kind == OPTION_OBJECT) {
			changed += change_each(row->section(), (char *)old_base + row->offset,
			                       (char *)new_base + row->offset, old, new);
			continue;
		}
		if (!change(row, new_base))
			continue;
		changed++;
		reload_keep(old, new, note, said);
		if (applied != option_is_equal(row, old_base, new_base) && applied == !said[0] &&
		    (applied || strstr(said, row->key))) {
			if (applied)
				option_copy(row, old_base, new_base);
			continue;
		}
		fail_msg("%s.%s: %s, and said was \"%s\"", section->name, row->key, applied ? "to apply" : "to keep",
		         said);
	}
	return changed;
}

static void every_option_is_applied_or_said_and_kept(void **state)
{
	static const struct option_section *(*const frames[])(void) = {options_root, options_metrics, options_buffer,
	                                                               options_pipeline, options_output};
	struct config *old = world_config(BASE("stdin: {}", "", BUFFER)),
	              *new = world_config(BASE("stdin: {}", "", BUFFER));
	unsigned changed = 0;

	(void)state;
	for (size_t i = 0; i < sizeof frames / sizeof *frames; i++)
		changed += change_each(frames[i](), old, new, old, new);
	assert_true(changed > 60);
	config_free(new);
	config_free(old);
}

static enum err reload_logger(const char *logger, struct error *e)
{
	char *text = mem_format(BASE("stdin: {}", "", BUFFER "logger: {%s}"), logger);
	struct config *config = world_config(text);
	enum err err = reload_log(config, e);

	config_free(config);
	free(text);
	return err;
}

static void a_logger_that_cannot_be_had_is_an_error(void **state)
{
	struct error e = {.code = ERR_OK};
	char fields[2000] = "static_fields: {";

	(void)state;
	assert_int_equal(reload_logger("file: {path: /nonexistent/log}", &e), ERR_ENVIRONMENT);
	assert_has(e.text, "logger.file.path: cannot open /nonexistent/log");
	for (int i = 0; i < 33; i++)
		(void)snprintf(fields + strlen(fields), sizeof fields - strlen(fields), "f%d: v, ", i);
	strcat(fields, "}");
	assert_int_equal(reload_logger(fields, &e), ERR_CONFIG);
	assert_has(e.text, "at most 32 fields");
}

static void a_new_log_file_takes_over_the_descriptor(void **state)
{
	struct spooldir dir;
	struct error e = {.code = ERR_OK};
	char *first, *second;
	int before, after;

	(void)state;
	spooldir_make(&dir);
	first = mem_format("file: {path: '%s/one'}", dir.dir);
	second = mem_format("file: {path: '%s/two'}", dir.dir);
	assert_int_equal(reload_logger(first, &e), ERR_OK);
	before = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(reload_logger(second, &e), ERR_OK);
	assert_int_equal(reload_logger(first, &e), ERR_OK);
	after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(after, before + 1); /* no reload kept a descriptor more */
	free(first);
	free(second);
	spooldir_remove_open(&dir); /* which has the log */
}

static void a_configuration_is_inspected_by_the_rooms_above(void **state)
{
	static const struct {
		const char *text;
		const char *fault; /* null: none */
	} rows[] = {
	    {BASE("stdin: {}", "", BUFFER), NULL},
	    {BASE("stdin: {}", "", BUFFER "pipeline: {processors: [{mapping: 'root = '}]}"), "expected query"},
	    {BASE("stdin: {}", ", endpoint: 'nonsense'", BUFFER), "output.aws_kinesis: "},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct config_load_options load = {.inspect = inspect_config};
		struct config_faults faults = {0};
		struct config *config = NULL;
		struct error e = {.code = ERR_OK};
		enum err err = config_parse("t", rows[i].text, strlen(rows[i].text), &load, &config, &faults, &e);

		assert_int_equal(err == ERR_OK, !rows[i].fault);
		if (rows[i].fault)
			assert_has(faults.items[0].text, rows[i].fault);
		config_faults_fini(&faults);
		config_free(config);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_what_needs_a_restart_is_said),
	    cmocka_unit_test(every_option_is_applied_or_said_and_kept),
	    cmocka_unit_test(a_logger_that_cannot_be_had_is_an_error),
	    cmocka_unit_test(a_new_log_file_takes_over_the_descriptor),
	    cmocka_unit_test(a_configuration_is_inspected_by_the_rooms_above),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
