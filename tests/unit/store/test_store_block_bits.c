/*
 * A block of each form with one bit that is wrong, cut at each length, or with a number that lies: it is never taken
 * for sound, and no message of it is taken for another; what is wrong costs no more messages than its form says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "message/message.h"
#include "store/blocks/block.h"

enum { TAG = 77, FIRST = 1000, MOST = 200, PART_MESSAGES = 16, PART_HEAD = 18, PARTS_MOST = 40 };

static const struct form {
	const char *name;
	enum block_wish wish;
	uint32_t count, body_bytes;
	int64_t codec;
	uint32_t costs; /* messages, of one wrong bit */
} forms[] = {
    {"as it is", BLOCK_AS_IS, 12, 40, 0, 0}, /* a head that lies takes all behind it */
    {"whole", BLOCK_SMALL, 60, 100, 1, 0},
    {"in parts", BLOCK_QUICK, 200, 700, 2, PART_MESSAGES},
};

static struct message *messages[MOST];

static struct packed_block fill(const struct form *f, struct block_fill *to, struct block_packer *packer)
{
	struct packed_block b;

	for (uint32_t i = 0; i < f->count; i++) {
		char *body = mem_zero(f->body_bytes + 1);
		struct store_row row;

		for (uint32_t at = 0; at < f->body_bytes; at += 20)
			(void)snprintf(body + at, f->body_bytes + 1 - at, "message %u, word %u; ", i, at % 60);
		messages[i] = message_new("", 0, body, f->body_bytes, 1700000000000 + 7 * (int64_t)i);
		free(body);
		row = row_of(FIRST + i, messages[i], TAG);
		assert_true(block_add(to, &row));
	}
	block_pack(packer, to, f->wish, TAG, &b);
	assert_int_equal(b.numbers[3], f->codec);
	return b;
}

/* How many are found, each as it was written. */
static uint32_t found_in(const struct stored_block *b, const struct form *f, const char *how, size_t at)
{
	uint32_t found = 0;

	assert_true(b->framed <= b->count && b->count <= BLOCK_MESSAGES);
	for (uint64_t id = b->id; id < b->id + b->count; id++) {
		const struct store_row *row = block_row(b, id);
		const struct message *m;

		if (!row || !row_is_sound(row, TAG))
			continue;
		if (row->id != id || id < FIRST || id >= FIRST + f->count)
			fail_msg("%s, %s %zu: message %d was not in it", f->name, how, at, (int)id);
		m = messages[id - FIRST];
		if (row->received_ms != m->received_ms || row->meta_bytes != 0 || row->body_bytes != m->body_bytes ||
		    memcmp(row->body, message_body(m), m->body_bytes) != 0)
			fail_msg("%s, %s %zu: message %d is another", f->name, how, at, (int)id);
		found++;
	}
	return found;
}

static void try_bits(const struct form *f, const struct packed_block *p, struct stored_block *b)
{
	unsigned char *body = mem_alloc(p->body_bytes);
	size_t worse = 0;

	memcpy(body, p->body, p->body_bytes);
	for (size_t at = 0; at < p->body_bytes; at++) {
		uint32_t found;

		body[at] ^= (unsigned char)(1 << at % 8);
		block_take(b, p->numbers, p->checksum, body, p->body_bytes);
		assert_false(b->is_sound);
		assert_true(b->id == FIRST && b->count >= 1);
		found = found_in(b, f, "bit of byte", at);
		worse += found + f->costs < f->count;
		assert_true(found < f->count || f->codec != 0); /* what is packed can be packed in two ways */
		body[at] ^= (unsigned char)(1 << at % 8);
	}
	free(body);
	if (f->costs > 0) /* the head of a part can hide all parts behind it */
		assert_in_range(worse, 1, PARTS_MOST * PART_HEAD);
}

static void try_lengths(const struct form *f, const struct packed_block *p, struct stored_block *b)
{
	for (size_t n = 0; n < p->body_bytes; n += 1 + n / 64) {
		unsigned char *body = mem_alloc(n + 1); /* nothing behind it is ours */

		memcpy(body, p->body, n);
		block_take(b, p->numbers, p->checksum, n > 0 ? body : NULL, n);
		assert_false(b->is_sound);
		assert_true(found_in(b, f, "length", n) < f->count);
		free(body);
	}
}

static void try_numbers(const struct form *f, const struct packed_block *p, struct stored_block *b)
{
	static const int64_t lies[] = {-1, 1, 2, 3, -FIRST, 1000, INT32_MAX, INT64_MIN / 2};

	for (int i = 0; i < 6; i++)
		for (size_t k = 0; k < sizeof lies / sizeof *lies; k++) {
			int64_t numbers[6];

			memcpy(numbers, p->numbers, sizeof numbers);
			numbers[i] = (int64_t)((uint64_t)numbers[i] + (uint64_t)lies[k]);
			block_take(b, numbers, p->checksum, p->body, p->body_bytes);
			assert_false(b->is_sound);
			if (i != 0 || numbers[0] > 0)
				(void)found_in(b, f, "number", (size_t)i);
			if (i == 4 || i == 5) /* when they were received says each of them itself */
				assert_int_equal(found_in(b, f, "time", k), f->count);
		}
	block_take(b, p->numbers, p->checksum + 1, p->body, p->body_bytes);
	assert_false(b->is_sound);
}

static void what_is_wrong_is_not_taken_for_another(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct block_fill to = {0};
		struct block_packer packer = {0};
		struct stored_block *b = block_new();
		const struct packed_block p = fill(&forms[i], &to, &packer);

		b->tag = TAG;
		block_take(b, p.numbers, p.checksum, p.body, p.body_bytes);
		assert_true(b->is_sound);
		assert_int_equal(b->count, forms[i].count);
		assert_int_equal(found_in(b, &forms[i], "nothing", 0), forms[i].count);
		try_bits(&forms[i], &p, b);
		try_lengths(&forms[i], &p, b);
		try_numbers(&forms[i], &p, b);
		block_free(b);
		block_packer_fini(&packer);
		buf_fini(&to.frames);
		for (uint32_t k = 0; k < forms[i].count; k++)
			message_free(messages[k]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_wrong_is_not_taken_for_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
