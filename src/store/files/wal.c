/*
 * Scanning and mending.
 *
 * Invariants:
 * 1. frames counts sound frames from the start without a gap; commits those of them that end a transaction.
 * 2. commits_mended <= commits_lost: what mending brings back is part of what proved itself behind the break.
 * 3. mend_frames ends with a commit frame whose transaction is whole; frames behind it are left as they are.
 * 4. Mending writes headers of frames only, never pages. Cut in its middle it leaves a break where it was, which may be
 *    too near the end to be told from a torn commit: whoever cannot lose what stands behind it mends a copy.
 */
#include "store/files/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/files/spool_files.h"
#include "store/files/wal_format.h"

enum {
	FRAMES_TRIED = 16,
	NO_PAGE = 0x7fffffff, /* beyond the end of every database: never read, never written back */
};

struct reader {
	int fd;
	uint32_t page_bytes;
	bool big_endian_sums;
	uint64_t total; /* whole frames in the file */
	bool tolerates;
	unsigned char *frame;
	bool has_no_header;                                     /* it could not be read */
	enum { FRAME_READ, FRAME_HEAD_READ, FRAME_UNREAD } got; /* of the one loaded last */
};

static struct wal_sum frame_sum(const struct reader *r, struct wal_sum seed)
{
	struct wal_sum s = wal_sum_over(r->big_endian_sums, seed, r->frame, WAL_SIGNED_FRAME_BYTES);

	return wal_sum_over(r->big_endian_sums, s, r->frame + WAL_FRAME_HEADER_BYTES, r->page_bytes);
}

static bool is_live(const struct reader *r, const struct wal_scan *scan)
{
	return get_big_u32(r->frame + WAL_FRAME_SALTS) == scan->salts[0] &&
	       get_big_u32(r->frame + WAL_FRAME_SALTS + 4) == scan->salts[1];
}

static off_t frame_offset(const struct reader *r, uint64_t index)
{
	return (off_t)(WAL_HEADER_BYTES + index * (WAL_FRAME_HEADER_BYTES + (uint64_t)r->page_bytes));
}

/* All of it: the size of the log is known, so less is an error. */
static enum err read_whole(int fd, void *to, size_t count, off_t offset, struct error *e)
{
	size_t there = 0;
	enum err err = files_read_at(fd, to, count, offset, &there, e);

	if (err == ERR_OK && there < count)
		err = error_set(e, ERR_DISK, "it became shorter while it was read");
	return err == ERR_OK ? ERR_OK : error_wrap(e, "the write-ahead log");
}

static enum err load_frame(struct reader *r, uint64_t index, struct error *e)
{
	const size_t count = WAL_FRAME_HEADER_BYTES + (size_t)r->page_bytes;
	enum err err = read_whole(r->fd, r->frame, count, frame_offset(r, index), e);

	r->got = FRAME_READ;
	if (err == ERR_OK || !r->tolerates)
		return err;
	memset(r->frame, 0, count);
	r->got = FRAME_HEAD_READ;
	if (read_whole(r->fd, r->frame, WAL_FRAME_HEADER_BYTES, frame_offset(r, index), e) == ERR_OK)
		return ERR_OK;
	memset(r->frame, 0, WAL_FRAME_HEADER_BYTES);
	r->got = FRAME_UNREAD;
	return ERR_OK;
}

/* True when the frame follows from `seed`, the checksum of what stands before it. Zeros would follow from zeros. */
static bool follows(const struct reader *r, struct wal_sum seed)
{
	return get_big_u32(r->frame) != 0 &&
	       wal_sum_is(frame_sum(r, seed), wal_stored_sum(r->frame + WAL_FRAME_CHECKSUM));
}

/* Page size and word order are r's: does one of the first frames follow from what stands before it? */
static enum err try_layout(struct reader *r, struct wal_scan *scan, struct wal_sum seed, bool *ret, struct error *e)
{
	for (uint64_t i = 0; i < FRAMES_TRIED && i < r->total; i++) {
		enum err err = load_frame(r, i, e);

		if (err != ERR_OK)
			return err;
		scan->nameless += r->got == FRAME_UNREAD;
		if (follows(r, seed)) {
			scan->salts[0] = get_big_u32(r->frame + WAL_FRAME_SALTS);
			scan->salts[1] = get_big_u32(r->frame + WAL_FRAME_SALTS + 4);
			*ret = true;
			scan->nameless = 0; /* they are met again */
			return ERR_OK;
		}
		seed = wal_stored_sum(r->frame + WAL_FRAME_CHECKSUM);
	}
	return ERR_OK;
}

