/*
 * Any bytes as an answer to two records. Oracle: what is understood counts right and stands up to a second, much
 * simpler reader; no proper prefix of an understood answer without trailing white space is understood as well.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "kinesis/answer.h"
#include "kinesis/cursor.h"
#include "rig/fuzz.h"

enum { SENT = 2 };

/* Counts "name": in JSON text the dumb way; an upper bound for how often the member can be there. */
static size_t count_text(const uint8_t *data, size_t size, const char *word)
{
	size_t length = strlen(word), n = 0;

	for (size_t i = 0; i + length <= size; i++)
		n += memcmp(data + i, word, length) == 0;
	return n;
}

static bool is_plain(const uint8_t *data, size_t size)
{
	return !memchr(data, '\\', size) && cursor_sniff(data, size) == CURSOR_JSON;
}

static void check_understood(const uint8_t *data, size_t size, const struct answer *a)
{
	uint32_t stored = 0;

	must(a->count == SENT);
	for (uint32_t i = 0; i < a->count; i++) {
		stored += a->entries[i].stored;
		must(a->entries[i].stored || answer_code(a, i)[0] || memchr(data, 0, size) || memchr(data, '\\', size));
	}
	must(stored == a->stored);
	if (is_plain(data, size)) {
		must(count_text(data, size, "\"SequenceNumber\"") >= a->stored);
		must(count_text(data, size, "\"ErrorCode\"") >= SENT - a->stored);
		must(count_text(data, size, "\"Records\"") >= 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct complaint c;
	struct answer a;
	struct error e;
	uint32_t at[4];
	int64_t ms;

	complaint_read(data, size, "", &c);
	must(strlen(c.code) < sizeof c.code && strlen(c.text) < sizeof c.text);
	(void)complaint_positions(c.text, strlen(c.text), at, 4);
	(void)complaint_server_time(c.text, &ms);
	if (answer_read(data, size, SENT, &a, &e) != ERR_OK)
		return 0;
	check_understood(data, size, &a);
	answer_fini(&a);
	while (size > 0 && strchr(" \t\r\n", data[size - 1]) && data[size - 1])
		size--;
	for (size_t cut = size > 300 ? size - 300 : 0; cut < size; cut++) {
		uint8_t *part = malloc(cut ? cut : 1);

		must(part);
		memcpy(part, data, cut);
		must(answer_read(part, cut, SENT, &a, &e) != ERR_OK);
		free(part);
	}
	return 0;
}
