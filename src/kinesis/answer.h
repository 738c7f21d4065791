/*
 * answer: what the service said to a PutRecords request.
 *
 * Promise 2 begins here: an answer counts only when it was read to its end and gives exactly one outcome for each
 * record sent, each with a sequence number or an error code and never both. Anything else (short, long, cut off,
 * followed by more bytes, another shape) is "not understood" and settles nothing. Nulls and unknown members are taken;
 * FailedRecordCount is not relied on. The form is sniffed, not believed: JSON under a CBOR content type happens.
 * Owner: the caller's struct; answer_fini. Thread: any. Memory: bounded by the answer's own size.
 */
#ifndef KSPOOL_KINESIS_ANSWER_H
#define KSPOOL_KINESIS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* One record's entry. Code and text of a failed one are in answer.texts. */
struct answer_entry {
	bool stored;
	uint32_t code_at;
	uint32_t text_at;
};

struct answer {
	struct answer_entry *entries;
	uint32_t count;
	uint32_t stored;
	struct buf texts; /* NUL-terminated, one behind the other */
};

/* A 200 body. ERR_FORMAT with the reason when it is not understood; *ret is then empty. */
enum err answer_read(const void *body, size_t bytes, uint32_t sent, struct answer *ret, struct error *e) MUST_CHECK;
void answer_fini(struct answer *a);

static inline const char *answer_code(const struct answer *a, uint32_t i)
{
	return a->texts.data + a->entries[i].code_at;
}

static inline const char *answer_text(const struct answer *a, uint32_t i)
{
	return a->texts.data + a->entries[i].text_at;
}

/* What an answer that is not 200 says. */
struct complaint {
	char code[96]; /* without namespace ("ns#Code") and address ("Code:http..."); "" when it is not AWS' own form */
	char text[512]; /* the service's message; cut, printable */
};

/*
 * Takes {"__type","message"} and {"Message"}, JSON or CBOR, the form sniffed; the header x-amzn-ErrorType (already cut)
 * stands in when the body has no code. HTML, XML and empty bodies give an empty code: a proxy spoke, not Kinesis.
 */
void complaint_read(const void *body, size_t bytes, const char *header_code, struct complaint *ret);

/* The same from an entry's ErrorCode and ErrorMessage. */
void complaint_copy(const char *code, const char *text, struct complaint *ret);

/* Positions N of "records.N.member" in a validation message; returns how many of at most `most` were put into ret. */
size_t complaint_positions(const char *text, uint32_t *ret, size_t most);
/* Server time of "Signature expired: A is now earlier than B (C - 5 min.)": C as ms since 1970; false when absent. */
bool complaint_server_time(const char *text, int64_t *ret_wall_ms);

#endif
