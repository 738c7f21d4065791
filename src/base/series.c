#include "base/series.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

enum { TABLE_SIZE = 16384 }; /* a power of two above SERIES_MAX */

struct series {
	enum series_type type;
	char *name;
	char *labels;
	_Atomic uint64_t bits; /* of a double */
};

/* Open addressing; a slot goes from null to a series once. */
static _Atomic(struct series *) table[TABLE_SIZE];
static _Atomic uint32_t used;
static _Atomic uint64_t refused, held_bytes;

static uint32_t hash_text(uint32_t hash, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		hash = (hash ^ *p) * UINT32_C(16777619);
	return (hash ^ 0xff) * UINT32_C(16777619);
}

/* They stay for good, and name what strangers wrote: all of them together may take so much. */
static bool take_room(const char *name, const char *labels)
{
	uint64_t bytes = sizeof(struct series) + strlen(name) + strlen(labels) + 2;

	if (atomic_fetch_add(&held_bytes, bytes) + bytes <= SERIES_MAX_BYTES)
		return true;
	(void)atomic_fetch_sub(&held_bytes, bytes);
	return false;
}

static struct series *make(enum series_type type, const char *name, const char *labels)
{
	struct series *s = mem_zero(sizeof *s);

	s->type = type;
	s->name = mem_string(name);
	s->labels = mem_string(labels);
	return s;
}

struct series *series_find(enum series_type type, const char *name, const char *labels)
{
	uint32_t at = hash_text(hash_text(UINT32_C(2166136261), name), labels);

	for (;; at++) {
		struct series *s = atomic_load(&table[at % TABLE_SIZE]);

		if (!s) {
			struct series *new;

			if (atomic_fetch_add(&used, 1) >= SERIES_MAX || !take_room(name, labels)) {
				atomic_fetch_sub(&used, 1);
				atomic_fetch_add(&refused, 1);
				return NULL;
			}
			new = make(type, name, labels);
			if (atomic_compare_exchange_strong(&table[at % TABLE_SIZE], &s, new))
				return new;
			atomic_fetch_sub(&used, 1);
			free(new->name);
			free(new->labels);
			free(new);
		}
		if (strcmp(s->name, name) == 0 && strcmp(s->labels, labels) == 0)
			return s;
	}
}

static double as_double(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof value);
	return value;
}

static uint64_t as_bits(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof bits);
	return bits;
}

void series_add_label(struct buf *out, const char *name, const char *value)
{
	const char *end = value + strnlen(value, SERIES_LABEL_MAX_BYTES);

	(void)buf_addf(out, "%s%s=\"", out->len ? "," : "", name);
	for (const char *p = value; p < end;) {
		char whole[UTF8_MAX];
		uint32_t rune;

		p += utf8_decode(p, end, &rune, NULL);
		if (rune == '"' || rune == '\\')
			(void)buf_addf(out, "\\%c", (char)rune);
		else if (rune == '\n')
			(void)buf_add_text(out, "\\n");
		else if (utf8_is_shown(rune))
			(void)buf_add(out, whole, utf8_encode(whole, rune));
		else
			(void)buf_addf(out, "\\\\u%04" PRIx32, rune);
	}
	(void)buf_add_char(out, '"');
}

void series_add(struct series *s, double amount)
{
	uint64_t old = atomic_load(&s->bits);

	while (!atomic_compare_exchange_weak(&s->bits, &old, as_bits(as_double(old) + amount)))
		continue;
}

void series_set(struct series *s, double value) { atomic_store(&s->bits, as_bits(value)); }

static int compare_series(const void *a, const void *b)
{
	const struct series *x = *(struct series *const *)a, *y = *(struct series *const *)b;
	int by_name = strcmp(x->name, y->name);

	return by_name ? by_name : strcmp(x->labels, y->labels);
}

void series_print(struct buf *out)
{
	struct series **all = mem_array(SERIES_MAX, sizeof(struct series *));
	const char *previous = "";
	size_t count = 0;

	for (size_t i = 0; i < TABLE_SIZE && count < SERIES_MAX; i++) {
		struct series *s = atomic_load(&table[i]);

		if (s)
			all[count++] = s;
	}
	qsort(all, count, sizeof *all, compare_series);
	for (size_t i = 0; i < count; i++) {
		const struct series *s = all[i];

		if (strcmp(previous, s->name) != 0)
			(void)buf_addf(out, "# TYPE %s %s\n", s->name, s->type == SERIES_GAUGE ? "gauge" : "counter");
		previous = s->name;
		(void)buf_addf(out, "%s%s%s%s %.17g\n", s->name, s->labels[0] ? "{" : "", s->labels,
		               s->labels[0] ? "}" : "", as_double(atomic_load(&s->bits)));
	}
	if (atomic_load(&refused) > 0)
		(void)buf_addf(out, "# TYPE kspool_series_refused counter\nkspool_series_refused %" PRIu64 "\n",
		               atomic_load(&refused));
	free(all);
}
