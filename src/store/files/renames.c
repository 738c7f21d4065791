/* Files of a spool that get another name: what is renamed, published, or written whole. */
#include "store/files/spool_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/files/vfs.h"

/* The folder may be as new as the spool; it is not ours to answer for when its own folder cannot be opened or synced.
 */
static enum err sync_parent(const struct files *f, struct error *e)
{
	AUTOCLOSE int parent = openat(f->dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (parent < 0 || fsync(parent) == 0 || errno == EINVAL || !vfs_is_fault(errno))
		return ERR_OK;
	return error_set_errno(e, ERR_DISK, "fsync of the folder above that of %s", f->path);
}

/* Last of all the name by which the next start knows the spool: what failed before it is done again then. */
enum err files_publish(const struct files *f, const char *suffix, struct error *e)
{
	AUTOCLOSE int fd = files_open_one(f, suffix, O_RDONLY);
	enum err err;

	if (fd < 0 || fsync(fd) != 0)
		return error_set_errno(e, ERR_DISK, "%s%s: fsync", f->path, suffix);
	err = sync_parent(f, e);
	if (err == ERR_OK)
		err = files_rename(f, suffix, "", e);
	return err == ERR_OK ? files_sync_dir(f, e) : err;
}

static enum err rename_once(const struct files *f, const char *suffix, const char *new_suffix, struct error *e)
{
	AUTOFREE char *from = mem_format("%s%s", f->name, suffix);
	AUTOFREE char *to = mem_format("%s%s", f->name, new_suffix);

	if (renameat(f->dir_fd, from, f->dir_fd, to) == 0 || errno == ENOENT)
		return ERR_OK;
	return error_set_errno(e, files_errno_is_full(errno) ? ERR_FULL : ERR_DISK, "cannot rename %s%s to %s", f->path,
	                       suffix, to);
}

/* The folder may need a block for the name. */
enum err files_rename(const struct files *f, const char *suffix, const char *new_suffix, struct error *e)
{
	const enum err err = rename_once(f, suffix, new_suffix, e);

	return err == ERR_FULL && files_reserve_give_up(f) ? rename_once(f, suffix, new_suffix, e) : err;
}

enum err files_put_text(const struct files *f, const char *suffix, const char *text, struct error *e)
{
	AUTOFREE char *new_suffix = mem_format("%s.new", suffix);
	AUTOCLOSE int fd = -1;
	size_t count = strlen(text);
	int64_t size;
	enum err err = files_size(f, new_suffix, &size, e);

	if (err == ERR_OK)
		err = files_size(f, suffix, &size, e);
	if (err != ERR_OK)
		return err;
	fd = files_open_one(f, new_suffix, O_WRONLY | O_CREAT | O_TRUNC);
	if (fd >= 0)
		errno = ENOSPC; /* a short write says nothing else */
	if (fd < 0 || write(fd, text, count) != (ssize_t)count || fsync(fd) != 0)
		return error_set_errno(e, files_errno_is_full(errno) ? ERR_FULL : ERR_DISK, "cannot write %s%s",
		                       f->path, new_suffix);
	err = files_rename(f, new_suffix, suffix, e);
	return err == ERR_OK ? files_sync_dir(f, e) : err;
}
