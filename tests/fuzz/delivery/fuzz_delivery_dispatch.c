/*
 * Bytes are events for the dispatcher: rows arrive, time passes, requests are answered in every way there is, settings
 * are reloaded. After every event: nothing is settled without its own entry, no timer lies in the past, and all
 * numbered invariants hold (dispatch_invariants.h); at the end the service works again and everything still inside is
 * delivered within bounded time (promises 1, 2, 7).
 */
#define SIM_ROWS_MOST 128
/* New ways through the simulation and the checks lead nowhere, and to look for them took half of the time. */
#ifdef __clang__
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)
#endif
#include "rig/delivery_sim.h"
#include "rig/dispatch_invariants.h"
#ifdef __clang__
#pragma clang attribute pop
#endif
#include "rig/fuzz.h"

/* Small, so that thousands of scripts run in a second: what matters is their order, not their length. */
enum { MOST_ROWS = 120, MOST_BYTES = 160, ROWS_AT_ONCE = 32 };

struct script {
	const uint8_t *at, *end;
};

static unsigned next(struct script *s) { return s->at < s->end ? *s->at++ : 0; }

static char scripted(void *arg, uint64_t id, uint32_t i)
{
	static const char VERDICTS[] = "sssssstiukxs";
	unsigned seed = *(unsigned *)arg;

	return VERDICTS[((seed >> (i % 7)) + (unsigned)id * (seed & 1)) % (sizeof VERDICTS - 1)];
}

static void answer_row(struct sim *s, size_t at, unsigned row)
{
	size_t count;
	const struct outcome *table = outcome_table(&count), *o = &table[row % count];
	char body[256];

	(void)snprintf(body, sizeof body, "{\"__type\":\"%s\",\"message\":\"%s records.%u.member\"}",
	               o->code[0] == '-' ? "" : o->code, o->text, row % 9);
	sim_status(s, at, o->least_status >= 300 ? o->least_status + (o->least_status == 300) * 100 : 404,
	           o->code[0] == '-' ? "<html>" : body);
}

/* True: nothing but time passed. */
static bool event(struct sim *s, struct script *script)
{
	unsigned what = next(script), how = next(script);
	size_t at = s->request_count ? how % s->request_count : 0;

	switch (what % 8) {
	case 0:
		if (s->next_id + how % ROWS_AT_ONCE < MOST_ROWS)
			sim_rows(s, how % ROWS_AT_ONCE);
		break;
	case 1:
		sim_advance(s, (int64_t)how * how * NS_PER_MS);
		return true;
	case 2:
		sim_advance(s, s->due_ns == INT64_MAX || s->due_ns <= s->now_ns ? 0 : s->due_ns - s->now_ns);
		return true;
	case 3:
		if (s->request_count)
			sim_answer(s, at, scripted, &how);
		break;
	case 4:
		if (s->request_count)
			answer_row(s, at, how);
		break;
	case 5:
		if (s->request_count)
			sim_transport(s, at, (enum aws_outcome)(1 + how % 4), how & 8 && 1 + how % 4 == AWS_UNKNOWN);
		break;
	case 6:
		if (s->request_count)
			sim_status(s, at, 200,
			           how & 1 ? "{\"Records\":[]}" : "{\"Records\":[{\"SequenceNumber\":\"1\"");
		break;
	default:
		if (how & 1)
			dispatch_kick(s->d, s->now_ns);
		s->set.kspool.dead_after_attempts = how & 2 ? 3 : 0;
		s->set.kspool.expire_after_ns = how & 32 ? 100 * NS_PER_S : 0;
		s->wall_ms += how & 64 ? 3600000 : 0; /* somebody sets the clock */
		s->set.output.max_in_flight = 1 + how % 16;
		dispatch_configure(s->d, &s->set);
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script script = {data, data + size};
	struct dispatch_settings set = sim_defaults();
	unsigned form = next(&script);
	struct sim *s;

	if (size > MOST_BYTES)
		return 0;
	set.wire = form & 1 ? PUTRECORDS_CBOR : PUTRECORDS_JSON;
	set.kspool.max_request_records = form & 2 ? 500 : 7;
	set.policy.count = (uint64_t)set.kspool.max_request_records;
	set.fills = !(form & 4);
	set.output.max_retries = form & 8 ? 2 : 0;
	s = sim_new(&set);
	s->pieces = form & 16 ? 1 + (form >> 5) % 3 : 1;
	s->prepare_ns = form & 128 ? 3 * NS_PER_S : 0;
	while (script.at < script.end) {
		const int64_t due_ns = s->due_ns;
		const uint64_t sent = s->sent_requests;
		const bool only_time = event(s, &script) && s->fetched_count == 0 && s->now_ns < due_ns;

		sim_run(s);
		dispatch_check(s);
		must(!only_time ||
		     s->sent_requests == sent); /* it could have gone before, and nobody asked for that time */
	}
	sim_check(s);
	s->set.output.max_in_flight = 16;
	s->set.kspool.expire_after_ns = 0;
	dispatch_configure(s->d, &s->set);
	must(sim_drain(s, 700 * NS_PER_S));
	must(s->d->memory_bytes == 0 && s->d->tracked.count == 0);
	sim_free(s);
	return 0;
}
