/*
 * Pages out of file and log, records out of pages.
 *
 * Invariants:
 * 1. frame_of[n] is 1 + the newest frame of the log that holds page n and was committed; 0: the file has it.
 * 2. Nothing outside of `page_bytes` is read for a cell; what lies in overflow pages is gathered in `payload`.
 * 3. A chain of overflow pages is as long as the payload needs, never longer.
 */
#include "store/files/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/byte_order.h"
#include "store/files/page_record.h"
#include "store/files/row.h"
#include "store/files/spool_files.h"
#include "store/files/wal.h"

enum {
	PAGE_MAX = 65536,
	AT_PAGE_SIZE = 16,
	HEADER_BYTES = 100,
	INDEX_INTERIOR = 0x02,
	INDEX_LEAF = 0x0a,
	TABLE_LEAF = 0x0d,
	MAP_ENTRY_BYTES = 5,
	MAP_FREE = 2,
	FREE_LIST_FIRST = 32,                 /* in the header: its first page, and how many it has */
	MAP_CHAIN = 3,                        /* the first page of a record's rest */
	MAP_CHAIN_MORE = 4,                   /* a later one */
	PAYLOAD_MAX = ROW_MOST_BYTES + 65536, /* of a row with all its columns: what is longer is none of ours */
	PROBE_BYTES = 4 << 20,
};

struct pages {
	int fd, log_fd;
	uint32_t page_bytes;
	uint32_t count;
	uint64_t file_bytes;
	struct wal_scan log;
	uint32_t *frame_of;
	unsigned char *page;     /* the one whose cells are read */
	unsigned char *overflow; /* one page of a chain */
	unsigned char *map;      /* the pointer map last asked */
	uint32_t map_page;       /* its number; 0: none */
	bool tolerates, piecemeal;
	uint64_t unreadable;
	uint32_t dead_map; /* one that cannot be read; 0: none */
	bool map_is_lost;  /* of the page last asked for, and the free list does not help, or says otherwise */
	enum { LIST_UNREAD, LIST_READ, LIST_LOST } free_list;
	unsigned char *is_free; /* by number, when the free list was read */
	bool at_a_glance;       /* no record that goes on elsewhere */
	bool is_probed;         /* the page size is not known yet: no map is believed */
	unsigned char *payload;
	size_t payload_room;
};

/* Bytes that are in neither file are zero. */
static enum err read_page(struct pages *p, uint32_t n, unsigned char *to, struct error *e)
{
	uint32_t frame = p->frame_of ? p->frame_of[n] : 0;
	size_t count;
	enum err err = ERR_OK;

	memset(to, 0, p->page_bytes);
	if (frame > 0)
		err = files_read_at(p->log_fd, to, p->page_bytes, wal_page_offset(&p->log, frame - 1), &count, e);
	else if (p->fd >= 0)
		err = files_read_at(p->fd, to, p->page_bytes, (int64_t)(n - 1) * p->page_bytes, &count, e);
	if (err != ERR_OK && p->tolerates) {
		p->unreadable++;
		err = ERR_OK;
	}
	return err;
}

/* Most pages are parts of long values: the first byte tells, without reading the rest. */
static enum err may_hold_records(const struct pages *p, uint32_t n, bool *ret, struct error *e)
{
	uint32_t frame = p->frame_of ? p->frame_of[n] : 0;
	int64_t at = frame > 0 ? wal_page_offset(&p->log, frame - 1) : (int64_t)(n - 1) * p->page_bytes;
	int fd = frame > 0 ? p->log_fd : p->fd;
	unsigned char kind = 0;
	size_t there;
	enum err err = fd >= 0 ? files_read_at(fd, &kind, 1, at + (n == 1 ? HEADER_BYTES : 0), &there, e) : ERR_OK;

	*ret = kind == TABLE_LEAF || kind == INDEX_LEAF || kind == INDEX_INTERIOR;
	if (err != ERR_OK && p->tolerates)
		*ret = true; /* read_page counts it */
	return err != ERR_OK && p->tolerates ? ERR_OK : err;
}

