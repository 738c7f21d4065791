#include "kinesis/answer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kinesis/limits.h"
#include "kinesis/cursor.h"

/* Members of an entry, and their places in a mask that finds repeats. */
enum { MEMBER_SEQUENCE = 1, MEMBER_CODE = 2, MEMBER_TEXT = 4, MEMBER_SHARD = 8 };

static const struct {
	const char *name;
	unsigned bit;
} entry_members[] = {
    {"SequenceNumber", MEMBER_SEQUENCE},
    {"ErrorCode", MEMBER_CODE},
    {"ErrorMessage", MEMBER_TEXT},
    {"ShardId", MEMBER_SHARD},
};

static unsigned member_bit(const struct cursor_text *key)
{
	for (size_t i = 0; i < sizeof entry_members / sizeof entry_members[0]; i++)
		if (cursor_text_is(key, entry_members[i].name))
			return entry_members[i].bit;
	return 0;
}

static bool is_sequence_number(const struct cursor_text *text)
{
	if (text->length == 0 || text->length > KINESIS_SEQUENCE_DIGITS)
		return false;
	for (size_t i = 0; i < text->length; i++)
		if (text->data[i] < '0' || text->data[i] > '9')
			return false;
	return true;
}

static uint32_t keep_text(struct buf *texts, const char *data, size_t length)
{
	uint32_t at = (uint32_t)texts->len;

	(void)buf_add(texts, data, length); /* a NUL inside ends it early */
	(void)buf_add_char(texts, '\0');
	return at;
}

/* One member that is known, with a value that is not null; `has` collects what the entry has. */
static bool take_member(struct cursor *r, struct buf *texts, unsigned bit, const struct cursor_text *value,
                        struct answer_entry *entry, unsigned *has)
{
	if (bit == MEMBER_SEQUENCE && !is_sequence_number(value))
		return cursor_wrong(r, "a sequence number that is none");
	if (bit == MEMBER_CODE && value->length == 0)
		return cursor_wrong(r, "an empty error code");
	if (bit == MEMBER_SEQUENCE)
		entry->sequence_at = keep_text(texts, value->data, value->length);
	if (bit == MEMBER_SHARD)
		entry->shard_at = keep_text(texts, value->data, value->length);
	if (bit == MEMBER_CODE)
		entry->code_at = keep_text(texts, value->data, value->length);
	if (bit == MEMBER_TEXT)
		entry->text_at = keep_text(texts, value->data, value->length);
	*has |= bit;
	return true;
}

static bool read_entry(struct cursor *r, struct buf *texts, struct answer_entry *ret)
{
	struct cursor_scope map;
	struct cursor_text key, value;
	unsigned seen = 0, has = 0;

	*ret = (struct answer_entry){0};
	if (!cursor_map(r, &map))
		return false;
	while (cursor_more(r, &map)) {
		unsigned bit;

		if (!cursor_key(r, &key))
			return false;
		bit = member_bit(&key);
		if (bit == 0) {
			if (!cursor_skip(r))
				return false;
			continue;
		}
		if (seen & bit)
			return cursor_wrong(r, "an entry names a member twice");
		seen |= bit;
		if (!cursor_text_value(r, &value) || (value.data && !take_member(r, texts, bit, &value, ret, &has)))
			return false;
	}
	if (r->wrong)
		return false;
	ret->stored = has & MEMBER_SEQUENCE;
	if (ret->stored && has & MEMBER_CODE)
		return cursor_wrong(r, "an entry has a sequence number and an error code");
	return ret->stored || has & MEMBER_CODE ||
	       cursor_wrong(r, "an entry has neither a sequence number nor an error code");
}

static bool read_entries(struct cursor *r, uint32_t sent, struct answer *a)
{
	struct cursor_scope list;

	if (!cursor_list(r, &list))
		return false;
	while (cursor_more(r, &list)) {
		if (a->count == sent)
			return cursor_wrong(r, "more entries than records were sent");
		if (!read_entry(r, &a->texts, &a->entries[a->count]))
			return false;
		a->stored += a->entries[a->count].stored;
		a->count++;
	}
	if (r->wrong)
		return false;
	return a->count == sent || cursor_wrong(r, "fewer entries than records were sent");
}

static bool read_answer(struct cursor *r, uint32_t sent, struct answer *a)
{
	struct cursor_scope map;
	struct cursor_text key;
	bool has_records = false;

	if (!cursor_map(r, &map))
		return false;
	while (cursor_more(r, &map)) {
		if (!cursor_key(r, &key))
			return false;
		if (!cursor_text_is(&key, "Records")) {
			if (!cursor_skip(r))
				return false;
			continue;
		}
		if (has_records)
			return cursor_wrong(r, "Records is there twice");
		has_records = true;
		if (!read_entries(r, sent, a))
			return false;
	}
	if (r->wrong)
		return false;
	return (has_records || cursor_wrong(r, "no Records")) && cursor_at_end(r);
}

enum err answer_read(const void *body, size_t bytes, uint32_t sent, struct answer *ret, struct error *e)
{
	struct cursor r;
	bool understood;

	memset(ret, 0, sizeof *ret);
	if (bytes > KINESIS_ANSWER_BYTES)
		return error_set(e, ERR_FORMAT, "an answer of %zu bytes", bytes);
	buf_init(&ret->texts, 2 * bytes + 2);
	(void)buf_add_char(&ret->texts, '\0'); /* offset 0 is "" */
	ret->entries = mem_array(sent ? sent : 1, sizeof *ret->entries);
	cursor_init(&r, cursor_sniff(body, bytes), body, bytes);
	understood = read_answer(&r, sent, ret);
	cursor_fini(&r);
	if (understood)
		return ERR_OK;
	answer_fini(ret);
	return error_set(e, ERR_FORMAT, "%s", r.wrong ? r.wrong : "not understood");
}

void answer_fini(struct answer *a)
{
	free(a->entries);
	buf_fini(&a->texts);
	memset(a, 0, sizeof *a);
}
