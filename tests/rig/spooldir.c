#include "rig/spooldir.h"
#include "store/store_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

void spooldir_make(struct spooldir *d)
{
	const char *tmp = getenv("TMPDIR");

	if (!tmp)
		tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	(void)snprintf(d->dir, sizeof d->dir, "%s/kspool-test-XXXXXX", tmp);
	must(mkdtemp(d->dir) != NULL);
	(void)snprintf(d->path, sizeof d->path, "%s/spool.db", d->dir);
}

/* Files of that folder, and the folder, that this process has open. */
static int open_in(const struct spooldir *d)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int count = 0;

	while (dir && (entry = readdir(dir))) {
		char path[sizeof d->path];
		const ssize_t n = readlinkat(dirfd(dir), entry->d_name, path, sizeof path - 1);

		path[n > 0 ? n : 0] = '\0';
		if (strncmp(path, d->dir, strlen(d->dir)) == 0) {
			count++;
			(void)fprintf(stderr, "descriptor %s is open still: %s\n", entry->d_name, path);
		}
	}
	if (dir)
		(void)closedir(dir);
	return count;
}

void spooldir_remove(struct spooldir *d)
{
	spooldir_remove_open(d);
	assert_int_equal(open_in(d), 0);
}

void spooldir_remove_open(struct spooldir *d)
{
	DIR *dir = opendir(d->dir);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		(void)closedir(dir);
	(void)rmdir(d->dir);
}

struct store_options spooldir_options(const struct spooldir *d)
{
	return (struct store_options){.path = d->path, .create = true};
}

const char *spooldir_file(const struct spooldir *d, const char *suffix)
{
	static char path[400];

	(void)snprintf(path, sizeof path, "%s%s", d->path, suffix);
	return path;
}

static void fill(unsigned char *body, uint64_t n, uint32_t bytes)
{
	uint64_t x = n * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (uint32_t i = 0; i < bytes; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		body[i] = (unsigned char)x;
	}
}

struct message *spooldir_message(uint64_t n, uint32_t bytes)
{
	unsigned char *body = mem_alloc(bytes + 1u);
	struct buf meta;
	struct message *m;
	char value[32];

	buf_init(&meta, 4096);
	(void)snprintf(value, sizeof value, "%llu", (unsigned long long)n);
	must(meta_add(&meta, 's', "n", 1, value, strlen(value)) == ERR_OK);
	fill(body, n, bytes);
	m = message_new(meta.data, meta.len, body, bytes, (int64_t)(1700000000000 + n));
	m->accepted_ms = clock_mono_ms() - (clock_wall_ms() - m->received_ms);
	buf_fini(&meta);
	free(body);
	return m;
}

bool spooldir_is_message(const struct message *m, uint64_t n, uint32_t bytes)
{
	struct message *want = spooldir_message(n, bytes);
	bool same = m->meta_bytes == want->meta_bytes && m->body_bytes == want->body_bytes &&
	            m->received_ms == want->received_ms &&
	            memcmp(m->bytes, want->bytes, (size_t)m->meta_bytes + m->body_bytes) == 0;

	message_free(want);
	return same;
}

unsigned char *spooldir_load(const char *path, size_t *ret_bytes)
{
	FILE *f = fopen(path, "rb");
	unsigned char *bytes;
	struct stat st;

	*ret_bytes = 0;
	if (!f)
		return NULL;
	must(fstat(fileno(f), &st) == 0);
	bytes = mem_alloc((size_t)st.st_size + 1);
	*ret_bytes = fread(bytes, 1, (size_t)st.st_size, f);
	(void)fclose(f);
	return bytes;
}

void spooldir_store(const char *path, const void *bytes, size_t count)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd >= 0 && write(fd, bytes, count) == (ssize_t)count);
	(void)close(fd);
}

static void copy_one(const struct spooldir *from, const struct spooldir *to, const char *suffix)
{
	char path[400];
	size_t count;
	unsigned char *bytes = spooldir_load(spooldir_file(from, suffix), &count);

	(void)snprintf(path, sizeof path, "%s%s", to->path, suffix);
	if (bytes)
		spooldir_store(path, bytes, count);
	free(bytes);
}

void spooldir_copy(const struct spooldir *from, const struct spooldir *to)
{
	static const char *const suffixes[] = {"", "-wal", "-journal", ".tide", ".unsafe", ".aside"};
	const char *own = strrchr(from->path, '/') + 1;
	DIR *dir = opendir(from->dir);
	struct dirent *entry;

	must(dir);
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
		copy_one(from, to, suffixes[i]);
	while ((entry = readdir(dir))) {
		const char *aside = strstr(entry->d_name, ".quarantine-");

		if (aside && strncmp(entry->d_name, own, (size_t)(aside - entry->d_name)) == 0)
			copy_one(from, to, aside);
	}
	(void)closedir(dir);
}

