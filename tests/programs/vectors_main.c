/*
 * vectors: runs Bloblang conformance vectors.
 *
 * What it is: reads files of vectors (a JSON array of objects: id, kind, tier, mapping, input, and one outcome) with
 * kspool's own JSON reader, runs each through the public interface of bloblang/, and prints a line per miss with id and
 * reason, then "passed N, failed N, skipped N". Kinds: mapping (the body is compared), interpolation (the text), check
 * (true or false), sequence (one compiled mapping, several messages). Vectors without a deterministic outcome are
 * skipped, and so are those of --skip FILE: an id a line, with the decision behind it. With --gate it ends with 0 when
 * the gate holds: L1 outcomes of tier 1 without quirks, all; L2 the same with error texts, 99 %; L3 everything, 97 %.
 * Without it, with 0 when nothing failed.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "value/json.h"
#include "value/value.h"
#include "bloblang/bloblang.h"

enum { FILE_BYTES_MAX = 256 * 1024 * 1024, BATCH_MAX = 64, TEXT_BYTES_MAX = 64 * 1024 * 1024 };

enum outcome { PASSED, WRONG_TEXT, FAILED, SKIPPED };

static struct {
	long passed;
	long failed;
	long skipped;
	long tier1;         /* tier 1 without quirk */
	long tier1_outcome; /* of these, right outcome */
	long tier1_text;    /* of these, right error text too */
} total;

static struct evaluator *evaluator;
static struct arena scratch;
static char folder[] = "/tmp/kspool-vectors-XXXXXX";

static struct value member(struct value v, const char *key)
{
	const struct value *found = value_object_find(v, key, strlen(key));

	return found != NULL ? *found : value_nothing();
}

static const char *text_of(struct value v) { return value_is_text(v) ? arena_copy(&scratch, v.text, v.length) : ""; }

static bool is_true(struct value v) { return v.kind == VALUE_BOOL && v.boolean; }

static const char *json_of(struct value v)
{
	static const struct json_style style = {0};
	const char *error;
	struct text t;

	text_init(&t, &scratch);
	return json_print(&t, v, &style, &error) ? text_end(&t) : error;
}

/* ---- messages ---- */

static void build_meta(struct buf *b, struct value meta)
{
	buf_init(b, TEXT_BYTES_MAX);
	for (uint32_t i = 0; i < value_count(meta); i++) {
		const struct value_pair *p = &meta.object->pairs[i];
		bool is_text = p->value.kind == VALUE_STRING;
		const char *value = is_text ? p->value.text : json_of(p->value);
		size_t length = is_text ? p->value.length : strlen(value);

		if (meta_add(b, is_text ? 's' : 'j', p->key, p->key_length, value, length) != ERR_OK)
			abort();
	}
}

static struct message *build_message(struct value from)
{
	struct value input = member(from, "input");
	struct value failure = member(from, "err");
	struct message *m;
	struct buf meta;

	build_meta(&meta, member(from, "meta"));
	m = message_new(meta.data, meta.len, input.text, input.length, 0);
	buf_fini(&meta);
	if (value_is_text(failure))
		message_fail(m, NULL, text_of(failure));
	return m;
}

struct messages {
	struct message *items[BATCH_MAX];
	struct message_batch batch;
};

static void messages_init(struct messages *m, struct value vector)
{
	struct value batch = member(vector, "batch");
	int64_t index = 0;

	m->batch = (struct message_batch){.messages = m->items};
	for (uint32_t i = 0; batch.kind == VALUE_ARRAY && i < batch.array->count && i < BATCH_MAX; i++)
		m->items[m->batch.count++] = build_message(batch.array->items[i]);
	if (m->batch.count == 0)
		m->items[m->batch.count++] = build_message(vector);
	if (value_to_int(member(vector, "index"), &index))
		m->batch.index = (size_t)index;
}

static void messages_fini(struct messages *m)
{
	for (size_t i = 0; i < m->batch.count; i++)
		message_free(m->items[i]);
}

/* ---- one outcome ---- */

/* What came out. */
struct result {
	bool failed;
	bool at_parse;
	bool deleted;
	char error[1200];
	const char *body;
	size_t length;
	const void *meta;
	size_t meta_bytes;
};

static enum outcome miss(struct value vector, enum outcome kind, const char *reason, const char *detail, size_t length)
{
	printf("%s: %s: %.*s\n", text_of(member(vector, "id")), reason, (int)(length > 600 ? 600 : length), detail);
	return kind;
}

