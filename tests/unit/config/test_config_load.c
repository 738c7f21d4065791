/* Files good and bad: what config_load makes of them, and every fault with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "config/config.h"

#define REST "\nbuffer: {sqlite: {path: /s}}\noutput: {aws_kinesis: {stream: s, partition_key: k}}\n"
#define STDIN "input: {stdin: {}}" REST
#define OUT(fields)                                                                                           \
	"input: {stdin: {}}\nbuffer: {sqlite: {path: /s}}\noutput: {aws_kinesis: {stream: s, partition_key: " \
	"k, " fields "}}\n"

/* "(line,column) message" lines; warnings have "warning: " before the message. */
static char *faults_text(const struct config_faults *faults)
{
	struct buf b;
	char *text;

	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < faults->count; i++)
		(void)buf_addf(&b, "(%d,%d) %s%s\n", faults->items[i].line, faults->items[i].column,
		               faults->items[i].warning ? "warning: " : "", faults->items[i].text);
	text = buf_take(&b, NULL);
	return text;
}

static char *parse_faults(const char *text, size_t length, const struct config_load_options *options)
{
	struct config_faults faults;
	struct config *config;
	struct error e = {0};
	enum err err = config_parse("/t", text, length, options, &config, &faults, &e);
	char *ret = faults_text(&faults);
	bool any_error = false;

	for (size_t i = 0; i < faults.count; i++)
		any_error |= !faults.items[i].warning;
	assert_int_equal(err, any_error ? ERR_CONFIG : ERR_OK);
	assert_true((config == NULL) == any_error);
	config_faults_fini(&faults);
	config_free(config);
	return ret;
}

static struct config *parse_good(const char *text)
{
	struct config_faults faults;
	struct config *config;
	struct error e = {0};

	if (config_parse("/t", text, strlen(text), NULL, &config, &faults, &e) != ERR_OK) {
		char *all = faults_text(&faults);

		fail_msg("%s", all);
	}
	assert_int_equal(faults.count, 0);
	config_faults_fini(&faults);
	return config;
}

#define AT_STATE                                                                    \
	"no buffer.sqlite.path is set: run by this user, kspool keeps messages in " \
	"/state/t-e371282f.db\n"

