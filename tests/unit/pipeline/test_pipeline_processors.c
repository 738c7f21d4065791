/*
 * Processors, one small configuration and batch each: what comes out, which rows vanished, who is flagged. Semantics
 * are Redpanda Connect's, except where it would lose a message (a fall-through behind the last case of a switch).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/series.h"
#include "config/processors.h"
#include "pipeline/pipeline.h"

static struct config *load(const char *processors, struct config_faults *faults)
{
	const struct config_load_options options = {0};
	struct config *config = NULL;
	struct error e = {.code = ERR_OK};
	char text[8192];

	(void)snprintf(text, sizeof text,
	               "input: {stdin: {}}\nbuffer: {sqlite: {path: /tmp/x.db}}\n"
	               "output: {aws_kinesis: {stream: s, partition_key: k}}\n%s",
	               processors);
	if (config_parse("test.yaml", text, strlen(text), &options, &config, faults, &e) != ERR_OK)
		for (size_t i = 0; i < faults->count; i++)
			(void)fprintf(stderr, "(%d,%d) %s\n", faults->items[i].line, faults->items[i].column,
			              faults->items[i].text);
	assert_non_null(config);
	return config;
}

static void run_in_parts(struct pipeline *p, struct evaluator *ev, int64_t enough_bytes, struct pipeline_batch *batch)
{
	struct pipeline_part part = {.enough_bytes = enough_bytes};
	struct pipeline_batch rest = *batch, made = {0};

	for (size_t taken; rest.count > 0; rest.items += taken, rest.count -= taken) {
		taken = pipeline_run_part(p, ev, &rest, &part, &made);
		part.is_rest = true;
		assert_in_range(taken, 1, enough_bytes > 0 || pipeline_needs_batch(p) ? rest.count : 1);
		assert_int_equal(part.charged_bytes, 0);
	}
	free(batch->items);
	*batch = made;
}

/*
 * Bodies separated by '|' in, the same out; a failed message ends in '!', a row that vanished is counted. enough_bytes:
 * of a part; 0: not in parts.
 */
static void run(const char *processors, const char *bodies, int64_t enough_bytes, const char *expected,
                size_t expected_vanished)
{
	struct config_faults faults = {0};
	struct config *config = load(processors, &faults);
	struct evaluator *ev = evaluator_new();
	struct pipeline_batch batch = {0};
	struct pipeline *p = NULL;
	uint64_t ids[32], gone[32];
	size_t count = 0;
	struct buf got;
	char copy[4096];
	char *save = NULL;

	(void)snprintf(copy, sizeof copy, "%s", bodies);
	for (char *body = strtok_r(copy, "|", &save); body; body = strtok_r(NULL, "|", &save)) {
		struct message *m = message_new(NULL, 0, body, strlen(body), 1);

		m->id = ids[count] = count + 1;
		count++;
		pipeline_batch_add(&batch, m);
	}
	if (pipeline_compile(config->pipeline_processors, config, "pipeline.processors", &p, &faults) != ERR_OK)
		fail_msg("%s", faults.items[0].text);
	if (enough_bytes == 0)
		(void)pipeline_run(p, ev, &batch);
	else
		run_in_parts(p, ev, enough_bytes, &batch);
	buf_init(&got, 1 << 20);
	for (size_t i = 0; i < batch.count; i++) {
		if (i)
			(void)buf_add_char(&got, '|');
		(void)buf_add(&got, message_body(batch.items[i]), batch.items[i]->body_bytes);
		if (batch.items[i]->failure)
			(void)buf_add_char(&got, '!');
	}
	assert_string_equal(got.data ? got.data : "", expected);
	assert_int_equal(pipeline_vanished(&batch, ids, count, gone), expected_vanished);
	buf_fini(&got);
	pipeline_batch_fini(&batch);
	pipeline_free(p);
	evaluator_free(ev);
	config_faults_fini(&faults);
	config_free(config);
}