/* The text as JSON holds it: what is no UTF-8 is U+FFFD. */
static const char *as_valid(const char *s)
{
	const char *end = s + strlen(s);
	struct text t;

	text_init(&t, &scratch);
	while (s < end) {
		uint32_t rune;
		bool valid;
		size_t width = utf8_decode(s, end, &rune, &valid);

		text_add(&t, valid ? s : "\xef\xbf\xbd", valid ? width : 3);
		s += width;
	}
	return text_end(&t);
}

/* A text that fills its place was cut. */
static bool says(const char *error, const char *wanted)
{
	const char *valid = as_valid(error);

	if (strlen(error) == ERROR_TEXT_MAX - 1)
		return strncmp(valid, wanted, strlen(valid) - UTF8_MAX) == 0;
	return strstr(error, wanted) != NULL || strstr(valid, wanted) != NULL;
}

static enum outcome compare_error(struct value vector, struct value expected, const struct result *r)
{
	struct value error = member(expected, "error");
	const char *phase = text_of(member(expected, "error_phase"));

	if (!r->failed)
		return miss(vector, FAILED, "an error was expected, got", r->deleted ? "(deleted)" : r->body,
		            r->deleted ? 9 : r->length);
	if (phase[0] != '\0' && (strcmp(phase, "parse") == 0) != r->at_parse)
		return miss(vector, FAILED, r->at_parse ? "failed while parsing" : "failed while running", r->error,
		            strlen(r->error));
	if (value_is_text(error) && !says(r->error, text_of(error))) {
		printf("%s: error text: wanted %s\n", text_of(member(vector, "id")), text_of(error));
		return miss(vector, WRONG_TEXT, "error text: got", r->error, strlen(r->error));
	}
	return PASSED;
}

static bool meta_equals(struct value wanted, const struct result *r)
{
	struct meta_entry entry;
	size_t cursor = 0;
	uint32_t count = 0;

	for (; meta_next(r->meta, r->meta_bytes, &cursor, &entry); count++) {
		const struct value *w = value_object_find(wanted, entry.key, entry.key_length);
		struct value v = value_string(entry.value, entry.value_length);
		const char *error;

		if (entry.type == 'j' && !json_parse(&scratch, entry.value, entry.value_length, &v, &error))
			return false;
		if (w == NULL || !value_equal(*w, v))
			return false;
	}
	return count == value_count(wanted);
}

static size_t decode_base64(const char *text, char *out)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned bits = 0;
	int have = 0;
	size_t n = 0;

	for (; *text != '\0' && *text != '='; text++) {
		bits = bits << 6 | (unsigned)(strchr(set, *text) - set);
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (char)(bits >> have & 0xFF);
		}
	}
	return n;
}

static enum outcome compare_output(struct value vector, struct value expected, const struct result *r)
{
	struct value output = member(expected, "output");
	struct value coded = member(expected, "output_b64");
	struct value meta = member(expected, "output_meta");

	if (r->failed)
		return miss(vector, FAILED, r->at_parse ? "does not parse" : "failed", r->error, strlen(r->error));
	if (is_true(member(expected, "deleted")))
		return r->deleted ? PASSED : miss(vector, FAILED, "should be deleted, got", r->body, r->length);
	if (r->deleted)
		return miss(vector, FAILED, "was deleted", "", 0);
	if (value_is_text(coded)) {
		char *bytes = arena_alloc(&scratch, coded.length + 1);

		output = value_string(bytes, decode_base64(text_of(coded), bytes));
	}
	if (!value_is_text(output) || output.length != r->length || memcmp(output.text, r->body, r->length) != 0) {
		printf("%s: wanted: %s\n", text_of(member(vector, "id")), text_of(output));
		return miss(vector, FAILED, "got", r->body, r->length);
	}
	if (meta.kind == VALUE_OBJECT && !meta_equals(meta, r))
		return miss(vector, FAILED, "metadata differs, wanted", json_of(meta), strlen(json_of(meta)));
	return PASSED;
}

static enum outcome compare_result(struct value vector, struct value expected, const struct result *r)
{
	if (member(expected, "error").kind != VALUE_NOTHING)
		return compare_error(vector, expected, r);
	return compare_output(vector, expected, r);
}

/* ---- running ---- */

static enum outcome run_template(struct value vector, const struct messages *m)
{
	struct bloblang_template *t = NULL;
	struct bloblang_fault fault = {0};
	struct result r = {0};
	struct error e = {0};
	enum outcome outcome;
	struct buf out;

