#include "server/penalty.h"

#include <string.h>

#include "base/clock.h"

static struct penalty_peer *find(struct penalty *p, const unsigned char *key, int64_t now_ns)
{
	struct penalty_peer *oldest = &p->peers[0];

	for (int i = 0; i < PENALTY_PEERS; i++) {
		struct penalty_peer *one = &p->peers[i];

		if (one->heard_ns != 0 && memcmp(one->key, key, sizeof one->key) == 0)
			return one;
		if (one->heard_ns < oldest->heard_ns)
			oldest = one;
	}
	*oldest = (struct penalty_peer){.filled_ns = now_ns, .left = PENALTY_FREE};
	memcpy(oldest->key, key, sizeof oldest->key);
	return oldest;
}

int64_t penalty_note(struct penalty *p, const struct peer *peer, int64_t now_ns)
{
	struct penalty_peer *one = find(p, peer->key, now_ns);
	int64_t step_ns = PENALTY_REFILL_S * NS_PER_S;
	int64_t steps = (now_ns - one->filled_ns) / step_ns;

	one->heard_ns = now_ns > 0 ? now_ns : 1;
	one->filled_ns += steps * step_ns;
	one->left = steps >= PENALTY_FREE - (int64_t)one->left ? PENALTY_FREE : one->left + (uint32_t)steps;
	if (one->left == 0)
		return PENALTY_HOLD_MS * NS_PER_MS;
	one->left--;
	return 0;
}
