/*
 * Every function and method with extreme arguments: bytes choose a subject, up to four calls with their arguments, and
 * the message. The rows are those `kspool list` shows. Oracle: a valid message or an error with a text, within two
 * seconds of the processor and 64 MiB; a sanitizer's own time and memory do not count.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "bloblang/bloblang.h"
#include "rig/fuzz.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { ROWS_MAX = 512, HEAD_BYTES = 40, CALLS_MAX = 4 };
#define MOST_NS ((SANITIZED ? 20 : 2) * NS_PER_S)
#define MOST_KIB (64L << 10)

/* As `kspool list` prints it: "name(a: string, b: int = 1)". */
static char *lists[2];
static char *rows[2][ROWS_MAX];
static size_t row_counts[2];
static long first_kib;

static const char *const texts[] = {
    "\"\"",
    "\"a\"",
    "\"%d\"",
    "\"%s %v %q %x %T\"",
    "\"%1000000000d %.999999f\"",
    "\"%[3]*.[2]*[1]f\"",
    "\"2006-01-02T15:04:05Z07:00\"",
    "\"%Y-%m-%d %H:%M:%S.%f %j %U %z\"",
    "\"(a|b)*c\"",
    "\"a[ab]{900}c\"",
    "\"(?i)[[:alpha:]]+\"",
    "\"(.*)(.*)(.*)x\"",
    "\".*b|a\"",
    "\"$.a[?(@.b > 1)]..c\"",
    "\"$..*..*..*\"",
    "\"a.b.0.*\"",
    "\"base64\"",
    "\"hex\"",
    "\"ascii85\"",
    "\"z85\"",
    "\"gzip\"",
    "\"zlib\"",
    "\"flate\"",
    "\"lz4\"",
    "\"snappy\"",
    "\"zstd\"",
    "\"bzip2\"",
    "\"sha256\"",
    "\"xxhash64\"",
    "\"crc32\"",
    "\"md5\"",
    "\"America/New_York\"",
    "\"1h3m\"",
    "\"-9223372036854775808ns\"",
    "\"P1Y2M3DT4H5M6S\"",
    "\"ctr\"",
    "\"gcm\"",
    "\"cbc\"",
    "\"0123456789abcdef\"",
    "\"Castagnoli\"",
    "\"asc\"",
    "\"\\u0000\\u00ff\\ud83d\\ude00\"",
    "content().string()",
    "\"root = this\"",
    "\"root = range(0, 1000000).map_each(i -> i.string())\"",
    "\"{\\\"type\\\":\\\"object\\\"}\"",
    "\"{\\\"anyOf\\\":[{\\\"$ref\\\":\\\"#\\\"},{\\\"$ref\\\":\\\"#\\\"}]}\"",
    "\"{\\\"uniqueItems\\\":true,\\\"items\\\":{\\\"pattern\\\":\\\"a[ab]{900}c\\\"}}\"",
    "\",\"",
    "\"\\n\"",
    "\"$argon2id$v=19$m=1048576,t=9,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA\"",
    "\"$2a$31$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy\"",
    "\"x\".repeat(100000)",
    "\"ab\".repeat(500000)",
    "\"[\".repeat(9000) + \"]\".repeat(9000)",
    "\"{\\\"a\\\":\".repeat(5000)"};
static const char *const ints[] = {"0",
                                   "1",
                                   "-1",
                                   "2",
                                   "7",
                                   "8",
                                   "63",
                                   "64",
                                   "65",
                                   "255",
                                   "65536",
                                   "100000",
                                   "2147483647",
                                   "-2147483648",
                                   "4294967295",
                                   "9223372036854775807",
                                   "-9223372036854775807",
                                   "1000000000000",
                                   "this.n | 5",
                                   "content().length()"};
static const char *const floats[] = {"0.0", "-0.0", "1.5", "-1.5", "1e308", "-1e308", "1e-308", "9.3e18", "1e19"};
static const char *const values[] = {"null",
                                     "true",
                                     "[]",
                                     "{}",
                                     "[1,2,3]",
                                     "[[1,[2,[3]]],\"x\"]",
                                     "{\"a\":{\"b\":[1,{\"c\":2}]}}",
                                     "[{\"a\":1},{\"a\":\"x\"},null]",
                                     "this",
                                     "content()",
                                     "deleted()",
                                     "nothing()",
                                     "[\"b\",\"a\",\"c\"]",
                                     "range(0,20)",
                                     "now()",
                                     "range(0,50000)",
                                     "range(0,50000).map_each(i -> i.string())",
                                     "range(0,3000).map_each(i -> {\"k\": i, \"v\": [i, i]})",
                                     "range(0,1500).fold(0, i -> [i.tally])",
                                     "range(0,1500).fold(0, i -> {\"a\": i.tally})",
                                     "range(0,300).map_each(a -> range(0,300))",
                                     "range(0,4000).fold({}, i -> i.tally.merge({i.value.string(): i.value}))"};
static const char *const queries[] = {"this",
                                      "v -> v",
                                      "this > 1",
                                      "v -> v.string().length()",
                                      "i -> i.value",
                                      "item -> item.left < item.right",
                                      "item -> item.tally + item.value",
                                      "item -> [item.tally, item.tally]",
                                      "this.uppercase() | deleted()",
                                      "k -> k + \"x\"",
                                      "throw(\"x\")",
                                      "content()",
                                      "this.key",
                                      "v -> v.string().repeat(50)"};

