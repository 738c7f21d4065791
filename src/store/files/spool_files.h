/*
 * spool_files: the spool's folder and the companions of its database.
 *
 * What it is: everything kspool itself does with files of the spool. PATH.lock is held by flock while the spool is
 * open, and names the spool; PATH.tide holds what was counted, the highest acknowledged id among it (written after each
 * commit, never ahead of the truth); PATH.reserve owns blocks that a drain of a full disk may use; PATH.unsafe marks a
 * run that a disk error ended.
 * PATH.tide: "ksptide2", u32le schema version, u32le number of counts, then as u64le: id, the spool's id in two halves,
 * commits, epoch, base, 16 counts (the last two: rows of positions, of cache); u32le how many counts follow, u32le
 * CRC-32C of all before it; then the further counts (TIDE_IMPORTS and following), u32le CRC-32C of all before it but
 * the other one. Of an older kspool, which reads and writes the first part alone, none follow; a still older one is
 * "kspltide", u32le schema version, u32le 0, u64le id, u32le 0, u32le CRC-32C. PATH.lock: "kspool " and the spool's id
 * as 32 hexadecimal digits; where that was chosen for a spool of an older kspool, " of " and 16 digits more, the print
 * of its ledger's row. Promises: 4 (the marker), 5 (the reserve), 8 (never through a link, never another's file).
 * Owner: the store; descriptors are closed by files_close. Thread: the store's. Fails: ERR_ENVIRONMENT with the path
 * and what to do, ERR_BUSY, ERR_DISK when the disk does not answer. Writing the tide, the reserve and the marker is
 * best effort. Does not: open the database once SQLite has it (POSIX locks die with any descriptor that is closed).
 */
#ifndef KSPOOL_STORE_SPOOL_FILES_H
#define KSPOOL_STORE_SPOOL_FILES_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct files {
	char *path;  /* of the database, as configured */
	char *name;  /* its last part */
	int dir_fd;  /* its folder */
	int lock_fd; /* holds the flock */
	int tide_fd;
	uint32_t tide_sum; /* of what was written last; 0: nothing was, or not whole */
	int tide_trouble;  /* errno of opening it */
	int wal_fd;        /* keeps PATH-wal's blocks allocated; SQLite takes no lock on that file */
	int database_fd;   /* likewise the database's. SQLite's locks go when it is closed: after SQLite's own */
	bool copy_on_write;
	bool is_read_only; /* the folder takes no file of ours: nothing is made there, and what nobody can change is
	                      read */
	bool is_given;     /* a volume that root gave to us: group bits of our files are the mount's doing */
	bool overlay;
};

enum { FILES_SHARE = 8 }; /* a file that holds no message takes at most one part in so many */

/* Which spool it is; 0: not known. */
struct spool_id {
	uint64_t high, low;
};
enum { SPOOL_ID_TEXT_BYTES = 33 };

static inline bool spool_id_is_known(struct spool_id id) { return id.high != 0 || id.low != 0; }
static inline bool spool_id_is(struct spool_id a, struct spool_id b) { return a.high == b.high && a.low == b.low; }
/* Both are known, and they are not the same. */
static inline bool spool_id_differs(struct spool_id a, struct spool_id b)
{
	return spool_id_is_known(a) && spool_id_is_known(b) && !spool_id_is(a, b);
}
/* 32 digits; returns `text`. */
char *files_id_text(struct spool_id id, char text[SPOOL_ID_TEXT_BYTES]);
/* False: it is not one. */
bool files_id_parse(const char *text, struct spool_id *ret);

