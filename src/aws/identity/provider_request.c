#include "aws/identity/provider_request.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

/* The transport hands its request back; ours stands around it. */
static struct provider_request *request_of(struct transport_request *http) { return (struct provider_request *)http; }

static enum provider_verdict judge(struct provider_call *call, const struct provider_request *r,
                                   const struct transport_answer *a)
{
	char *text;
	enum err err;

	if (a->result != TRANSPORT_ANSWERED) {
		call->error = a->error;
		(void)error_wrap(&call->error, "out of reach");
		return PROVIDER_FAILED;
	}
	if (a->status == 401 && r->unauthorized)
		return r->unauthorized(call);
	if (a->status != 200)
		return provider_fail(call, "answered with status %d%s%s", a->status, a->error_type[0] ? " " : "",
		                     a->error_type);
	text = mem_string_n(a->body, a->body_bytes);
	err = r->read(text, a->body_bytes, &call->keys, &call->error);
	free(text);
	return provider_judge(err);
}

static void on_answer(struct transport_request *http, const struct transport_answer *a)
{
	struct provider_request *r = request_of(http);
	struct provider_call *call = http->arg;

	if ((a->result != TRANSPORT_ANSWERED || a->status >= 500 || a->status == 429) && r->tries_left > 0)
		provider_request_send(call, r);
	else
		call->done(call, judge(call, r, a));
}

void provider_request_send(struct provider_call *call, struct provider_request *r)
{
	must(r->tries_left > 0 && r->read);
	r->tries_left--;
	r->http.done = on_answer;
	r->http.arg = call;
	transport_start(call->context->http, &r->http);
}

void provider_request_stop(struct provider_call *call, struct provider_request *r)
{
	transport_abort(call->context->http, &r->http);
}
