#include "delivery/queues/heavy.h"

#include <string.h>

static void name(struct heavy_key *k, const char *key, size_t bytes)
{
	size_t n = bytes < HEAVY_TEXT ? bytes : HEAVY_TEXT - 1;

	while (n < bytes && n > 0 && ((unsigned char)key[n] & 0xc0) == 0x80)
		n--;
	memcpy(k->text, key, n);
	k->text[n] = '\0';
}

/* What was long ago weighs less. */
static void fade(struct heavy *h)
{
	h->sum /= 2;
	for (size_t i = 0; i < HEAVY_KEYS; i++) {
		h->keys[i].count /= 2;
		h->keys[i].error = (h->keys[i].error + 1) / 2;
	}
}

void heavy_add(struct heavy *h, uint64_t hash, const char *key, size_t bytes)
{
	struct heavy_key *least = &h->keys[0];

	if (++h->sum > HEAVY_FADES)
		fade(h);
	for (size_t i = 0; i < HEAVY_KEYS; i++) {
		struct heavy_key *k = &h->keys[i];

		if (k->count > 0 && k->hash == hash) {
			k->count++;
			return;
		}
		if (k->count < least->count)
			least = k;
	}
	least->hash = hash;
	least->error = least->count;
	least->count++;
	name(least, key, bytes);
}

static uint32_t sure(const struct heavy_key *k) { return k->count > k->error ? k->count - k->error : 0; }

const struct heavy_key *heavy_first(const struct heavy *h, double *ret_share)
{
	const struct heavy_key *most = &h->keys[0];

	for (size_t i = 1; i < HEAVY_KEYS; i++)
		if (sure(&h->keys[i]) > sure(most))
			most = &h->keys[i];
	if (sure(most) == 0 || sure(most) * HEAVY_PART < h->sum)
		return NULL;
	*ret_share = (double)sure(most) / h->sum;
	return most;
}