enum {
	TIDE_FIRST_COUNTS = 16, /* that any kspool has */
	TIDE_POSITIONS = 14,    /* rows beside the messages */
	TIDE_KEYS,
	TIDE_IMPORTS,
	TIDE_POSITIONS_SUM, /* of their checksums, in whichever order */
	TIDE_IMPORTS_SUM,
	TIDE_LEFT,     /* the commit that PATH.left has */
	TIDE_POSSIBLE, /* duplicates */
	TIDE_CLOCK,    /* the spool's own time, as the ledger has it */
	TIDE_BOOT,
	TIDE_OFFSET,
	TIDE_LEAD, /* what the last row of the clock says; 0: not known */
	TIDE_BACK, /* of what was put back from the shelf: spans of its new ids, and how many of each are */
	TIDE_BACK_SPANS = 8,
	TIDE_BACK_NUMBERS = 3, /* first, last, count; 0: no span */
	TIDE_COUNTS_MAX = TIDE_BACK + TIDE_BACK_SPANS * TIDE_BACK_NUMBERS,
};
struct tide {
	bool is_valid;
	bool is_broken;      /* there is a file, which is none */
	bool is_dead;        /* it cannot be read, however often it is tried */
	bool unread_is_read; /* the one that could not be read before; it is the later one of the two that is told */
	bool has_more;       /* the counts behind TIDE_FIRST_COUNTS are known, and not of an older kspool */
	uint32_t schema;
	uint64_t id;
	/* Below: 0 in one of an older kspool. */
	struct spool_id spool;
	uint64_t commits, epoch, base; /* of the ledger */
	uint32_t count;
	uint64_t counts[TIDE_COUNTS_MAX]; /* of the ledger, as the store orders them */
};

/* No room for what is written: the disk, a quota, or a limit of file sizes (ulimit -f), whose signal is ignored. */
static inline bool files_errno_is_full(int number) { return number == ENOSPC || number == EDQUOT || number == EFBIG; }

/* What leads out when a sector of the spool's files cannot be read for good. */
#define FILES_DEAD_WAY                                                                                               \
	"; if that stays so, copy the spool's files to a healthy disk, this one with dd bs=4096 conv=noerror,sync, " \
	"and"                                                                                                        \
	" run kspool repair there"

#define FILES_NONE ((struct files){.dir_fd = -1, .lock_fd = -1, .tide_fd = -1, .wal_fd = -1, .database_fd = -1})

/* Checks the folder, takes the lock, and checks that each companion is a plain file. ERR_BUSY: another process has it.
 */
enum err files_open(struct files *f, const char *path, struct error *e) MUST_CHECK;
/*
 * To read it, also on a read-only file system and in a folder that we may not write in: nothing is made, and the lock
 * is held where there is one. Without one nobody has the spool open.
 */
enum err files_open_reader(struct files *f, const char *path, struct error *e) MUST_CHECK;
/* Likewise without the lock: to look at the names beside a spool that another has. */
enum err files_open_folder(struct files *f, const char *path, struct error *e) MUST_CHECK;
/* Likewise where nothing can be written. */
enum err files_open_names(struct files *f, const char *path, struct error *e) MUST_CHECK;
void files_close(struct files *f);

/* The path leads to the folder that was opened: it, or one above it, was not renamed, nor mounted over. */
bool files_is_at_path(const struct files *f);

