/*
 * endpoint: from region, stream and switches to a host.
 *
 * What it is: the rules of endpoints.def as functions.
 * Promises: a host is built from checked parts only: an endpoint comes from the configuration, never from a record.
 * Plain http only for loopback.
 * Owner: plain data; texts are copied.
 * Thread: any; no state.
 * Fails: ERR_CONFIG and a sentence that says which part is wrong.
 * Does not: look names up or connect.
 */
#ifndef KSPOOL_AWS_SIGNING_ENDPOINT_H
#define KSPOOL_AWS_SIGNING_ENDPOINT_H

#include <stdbool.h>

#include "base/error.h"

struct endpoint_wish {
	const char *service; /* "kinesis", "sts", "portal.sso" */
	const char *region;
	const char *stream; /* name or ARN; null for other services */
	const char *custom; /* URL; null or "" for the region's own */
	bool fips;
	bool dual_stack;
};

struct endpoint {
	char url[300];
	char host[256]; /* as the Host field: with the port when it is not the scheme's */
	char path[128]; /* "/" unless the custom URL has one */
	char why[64];   /* "region's host", "account host of the ARN", "custom" */
	bool plain;     /* http, which means loopback */
	bool loopback;
};

struct stream_arn {
	char partition[32];
	char region[64];
	char account[16];
	char name[129];
};

enum err endpoint_resolve(const struct endpoint_wish *wish, struct endpoint *ret, struct error *e) MUST_CHECK;
/* False when text is not "arn:{partition}:kinesis:{region}:{account}:stream/{name}" with every part non-empty. */
bool endpoint_parse_arn(const char *text, struct stream_arn *ret);
/* The partition's name for a region. */
const char *endpoint_partition(const char *region);
bool endpoint_region_valid(const char *region);
/* A custom URL: https, or http to a loopback host; no user, query or fragment. */
enum err endpoint_parse_url(const char *url, struct endpoint *ret, struct error *e) MUST_CHECK;
/* "localhost", 127.0.0.0/8 or ::1, without port; brackets around IPv6 are taken. */
bool endpoint_is_loopback(const char *host);

#endif
