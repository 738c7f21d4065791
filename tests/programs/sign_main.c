/*
 * sign: signs requests with kspool's signer, for comparing with another signer.
 *
 * Reads requests from standard input, prints for each its Authorization value (or "error: ..."). A request is lines of
 * "name value", ended by an empty line: scope REGION SERVICE, key ID SECRET, time YYYYMMDDTHHMMSSZ, method M, path P,
 * query Q, keep (no path normalisation), payload HEX-OF-SHA256, field NAME VALUE-IN-HEX (repeated).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dates.h"
#include "aws/signing/sigv4.h"

struct request {
	char region[64], service[64], id[128], secret[256], time[32], method[16];
	char *path, *query, payload[80];
	bool keep;
	struct header_field fields[CANONICAL_FIELDS_MAX];
	size_t count;
};

static char *unhex(const char *hex)
{
	size_t n = strlen(hex) / 2;
	char *out = calloc(1, n + 1);

	for (size_t i = 0; out && i < n; i++) {
		unsigned byte = 0;

		if (sscanf(hex + 2 * i, "%2x", &byte) == 1)
			out[i] = (char)byte;
	}
	return out;
}

static void take_line(struct request *r, char *line)
{
	char *value = strchr(line, ' ');
	char name[256], hex[8192] = "";

	if (value)
		*value++ = '\0';
	if (!value)
		r->keep = strcmp(line, "keep") == 0;
	else if (strcmp(line, "scope") == 0)
		(void)sscanf(value, "%63s %63s", r->region, r->service);
	else if (strcmp(line, "key") == 0)
		(void)sscanf(value, "%127s %255s", r->id, r->secret);
	else if (strcmp(line, "time") == 0)
		(void)sscanf(value, "%31s", r->time);
	else if (strcmp(line, "method") == 0)
		(void)sscanf(value, "%15s", r->method);
	else if (strcmp(line, "path") == 0)
		r->path = unhex(value);
	else if (strcmp(line, "query") == 0)
		r->query = unhex(value);
	else if (strcmp(line, "payload") == 0)
		(void)sscanf(value, "%79s", r->payload);
	else if (strcmp(line, "field") == 0 && sscanf(value, "%255s %8191s", name, hex) >= 1)
		r->fields[r->count++] = (struct header_field){strdup(name), unhex(hex)};
}

static void answer(struct sigv4 *s, struct request *r)
{
	struct sigv4_scope scope = {r->region, r->service, r->id, r->secret};
	struct canonical_request c = {.method = r->method,
	                              .path = r->path,
	                              .query = r->query,
	                              .fields = r->fields,
	                              .field_count = r->count,
	                              .payload_hash = r->payload,
	                              .keep_path = r->keep};
	struct error e = {.text = "the time is not one"};
	struct buf out;
	int64_t ms;

	buf_init(&out, 16384);
	if (dates_parse_amz(r->time, &ms) && sigv4_sign(s, &scope, &c, ms, &out, &e) == ERR_OK)
		(void)printf("%s\n", out.data);
	else
		(void)printf("error: %s\n", e.text);
	buf_fini(&out);
	free(r->path);
	free(r->query);
	for (size_t i = 0; i < r->count; i++) {
		free((char *)(uintptr_t)r->fields[i].name);
		free((char *)(uintptr_t)r->fields[i].value);
	}
	memset(r, 0, sizeof *r);
}

int main(void)
{
	static char line[65536];
	struct request r = {0};
	struct sigv4 *s;

	if (sigv4_open(&s, NULL))
		return 1;
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0])
			take_line(&r, line);
		else
			answer(s, &r);
	}
	sigv4_close(s);
	return 0;
}
