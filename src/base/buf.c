#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum { FIRST_CAPACITY = 256 };

void buf_init(struct buf *b, size_t max)
{
	memset(b, 0, sizeof *b);
	b->max = max;
}

void buf_fini(struct buf *b)
{
	free(b->data);
	memset(b, 0, sizeof *b);
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->overflow = false;
	if (b->data)
		b->data[0] = '\0';
}

char *buf_take(struct buf *b, size_t *ret_len)
{
	char *data = b->data ? b->data : mem_string("");

	if (ret_len)
		*ret_len = b->len;
	b->data = NULL;
	b->len = b->cap = 0;
	b->overflow = false;
	return data;
}

enum err buf_reserve(struct buf *b, size_t more, char **ret_room)
{
	if (more > b->max || b->len > b->max - more) {
		b->overflow = true;
		return ERR_TOOBIG;
	}
	if (b->len + more + 1 > b->cap) {
		size_t want = b->cap ? b->cap : FIRST_CAPACITY;

		while (want < b->len + more + 1)
			want += want / 2 + 64;
		if (want > b->max + 1)
			want = b->max + 1;
		b->data = mem_grow(b->data, want, 1);
		b->cap = want;
		b->data[b->len] = '\0';
	}
	if (ret_room)
		*ret_room = b->data + b->len;
	return ERR_OK;
}

void buf_advance(struct buf *b, size_t written)
{
	must(b->len + written < b->cap || (written == 0 && b->cap == 0));
	b->len += written;
	if (b->data)
		b->data[b->len] = '\0';
}

enum err buf_add(struct buf *b, const void *data, size_t len)
{
	char *room;

	if (buf_reserve(b, len, &room) != ERR_OK)
		return ERR_TOOBIG;
	if (len > 0)
		memcpy(room, data, len);
	buf_advance(b, len);
	return ERR_OK;
}

enum err buf_add_text(struct buf *b, const char *text) { return buf_add(b, text, strlen(text)); }

enum err buf_add_char(struct buf *b, char c) { return buf_add(b, &c, 1); }

enum err buf_addv(struct buf *b, const char *format, va_list ap)
{
	va_list again;
	char *room;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	must(n >= 0);
	if (buf_reserve(b, (size_t)n, &room) != ERR_OK)
		return ERR_TOOBIG;
	(void)vsnprintf(room, (size_t)n + 1, format, ap);
	buf_advance(b, (size_t)n);
	return ERR_OK;
}

enum err buf_addf(struct buf *b, const char *format, ...)
{
	va_list ap;
	enum err err;

	va_start(ap, format);
	err = buf_addv(b, format, ap);
	va_end(ap);
	return err;
}

void buf_consume(struct buf *b, size_t n)
{
	must(n <= b->len);
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
	b->data[b->len] = '\0';
}
