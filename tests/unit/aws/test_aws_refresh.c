/* Refreshing: one for however many wait, ahead of expiry, kept through failures, after a refusal, by a doubtful clock.
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

#define HTTP_JSON(status, length, body)                                                                             \
	"HTTP/1.1 " status                                                                                          \
	"\r\nx-amzn-RequestId: r\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: " length \
	"\r\n\r\n" body
#define KEYS(n, expires)                                                                                              \
	HTTP_JSON("200 OK", "100",                                                                                    \
	          "{\"AccessKeyId\":\"KEY" n "\",\"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Expiration\":\"" expires \
	          "\"}        ")
#define OK HTTP_JSON("200 OK", "2", "{}")
#define EXPIRED HTTP_JSON("400 x", "34", "{\"__type\":\"ExpiredTokenException\"}")

struct bench {
	struct event_base *base;
	struct aws_client *client;
	struct options_aws_kinesis output;
	struct options_kspool kspool;
	struct script *service, *agent;
	char endpoint[64];
	unsigned done, answered, none;
	enum aws_outcome outcome; /* the newest */
	char reason[ERROR_TEXT_MAX];
};

static void on_done(struct aws_request *r, const struct aws_answer *a)
{
	struct bench *b = r->arg;

	b->done++;
	b->outcome = a->outcome;
	b->answered += a->outcome == AWS_ANSWERED;
	b->none += a->outcome == AWS_NO_CREDENTIALS;
	(void)snprintf(b->reason, sizeof b->reason, "%s", a->error.text);
	if (strstr(a->body, "ExpiredToken"))
		aws_client_credentials_stale(b->client);
	event_base_loopbreak(b->base);
}

static struct bench *bench_open(const struct script_step *agent, size_t agent_steps, const struct script_step *service,
                                size_t service_steps)
{
	struct bench *b = calloc(1, sizeof *b);
	struct aws_client_options o = {&b->output, &b->kspool, "kinesis", 64, NULL};
	struct error e;
	char uri[64];
	int64_t wall;

	b->agent = script_start(agent, agent_steps);
	b->service = script_start(service, service_steps);
	(void)snprintf(uri, sizeof uri, "http://127.0.0.1:%u/v1", b->agent->port);
	(void)snprintf(b->endpoint, sizeof b->endpoint, "http://127.0.0.1:%u", b->service->port);
	(void)setenv("AWS_CONFIG_FILE", "/nonexistent/config", 1);
	(void)setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials", 1);
	(void)setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	(void)setenv("AWS_REGION", "us-east-1", 1);
	(void)setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri, 1);
	assert_true(dates_parse_iso("2026-01-01T00:00:00Z", &wall));
	clock_test_set(1000 * NS_PER_S, wall * NS_PER_MS);
	b->base = event_base_new();
	b->output.endpoint = b->endpoint;
	b->kspool.request_timeout_ns = 20 * NS_PER_S;
	assert_int_equal(aws_client_open(b->base, &o, &b->client, &e), ERR_OK);
	return b;
}

static void bench_close(struct bench *b)
{
	aws_client_close(b->client);
	event_base_free(b->base);
	script_stop(b->agent);
	script_stop(b->service);
	clock_test_end();
	free(b);
}

static void send_many(struct bench *b, unsigned count)
{
	struct aws_request r[64];
	unsigned before = b->done;

	for (unsigned i = 0; i < count; i++) {
		r[i] = (struct aws_request){
		    .target = "t", .content_type = "c", .body = "b", .body_bytes = 1, .done = on_done, .arg = b};
		aws_client_send(b->client, &r[i]);
	}
	while (b->done < before + count)
		assert_true(event_base_loop(b->base, EVLOOP_ONCE) >= 0);
}

static void run_for_ms(struct bench *b, int ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	(void)event_base_loopexit(b->base, &tv);
	(void)event_base_dispatch(b->base);
}

static void assert_key(struct bench *b, const char *key)
{
	struct aws_identity id;

	aws_client_identity(b->client, &id);
	assert_string_equal(id.access_key_id, key);
}

static void many_wait_for_one_refresh(void **state)
{
	static const struct script_step agent[] = {{KEYS("1", "2026-01-01T06:00:00Z"), THEN_FIN}};
	struct script_step service[64];
	struct bench *b;

	(void)state;
	for (int i = 0; i < 64; i++)
		service[i] = (struct script_step){OK, THEN_FIN};
	b = bench_open(agent, 1, service, 64);
	send_many(b, 64);
	assert_int_equal(b->answered, 64);
	assert_int_equal(atomic_load(&b->agent->requests), 1);
	assert_key(b, "KEY1");
	bench_close(b);
}

