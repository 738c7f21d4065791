/* The table of outcomes: what each code of the service means, and that every input meets a row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "kinesis/outcome.h"

/* From the API reference and the service model; written down apart from the table. */
static const struct {
	enum outcome_scope scope;
	bool cbor;
	int status;
	const char *code, *text;
	enum outcome_action action;
	bool may_be_stored;
} WANTED[] = {
    {OUTCOME_RECORD, false, 0, "ProvisionedThroughputExceededException", "", ACTION_SLOWER, false},
    {OUTCOME_RECORD, false, 0, "InternalFailure", "", ACTION_AGAIN, false},
    {OUTCOME_RECORD, false, 0, "KMSThrottlingException", "", ACTION_SLOWER, false},
    {OUTCOME_RECORD, false, 0, "KMSDisabledException", "", ACTION_HOLD, false},
    {OUTCOME_RECORD, false, 0, "InvalidArgumentException", "", ACTION_SETTLE, false},
    {OUTCOME_RECORD, false, 0, "NeverHeardOf", "", ACTION_AGAIN, false},
    {OUTCOME_REQUEST, false, 400, "ProvisionedThroughputExceededException", "", ACTION_SLOWER, false},
    {OUTCOME_REQUEST, false, 400, "ThrottlingException", "Rate exceeded", ACTION_SLOWER, false},
    {OUTCOME_REQUEST, false, 400, "LimitExceededException", "", ACTION_SLOWER, false},
    {OUTCOME_REQUEST, false, 400, "KMSThrottlingException", "", ACTION_SLOWER, false},
    {OUTCOME_REQUEST, false, 429, "", "", ACTION_SLOWER, false},
    {OUTCOME_REQUEST, false, 503, "SlowDown", "", ACTION_SLOWER, false},
    {OUTCOME_REQUEST, false, 500, "InternalFailure", "", ACTION_OFFLINE, true},
    {OUTCOME_REQUEST, false, 500, "", "", ACTION_OFFLINE, true},
    {OUTCOME_REQUEST, false, 502, "", "", ACTION_OFFLINE, true},
    {OUTCOME_REQUEST, false, 503, "ServiceUnavailable", "", ACTION_OFFLINE, true},
    {OUTCOME_REQUEST, false, 504, "", "", ACTION_OFFLINE, true},
    {OUTCOME_REQUEST, false, 400, "ExpiredTokenException", "", ACTION_REFRESH, false},
    {OUTCOME_REQUEST, false, 403, "ExpiredToken", "", ACTION_REFRESH, false},
    {OUTCOME_REQUEST, false, 400, "UnrecognizedClientException", "", ACTION_RENEW, false},
    {OUTCOME_REQUEST, false, 403, "InvalidClientTokenId", "", ACTION_RENEW, false},
    {OUTCOME_REQUEST, false, 400, "AccessDeniedException", "", ACTION_HOLD, false},
    {OUTCOME_REQUEST, false, 400, "MissingAuthenticationTokenException", "", ACTION_HOLD, false},
    {OUTCOME_REQUEST, false, 400, "IncompleteSignatureException", "", ACTION_HOLD, false},
    {OUTCOME_REQUEST, false, 400, "NotAuthorized", "", ACTION_HOLD, false},
    {OUTCOME_REQUEST, false, 400, "InvalidSignatureException", "Signature expired: a", ACTION_SKEW, false},
    {OUTCOME_REQUEST, false, 400, "InvalidSignatureException", "Signature not yet current: a", ACTION_SKEW, false},
    {OUTCOME_REQUEST, false, 400, "InvalidSignatureException", "does not match", ACTION_HOLD, false},
    {OUTCOME_REQUEST, false, 400, "RequestExpired", "", ACTION_SKEW, false},
    {OUTCOME_REQUEST, false, 400, "ResourceNotFoundException", "", ACTION_HOLD, false},
    {OUTCOME_REQUEST, false, 400, "ResourceInUseException", "", ACTION_HOLD, false},
    {OUTCOME_REQUEST, false, 400, "KMSNotFoundException", "", ACTION_HOLD, false},
    {OUTCOME_REQUEST, false, 400, "KMSOptInRequired", "", ACTION_HOLD, false},
    {OUTCOME_REQUEST, false, 400, "ValidationException", "Value at 'records.1.member.data'", ACTION_ISOLATE, false},
    {OUTCOME_REQUEST, false, 400, "ValidationException", "Value 'a b' at 'streamName' failed", ACTION_HOLD, false},
    {OUTCOME_REQUEST, false, 400, "InvalidArgumentException", "Invalid ExplicitHashKey", ACTION_ISOLATE, false},
    {OUTCOME_REQUEST, false, 400, "InvalidArgumentException", "Records size exceeds 5 MB", ACTION_OVERSIZE, false},
    {OUTCOME_REQUEST, false, 400, "RequestEntityTooLargeException", "", ACTION_SHRINK, false},
    {OUTCOME_REQUEST, false, 413, "RequestEntityTooLarge", "", ACTION_SHRINK, false},
    {OUTCOME_REQUEST, false, 413, "NeverHeardOf", "", ACTION_SHRINK, false},
    {OUTCOME_REQUEST, false, 413, "", "", ACTION_SHRINK, false},
    {OUTCOME_REQUEST, false, 400, "SerializationException", "", ACTION_SUSPECT, false},
    {OUTCOME_REQUEST, true, 400, "SerializationException", "", ACTION_FALLBACK, false},
    {OUTCOME_REQUEST, true, 400, "UnknownOperationException", "", ACTION_FALLBACK, false},
    {OUTCOME_REQUEST, false, 404, "", "", ACTION_OFFLINE, false}, /* a proxy's page */
    {OUTCOME_REQUEST, false, 302, "", "", ACTION_OFFLINE, false}, /* a captive portal */
    {OUTCOME_REQUEST, false, 206, "", "", ACTION_OFFLINE, true},
    {OUTCOME_REQUEST, true, 202, "ThrottlingException", "", ACTION_OFFLINE, true},
    {OUTCOME_REQUEST, false, 400, "NeverHeardOf", "", ACTION_SUSPECT, false},
    {OUTCOME_UNREADABLE, false, 200, "", "", ACTION_OFFLINE, true},
    {OUTCOME_UNREADABLE, true, 200, "", "", ACTION_FALLBACK, true},
    {OUTCOME_NOT_SENT, false, 0, "", "", ACTION_OFFLINE, false},
    {OUTCOME_UNKNOWN, false, 0, "", "", ACTION_OFFLINE, true},
    {OUTCOME_NO_CREDENTIALS, false, 0, "", "", ACTION_HOLD, false},
    {OUTCOME_CANCELLED, false, 0, "", "", ACTION_AGAIN, true},
};