/* Size of NAME+suffix in the folder; -1 when it is not there. Refuses what is not a plain file of ours. */
enum err files_size(const struct files *f, const char *suffix, int64_t *ret, struct error *e) MUST_CHECK;
/* What is not a plain file, in words: "a directory, not a file". */
const char *files_kind_word(mode_t mode);
/* Without the checks; 0 when it is not there. */
uint64_t files_bytes(const struct files *f, const char *suffix);
/* Descriptor of NAME+suffix, never through a link, nor to write a file of two names (EMLINK); -1 with errno. */
int files_open_one(const struct files *f, const char *suffix, int flags);
/* Likewise for looking at it: *ret_fd is -1 when it is not there, and only then. */
enum err files_open_read(const struct files *f, const char *suffix, int flags, int *ret_fd, struct error *e) MUST_CHECK;
/* *ret_count < count: the file ends there. ERR_DISK: it could not be read. */
enum err files_read_at(int fd, void *to, size_t count, int64_t offset, size_t *ret_count, struct error *e) MUST_CHECK;
enum err files_create(const struct files *f, const char *suffix, struct error *e) MUST_CHECK;
/* PATH+suffix, synced, becomes PATH. */
enum err files_publish(const struct files *f, const char *suffix, struct error *e) MUST_CHECK;
/* What is not there is passed over; where the name has no room the reserve is given up, and it is tried once more. */
enum err files_rename(const struct files *f, const char *suffix, const char *new_suffix, struct error *e) MUST_CHECK;
enum err files_copy(const struct files *f, const char *suffix, const char *new_suffix, struct error *e) MUST_CHECK;
/* A small file of one text: whole under its name, and durable with its folder, or not there. */
enum err files_put_text(const struct files *f, const char *suffix, const char *text, struct error *e) MUST_CHECK;
/* "" when it is not there; what is longer is cut. */
enum err files_get_text(const struct files *f, const char *suffix, char *to, size_t size, struct error *e) MUST_CHECK;
enum err files_sync_dir(const struct files *f, struct error *e) MUST_CHECK;
void files_remove(const struct files *f, const char *suffix);
/* Makes the next reads come from the disk: pages that were written back are dropped from memory. */
void files_drop_cache(const struct files *f);

/* What a start could not read, and moved out of the way. */
#define FILES_DEAD_TIDE ".tide.unread"
/* Not valid: there is none, it was read and is not one, or it cannot be read. */
enum err files_tide_read(const struct files *f, struct tide *ret, struct error *e) MUST_CHECK;
/* Opens (and creates) PATH.tide; best effort. */
void files_tide_open(struct files *f);
/* 0, or the errno of what failed: the tide then says less than it should. */
int files_tide_write(struct files *f, const struct tide *tide);
/* False: what was written last does not stand under its name any more. */
bool files_tide_stands(const struct files *f);
/* The spool that PATH.lock names; not known: none, or it cannot be read. *ret_print (not null): of the row that had no
 * name, and for which this one was chosen; 0: of none. */
struct spool_id files_lock_spool(const struct files *f, uint64_t *ret_print);
/* Makes it name this one; best effort. */
void files_lock_name(const struct files *f, struct spool_id id);
/* Likewise, chosen for the row of that print, and durable. */
enum err files_lock_choose(const struct files *f, struct spool_id id, uint64_t print, struct error *e) MUST_CHECK;

/*
 * Makes the first `bytes` of the WAL own their blocks, so that a full disk can be drained; fewer where that would be
 * more than FILES_SHARE of the file system or leave less than `spare_bytes` free. Returns how many there are; what does
 * not fit is undone.
 */
uint64_t files_wal_hold(struct files *f, uint64_t bytes, uint64_t spare_bytes);
/*
 * Makes the first `bytes` of the database own their blocks, or changes nothing: false, there is no room. A file system
 * that cannot promise blocks makes it true. Between SQLite's opening of the database and its closing; then
 * files_database_let_go.
 */
bool files_database_hold(struct files *f, uint64_t bytes);
void files_database_let_go(struct files *f);
/* What else has blocks on the file system. UINT64_MAX: it does not say. */
uint64_t files_of_others(const struct files *f);
/* `bytes`, or what FILES_SHARE of the file system is when that is less. */
uint64_t files_share(const struct files *f, uint64_t bytes);
/* Bytes of blocks that PATH`suffix` owns; 0 when there is no such file. */
uint64_t files_held(const struct files *f, const char *suffix);
/* True when PATH.reserve has `bytes` blocks now; makes it when the file system has `spare_bytes` beyond it. A part that
 * it has already stays. */
bool files_reserve_make(const struct files *f, uint64_t bytes, uint64_t spare_bytes);
/* True when it had more than that, which is given up. */
bool files_reserve_leave(const struct files *f, uint64_t bytes);
/* True when there was one to give up. */
bool files_reserve_give_up(const struct files *f);
/* Free bytes for us on the file system. */
uint64_t files_free_bytes(const struct files *f);

bool files_marker_exists(const struct files *f);
void files_marker_put(const struct files *f, const char *reason);

#endif
