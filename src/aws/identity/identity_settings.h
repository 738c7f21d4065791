/*
 * identity_settings: what configuration, environment and shared files say about places and identity.
 *
 * What it is: copies of the fields, then every place resolved with the name of the source that decided it. Precedence:
 * field, environment, profile; for the region then the ARN of the stream; for the endpoint: field,
 * AWS_ENDPOINT_URL_KINESIS, AWS_ENDPOINT_URL, the services section of the profile, its endpoint_url, and the field
 * alone with AWS_IGNORE_CONFIGURED_ENDPOINT_URLS.
 * Promises: none of its own.
 * Owner: the caller of identity_settings_open; secrets are wiped at close.
 * Thread: one.
 * Fails: ERR_CONFIG for fields that contradict each other, which Redpanda Connect would silently ignore.
 * Does not: ask the network: IMDS is region.h.
 */
#ifndef KSPOOL_AWS_IDENTITY_IDENTITY_SETTINGS_H
#define KSPOOL_AWS_IDENTITY_IDENTITY_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "config/config.h"
#include "aws/signing/endpoint.h"
#include "aws/identity/profiles.h"

struct aws_client_options {
	const struct options_aws_kinesis *output; /* region, endpoint, stream (ARN host rules), credentials, tcp */
	const struct options_kspool *kspool;      /* request_timeout, ca_file, proxy */
	const char *service;                      /* "kinesis" */
	unsigned max_connections;
	const char *spool_name; /* part of role session names; null: the stream's name */
};

/* What aws_client_open refuses about the fields (contradictions, addresses, ARNs), for lint: without loop or network.
 */
enum err aws_options_check(const struct aws_client_options *options, struct error *e) MUST_CHECK;
struct identity_settings {
	char *service;
	char *field_region;
	char *field_endpoint;
	char *stream;
	char *spool_name; /* of session names; null: the stream's */
	char *field_profile;
	char *id;
	char *secret;
	char *token;
	char *role;
	char *role_external_id;
	bool from_ec2_role;

	struct profiles profiles;
	char *profile; /* the one in use */
	char profile_source[32];
	bool profile_named; /* somebody named it: that it does not exist is a failure */
	char region[64];    /* "" when nothing but IMDS is left to ask */
	char region_source[64];
	char *endpoint; /* custom URL; null for the region's own */
	char endpoint_source[64];
	bool fips;
	bool dual_stack;
	unsigned revision; /* goes up with every identity_settings_read */
};

enum err identity_settings_open(const struct aws_client_options *options, struct identity_settings **ret,
                                struct error *e) MUST_CHECK;
/* Reads the environment and the shared files again. */
void identity_settings_read(struct identity_settings *s);
void identity_settings_set_region(struct identity_settings *s, const char *region, const char *source);
/* Accepts null; wipes. */
void identity_settings_close(struct identity_settings *s);
/* The service's own host. ERR_CONFIG also when the region is not known yet. */
enum err identity_endpoint(const struct identity_settings *s, struct endpoint *ret, struct error *e) MUST_CHECK;
/* Another service's host ("sts", "portal.sso"): variable and profile key name where a custom URL may stand. */
enum err identity_endpoint_of(const struct identity_settings *s, const char *service, const char *region,
                              const char *variable, const char *profile_key, struct endpoint *ret,
                              struct error *e) MUST_CHECK;
/* Value of an environment variable that is set and not empty; else null. */
const char *identity_env(const char *name);
/* "true" in any case. */
bool identity_env_true(const char *name);

#endif