/* The free list says which pages are free, too: believed when all of it can be read and it is as long as it must be. */
static enum err read_free_list(struct pages *p, unsigned char *page, bool *ret_read, struct error *e)
{
	const bool tolerates = p->tolerates;
	uint32_t trunk = 1, left = 0, first = FREE_LIST_FIRST;
	bool is_read = true;
	enum err err = ERR_OK;

	p->tolerates = false;
	for (uint32_t n; trunk > 0 && is_read; trunk = get_big_u32(page + first), first = 0) {
		is_read = trunk <= p->count;
		err = is_read ? read_page(p, trunk, page, e) : ERR_OK;
		if (err != ERR_OK || !is_read)
			break;
		if (trunk == 1) {
			is_read = memcmp(page, "SQLite format 3", 16) == 0; /* a head that is gone lists nothing */
			left = get_big_u32(page + FREE_LIST_FIRST + 4);
			continue;
		}
		n = get_big_u32(page + 4);
		is_read &= !p->is_free[trunk] && n <= p->page_bytes / 4 - 2 && n < left;
		p->is_free[trunk] = true;
		for (uint32_t i = 0; i < n && is_read; i++) {
			uint32_t leaf = get_big_u32(page + 8 + (size_t)i * 4);

			is_read = leaf > 1 && leaf <= p->count && !p->is_free[leaf];
			p->is_free[is_read ? leaf : 0] = true;
		}
		left -= is_read ? n + 1 : 0;
	}
	p->tolerates = tolerates;
	*ret_read = err == ERR_OK && is_read && left == 0;
	return err;
}

static enum err load_free_list(struct pages *p, struct error *e)
{
	AUTOFREE unsigned char *page = NULL;
	bool is_read = false;
	enum err err;

	if (p->free_list != LIST_UNREAD)
		return ERR_OK;
	page = mem_alloc(PAGE_MAX);
	p->is_free = mem_zero((size_t)p->count + 1);
	err = read_free_list(p, page, &is_read, e);
	p->free_list = is_read ? LIST_READ : LIST_LOST;
	return err;
}

/* Where what cannot be read costs only itself, such a list is none. */
static enum err has_free_list(struct pages *p, bool *ret, struct error *e)
{
	enum err err = load_free_list(p, e);

	*ret = err == ERR_OK && p->free_list == LIST_READ;
	return p->tolerates || p->piecemeal ? ERR_OK : err;
}

/* The map that stands for page n cannot be read. */
static enum err use_without_map(struct pages *p, uint32_t n, unsigned char *ret, struct error *e)
{
	bool has_list;
	enum err err = has_free_list(p, &has_list, e);

	if (err != ERR_OK)
		return err;
	if (has_list) {
		*ret = p->is_free[n] ? MAP_FREE : 0;
		return ERR_OK;
	}
	p->map_is_lost = p->tolerates;
	return p->tolerates ? ERR_OK : error_set(e, ERR_DISK, "page %" PRIu32 ", which says what is free", p->dead_map);
}

/* The page that says what page n is for. */
static uint32_t map_of(const struct pages *p, uint32_t n)
{
	const uint32_t apart = p->page_bytes / MAP_ENTRY_BYTES + 1;

	return n < 2 ? 0 : (n - 2) / apart * apart + 2;
}

/* What the pointer map says of a page; 0: nothing. Byte 5 n of the map stands for the page n + 1 behind it. */
static enum err use_of(struct pages *p, uint32_t n, unsigned char *ret, struct error *e)
{
	const uint32_t map = map_of(p, n);
	const bool spares = p->tolerates || p->piecemeal;
	bool has_list = false;
	enum err err = ERR_OK;

