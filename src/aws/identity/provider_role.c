/* A role assumed with STS: with other keys (AssumeRole), or with a token file (AssumeRoleWithWebIdentity). */
#include "aws/identity/provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/trusted.h"
#include "aws/identity/secret_file.h"
#include "aws/identity/sts.h"

enum { TOKEN_FILE_MAX = 20000 + 1 }; /* STS takes 20,000 characters */

struct asking {
	struct sts_call sts;
	struct buf token;
};

static void on_done(struct sts_call *sts, const struct error *error)
{
	struct provider_call *call = sts->arg;

	if (error) {
		call->error = *error;
		call->done(call, PROVIDER_FAILED);
		return;
	}
	keys_move(&call->keys, &sts->keys);
	call->done(call, PROVIDER_FOUND);
}

/* Read at every refresh: Kubernetes replaces it. A line break at its end is the editor's. */
static enum provider_verdict read_token(struct provider_call *call, struct asking *s)
{
	char *path = secret_file_expand_home(call->role.token_file);
	enum err err = trusted_read(path, &s->token, NULL, &call->error);

	free(path);
	if (err) {
		(void)error_wrap(&call->error, "the web identity token");
		return PROVIDER_FAILED;
	}
	while (s->token.len > 0 && strchr("\r\n \t", s->token.data[s->token.len - 1]))
		s->token.data[--s->token.len] = '\0';
	if (s->token.len == 0)
		return provider_fail(call, "the web identity token file %s is empty", call->role.token_file);
	for (size_t i = 0; i < s->token.len; i++)
		if (s->token.data[i] <= ' ' || s->token.data[i] > '~')
			return provider_fail(call, "the web identity token file %s does not hold a token",
			                     call->role.token_file);
	s->sts.token = s->token.data;
	secret_file_is_secret(&s->token);
	return PROVIDER_PENDING;
}

static enum provider_verdict start(struct provider_call *call)
{
	struct asking *s = mem_zero(sizeof *s);
	const char *name = strrchr(call->role.arn, '/');

	call->state = s;
	buf_init(&s->token, TOKEN_FILE_MAX);
	provider_name_source(call, "role %s", name ? name + 1 : call->role.arn);
	if (call->role.token_file && read_token(call, s) != PROVIDER_PENDING)
		return PROVIDER_FAILED;
	s->sts.context = call->context;
	s->sts.action = call->role.token_file ? STS_ASSUME_ROLE_WITH_WEB_IDENTITY : STS_ASSUME_ROLE;
	s->sts.role = call->role;
	s->sts.signer = call->base;
	s->sts.done = on_done;
	s->sts.arg = call;
	return sts_start(&s->sts, &call->error) ? PROVIDER_FAILED : PROVIDER_PENDING;
}

static void stop(struct provider_call *call)
{
	struct asking *s = call->state;

	sts_stop(&s->sts);
	secret_file_wipe(&s->token);
	free(s);
}

const struct provider provider_role = {.name = "role", .start = start, .stop = stop, .network = true};