static void refreshes_ahead_and_keeps_the_old_through_failures(void **state)
{
	static const struct script_step agent[] = {
	    {KEYS("1", "2026-01-01T06:00:00Z"), THEN_FIN}, {HTTP_JSON("404 x", "0", ""), THEN_FIN},
	    {KEYS("2", "2026-01-01T12:00:00Z"), THEN_FIN}, {HTTP_JSON("403 x", "0", ""), THEN_FIN},
	    {HTTP_JSON("403 x", "0", ""), THEN_FIN},       {KEYS("3", "2026-01-01T18:00:00Z"), THEN_FIN}};
	static const struct script_step service[] = {{OK, THEN_FIN}, {OK, THEN_FIN}, {OK, THEN_FIN}, {OK, THEN_FIN},
	                                             {OK, THEN_FIN}, {OK, THEN_FIN}, {OK, THEN_FIN}};
	struct bench *b = bench_open(agent, 6, service, 7);

	(void)state;
	send_many(b, 1);
	clock_test_advance(INT64_C(5) * 3600 * NS_PER_S); /* an hour left: nothing to do */
	send_many(b, 1);
	run_for_ms(b, 50);
	assert_int_equal(atomic_load(&b->agent->requests), 1);
	clock_test_advance(INT64_C(56) * 60 * NS_PER_S); /* four minutes left: asked beside the request; fails; kept */
	send_many(b, 1);
	run_for_ms(b, 50);
	assert_int_equal(atomic_load(&b->agent->requests), 2);
	assert_key(b, "KEY1");
	send_many(b, 1); /* not asked again at once */
	run_for_ms(b, 50);
	assert_int_equal(atomic_load(&b->agent->requests), 2);
	clock_test_advance(11 * NS_PER_S);
	send_many(b, 1);
	run_for_ms(b, 50);
	assert_key(b, "KEY2");
	assert_int_equal(b->answered, 5);
	/* a week offline: expired, the agent refuses, the reason is the provider's own; then it heals */
	clock_test_advance(INT64_C(7) * 86400 * NS_PER_S);
	send_many(b, 3);
	assert_int_equal(b->none, 3);
	assert_non_null(strstr(b->reason, "container: answered with status 403"));
	assert_int_equal(atomic_load(&b->agent->requests), 4);
	clock_test_advance(NS_PER_S);
	send_many(b, 1);
	assert_int_equal(b->none, 4);
	clock_test_advance(NS_PER_S);
	send_many(b, 1);
	assert_int_equal(b->answered, 6);
	assert_key(b, "KEY3"); /* looks expired to our clock, and is used: the service decides */
	bench_close(b);
}

static void a_storm_of_refusals_is_one_refresh(void **state)
{
	static const struct script_step agent[] = {{KEYS("1", "2026-01-01T06:00:00Z"), THEN_FIN},
	                                           {KEYS("2", "2026-01-01T06:00:00Z"), THEN_FIN}};
	struct script_step service[17];
	struct bench *b;

	(void)state;
	for (int i = 0; i < 17; i++)
		service[i] = (struct script_step){i < 16 ? EXPIRED : OK, THEN_FIN};
	b = bench_open(agent, 2, service, 17);
	send_many(b, 16);
	assert_int_equal(b->answered, 16);
	clock_test_advance(2 * NS_PER_S);
	send_many(b, 1);
	assert_key(b, "KEY2");
	assert_int_equal(atomic_load(&b->agent->requests), 2);
	aws_client_credentials_stale(b->client); /* late, within the second: about the old ones */
	assert_key(b, "KEY2");
	bench_close(b);
}

static void reload_reads_anew(void **state)
{
	static const struct script_step agent[] = {{KEYS("1", "2026-01-01T06:00:00Z"), THEN_FIN}};
	static const struct script_step service[] = {{OK, THEN_FIN}, {OK, THEN_FIN}};
	struct bench *b = bench_open(agent, 1, service, 2);
	struct options_aws_kinesis output = b->output;
	struct aws_client_options o = {&output, &b->kspool, "kinesis", 4, NULL};
	struct error e;

	(void)state;
	send_many(b, 1);
	assert_key(b, "KEY1");
	output.credentials.id = strdup("KEY9");
	assert_int_equal(aws_client_reload(b->client, &o, &e), ERR_CONFIG); /* half a pair: nothing changes */
	assert_key(b, "KEY1");
	output.credentials.secret = strdup("s");
	assert_int_equal(aws_client_reload(b->client, &o, &e), ERR_OK);
	send_many(b, 1);
	assert_key(b, "KEY9");
	assert_non_null(strstr(b->service->text[1], "Credential=KEY9/"));
	free(output.credentials.id);
	free(output.credentials.secret);
	bench_close(b);
}

