/* From batches to records: keys, ceilings, processors that drop, join and cut; with the real language and pipeline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/config.h"
#include "delivery/dispatch_settings.h"
#include "delivery/prepare.h"
#include "rig/delivery_sim.h"

struct rig {
	struct config *config;
	struct preparer *preparer;
	struct dispatch *d;
	struct request *request;
	struct store_settlement settled[64];
	size_t settled_count;
	uint64_t next_id;
};

static void on_send(void *arg, struct request *q)
{
	struct rig *r = arg;

	assert_null(r->request);
	r->request = q;
}

static void on_settle(void *arg, const struct store_settlement *s, uint32_t row_bytes)
{
	struct rig *r = arg;

	(void)row_bytes;
	assert_true(r->settled_count < 64);
	r->settled[r->settled_count++] = *s;
}

static bool on_prepare(void *arg, struct batch *batch, struct prepared *ret)
{
	struct rig *r = arg;

	return preparer_run(r->preparer, r->config, batch, NULL, ret);
}

static double half(void *arg)
{
	(void)arg;
	return 0.5;
}

static void rig_open(struct rig *r, const char *output, const char *own)
{
	const struct log_options quiet = {.level = LOG_OFF, .fd = 2};
	const struct config_load_options options = {0};
	const struct dispatch_ports ports = {
	    .arg = r, .send = on_send, .settle = on_settle, .prepare = on_prepare, .unit = half};
	struct dispatch_settings settings;
	struct config_faults faults = {0};
	struct error e = {0};
	char text[4096];

	memset(r, 0, sizeof *r);
	r->next_id = 1;
	log_configure(&quiet);
	(void)snprintf(text, sizeof text,
	               "input:\n  stdin: {}\nbuffer:\n  sqlite:\n    path: /nonexistent/spool.db\n"
	               "output:\n  aws_kinesis:\n    stream: test\n%skspool:\n  memory: 32MiB\n%s",
	               output, own);
	if (config_parse("test", text, strlen(text), &options, &r->config, &faults, &e) != ERR_OK)
		fail_msg("%s: %s", e.text, faults.count ? faults.items[0].text : "");
	config_faults_fini(&faults);
	if (preparer_open(r->config, &r->preparer, &e) != ERR_OK)
		fail_msg("%s", e.text);
	dispatch_settings_fill(r->config, &settings);
	r->d = dispatch_new(&settings, &ports, 1, 1);
}

static void rig_put(struct rig *r, const char *body)
{
	struct message *m = message_new(NULL, 0, body, strlen(body), 1);

	m->id = r->next_id++;
	dispatch_message(r->d, m, 1, 1);
}

static void rig_run(struct rig *r)
{
	dispatch_kick(r->d, 2);
	(void)dispatch_run(r->d, 2, 1);
}

static void rig_close(struct rig *r)
{
	const struct aws_answer cancelled = {.outcome = AWS_CANCELLED, .retry_after_ms = -1, .body = ""};

	dispatch_stop(r->d);
	if (r->request)
		dispatch_answered(r->d, r->request, &cancelled, 3, 1);
	dispatch_free(r->d);
	preparer_close(r->preparer);
	config_free(r->config);
	for (size_t i = 0; i < r->settled_count; i++)
		free(r->settled[i].reason);
}

static void rig_accept(struct rig *r)
{
	char body[4096] = "{\"Records\":[";
	struct aws_answer a = {.outcome = AWS_ANSWERED, .status = 200, .retry_after_ms = -1, .body = body};
	struct request *q = r->request;

	for (uint32_t i = 0; i < q->count; i++)
		(void)strcat(body, i ? ",{\"SequenceNumber\":\"1\"}" : "{\"SequenceNumber\":\"1\"}");
	(void)strcat(body, "]}");
	a.body_bytes = strlen(body);
	r->request = NULL;
	dispatch_answered(r->d, q, &a, 3, 1);
}

static void keys_are_rendered_for_each_message(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "    partition_key: ${! json(\"id\") }-x\n    hash_key: ${! json(\"h\").or(\"\") }\n", "");
	rig_put(&r, "{\"id\":\"a\"}");
	rig_put(&r, "{\"id\":\"b\",\"h\":\"12\"}");
	rig_run(&r);
	assert_int_equal(r.request->count, 2);
	assert_string_equal(
	    r.request->put.body.data,
	    "{\"StreamName\":\"test\",\"Records\":[{\"Data\":\"eyJpZCI6ImEifQ==\",\"PartitionKey\":\"a-x\"},"
	    "{\"Data\":\"eyJpZCI6ImIiLCJoIjoiMTIifQ==\",\"PartitionKey\":\"b-x\",\"ExplicitHashKey\":\"12\"}]}");
	rig_accept(&r);
	assert_int_equal(r.settled_count, 2);
	assert_int_equal(r.settled[0].kind, SETTLE_DELIVERED);
	rig_close(&r);
}

static void a_bad_key_sets_only_its_message_aside(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "    partition_key: ${! content() }\n", "");
	rig_put(&r, "good");
	rig_put(&r, "");
	rig_put(&r, "\xff");
	rig_run(&r);
	assert_int_equal(r.request->count, 1);
	assert_int_equal(r.settled_count, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(r.settled[i].kind, SETTLE_DEAD);
		assert_string_equal(r.settled[i].code, "KeyError");
		assert_int_equal(r.settled[i].id, 2 + i);
	}
	assert_string_equal(r.settled[0].reason, "partition_key: the partition key is empty");
	rig_close(&r);
}

static void a_hash_key_that_fails_is_not_left_out(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "    partition_key: x\n    hash_key: ${! json(\"h\").uppercase() }\n", "");
	rig_put(&r, "{\"h\":5}");
	rig_run(&r);
	assert_null(r.request);
	assert_int_equal(r.settled_count, 1);
	assert_int_equal(r.settled[0].kind, SETTLE_DEAD);
	assert_string_equal(r.settled[0].code, "KeyError");
	rig_close(&r);
}

static void a_bad_key_becomes_random_by_choice(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "    partition_key: ${! content() }\n    hash_key: nonsense\n", "  key_error: random\n");
	rig_put(&r, "good");
	rig_put(&r, "");
	rig_run(&r);
	assert_int_equal(r.settled_count, 0);
	assert_int_equal(r.request->count, 2);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(r.request->records[i]->key_bytes, 36);
	rig_close(&r);
}

static void too_large_a_record_is_set_aside(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "    partition_key: abc\n", "  max_record_bytes: 10\n");
	rig_put(&r, "1234567");
	rig_put(&r, "12345678");
	rig_run(&r);
	assert_int_equal(r.request->count, 1);
	assert_int_equal(r.settled_count, 1);
	assert_string_equal(r.settled[0].code, "RecordTooLarge");
	assert_int_equal(r.settled[0].id, 2);
	rig_close(&r);
}

static void dropped_rows_are_filtered_and_joined_ones_delivered_together(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r,
	         "    partition_key: k\n    batching:\n      count: 4\n      processors:\n"
	         "        - mapping: root = if content() == \"drop\" { deleted() }\n"
	         "        - archive:\n            format: lines\n",
	         "");
	rig_put(&r, "a");
	rig_put(&r, "drop");
	rig_put(&r, "b");
	rig_put(&r, "c");
	rig_run(&r);
	assert_int_equal(r.settled_count, 1);
	assert_int_equal(r.settled[0].id, 2);
	assert_int_equal(r.settled[0].kind, SETTLE_FILTERED);
	assert_int_equal(r.request->count, 1);
	assert_non_null(strstr(r.request->put.body.data, "\"YQpiCmM=\""));
	rig_accept(&r);
	assert_int_equal(r.settled_count, 4);
	for (size_t i = 1; i < 4; i++)
		assert_int_equal(r.settled[i].kind, SETTLE_DELIVERED);
	assert_int_equal(r.d->tracked.count, 0);
	rig_close(&r);
}

static void a_template_that_does_not_parse_names_its_place(void **state)
{
	const struct config_load_options options = {0};
	struct config_faults faults = {0};
	struct preparer *p = NULL;
	struct config *config;
	struct error e = {0};
	static const char TEXT[] = "input:\n  stdin: {}\nbuffer:\n  sqlite:\n    path: /nonexistent/spool.db\n"
	                           "output:\n  aws_kinesis:\n    stream: test\n    partition_key: ok\n";

	(void)state;
	assert_int_equal(config_parse("f.yaml", TEXT, strlen(TEXT), &options, &config, &faults, &e), ERR_OK);
	free(config->output.partition_key.text);
	config->output.partition_key.text = mem_string("${! nonsense( }");
	assert_int_equal(preparer_open(config, &p, &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, "partition_key"));
	config_faults_fini(&faults);
	config_free(config);
}

static struct batch *batch_of(uint64_t count)
{
	struct batch *b = mem_zero(sizeof *b);

	for (uint64_t id = 1; id <= count; id++) {
		struct message *m = message_new(NULL, 0, "x", 1, 1);

		m->id = id;
		pipeline_batch_add(&b->list, m);
	}
	b->first_id = 1;
	b->last_id = count;
	return b;
}

static void drop_made(struct prepared *made)
{
	for (size_t i = 0; i < made->count; i++) {
		message_free(made->records[i].record->message);
		made->records[i].record->message = NULL;
		record_free(made->records[i].record);
	}
	free(made->records);
	free(made->rows);
	budget_give(made->charged_bytes);
}

/* As much as an open batch may hold; of a batch that processors see as one, all; and where there is no memory, one. */
static void what_grows_is_made_in_parts(void **state)
{
	static const struct {
		const char *processors;
		uint64_t budget, least, most;
	} cases[] = {
	    {"[{mapping: 'root = \"x\".repeat(1000000)'}]", 0, 8, 8},
	    {"[{mapping: 'root = \"x\".repeat(200000)'}]", 0, 30, 30},
	    {"[{mapping: 'root = \"x\".repeat(1000000)'}]", 2000000, 1, 6},
	    {"[{mapping: 'root = \"x\".repeat(200000)'}, {split: {size: 2}}]", 0, 30, 30},
	};

	(void)state;
	for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
		char output[400];
		struct batch *batch = batch_of(30);
		uint64_t next = 1;
		struct rig r;

		(void)snprintf(output, sizeof output,
		               "    partition_key: k\n    batching: {count: 30, processors: %s}\n",
		               cases[c].processors);
		rig_open(&r, output, "");
		budget_open(cases[c].budget);
		while (batch->list.count > 0) {
			const uint64_t left = batch->list.count;
			struct prepared made;

			assert_true(preparer_run(r.preparer, r.config, batch, NULL, &made));
			assert_int_equal(made.row_count, left - batch->list.count);
			assert_in_range(made.row_count, left < cases[c].least ? left : cases[c].least, cases[c].most);
			for (size_t i = 0; i < made.row_count; i++)
				assert_int_equal(made.rows[i].id, next++);
			assert_int_equal(made.count, made.row_count);
			drop_made(&made);
		}
		assert_int_equal(next, 31);
		assert_int_equal(budget_taken(), 0);
		budget_open(0);
		batch_free(batch);
		rig_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keys_are_rendered_for_each_message),
	    cmocka_unit_test(a_bad_key_sets_only_its_message_aside),
	    cmocka_unit_test(a_hash_key_that_fails_is_not_left_out),
	    cmocka_unit_test(a_bad_key_becomes_random_by_choice),
	    cmocka_unit_test(too_large_a_record_is_set_aside),
	    cmocka_unit_test(dropped_rows_are_filtered_and_joined_ones_delivered_together),
	    cmocka_unit_test(a_template_that_does_not_parse_names_its_place),
	    cmocka_unit_test(what_grows_is_made_in_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
