/* What a file says beside its processors, and what processors may not do: grow for ever, or go on for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
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

static const struct config_fault *first_error(const struct config_faults *faults)
{
	for (size_t i = 0; i < faults->count; i++)
		if (!faults->items[i].warning)
			return &faults->items[i];
	fail_msg("no error among %zu faults", faults->count);
	return NULL;
}

static void inspect(const struct config *config, struct config_faults *faults) { pipeline_lint(config, faults); }

/* Resources that nobody uses, and labels wherever they are. */
static void resources_and_labels_are_checked(void **state)
{
	static const struct {
		const char *text;
		const char *expected; /* null: it is fine */
	} cases[] = {
	    {"cache_resources: [{label: c, memory: {default_ttl: abc}}]",
	     "(4,52) cache_resources.c.memory.default_ttl: exp"},
	    {"cache_resources: [{label: c, memory: {x: 1}}]", "(4,39) unknown key \"x\" in cache_resources.c.memory"},
	    {"cache_resources: [{label: c, lru: {cap: 0}}]", "cache_resources.c.lru.cap must be at least 1"},
	    {"cache_resources: [{label: c, lru: {algorithm: x}}]",
	     "lru.algorithm: expected standard, arc or two_queues"},
	    {"cache_resources: [{label: c, redis: {}}]",
	     "(4,30) cache_resources.c: cache.redis is a component of Redpanda"},
	    {"cache_resources: [{label: c, memry: {}}]", "there is no cache \"memry\"; did you mean \"memory\"?"},
	    {"cache_resources: [{label: c, memory: {}, lru: {}}]",
	     "both memory and lru are given: one of them must go"},
	    {"cache_resources: [{label: c, x: 1, memory: {}}]", "there is no cache \"x\""},
	    {"cache_resources: [{label: c}]", "cache_resources.c: names no cache"},
	    {"cache_resources: [{}]", "cache_resources.0 has no label, so that nothing can use it"},
	    {"cache_resources: [{memory: {}}]", "cache_resources.0 has no label, so that nothing can use it"},
	    {"cache_resources: [x]", "expected a cache and its label, not a text"},
	    {"rate_limit_resources: [{label: r, local: {count: 0}}]",
	     "rate_limit_resources.r.local.count must be at least"},
	    {"rate_limit_resources: [{label: r, redis: {}}]", "rate_limit.redis is a component of Redpanda Connect"},
	    {"processor_resources: [{label: p, resource: p}]", "processor resource p uses itself"},
	    {"processor_resources: [{label: p, nope: {}}]", "there is no processor \"nope\""},
	    {"processor_resources: [{label: p, try: [{resource: q}]}, {label: q, catch: [{resource: p}]}]",
	     "uses itself"},
	    {"processor_resources: [{noop: {}}]", "processor_resources.0 has no label"},
	    {"cache_resources: [{label: c, memory: {}}, {label: c, lru: {}}]",
	     "(4,51) cache_resources.1.label is the label of another component too, on line 4"},
	    {"cache_resources: [{label: c, memory: {}}]\npipeline: {processors: [{try: [{label: c, noop: }]}]}",
	     "is the label of another component too"},
	    {"pipeline: {processors: [{switch: [{processors: [{label: X, noop: }]}]}]}",
	     "pipeline.processors.0.switch.0.processors.0.label may hold a-z"},
	    {"pipeline: {processors: [{label: [], noop: }]}",
	     "pipeline.processors.0.label: expected one value, not a list"},
	    {"processor_resources: [{label: p, noop: }]\npipeline: {processors: [{label: x, resource: p}]}",
	     "pipeline.processors.0.label does not belong beside resource"},
	    {"pipeline: {processors: [{type: [], noop: }]}",
	     "processors.0.type: expected the name of a component, not a"},
	    {"pipeline: {processors: [{plugin: x, noop: }]}",
	     "processors.0.plugin stands for what is behind a component's"},
	    {"pipeline: {processors: [{meta: x, noop: }]}", "processors.0.meta: expected a map, not a text"},
	    {"metrics: {type: none, none: {}}\ntracer: {type: none}", NULL},
	    {"cache_resources: [{label: c, type: memory, memory: }, {label: d, type: lru}]\n"
	     "rate_limit_resources: [{label: r, meta: {a: 1}, local: }]\n"
	     "processor_resources: [{label: p, type: noop}]",
	     NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct config_load_options options = {.inspect = inspect};
		char text[1024], said[1200] = "nothing";
		struct config *config = NULL;
		struct config_faults faults;

		(void)snprintf(text, sizeof text,
		               "input: {type: stdin, meta: {a: b}}\nbuffer: {type: sqlite, sqlite: {path: /x/y.db}}\n"
		               "output: {type: aws_kinesis, aws_kinesis: {stream: s, partition_key: k}}\n%s\n",
		               cases[i].text);
		if (config_parse("t", text, strlen(text), &options, &config, &faults, NULL) != ERR_OK)
			(void)snprintf(said, sizeof said, "(%d,%d) %s", first_error(&faults)->line,
			               first_error(&faults)->column, first_error(&faults)->text);
		if (!strstr(said, cases[i].expected ? cases[i].expected : "nothing"))
			fail_msg("%s: %s", cases[i].text, said);
		config_faults_fini(&faults);
		config_free(config);
	}
}

/* 14 resources, each of which uses the next one twice. */
static void resources_do_not_multiply_for_ever(void **state)
{
	struct config_faults faults = {0};
	struct config *config;
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 16);
	(void)buf_add_text(&text, "pipeline: {processors: [{resource: r0}]}\nprocessor_resources:\n");
	for (int i = 0; i < 14; i++)
		(void)buf_addf(&text, "- {label: r%d, processors: [{resource: r%d}, {resource: r%d}]}\n", i, i + 1,
		               i + 1);
	(void)buf_add_text(&text, "- {label: r14, noop: }\n");
	config = load(text.data, &faults);
	pipeline_lint(config, &faults);
	assert_non_null(strstr(first_error(&faults)->text, "more than 10000 processors"));
	config_faults_fini(&faults);
	config_free(config);
	buf_fini(&text);
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

/* One small message through what grows without an end; the run gives up in time and in space, and says so. */
static void what_grows_for_ever_is_given_up(void **state)
{
	static const struct {
		const char *processors;
		const char *reason;
	} cases[] = {
	    {"{while: {check: 'true', processors: [{mapping: 'root = content().string() + content().string()'}]}}",
	     ""}, /* of its rounds or of its time, whichever is first */
	    {"{while: {check: 'true', processors: [{for_each: [{insert_part: {content: x}}]}]}}",
	     "more of a batch than kspool.memory may hold"},
	    {"{while: {check: 'true', processors: [{while: {check: 'true', processors: [{noop: }]}}]}}",
	     "processors took longer for a batch than five times kspool.process_time"},
	    {"{try: [{while: {check: 'true', processors: [{catch: []}, {mutation: 'root.a = range(0, 100000)'}]}}]}, "
	     "{catch: []}",
	     "processors took longer for a batch than five times kspool.process_time"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct message *m = message_new(NULL, 0, "{}", 2, 1);
		struct evaluator *ev = evaluator_new();
		struct pipeline_batch batch = {0};
		struct config *config;
		char text[1024];
		struct pipeline *p;
		int64_t began_ns = clock_mono_ns();
		uint64_t cost = 0;

		(void)snprintf(text, sizeof text,
		               "kspool: {memory: 4MiB, process_time: 200ms}\npipeline: {processors: [%s]}",
		               cases[i].processors);
		p = compile(text, &config);
		pipeline_batch_add(&batch, m);
		(void)pipeline_run(p, ev, &batch);
		assert_true(clock_mono_ns() - began_ns < 30 * (int64_t)NS_PER_S);
		assert_true(batch.count > 0);
		for (size_t k = 0; k < batch.count; k++) {
			cost += message_cost(batch.items[k]);
			assert_non_null(batch.items[k]->failure);
			assert_non_null(strstr(batch.items[k]->failure->reason, cases[i].reason));
		}
		assert_true(cost < 3 * 4194304);
		pipeline_batch_fini(&batch);
		pipeline_free(p);
		evaluator_free(ev);
		config_free(config);
	}
}

/* A message that holds more than memory may: it stays as it is, flagged. */
static void bombs_do_not_go_off(void **state)
{
	static const char *const bombs[] = {
	    "{mapping: 'root = \"\\n\".repeat(100000)'}, {unarchive: {format: lines}}",
	    "{mapping: 'root = \"x\".repeat(5000000).compress(\"gzip\")'}, {decompress: {algorithm: gzip}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
		struct evaluator *ev = evaluator_new();
		struct pipeline_batch batch = {0};
		struct config *config;
		struct pipeline *p;
		char text[512];

		(void)snprintf(text, sizeof text,
		               "kspool: {memory: 4MiB, process_time: 200ms}\npipeline: {processors: [%s]}", bombs[i]);
		p = compile(text, &config);
		pipeline_batch_add(&batch, message_new(NULL, 0, "{}", 2, 1));
		(void)pipeline_run(p, ev, &batch);
		assert_int_equal(batch.count, 1);
		assert_non_null(batch.items[0]->failure);
		pipeline_batch_fini(&batch);
		pipeline_free(p);
		evaluator_free(ev);
		config_free(config);
	}
}

/* Parts of one batch have one allowance of time and of memory; small ones go through when that of memory is over. */
static void parts_share_what_a_batch_may(void **state)
{
	static const struct {
		int64_t used_ns, made_bytes;
		const char *body, *reason; /* null: none */
	} cases[] = {
	    {0, 0, "1500000", NULL},
	    {0, 1 << 20, "900000", NULL},
	    {0, 1 << 20, "1500000", "there is no room for what the mapping made"},
	    {0, 3 << 20, "900000", "there is no room for what the mapping made"},
	    {0, 3 << 20, "1", NULL},
	    {900 * NS_PER_MS, 0, "1", NULL},
	    {1000 * NS_PER_MS, 0, "1", "longer for a batch than five times kspool.process_time"},
	};
	struct config *config;
	struct pipeline *p = compile("kspool: {memory: 4MiB, process_time: 200ms}\n"
	                             "pipeline: {processors: [{mapping: 'root = \"x\".repeat(this)'}, {noop: {}}]}",
	                             &config);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct evaluator *ev = evaluator_new();
		struct pipeline_batch batch = {0};

		pipeline_batch_add(&batch, message_new(NULL, 0, cases[i].body, strlen(cases[i].body), 1));
		pipeline_goes_on(p, cases[i].used_ns, cases[i].made_bytes);
		(void)pipeline_run(p, ev, &batch);
		assert_int_equal(batch.count, 1);
		if (!cases[i].reason)
			assert_null(batch.items[0]->failure);
		else if (!batch.items[0]->failure || !strstr(batch.items[0]->failure->reason, cases[i].reason))
			fail_msg("case %zu: %s", i, batch.items[0]->failure ? batch.items[0]->failure->reason : "none");
		pipeline_batch_fini(&batch);
		evaluator_free(ev);
	}
	pipeline_free(p);
	config_free(config);
}

/* Who is slow may end the ordinary time of its batch, not what is left for the others then. */
static void what_the_last_takes_is_not_the_others(void **state)
{
	static const struct {
		int64_t used_ms, more_ms, total_ms;
	} cases[] = {{0, 300, 300},   {700, 100, 800},  {700, 300, 800},  {0, 5000, 800},
	             {800, 100, 900}, {900, 200, 1100}, {799, 1000, 800}, {800, 0, 800}};
	struct config *config;
	struct pipeline *p = compile("kspool: {process_time: 200ms}\npipeline: {processors: [{noop: {}}]}", &config);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(pipeline_used_ns(p, cases[i].used_ms * NS_PER_MS, cases[i].more_ms * NS_PER_MS),
		                 cases[i].total_ms * NS_PER_MS);
	pipeline_free(p);
	config_free(config);
}

static struct pipeline_batch batch_of(const char *const *bodies, size_t count)
{
	struct pipeline_batch batch = {0};

	for (size_t i = 0; i < count; i++)
		pipeline_batch_add(&batch, message_new(NULL, 0, bodies[i], strlen(bodies[i]), 1));
	return batch;
}

/* Parts of a batch have its time together, those of another its own; what one makes too much of is only its own. */
static void parts_that_follow_have_what_is_left(void **state)
{
	static const char *const bodies[] = {"1", "2", "3", "3000000", "5"};
	/* An eighth is not looked at, the ordinary time ends, the same of what is given in a hurry. */
	static const int64_t took_ms[] = {60, 360, 20, 90, 0};
	static const char *const processors[] = {
	    "{mapping: 'root = \"x\".repeat(this)'}",
	    "{metric: {type: counter, name: n, labels: {l: '${! content() }'}}}",
	    "{try: [{mapping: 'root = \"x\".repeat(this)'}]}",
	    "{switch: [{processors: [{mapping: 'root = \"x\".repeat(this)'}]}]}",
	};

	(void)state;
	clock_test_set(1000 * NS_PER_S, 1000 * NS_PER_S);
	for (int n = 0; n < 8; n++) {
		const bool is_one = n & 1, grows = n / 2 != 1;
		struct pipeline_batch batch = batch_of(bodies, 5), rest = batch, made = {0};
		struct evaluator *ev = evaluator_new();
		struct config *config;
		struct pipeline *p;
		char text[256];

		(void)snprintf(text, sizeof text,
		               "kspool: {memory: 4MiB, process_time: 100ms}\npipeline: {processors: [%s]}",
		               processors[n / 2]);
		p = compile(text, &config);
		for (size_t i = 0; i < 5; i++, rest.items++, rest.count--) {
			struct pipeline_part part = {.is_rest = is_one && i > 0, .enough_bytes = INT64_MIN};

			assert_int_equal(pipeline_run_part(p, ev, &rest, &part, &made), 1);
			clock_test_advance(took_ms[i] * NS_PER_MS);
		}
		for (size_t i = 0; i < 5; i++)
			assert_int_equal(made.items[i]->failure != NULL, (grows && i == 3) || (is_one && i == 4));
		pipeline_batch_fini(&made);
		free(batch.items);
		evaluator_free(ev);
		pipeline_free(p);
		config_free(config);
	}
	clock_test_end();
}

/* What was made stays charged beyond what a run may always make, and a part ends where an eighth of the budget is left.
 */
static void a_part_ends_where_the_budget_does(void **state)
{
	static const char *const bodies[] = {"1", "2", "3", "4", "5", "6", "7", "8"};
	struct config *config;
	struct pipeline *p = compile(
	    "kspool: {memory: 64MiB}\npipeline: {processors: [{mapping: 'root = \"x\".repeat(2000000)'}]}", &config);
	struct evaluator *ev = evaluator_new();
	struct pipeline_batch batch = batch_of(bodies, 8), made = {0};
	struct pipeline_part part = {.enough_bytes = INT64_MAX - 1};

	(void)state;
	budget_open(6000000);
	assert_int_equal(pipeline_run_part(p, ev, &batch, &part, &made), 5); /* of the 6 there is room for */
	assert_int_equal(made.count, 5);
	for (size_t i = 0; i < made.count; i++)
		assert_null(made.items[i]->failure);
	assert_in_range(part.charged_bytes, 10000000 - (4 << 20), 10100000 - (4 << 20));
	assert_int_equal(budget_taken(), part.charged_bytes);
	budget_give(part.charged_bytes);
	budget_open(0);
	for (size_t i = 5; i < batch.count; i++)
		pipeline_batch_add(&made, batch.items[i]);
	free(batch.items);
	pipeline_batch_fini(&made);
	evaluator_free(ev);
	pipeline_free(p);
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(resources_and_labels_are_checked),
	    cmocka_unit_test(resources_do_not_multiply_for_ever),
	    cmocka_unit_test(what_grows_for_ever_is_given_up),
	    cmocka_unit_test(bombs_do_not_go_off),
	    cmocka_unit_test(parts_share_what_a_batch_may),
	    cmocka_unit_test(what_the_last_takes_is_not_the_others),
	    cmocka_unit_test(parts_that_follow_have_what_is_left),
	    cmocka_unit_test(a_part_ends_where_the_budget_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