	buf_init(&out, TEXT_BYTES_MAX);
	if (bloblang_template_parse(text_of(member(vector, "mapping")), &t, &fault) != ERR_OK) {
		r.failed = r.at_parse = true;
		(void)snprintf(r.error, sizeof r.error, "%s", fault.text);
	} else if (bloblang_template_render(t, evaluator, &m->batch, &out, &e) != ERR_OK) {
		r.failed = true;
		(void)snprintf(r.error, sizeof r.error, "%s", e.text);
	}
	r.body = out.data != NULL ? out.data : "";
	r.length = out.len;
	outcome = compare_result(vector, vector, &r);
	buf_fini(&out);
	bloblang_template_free(t);
	return outcome;
}

static enum outcome run_message(struct value vector, struct value expected, const struct bloblang_mapping *mapping,
                                const struct messages *m, bool check)
{
	struct message *made = NULL;
	struct result r = {0};
	struct error e = {0};
	enum outcome outcome;
	bool truth = false;

	if (check)
		r.failed = bloblang_mapping_check(mapping, evaluator, &m->batch, &truth, &e) != ERR_OK;
	else
		r.failed = bloblang_mapping_run(mapping, evaluator, &m->batch, false, &made, &e) != ERR_OK;
	(void)snprintf(r.error, sizeof r.error, "%s", e.text);
	r.body = truth ? "true" : "false";
	r.length = strlen(r.body);
	if (made != NULL) {
		r.body = (const char *)message_body(made);
		r.length = made->body_bytes;
		r.meta = message_meta(made);
		r.meta_bytes = made->meta_bytes;
	} else if (!check) {
		r.deleted = !r.failed;
	}
	outcome = compare_result(vector, expected, &r);
	message_free(made);
	return outcome;
}

static enum outcome run_sequence(struct value vector, const struct bloblang_mapping *mapping)
{
	struct value steps = member(vector, "sequence");
	enum outcome outcome = PASSED;

	for (uint32_t i = 0; i < value_count(steps) && outcome == PASSED; i++) {
		struct messages m;

		messages_init(&m, steps.array->items[i]);
		outcome = run_message(vector, steps.array->items[i], mapping, &m, false);
		messages_fini(&m);
	}
	return outcome;
}

static void write_files(struct value files, bool remove_them)
{
	for (uint32_t i = 0; i < value_count(files); i++) {
		const struct value_pair *p = &files.object->pairs[i];
		const char *path = arena_format(&scratch, "%s/%.*s", folder, (int)p->key_length, p->key);
		FILE *f;

		if (remove_them) {
			(void)unlink(path);
			continue;
		}
		f = fopen(path, "w");
		if (f == NULL || fwrite(p->value.text, 1, p->value.length, f) != p->value.length || fclose(f) != 0)
			perror(path);
	}
}

static enum outcome run_mapping(struct value vector, const struct messages *m)
{
	struct value files = member(vector, "files");
	const char *kind = text_of(member(vector, "kind"));
	struct bloblang_mapping *mapping = NULL;
	struct bloblang_fault fault = {0};
	struct result r = {0};
	enum outcome outcome;

	write_files(files, false);
	if (bloblang_mapping_parse(text_of(member(vector, "mapping")), folder, &mapping, &fault) != ERR_OK) {
		r.failed = r.at_parse = true;
		(void)snprintf(r.error, sizeof r.error, "%s", fault.text);
		outcome = compare_result(vector, vector, &r);
	} else if (strcmp(kind, "sequence") == 0) {
		outcome = run_sequence(vector, mapping);
	} else {
		outcome = run_message(vector, vector, mapping, m, strcmp(kind, "check") == 0);
	}
	bloblang_mapping_free(mapping);
	write_files(files, true);
	return outcome;
}

/* "\nid reason\nid reason\n": what was decided to be otherwise. */
static struct buf decided;

static bool is_decided(struct value vector)
{
	const char *line = arena_format(&scratch, "\n%s ", text_of(member(vector, "id")));

	return decided.len > 0 && strstr(decided.data, line) != NULL;
}

static bool read_decided(const char *path)
{
	char line[512];
	FILE *f = fopen(path, "r");

	if (f == NULL) {
		perror(path);
		return false;
	}
	buf_init(&decided, TEXT_BYTES_MAX);
	(void)buf_add(&decided, "\n", 1);
	while (fgets(line, sizeof line, f))
		(void)buf_add(&decided, line, strlen(line));
	(void)buf_add(&decided, "", 1);
	(void)fclose(f);
	return true;
}