static void cancelling_and_closing_while_credentials_are_fetched(void **state)
{
	static const struct script_step agent[] = {{NULL, THEN_SILENCE}};
	struct bench *b = bench_open(agent, 1, NULL, 0);
	struct aws_request r = {
	    .target = "t", .content_type = "c", .body = "b", .body_bytes = 1, .done = on_done, .arg = b};

	(void)state;
	aws_client_send(b->client, &r);
	run_for_ms(b, 50);
	assert_int_equal(b->done, 0);
	aws_client_cancel_all(b->client);
	while (b->done < 1)
		event_base_loop(b->base, EVLOOP_ONCE);
	assert_int_equal(b->outcome, AWS_CANCELLED);
	assert_non_null(strstr(b->reason, "before it was sent"));
	bench_close(b);
}

static void a_reload_ends_the_wait_for_credentials(void **state)
{
	static const struct script_step agent[] = {{NULL, THEN_SILENCE}};
	static const struct script_step service[] = {{OK, THEN_FIN}};
	struct bench *b = bench_open(agent, 1, service, 1);
	struct options_aws_kinesis output = b->output;
	struct aws_client_options o = {&output, &b->kspool, "kinesis", 4, NULL};
	struct aws_request r = {
	    .target = "t", .content_type = "c", .body = "b", .body_bytes = 1, .done = on_done, .arg = b};
	struct timeval patience = {5, 0}; /* the agent's own time-out would come later, and end it with nothing */
	struct error e;

	(void)state;
	aws_client_send(b->client, &r);
	while (atomic_load(&b->agent->requests) < 1)
		event_base_loop(b->base, EVLOOP_NONBLOCK);
	output.credentials.id = strdup("KEY9");
	output.credentials.secret = strdup("s");
	assert_int_equal(aws_client_reload(b->client, &o, &e), ERR_OK);
	assert_int_equal(b->done, 0); /* told from the loop, not from inside */
	(void)event_base_loopexit(b->base, &patience);
	(void)event_base_dispatch(b->base);
	assert_int_equal(b->answered, 1);
	assert_non_null(strstr(b->service->text[0], "Credential=KEY9/"));
	free(output.credentials.id);
	free(output.credentials.secret);
	bench_close(b);
}

static void keys_without_a_region_are_a_failure_with_a_pause(void **state)
{
	static const struct script_step agent[] = {{KEYS("1", "2026-01-01T06:00:00Z"), THEN_FIN},
	                                           {KEYS("2", "2026-01-01T06:00:00Z"), THEN_FIN}};
	static const struct script_step service[] = {{OK, THEN_FIN}};
	struct bench *b = bench_open(agent, 2, service, 1);
	struct aws_identity id;

	(void)state;
	(void)unsetenv("AWS_REGION"); /* read anew at each refresh */
	send_many(b, 1);
	assert_int_equal(b->outcome, AWS_NO_CREDENTIALS);
	assert_non_null(strstr(b->reason, "no region: set output.aws_kinesis.region or AWS_REGION (asked IMDS: "));
	aws_client_identity(b->client, &id);
	assert_string_equal(id.reason, b->reason);
	assert_string_equal(id.access_key_id, "");
	send_many(b, 2); /* not asked again at once */
	assert_int_equal(b->none, 3);
	assert_int_equal(atomic_load(&b->agent->requests), 1);
	(void)setenv("AWS_REGION", "eu-west-1", 1);
	clock_test_advance(NS_PER_S);
	send_many(b, 1);
	assert_int_equal(b->answered, 1);
	assert_non_null(strstr(b->service->text[0], "/eu-west-1/kinesis/aws4_request"));
	aws_client_identity(b->client, &id);
	assert_string_equal(id.reason, "");
	bench_close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(many_wait_for_one_refresh),
	    cmocka_unit_test(refreshes_ahead_and_keeps_the_old_through_failures),
	    cmocka_unit_test(a_storm_of_refusals_is_one_refresh),
	    cmocka_unit_test(reload_reads_anew),
	    cmocka_unit_test(cancelling_and_closing_while_credentials_are_fetched),
	    cmocka_unit_test(a_reload_ends_the_wait_for_credentials),
	    cmocka_unit_test(keys_without_a_region_are_a_failure_with_a_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
