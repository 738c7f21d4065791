/*
 * wal: the write-ahead log as bytes, read before SQLite opens it.
 *
 * What it is: SQLite stops reading a log at the first frame whose checksum is wrong and says nothing. wal_scan finds
 * that break and looks behind it: each frame's checksum is seeded with its predecessor's stored one, so undamaged
 * frames of the live generation prove themselves. Commit frames among them: none is a clean tail, one is the torn,
 * never acknowledged last transaction of a power cut, two or more mean damage in the middle. wal_mend then joins the
 * log again: all checksums are written anew, the damaged frame's content as it is (rows carry their own checksum).
 * Format: sqlite.org/fileformat2.html, section 4.
 * Promises: 8 (damage does not hide what stands behind it).
 * Owner: the caller owns the descriptor.
 * Thread: the store's, only while no SQLite connection is open.
 * Fails: ERR_DISK.
 * Does not: apply a frame to the database, or change the length of the log.
 */
#ifndef KSPOOL_STORE_WAL_H
#define KSPOOL_STORE_WAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct files;

struct wal_scan {
	bool tolerates;          /* set before wal_scan: what cannot be read is taken for zeros, and counted */
	uint64_t unreadable;     /* frames */
	uint64_t nameless;       /* of those, the ones that do not even say which page they hold, and may be live */
	bool is_empty;           /* no file, no frame, or never used */
	bool header_is_sound;    /* its own checksum holds */
	bool header_is_torn;     /* by a cut while the log began again: all of it is in the database */
	uint32_t page_bytes;     /* 0 when not known */
	bool big_endian_sums;    /* word order of the checksums */
	uint64_t frames;         /* sound ones, from the start */
	uint64_t commits;        /* of those, the ones that end a transaction */
	uint64_t commits_lost;   /* commit frames behind the break that prove themselves */
	uint64_t commits_mended; /* of those, the ones wal_mend brings back */
	uint64_t mend_frames;    /* length of the log that wal_mend can make */
	uint32_t pages;          /* of the database, as the last of those commits says */
	uint32_t highest_page;   /* of which a frame proved itself */
	uint32_t salts[2];       /* big-endian values of the live generation */
};

/* *ret: all 0, but for `tolerates`. */
enum err wal_scan(int fd, struct wal_scan *ret, struct error *e) MUST_CHECK;
/* Rewrites the log in place so that SQLite reads scan->mend_frames frames; synced. *ret_damaged: frames not sound. */
enum err wal_mend(int fd, const struct wal_scan *scan, uint64_t *ret_damaged, struct error *e) MUST_CHECK;

/*
 * The log of f is joined again, in a copy that takes its name when it is whole. aside: suffix of a copy of the log as
 * it was, "" when there was no room for one. The reserve is given up for either.
 */
enum { WAL_COPY_BYTES = 64 };
enum err wal_mend_file(const struct files *f, const struct wal_scan *scan, char aside[WAL_COPY_BYTES],
                       uint64_t *ret_damaged, struct error *e) MUST_CHECK;
/* The log beside a spool that is read as it is; ERR_INPUT: commits stand behind a break in it. */
enum err wal_must_be_whole(const char *path, struct error *e) MUST_CHECK;

/* Where the page of a frame stands in the log. */
int64_t wal_page_offset(const struct wal_scan *scan, uint64_t frame);
/* The page that a frame holds, as its header says. */
enum err wal_page_number(int fd, const struct wal_scan *scan, uint64_t frame, uint32_t *ret,
                         struct error *e) MUST_CHECK;
/*
 * frame_of[n] becomes 1 + the newest frame of page n, n <= pages, as wal_mend would join the log; others stay. A frame
 * that is not sound counts when its page number can be believed.
 */
enum err wal_frames_of_pages(int fd, const struct wal_scan *scan, uint32_t *frame_of, uint32_t pages,
                             struct error *e) MUST_CHECK;

/* True when the break hides acknowledged transactions. */
static inline bool wal_is_damaged(const struct wal_scan *scan) { return scan->commits_lost >= 2; }

#endif