static bool is_skipped(struct value vector)
{
	struct value category = member(vector, "category");

	if (is_decided(vector))
		return true;

	if (value_text_is(category, "nondeterministic") || value_text_is(category, "implementation-specific"))
		return true;
	return member(vector, "output").kind == VALUE_NULL && member(vector, "output_b64").kind == VALUE_NOTHING &&
	       !is_true(member(vector, "deleted")) && member(vector, "sequence").kind == VALUE_NOTHING;
}

static void run_vector(struct value vector)
{
	enum outcome outcome = SKIPPED;
	struct messages m;
	int64_t tier = 0;

	if (!is_skipped(vector)) {
		messages_init(&m, vector);
		outcome = value_text_is(member(vector, "kind"), "interpolation") ? run_template(vector, &m)
		                                                                 : run_mapping(vector, &m);
		messages_fini(&m);
	}
	(void)value_to_int(member(vector, "tier"), &tier);
	total.skipped += outcome == SKIPPED;
	total.passed += outcome == PASSED;
	total.failed += outcome == FAILED || outcome == WRONG_TEXT;
	if (outcome == SKIPPED || tier != 1 || is_true(member(vector, "quirk")))
		return;
	total.tier1++;
	total.tier1_outcome += outcome != FAILED;
	total.tier1_text += outcome == PASSED;
}

static bool run_file(const char *path)
{
	struct arena arena;
	struct value vectors;
	const char *error;
	struct stat st;
	FILE *f = fopen(path, "r");
	char *text;

	if (f == NULL || fstat(fileno(f), &st) != 0 || st.st_size > FILE_BYTES_MAX) {
		perror(path);
		return false;
	}
	arena_init(&arena, (size_t)4 * FILE_BYTES_MAX);
	text = arena_alloc(&arena, (size_t)st.st_size + 1);
	if (fread(text, 1, (size_t)st.st_size, f) != (size_t)st.st_size ||
	    !json_parse(&arena, text, (size_t)st.st_size, &vectors, &error) || vectors.kind != VALUE_ARRAY) {
		fprintf(stderr, "%s is not an array of vectors\n", path);
		return false;
	}
	(void)fclose(f);
	for (uint32_t i = 0; i < vectors.array->count; i++) {
		run_vector(vectors.array->items[i]);
		arena_reset(&scratch);
	}
	arena_fini(&arena);
	return true;
}

static bool gate_holds(const char *gate)
{
	long part = strcmp(gate, "L1") == 0   ? total.tier1_outcome
	            : strcmp(gate, "L2") == 0 ? total.tier1_text
	                                      : total.passed;
	long whole = strcmp(gate, "L3") == 0 ? total.passed + total.failed : total.tier1;
	int needed = strcmp(gate, "L1") == 0 ? 100 : strcmp(gate, "L2") == 0 ? 99 : 97;

	printf("gate %s: %ld of %ld, %.2f %% (%d %% needed)\n", gate, part, whole,
	       whole != 0 ? 100.0 * (double)part / (double)whole : 0.0, needed);
	return whole > 0 && part * 100 >= whole * needed;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"gate", required_argument, NULL, 'g'}, {"skip", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
	const char *gate = NULL;
	bool fine = true;

	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (option == 'g')
			gate = optarg;
		else if (option != 's' || !read_decided(optarg))
			return EXIT_FAILURE;
	}
	if (optind == argc ||
	    (gate != NULL && strcmp(gate, "L1") != 0 && strcmp(gate, "L2") != 0 && strcmp(gate, "L3") != 0)) {
		fprintf(stderr, "usage: vectors [--gate L1|L2|L3] [--skip FILE] FILE...\n");
		return EXIT_FAILURE;
	}
	(void)setenv("TZ", "UTC", 1);
	tzset();
	if (mkdtemp(folder) == NULL) {
		perror(folder);
		return EXIT_FAILURE;
	}
	arena_init(&scratch, FILE_BYTES_MAX);
	evaluator = evaluator_new();
	for (int i = optind; i < argc; i++)
		fine = run_file(argv[i]) && fine;
	evaluator_free(evaluator);
	arena_fini(&scratch);
	buf_fini(&decided);
	(void)rmdir(folder);
	if (gate != NULL)
		fine = gate_holds(gate) && fine;
	else
		fine = fine && total.failed == 0;
	printf("passed %ld, failed %ld, skipped %ld\n", total.passed, total.failed, total.skipped);
	return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