static const uint8_t *at, *end;

static void must(bool fine)
{
	if (!fine)
		abort();
}

static uint8_t next(void) { return at < end ? *at++ : 0; }

#define PICK(table) (table)[next() % (sizeof(table) / sizeof *(table))]

/* What touches the machine, or what nobody pays for by the byte, is left out. */
static bool is_left_out(const char *name)
{
	static const char *const out[] = {"file(", "file_rel(", "env(", "hostname("};

	for (size_t i = 0; i < sizeof out / sizeof *out; i++)
		if (strncmp(name, out[i], strlen(out[i])) == 0)
			return true;
	return false;
}

static void read_rows(int kind, void (*list)(struct buf *))
{
	struct buf out;
	char *save = NULL;

	buf_init(&out, 1 << 20);
	list(&out);
	lists[kind] = buf_take(&out, NULL);
	for (char *line = strtok_r(lists[kind], "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (*line != ' ' && !is_left_out(line) && row_counts[kind] < ROWS_MAX)
			rows[kind][row_counts[kind]++] = line;
	must(row_counts[kind] > 20);
}

static long peak_kib(void)
{
	struct rusage usage;

	must(getrusage(RUSAGE_SELF, &usage) == 0);
	return usage.ru_maxrss;
}

static void begin_once(void)
{
	if (row_counts[0])
		return;
	read_rows(0, bloblang_list_functions);
	read_rows(1, bloblang_list_methods);
	first_kib = peak_kib();
}

/* kind: the type's text in the row, from its first letter on. */
static const char *argument(const char *kind)
{
	static const char *const kinds[] = {"string", "int", "float", "bool", "any", "query"};

	if (next() >= 225)
		kind = PICK(kinds);
	switch (*kind) {
	case 's':
		return PICK(texts);
	case 'i':
		return PICK(ints);
	case 'f':
		return PICK(floats);
	case 'b':
		return next() & 1 ? "true" : "false";
	case 'q':
		return PICK(queries);
	default:
		switch (next() % 4) {
		case 0:
			return PICK(texts);
		case 1:
			return PICK(ints);
		default:
			return PICK(values);
		}
	}
}

static void add_call(struct buf *b, int kind)
{
	const char *row = rows[kind][(next() | (size_t)next() << 8) % row_counts[kind]], *p = strchr(row, '(');
	unsigned skip = next();
	bool first = true;

	(void)buf_add(b, row, (size_t)(p - row) + 1);
	while ((p = strstr(p, p[1] == '.' ? "..." : ": "))) {
		bool optional = strcspn(p, "?=") < strcspn(p, ",)");

		p += *p == '.' ? 3 : 2;
		if (optional && (skip & 1))
			break;
		skip >>= 1;
		(void)buf_addf(b, "%s%s", first ? "" : ", ", argument(p));
		first = false;
	}
	(void)buf_add_char(b, ')');
}

static void add_subject(struct buf *b)
{
	uint8_t k = next();

	if (k < 40)
		add_call(b, 0);
	else if (k < 90)
		(void)buf_add_text(b, "content()");
	else if (k < 110)
		(void)buf_add_text(b, "this");
	else if (k < 170)
		(void)buf_add_text(b, PICK(values));
	else if (k < 230)
		(void)buf_addf(b, "(%s)", PICK(texts));
	else
		(void)buf_addf(b, "(%s)", PICK(ints));
}

static int64_t spent_ns(void)
{
	struct timespec t;

	must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void run(const struct bloblang_mapping *m, const struct message_batch *batch)
{
	struct evaluator *ev = evaluator_new();
	int64_t begun_ns = spent_ns();
	struct message *made = NULL;
	struct error e = {.code = ERR_OK};

	must(bloblang_mapping_run(m, ev, batch, false, &made, &e) == ERR_OK || e.text[0] != '\0');
	must(spent_ns() - begun_ns < MOST_NS);
	must(SANITIZED || peak_kib() - first_kib < MOST_KIB);
	must(!made || meta_is_valid(message_meta(made), made->meta_bytes));
	message_free(made);
	evaluator_free(ev);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t head = size < HEAD_BYTES ? size : HEAD_BYTES;
	struct bloblang_mapping *m = NULL;
	struct message *message;
	struct message_batch batch = {.messages = &message, .count = 1};
	struct buf b;

	begin_once();
	at = data;
	end = data + head;
	buf_init(&b, 1 << 16);
	(void)buf_add_text(&b, "root = ");
	add_subject(&b);
	for (int i = next() % CALLS_MAX + 1; i > 0; i--) {
		(void)buf_add_char(&b, '.');
		add_call(&b, 1);
	}
	if (getenv("FUZZ_SHOW"))
		(void)fprintf(stderr, "%s\n", b.data);
	message = message_new(NULL, 0, data + head, size - head, 0);
	if (bloblang_mapping_parse(b.data, NULL, &m, NULL) == ERR_OK)
		run(m, &batch);
	bloblang_mapping_free(m);
	message_free(message);
	buf_fini(&b);
	return 0;
}
