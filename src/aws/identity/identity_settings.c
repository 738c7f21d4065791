/*
 * Invariants:
 *  1. The fields never change after identity_settings_open; what the environment and the files say is read anew at
 *     each identity_settings_read.
 *  2. There is always a profile, and its source is named.
 *  3. A region is either empty or has its source named. One that IMDS told stays until something nearer names
 *     another.
 *  4. The revision goes up with every reading, so that who resolved a place knows that it is old.
 */
#include "aws/identity/identity_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "aws/transport/transport.h"
#include "base/mem.h"

const char *identity_env(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

bool identity_env_true(const char *name)
{
	const char *value = getenv(name);

	return value && strcasecmp(value, "true") == 0;
}

static char *copy(const char *s) { return s && *s ? mem_string(s) : NULL; }

static char *copy_secret(const char *s)
{
	if (s && *s)
		error_secret_add(s);
	return copy(s);
}

static void wipe(char *secret)
{
	if (secret)
		error_secret_remove(secret);
	if (secret)
		OPENSSL_cleanse(secret, strlen(secret));
	free(secret);
}

static bool role_arn_valid(const char *arn)
{
	return strncmp(arn, "arn:", 4) == 0 && strstr(arn, ":iam::") && strstr(arn, ":role/") && strlen(arn) <= 2048;
}

/* Redpanda Connect silently ignores one of two such fields; here they are errors. */
static enum err check_credentials(const struct identity_settings *s, struct error *e)
{
	if (s->id && !s->secret)
		return error_set(e, ERR_CONFIG, "credentials.id is set but credentials.secret is not");
	if (!s->id && (s->secret || s->token))
		return error_set(e, ERR_CONFIG, "credentials.%s is set but credentials.id is not",
		                 s->secret ? "secret" : "token");
	if (s->id && s->field_profile)
		return error_set(e, ERR_CONFIG, "credentials.id and credentials.profile contradict each other");
	if (s->from_ec2_role && (s->id || s->field_profile))
		return error_set(e, ERR_CONFIG, "credentials.from_ec2_role and credentials.%s contradict each other",
		                 s->id ? "id" : "profile");
	if (s->role_external_id && !s->role)
		return error_set(e, ERR_CONFIG, "credentials.role_external_id is set but credentials.role is not");
	if (s->role && !role_arn_valid(s->role))
		return error_set(e, ERR_CONFIG, "credentials.role \"%s\" is not the ARN of a role", s->role);
	return ERR_OK;
}

static enum err check_places(const struct identity_settings *s, struct error *e)
{
	struct stream_arn arn;
	struct endpoint place;

	if (s->field_region && !endpoint_region_valid(s->field_region))
		return error_set(e, ERR_CONFIG, "region \"%s\" is not valid", s->field_region);
	if (s->stream && strncmp(s->stream, "arn:", 4) == 0 && !endpoint_parse_arn(s->stream, &arn))
		return error_set(e, ERR_CONFIG,
		                 "stream %s: not arn:{partition}:kinesis:{region}:{account}:stream/{name}", s->stream);
	if (s->field_endpoint)
		return endpoint_parse_url(s->field_endpoint, &place, e);
	return ERR_OK;
}

enum err identity_settings_open(const struct aws_client_options *options, struct identity_settings **ret,
                                struct error *e)
{
	const struct options_aws_kinesis *o = options->output;
	const struct options_credentials *c = &o->credentials;
	struct identity_settings *s = mem_zero(sizeof *s);
	enum err err;

	*ret = NULL;
	s->service = mem_string(options->service);
	s->field_region = copy(o->region);
	s->field_endpoint = copy(o->endpoint);
	s->stream = copy(o->stream);
	s->spool_name = copy(options->spool_name);
	s->field_profile = copy(c->profile);
	s->id = copy(c->id);
	s->secret = copy_secret(c->secret);
	s->token = copy_secret(c->token);
	s->role = copy(c->role);
	s->role_external_id = copy_secret(c->role_external_id);
	s->from_ec2_role = c->from_ec2_role;
	err = check_credentials(s, e);
	if (err == ERR_OK)
		err = check_places(s, e);
	if (err) {
		identity_settings_close(s);
		return err;
	}
	identity_settings_read(s);
	*ret = s;
	return ERR_OK;
}

/* A custom endpoint too is signed for a region: one that is not the stream's is a mistake in one of the two. */
static enum err check_region(const struct identity_settings *s, struct error *e)
{
	struct stream_arn arn;

	if (!s->stream || !endpoint_parse_arn(s->stream, &arn) || strcmp(arn.region, s->region) == 0)
		return ERR_OK;
	return error_set(e, ERR_CONFIG, "stream %s is in region %s, and region is %s (from %s): make them the same",
	                 s->stream, arn.region, s->region, s->region_source);
}

enum err aws_options_check(const struct aws_client_options *options, struct error *e)
{
	struct identity_settings *s;
	struct endpoint place;
	enum err err = identity_settings_open(options, &s, e);

	if (err == ERR_OK && s->region[0])
		err = check_region(s, e);
	if (err == ERR_OK && s->region[0])
		err = identity_endpoint(s, &place, e);
	if (err == ERR_OK && options->kspool->proxy && strcmp(options->kspool->proxy, "environment") != 0)
		err = transport_proxy_check(options->kspool->proxy, e);
	identity_settings_close(s);
	return err;
}

static void forget(struct identity_settings *s)
{
	profiles_fini(&s->profiles);
	free(s->profile);
	free(s->endpoint);
	s->profile = s->endpoint = NULL;
}

void identity_settings_close(struct identity_settings *s)
{
	if (!s)
		return;
	forget(s);
	free(s->service);
	free(s->field_region);
	free(s->field_endpoint);
	free(s->stream);
	free(s->spool_name);
	free(s->field_profile);
	free(s->id);
	wipe(s->secret);
	wipe(s->token);
	free(s->role);
	wipe(s->role_external_id);
	free(s);
}

static void read_profile_name(struct identity_settings *s)
{
	static const char *const variables[] = {"AWS_PROFILE", "AWS_DEFAULT_PROFILE"};

	s->profile_named = true;
	if (s->field_profile) {
		s->profile = mem_string(s->field_profile);
		(void)snprintf(s->profile_source, sizeof s->profile_source, "field");
		return;
	}
	for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
		if (identity_env(variables[i])) {
			s->profile = mem_string(identity_env(variables[i]));
			(void)snprintf(s->profile_source, sizeof s->profile_source, "%s", variables[i]);
			return;
		}
	s->profile_named = false;
	s->profile = mem_string("default");
	(void)snprintf(s->profile_source, sizeof s->profile_source, "default");
}

void identity_settings_set_region(struct identity_settings *s, const char *region, const char *source)
{
	(void)snprintf(s->region, sizeof s->region, "%s", region);
	(void)snprintf(s->region_source, sizeof s->region_source, "%s", source);
}

static void read_region(struct identity_settings *s)
{
	struct stream_arn arn;
	const char *value = profiles_get(&s->profiles, s->profile, "region");
	char source[64];

	if (s->field_region) {
		identity_settings_set_region(s, s->field_region, "field");
	} else if (identity_env("AWS_REGION")) {
		identity_settings_set_region(s, identity_env("AWS_REGION"), "AWS_REGION");
	} else if (identity_env("AWS_DEFAULT_REGION")) {
		identity_settings_set_region(s, identity_env("AWS_DEFAULT_REGION"), "AWS_DEFAULT_REGION");
	} else if (value) {
		(void)snprintf(source, sizeof source, "profile %s", s->profile);
		identity_settings_set_region(s, value, source);
	} else if (s->stream && endpoint_parse_arn(s->stream, &arn)) {
		identity_settings_set_region(s, arn.region, "stream ARN");
	} else if (strcmp(s->region_source, "IMDS") != 0) {
		identity_settings_set_region(s, "", "");
	}
}

/* "kinesis" -> AWS_ENDPOINT_URL_KINESIS. */
static void variable_of(const char *service, char *out, size_t size)
{
	(void)snprintf(out, size, "AWS_ENDPOINT_URL_%s", service);
	for (char *p = out; *p; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 'a' + 'A');
}

/* Where a custom URL for a service stands beside the fields; null when nowhere. */
static const char *configured_url(const struct identity_settings *s, const char *variable, const char *profile_key,
                                  char *source, size_t size)
{
	const char *ignore = profiles_get(&s->profiles, s->profile, "ignore_configured_endpoint_urls");
	const char *url;

	if (identity_env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
	        ? identity_env_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
	        : ignore && strcasecmp(ignore, "true") == 0)
		return NULL;
	if (identity_env(variable)) {
		(void)snprintf(source, size, "%s", variable);
		return identity_env(variable);
	}
	if (identity_env("AWS_ENDPOINT_URL")) {
		(void)snprintf(source, size, "AWS_ENDPOINT_URL");
		return identity_env("AWS_ENDPOINT_URL");
	}
	url = profiles_endpoint(&s->profiles, s->profile, profile_key);
	if (url)
		(void)snprintf(source, size, "profile %s", s->profile);
	return url;
}

static void read_endpoint(struct identity_settings *s)
{
	char variable[64];
	const char *url;

	variable_of(s->service, variable, sizeof variable);
	if (s->field_endpoint) {
		s->endpoint = mem_string(s->field_endpoint);
		(void)snprintf(s->endpoint_source, sizeof s->endpoint_source, "field");
		return;
	}
	url = configured_url(s, variable, s->service, s->endpoint_source, sizeof s->endpoint_source);
	if (url)
		s->endpoint = mem_string(url);
	else
		(void)snprintf(s->endpoint_source, sizeof s->endpoint_source, "rules");
}

static bool is_on(const struct identity_settings *s, const char *variable, const char *key)
{
	const char *value = identity_env(variable);

	if (!value)
		value = profiles_get(&s->profiles, s->profile, key);
	return value && strcasecmp(value, "true") == 0;
}

void identity_settings_read(struct identity_settings *s)
{
	forget(s);
	s->revision++;
	profiles_load(&s->profiles);
	read_profile_name(s);
	read_region(s);
	read_endpoint(s);
	s->fips = is_on(s, "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint");
	s->dual_stack = is_on(s, "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint");
}

enum err identity_endpoint(const struct identity_settings *s, struct endpoint *ret, struct error *e)
{
	struct endpoint_wish wish = {
	    .service = s->service,
	    .region = s->region,
	    .stream = s->stream,
	    .custom = s->endpoint,
	    .fips = s->fips && !s->endpoint,
	    .dual_stack = s->dual_stack && !s->endpoint,
	};

	if (!s->region[0])
		return error_set(e, ERR_CONFIG,
		                 "no region: set output.aws_kinesis.region, AWS_REGION or the profile's");
	return endpoint_resolve(&wish, ret, e);
}

enum err identity_endpoint_of(const struct identity_settings *s, const char *service, const char *region,
                              const char *variable, const char *profile_key, struct endpoint *ret, struct error *e)
{
	char source[64];
	const char *custom = configured_url(s, variable, profile_key, source, sizeof source);
	struct endpoint_wish wish = {
	    .service = service,
	    .region = region,
	    .custom = custom,
	    .fips = s->fips && !custom,
	    .dual_stack = s->dual_stack && !custom,
	};
	enum err err;

	if (!region[0])
		return error_set(e, ERR_CONFIG, "no region is known for %s", service);
	err = endpoint_resolve(&wish, ret, e);
	if (err == ERR_OK && custom)
		(void)snprintf(ret->why, sizeof ret->why, "%s", source);
	return err;
}