	p->map_is_lost = false;
	*ret = n == map ? MAP_FREE : 0; /* a map holds no records */
	if (map == 0 || n == map)
		return ERR_OK;
	if (map != p->map_page && map != p->dead_map) {
		const uint64_t unreadable = p->unreadable;

		err = read_page(p, map, p->map, e);
		if (err != ERR_OK && !spares)
			return err;
		if (err != ERR_OK || p->unreadable > unreadable)
			p->dead_map = map;
		else
			p->map_page = map;
	}
	if (map == p->dead_map)
		return use_without_map(p, n, ret, e);
	*ret = p->map[(size_t)(n - map - 1) * MAP_ENTRY_BYTES];
	/* A map may be of an earlier time: what only one of the two calls free is read, and may have been deleted. */
	err = p->at_a_glance ? ERR_OK : has_free_list(p, &has_list, e);
	if (has_list && p->is_free[n] != (*ret == MAP_FREE)) {
		p->map_is_lost = true;
		*ret = 0;
	}
	return err;
}

enum err pages_free_list(struct pages *p, bool *ret_sound, struct error *e)
{
	enum err err = load_free_list(p, e);

	*ret_sound = p->free_list == LIST_READ;
	for (uint32_t n = 1; n <= p->count && *ret_sound && err == ERR_OK; n++) {
		unsigned char use;

		if (!p->is_free[n])
			continue;
		err = use_of(p, n, &use, e);
		*ret_sound = use == MAP_FREE && n != map_of(p, n);
	}
	return err;
}

bool pages_may_hold_rows(struct pages *p, uint32_t n)
{
	struct error ignored;
	unsigned char use;

	return use_of(p, n, &use, &ignored) != ERR_OK || (use != MAP_FREE && use != MAP_CHAIN && use != MAP_CHAIN_MORE);
}

bool pages_map_is_lost(const struct pages *p) { return p->map_is_lost; }

/* The rest of a payload lies in a chain of pages. *ret: how much of it, when the chain ends too early or leaves the
 * file; as it was: there cannot be so much.
 */
static enum err gather(struct pages *p, const unsigned char *local, size_t local_bytes, uint64_t payload_bytes,
                       size_t *ret, struct error *e)
{
	uint32_t next = get_big_u32(local + local_bytes);
	size_t done = local_bytes;

	if (payload_bytes > p->payload_room) {
		if (payload_bytes > (uint64_t)p->count * p->page_bytes)
			return ERR_OK;
		free(p->payload);
		p->payload = mem_alloc((size_t)payload_bytes);
		p->payload_room = (size_t)payload_bytes;
	}
	memcpy(p->payload, local, local_bytes);
	while (done < payload_bytes) {
		size_t n = payload_bytes - done < p->page_bytes - 4 ? (size_t)payload_bytes - done : p->page_bytes - 4;
		enum err err;

		if (next == 0 || next > p->count) {
			memset(p->payload + done, 0, (size_t)payload_bytes - done);
			break;
		}
		err = read_page(p, next, p->overflow, e);
		if (err != ERR_OK)
			return err;
		next = get_big_u32(p->overflow);
		memcpy(p->payload + done, p->overflow + 4, n);
		done += n;
	}
	*ret = done;
	return ERR_OK;
}

/* The bytes of its payload end at `end`. */
static void cut_values(struct stored_record *r, const unsigned char *end)
{
	r->is_cut = true;
	for (int i = 0; i < r->count; i++) {
		struct stored_value *v = &r->values[i];

		if ((v->type == VALUE_TEXT || v->type == VALUE_BLOB) && v->bytes + v->count > end)
			v->count = v->bytes < end ? (size_t)(end - v->bytes) : 0;
	}
}

/* How much of a payload lies in its own page: section 1.6 of the format. */
static size_t local_bytes_of(const struct pages *p, uint64_t payload, bool is_index)
{
	const uint32_t usable = p->page_bytes;
	const uint32_t most = is_index ? (usable - 12) * 64 / 255 - 23 : usable - 35;
	const uint32_t least = (usable - 12) * 32 / 255 - 23;
	uint64_t k;

	if (payload <= most)
		return (size_t)payload;
	k = least + (payload - least) % (usable - 4);
	return (size_t)(k <= most ? k : least);
}

