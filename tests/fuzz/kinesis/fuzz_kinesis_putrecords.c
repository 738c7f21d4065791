/*
 * Bytes become records; the body must have exactly the size that was announced, be well formed from end to end, and
 * give every record's data back.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "kinesis/key.h"
#include "kinesis/putrecords.h"
#include "kinesis/cursor.h"
#include "rig/fuzz.h"

enum { MOST = 40 };

static uint32_t cut_items(const uint8_t *data, size_t size, struct putrecords_item *items)
{
	size_t at = 1;
	uint32_t count = 0;

	while (count < MOST && at + 2 < size) {
		size_t body = data[at] % 64, key = data[at + 1] % 16;
		struct putrecords_item *i = &items[count];

		at += 2;
		if (body + key > size - at)
			break;
		*i = (struct putrecords_item){data + at, body, (const char *)data + at + body, key, NULL, 0};
		at += body + key;
		if (key_check_partition(i->key, key, NULL) != ERR_OK) {
			i->key = "k\"\\\x01\xc3\xa9";
			i->key_bytes = 6;
		}
		if (body % 3 == 0) {
			i->hash_key = "12345";
			i->hash_key_bytes = 5;
		}
		count++;
	}
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct putrecords_item items[MOST];
	size_t at[MOST], bytes;
	struct putrecords p;
	struct cursor r;
	enum putrecords_wire wire;
	uint64_t accounted = 0;
	uint32_t count;

	if (size < 4)
		return 0;
	wire = (enum putrecords_wire)(data[0] % 3);
	count = cut_items(data, size, items);
	if (count == 0)
		return 0;
	bytes = putrecords_frame_bytes(wire, "stream", count);
	for (uint32_t i = 0; i < count; i++)
		bytes += putrecords_item_bytes(wire, &items[i]);
	putrecords_begin(&p, wire, "stream", count, bytes);
	for (uint32_t i = 0; i < count; i++) {
		at[i] = putrecords_add(&p, &items[i]);
		accounted += items[i].data_bytes + items[i].key_bytes;
	}
	putrecords_finish(&p);
	must(p.accounted_bytes == accounted);
	must(p.body.len + (wire == PUTRECORDS_JSON) == bytes);
	cursor_init(&r, wire == PUTRECORDS_JSON ? CURSOR_JSON : CURSOR_CBOR, p.body.data, p.body.len);
	must(cursor_skip(&r) && cursor_at_end(&r));
	cursor_fini(&r);
	for (uint32_t i = 0; i < count; i++) {
		unsigned char back[64 + 2];

		putrecords_data(&p, at[i], items[i].data_bytes, back);
		must(memcmp(back, items[i].data, items[i].data_bytes) == 0);
	}
	putrecords_fini(&p);
	return 0;
}