static const struct {
	const char *name;
	const char *processors;
	const char *in;
	const char *out;
	size_t vanished;
} rows[] = {
    {"noop", "pipeline: {processors: [{noop: {}}]}", "a|b", "a|b", 0},
    {"mapping", "pipeline: {processors: [{mapping: 'root = content().uppercase()'}]}", "a|b", "A|B", 0},
    {"mapping filters", "pipeline: {processors: [{mapping: 'root = if content() == \"b\".bytes() { deleted() }'}]}",
     "a|b|c", "a|c", 1},
    {"mapping fails on one", "pipeline: {processors: [{mapping: 'root.v = this.v + 1'}]}", "{\"v\":1}|x",
     "{\"v\":2}|x!", 0},
    {"mutation", "pipeline: {processors: [{mutation: 'root.b = this.a'}]}", "{\"a\":1}", "{\"a\":1,\"b\":1}", 0},
    {"bloblang is mapping", "pipeline: {processors: [{bloblang: 'root = 1'}]}", "a", "1", 0},
    {"archive lines", "pipeline: {processors: [{archive: {format: lines}}]}", "a|b|c", "a\nb\nc", 0},
    {"archive concatenate", "pipeline: {processors: [{archive: {format: concatenate}}]}", "a|b|c", "abc", 0},
    {"archive json_array keeps numbers", "pipeline: {processors: [{archive: {format: json_array}}]}", "1.0|{\"a\":1e5}",
     "[1.0,{\"a\":1e5}]", 0},
    {"archive json_array flags all", "pipeline: {processors: [{archive: {format: json_array}}]}", "1|x", "1!|x!", 0},
    {"archive and unarchive tar",
     "pipeline: {processors: [{archive: {format: tar, path: '${! batch_index() }.txt'}}, {unarchive: {format: tar}}, "
     "{mapping: 'root = content().string() + meta(\"archive_filename\")'}]}",
     "a|b", "a0.txt|b1.txt", 0},
    {"archive and unarchive zip",
     "pipeline: {processors: [{archive: {format: zip, path: '${! content() }.bin'}}, {unarchive: {format: zip}}, "
     "{mapping: 'root = content().string() + meta(\"archive_filename\")'}]}",
     "a|b", "aa.bin|bb.bin", 0},
    {"archive and unarchive binary",
     "pipeline: {processors: [{archive: {format: binary}}, {unarchive: {format: binary}}]}", "a|bc", "a|bc", 0},
    {"unarchive json_map",
     "pipeline: {processors: [{unarchive: {format: json_map}}, {mapping: 'root = meta(\"archive_key\")'}]}",
     "{\"x\":1,\"y\":2}", "x|y", 0},
    {"unarchive json_documents", "pipeline: {processors: [{unarchive: {format: json_documents}}]}", "{\"a\":1} 2 \"x\"",
     "{\"a\":1}|2|\"x\"", 0},
    {"unarchive csv", "pipeline: {processors: [{unarchive: {format: csv}}]}", "a,b\n1,2\n3,4",
     "{\"a\":\"1\",\"b\":\"2\"}|{\"a\":\"3\",\"b\":\"4\"}", 0},
    {"unarchive csv with a delimiter", "pipeline: {processors: [{unarchive: {format: 'csv:;'}}]}", "a;b\n1;2",
     "{\"a\":\"1\",\"b\":\"2\"}", 0},
    {"unarchive fails", "pipeline: {processors: [{unarchive: {format: json_array}}]}", "{}|[1]", "{}!|1", 0},
    {"compress and decompress",
     "pipeline: {processors: [{compress: {algorithm: gzip}}, {decompress: {algorithm: gzip}}]}", "hello", "hello", 0},
    {"decompress fails", "pipeline: {processors: [{decompress: {algorithm: gzip}}]}", "hello", "hello!", 0},
    {"bounds_check drops a batch", "pipeline: {processors: [{bounds_check: {max_part_size: 2}}]}", "a|bbb|c", "", 3},
    {"bounds_check passes", "pipeline: {processors: [{bounds_check: {max_part_size: 3}}]}", "a|bbb|c", "a|bbb|c", 0},
    {"split is undone at the end", "pipeline: {processors: [{split: {size: 2}}, {archive: {format: lines}}]}", "a|b|c",
     "a\nb|c", 0},
    {"for_each", "pipeline: {processors: [{for_each: [{archive: {format: lines}}]}]}", "a|b", "a|b", 0},
    {"processors", "pipeline: {processors: [{processors: [{archive: {format: lines}}]}]}", "a|b", "a\nb", 0},
    {"try stops at the first failure",
     "pipeline: {processors: [{try: [{mapping: 'root = this.a.not_null()'}, {mapping: 'root = \"second\"'}]}]}",
     "{\"a\":1}|{}", "second|{}!", 0},
    {"catch clears",
     "pipeline: {processors: [{mapping: 'root = throw(\"no\")'}, {catch: [{mapping: 'root = \"saved\"'}]}]}", "a|b",
     "saved|saved", 0},
    {"catch leaves the others",
     "pipeline: {processors: [{mapping: 'root = this.a.not_null()'}, {catch: [{mapping: 'root = error()'}]}]}",
     "{\"a\":\"ok\"}", "ok", 0},
    {"try_catch",
     "pipeline: {processors: [{try_catch: {processors: [{mapping: 'root = throw(\"no\")'}], catch: [{mapping: 'root = "
     "meta(\"error\").contains(\"no\")'}]}}]}",
     "a", "true", 0},
    {"switch",
     "pipeline: {processors: [{switch: [{check: 'this.t == 1', processors: [{mapping: 'root = \"one\"'}]}, "
     "{processors: "
     "[{mapping: 'root = \"other\"'}]}]}]}",
     "{\"t\":2}|{\"t\":1}|{\"t\":3}", "other|one|other", 0},
    {"a case without processors lets its messages pass",
     "pipeline: {processors: [{switch: [{check: 'this.t == 1'}, {check: 'this.t == 2', processors: []}, "
     "{processors: [{mapping: 'root = \"else\"'}]}]}]}",
     "{\"t\":1}|{\"t\":2}|{\"t\":3}", "{\"t\":1}|{\"t\":2}|else", 0},
    {"switch flags an erring check",
     "pipeline: {processors: [{switch: [{check: 'this.t > 1', processors: [{mapping: 'root = \"big\"'}]}]}]}",
     "{}|{\"t\":2}|{\"t\":0}", "{}!|big|{\"t\":0}", 0},
    {"switch falls through behind the last case",
     "pipeline: {processors: [{switch: [{fallthrough: true, processors: [{mapping: 'root = "
     "content().uppercase()'}]}]}]}",
     "a|b", "A|B", 0},
    {"switch in a switch keeps order",
     "pipeline: {processors: [{switch: [{check: 'this.t > 0', processors: [{switch: [{check: 'this.t == 2', "
     "processors: "
     "[{noop: {}}]}, {processors: [{noop: {}}]}]}]}]}]}",
     "{\"t\":1}|{\"t\":0}|{\"t\":2}", "{\"t\":1}|{\"t\":0}|{\"t\":2}", 0},
    {"group_by",
     "pipeline: {processors: [{group_by: [{check: 'this.g == 1', processors: [{archive: {format: lines}}]}]}]}",
     "{\"g\":1}|{\"g\":2}|{\"g\":1}", "{\"g\":1}\n{\"g\":1}|{\"g\":2}", 0},
    {"group_by_value",
     "pipeline: {processors: [{group_by_value: {value: '${! this.g }'}}, {archive: {format: lines}}]}",
     "{\"g\":1}|{\"g\":2}|{\"g\":1}", "{\"g\":1}\n{\"g\":1}|{\"g\":2}", 0},
    {"select_parts", "pipeline: {processors: [{select_parts: {parts: [2, 0, -1, 9]}}]}", "a|b|c", "c|a|c", 1},
    {"insert_part", "pipeline: {processors: [{insert_part: {index: 1, content: 'x${! batch_size() }'}}]}", "a|b",
     "a|x2|b", 0},
    {"insert_part at the end", "pipeline: {processors: [{insert_part: {content: z}}]}", "a|b", "a|b|z", 0},
    {"while",
     "pipeline: {processors: [{while: {check: 'this.n < 3', processors: [{mapping: 'root.n = this.n + 1'}]}}]}",
     "{\"n\":0}", "{\"n\":3}", 0},
    {"while with max_loops",
     "pipeline: {processors: [{while: {max_loops: 2, check: 'true', processors: [{mapping: 'root.n = this.n + 1'}]}}]}",
     "{\"n\":0}", "{\"n\":2}", 0},
    {"resource",
     "processor_resources: [{label: up, mapping: 'root = content().uppercase()'}]\n"
     "pipeline: {processors: [{resource: up}]}",
     "a", "A", 0},
    {"log changes nothing", "pipeline: {processors: [{log: {level: DEBUG, message: '${! content() }'}}]}", "a", "a", 0},
};

