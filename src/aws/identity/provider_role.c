/* A role assumed with STS: with other keys (AssumeRole), or with a token file (AssumeRoleWithWebIdentity). */
#include "aws/identity/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "aws/identity/secret_file.h"
#include "aws/identity/sts.h"

enum { TOKEN_FILE_MAX = 20000 + 1 }; /* STS takes 20,000 characters */

struct asking {
	struct sts_call call;
	struct buf token;
};

static void on_done(struct sts_call *call, const char *reason)
{
	struct fetch *f = call->arg;

	if (reason) {
		f->done(f, fetch_fail(f, "%s", reason));
		return;
	}
	keys_move(&f->keys, &call->keys);
	f->done(f, FETCH_FOUND);
}

/* Read at every refresh: Kubernetes replaces it. A line break at its end is the editor's. */
static enum fetch_verdict read_token(struct fetch *f, struct asking *s)
{
	struct error e;
	char *path = file_expand_home(f->role.token_file);
	enum err err = file_read_secret(path, &s->token, NULL, &e);

	free(path);
	if (err)
		return fetch_fail(f, "the web identity token: %.200s", e.text);
	while (s->token.len > 0 && strchr("\r\n \t", s->token.data[s->token.len - 1]))
		s->token.data[--s->token.len] = '\0';
	if (s->token.len == 0)
		return fetch_fail(f, "the web identity token file %.200s is empty", f->role.token_file);
	for (size_t i = 0; i < s->token.len; i++)
		if (s->token.data[i] <= ' ' || s->token.data[i] > '~')
			return fetch_fail(f, "the web identity token file %.200s does not hold a token",
			                  f->role.token_file);
	s->call.token = s->token.data;
	return FETCH_PENDING;
}

static enum fetch_verdict start(struct fetch *f)
{
	struct asking *s = mem_zero(sizeof *s);
	const char *name = strrchr(f->role.arn, '/');

	f->state = s;
	buf_init(&s->token, TOKEN_FILE_MAX);
	(void)snprintf(f->source, sizeof f->source, "role %.50s", name ? name + 1 : f->role.arn);
	if (f->role.token_file && read_token(f, s) != FETCH_PENDING)
		return FETCH_FAILED;
	s->call.world = f->world;
	s->call.action = f->role.token_file ? STS_ASSUME_ROLE_WITH_WEB_IDENTITY : STS_ASSUME_ROLE;
	s->call.role = f->role;
	s->call.signer = f->base;
	s->call.done = on_done;
	s->call.arg = f;
	return sts_start(&s->call) ? FETCH_PENDING : fetch_fail(f, "%s", s->call.reason);
}

static void stop(struct fetch *f)
{
	struct asking *s = f->state;

	sts_stop(&s->call);
	file_wipe(&s->token);
	free(s);
}

const struct provider provider_role = {.name = "role", .start = start, .stop = stop, .network = true};