/*
 * A header that is not sound: a frame proves which page size, word order and salts were meant. Where the first sector
 * is gone it is the third: each follows from the checksum stored in the one before it.
 */
static enum err find_layout(struct reader *r, struct wal_scan *scan, struct wal_sum seed, uint64_t body_bytes,
                            bool *ret, struct error *e)
{
	enum err err = ERR_OK;

	*ret = false;
	scan->nameless = 0;
	for (uint32_t size = 512; size <= 65536 && !*ret && err == ERR_OK; size *= 2)
		for (int big = 0; big < 2 && !*ret && err == ERR_OK; big++) {
			r->page_bytes = size;
			r->big_endian_sums = big;
			r->total = body_bytes / (WAL_FRAME_HEADER_BYTES + (uint64_t)size);
			err = try_layout(r, scan, seed, ret, e);
		}
	return err;
}

/*
 * A power cut tore the header that was to begin the log again: put back as the frames know it, its checksum is right,
 * or is what the first frame follows from. All of such a log stands in the database already; to read it once more
 * changes nothing.
 */
static enum err look_for_torn_restart(struct reader *r, const unsigned char *h, struct wal_scan *scan, struct error *e)
{
	unsigned char old[WAL_HEADER_BYTES];
	struct wal_sum sum;
	enum err err = load_frame(r, 0, e);

	memcpy(old, h, sizeof old);
	put_big_u32(old + WAL_AT_SEQUENCE, get_big_u32(h + WAL_AT_SEQUENCE) - 1);
	put_big_u32(old + WAL_AT_SALTS, scan->salts[0]);
	put_big_u32(old + WAL_AT_SALTS + 4, scan->salts[1]);
	sum = wal_sum_over(r->big_endian_sums, (struct wal_sum){0, 0}, old, WAL_AT_CHECKSUM);
	scan->header_is_torn =
	    err == ERR_OK && (wal_sum_is(sum, wal_stored_sum(h + WAL_AT_CHECKSUM)) || follows(r, sum));
	return err;
}

/* *seed: what the first frame's checksum starts from. */
static enum err load_header(struct reader *r, struct wal_scan *scan, struct wal_sum *seed, struct error *e)
{
	unsigned char h[WAL_HEADER_BYTES];
	struct stat st;
	bool found;
	enum err err;

	scan->is_empty = true;
	if (fstat(r->fd, &st) != 0)
		return error_set_errno(e, ERR_DISK, "cannot read the write-ahead log");
	if (st.st_size <= WAL_HEADER_BYTES + WAL_FRAME_HEADER_BYTES)
		return ERR_OK;
	err = read_whole(r->fd, h, sizeof h, 0, e);
	r->has_no_header = err != ERR_OK && r->tolerates;
	if (r->has_no_header)
		memset(h, 0, sizeof h);
	else if (err != ERR_OK)
		return err;
	r->big_endian_sums = get_big_u32(h) & 1;
	r->page_bytes = get_big_u32(h + WAL_AT_PAGE_SIZE);
	*seed = wal_stored_sum(h + WAL_AT_CHECKSUM);
	scan->header_is_sound = wal_header_is_sound(h, &(uint32_t){0});
	scan->salts[0] = get_big_u32(h + WAL_AT_SALTS);
	scan->salts[1] = get_big_u32(h + WAL_AT_SALTS + 4);
	if (!scan->header_is_sound) {
		err = find_layout(r, scan, *seed, (uint64_t)(st.st_size - WAL_HEADER_BYTES), &found, e);
		if (err == ERR_OK && found)
			err = look_for_torn_restart(r, h, scan, e);
		if (err != ERR_OK || !found)
			return err;
	}
	scan->page_bytes = r->page_bytes;
	scan->big_endian_sums = r->big_endian_sums;
	r->total = (uint64_t)(st.st_size - WAL_HEADER_BYTES) / (WAL_FRAME_HEADER_BYTES + (uint64_t)r->page_bytes);
	scan->is_empty = r->total == 0;
	return ERR_OK;
}

/*
 * A frame proves itself when its checksum follows from the one stored in the frame before it. The last transaction
 * counts for mending only when all its frames do: a torn one was never acknowledged. One that cannot be read is not
 * torn: its salts prove it as far as they were read, and the frame behind one without a header likewise.
 */
