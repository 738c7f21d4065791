/*
 * answer: what the service said to a PutRecords request.
 *
 * What it is: a 200 body read to its end, with exactly one outcome for each record sent, each with a sequence number or
 * an error code and never both; and the code and text of an error body. Nulls and unknown members are taken;
 * FailedRecordCount is not relied on. The form is sniffed, not believed: JSON under a CBOR content type happens.
 * Promises: 2 (it begins here: what is short, long, cut off, followed by more or of another shape settles nothing),
 * 6 (memory is bounded by the answer's own size).
 * Owner: the caller's struct, ended by answer_fini. Thread: any.
 * Fails: answer_read with ERR_FORMAT and the reason; complaints never fail, they are empty.
 * Does not: decide what a code means (outcome.h).
 */
#ifndef KSPOOL_KINESIS_ANSWER_H
#define KSPOOL_KINESIS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* One record's entry; its texts are in answer.texts, 0 where there is none. */
struct answer_entry {
	bool stored;
	uint32_t shard_at;
	uint32_t sequence_at;
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

/* Of a stored record; the shard is "" when the service did not name it. */
static inline const char *answer_sequence(const struct answer *a, uint32_t i)
{
	return a->texts.data + a->entries[i].sequence_at;
}

static inline const char *answer_shard(const struct answer *a, uint32_t i)
{
	return a->texts.data + a->entries[i].shard_at;
}

enum { COMPLAINT_POSITIONS = 64 };

/* What an answer that is not 200 says. */
struct complaint {
	char code[96]; /* without namespace ("ns#Code") and address ("Code:http..."); "" when it is not AWS' own form */
	char text[512];                          /* the service's message; cut, printable */
	uint32_t positions[COMPLAINT_POSITIONS]; /* of records that the whole message names */
	uint32_t position_count;
};

/*
 * Takes {"__type","message"} and {"Message"}, JSON or CBOR, the form sniffed; the header x-amzn-ErrorType (already cut)
 * stands in when the body has no code. HTML, XML and empty bodies give an empty code: a proxy spoke, not Kinesis.
 */
void complaint_read(const void *body, size_t bytes, const char *header_code, struct complaint *ret);

/* The same from an entry's ErrorCode and ErrorMessage. */
void complaint_copy(const char *code, const char *text, struct complaint *ret);

/*
 * Positions N in a validation message: "records.N.member.data", "Records.member.N", "records[N]". Returns how many of
 * at most `most` were put into ret.
 */
size_t complaint_positions(const char *text, size_t length, uint32_t *ret, size_t most);
/* Server time of "Signature expired: A is now earlier than B (C - 5 min.)": C as ms since 1970; false when absent. */
bool complaint_server_time(const char *text, int64_t *ret_wall_ms);

#endif
