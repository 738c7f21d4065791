/* The whole spool out to one file, which has its name only when it is whole and synced, and replaces none. */
#include "store/upkeep/store_upkeep_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/files/new_file.h"
#include "store/upkeep/store_copy.h"

static enum err vacuum_into(struct store *s, const char *path, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	enum err err = s->is_looked_at ? sql_exec(s->db, "PRAGMA query_only=0", e, path) : ERR_OK;
	int rc;

	if (err != ERR_OK)
		return err;
	rc = sqlite3_prepare_v2(s->db, "VACUUM INTO ?1", -1, &st, NULL);
	if (rc == SQLITE_OK) {
		(void)sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, 1); /* how VACUUM reaches its target */
		(void)sqlite3_bind_text(st, 1, path, -1, SQLITE_STATIC);
		rc = sqlite3_step(st);
		(void)sqlite3_reset(st);
		(void)sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, 0);
	}
	return rc == SQLITE_DONE ? ERR_OK : sql_error(s->db, rc, e, path);
}

static bool stat_folder_of(const char *target, struct stat *ret)
{
	AUTOFREE char *folder = mem_string(target);
	char *slash = strrchr(folder, '/');

	if (slash)
		slash[slash == folder ? 1 : 0] = '\0';
	return stat(slash ? folder : ".", ret) == 0;
}

/* A copy beside the spool must not take the room that is to stay free: intake would stop. */
static enum err has_room(struct store *s, const char *target, struct error *e)
{
	struct stat there, ours;
	int64_t pages = 0, unused = 0;
	uint64_t free_bytes, bytes;
	enum err err;

	if (!stat_folder_of(target, &there) || fstat(s->files.dir_fd, &ours) != 0 || there.st_dev != ours.st_dev)
		return ERR_OK;
	err = store_number(s, "PRAGMA page_count", &pages, e);
	if (err == ERR_OK)
		err = store_number(s, "PRAGMA freelist_count", &unused, e);
	if (err != ERR_OK)
		return err;
	bytes = (uint64_t)(pages - unused) * s->page_bytes;
	free_bytes = files_free_bytes(&s->files);
	if (free_bytes >= s->options.min_free_bytes && free_bytes - s->options.min_free_bytes >= bytes)
		return ERR_OK;
	return error_set(e, ERR_INPUT,
	                 "a copy needs %" PRIu64 " bytes beside the %" PRIu64
	                 " that stay free for the spool (kspool.min_free), and %" PRIu64
	                 " are free; name a file on another file system, or free some space",
	                 bytes, s->options.min_free_bytes, free_bytes);
}

/* Names beside the spool that a start makes, takes for its own, or takes away. */
static bool is_the_spools(const struct store *s, const char *target)
{
	static const char *const words[] = {"-wal",    "-journal", "-shm",        ".new",     ".tide",
	                                    ".left",   ".flight",  ".poison",     ".reserve", ".aside",
	                                    ".unsafe", ".lock",    ".quarantine", ".sock"};
	const char *slash = strrchr(target, '/'), *name = slash ? slash + 1 : target;
	struct stat there, ours;
	bool found = false;

	if (!stat_folder_of(target, &there) || fstat(s->files.dir_fd, &ours) != 0 || there.st_dev != ours.st_dev ||
	    there.st_ino != ours.st_ino || strncmp(name, s->files.name, strlen(s->files.name)) != 0)
		return false;
	name += strlen(s->files.name);
	for (size_t i = 0; i < sizeof words / sizeof *words && !found; i++) {
		const size_t length = strlen(words[i]);

		found = strncmp(name, words[i], length) == 0 && (!name[length] || strchr("-.", name[length]));
	}
	return found;
}

enum err store_export(struct store *s, const char *target, struct error *e)
{
	AUTOFREE char *part = mem_format("%s.kspool-part", target);
	AUTOCLOSE int fd = -1;
	struct stat st;
	enum err err;

	if (is_the_spools(s, target))
		return error_set(e, ERR_INPUT, "%s is a name that the spool keeps for files of its own; name another",
		                 target);
	if (lstat(target, &st) == 0)
		return error_set(e, ERR_INPUT, "%s is there already; name a new file", target);
	err = has_room(s, target, e);
	if (err != ERR_OK)
		return err;
	err = new_file_begin(part, &fd, e);
	if (err != ERR_OK)
		return err;
	return new_file_finish(vacuum_into(s, part, e), part, target, fd, e);
}
