/* What the daemon says of itself, against a real journal: ready or why not, the ledger, the metrics' text. */
#include "rig/daemon_world.h"

#include <ctype.h>

#include "base/metrics.h"
#include "base/series.h"
#include "daemon/prometheus.h"

enum { TEXT_MAX = 1 << 20 };

/* Writes a document into a static buffer. */
static const char *document_of(const struct world *w)
{
	static char text[TEXT_MAX];
	struct buf out;

	buf_init(&out, TEXT_MAX);
	status_print(&w->source, &out);
	assert_true(out.len < TEXT_MAX);
	memcpy(text, out.data, out.len);
	text[out.len] = '\0';
	buf_fini(&out);
	return text;
}

static void an_empty_spool_that_flows_is_ready(void **state)
{
	static const char *const members[] = {
	    "\"ready\":true",        "\"why\":\"\"",   "\"accepting\":true",         "\"balanced\":true",
	    "\"state\":\"flowing\"", "\"name\":\"s\"", "\"time_to_drain_seconds\":",
	};
	struct world w;
	char why[200] = "?";

	(void)state;
	world_open(&w, WORLD_CONFIG);
	assert_true(status_is_ready(&w.source, why, sizeof why));
	assert_string_equal(why, "");
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		assert_has(document_of(&w), members[i]);
	world_close(&w);
}

static void every_reason_not_to_be_ready_is_named(void **state)
{
	static const struct {
		enum delivery_state delivery;
		bool closing;
		const char *why;
	} rows[] = {
	    {DELIVERY_FLOWING, true, "shutting down"},
	    {DELIVERY_HELD, false, "stream s is held (code): no key"},
	    {DELIVERY_OFFLINE, false, "stream s is offline (code): no key"},
	    {DELIVERY_BLOCKED, false, "stream s is blocked (code): no key"},
	    {DELIVERY_FLOWING, false, ""},
	    {DELIVERY_THROTTLED, false, ""},
	    {DELIVERY_STARTING, false, ""},
	};
	struct world w;
	char why[200];

	(void)state;
	world_open(&w, WORLD_CONFIG);
	(void)snprintf(w.delivery.reason, sizeof w.delivery.reason, "no key");
	(void)snprintf(w.delivery.code, sizeof w.delivery.code, "code");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		w.delivery.state = rows[i].delivery;
		w.source.closing = rows[i].closing;
		assert_int_equal(status_is_ready(&w.source, why, sizeof why), !*rows[i].why);
		assert_string_equal(why, rows[i].why);
		assert_has(document_of(&w), *rows[i].why ? "\"ready\":false" : "\"ready\":true");
	}
	world_close(&w);
}

static void silence_with_a_backlog_is_not_ready(void **state)
{
	struct world w;
	char why[200];

	(void)state;
	world_open(&w, WORLD_CONFIG);
	w.source.started_mono_ns -= 3600 * NS_PER_S;
	assert_true(status_is_ready(&w.source, why, sizeof why)); /* nothing waits */
	world_store(&w, 3);
	assert_false(status_is_ready(&w.source, why, sizeof why));
	assert_has(why, "messages wait and none was acknowledged for ");
	w.delivery.last_ack_ms = clock_wall_ms();
	assert_true(status_is_ready(&w.source, why, sizeof why));
	w.config->kspool.ready_within_ns = 7200 * NS_PER_S;
	w.delivery.last_ack_ms = 0;
	assert_true(status_is_ready(&w.source, why, sizeof why));
	world_close(&w);
}

static void the_ledger_of_the_document_is_the_journals(void **state)
{
	struct world w;
	uint64_t ids[5];
	const char *text;

	(void)state;
	world_open(&w, WORLD_CONFIG);
	world_store(&w, 5);
	journal_credit(w.journal, 5, 1 << 20);
	rig_take_ids(w.journal, ids, 5);
	rig_settle_ids(w.journal, ids, 3, SETTLE_DELIVERED, 0);
	rig_settle_ids(w.journal, ids + 3, 1, SETTLE_DEAD, 0);
	rig_settle_ids(w.journal, ids + 4, 1, SETTLE_FILTERED, 0);
	rig_wait_empty(w.journal);
	text = document_of(&w);
	assert_has(text, "\"accepted\":5");
	assert_has(text, "\"delivered\":3");
	assert_has(text, "\"dead\":1");
	assert_has(text, "\"filtered\":1");
	assert_has(text, "\"pending\":0");
	assert_has(text, "\"balanced\":true");
	for (int i = 0; i < 100 && strstr(text, "\"balanced\":true"); i++) { /* the journal may set it right between */
		metric_set_together(&(const struct metric_value){M_LEDGER_DELIVERED, 4}, 1);
		text = document_of(&w);
	}
	assert_has(text, "\"balanced\":false");
	world_close(&w);
}

static void the_ready_body_names_every_input_and_the_output(void **state)
{
	struct world w;
	struct buf out;

	(void)state;
	world_open(&w, WORLD_CONFIG);
	buf_init(&out, TEXT_MAX);
	w.delivery.state = DELIVERY_HELD;
	(void)snprintf(w.delivery.reason, sizeof w.delivery.reason, "no \"key\"");
	status_print_ready(&w.source, &out, false, "because");
	assert_int_equal(buf_add_char(&out, '\0'), ERR_OK);
	assert_has(out.data, "{\"label\":\"first\",\"path\":\"input.broker.inputs.0\",\"connected\":true}");
	assert_has(out.data, "\"path\":\"input.broker.inputs.1\"");
	assert_has(out.data, "\"path\":\"output\",\"connected\":false,\"error\":\"no \\\"key\\\"\"");
	assert_has(out.data, "\"error\":\"because\"");
	buf_fini(&out);
	world_close(&w);
}