static enum err scan_frames(struct reader *r, struct wal_scan *scan, struct wal_sum seed, struct error *e)
{
	bool broken = !scan->header_is_sound;
	bool whole = true; /* every frame since the last commit proved itself */
	bool was_live = true, seed_is_known = !r->has_no_header;
	uint64_t doubtful = 0; /* cannot be read, behind what is not live */

	for (uint64_t i = 0; i < r->total; i++) {
		enum err err = load_frame(r, i, e);
		bool live, sound;

		if (err != ERR_OK)
			return err;
		scan->unreadable += r->got != FRAME_READ;
		if (r->got == FRAME_UNREAD) {
			scan->nameless += was_live;
			doubtful += !was_live;
			seed_is_known = false;
			broken = true;
			continue;
		}
		live = is_live(r, scan);
		sound = live && (r->got == FRAME_HEAD_READ || !seed_is_known || follows(r, seed));
		seed = wal_stored_sum(r->frame + WAL_FRAME_CHECKSUM);
		seed_is_known = true;
		was_live = live;
		scan->nameless += live ? doubtful : 0;
		doubtful = live ? 0 : doubtful;
		broken |= !sound;
		whole &= sound;
		if (sound && get_big_u32(r->frame) > scan->highest_page)
			scan->highest_page = get_big_u32(r->frame);
		if (!broken)
			scan->frames = i + 1;
		if (!live || get_big_u32(r->frame + WAL_FRAME_COMMIT) == 0)
			continue;
		/* A torn header may mix old and new sectors: only a frame that proves itself counts. */
		if (!broken)
			scan->commits++;
		else if (sound)
			scan->commits_lost++;
		if (whole) {
			scan->mend_frames = i + 1;
			scan->pages = get_big_u32(r->frame + WAL_FRAME_COMMIT);
			scan->commits_mended = scan->commits_lost;
		}
		whole = true;
	}
	return ERR_OK;
}

enum { FRAME_MAX = WAL_FRAME_HEADER_BYTES + 65536 };

enum err wal_scan(int fd, struct wal_scan *ret, struct error *e)
{
	AUTOFREE unsigned char *frame = mem_alloc(FRAME_MAX);
	struct reader r = {.fd = fd, .frame = frame, .tolerates = ret->tolerates};
	struct wal_sum seed;
	enum err err;

	*ret = (struct wal_scan){.tolerates = r.tolerates};
	err = load_header(&r, ret, &seed, e);
	return err != ERR_OK || ret->is_empty ? err : scan_frames(&r, ret, seed, e);
}

/* What a frame's checksum starts from: as it is stored before it, and as it should be. */
struct link {
	struct wal_sum stored, right;
};

static struct link link_of_header(const struct reader *r, const unsigned char *h)
{
	return (struct link){.stored = wal_stored_sum(h + WAL_AT_CHECKSUM),
	                     .right = wal_sum_over(r->big_endian_sums, (struct wal_sum){0, 0}, h, WAL_AT_CHECKSUM)};
}

static bool is_plausible(const struct reader *r, const struct wal_scan *scan)
{
	const uint32_t most = scan->pages > scan->highest_page ? scan->pages : scan->highest_page;

	return get_big_u32(r->frame) > 0 && get_big_u32(r->frame) <= most &&
	       get_big_u32(r->frame + WAL_FRAME_COMMIT) <= most;
}

/*
 * A single flipped bit in the page number or the commit field is found by trying all 64; of a highest bit the checksum
 * alone cannot tell whether it is there or in the checksum. A page number that cannot be would end the log for SQLite:
 * the frame then belongs to no page.
 */