static const struct {
	const char *text;
	const char *faults;
} bad[] = {
    {"input: {stdin: {}}\nbuffer: {none: {}, memory: {}}\noutput: {aws_kinesis: {stream: s, partition_key: k}}\n",
     "(2,1) buffer holds several of sqlite, none and memory; keep one\n"},
    {"input: {stdin: {}}\nbuffer: {memory: [1]}\noutput: {aws_kinesis: {stream: s, partition_key: k}}\n",
     "(2,18) buffer.memory: expected a map, not a list\n"},
    {"input: {stdin: {}}\nbuffer: {sqlite: {path: ~}}\noutput: {aws_kinesis: {stream: s, partition_key: k}}\n",
     "(2,25) buffer.sqlite.path is required and must not be empty\n"},
    {"input: {stdin: {}}\noutput: {aws_kinesis: {stream: s, partition_key: k}}\n", "(1,1) warning: " AT_STATE},
    {"- a\n", "(1,1) the file: expected a map, not a list\n"},
    {STDIN "---\na: b\n", "(4,1) a second document: a file holds one configuration\n"},
    {STDIN "logger: {message_name: \"a\\0b\"}\n", "(4,24) a NUL character in a text\n"},
    {STDIN "# a\x01\n", "(4,4) a control character (byte 0x01): the file must be text\n"},
    {STDIN "# \xc3\xa9 \xff\n", "(4,5) not UTF-8 (byte 0xff)\n"},
    {STDIN "# \xed\xa0\x80\n", "(4,3) not UTF-8 (byte 0xed)\n"},
    {STDIN "logger: [a\nb: c\n", "(5,2) YAML: did not find expected ',' or ']', while parsing a flow sequence\n"},
    {STDIN "shutdown_timout: 1s\n",
     "(4,1) unknown key \"shutdown_timout\" in the file; did you mean \"shutdown_timeout\"?\n"},
    {STDIN "qqqqqqqqqqqqqqqq: 1s\n", "(4,1) unknown key \"qqqqqqqqqqqqqqqq\" in the file\n"},
    {STDIN "tracer: {jaeger: {}}\n",
     "(4,10) tracer.jaeger is a component of Redpanda Connect that is not part of kspool; it has none\n"},
    {STDIN "metrics: {none: {}, prometheus: {}}\n", "(4,1) metrics holds both prometheus and none; keep one\n"},
    {STDIN "output_resources: [{label: a, drop: {}}]\n",
     "(4,1) output_resources is not part of kspool: write the stream under output\n"},
    {STDIN "http: {address: \"nowhere\"}\n",
     "(4,17) http.address must be host:port, such as 127.0.0.1:4195 or [::1]:4195\n"},
    {STDIN "http: {address: \":4195\"}\n", "(4,17) http.address can be reached from other machines without TLS or a "
                                           "token; set http.cert_file and key_file, or "
                                           "http.token_file, or listen on 127.0.0.1\n"},
    {STDIN "kspool: {min_free: -1, linger: 2m, page_size: 3, wire: xml}\n",
     "(4,20) kspool.min_free: expected bytes such as 65536, 64KiB or 5MiB, not \"-1\"\n"
     "(4,32) kspool.linger must be from 0s to 1m, not \"2m\"\n"
     "(4,47) kspool.page_size must be 0 or a power of two from 512 to 65536\n"
     "(4,56) kspool.wire: expected json or cbor, not \"xml\"\n"},
    {STDIN "kspool: {probe_initial: 5m}\n", "(4,25) kspool.probe_initial is longer than kspool.probe_max\n"},
    {STDIN "kspool: {aggregation: kpl, aggregation_period: 2s, expire_after: 2s}\n",
     "(4,48) kspool.aggregation_period is not shorter than kspool.expire_after: messages would expire while they wait "
     "for company\n"},
    {STDIN "kspool: {proxy: proxy.example.com}\n",
     "(4,17) kspool.proxy must begin with http:// or https://, or be the word environment\n"},
    {STDIN "kspool: {max_message_bytes: 8MiB, memory: 4MiB}\n",
     "(4,43) kspool.memory cannot hold one message of 8388608 bytes\n"},
    {STDIN "kspool: {max_bytes: 4194303, memory: 4MiB, when_full: evict_oldest}\n",
     "(4,21) kspool.max_bytes is smaller than kspool.memory (4194304): all it holds may be on its way, and "
     "evict_oldest would find nothing to evict\n"},
    {STDIN "http: {cors: true}\n", "(4,14) http.cors: expected a map, not a text\n"},
    {STDIN "http: {enabled: yes}\n", "(4,17) http.enabled: expected true or false, not \"yes\"\n"},
    {OUT("max_in_flight: 1025"), "(3,68) output.aws_kinesis.max_in_flight must be from 1 to 1024, not \"1025\"\n"},
    {STDIN "kspool: {memory: 4194303}\n", "(4,18) kspool.memory must be from 4MiB to 16GiB, not \"4194303\"\n"},
    {OUT("stream: a"), "(3,53) duplicate key \"stream\", first on line 3\n"},
    {OUT("credentials: {secret: hunter2}"),
     "(3,75) output.aws_kinesis.credentials.secret needs output.aws_kinesis.credentials.id too\n"},
    {OUT("credentials: {id: a, secret: b, from_ec2_role: true}"),
     "(3,100) output.aws_kinesis.credentials.from_ec2_role cannot stand beside output.aws_kinesis.credentials.id: one "
     "of "
     "them must go\n"},
    {OUT("endpoint: \"https://h/x\""),
     "(3,63) output.aws_kinesis.endpoint must be a URL of scheme, host and port only, such "
     "as https://host:443\n"},
    {OUT("endpoint: \"http://127.0.0.1:4567\"") "kspool: {proxy: \"http://p:1\"}\n",
     "(4,17) warning: kspool.proxy is not used for an endpoint on this machine\n"},
    {OUT("endpoint: \"https://h\"") "kspool: {proxy: \"http://p:1\"}\n", ""},
    {OUT("endpoint: \"ftp://h\""),
     "(3,63) output.aws_kinesis.endpoint must begin with https:// (or http:// for a loopback address)\n"},
    {OUT("region: \"eu west\""), "(3,61) output.aws_kinesis.region must be a region name such as eu-central-1\n"},
    {"input: {stdin: {}}\nbuffer: {sqlite: {path: /s}}\noutput: {aws_kinesis: {stream: "
     "\"arn:aws:kinesis:x:1:stream/a\", "
     "partition_key: \"\"}}\n",
     "(3,32) output.aws_kinesis.stream is no stream ARN: arn:aws:kinesis:REGION:ACCOUNT:stream/NAME\n"
     "(3,79) output.aws_kinesis.partition_key is required and must not be empty\n"},
    {"input: {generate: {}}" REST, "(1,9) input.generate.mapping is required\n"},
    {"input: {http_server: {}}\nhttp: {enabled: false}" REST,
     "(1,9) input.http_server has no address and http.enabled is false, so nothing would listen\n"},
    {"input: {socket_server: {network: unix, address: "
     "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}"
     "}" REST,
     "(1,49) input.socket_server.address is longer than the 107 bytes a unix socket's path may have\n"},
};

