#include "aws/identity/keys.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/mem.h"

static void wipe(char **text)
{
	if (*text)
		error_secret_remove(*text);
	if (*text)
		OPENSSL_cleanse(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

void keys_wipe(struct aws_keys *k)
{
	/* no secret: it is shown to operators, and stands in each request */
	if (k->id)
		OPENSSL_cleanse(k->id, strlen(k->id));
	free(k->id);
	k->id = NULL;
	wipe(&k->secret);
	wipe(&k->token);
	k->expires_ms = 0;
}

void keys_set(struct aws_keys *k, const char *id, const char *secret, const char *token, int64_t expires_ms)
{
	struct aws_keys made = {
	    .id = mem_string(id),
	    .secret = mem_string(secret),
	    .token = token && *token ? mem_string(token) : NULL,
	    .expires_ms = expires_ms,
	};

	error_secret_add(made.secret);
	if (made.token)
		error_secret_add(made.token);
	keys_wipe(k);
	*k = made;
}

void keys_move(struct aws_keys *to, struct aws_keys *from)
{
	keys_wipe(to);
	*to = *from;
	memset(from, 0, sizeof *from);
}

static int is_visible(const char *text)
{
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p > '~')
			return 0;
	return 1;
}

enum err keys_check(const char *id, const char *secret, const char *token, struct error *e)
{
	if (!*id)
		return error_set(e, ERR_CREDENTIALS, "the access key id is empty");
	if (!*secret)
		return error_set(e, ERR_CREDENTIALS, "the secret access key is empty");
	if (!is_visible(id) || strlen(id) > 128 || strpbrk(id, "/,"))
		return error_set(e, ERR_CREDENTIALS, "the access key id is not one");
	if (strlen(secret) > KEYS_TEXT_MAX || strpbrk(secret, "\r\n"))
		return error_set(e, ERR_CREDENTIALS, "the secret access key is too long or holds a line break");
	if (token && (!is_visible(token) || strlen(token) > KEYS_TEXT_MAX))
		return error_set(e, ERR_CREDENTIALS,
		                 "the session token is too long or holds a blank, a line break or a byte beyond ASCII");
	return ERR_OK;
}