static void mend_frame_header(const struct reader *r, struct wal_sum seed, const struct wal_scan *scan)
{
	struct wal_sum want = wal_stored_sum(r->frame + WAL_FRAME_CHECKSUM);

	for (int bit = 0; bit < 64; bit++) {
		r->frame[bit / 8] ^= (unsigned char)(1 << bit % 8);
		if (wal_sum_is(frame_sum(r, seed), want) && is_plausible(r, scan))
			return;
		r->frame[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	if (get_big_u32(r->frame) == 0 || get_big_u32(r->frame) > scan->pages) {
		put_big_u32(r->frame, NO_PAGE);
		put_big_u32(r->frame + WAL_FRAME_COMMIT, 0);
	}
}

/*
 * The frame that was loaded, as it must have been; false when it was not sound. A wrong bit in the checksum stored
 * before it looks like one in its own page number: a frame that follows from what should be stored there has none.
 * *link becomes that of the next frame.
 */
static bool mend_frame(const struct reader *r, const struct wal_scan *scan, struct link *link)
{
	const struct wal_sum stored = wal_stored_sum(r->frame + WAL_FRAME_CHECKSUM);
	const struct wal_sum seed = follows(r, link->right) ? link->right : link->stored;
	const bool is_sound = is_live(r, scan) && wal_sum_is(frame_sum(r, seed), stored);

	link->right = frame_sum(r, seed);
	link->stored = stored;
	if (!wal_sum_is(link->right, stored) ||
	    get_big_u32(r->frame) == 0) /* zeros follow from zeros, and end the log */
		mend_frame_header(r, seed, scan);
	return is_sound;
}

static enum err mend_failed(struct error *e)
{
	return error_set_errno(e, files_errno_is_full(errno) ? ERR_FULL : ERR_DISK, "cannot mend the write-ahead log");
}

static enum err write_header(const struct reader *r, const struct wal_scan *scan, struct link *link,
                             struct wal_sum *seed, struct error *e)
{
	unsigned char h[WAL_HEADER_BYTES];
	enum err err = read_whole(r->fd, h, sizeof h, 0, e);

	if (err != ERR_OK)
		return err;
	*link = link_of_header(r, h);
	put_big_u32(h, WAL_MAGIC | (uint32_t)r->big_endian_sums);
	put_big_u32(h + 4, WAL_VERSION);
	put_big_u32(h + WAL_AT_PAGE_SIZE, r->page_bytes);
	put_big_u32(h + WAL_AT_SALTS, scan->salts[0]);
	put_big_u32(h + WAL_AT_SALTS + 4, scan->salts[1]);
	*seed = wal_sum_over(r->big_endian_sums, (struct wal_sum){0, 0}, h, WAL_AT_CHECKSUM);
	put_big_u32(h + WAL_AT_CHECKSUM, seed->a);
	put_big_u32(h + WAL_AT_CHECKSUM + 4, seed->b);
	if (pwrite(r->fd, h, sizeof h, 0) != (ssize_t)sizeof h)
		return mend_failed(e);
	return ERR_OK;
}

static enum err mend_frames(struct reader *r, const struct wal_scan *scan, struct link link, struct wal_sum seed,
                            uint64_t *ret_damaged, struct error *e)
{
	for (uint64_t i = 0; i < scan->mend_frames; i++) {
		enum err err = load_frame(r, i, e);

		if (err != ERR_OK)
			return err;
		*ret_damaged += !mend_frame(r, scan, &link);
		put_big_u32(r->frame + WAL_FRAME_SALTS, scan->salts[0]);
		put_big_u32(r->frame + WAL_FRAME_SALTS + 4, scan->salts[1]);
		seed = frame_sum(r, seed);
		put_big_u32(r->frame + WAL_FRAME_CHECKSUM, seed.a);
		put_big_u32(r->frame + WAL_FRAME_CHECKSUM + 4, seed.b);
		if (pwrite(r->fd, r->frame, WAL_FRAME_HEADER_BYTES, frame_offset(r, i)) != WAL_FRAME_HEADER_BYTES)
			return mend_failed(e);
	}
	return ERR_OK;
}

enum err wal_mend(int fd, const struct wal_scan *scan, uint64_t *ret_damaged, struct error *e)
{
	AUTOFREE unsigned char *frame = mem_alloc(FRAME_MAX);
	struct reader r = {
	    .fd = fd, .page_bytes = scan->page_bytes, .big_endian_sums = scan->big_endian_sums, .frame = frame};
	struct link link = {0};
	struct wal_sum seed = {0};
	enum err err = write_header(&r, scan, &link, &seed, e);

	*ret_damaged = 0;
	if (err == ERR_OK)
		err = mend_frames(&r, scan, link, seed, ret_damaged, e);
	if (err == ERR_OK && fdatasync(fd) != 0)
		err = mend_failed(e);
	return err;
}

int64_t wal_page_offset(const struct wal_scan *scan, uint64_t frame)
{
	return (int64_t)(WAL_HEADER_BYTES + frame * (WAL_FRAME_HEADER_BYTES + (uint64_t)scan->page_bytes) +
	                 WAL_FRAME_HEADER_BYTES);
}

enum err wal_page_number(int fd, const struct wal_scan *scan, uint64_t frame, uint32_t *ret, struct error *e)
{
	unsigned char number[4];
	enum err err = read_whole(fd, number, sizeof number, wal_page_offset(scan, frame) - WAL_FRAME_HEADER_BYTES, e);

	*ret = err == ERR_OK ? get_big_u32(number) : 0;
	return err;
}

enum err wal_frames_of_pages(int fd, const struct wal_scan *scan, uint32_t *frame_of, uint32_t pages, struct error *e)
{
	AUTOFREE unsigned char *frame = mem_alloc(FRAME_MAX);
	struct reader r = {.fd = fd,
	                   .page_bytes = scan->page_bytes,
	                   .big_endian_sums = scan->big_endian_sums,
	                   .frame = frame,
	                   .tolerates = scan->tolerates};
	unsigned char h[WAL_HEADER_BYTES];
	struct link link;
	enum err err = read_whole(fd, h, sizeof h, 0, e);

	if (err != ERR_OK && scan->tolerates) {
		memset(h, 0, sizeof h);
		err = ERR_OK;
	}
	link = link_of_header(&r, h);
	for (uint64_t i = 0; i < scan->mend_frames && err == ERR_OK; i++) {
		uint32_t page;

		err = load_frame(&r, i, e);
		if (err != ERR_OK)
			break;
		(void)mend_frame(&r, scan, &link);
		page = get_big_u32(r.frame);
		if (page > 0 && page <= pages)
			frame_of[page] = (uint32_t)i + 1;
	}
	return err;
}

enum err wal_must_be_whole(const char *path, struct error *e)
{
	AUTOFREE char *name = mem_format("%s-wal", path);
	AUTOCLOSE int fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct wal_scan scan = {0};
	struct stat st;
	enum err err;

	if (fd < 0 && errno == ENOENT)
		return ERR_OK;
	if (fd < 0 && (errno == ELOOP || errno == ENXIO) && lstat(name, &st) == 0) /* a link, a socket */
		return error_set(e, ERR_ENVIRONMENT, "%s is %s; move it away", name, files_kind_word(st.st_mode));
	if (fd < 0 || fstat(fd, &st) != 0)
		return error_set_errno(e, ERR_DISK, "%s", name);
	if (!S_ISREG(st.st_mode))
		return error_set(e, ERR_ENVIRONMENT, "%s is %s; move it away", name, files_kind_word(st.st_mode));
	err = wal_scan(fd, &scan, e);
	if (err != ERR_OK)
		return error_wrap(e, "%s", name);
	if (!wal_is_damaged(&scan) || (scan.header_is_torn && scan.commits_mended == scan.commits_lost))
		return ERR_OK;
	return error_set(
	    e, ERR_INPUT,
	    "%s is damaged: %" PRIu64
	    " commits stand behind the break, and cannot be seen before kspool repair has joined them again",
	    name, scan.commits_lost);
}

static enum err mend_copy(const struct files *f, const struct wal_scan *scan, uint64_t *ret_damaged, struct error *e)
{
	AUTOCLOSE int fd = -1;
	enum err err;

	files_remove(f, "-wal.new");
	err = files_copy(f, "-wal", "-wal.new", e);
	if (err == ERR_OK)
		err = files_open_read(f, "-wal.new", O_RDWR, &fd, e);
	if (err == ERR_OK)
		err = wal_mend(fd, scan, ret_damaged, e);
	if (err == ERR_OK)
		err = files_rename(f, "-wal.new", "-wal", e);
	if (err == ERR_FULL)
		files_remove(f, "-wal.new");
	return err == ERR_OK ? files_sync_dir(f, e) : err;
}

enum err wal_mend_file(const struct files *f, const struct wal_scan *scan, char aside[WAL_COPY_BYTES],
                       uint64_t *ret_damaged, struct error *e)
{
	enum err err = ERR_OK;

	for (int64_t ms = clock_wall_ms(), there = 0; err == ERR_OK && there >= 0; ms++) {
		(void)snprintf(aside, WAL_COPY_BYTES, "-wal.damaged-%lld", (long long)ms);
		err = files_size(f, aside, &there, e);
	}
	if (err == ERR_OK)
		err = files_copy(f, "-wal", aside, e);
	if (err == ERR_FULL && files_reserve_give_up(f))
		err = files_copy(f, "-wal", aside, e);
	if (err == ERR_FULL)
		*aside = '\0';
	if (err == ERR_OK)
		err = files_sync_dir(f, e);
	if (err == ERR_OK || err == ERR_FULL)
		err = mend_copy(f, scan, ret_damaged, e);
	if (err == ERR_FULL && files_reserve_give_up(f))
		err = mend_copy(f, scan, ret_damaged, e);
	if (err == ERR_FULL && *aside) {
		files_remove(f, aside);
		*aside = '\0';
		err = mend_copy(f, scan, ret_damaged, e);
	}
	return err;
}