static void test_bad_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char *faults = parse_faults(bad[i].text, strlen(bad[i].text), NULL);

		assert_string_equal(faults, bad[i].faults);
		free(faults);
	}
}

static char *read_whole(const char *path, size_t *ret_length)
{
	FILE *f = fopen(path, "rb");
	char *text = calloc(1, 1 << 16);

	if (!f)
		fail_msg("no %s", path);
	*ret_length = fread(text, 1, (1 << 16) - 1, f);
	(void)fclose(f);
	return text;
}

static void test_bad_files(void **state)
{
	static const char *const names[] = {"bad_many", "bad_doors", "bad_yaml_features", "bad_bomb"};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[512];
		size_t length;
		char *text, *expected, *faults;

		(void)snprintf(path, sizeof path, KSPOOL_SOURCE_DIR "/tests/config/%s.yaml", names[i]);
		text = read_whole(path, &length);
		faults = parse_faults(text, length, NULL);
		(void)snprintf(path, sizeof path, KSPOOL_SOURCE_DIR "/tests/config/%s.expect", names[i]);
		expected = read_whole(path, &length);
		assert_string_equal(faults, expected);
		free(text);
		free(expected);
		free(faults);
	}
}

static void test_limits(void **state)
{
	struct buf b;
	char *faults;

	(void)state;
	buf_init(&b, 4 << 20);
	(void)buf_add_text(&b, "a: ");
	for (int i = 0; i < 20; i++)
		(void)buf_add_text(&b, "[");
	faults = parse_faults(b.data, b.len, NULL);
	assert_string_equal(faults, "(1,20) nested deeper than 16 levels\n");
	free(faults);
	buf_clear(&b);
	for (int i = 0; i < 10001; i++)
		(void)buf_addf(&b, "k%d: 1\n", i);
	faults = parse_faults(b.data, b.len, NULL);
	assert_string_equal(faults, "(10001,1) more than 10000 keys in one file\n");
	free(faults);
	buf_clear(&b);
	while (b.len <= 1 << 20)
		(void)buf_add_text(&b, "# comment\n");
	faults = parse_faults(b.data, b.len, NULL);
	assert_string_equal(faults, "(1,1) the file is larger than 1 MiB\n");
	free(faults);
	buf_fini(&b);
}