/* *ret: there was a record. */
static enum err read_cell(struct pages *p, size_t at, unsigned char kind, struct stored_record *r, bool *ret,
                          struct error *e)
{
	const unsigned char *end = p->page + p->page_bytes;
	const unsigned char *cell = p->page + at + (kind == INDEX_INTERIOR ? 4 : 0);
	uint64_t payload, rowid = 0;
	size_t local, n, there = 0;
	enum err err = ERR_OK;

	*ret = r->is_cut = false;
	n = cell < end ? record_varint(cell, end, &payload) : 0;
	if (n == 0 || payload > PAYLOAD_MAX)
		return ERR_OK;
	cell += n;
	r->is_index = kind != TABLE_LEAF;
	if (!r->is_index) {
		n = record_varint(cell, end, &rowid);
		if (n == 0)
			return ERR_OK;
		cell += n;
	}
	r->rowid = (int64_t)rowid;
	local = local_bytes_of(p, payload, r->is_index);
	if ((size_t)(end - cell) < local + (local < payload ? 4 : 0) || !record_read(cell, local, payload, NULL, r))
		return ERR_OK;
	if (local == payload) {
		*ret = record_read(cell, local, payload, cell, r);
		return ERR_OK;
	}
	if (!p->at_a_glance)
		err = gather(p, cell, local, payload, &there, e);
	if (err == ERR_OK && there > 0)
		*ret = record_read(p->payload, (size_t)payload, payload, p->payload, r);
	if (*ret && there < payload)
		cut_values(r, p->payload + there);
	return err;
}

static enum err cells_of(struct pages *p, uint32_t n,
                         enum err (*found)(void *arg, const struct stored_record *r, struct error *e), void *arg,
                         struct error *e)
{
	const size_t head = n == 1 ? HEADER_BYTES : 0;
	const unsigned char kind = p->page[head];
	const size_t pointers = head + (kind == INDEX_INTERIOR ? 12 : 8);
	const size_t cells = (size_t)p->page[head + 3] << 8 | p->page[head + 4];
	enum err err = ERR_OK;

	if ((kind != TABLE_LEAF && kind != INDEX_LEAF && kind != INDEX_INTERIOR) ||
	    pointers + 2 * cells > p->page_bytes)
		return ERR_OK;
	for (size_t i = 0; i < cells && err == ERR_OK; i++) {
		const unsigned char *pointer = p->page + pointers + 2 * i;
		size_t at = (size_t)pointer[0] << 8 | pointer[1];
		struct stored_record r;
		bool there;

		if (at < pointers + 2 * cells || at >= p->page_bytes)
			continue;
		r.cell = (uint32_t)i;
		r.is_unread = false;
		err = read_cell(p, at, kind, &r, &there, e);
		if (err == ERR_DISK && p->piecemeal) {
			r.is_unread = there = true;
			r.count = 0;
			err = ERR_OK;
		}
		if (err == ERR_OK && there)
			err = found(arg, &r, e);
	}
	return err;
}

enum err pages_records(struct pages *p, uint32_t n,
                       enum err (*found)(void *arg, const struct stored_record *r, struct error *e), void *arg,
                       struct error *e)
{
	unsigned char use = 0;
	bool has_records = false;
	enum err err = may_hold_records(p, n, &has_records, e);

	if (err == ERR_OK && !has_records)
		return ERR_OK;
	if (err != ERR_OK)
		return p->piecemeal && !p->is_probed && !pages_may_hold_rows(p, n) ? ERR_OK : err;
	err = p->is_probed ? ERR_OK : use_of(p, n, &use, e);
	if (err != ERR_OK || use == MAP_FREE)
		return err;
	err = read_page(p, n, p->page, e);
	return err == ERR_OK ? cells_of(p, n, found, arg, e) : err;
}

uint32_t pages_count(const struct pages *p) { return p->count; }

