/* Heads and values of records: sqlite.org/fileformat2.html, section 2.1. */
#include "store/files/page_record.h"

size_t record_varint(const unsigned char *at, const unsigned char *end, uint64_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i < 9 && at + i < end; i++) {
		if (i == 8) {
			*ret = *ret << 8 | at[i];
			return 9;
		}
		*ret = *ret << 7 | (at[i] & 0x7f);
		if (!(at[i] & 0x80))
			return i + 1;
	}
	return 0;
}

static size_t bytes_of_type(uint64_t type)
{
	static const unsigned char sizes[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0};

	return type < 10 ? sizes[type] : type < 12 ? SIZE_MAX : (size_t)((type - 12) / 2);
}

static int64_t number_of(const unsigned char *at, size_t count)
{
	uint64_t v = count > 0 && at[0] & 0x80 ? UINT64_MAX : 0;

	for (size_t i = 0; i < count; i++)
		v = v << 8 | at[i];
	return (int64_t)v;
}

static void fill_value(struct stored_value *v, uint64_t type, const unsigned char *at)
{
	size_t count = bytes_of_type(type);

	*v = (struct stored_value){.bytes = at, .count = count};
	if (type == 0)
		v->type = VALUE_NULL;
	else if (type == 7)
		v->type = VALUE_FLOAT;
	else if (type < 10)
		v->type = VALUE_INT;
	else
		v->type = type % 2 ? VALUE_TEXT : VALUE_BLOB;
	if (v->type == VALUE_INT)
		v->number = type >= 8 ? (int64_t)type - 8 : number_of(at, count);
}

bool record_read(const unsigned char *head, size_t there, uint64_t payload_bytes, const unsigned char *body,
                 struct stored_record *r)
{
	uint64_t head_bytes, type, sum;
	size_t at = record_varint(head, head + there, &head_bytes);
	size_t end = (size_t)head_bytes;

	if (at == 0 || head_bytes > there || head_bytes > payload_bytes)
		return false;
	sum = head_bytes;
	for (r->count = 0; at < end; r->count++) {
		size_t n = record_varint(head + at, head + end, &type);
		size_t bytes = n > 0 ? bytes_of_type(type) : SIZE_MAX;

		if (r->count == RECORD_COLUMNS_MAX || bytes > payload_bytes - sum)
			return false;
		if (body)
			fill_value(&r->values[r->count], type, body + sum);
		sum += bytes;
		at += n;
	}
	return sum == payload_bytes && r->count > 0;
}