static void test_defaults(void **state)
{
	struct config *c = parse_good(STDIN);

	(void)state;
	assert_true(c->http.enabled);
	assert_string_equal(c->http.address, "127.0.0.1:4195");
	assert_null(c->http.cert_file);
	assert_int_equal(c->logger.level, LEVEL_INFO);
	assert_true(c->metrics_prometheus);
	assert_int_equal(c->input_count, 1);
	assert_int_equal(c->inputs[0].kind, INPUT_STDIN);
	assert_int_equal(c->inputs[0].scanner.kind, SCANNER_LINES);
	assert_string_equal(c->inputs[0].label, "");
	assert_string_equal(c->inputs[0].path, "input");
	assert_null(c->inputs[0].processors);
	assert_string_equal(c->buffer.path, "/s");
	assert_int_equal(c->output.max_in_flight, 64);
	assert_int_equal(c->output.batching.period_ns, 0);
	assert_int_equal(c->output.tcp.keep_alive.idle_ns, 15 * NS_PER_S);
	assert_int_equal(c->output.backoff.max_elapsed_time_ns, 30 * NS_PER_S);
	assert_null(c->output.hash_key.text);
	assert_null(c->output.region);
	assert_string_equal(c->output.partition_key.text, "k");
	assert_int_equal(c->output.partition_key.line, 3);
	assert_int_equal(c->output.partition_key.column, 50);
	assert_int_equal(c->kspool.max_record_bytes_bytes, 1 << 20);
	assert_int_equal(c->kspool.memory_bytes, 32 << 20);
	assert_int_equal(c->kspool.wire, WIRE_JSON);
	assert_int_equal(c->shutdown_timeout_ns, 20 * NS_PER_S);
	assert_int_equal(c->shutdown_delay_ns, 0);
	assert_string_equal(c->output_label, "");
	config_free(c);
}

static void test_redpanda_file(void **state)
{
	struct config_load_options options = {.for_run = true};
	struct config_faults faults;
	struct config *c;
	size_t length;
	char *text = read_whole(KSPOOL_SOURCE_DIR "/tests/config/good_redpanda.yaml", &length);

	(void)state;
	(void)unsetenv("STREAM");
	(void)setenv("SPOOL_DIR", "/data", 1);
	assert_int_equal(config_parse("/t", text, length, &options, &c, &faults, NULL), ERR_OK);
	assert_int_equal(faults.count, 0);
	assert_int_equal(c->input_count, 3);
	assert_int_equal(c->inputs[0].kind, INPUT_FILE);
	assert_int_equal(c->inputs[0].file.paths.count, 2);
	assert_string_equal(c->inputs[0].file.paths.items[1], "/var/log/app/current");
	assert_true(c->inputs[0].scanner.lines.omit_empty);
	assert_string_equal(c->inputs[0].label, "access_log");
	/* the input's own processor, then the broker's */
	assert_int_equal(c->inputs[0].processors->count, 2);
	assert_string_equal(c->inputs[0].processors->children[0].children[0].key, "mapping");
	assert_int_equal(c->inputs[0].processors->children[0].children[0].text_line, 23);
	assert_int_equal(c->inputs[0].processors->children[0].children[0].text_column, 15);
	assert_string_equal(c->inputs[1].processors->children[0].children[0].key, "log");
	assert_string_equal(c->inputs[1].processors->children[0].children[0].children[0].scalar,
	                    "from ${! meta(\"path\") } and ${HOME}");
	assert_int_equal(c->inputs[1].http_server.timeout_ns, 5 * NS_PER_S);
	assert_string_equal(c->inputs[2].socket_server.address, "/run/app/events.sock");
	assert_string_equal(c->inputs[2].path, "input.broker.inputs.2");
	assert_string_equal(c->buffer.path, "/data/spool.db");
	assert_string_equal(c->output.stream, "events");
	assert_string_equal(c->output.partition_key.text, "${! json(\"user.id\").or(uuid_v4()) }");
	assert_int_equal(c->output.batching.byte_size_bytes, 1000000);
	assert_string_equal(c->logger.static_fields->children[0].scalar, "redpanda-connect");
	config_faults_fini(&faults);
	config_free(c);
	free(text);
}

