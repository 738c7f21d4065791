/*
 * Environment variables in the text, and where each character came from.
 *
 * Invariants:
 * 1. Edits are in the order of the text, do not overlap, and each has in_start <= in_end and out_start <= out_end.
 * 2. Between two edits the text is the input, character by character: places there differ by a constant.
 * 3. in_chars and out_chars count all characters before p and at the end of out.
 * 4. lines holds the first character of every line of the input; the first line begins at 0.
 * 5. A value of the environment is never shown in a fault.
 */
#include "config/expand.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/utf8.h"

/* Longer defaults are refused: what bounds the search for a closing brace bounds the time a hostile file takes. */
enum { DEFAULT_MAX = 4096, NAME_MAX_BYTES = 255 };

struct reference {
	const char *name;
	size_t name_bytes;
	const char *fallback; /* null when there is none */
	size_t fallback_bytes;
	const char *transform; /* after '|'; null when there is none */
	size_t transform_bytes;
	size_t bytes; /* from "${" to "}" */
	bool unclosed;
};

struct scan {
	struct expansion *x;
	struct config_faults *faults;
	bool skip_env_check;
	struct buf out;
	const char *p, *end;
	size_t in_chars, out_chars;
};

static size_t count_chars(const char *text, size_t bytes)
{
	size_t count = 0;

	for (size_t i = 0; i < bytes; i++)
		count += ((unsigned char)text[i] & 0xc0) != 0x80;
	return count;
}

/* Bytes of the valid, printable UTF-8 character at p; 0 when there is none (RFC 3629, YAML 1.1 section 4.1). */
static size_t char_bytes(const char *p, const char *end)
{
	uint32_t code;
	bool valid;
	size_t n;

	n = utf8_decode(p, end, &code, &valid);
	if (code < 0x80)
		valid = (code >= ' ' && code != 0x7f) || code == '\t' || code == '\n' || code == '\r';
	else if ((code < 0xa0 && code != 0x85) || code == 0xfeff || code == 0xfffe || code == 0xffff)
		valid = false;
	return valid ? n : 0;
}

/* The first byte that is not text; `bytes` when all are. */
static size_t find_bad_byte(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes;) {
		size_t n = char_bytes(text + i, text + bytes);

		if (n == 0)
			return i;
		i += n;
	}
	return bytes;
}

static void index_lines(struct expansion *x)
{
	size_t chars = 0, room = 0;

	for (size_t i = 0; i <= x->input_bytes; i++) {
		if (i == 0 || x->input[i - 1] == '\n') {
			if (x->line_count == room) {
				room = room ? room * 2 : 64;
				x->lines = mem_grow(x->lines, room, sizeof *x->lines);
			}
			x->lines[x->line_count++] = (struct expansion_line){.first_char = chars, .first_byte = i};
		}
		if (i < x->input_bytes)
			chars += ((unsigned char)x->input[i] & 0xc0) != 0x80;
	}
}

static void input_place(const struct expansion *x, size_t in_char, int *ret_line, int *ret_column)
{
	size_t low = 0, high = x->line_count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (x->lines[middle].first_char <= in_char)
			low = middle;
		else
			high = middle;
	}
	*ret_line = (int)low + 1;
	*ret_column = (int)(in_char - x->lines[low].first_char) + 1;
}

