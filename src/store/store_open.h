/*
 * store_open: a spool is opened, begun, closed.
 *
 * What it is: the database file with its companions: PATH-wal (SQLite's), PATH.lock, PATH.reserve, PATH.tide (what was
 * counted, advisory), PATH.unsafe (marker after a disk error). Damage never refuses an open: the files are set
 * aside and a new spool begins.
 * Promises: 3, 4 (settings that do not hold are refused), 8, 10 (the report says what was found).
 * Owner: the caller, until store_close or store_abandon. The strings of the options are copied.
 * Thread: the one that opens is the one that uses and closes.
 * Fails: ERR_BUSY another process has it; ERR_NOINPUT none is there and create is off; ERR_CONFIG a newer schema;
 * ERR_ENVIRONMENT a file that is not ours; ERR_NOSPACE the file system is full; ERR_DISK.
 * Does not: log; the report goes to whoever does.
 */
#ifndef KSPOOL_STORE_STORE_OPEN_H
#define KSPOOL_STORE_STORE_OPEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct store;

/* Which blocks are made smaller before they are written. */
enum store_compress {
	STORE_COMPRESS_AUTO, /* those that will wait (store_set_waits) */
	STORE_COMPRESS_ALWAYS,
	STORE_COMPRESS_NEVER,
};

struct store_options {
	const char *path;
	uint64_t max_bytes; /* 0: no limit */
	uint64_t min_free_bytes;
	bool min_free_is_default; /* then at most its share of a small file system */
	uint64_t reserve_bytes;
	bool evict_oldest;  /* when full: evict instead of refusing */
	uint32_t page_size; /* of a new spool; 0: our choice */
	uint64_t max_message_bytes;
	enum store_compress compress;
	bool create;               /* make a new spool when there is none */
	bool normal_sync_for_test; /* synchronous=NORMAL, so that the power-cut test can be shown to fail */
	const char *vfs;           /* SQLite VFS name for tests; null: default */
};

/* What opening found. */
struct store_report {
	bool created;
	bool unclean;     /* the last run did not close the spool */
	bool marker;      /* a disk error ended the last run */
	bool quarantined; /* structure damage: the old file was moved aside, a new one started */
	char quarantine_path[512];
	bool is_older;            /* commits of the last run are gone: what they settled is here again */
	bool wal_mended;          /* the WAL was damaged in the middle; it was copied aside and joined again */
	uint64_t wal_frames_lost; /* commit frames behind that break that could not be joined */
	bool is_fresh;   /* nothing was committed to this database: it goes on with what another one had counted */
	uint64_t waited; /* in that other one: what of it stands in files set aside comes back */
	uint64_t rows;
	uint64_t salvaged_rows;
	uint64_t in_flight;    /* sent by the last run and not settled: possible duplicates (the journal fills it in) */
	uint64_t damaged;      /* of the ledger: ever, until now */
	uint64_t missing_rows; /* ledger says they were here; they are not (counted as damaged) */
	bool strangers; /* files of another spool, or of another time of this one, were found: the warning says which */
	bool flight_is_anothers; /* so was PATH.flight (the journal fills it in) */
	bool flight_is_damaged;  /* so is this */
	bool is_read_only;       /* of store_look: nothing can be written there */
	bool schema_is_old; /* of store_look: its tables are an older kspool's; they can be peeked at and exported */
	bool copy_on_write; /* the file system needs new blocks to overwrite */
	char warning[768];  /* "" or one sentence for the log */
};

/* Which spool it is: 128 random bits, given once. */
void store_identity(const struct store *s, uint64_t ret[2]);
enum err store_open(const struct store_options *options, struct store **ret, struct store_report *ret_report,
                    struct error *e) MUST_CHECK;
/* Checkpoints when clean and closes, also when it fails. Accepts null. Not MUST_CHECK: who has failed already closes
 * without asking. */
enum err store_close(struct store *s, struct error *e);
/*
 * ERR_DISK when the files under an open store are not those that were opened. *ret_lost: their names are gone or
 * another's, but our descriptors still have them: from now on nothing is admitted, and what waits can be read.
 * Otherwise one was cut short. Cheap, and to be asked every second: SQLite itself would never notice.
 */
enum err store_watch(struct store *s, bool *ret_lost, struct error *e) MUST_CHECK;
/* A companion that store_watch found deleted, replaced or overwritten, and made anew, by its suffix: once each; null:
 * none is left. */
const char *store_take_companion(struct store *s) MUST_CHECK;
/* As store_watch, by names and sizes alone: a few microseconds, so that it can be asked with each commit. */
enum err store_watch_names(struct store *s, bool *ret_lost, struct error *e) MUST_CHECK;
/* Lets go of descriptors without touching the disk (after ERR_DISK). Accepts null. */
void store_abandon(struct store *s);
/* Takes over what may change while it is open: max_bytes, min_free_bytes, evict_oldest, max_message_bytes. */
/* What is appended from now on will wait before it leaves (or not): STORE_COMPRESS_AUTO goes by it. */
void store_set_waits(struct store *s, bool waits);
void store_reconfigure(struct store *s, const struct store_options *options);

#endif