/* As one, in parts that hold all they may, one by one. */
static void processors_do_what_they_say(void **state)
{
	static const int64_t ways[] = {0, INT64_MAX, INT64_MIN};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		print_message("  %s\n", rows[i].name);
		for (size_t k = 0; k < sizeof ways / sizeof *ways; k++)
			run(rows[i].processors, rows[i].in, ways[k], rows[i].out, rows[i].vanished);
	}
}

static const struct config_fault *first_error(const struct config_faults *faults)
{
	for (size_t i = 0; i < faults->count; i++)
		if (!faults->items[i].warning)
			return &faults->items[i];
	fail_msg("no error among %zu faults", faults->count);
	return NULL;
}

static const struct {
	const char *processors;
	const char *expected;
} bad_processors[] = {
    {"pipeline: {processors: [{jq: {query: .}}]}",
     "processor.jq is a component of Redpanda Connect that is not part of kspool"},
    {"pipeline: {processors: [{archive: {format: rar}}]}",
     "pipeline.processors.0.archive.format: expected concatenate, lines, json_array, binary, tar or zip, not "
     "\"rar\""},
    {"pipeline: {processors: [{archive: {}}]}", "pipeline.processors.0.archive.format is required"},
    {"pipeline: {processors: [{noop: {x: 1}}]}", "unknown key \"x\" in pipeline.processors.0.noop"},
    {"pipeline: {processors: [{split: {sise: 1}}]}", "did you mean \"size\"?"},
    {"pipeline: {processors: [{split: [1]}]}", "pipeline.processors.0.split: expected a map, not a list"},
    {"pipeline: {processors: [{unarchive: {format: rar}}]}", "format rar not recognised"},
    {"pipeline: {processors: [{metric: {type: meter, name: n}}]}", "metric.type: expected counter, counter_by"},
    {"pipeline: {processors: [{metric: {type: gauge, name: 1n}}]}", "name 1n: expected letters"},
    {"pipeline: {processors: [{log: {level: FATAL}}]}", "log.level: expected ERROR, WARN, INFO"},
    {"pipeline: {processors: [{while: {processors: []}}]}", "while.check is required"},
    {"pipeline: {processors: [{try_catch: {catch: {}}}]}", "try_catch.catch: expected a list, not a map"},
    {"pipeline: {processors: [{select_parts: {parts: [a]}}]}", "expected a list of whole numbers, not \"a\""},
    {"rate_limit_resources: [{label: r, local: {count: 0}}]\n"
     "pipeline: {processors: [{rate_limit: {resource: r}}]}",
     "rate_limit_resources.r.local.count must be at least 1, not \"0\""},
    {"cache_resources: [{label: c, memory: {default_ttl: 0s}}]\n"
     "pipeline: {processors: [{dedupe: {cache: c, key: k}}]}",
     "cache_resources.c.memory.default_ttl must be at least 1ns, not \"0s\""},
    {"pipeline: {processors: [{mapping: 'root = '}]}", "pipeline.processors.0.mapping"},
    {"pipeline: {processors: [{resource: none}]}", "no processor resource labelled none"},
    {"pipeline: {processors: [{dedupe: {cache: c, key: k}}]}", "no cache resource labelled c"},
    {"processor_resources: [{label: a, resource: a}]\npipeline: {processors: [{resource: a}]}",
     "processor resource a uses itself"},
    {"pipeline: {processors: [{mappin: root = this}]}", "did you mean \"mapping\"?"},
    {"pipeline: {processors: [{type: mutation, mapping: root = this}]}",
     "pipeline.processors.0: a processor has one type: both mutation and mapping are given"},
    {"pipeline: {processors: [{type: nosuch}]}", "there is no processor \"nosuch\""},
    {"pipeline: {processors: [{type: archive}]}", "archive.format is required"},
    {"pipeline: {processors: [{label: x}]}", "a processor without a type"},
    {"pipeline: {processors: [{resource: []}]}", "expected the label of a processor resource, not a list"},
    {"pipeline: {processors: [{resource: ''}]}", "expected the label of a processor resource, not nothing"},
    {"pipeline: {processors: [{while: {check: ''}}]}", "while.check is required and must not be empty"},
    {"pipeline: {processors: [{group_by: [{check: ''}]}]}", "check is required and must not be empty"},
    {"cache_resources: [{label: c, lru: {}}]\npipeline: {processors: [{dedupe: {cache: c, key: ''}}]}",
     "dedupe.key is required and must not be empty"},
    {"cache_resources: [{label: c, lru: {capp: 4}}]\npipeline: {processors: [{dedupe: {cache: c, key: "
     "'${! content() }'}}]}",
     "unknown key \"capp\" in cache_resources.c.lru; did you mean \"cap\"?"},
    {"pipeline: {processors: [{compress: {algorithm: gzip, level: 10}}]}", "compress: level must be at most 9, not 10"},
    {"pipeline: {processors: [{compress: {algorithm: lz4, level: 10}}]}", "level must be at most 9, not 10"},
    {"pipeline: {processors: [{compress: {algorithm: zlib, level: -9223372036854775808}}]}",
     "level must be from -1 to 9, not -9223372036854775808"},
    {"pipeline: {processors: [{metric: {type: counter, name: a, labels: {'1 x': y}}}]}", "label 1 x: expected"},
    {"pipeline: {processors: [{metric: {type: counter, name: a, labels: {__x: y}}}]}", "label __x: expected"},
    {"pipeline: {processors: [{metric: {type: counter, name: input_received}}]}", "a metric of kspool's own"},
    {"pipeline: {processors: [{metric: {type: counter, name: a}}, {metric: {type: gauge, name: a, value: 1}}]}",
     "a has another type on line"},
    {"pipeline: {processors: [{metric: {type: counter, name: a}}, {metric: {type: counter, name: a, labels: "
     "{x: "
     "y}}}]}",
     "a has other labels on line"},
    {"pipeline: {processors: [{rate_limit: {resource: r}}]}", "no rate limit resource labelled r"},
};