static void codes_mean_what_the_service_means(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof WANTED / sizeof *WANTED; i++) {
		const struct outcome *o =
		    outcome_find(WANTED[i].scope, WANTED[i].cbor, WANTED[i].status, WANTED[i].code, WANTED[i].text);

		if (o->action != WANTED[i].action || o->may_be_stored != WANTED[i].may_be_stored)
			fail_msg("%d %s: %s", WANTED[i].status, WANTED[i].code, outcome_action_name(o->action));
	}
}

static void every_row_is_reached(void **state)
{
	size_t count;
	const struct outcome *t = outcome_table(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		const char *code = t[i].code[0] == '-' ? "" : t[i].code[0] ? t[i].code : "NeverHeardOf";
		int status = t[i].most_status == 999 && t[i].least_status == 0 ? 0 : t[i].most_status;

		assert_ptr_equal(outcome_find(t[i].scope, t[i].wire == OUTCOME_CBOR, status, code, t[i].text), &t[i]);
	}
}

static void every_input_meets_a_row(void **state)
{
	(void)state;
	for (int scope = OUTCOME_RECORD; scope <= OUTCOME_CANCELLED; scope++)
		for (int status = 0; status <= 999; status++)
			for (int form = 0; form < 4; form++)
				assert_non_null(outcome_find((enum outcome_scope)scope, form & 1, status,
				                             form & 2 ? "NeverHeardOf" : "", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(codes_mean_what_the_service_means),
	    cmocka_unit_test(every_row_is_reached),
	    cmocka_unit_test(every_input_meets_a_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
