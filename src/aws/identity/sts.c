#include "aws/identity/sts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/dates.h"
#include "base/mem.h"
#include "aws/signing/sigv4.h"
#include "aws/identity/secret_file.h"

enum { TRIES = 2, TIMEOUT_MS = 10000, BODY_MAX = 128 * 1024, FORM_MAX = 64 * 1024, SESSION_NAME_MAX = 64 };

#define FORM_TYPE "application/x-www-form-urlencoded; charset=utf-8"

static const char *const action_names[] = {
    [STS_ASSUME_ROLE] = "AssumeRole",
    [STS_ASSUME_ROLE_WITH_WEB_IDENTITY] = "AssumeRoleWithWebIdentity",
    [STS_GET_CALLER_IDENTITY] = "GetCallerIdentity",
};

void sts_session_name(const struct identity_settings *s, char *out, size_t size)
{
	char host[256] = "";
	const char *spool = s->spool_name ? s->spool_name : s->stream;
	const char *slash = spool ? strrchr(spool, '/') : NULL;

	(void)gethostname(host, sizeof host - 1);
	host[strcspn(host, ".")] = '\0';
	if (slash)
		spool = slash + 1;
	if (size > SESSION_NAME_MAX + 1)
		size = SESSION_NAME_MAX + 1;
	(void)snprintf(out, size, "kspool-%.30s%s%s", host, spool && *spool ? "-" : "", spool ? spool : "");
	for (char *p = out; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("_+=,.@-", *p))
			*p = '-';
}

static void form_add(struct buf *form, const char *name, const char *value)
{
	(void)buf_addf(form, "%s%s=", form->len ? "&" : "", name);
	canonical_encode(form, value, strlen(value), false);
}

static void write_form(struct sts_call *c)
{
	char session[SESSION_NAME_MAX + 1], duration[24];

	buf_clear(&c->form);
	form_add(&c->form, "Action", action_names[c->action]);
	form_add(&c->form, "Version", "2011-06-15");
	if (c->action == STS_GET_CALLER_IDENTITY)
		return;
	form_add(&c->form, "RoleArn", c->role.arn);
	sts_session_name(c->context->settings, session, sizeof session);
	form_add(&c->form, "RoleSessionName", c->role.session_name ? c->role.session_name : session);
	if (c->action == STS_ASSUME_ROLE_WITH_WEB_IDENTITY)
		form_add(&c->form, "WebIdentityToken", c->token);
	if (c->role.duration_s > 0) {
		(void)snprintf(duration, sizeof duration, "%lld", (long long)c->role.duration_s);
		form_add(&c->form, "DurationSeconds", duration);
	}
	if (c->role.external_id && c->action == STS_ASSUME_ROLE)
		form_add(&c->form, "ExternalId", c->role.external_id);
}

static enum err sign(struct sts_call *c, size_t *count, struct error *e)
{
	int64_t now = clock_wall_ms() + c->context->clock_offset_ms;
	unsigned char hash[SIGV4_HASH_BYTES];
	char hex[SIGV4_HEX_BYTES];
	struct sigv4_scope scope = {c->context->settings->region, "sts", c->signer->id, c->signer->secret};
	struct canonical_request request = {
	    .method = "POST", .path = c->place.path, .fields = c->fields, .payload_hash = hex};
	enum err err;

	c->fields[(*count)++] = (struct header_field){"X-Amz-Date", dates_format_amz(now, c->stamp)};
	if (c->signer->token)
		c->fields[(*count)++] = (struct header_field){"X-Amz-Security-Token", c->signer->token};
	request.field_count = *count;
	sigv4_hash(c->context->signer, c->form.data, c->form.len, hash);
	sigv4_hex(hash, hex);
	err = sigv4_sign(c->context->signer, &scope, &request, now, &c->authorization, e);
	if (err == ERR_OK)
		c->fields[(*count)++] = (struct header_field){"Authorization", c->authorization.data};
	return err;
}

static void on_answer(struct transport_request *request, const struct transport_answer *a);

static enum err send(struct sts_call *c, struct error *e)
{
	size_t n = 0;
	enum err err;