static void test_kinds(void **state)
{
	struct config *c =
	    parse_good("input: {file: {paths: [a], codec: 'delim:;'}}\nbuffer: {sqlite: {path: /s}}\n"
	               "output:\n  aws_kinesis:\n    stream: arn:aws-cn:kinesis:cn-north-1:123456789012:stream/a.b\n"
	               "    partition_key: |\n      ${! json() }\n    batching: {byte_size: 1MB, period: 1m30s, check: "
	               "'this.a > 1'}\n"
	               "    backoff: {max_elapsed_time: \"\"}\n    endpoint: http://[::1]:4567/\n    tcp: ~\n"
	               "    credentials: {id: A, secret: 'S', token: T}\n"
	               "kspool: {wire: CBOR, max_bytes: 10GiB, when_full: evict_oldest}\nmetrics: {none: {}}\n"
	               "logger: {level: debug}\n");

	(void)state;
	assert_int_equal(c->inputs[0].scanner.kind, SCANNER_LINES);
	assert_string_equal(c->inputs[0].scanner.lines.custom_delimiter, ";");
	assert_string_equal(c->output.partition_key.text, "${! json() }\n");
	assert_int_equal(c->output.partition_key.line, 7);
	assert_int_equal(c->output.partition_key.column, 7);
	assert_int_equal(c->output.batching.byte_size_bytes, 1000000);
	assert_int_equal(c->output.batching.period_ns, 90 * NS_PER_S);
	assert_int_equal(c->output.batching.check.column, 55);
	assert_int_equal(c->output.backoff.max_elapsed_time_ns, 0);
	assert_string_equal(c->output.credentials.secret, "S");
	assert_int_equal(c->kspool.wire, WIRE_CBOR);
	assert_int_equal(c->kspool.max_bytes_bytes, UINT64_C(10) << 30);
	assert_int_equal(c->kspool.when_full, FULL_EVICT_OLDEST);
	assert_int_equal(c->logger.level, LEVEL_DEBUG);
	assert_false(c->metrics_prometheus);
	config_free(c);
	c = parse_good("input: {stdin: {scanner: {chunker: {size: 64KiB}}}}" REST);
	assert_int_equal(c->inputs[0].scanner.kind, SCANNER_CHUNKER);
	assert_int_equal(c->inputs[0].scanner.chunker.size_bytes, 65536);
	config_free(c);
	c = parse_good("input: {stdin: {codec: all-bytes}}" REST);
	assert_int_equal(c->inputs[0].scanner.kind, SCANNER_TO_THE_END);
	config_free(c);
}

static void check(const char *text, const struct config_load_options *options, const char *expected)
{
	char *faults = parse_faults(text, strlen(text), options);

	assert_string_equal(faults, expected);
	free(faults);
}

static void test_later_and_inert(void **state)
{
	const struct config_load_options run = {.for_run = true};
	const char *later = "metrics: {prometheus: {use_histogram_timing: true}}\ninput: {stdin: {}}" REST;
	const char *inert = "input: {file: {paths: [a], auto_replay_nacks: false}}" REST;

	(void)state;
	check(later, NULL,
	      "(1,46) metrics.prometheus.use_histogram_timing cannot be acted on: this kspool does not have it; remove "
	      "it\n");
	check("error_handling: {strategy: reject}\ninput_resources: 3\ninput: {stdin: {}}" REST, NULL,
	      "(1,1) warning: error_handling has no effect: kspool.processor_error says what becomes of a failed "
	      "message\n"
	      "(2,18) input_resources: expected a list, not a text\n");
	check(inert, &run,
	      "(1,47) warning: input.file.auto_replay_nacks has no effect: Nothing is rejected after it was accepted: "
	      "the "
	      "journal keeps it.\n");
	check("# BENTHOS LINT DISABLE\ninput: {file: {paths: [a], auto_replay_nacks: false}}" REST, &run, "");
	check(
	    "# BENTHOS LINT DISABLE\ninput: {file: {pats: [a]}}" REST, &run,
	    "(2,9) input.file.paths is required\n(2,16) unknown key \"pats\" in input.file; did you mean \"paths\"?\n");
}

static void test_endpoints_of_regions(void **state)
{
	static const char *const there[] = {
	    "kinesis.us-east-1.amazonaws.com", "kinesis-fips.us-east-1.amazonaws.com:443",
	    "123456789012.data-kinesis.us-east-1.amazonaws.com/", "kinesis.us-east-1.api.aws",
	    "vpce-0a-1b.kinesis.us-east-1.vpce.amazonaws.com"};
	static const char *const fine[] = {"kinesis.eu-west-1.amazonaws.com", "kinesis.us-east-1.example.org",
	                                   "amazonaws.com", "kinesis.amazonaws.com.example"};
	char text[400];

	(void)state;
	for (size_t i = 0; i < sizeof there / sizeof *there; i++) {
		(void)snprintf(text, sizeof text, OUT("region: eu-west-1, endpoint: \"https://%s\""), there[i]);
		check(text, NULL,
		      "(3,82) warning: output.aws_kinesis.endpoint is of region us-east-1, and requests are signed for "
		      "eu-west-1 (region)\n");
	}
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
		(void)snprintf(text, sizeof text, OUT("region: eu-west-1, endpoint: \"https://%s\""), fine[i]);
		check(text, NULL, "");
	}
}

