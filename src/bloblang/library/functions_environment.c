/* Functions of the family "environment": variables, files, the host and the clock. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "value/time.h"
#include "bloblang/language/function.h"

enum { FILE_BYTES_MAX = 64 << 20, HOST_MAX = 256 };

/* --- env --- */

static struct value read_env(struct call *call)
{
	const char *name = arena_copy(call->arena, call->args[0].text, call->args[0].length);
	const char *text = getenv(name);

	return text ? value_string_copy(call->arena, text, strlen(text)) : value_null();
}

/* Read while parsing, unless no_cache is asked for. */
static bool prepare_env(struct call *call)
{
	struct value *v;

	if (call->args[1].boolean)
		return true;
	v = arena_alloc(call->arena, sizeof *v);
	*v = read_env(call);
	call->prepared = v;
	return true;
}

static bool env(struct call *call, struct value *ret)
{
	*ret = call->prepared ? *(const struct value *)call->prepared : read_env(call);
	return true;
}

/* --- file --- */

static bool read_whole(struct call *call, const char *path, struct value *ret)
{
	AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *bytes;
	size_t n = 0;

	if (fd < 0 || fstat(fd, &st) != 0)
		return call_fail_final(call, "open %s: %s", path,
		                       errno == ENOENT ? "no such file or directory" : strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_BYTES_MAX || !arena_fits(call->arena, (size_t)st.st_size))
		return call_fail_final(call, "read %s: not a regular file of at most %d MiB", path,
		                       FILE_BYTES_MAX >> 20);
	bytes = arena_alloc(call->arena, (size_t)st.st_size + 1);
	while (n < (size_t)st.st_size) {
		ssize_t got = read(fd, bytes + n, (size_t)st.st_size - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	*ret = value_bytes(bytes, n);
	return true;
}

static bool load(struct call *call, bool relative, struct value *ret)
{
	const char *path = arena_copy(call->arena, call->args[0].text, call->args[0].length);
	const char *folder = relative && *path != '/' ? call_folder(call) : NULL;

	return read_whole(call, folder ? arena_format(call->arena, "%s/%s", folder, path) : path, ret);
}

static bool prepare_load(struct call *call, bool relative)
{
	struct value *v;

	if (call->args[1].boolean)
		return true;
	v = arena_alloc(call->arena, sizeof *v);
	call->prepared = v;
	return load(call, relative, v);
}

static bool prepare_file(struct call *call) { return prepare_load(call, false); }

static bool prepare_file_rel(struct call *call) { return prepare_load(call, true); }

static bool give(struct call *call, bool relative, struct value *ret)
{
	if (!call->prepared)
		return load(call, relative, ret);
	*ret = *(const struct value *)call->prepared;
	return true;
}

static bool file(struct call *call, struct value *ret) { return give(call, false, ret); }

static bool file_rel(struct call *call, struct value *ret) { return give(call, true, ret); }

/* --- host and clock --- */

static bool hostname(struct call *call, struct value *ret)
{
	char name[HOST_MAX] = "";

	if (gethostname(name, sizeof name - 1) != 0)
		return call_fail(call, "the host name cannot be read: %s", strerror(errno));
	*ret = value_string_copy(call->arena, name, strlen(name));
	return true;
}

static bool now(struct call *call, struct value *ret)
{
	int64_t ns = clock_wall_ns();
	struct value_time t = time_local(ns / NS_PER_S, (int32_t)(ns % NS_PER_S));
	char text[TIME_TEXT_MAX];

	*ret = value_string_copy(call->arena, text, time_print(text, &t));
	return true;
}

static bool unix_seconds(struct call *call, struct value *ret)
{
	(void)call;
	*ret = value_int(clock_wall_ns() / NS_PER_S);
	return true;
}

static bool unix_milli(struct call *call, struct value *ret)
{
	(void)call;
	*ret = value_int(clock_wall_ns() / NS_PER_MS);
	return true;
}

static bool unix_micro(struct call *call, struct value *ret)
{
	(void)call;
	*ret = value_int(clock_wall_ns() / NS_PER_US);
	return true;
}

static bool unix_nano(struct call *call, struct value *ret)
{
	(void)call;
	*ret = value_int(clock_wall_ns());
	return true;
}

/* clang-format off */
const struct bloblang_row rows_functions_environment[] = {
	{.name = "env", .kind = FUNCTION, .flags = ROW_IMPURE, .evaluate = env, .prepare = prepare_env,
	 .parameters = {{"name", PARAM_STRING, false, NULL}, {"no_cache", PARAM_BOOL, false, "false"}},
	 .summary = "An environment variable, null when it is not set."},
	{.name = "file", .kind = FUNCTION, .flags = ROW_IMPURE, .evaluate = file, .prepare = prepare_file,
	 .parameters = {{"path", PARAM_STRING, false, NULL}, {"no_cache", PARAM_BOOL, false, "false"}},
	 .summary = "The bytes of a file."},
	{.name = "file_rel", .kind = FUNCTION, .flags = ROW_IMPURE, .evaluate = file_rel, .prepare = prepare_file_rel,
	 .parameters = {{"path", PARAM_STRING, false, NULL}, {"no_cache", PARAM_BOOL, false, "false"}},
	 .summary = "The bytes of a file beside the mapping."},
	{.name = "hostname", .kind = FUNCTION, .flags = ROW_IMPURE, .evaluate = hostname,
	 .summary = "The name of the host."},
	{.name = "now", .kind = FUNCTION, .flags = ROW_VARIES, .evaluate = now, .summary = "The local time as RFC 3339 text."},
	{.name = "timestamp_unix", .kind = FUNCTION, .flags = ROW_VARIES, .evaluate = unix_seconds, .summary = "Seconds since 1970."},
	{.name = "timestamp_unix_milli", .kind = FUNCTION, .flags = ROW_VARIES, .evaluate = unix_milli,
	 .summary = "Milliseconds since 1970."},
	{.name = "timestamp_unix_micro", .kind = FUNCTION, .flags = ROW_VARIES, .evaluate = unix_micro,
	 .summary = "Microseconds since 1970."},
	{.name = "timestamp_unix_nano", .kind = FUNCTION, .flags = ROW_VARIES, .evaluate = unix_nano,
	 .summary = "Nanoseconds since 1970."},
	{.name = NULL},
};
/* clang-format on */