static void faults_name_place_and_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad_processors / sizeof *bad_processors; i++) {
		struct config_faults faults = {0};
		struct config *config = load(bad_processors[i].processors, &faults);
		const struct config_fault *first;
		struct pipeline *p = NULL;

		assert_int_equal(
		    pipeline_compile(config->pipeline_processors, config, "pipeline.processors", &p, &faults),
		    ERR_CONFIG);
		assert_null(p);
		first = first_error(&faults);
		if (!strstr(first->text, bad_processors[i].expected))
			fail_msg("expected \"%s\" in \"%s\"", bad_processors[i].expected, first->text);
		assert_true(first->line > 0);
		config_faults_fini(&faults);
		config_free(config);
	}
}

/* The file uses every row of config/processors.def, and this room has each of them. */
static void every_row_compiles(void **state)
{
	struct config_faults faults;
	struct config *config;
	struct error e = {0};

	(void)state;
	assert_int_equal(
	    config_load(KSPOOL_SOURCE_DIR "/tests/config/good_processors.yaml", NULL, &config, &faults, &e), ERR_OK);
	pipeline_lint(config, &faults);
	if (faults.count > 0)
		fail_msg("(%d,%d) %s", faults.items[0].line, faults.items[0].column, faults.items[0].text);
	for (const struct processor_row *row = processor_rows; row->name; row++) {
		const struct config_node *list = config->pipeline_processors;
		bool found = strcmp(row->slot, "processor") != 0;

		for (size_t i = 0; i < list->count && !found; i++)
			for (size_t k = 0; k < list->children[i].count && !found; k++)
				found = strcmp(list->children[i].children[k].key, row->name) == 0;
		if (!found)
			fail_msg("good_processors.yaml does not use %s", row->name);
	}
	config_faults_fini(&faults);
	config_free(config);
}

