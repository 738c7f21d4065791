/* The client: signed bytes on the wire, every outcome, exactly one done, clock offset, stale credentials, cancelling.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/dates.h"
#include "aws/client.h"
#include "rig/aws_script.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\nx-amzn-RequestId: r1\r\nContent-Type: application/x-amz-json-1.1\r\n"
#define OK OK_HEAD "Content-Length: 2\r\n\r\n{}"

struct bench {
	struct event_base *base;
	struct aws_client *client;
	struct options_aws_kinesis output;
	struct options_kspool kspool;
	struct aws_client_options options;
	char endpoint[64];
	struct script *script;
	struct aws_answer answers[16];
	char body[256];
	unsigned done;
	bool stale_on_answer;
};

static void on_done(struct aws_request *r, const struct aws_answer *a)
{
	struct bench *b = r->arg;

	b->answers[b->done++ % 16] = *a;
	(void)snprintf(b->body, sizeof b->body, "%s", a->body);
	if (b->stale_on_answer)
		aws_client_credentials_stale(b->client);
	event_base_loopbreak(b->base);
}

static void clear_environment(void)
{
	static const char *const names[] = {
	    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
	    "AWS_REGION",        "AWS_DEFAULT_REGION",    "AWS_ENDPOINT_URL",  "AWS_ENDPOINT_URL_KINESIS"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		(void)unsetenv(names[i]);
	(void)setenv("AWS_CONFIG_FILE", "/nonexistent/config", 1);
	(void)setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials", 1);
	(void)setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
}

static struct bench *bench_open(const struct script_step *steps, size_t count)
{
	struct bench *b = calloc(1, sizeof *b);
	struct error e;

	clear_environment();
	b->script = script_start(steps, count);
	(void)snprintf(b->endpoint, sizeof b->endpoint, "http://127.0.0.1:%u", b->script->port);
	b->base = event_base_new();
	b->output.endpoint = b->endpoint;
	b->output.region = strdup("us-east-1");
	b->output.stream = strdup("s");
	b->output.credentials.id = strdup("AKIDEXAMPLE");
	b->output.credentials.secret = strdup("SECRETCANARY");
	b->output.credentials.token = strdup("TOKENCANARY");
	b->kspool.request_timeout_ns = 2 * NS_PER_S;
	b->options = (struct aws_client_options){&b->output, &b->kspool, "kinesis", 4};
	assert_int_equal(aws_client_open(b->base, &b->options, &b->client, &e), ERR_OK);
	return b;
}

static void bench_close(struct bench *b)
{
	aws_client_close(b->client);
	event_base_free(b->base);
	script_stop(b->script);
	free(b->output.region);
	free(b->output.stream);
	free(b->output.credentials.id);
	free(b->output.credentials.secret);
	free(b->output.credentials.token);
	free(b);
}

static struct aws_request request_of(struct bench *b)
{
	return (struct aws_request){.target = "Kinesis_20131202.PutRecords",
	                            .content_type = "application/x-amz-json-1.1",
	                            .body = "{\"a\":1}",
	                            .body_bytes = 7,
	                            .done = on_done,
	                            .arg = b};
}

static void wait_for(struct bench *b, unsigned count)
{
	while (b->done < count)
		assert_true(event_base_loop(b->base, EVLOOP_ONCE) >= 0);
}

static struct aws_answer *exchange(struct bench *b)
{
	struct aws_request r = request_of(b);
	unsigned before = b->done;

	aws_client_send(b->client, &r);
	assert_int_equal(b->done, before);
	wait_for(b, before + 1);
	return &b->answers[before % 16];
}

static void sends_signed_requests(void **state)
{
	static const struct script_step steps[] = {{OK, THEN_KEEP}, {OK, THEN_KEEP}};
	struct bench *b = bench_open(steps, 2);
	struct aws_identity id;
	struct aws_answer *a;

	(void)state;
	a = exchange(b);
	assert_int_equal(a->outcome, AWS_ANSWERED);
	assert_int_equal(a->status, 200);
	assert_string_equal(b->body, "{}");
	assert_string_equal(a->request_id, "r1");
	assert_non_null(strstr(b->script->text[0], "POST / HTTP/1.1\r\nHost: 127.0.0.1:"));
	assert_non_null(strstr(b->script->text[0], "X-Amz-Target: Kinesis_20131202.PutRecords\r\n"));
	assert_non_null(strstr(b->script->text[0], "X-Amz-Security-Token: TOKENCANARY\r\n"));
	assert_non_null(strstr(b->script->text[0], "Content-Length: 7\r\n"));
	assert_non_null(strstr(b->script->text[0], "\r\n\r\n{\"a\":1}"));
	assert_non_null(strstr(b->script->text[0], "/us-east-1/kinesis/aws4_request, SignedHeaders=content-type;host;"
	                                           "x-amz-date;x-amz-security-token;x-amz-target, Signature="));
	assert_null(strstr(b->script->text[0], "SECRETCANARY"));
	exchange(b);
	assert_int_equal(atomic_load(&b->script->connections), 1);
	aws_client_identity(b->client, &id);
	assert_string_equal(id.provider, "config");
	assert_string_equal(id.access_key_id, "AKIDEXAMPLE");
	assert_string_equal(id.region_source, "field");
	assert_int_equal(id.expires_ms, 0);
	bench_close(b);
}

static void ends_each_request_once(void **state)
{
	static const struct script_step steps[] = {{NULL, THEN_RST}, {OK_HEAD "Content-Length: 9\r\n\r\n{}", THEN_FIN}};
	struct bench *b = bench_open(steps, 2);

	(void)state;
	assert_int_equal(exchange(b)->outcome, AWS_UNKNOWN);
	assert_int_equal(exchange(b)->outcome, AWS_UNKNOWN);
	for (int i = 0; i < 10; i++)
		event_base_loop(b->base, EVLOOP_NONBLOCK);
	assert_int_equal(b->done, 2);
	bench_close(b);
}

static void learns_the_clock_from_answers(void **state)
{
	static const struct script_step steps[] = {
	    {"HTTP/1.1 400 x\r\nx-amzn-RequestId: r\r\nDate: Sun, 30 Aug 2015 12:43:36 GMT\r\nContent-Length: "
	     "0\r\n\r\n",
	     THEN_KEEP},
	    {"HTTP/1.1 403 proxy page\r\nDate: Sun, 30 Aug 2020 12:43:36 GMT\r\nContent-Length: 0\r\n\r\n", THEN_KEEP},
	    {"HTTP/1.1 200 x\r\nx-amzn-RequestId: r\r\nDate: Sun, 30 Aug 2015 12:36:05 GMT\r\nContent-Length: "
	     "0\r\n\r\n",
	     THEN_KEEP}};
	struct bench *b = bench_open(steps, 3);
	int64_t wall;

	(void)state;
	assert_true(dates_parse_amz("20150830T123600Z", &wall));
	clock_test_set(clock_mono_ns(), wall * NS_PER_MS);
	exchange(b);
	assert_non_null(strstr(b->script->text[0], "X-Amz-Date: 20150830T123600Z\r\n"));
	assert_int_equal(aws_client_clock_offset_ms(b->client), (7 * 60 + 36) * 1000);
	exchange(b); /* not from the service: teaches nothing, and is signed with the learned time */
	assert_non_null(strstr(b->script->text[1], "X-Amz-Date: 20150830T124336Z\r\n"));
	assert_int_equal(aws_client_clock_offset_ms(b->client), (7 * 60 + 36) * 1000);
	exchange(b); /* our clock was put right: the offset goes */
	assert_int_equal(aws_client_clock_offset_ms(b->client), 0);
	aws_client_clock_learn(b->client, wall + INT64_C(3) * 86400 * 1000);
	assert_int_equal(aws_client_clock_offset_ms(b->client), INT64_C(3) * 86400 * 1000);
	clock_test_end();
	bench_close(b);
}

