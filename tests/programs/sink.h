/*
 * sink: what its two files share. sink_main.c is the server, sink_records.c counts the records of a body and builds the
 * answer. One thread; the state is one global, as befits a program of one purpose.
 */
#ifndef KSPOOL_TESTS_SINK_H
#define KSPOOL_TESTS_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <openssl/ssl.h>

enum {
	NS_PER_MS = 1000000,
	BUCKET_MS = 100,
	BUCKETS = 360000, /* ten hours */
	HEAD_MAX = 16384,
	BODY_MAX = 64 << 20,
	PREFIX_BYTES = 96, /* of a record looked at first for its number */
	EVENTS = 64,
	SHARDS_MOST = 64,
	SHARD_BYTES = 20,
};

/* What a shard does with its records from the moment on that it took `from` of them, until SIGUSR1 ends all faults. */
enum fault { FAULT_NONE, FAULT_THROTTLE, FAULT_FAIL, FAULT_SILENT, FAULT_SLOW };

struct sink_shard {
	char name[SHARD_BYTES + 1];
	enum fault fault;
	uint64_t from;
	double slow_s; /* FAULT_SLOW: records a second */
	double tokens;
	int64_t filled_ns;
	uint64_t records, refused;
};

#define SEQ_LIMIT (UINT64_C(1) << 31)

struct connection {
	int fd;
	SSL *ssl;
	char *in;
	size_t in_len, in_cap;
	size_t head_len, body_len; /* head_len 0: the head is not whole yet */
	bool cbor, wants_continue;
	bool unanswered; /* it has a record of a silent shard */
	char *out;
	size_t out_len, out_off, out_cap;
	int64_t due_ns;
	STAILQ_ENTRY(connection) link;
};

struct sink {
	int epoll, listener, signals;
	SSL_CTX *tls;
	int64_t latency_ns;
	uint32_t throttle_permille;
	uint64_t random;
	bool verify;
	struct sink_shard shards[SHARDS_MOST];
	uint32_t shard_count;
	STAILQ_HEAD(, connection) late;
	uint64_t records, unique, duplicates, unreadable, throttled, requests, bytes_in, bytes_out, payload;
	int64_t first_ns, last_ns;
	uint8_t *seen;
	uint32_t timeline[BUCKETS], buckets;
};

extern struct sink sink;

_Noreturn void die(const char *what);
int64_t now_ns(void);
void *grow(void *memory, size_t *capacity, size_t need);
void add(struct connection *c, const void *bytes, size_t count);
#define ADD(c, text) add(c, text, sizeof(text) - 1)
/* Takes every record of a body, in order, and adds its entry to the answer; returns how many there were. */
uint32_t take_json(struct connection *c, const char *body, const char *end, uint32_t *ret_failed);
/* The same for CBOR; false when the body is not CBOR. */
bool take_cbor_body(struct connection *c, const char *body, size_t bytes, uint32_t *ret_count, uint32_t *ret_failed);

#endif