/* What was accepted before fields were rows is accepted still; what has no effect is told of. */
static void odd_fields_are_accepted(void **state)
{
	static const struct {
		const char *processors;
		const char *warning; /* null: nothing is said */
	} cases[] = {
	    {"pipeline: {processors: [{split: {size: 0, byte_size: -1}}]}",
	     "pipeline.processors.0.split: byte_size below 0 is no limit, as 0 is"},
	    {"pipeline: {processors: [{while: {check: 'true', max_loops: -1}}]}",
	     "pipeline.processors.0.while: max_loops below 0 is no limit, as 0 is"},
	    {"pipeline: {processors: [{group_by_value: {value: ''}}]}", NULL},
	    {"pipeline: {processors: [{noop: }, {noop: {}}]}", NULL},
	    {"pipeline: {processors: [{bounds_check: {max_part_size: -1}}]}",
	     "pipeline.processors.0.bounds_check: max_part_size lets no message through: every batch is dropped"},
	    {"pipeline: {processors: [{bounds_check: {max_parts: 0}}]}",
	     "pipeline.processors.0.bounds_check: max_parts lets no batch through: every message is dropped"},
	    {"pipeline: {processors: [{log: {level: all, fields: {a: b}}}]}", NULL},
	    {"pipeline: {processors: [{label: x, type: noop}]}", NULL},
	    {"pipeline: {processors: [{type: mutation, plugin: root.a = 1}]}", NULL},
	    {"pipeline: {processors: [{type: '', noop: {}, meta: {a: [b]}}]}", NULL},
	    {"pipeline: {processors: [{compress: {algorithm: lz4, level: -7}}]}", NULL},
	    {"pipeline: {processors: [{compress: {algorithm: snappy, level: 77}}]}",
	     "pipeline.processors.0.compress: level has no effect: snappy has none"},
	    {"pipeline: {processors: [{metric: {type: gauge, name: a}}]}",
	     "pipeline.processors.0.metric: without a value nothing is measured; set value"},
	    {"pipeline: {processors: [{metric: {type: counter, name: a, value: 2}}]}",
	     "pipeline.processors.0.metric: value has no effect: a counter counts messages; counter_by adds values"},
	    {"pipeline: {processors: [{metric: {type: counter, name: a}}, {metric: {type: counter_by, name: a, value: "
	     "2}}]}",
	     NULL},
	    {"cache_resources: [{label: c, memory: {shards: 4}}]\n"
	     "pipeline: {processors: [{dedupe: {cache: c, key: '${! content() }'}}]}",
	     "cache_resources.c.memory.shards has no effect: The spool is one."},
	    {"cache_resources: [{label: c, memory: {}}]\n"
	     "pipeline: {processors: [{dedupe: {cache: c, key: '${! content() }'}}, {select_parts: {parts: [0]}}]}",
	     "pipeline.processors.1.select_parts: still sees the duplicates of a dedupe before it, which leave when "
	     "the others are stored; put dedupe behind it"},
	    {"cache_resources: [{label: c, memory: {}}]\n"
	     "pipeline: {processors: [{select_parts: {parts: [0]}}, {dedupe: {cache: c, key: '${! content() }'}}]}",
	     NULL},
	    {"cache_resources: [{label: c, ttlru: {ttl: 4s, cap: 1024}}]\n"
	     "pipeline: {processors: [{dedupe: {cache: c, key: k}}]}",
	     "pipeline.processors.0.dedupe: key is one text for all messages: every message but the first is a "
	     "duplicate"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct config_faults faults = {0};
		struct config *config = load(cases[i].processors, &faults);
		struct pipeline *p = NULL;

		assert_int_equal(
		    pipeline_compile(config->pipeline_processors, config, "pipeline.processors", &p, &faults), ERR_OK);
		pipeline_free(p);
		assert_int_equal(faults.count, cases[i].warning ? 1 : 0);
		if (cases[i].warning) {
			assert_true(faults.items[0].warning);
			assert_string_equal(faults.items[0].text, cases[i].warning);
		}
		config_faults_fini(&faults);
		config_free(config);
	}
}

/* Behind the journal they run anew for a message that is sent again. */
static void no_key_in_order_is_made_by_chance(void **state)
{
	static const struct {
		const char *order, *key, *mapping;
		bool is_told;
	} cases[] = {
	    {"key", "${! meta(\"k\") }", "meta k = uuid_v4()", true},
	    {"key", "${! json(\"at\") }", "root.at = now()", true},
	    {"key_checked", "${! meta(\"k\") }", "meta k = random_int()", true},
	    {"none", "${! meta(\"k\") }", "meta k = uuid_v4()", false},
	    {"total", "k", "meta k = uuid_v4()", false},
	    {"key", "${! meta(\"k\") }", "meta k = this.device", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct config_load_options options = {0};
		struct config_faults faults = {0};
		struct config *config = NULL;
		struct pipeline *p = NULL;
		struct error e;
		char text[1024];

		(void)snprintf(text, sizeof text,
		               "input: {stdin: {}}\nbuffer: {sqlite: {path: /tmp/x.db}}\nkspool: {order: %s}\n"
		               "output: {aws_kinesis: {stream: s, partition_key: '%s', batching: {count: 5, "
		               "processors: [{mapping: '%s'}]}}}\n",
		               cases[i].order, cases[i].key, cases[i].mapping);
		assert_int_equal(config_parse("test.yaml", text, strlen(text), &options, &config, &faults, &e), ERR_OK);
		assert_int_equal(pipeline_compile(config->output.batching.processors, config,
		                                  "output.aws_kinesis.batching.processors", &p, &faults),
		                 ERR_OK);
		pipeline_free(p);
		assert_int_equal(faults.count, cases[i].is_told);
		if (cases[i].is_told)
			assert_true(faults.items[0].warning &&
			            strstr(faults.items[0].text, "kspool.order goes by the key"));
		config_faults_fini(&faults);
		config_free(config);
	}
}

static struct pipeline *compile(const char *processors, struct config **ret_config)
{
	struct config_faults faults = {0};
	struct pipeline *p = NULL;

	*ret_config = load(processors, &faults);
	assert_int_equal(
	    pipeline_compile((*ret_config)->pipeline_processors, *ret_config, "pipeline.processors", &p, &faults),
	    ERR_OK);
	config_faults_fini(&faults);
	return p;
}

static void rate_limit_tells_how_long_to_wait(void **state)
{
	struct pipeline_batch batch = {0};
	struct evaluator *ev = evaluator_new();
	struct config *config;
	struct pipeline *p = compile("rate_limit_resources: [{label: r, local: {count: 10, interval: 1s}}]\n"
	                             "pipeline: {processors: [{rate_limit: {resource: r}}]}",
	                             &config);

	(void)state;
	clock_test_set(100 * NS_PER_S, 100 * NS_PER_S);
	for (int i = 0; i < 10; i++)
		pipeline_batch_add(&batch, message_new(NULL, 0, "x", 1, 1));
	assert_true(pipeline_run(p, ev, &batch) <= 100 * NS_PER_S);
	assert_int_equal(batch.count, 10);
	assert_int_equal(pipeline_run(p, ev, &batch), 101 * NS_PER_S);
	clock_test_advance(5 * NS_PER_S);
	assert_true(pipeline_run(p, ev, &batch) <= 105 * NS_PER_S);
	clock_test_end();
	pipeline_batch_fini(&batch);
	pipeline_free(p);
	evaluator_free(ev);
	config_free(config);
}

static void dedupe_attaches_its_key(void **state)
{
	struct pipeline_batch batch = {0};
	struct evaluator *ev = evaluator_new();
	struct config *config;
	struct pipeline *p = compile("cache_resources: [{label: c, memory: {default_ttl: 60s}}]\n"
	                             "pipeline: {processors: [{dedupe: {cache: c, key: '${! content() }'}}]}",
	                             &config);

	(void)state;
	pipeline_batch_add(&batch, message_new(NULL, 0, "abc", 3, 1));
	(void)pipeline_run(p, ev, &batch);
	assert_non_null(batch.items[0]->origin->key);
	assert_string_equal(batch.items[0]->origin->key->cache, "c");
	assert_int_equal(batch.items[0]->origin->key->ttl_ms, 60000);
	assert_memory_equal(batch.items[0]->origin->key->key, "abc", 3);
	pipeline_batch_fini(&batch);
	pipeline_free(p);
	evaluator_free(ev);
	config_free(config);
}

static void metric_makes_series(void **state)
{
	struct pipeline_batch batch = {0};
	struct evaluator *ev = evaluator_new();
	struct config *config;
	struct pipeline *p =
	    compile("pipeline: {processors: [{metric: {type: counter_by, name: Sizes, value: '${! this.n }', "
	            "labels: {kind: '${! this.k }'}}}]}",
	            &config);
	struct buf out;

	(void)state;
	pipeline_batch_add(&batch, message_new(NULL, 0, "{\"n\":2,\"k\":\"a\"}", 15, 1));
	pipeline_batch_add(&batch, message_new(NULL, 0, "{\"n\":3,\"k\":\"a\"}", 15, 1));
	(void)pipeline_run(p, ev, &batch);
	buf_init(&out, 1 << 16);
	series_print(&out);
	assert_non_null(strstr(out.data, "Sizes{kind=\"a\"} 5\n"));
	buf_fini(&out);
	pipeline_batch_fini(&batch);
	pipeline_free(p);
	evaluator_free(ev);
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(processors_do_what_they_say),
	    cmocka_unit_test(faults_name_place_and_reason),
	    cmocka_unit_test(every_row_compiles),
	    cmocka_unit_test(odd_fields_are_accepted),
	    cmocka_unit_test(no_key_in_order_is_made_by_chance),
	    cmocka_unit_test(rate_limit_tells_how_long_to_wait),
	    cmocka_unit_test(dedupe_attaches_its_key),
	    cmocka_unit_test(metric_makes_series),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