static void test_sets(void **state)
{
	const char *sets[] = {"kspool.wire=cbor", "output.aws_kinesis.batching={count: 7}",
	                      "input.stdin.scanner.lines={}"};
	const struct config_load_options options = {.sets = sets, .set_count = 3};
	const char *bad_sets[] = {"kspool.wire=xml", "nothing", "buffer.sqlite.path.x=1", "logger=[1"};
	const struct config_load_options bad_options = {.sets = bad_sets, .set_count = 4};
	struct config_faults faults;
	struct config *c;

	(void)state;
	assert_int_equal(config_parse("/t", STDIN, strlen(STDIN), &options, &c, &faults, NULL), ERR_OK);
	assert_int_equal(c->kspool.wire, WIRE_CBOR);
	assert_int_equal(c->output.batching.count, 7);
	config_free(c);
	config_faults_fini(&faults);
	check(STDIN, &bad_options,
	      "(0,0) kspool.wire: expected json or cbor, not \"xml\"\n"
	      "(0,0) set buffer.sqlite.path.x: there is a plain value above x\n"
	      "(0,0) set logger: YAML: did not find expected ',' or ']', while parsing a flow sequence\n"
	      "(0,0) set nothing: write path=value\n");
}

/* What a variable holds may be a secret that stands in the wrong place. */
static void test_variables_are_not_shown(void **state)
{
	(void)state;
	(void)setenv("T_SECRET", "hunter2", 1);
	check(OUT("max_retries: x${T_SECRET}"), NULL,
	      "(3,66) output.aws_kinesis.max_retries: expected a whole number, not what its environment variable "
	      "holds\n");
}

static void test_file_rules(void **state)
{
	static const struct {
		mode_t mode;
		bool for_run;
		enum err err;
	} rows[] = {{0600, true, ERR_OK},
	            {0644, true, ERR_OK},
	            {0620, true, ERR_ENVIRONMENT},
	            {0602, true, ERR_ENVIRONMENT},
	            {0666, false, ERR_OK}};
	char path[] = "/tmp/kspool-config-XXXXXX", link[64];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, STDIN, strlen(STDIN)), strlen(STDIN));
	(void)close(fd);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct config_load_options options = {.for_run = rows[i].for_run};
		struct config_faults faults;
		struct config *c;
		struct error e = {0};

		assert_int_equal(chmod(path, rows[i].mode), 0);
		assert_int_equal(config_load(path, &options, &c, &faults, &e), rows[i].err);
		if (rows[i].err != ERR_OK)
			assert_non_null(strstr(e.text, path));
		assert_int_equal(faults.count, rows[i].mode == 0666);
		config_free(c);
		config_faults_fini(&faults);
	}
	(void)snprintf(link, sizeof link, "%s.link", path);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(chmod(path, 0600), 0);
	{
		struct config_faults faults;
		struct config *c;
		struct error e = {0};

		assert_int_equal(config_load(link, NULL, &c, &faults, &e), ERR_OK); /* our own link */
		config_free(c);
		config_faults_fini(&faults);
	}
	for (int i = 0; i < 2; i++) {
		const char *names[] = {"/tmp", "/nonexistent/kspool.yaml"};
		struct config_faults faults;
		struct config *c;
		struct error e = {0};

		assert_int_equal(config_load(names[i], NULL, &c, &faults, &e), ERR_NOINPUT);
		assert_non_null(strstr(e.text, names[i]));
	}
	(void)unlink(link);
	(void)unlink(path);
}

int main(void)
{
	(void)setenv("STATE_DIRECTORY", "/state", 1);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bad_texts),
	    cmocka_unit_test(test_bad_files),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_redpanda_file),
	    cmocka_unit_test(test_kinds),
	    cmocka_unit_test(test_endpoints_of_regions),
	    cmocka_unit_test(test_sets),
	    cmocka_unit_test(test_later_and_inert),
	    cmocka_unit_test(test_file_rules),
	    cmocka_unit_test(test_variables_are_not_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