uint32_t pages_next(const struct pages *p, uint32_t n)
{
	off_t at;

	if (n > p->count || p->fd < 0 || (p->frame_of && n <= p->log.highest_page))
		return n;
	at = lseek(p->fd, (off_t)(n - 1) * p->page_bytes, SEEK_DATA);
	if (at < 0)
		return errno == ENXIO ? p->count + 1 : n;
	return (uint32_t)(at / p->page_bytes) + 1;
}

uint64_t pages_unreadable(const struct pages *p) { return p->unreadable + p->log.unreadable; }

const struct wal_scan *pages_log(const struct pages *p) { return &p->log; }

/* Pages beyond last_page are not looked at. */
enum err pages_frame_records(struct pages *p, uint64_t i, uint32_t last_page, uint32_t *ret_page,
                             enum err (*found)(void *arg, const struct stored_record *r, struct error *e), void *arg,
                             struct error *e)
{
	const int64_t at = wal_page_offset(&p->log, i);
	size_t count = 0;
	enum err err = wal_page_number(p->log_fd, &p->log, i, ret_page, e);

	if (err == ERR_OK && *ret_page > 0 && *ret_page <= last_page)
		err = files_read_at(p->log_fd, p->page, p->page_bytes, at, &count, e);
	if (err != ERR_OK || *ret_page == 0 || *ret_page > last_page)
		return p->tolerates ? ERR_OK : err;
	memset(p->page + count, 0, p->page_bytes - count);
	return err == ERR_OK ? cells_of(p, *ret_page, found, arg, e) : err;
}

static void set_page_bytes(struct pages *p, uint32_t bytes)
{
	uint64_t whole = (p->file_bytes + bytes - 1) / bytes;

	p->page_bytes = bytes;
	p->count = whole < INT32_MAX ? (uint32_t)whole : INT32_MAX;
	p->map_page = p->dead_map = 0;
}

static enum err count_record(void *arg, const struct stored_record *r, struct error *e)
{
	(void)e;
	*(uint64_t *)arg += r->count >= 3;
	return ERR_OK;
}

/* The page size that the file's header names; 0: it cannot be read, and is not asked for. */
static enum err read_noted(struct pages *p, uint32_t *ret, struct error *e)
{
	unsigned char head[HEADER_BYTES] = {0};
	size_t there;
	enum err err = p->fd >= 0 ? files_read_at(p->fd, head, sizeof head, 0, &there, e) : ERR_OK;

	*ret = (uint32_t)head[AT_PAGE_SIZE] << 8 | head[AT_PAGE_SIZE + 1];
	*ret = *ret == 1 ? PAGE_MAX : *ret;
	return p->tolerates ? ERR_OK : err;
}

/* False: it names none that could be. */
static enum err believe_header(struct pages *p, bool *ret, struct error *e)
{
	uint32_t noted;
	enum err err = read_noted(p, &noted, e);

	*ret = noted >= 512 && (noted & (noted - 1)) == 0;
	if (*ret)
		set_page_bytes(p, noted);
	return err;
}

/* The size under which the beginning of the file shows the most records; the one its header names is tried first. */
static enum err probe_page_bytes(struct pages *p, struct error *e)
{
	const uint64_t unreadable = p->unreadable;
	const bool tolerates = p->tolerates;
	uint32_t noted, best = 4096;
	uint64_t most = 0;
	enum err err;

	p->tolerates |= p->piecemeal;
	err = read_noted(p, &noted, e);
	p->is_probed = true;
	for (int round = 0; round < 2 && most == 0; round++)
		for (uint32_t size = 512; size <= PAGE_MAX && err == ERR_OK; size *= 2) {
			uint64_t records = 0;

			if ((size == noted) != (round == 0))
				continue;
			set_page_bytes(p, size);
			for (uint32_t n = 1; n <= p->count && n <= PROBE_BYTES / size && err == ERR_OK; n++)
				err = pages_records(p, n, count_record, &records, e);
			if (records > most) {
				most = records;
				best = size;
			}
		}
	set_page_bytes(p, best);
	p->is_probed = false;
	p->tolerates = tolerates;
	p->unreadable = unreadable; /* each is counted when its page is read */
	return err;
}

