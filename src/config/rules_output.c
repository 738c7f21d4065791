#include "config/rules.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "config/address.h"

#define OUT "output.aws_kinesis."
#define ID OUT "credentials.id"
#define SECRET_FIELD OUT "credentials.secret"

/* Two options that are set together or not at all, or never together. */
enum bond { NEEDS, EXCLUDES };

static const struct {
	const char *path;
	enum bond bond;
	const char *other;
} bonds[] = {
    {ID, NEEDS, SECRET_FIELD},
    {SECRET_FIELD, NEEDS, ID},
    {OUT "credentials.token", NEEDS, ID},
    {OUT "credentials.profile", EXCLUDES, ID},
    {OUT "credentials.role_external_id", NEEDS, OUT "credentials.role"},
    {"http.cert_file", NEEDS, "http.key_file"},
    {"http.key_file", NEEDS, "http.cert_file"},
};

static void check_bonds(const struct rules *r)
{
	for (size_t i = 0; i < sizeof bonds / sizeof *bonds; i++) {
		bool other = rules_is_set(r, bonds[i].other);

		if (!rules_is_set(r, bonds[i].path))
			continue;
		if (bonds[i].bond == NEEDS && !other)
			rules_fault(r, bonds[i].path, "needs %s too", bonds[i].other);
		if (bonds[i].bond == EXCLUDES && other)
			rules_fault(r, bonds[i].path, "cannot stand beside %s: one of them must go", bonds[i].other);
	}
	if (r->config->output.credentials.from_ec2_role && rules_is_set(r, ID))
		rules_fault(r, OUT "credentials.from_ec2_role", "cannot stand beside %s: one of them must go", ID);
}

static bool is_stream_name(const char *name)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

	return length >= 1 && length <= 128 && name[length] == '\0';
}

/* arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME, Service Authorization Reference, "Amazon Kinesis Data Streams". */
static bool is_stream_arn(const char *arn)
{
	AUTOFREE char *copy = mem_string(arn);
	char *rest = copy;
	const char *parts[6] = {0};

	for (size_t i = 0; i < 5; i++)
		parts[i] = strsep(&rest, ":");
	parts[5] = rest;
	return parts[5] && strncmp(parts[1], "aws", 3) == 0 && strcmp(parts[2], "kinesis") == 0 && *parts[3] != '\0' &&
	       strspn(parts[3], "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(parts[3]) &&
	       strlen(parts[4]) == 12 && strspn(parts[4], "0123456789") == 12 && strncmp(parts[5], "stream/", 7) == 0 &&
	       is_stream_name(parts[5] + 7);
}

static void check_stream(const struct rules *r)
{
	const char *stream = r->config->output.stream;

	if (!stream)
		return;
	if (strncmp(stream, "arn:", 4) == 0) {
		if (!is_stream_arn(stream))
			rules_fault(r, OUT "stream", "is no stream ARN: arn:aws:kinesis:REGION:ACCOUNT:stream/NAME");
	} else if (!is_stream_name(stream)) {
		rules_fault(r, OUT "stream", "must be 1 to 128 of a-z A-Z 0-9 _ . - or an ARN");
	}
}

static void check_region(const struct rules *r)
{
	const char *region = r->config->output.region;

	if (region && region[strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-")] != '\0')
		rules_fault(r, OUT "region", "must be a region name such as eu-central-1");
}

/* It is never used for what is on this machine; the word environment promises none. */
static void check_direct(const struct rules *r, const char *with_port)
{
	const char *proxy = r->config->kspool.proxy;

	if (proxy && *proxy && strcmp(proxy, "environment") != 0 && address_is_loopback(with_port))
		rules_warn(r, "kspool.proxy", "is not used for an endpoint on this machine");
}

/*
 * The region in a host of AWS's own: behind the label of the service, as kinesis.REGION.amazonaws.com,
 * ACCOUNT.data-kinesis.REGION.amazonaws.com, kinesis-fips.REGION.api.aws, vpce-ID.kinesis.REGION.vpce.amazonaws.com.
 */
static char *region_of_host(const char *url)
{
	AUTOFREE char *host = mem_string_n(url + 8, strcspn(url + 8, ":/"));
	static const char *const ends[] = {".amazonaws.com", ".amazonaws.com.cn", ".api.aws"};
	char *rest = host, *label;
	bool is_aws = false;

	for (size_t i = 0; !is_aws && i < sizeof ends / sizeof *ends; i++)
		is_aws = strlen(host) > strlen(ends[i]) && strcmp(host + strlen(host) - strlen(ends[i]), ends[i]) == 0;
	if (!is_aws)
		return NULL;
	while ((label = strsep(&rest, ".")))
		if (strstr(label, "kinesis"))
			return rest ? mem_string_n(rest, strcspn(rest, ".")) : NULL;
	return NULL;
}

/* A request is signed for one region, and the host of another refuses it. */
static void check_endpoint_region(const struct rules *r)
{
	const char *url = r->config->output.endpoint, *region = r->config->output.region;
	AUTOFREE char *of_host = url && region && strncmp(url, "https://", 8) == 0 ? region_of_host(url) : NULL;
	AUTOFREE char *sentence = NULL;

	if (!of_host || strcmp(of_host, region) == 0)
		return;
	sentence = mem_format("is of region %s, and requests are signed for %s (region)", of_host, region);
	rules_warn(r, OUT "endpoint", sentence);
}

static void check_endpoint(const struct rules *r)
{
	const char *url = r->config->output.endpoint;
	bool plain = url && strncmp(url, "http://", 7) == 0;
	AUTOFREE char *authority = NULL;
	AUTOFREE char *with_port = NULL;

	if (!url)
		return;
	if (!plain && strncmp(url, "https://", 8) != 0) {
		rules_fault(r, OUT "endpoint", "must begin with https:// (or http:// for a loopback address)");
		return;
	}
	authority = mem_string(url + (plain ? 7 : 8));
	if (*authority && authority[strlen(authority) - 1] == '/')
		authority[strlen(authority) - 1] = '\0';
	with_port = address_is_valid(authority) ? mem_string(authority) : mem_format("%s:443", authority);
	if (*authority == '\0' || *authority == ':' || strpbrk(authority, "/?#@ ") || !address_is_valid(with_port))
		rules_fault(r, OUT "endpoint", "must be a URL of scheme, host and port only, such as https://host:443");
	else if (plain && !address_is_loopback(with_port))
		rules_fault(r, OUT "endpoint",
		            "would send records unencrypted: http:// is for loopback addresses only");
	else
		check_direct(r, with_port);
}

static void check_proxy(const struct rules *r)
{
	const char *proxy = r->config->kspool.proxy;

	if (proxy && *proxy && strcmp(proxy, "environment") != 0 && strncmp(proxy, "http://", 7) != 0 &&
	    strncmp(proxy, "https://", 8) != 0)
		rules_fault(r, "kspool.proxy", "must begin with http:// or https://, or be the word environment");
}

static void check_batching(const struct rules *r)
{
	static const char *const triggers[] = {OUT "batching.count", OUT "batching.byte_size", OUT "batching.period",
	                                       OUT "batching.check"};
	const struct config_node *processors = r->config->output.batching.processors;

	if (!processors || processors->count == 0)
		return;
	for (size_t i = 0; i < sizeof triggers / sizeof *triggers; i++) {
		const struct config_node *node = rules_find(r, triggers[i]);

		if (rules_is_set(r, triggers[i]) && (!node->scalar || strcmp(node->scalar, "0") != 0))
			return;
	}
	rules_fault(r, OUT "batching.processors", "needs a trigger: set count, byte_size, period or check");
}

static void check_ceilings(const struct rules *r)
{
	const struct options_kspool *k = &r->config->kspool;
	uint64_t message = k->max_message_bytes_bytes ? k->max_message_bytes_bytes : k->max_record_bytes_bytes;

	if (k->max_record_bytes_bytes > k->max_request_bytes_bytes)
		rules_fault(r, "kspool.max_record_bytes", "is larger than kspool.max_request_bytes (%" PRIu64 ")",
		            k->max_request_bytes_bytes);
	if (message > k->memory_bytes)
		rules_fault(r, "kspool.memory", "cannot hold one message of %" PRIu64 " bytes", message);
	if (k->page_size != 0 && (k->page_size < 512 || (k->page_size & (k->page_size - 1)) != 0))
		rules_fault(r, "kspool.page_size", "must be 0 or a power of two from 512 to 65536");
}

static void check_waits(const struct rules *r)
{
	const struct options_kspool *k = &r->config->kspool;
	const struct options_backoff *b = &r->config->output.backoff;

	if (k->probe_initial_ns > k->probe_max_ns)
		rules_fault(r, "kspool.probe_initial", "is longer than kspool.probe_max");
	if (k->aggregation != AGGREGATION_OFF && k->expire_after_ns > 0 &&
	    k->aggregation_period_ns >= k->expire_after_ns)
		rules_fault(
		    r, "kspool.aggregation_period",
		    "is not shorter than kspool.expire_after: messages would expire while they wait for company");
	if (b->initial_interval_ns > b->max_interval_ns)
		rules_warn(r, OUT "backoff.initial_interval", "is longer than max_interval, which then is every wait");
}

rule_check *const rules_output[] = {check_bonds, check_stream,   check_region,   check_endpoint, check_endpoint_region,
                                    check_proxy, check_batching, check_ceilings, check_waits,    NULL};