static void says_why_there_are_no_credentials(void **state)
{
	static const struct script_step cut = {NULL, THEN_FIN};
	struct bench *b = bench_open(&cut, 1);
	struct aws_client *client;
	struct options_aws_kinesis output = b->output;
	struct aws_client_options o = b->options;
	struct aws_identity id;
	struct error e;
	struct aws_answer *a;

	(void)state;
	clock_test_set(clock_mono_ns(), clock_wall_ns());
	client = b->client;
	memset(&output.credentials, 0, sizeof output.credentials);
	o.output = &output;
	assert_int_equal(aws_client_open(b->base, &o, &b->client, &e), ERR_OK);
	a = exchange(b);
	assert_int_equal(a->outcome, AWS_NO_CREDENTIALS);
	assert_non_null(strstr(a->error.text, "no provider has credentials"));
	aws_client_identity(b->client, &id);
	assert_string_equal(id.provider, "");
	assert_non_null(strstr(id.reason, "no provider"));
	/* they appear: the next request finds them */
	(void)setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	a = exchange(b);
	assert_int_equal(a->outcome, AWS_NO_CREDENTIALS);
	(void)setenv("AWS_SECRET_ACCESS_KEY", "x", 1);
	clock_test_advance(300 * NS_PER_MS);
	a = exchange(b);
	assert_int_equal(a->outcome, AWS_UNKNOWN); /* sent, and not answered */
	aws_client_identity(b->client, &id);
	assert_string_equal(id.provider, "environment");
	/* half a pair is a failure, and stale keys are read again */
	(void)unsetenv("AWS_SECRET_ACCESS_KEY");
	clock_test_advance(1100 * NS_PER_MS);
	aws_client_credentials_stale(b->client);
	a = exchange(b);
	assert_int_equal(a->outcome, AWS_NO_CREDENTIALS);
	assert_non_null(strstr(a->error.text, "AWS_SECRET_ACCESS_KEY is not"));
	aws_client_close(b->client);
	b->client = client;
	clock_test_end();
	bench_close(b);
}