static void the_sentence_says_state_and_backlog(void **state)
{
	struct world w;
	char text[600];

	(void)state;
	world_open(&w, WORLD_CONFIG);
	world_store(&w, 2);
	status_sentence(&w.source, text, sizeof text);
	assert_int_equal(strncmp(text, "flowing; 2 messages (", 21), 0);
	metric_set(M_ASIDE_UNREAD, 3);
	status_sentence(&w.source, text, sizeof text);
	assert_has(text, "flowing; 3 sets of files set aside are not read back yet; 2 messages (");
	metric_set(M_ASIDE_UNREAD, 0);
	w.source.closing = true;
	status_sentence(&w.source, text, sizeof text);
	assert_int_equal(strncmp(text, "shutting down; 2 messages (", 27), 0);
	world_close(&w);
}

static size_t count_of(const char *text, const char *part)
{
	size_t count = 0;

	for (; (text = strstr(text, part)); text++)
		count++;
	return count;
}

static char *prometheus_text(bool with_process)
{
	static char in[] = "in1", out_label[] = "a \"b\"";
	struct config_input input = {.label = in};
	const struct config config = {.input_count = 1,
	                              .inputs = &input,
	                              .output_label = out_label,
	                              .prometheus = {.add_process_metrics = with_process}};
	struct buf out;

	buf_init(&out, TEXT_MAX);
	prometheus_print(&out, &config);
	return buf_take(&out, NULL);
}

static void every_metric_has_one_head_and_its_value(void **state)
{
	char line[300], *text;

	(void)state;
	metric_set_together(&(const struct metric_value){M_BACKLOG_ROWS, 4711}, 1);
	metric_observe_ns(M_INPUT_LATENCY, 1000);
	text = prometheus_text(false);
	for (int m = 0; m < METRIC_COUNT; m++) {
		const struct metric_info *info = metric_info((enum metric)m);

		(void)snprintf(line, sizeof line, "# HELP %s ", info->name);
		assert_int_equal(count_of(text, line), 1);
		(void)snprintf(line, sizeof line, "# TYPE %s ", info->name);
		assert_int_equal(count_of(text, line), 1);
		if (strncmp(info->name, "kspool_", 7) != 0)
			(void)snprintf(line, sizeof line, "\n%s%s{label=\"", info->name,
			               info->kind == METRIC_TIMING ? "_count" : "");
		else if (info->kind == METRIC_TIMING)
			(void)snprintf(line, sizeof line, "\n%s_count %lld\n", info->name,
			               (long long)metric_get((enum metric)m));
		else
			(void)snprintf(line, sizeof line, "\n%s%s%s%s %lld\n", info->name, info->labels[0] ? "{" : "",
			               info->labels, info->labels[0] ? "}" : "", (long long)metric_get((enum metric)m));
		assert_int_equal(count_of(text, line), strcmp(info->name, "batch_created") == 0 ? 5 : 1);
	}
	assert_has(text, "\ninput_latency_ns_count{label=\"in1\",path=\"root.input\"} 1\n");
	assert_has(text, "\ninput_latency_ns{label=\"in1\",path=\"root.input\",quantile=\"0.99\"} ");
	assert_has(text, "\noutput_sent{label=\"a \\\"b\\\"\",path=\"root.output\"} ");
	assert_has(text, "\nbatch_created{label=\"\",path=\"root.output.batching\",mechanism=\"size\"} ");
	assert_has(text, "\nbuffer_sent{label=\"\",path=\"root.buffer\"} ");
	assert_has(text, "kspool_backlog_messages 4711\n");
	assert_has_not(text, "process_cpu_seconds_total");
	free(text);
	text = prometheus_text(true);
	assert_has(text, "\nprocess_cpu_seconds_total ");
	assert_has(text, "\nprocess_open_fds ");
	free(text);
}

static void every_line_of_the_metrics_can_be_read(void **state)
{
	char *text = prometheus_text(true), *line, *rest = text;

	(void)state;
	while ((line = strsep(&rest, "\n")) && rest) {
		char *value = strrchr(line, ' '), *end;

		if (*line == '#')
			continue;
		assert_non_null(value);
		(void)strtod(value + 1, &end);
		assert_true(end > value + 1 && !*end);
		assert_true(isalpha((unsigned char)*line));
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_empty_spool_that_flows_is_ready),
	    cmocka_unit_test(every_reason_not_to_be_ready_is_named),
	    cmocka_unit_test(silence_with_a_backlog_is_not_ready),
	    cmocka_unit_test(the_ledger_of_the_document_is_the_journals),
	    cmocka_unit_test(the_ready_body_names_every_input_and_the_output),
	    cmocka_unit_test(the_sentence_says_state_and_backlog),
	    cmocka_unit_test(every_metric_has_one_head_and_its_value),
	    cmocka_unit_test(every_line_of_the_metrics_can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
