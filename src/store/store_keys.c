/* Small keyed tables: positions of sources, keys of processors. */
#include "store/store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/mem.h"

/* Over key, a zero byte, value: key's own NUL is the zero byte. */
static int32_t position_checksum(const char *key, const char *value)
{
	return (int32_t)crc32c(crc32c(0, key, strlen(key) + 1), value, strlen(value));
}

enum err store_position_put(struct store *s, const char *key, const char *value, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_POSITION_PUT);

	must(s->in_group);
	(void)sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(st, 2, value, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 3, position_checksum(key, value));
	return store_run(s, st, e, "note a position");
}

/* A damaged position counts as none: the source is read again from its start, which duplicates and does not lose. */
enum err store_position_get(struct store *s, const char *key, char **ret, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_POSITION_GET);
	int rc;

	*ret = NULL;
	(void)sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		const char *value = (const char *)sqlite3_column_text(st, 0);

		if (value && position_checksum(key, value) == sqlite3_column_int64(st, 1))
			*ret = mem_string(value);
	}
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "read a position");
}

static void bind_key(sqlite3_stmt *st, const char *cache, const void *key, size_t key_bytes)
{
	(void)sqlite3_bind_text(st, 1, cache, -1, SQLITE_STATIC);
	(void)sqlite3_bind_blob64(st, 2, key_bytes ? key : "", key_bytes, SQLITE_STATIC);
}

static enum err cache_has(struct store *s, const char *cache, const void *key, size_t key_bytes, int64_t now_ms,
                          bool *ret, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_CACHE_GET);
	int rc;

	bind_key(st, cache, key, key_bytes);
	rc = sqlite3_step(st);
	*ret = rc == SQLITE_ROW && sqlite3_column_int64(st, 0) > now_ms;
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "read a cache key");
}

enum err store_cache_has(struct store *s, const char *cache, const void *key, size_t key_bytes, bool *ret,
                         struct error *e)
{
	return cache_has(s, cache, key, key_bytes, clock_wall_ms(), ret, e);
}

static enum err cache_add(struct store *s, const char *cache, const void *key, size_t key_bytes, int64_t now_ms,
                          int64_t expires_ms, bool *ret_was_new, struct error *e)
{
	sqlite3_stmt *st;
	bool known = false;
	enum err err = cache_has(s, cache, key, key_bytes, now_ms, &known, e);

	*ret_was_new = !known;
	if (err != ERR_OK || known)
		return err;
	st = store_statement(s, ST_CACHE_EXPIRE);
	(void)sqlite3_bind_int64(st, 1, now_ms);
	err = store_run(s, st, e, "expire cache keys");
	if (err != ERR_OK)
		return err;
	st = store_statement(s, ST_CACHE_PUT);
	bind_key(st, cache, key, key_bytes);
	(void)sqlite3_bind_int64(st, 3, expires_ms);
	return store_run(s, st, e, "add a cache key");
}

enum err store_cache_add(struct store *s, const char *cache, const void *key, size_t key_bytes, int64_t expires_ms,
                         bool *ret_was_new, struct error *e)
{
	int64_t now_ms = clock_wall_ms();
	bool own_group = !s->in_group;
	enum err err = own_group ? store_begin(s, e) : ERR_OK;

	if (err == ERR_OK)
		err = cache_add(s, cache, key, key_bytes, now_ms, expires_ms, ret_was_new, e);
	if (err == ERR_OK && own_group)
		err = store_commit(s, e);
	return err;
}
