#include "message/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

struct message *message_new(const void *meta, size_t meta_bytes, const void *body, size_t body_bytes,
                            int64_t received_ms)
{
	struct message *m;

	must(meta_bytes <= UINT32_MAX && body_bytes <= UINT32_MAX);
	m = mem_alloc(sizeof *m + meta_bytes + body_bytes + 1);
	memset(m, 0, sizeof *m);
	m->received_ms = received_ms;
	m->accepted_ms = clock_mono_ms();
	m->meta_bytes = (uint32_t)meta_bytes;
	m->body_bytes = (uint32_t)body_bytes;
	if (meta_bytes)
		memcpy(m->bytes, meta, meta_bytes);
	if (body_bytes)
		memcpy(m->bytes + meta_bytes, body, body_bytes);
	m->bytes[meta_bytes + body_bytes] = '\0';
	return m;
}

static void failure_unref(struct message_failure *failure)
{
	if (failure && --failure->references == 0)
		free(failure);
}

void message_fail(struct message *m, const struct message_source *at, const char *reason)
{
	struct message_failure *failure = NULL;

	if (reason) {
		size_t length = strlen(reason);

		failure = mem_alloc(sizeof *failure + length + 1);
		failure->references = 1;
		failure->at = at;
		memcpy(failure->reason, reason, length + 1);
	}
	failure_unref(m->failure);
	m->failure = failure;
}

void message_fail_like(struct message *m, const struct message *from)
{
	struct message_failure *failure = from->failure;

	if (failure) {
		must(failure->references < UINT32_MAX);
		failure->references++;
	}
	failure_unref(m->failure);
	m->failure = failure;
}

void message_set_origin(struct message *m, struct origin *origin)
{
	origin_unref(m->origin);
	m->origin = origin;
}

struct message *message_derive(const struct message *m, const void *meta, size_t meta_bytes, const void *body,
                               size_t body_bytes)
{
	struct message *new = message_new(meta, meta_bytes, body, body_bytes, m->received_ms);

	new->id = m->id;
	new->accepted_ms = m->accepted_ms;
	new->attempts = m->attempts;
	new->origin = m->origin ? origin_ref(m->origin) : NULL;
	message_fail_like(new, m);
	return new;
}

struct message *message_copy(const struct message *m)
{
	return message_derive(m, message_meta(m), m->meta_bytes, message_body(m), m->body_bytes);
}

struct message *message_new_room(size_t body_bytes, int64_t accepted_ms)
{
	struct message *m;

	must(body_bytes <= UINT32_MAX);
	m = mem_alloc(sizeof *m + body_bytes + 1);
	memset(m, 0, sizeof *m);
	m->accepted_ms = accepted_ms;
	m->body_bytes = (uint32_t)body_bytes;
	m->bytes[body_bytes] = '\0';
	return m;
}

void message_free(struct message *m)
{
	if (!m)
		return;
	origin_unref(m->origin);
	failure_unref(m->failure);
	free(m);
}

void message_list_free(struct message_list *list)
{
	struct message *m;

	while ((m = STAILQ_FIRST(list))) {
		STAILQ_REMOVE_HEAD(list, link);
		message_free(m);
	}
}

static uint32_t get_u32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_u32(unsigned char *p, uint32_t v)
{
	p[0] = (unsigned char)v;
	p[1] = (unsigned char)(v >> 8);
	p[2] = (unsigned char)(v >> 16);
	p[3] = (unsigned char)(v >> 24);
}

static bool take_run(const unsigned char *bytes, size_t total, size_t *at, const char **ret, size_t *ret_length)
{
	uint32_t length;

	if (total - *at < 4)
		return false;
	length = get_u32(bytes + *at);
	if (length > total - *at - 4)
		return false;
	*ret = (const char *)bytes + *at + 4;
	*ret_length = length;
	*at += 4 + (size_t)length;
	return true;
}

bool meta_next(const void *meta, size_t meta_bytes, size_t *cursor, struct meta_entry *ret)
{
	const unsigned char *bytes = meta;
	size_t at = *cursor;

	if (at >= meta_bytes)
		return false;
	ret->type = (char)bytes[at++];
	if (ret->type != 's' && ret->type != 'b' && ret->type != 'j')
		return false;
	if (!take_run(bytes, meta_bytes, &at, &ret->key, &ret->key_length) ||
	    !take_run(bytes, meta_bytes, &at, &ret->value, &ret->value_length))
		return false;
	*cursor = at;
	return true;
}

bool meta_find(const void *meta, size_t meta_bytes, const char *key, size_t key_length, struct meta_entry *ret)
{
	size_t cursor = 0;

	while (meta_next(meta, meta_bytes, &cursor, ret))
		if (ret->key_length == key_length && memcmp(ret->key, key, key_length) == 0)
			return true;
	return false;
}

bool meta_is_valid(const void *meta, size_t meta_bytes)
{
	struct meta_entry entry;
	size_t cursor = 0;

	while (meta_next(meta, meta_bytes, &cursor, &entry))
		continue;
	return cursor == meta_bytes;
}

enum err meta_add(struct buf *b, char type, const char *key, size_t key_length, const void *value, size_t value_length)
{
	unsigned char length[4];
	char *room;

	must(key_length <= UINT32_MAX && value_length <= UINT32_MAX);
	if (buf_reserve(b, 9 + key_length + value_length, &room) != ERR_OK)
		return ERR_TOOBIG;
	(void)buf_add_char(b, type);
	put_u32(length, (uint32_t)key_length);
	(void)buf_add(b, length, sizeof length);
	(void)buf_add(b, key, key_length);
	put_u32(length, (uint32_t)value_length);
	(void)buf_add(b, length, sizeof length);
	return buf_add(b, value, value_length);
}