static void cancels(void **state)
{
	static const struct script_step step = {NULL, THEN_SILENCE};
	struct bench *b = bench_open(&step, 1);
	struct aws_request r[3] = {request_of(b), request_of(b), request_of(b)};

	(void)state;
	for (int i = 0; i < 3; i++)
		aws_client_send(b->client, &r[i]);
	for (int i = 0; i < 5; i++)
		event_base_loop(b->base, EVLOOP_NONBLOCK);
	assert_int_equal(b->done, 0);
	aws_client_cancel_all(b->client);
	assert_int_equal(b->done, 0);
	wait_for(b, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(b->answers[i].outcome, AWS_CANCELLED);
	bench_close(b);
}

static void refuses_contradictory_fields(void **state)
{
	static const struct {
		const char *endpoint, *stream, *region, *profile, *id, *secret, *token, *role, *external_id;
		bool ec2;
		const char *says;
	} rows[] = {
	    {.id = "a", .says = "secret is not"},
	    {.secret = "a", .says = "id is not"},
	    {.token = "a", .says = "id is not"},
	    {.id = "a", .secret = "b", .profile = "p", .says = "contradict"},
	    {.id = "a", .secret = "b", .ec2 = true, .says = "contradict"},
	    {.profile = "p", .ec2 = true, .says = "contradict"},
	    {.external_id = "x", .says = "role is not"},
	    {.role = "admin", .says = "not the ARN"},
	    {.region = "us_east", .says = "region"},
	    {.endpoint = "http://example.com", .says = "loopback only"},
	    {.endpoint = "example.com", .says = "https://"},
	    {.endpoint = "https://user@example.com", .says = "host or port"},
	    {.endpoint = "https://example.com:99999", .says = "host or port"},
	    {.endpoint = "https://example.com/?x", .says = "query"},
	    {.stream = "arn:aws:kinesis:us-east-1:12:stream/x", .says = "not arn:"},
	    {.stream = "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/x",
	     .region = "us-east-1",
	     .says = "partition"},
	};
	struct event_base *base = event_base_new();

	(void)state;
	clear_environment();
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct options_kspool kspool = {0};
		struct options_aws_kinesis o = {0};
		struct aws_client_options options = {&o, &kspool, "kinesis", 1};
		struct aws_client *c;
		struct error e = {0};

		o.endpoint = (char *)(uintptr_t)rows[i].endpoint;
		o.stream = (char *)(uintptr_t)rows[i].stream;
		o.region = (char *)(uintptr_t)rows[i].region;
		o.credentials.profile = (char *)(uintptr_t)rows[i].profile;
		o.credentials.id = (char *)(uintptr_t)rows[i].id;
		o.credentials.secret = (char *)(uintptr_t)rows[i].secret;
		o.credentials.token = (char *)(uintptr_t)rows[i].token;
		o.credentials.role = (char *)(uintptr_t)rows[i].role;
		o.credentials.role_external_id = (char *)(uintptr_t)rows[i].external_id;
		o.credentials.from_ec2_role = rows[i].ec2;
		assert_int_equal(aws_options_check(&options, NULL), ERR_CONFIG);
		assert_int_equal(aws_client_open(base, &options, &c, &e), ERR_CONFIG);
		if (!strstr(e.text, rows[i].says))
			print_message("row %zu: %s\n", i, e.text);
		assert_non_null(strstr(e.text, rows[i].says));
	}
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sends_signed_requests),
	    cmocka_unit_test(ends_each_request_once),
	    cmocka_unit_test(learns_the_clock_from_answers),
	    cmocka_unit_test(says_why_there_are_no_credentials),
	    cmocka_unit_test(cancels),
	    cmocka_unit_test(refuses_contradictory_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