/* How many edits begin at or before a character of the text. */
static size_t edits_until(const struct expansion *x, size_t index)
{
	size_t low = 0, high = x->edit_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (x->edits[middle].out_start <= index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void expansion_place(const struct expansion *x, size_t index, int *ret_line, int *ret_column)
{
	size_t before = edits_until(x, index);

	if (before > 0) {
		const struct expansion_edit *edit = &x->edits[before - 1];

		index = index < edit->out_end ? edit->in_start : edit->in_end + (index - edit->out_end);
	}
	input_place(x, index, ret_line, ret_column);
}

void expansion_origin(const struct expansion *x, size_t start, size_t end, bool *ret_unset, bool *ret_from_env)
{
	size_t i = edits_until(x, start);

	*ret_unset = *ret_from_env = false;
	for (i = i > 0 ? i - 1 : 0; i < x->edit_count && x->edits[i].out_start < end; i++) {
		bool inside = x->edits[i].out_end > start;

		*ret_unset |= inside && x->edits[i].unset;
		*ret_from_env |= inside && !x->edits[i].escape;
	}
}

int expansion_indent(const struct expansion *x, int line)
{
	for (size_t i = (size_t)line - 1; i < x->line_count; i++) {
		const char *text = x->input + x->lines[i].first_byte;
		size_t room = x->input_bytes - x->lines[i].first_byte, blanks = 0;

		while (blanks < room && text[blanks] == ' ')
			blanks++;
		if (blanks < room && text[blanks] != '\n' && text[blanks] != '\r')
			return (int)blanks + 1;
	}
	return 1;
}

/* ":default" up to the brace or "|base64decode}"; a ${...} in it counts as one piece. False when never closed. */
static bool match_default(const char *p, const char *end, struct reference *ref)
{
	static const char transform[] = "|base64decode";
	const char *start = p;

	if (end - p > DEFAULT_MAX)
		end = p + DEFAULT_MAX;
	while (p < end && *p != '}') {
		if (end - p > 1 && p[0] == '$' && p[1] == '{') {
			p = memchr(p, '}', (size_t)(end - p));
			if (!p)
				return false;
		}
		p++;
	}
	if (p >= end)
		return false;
	ref->fallback = start;
	ref->fallback_bytes = (size_t)(p - start);
	if (ref->fallback_bytes >= sizeof transform - 1 &&
	    memcmp(p - (sizeof transform - 1), transform, sizeof transform - 1) == 0) {
		ref->transform = p - (sizeof transform - 2);
		ref->transform_bytes = sizeof transform - 2;
		ref->fallback_bytes -= sizeof transform - 1;
	}
	return true;
}

/* Matches NAME, NAME:default, NAME|transform from p to a '}'. p is past "${". */
static bool match(const char *p, const char *end, struct reference *ref)
{
	memset(ref, 0, sizeof *ref);
	ref->name = p;
	while (p < end && (isalnum((unsigned char)*p) || *p == '_' || *p == '.'))
		p++;
	ref->name_bytes = (size_t)(p - ref->name);
	if (ref->name_bytes == 0 || ref->name_bytes > NAME_MAX_BYTES || p == end)
		return false;
	if (*p == ':') {
		if (!match_default(p + 1, end, ref)) {
			ref->unclosed = true;
			return false;
		}
		p = ref->fallback + ref->fallback_bytes + (ref->transform ? ref->transform_bytes + 1 : 0);
	} else if (*p == '|') {
		ref->transform = ++p;
		while (p < end && (isalnum((unsigned char)*p) || *p == '_'))
			p++;
		ref->transform_bytes = (size_t)(p - ref->transform);
	}
	if (p >= end || *p != '}')
		return false;
	ref->bytes = (size_t)(p + 1 - ref->name) + 2;
	return true;
}

/* RFC 4648 section 4, padding required. Null when the text is not that. */
static char *decode_base64(const char *text)
{
	size_t bytes = strlen(text), out;
	char *ret = mem_alloc(base64_room(bytes) + 1);

	/* a NUL inside cannot stand in a configuration */
	if (!base64_decode(BASE64_STANDARD_LOOSE, text, bytes, ret, &out) || memchr(ret, '\0', out)) {
		free(ret);
		return NULL;
	}
	ret[out] = '\0';
	return ret;
}

static void add_value(struct scan *s, const char *value)
{
	for (const char *p = value; *p; p++) {
		if (*p == '\n')
			(void)buf_add(&s->out, "\\n", 2);
		else if (*p == '\r')
			(void)buf_add(&s->out, "\\r", 2);
		else
			(void)buf_add_char(&s->out, *p);
	}
}

static void fault_here(struct scan *s, const char *name, const char *sentence)
{
	int line, column;

	input_place(s->x, s->in_chars, &line, &column);
	config_faults_add(s->faults, line, column, false, "environment variable %s %s", name, sentence);
}

/* The text a reference stands for, checked; null when it is unset. */
static char *look_up(struct scan *s, const struct reference *ref, const char *name)
{
	const char *value = getenv(name);
	char *ret;

	if (ref->fallback && (!value || *value == '\0'))
		ret = mem_string_n(ref->fallback, ref->fallback_bytes);
	else if (value)
		ret = mem_string(value);
	else
		return NULL;
	if (ref->transform) {
		char *decoded = decode_base64(ret);

		free(ret);
		if (!decoded) {
			fault_here(s, name, "is not base64 text");
			decoded = mem_string("");
		}
		ret = decoded;
	}
	if (find_bad_byte(ret, strlen(ret)) != strlen(ret)) {
		fault_here(s, name, "holds bytes that are not UTF-8 text");
		ret[0] = '\0';
	}
	return ret;
}

static void add_reference(struct scan *s, const struct reference *ref)
{
	AUTOFREE char *name = mem_string_n(ref->name, ref->name_bytes);
	size_t before = s->out.len;
	bool unset = false;

	if (ref->transform && (ref->transform_bytes != strlen("base64decode") ||
	                       memcmp(ref->transform, "base64decode", ref->transform_bytes) != 0)) {
		fault_here(s, name, "is followed by an unknown transform; the only one is |base64decode");
		unset = true;
	} else {
		AUTOFREE char *value = look_up(s, ref, name);

		unset = !value;
		if (unset && !s->skip_env_check)
			fault_here(s, name, "is not set and has no default; set it or write ${NAME:default}");
		if (value)
			add_value(s, value);
	}
	if (unset)
		(void)buf_add(&s->out, ref->name, ref->name_bytes);
	s->out_chars += count_chars(s->out.data ? s->out.data + before : "", s->out.len - before);
	s->x->edits[s->x->edit_count - 1].unset = unset;
}

/* Records that ref->bytes of input became what `add` writes. */
static void replace(struct scan *s, const struct reference *ref, bool escaped)
{
	struct expansion *x = s->x;
	size_t bytes = ref->bytes + (escaped ? 2 : 0);
	struct expansion_edit *edit;

	if ((x->edit_count & (x->edit_count + 1)) == 0)
		x->edits = mem_grow(x->edits, 2 * (x->edit_count + 1), sizeof *x->edits);
	edit = &x->edits[x->edit_count++];
	*edit = (struct expansion_edit){.in_start = s->in_chars, .out_start = s->out_chars, .escape = escaped};
	if (escaped) {
		(void)buf_add(&s->out, "${", 2);
		(void)buf_add(&s->out, ref->name, ref->bytes - 2);
		s->out_chars += 2 + count_chars(ref->name, ref->bytes - 2);
	} else {
		add_reference(s, ref);
	}
	s->in_chars += count_chars(s->p, bytes);
	s->p += bytes;
	edit->in_end = s->in_chars;
	edit->out_end = s->out_chars;
	must(edit == x->edits || edit[-1].out_end <= edit->out_start);
}

/* One reference, escape or plain character. */
static void step(struct scan *s)
{
	struct reference ref = {0};

	if (s->end - s->p > 3 && s->p[0] == '$' && s->p[1] == '{') {
		bool escaped = s->p[2] == '{';
		bool found = match(s->p + 2 + escaped, s->end, &ref);

		if (found && escaped)
			found = s->end - s->p >= (ptrdiff_t)ref.bytes + 2 && s->p[ref.bytes + 1] == '}';
		if (found) {
			replace(s, &ref, escaped);
			return;
		}
		if (ref.unclosed && !escaped) {
			AUTOFREE char *name = mem_string_n(ref.name, ref.name_bytes);

			fault_here(s, name, "has a default that is not closed by } within 4096 bytes");
		}
	}
	s->in_chars += ((unsigned char)*s->p & 0xc0) != 0x80;
	s->out_chars += ((unsigned char)*s->p & 0xc0) != 0x80;
	(void)buf_add_char(&s->out, *s->p++);
}

static bool check_text(struct expansion *x, struct config_faults *faults)
{
	size_t bad = find_bad_byte(x->input, x->input_bytes);
	int line, column;

	if (bad == x->input_bytes)
		return true;
	input_place(x, count_chars(x->input, bad), &line, &column);
	if (x->input[bad] == '\0')
		config_faults_add(faults, line, column, false, "a NUL byte: the file must be text");
	else if ((unsigned char)x->input[bad] < ' ' || x->input[bad] == 0x7f)
		config_faults_add(faults, line, column, false,
		                  "a control character (byte 0x%02x): the file must be text",
		                  (unsigned char)x->input[bad]);
	else
		config_faults_add(faults, line, column, false, "not UTF-8 (byte 0x%02x)", (unsigned char)x->input[bad]);
	return false;
}

bool expand(struct expansion *x, const char *input, size_t bytes, bool skip_env_check, struct config_faults *faults)
{
	struct scan s = {.x = x, .faults = faults, .skip_env_check = skip_env_check};

	memset(x, 0, sizeof *x);
	if (bytes >= 3 && memcmp(input, "\xef\xbb\xbf", 3) == 0) { /* byte order mark */
		input += 3;
		bytes -= 3;
	}
	x->input = input;
	x->input_bytes = bytes;
	index_lines(x);
	if (!check_text(x, faults))
		return false;
	buf_init(&s.out, EXPAND_TEXT_MAX);
	s.p = input;
	s.end = input + bytes;
	while (s.p < s.end && !s.out.overflow)
		step(&s);
	if (s.out.overflow) {
		config_faults_add(faults, 1, 1, false, "with its environment variables the file is larger than 4 MiB");
		buf_fini(&s.out);
		return false;
	}
	x->text = buf_take(&s.out, &x->text_bytes);
	return true;
}

void expansion_fini(struct expansion *x)
{
	free(x->text);
	free(x->edits);
	free(x->lines);
	memset(x, 0, sizeof *x);
}