static sqlite3 *open_closed(const char *path)
{
	sqlite3 *db = NULL;

	must(sqlite3_open(path, &db) == SQLITE_OK);
	must(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) == SQLITE_OK);
	return db;
}

/* The block that message id is in; false when it stands alone. */
static bool read_block_of(sqlite3 *db, uint64_t id, struct stored_block *b)
{
	sqlite3_stmt *st = NULL;
	bool found;

	must(sqlite3_prepare_v2(db, BLOCK_SELECT BLOCK_RANGE, -1, &st, NULL) == SQLITE_OK);
	(void)sqlite3_bind_int64(st, 1, (sqlite3_int64)id);
	(void)sqlite3_bind_int64(st, 2, (sqlite3_int64)id);
	found = sqlite3_step(st) == SQLITE_ROW;
	if (found)
		block_read(b, st);
	must(sqlite3_finalize(st) == SQLITE_OK);
	return found;
}

static void run_on_row(sqlite3 *db, const char *verb, uint64_t id)
{
	char text[300];

	(void)snprintf(text, sizeof text, "%s WHERE id = %llu", verb, (unsigned long long)id);
	must(sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK);
}

void spooldir_damage(const char *path, uint64_t id)
{
	sqlite3 *db = open_closed(path);
	struct stored_block *b = block_new();

	if (read_block_of(db, id, b)) {
		const struct store_row *row = &b->rows[id - b->id];
		const unsigned char *at = row->body_bytes ? row->body : row->meta;
		unsigned char wrong = (unsigned char)(at[0] ^ 1);
		sqlite3_blob *blob = NULL;

		must(sqlite3_blob_open(db, "main", "blocks", "body", (sqlite3_int64)b->id, 1, &blob) == SQLITE_OK);
		must(sqlite3_blob_write(blob, &wrong, 1, (int)(at - b->frames)) == SQLITE_OK);
		must(sqlite3_blob_close(blob) == SQLITE_OK);
	} else {
		run_on_row(db, "UPDATE messages SET body = x'00'", id);
	}
	block_free(b);
	must(sqlite3_close(db) == SQLITE_OK);
}

void spooldir_lose(const char *path, uint64_t id)
{
	sqlite3 *db = open_closed(path);

	spooldir_lose_in(db, id);
	must(sqlite3_close(db) == SQLITE_OK);
}

void spooldir_lose_in(sqlite3 *db, uint64_t id)
{
	struct stored_block *b = block_new();
	sqlite3_stmt *st = NULL;

	if (read_block_of(db, id, b)) {
		struct block_mark m = {.id = b->id, .count = b->count};

		must(sqlite3_prepare_v2(db, "SELECT settled, bytes, checksum, bitmap FROM partial WHERE block_id = ?1",
		                        -1, &st, NULL) == SQLITE_OK);
		(void)sqlite3_bind_int64(st, 1, (sqlite3_int64)b->id);
		if (sqlite3_step(st) == SQLITE_ROW)
			m = mark_read(st, 0, b->id, b->count, 0);
		must(sqlite3_finalize(st) == SQLITE_OK);
		m.bits[(id - b->id) / 8] |= (unsigned char)(1 << (id - b->id) % 8);
		m.settled++;
		m.bytes += b->rows[id - b->id].meta_bytes + b->rows[id - b->id].body_bytes;
		must(sqlite3_prepare_v2(db,
		                        "INSERT OR REPLACE INTO partial (block_id, settled, bytes, checksum, bitmap)"
		                        " VALUES (?1, ?2, ?3, ?4, ?5)",
		                        -1, &st, NULL) == SQLITE_OK);
		(void)sqlite3_bind_int64(st, 1, (sqlite3_int64)m.id);
		(void)sqlite3_bind_int64(st, 2, m.settled);
		(void)sqlite3_bind_int64(st, 3, (sqlite3_int64)m.bytes);
		(void)sqlite3_bind_int64(st, 4, mark_checksum(&m, sum_tag(b->checksum)));
		(void)sqlite3_bind_blob(st, 5, m.bits, sizeof m.bits, SQLITE_STATIC);
		must(sqlite3_step(st) == SQLITE_DONE);
		must(sqlite3_finalize(st) == SQLITE_OK);
	} else {
		run_on_row(db, "DELETE FROM messages", id);
	}
	block_free(b);
}