static enum err open_log(struct pages *p, struct error *e)
{
	enum err err = p->log_fd >= 0 ? wal_scan(p->log_fd, &p->log, e) : ERR_OK;
	uint64_t most;

	if (err == ERR_OK && p->log.nameless > 0 && !p->tolerates)
		err = error_set(e, ERR_DISK, "%" PRIu64 " frames of its log cannot be read", p->log.nameless);
	if (err != ERR_OK || p->log_fd < 0 || p->log.mend_frames == 0)
		return err;
	set_page_bytes(p, p->log.page_bytes);
	if (p->at_a_glance)
		return ERR_OK;
	most = p->count + p->log.mend_frames; /* a page beyond the file stands in a frame of its own */
	if (most < p->log.highest_page)       /* most of the file, or all of it, is gone */
		most = p->log.highest_page;
	if (p->log.pages > p->count)
		p->count = p->log.pages < most ? p->log.pages : (uint32_t)most;
	p->frame_of = mem_zero(((size_t)p->count + 1) * sizeof *p->frame_of);
	return wal_frames_of_pages(p->log_fd, &p->log, p->frame_of, p->count, e);
}

static enum err open_name(int dir_fd, const char *name, int *ret_fd, struct error *e)
{
	struct stat st;

	*ret_fd = -1;
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? ERR_OK : error_set_errno(e, ERR_DISK, "cannot stat %s", name);
	if (!S_ISREG(st.st_mode))
		return error_set(e, ERR_DISK, "it is %s", files_kind_word(st.st_mode));
	*ret_fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return *ret_fd >= 0 ? ERR_OK : error_set_errno(e, ERR_DISK, "cannot open %s", name);
}

enum err pages_open(int dir_fd, const char *name, enum pages_of which, struct pages **ret, struct error *e)
{
	AUTOFREE char *log_name = mem_format("%s-wal", name);
	struct pages *p = mem_zero(sizeof *p);
	bool is_known = which == (PAGES_OF_LOG | PAGES_AT_A_GLANCE);
	struct stat st;
	enum err err = ERR_OK;

	p->fd = p->log_fd = -1;
	p->at_a_glance = which & PAGES_AT_A_GLANCE;
	p->tolerates = which & PAGES_TOLERATE;
	p->piecemeal = which & PAGES_PIECEMEAL;
	p->log.tolerates = p->tolerates || p->piecemeal;
	p->page = mem_alloc(PAGE_MAX);
	p->overflow = mem_alloc(PAGE_MAX);
	p->map = mem_alloc(PAGE_MAX);
	if (which & PAGES_OF_FILE)
		err = open_name(dir_fd, name, &p->fd, e);
	if (err == ERR_OK && which & PAGES_OF_LOG)
		err = open_name(dir_fd, log_name, &p->log_fd, e);
	if (err == ERR_OK && p->fd >= 0 && fstat(p->fd, &st) != 0)
		err = error_set_errno(e, ERR_DISK, "cannot stat %s", name);
	if (err == ERR_OK && p->fd >= 0)
		p->file_bytes = (uint64_t)st.st_size;
	if (err == ERR_OK)
		err = open_log(p, e);
	if (err == ERR_OK && (p->at_a_glance || which & PAGES_OF_A_SPOOL) && p->fd >= 0 && !p->frame_of)
		err = believe_header(p, &is_known, e);
	if (err == ERR_OK && !p->frame_of && !is_known)
		err = probe_page_bytes(p, e);
	if (err != ERR_OK) {
		pages_close(p);
		return error_wrap(e, "%s", name);
	}
	*ret = p;
	return ERR_OK;
}

void pages_close(struct pages *p)
{
	if (!p)
		return;
	if (p->fd >= 0)
		(void)close(p->fd);
	if (p->log_fd >= 0)
		(void)close(p->log_fd);
	free(p->frame_of);
	free(p->page);
	free(p->overflow);
	free(p->map);
	free(p->is_free);
	free(p->payload);
	free(p);
}