	write_form(c);
	c->fields[n++] = (struct header_field){"Host", c->place.host};
	c->fields[n++] = (struct header_field){"Content-Type", FORM_TYPE};
	if (c->form.overflow)
		return error_set(e, ERR_TOOBIG, "the request to STS would be too large");
	if (c->action != STS_ASSUME_ROLE_WITH_WEB_IDENTITY) {
		err = sign(c, &n, e);
		if (err)
			return err;
	}
	c->tries++;
	c->request = (struct transport_request){
	    .method = "POST",
	    .url = c->place.url,
	    .fields = c->fields,
	    .field_count = n,
	    .body = c->form.data,
	    .body_bytes = c->form.len,
	    .timeout_ms = TIMEOUT_MS,
	    .response_max = BODY_MAX,
	    .allow_plain = c->place.plain,
	    .direct = c->place.loopback,
	    .done = on_answer,
	    .arg = c,
	};
	transport_start(c->context->http, &c->request);
	return ERR_OK;
}

static void refused(struct sts_call *c, const struct transport_answer *a)
{
	char code[64], message[256];

	if (credential_reply_sts_error(a->body, a->body_bytes, code, sizeof code, message, sizeof message))
		(void)error_set(&c->error, ERR_CREDENTIALS, "STS %s refused: %s: %s", action_names[c->action], code,
		                message);
	else
		(void)error_set(&c->error, ERR_NETWORK, "STS %s answered with status %d", action_names[c->action],
		                a->status);
}

/* True when the refusal came with a Date that moved our clock: worth one more try, signed with the right time. */
static bool learned_clock(struct sts_call *c, const struct transport_answer *a)
{
	int64_t before = c->context->clock_offset_ms;

	if (a->date_ms < 0 || !a->request_id[0])
		return false;
	identity_context_learn_clock(c->context, a->date_ms);
	if (c->clock_retried || a->status == 200 || c->context->clock_offset_ms == before)
		return false;
	c->clock_retried = true;
	return true;
}

static void accepted(struct sts_call *c, const struct transport_answer *a)
{
	char *text = mem_string_n(a->body, a->body_bytes);
	enum err err;

	if (c->action == STS_GET_CALLER_IDENTITY)
		err = credential_reply_sts_identity(text, a->body_bytes, &c->identity, &c->error);
	else
		err = credential_reply_sts_keys(text, a->body_bytes, &c->keys, &c->error);
	free(text);
	if (err)
		(void)error_wrap(&c->error, "STS %s", action_names[c->action]);
	c->done(c, err ? &c->error : NULL);
}

static void on_answer(struct transport_request *request, const struct transport_answer *a)
{
	struct sts_call *c = request->arg;
	bool again = learned_clock(c, a);

	if (a->result == TRANSPORT_ANSWERED && a->status == 200) {
		accepted(c, a);
		return;
	}
	if (a->result == TRANSPORT_ANSWERED)
		refused(c, a);
	else
		(void)error_set(&c->error, a->error.code, "STS at %s is out of reach: %s", c->place.host,
		                a->error.text);
	again =
	    again || ((a->result != TRANSPORT_ANSWERED || a->status >= 500 || a->status == 429) && c->tries < TRIES);
	if (!again || send(c, &c->error))
		c->done(c, &c->error);
}

enum err sts_start(struct sts_call *c, struct error *e)
{
	const struct identity_settings *s = c->context->settings;
	enum err err;

	c->tries = 0;
	c->clock_retried = false;
	buf_init(&c->form, FORM_MAX);
	buf_init(&c->authorization, 2048);
	/* wiping needs the memory to stay where it is while it grows */
	must(buf_reserve(&c->form, FORM_MAX, NULL) == ERR_OK);
	err = identity_endpoint_of(s, "sts", s->region, "AWS_ENDPOINT_URL_STS", "sts", &c->place, e);
	return err ? err : send(c, e);
}

void sts_stop(struct sts_call *c)
{
	if (c->context)
		transport_abort(c->context->http, &c->request);
	secret_file_wipe(&c->form);
	buf_fini(&c->authorization);
	keys_wipe(&c->keys);
}
