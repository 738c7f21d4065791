/* Functions that look outside the message: environment, files, host, counters of the process, failure sources. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
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

static bool hostname(struct call *call, struct value *ret)
{
	char name[HOST_MAX] = "";

	if (gethostname(name, sizeof name - 1) != 0)
		return call_fail(call, "the host name cannot be read: %s", strerror(errno));
	*ret = value_string_copy(call->arena, name, strlen(name));
	return true;
}

/* --- count: named counters of the process; the list only grows, at the head --- */

struct named_counter {
	struct named_counter *next;
	_Atomic int64_t value;
	size_t length;
	char name[];
};

enum { COUNTERS_MAX = 10000 };

static _Atomic(struct named_counter *) counters;
static _Atomic int counters_made;

static struct named_counter *find_counter(struct named_counter *from, const struct named_counter *until,
                                          const char *name, size_t length)
{
	for (; from != until; from = from->next)
		if (from->length == length && memcmp(from->name, name, length) == 0)
			return from;
	return NULL;
}

static struct named_counter *take_counter(const char *name, size_t length)
{
	struct named_counter *head = atomic_load(&counters), *seen = NULL;
	struct named_counter *found = find_counter(head, NULL, name, length), *made;

	if (found || atomic_load(&counters_made) >= COUNTERS_MAX)
		return found;
	made = mem_zero(sizeof *made + length);
	made->length = length;
	memcpy(made->name, name, length);
	do { /* another thread may have added the same name meanwhile */
		found = find_counter(head, seen, name, length);
		if (found) {
			free(made);
			return found;
		}
		seen = head;
		made->next = head;
	} while (!atomic_compare_exchange_weak(&counters, &head, made));
	(void)atomic_fetch_add(&counters_made, 1);
	return made;
}

static bool count(struct call *call, struct value *ret)
{
	struct named_counter *c = take_counter(call->args[0].text, call->args[0].length);

	if (!c)
		return call_fail(call, "more than %d names are counted", COUNTERS_MAX);
	*ret = value_int(atomic_fetch_add(&c->value, 1) + 1);
	return true;
}

/* --- what this program does not know --- */

/* Messages carry the text of a failure only: which component failed is not recorded, nor are there trace spans. */
static bool unknown(struct call *call, struct value *ret)
{
	(void)call;
	*ret = value_null();
	return true;
}

/* The component that failed the message, as the pipeline noted it. */
static bool source_part(struct call *call, struct value *ret, size_t offset)
{
	const struct message *m = call_message(call);
	const char *text = NULL;

	if (m && m->failure && m->failed_at)
		memcpy(&text, (const char *)m->failed_at + offset, sizeof text);
	*ret = text ? value_literal(text) : value_null();
	return true;
}

static bool source_label(struct call *call, struct value *ret)
{
	return source_part(call, ret, offsetof(struct message_source, label));
}

static bool source_name(struct call *call, struct value *ret)
{
	return source_part(call, ret, offsetof(struct message_source, name));
}

static bool source_path(struct call *call, struct value *ret)
{
	return source_part(call, ret, offsetof(struct message_source, path));
}

static bool no_trace(struct call *call, struct value *ret)
{
	(void)call;
	*ret = value_literal("");
	return true;
}

/* --- with_schema_registry_header --- */

static bool with_schema_registry_header(struct call *call, struct value *ret)
{
	struct value id = call->args[0], body = call->args[1];
	char *out;
	int64_t n;

	if (id.kind != VALUE_INT && id.kind != VALUE_UINT && id.kind != VALUE_FLOAT)
		return call_fail_final(call, "schema ID must be a number, got %s", value_go_type(id));
	(void)value_to_int(id, &n);
	if (n < 0 || n > UINT32_MAX)
		return call_fail_final(call, "schema ID %lld is out of range", (long long)n);
	if (!value_is_text(body))
		return call_fail_final(call, "message must be bytes or a string, got %s", value_go_type(body));
	out = arena_alloc(call->arena, body.length + 5U);
	out[0] = '\0';
	for (int i = 0; i < 4; i++)
		out[1 + i] = (char)((uint32_t)n >> (24 - 8 * i));
	memcpy(out + 5, body.text, body.length);
	*ret = value_bytes(out, body.length + 5U);
	return true;
}

/* clang-format off */
#define ENVIRONMENT(name_, status_, flags_, evaluate_, prepare_, summary_, ...) \
	{.name = name_, .kind = FUNCTION, .status = status_, .flags = flags_, .evaluate = evaluate_, \
	 .prepare = prepare_, .summary = summary_, .parameters = {__VA_ARGS__}}
#define NO_CACHE {"no_cache", PARAM_BOOL, false, "false"}

const struct bloblang_row rows_functions_environment[] = {
	ENVIRONMENT("env", STABLE, ROW_IMPURE, env, prepare_env, "An environment variable, null when it is not set.", {"name", PARAM_STRING, false, NULL}, NO_CACHE),
	ENVIRONMENT("file", STABLE, ROW_IMPURE, file, prepare_file, "The bytes of a file.", {"path", PARAM_STRING, false, NULL}, NO_CACHE),
	ENVIRONMENT("file_rel", STABLE, ROW_IMPURE, file_rel, prepare_file_rel, "The bytes of a file beside the mapping.", {"path", PARAM_STRING, false, NULL}, NO_CACHE),
	ENVIRONMENT("hostname", STABLE, ROW_IMPURE, hostname, NULL, "The name of the host.", {NULL}),
	ENVIRONMENT("count", DEPRECATED, ROW_IMPURE, count, NULL, "Counts up a named counter of the process.", {"name", PARAM_STRING, false, NULL}),
	ENVIRONMENT("error_source_label", STABLE, ROW_READS_MESSAGE, source_label, NULL, "The label of the component that failed the message; null when none did.", {NULL}),
	ENVIRONMENT("error_source_name", STABLE, ROW_READS_MESSAGE, source_name, NULL, "The type of the component that failed the message; null when none did.", {NULL}),
	ENVIRONMENT("error_source_path", STABLE, ROW_READS_MESSAGE, source_path, NULL, "The path of the component that failed the message; null when none did.", {NULL}),
	ENVIRONMENT("tracing_id", EXPERIMENTAL, ROW_READS_MESSAGE, no_trace, NULL, "The trace id; empty: messages carry no spans.", {NULL}),
	ENVIRONMENT("tracing_span", EXPERIMENTAL, ROW_READS_MESSAGE, unknown, NULL, "The trace headers; null: messages carry no spans.", {NULL}),
	ENVIRONMENT("with_schema_registry_header", STABLE, 0, with_schema_registry_header, NULL, "Prefixes bytes with a schema registry header.", {"schema_id", PARAM_ANY, false, NULL}, {"message", PARAM_ANY, false, NULL}),
	{.name = NULL},
};
/* clang-format on */
