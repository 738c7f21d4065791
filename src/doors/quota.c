#include "doors/quota.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

enum { IDENTITIES = 256 };

struct purse {
	unsigned char key[LISTENER_KEY_BYTES];
	int64_t filled_ns; /* 0: an empty place */
	double bytes;
	double messages;
};

struct quota {
	double bytes_rate; /* 0: no limit */
	double messages_rate;
	struct purse purses[IDENTITIES];
};

struct quota *quota_new(uint64_t bytes, uint64_t messages)
{
	struct quota *q;

	if (bytes == 0 && messages == 0)
		return NULL;
	q = mem_zero(sizeof *q);
	q->bytes_rate = (double)bytes;
	q->messages_rate = (double)messages;
	return q;
}

void quota_free(struct quota *q) { free(q); }

static double wait_s(double left, double rate) { return rate > 0 && left < 0 ? -left / rate : 0; }

static double wait_of(const struct quota *q, const struct purse *p)
{
	double bytes_s = wait_s(p->bytes, q->bytes_rate), messages_s = wait_s(p->messages, q->messages_rate);

	return bytes_s > messages_s ? bytes_s : messages_s;
}

static double fill(double left, double rate, double seconds)
{
	left += rate * seconds;
	return left < rate ? left : rate;
}

static struct purse *purse_of(struct quota *q, const unsigned char *key, int64_t now_ns)
{
	struct purse *fullest = &q->purses[0];
	double seconds;

	for (int i = 0; i < IDENTITIES; i++) {
		struct purse *p = &q->purses[i];

		if (p->filled_ns == 0) {
			fullest = p;
			break; /* places fill from the front */
		}
		if (memcmp(p->key, key, sizeof p->key) == 0) {
			seconds = (double)(now_ns - p->filled_ns) / (double)NS_PER_S;
			p->bytes = fill(p->bytes, q->bytes_rate, seconds);
			p->messages = fill(p->messages, q->messages_rate, seconds);
			p->filled_ns = now_ns;
			return p;
		}
		/* one that was quiet for long has filled since: it counts by what it will have had */
		if (wait_of(q, p) - (double)(now_ns - p->filled_ns) / (double)NS_PER_S <
		    wait_of(q, fullest) - (double)(now_ns - fullest->filled_ns) / (double)NS_PER_S)
			fullest = p;
	}
	*fullest =
	    (struct purse){.filled_ns = now_ns > 0 ? now_ns : 1, .bytes = q->bytes_rate, .messages = q->messages_rate};
	memcpy(fullest->key, key, sizeof fullest->key);
	return fullest;
}

int64_t quota_wait_ms(struct quota *q, const unsigned char key[LISTENER_KEY_BYTES], int64_t now_ns)
{
	double seconds = q ? wait_of(q, purse_of(q, key, now_ns)) : 0;

	return seconds > 0 ? (int64_t)(seconds * (double)MS_PER_S) + 1 : 0;
}

void quota_spend(struct quota *q, const unsigned char key[LISTENER_KEY_BYTES], uint64_t bytes, uint64_t messages,
                 int64_t now_ns)
{
	struct purse *p;

	if (!q)
		return;
	p = purse_of(q, key, now_ns);
	p->bytes -= (double)bytes;
	p->messages -= (double)messages;
}
