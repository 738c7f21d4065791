#include "bloblang/golang/regex.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <unictype.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"

enum {
	MATCH_STEPS = 5000000, /* PCRE2's match limit: about a tenth of a second */
	MATCH_HEAP_KIB = 16384,
	PARENS_MAX = 1000,
};

/* All matches in one subject together. */
#define WALK_NS_MAX (2 * NS_PER_S)

struct regex {
	pcre2_code *code;
	pcre2_match_context *limits;
	struct regex_syntax syntax;
};

struct regex_walk {
	const struct regex *re;
	const char *subject; /* as PCRE2 sees it: valid UTF-8 */
	size_t length;
	char *repaired; /* owned copy with U+FFFD for bad bytes; null when the subject was valid */
	size_t *bad;    /* offsets in `subject` of the replacements, ascending */
	size_t bad_count;
	pcre2_match_data *data;
	struct regex_span *spans;
	size_t position;
	size_t previous_end; /* SIZE_MAX: no match so far */
	int64_t started_ns;
	bool done;
};

static pcre2_code *compile(const struct buf *pattern, int *ret_code)
{
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	PCRE2_SIZE offset;
	pcre2_code *code;

	(void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
	(void)pcre2_set_parens_nest_limit(context, PARENS_MAX);
	(void)pcre2_set_compile_extra_options(context, PCRE2_EXTRA_ALLOW_SURROGATE_ESCAPES);
	code = pcre2_compile((PCRE2_SPTR)(pattern->data ? pattern->data : ""), pattern->len,
	                     PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_CIRCUMFLEX | PCRE2_NEVER_BACKSLASH_C |
	                         PCRE2_NEVER_UCP | PCRE2_NO_UTF_CHECK,
	                     ret_code, &offset, context);
	pcre2_compile_context_free(context);
	return code;
}

struct regex *regex_compile(const char *pattern, size_t length, bool often, char fault[REGEX_FAULT_MAX])
{
	struct regex *re = mem_zero(sizeof *re);
	int code;

	if (!regex_syntax_parse(&re->syntax, pattern, length, fault)) {
		regex_free(re);
		return NULL;
	}
	re->code = compile(&re->syntax.pattern, &code);
	if (!re->code) {
		(void)snprintf(fault, REGEX_FAULT_MAX, "error parsing regexp: expression too large: `%.*s`",
		               (int)(length > 200 ? 200 : length), pattern);
		regex_free(re);
		return NULL;
	}
	if (often)
		(void)pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE); /* without it matching is only slower */
	re->limits = pcre2_match_context_create(NULL);
	(void)pcre2_set_match_limit(re->limits, MATCH_STEPS);
	(void)pcre2_set_heap_limit(re->limits, MATCH_HEAP_KIB);
	buf_fini(&re->syntax.pattern);
	return re;
}

void regex_free(struct regex *re)
{
	if (!re)
		return;
	pcre2_code_free(re->code);
	pcre2_match_context_free(re->limits);
	regex_syntax_fini(&re->syntax);
	free(re);
}

uint32_t regex_groups(const struct regex *re) { return re->syntax.groups; }

const char *regex_group_name(const struct regex *re, uint32_t group)
{
	return re->syntax.names[group] ? re->syntax.names[group] : "";
}

/* Go reads a bad byte as U+FFFD: give PCRE2 a copy that says so, and remember where. */
static void repair(struct regex_walk *w)
{
	char *copy = mem_alloc(w->length * 3 + 1);
	size_t n = 0;

	w->bad = mem_array(w->length, sizeof *w->bad);
	for (size_t i = 0; i < w->length;) {
		uint32_t c;
		bool valid;
		size_t width = utf8_decode(w->subject + i, w->subject + w->length, &c, &valid);

		if (!valid)
			w->bad[w->bad_count++] = n;
		n += utf8_encode(copy + n, c);
		i += width;
	}
	w->repaired = copy;
	w->subject = copy;
	w->length = n;
}

/* An offset in the repaired copy as an offset in the caller's subject. */
static size_t original(const struct regex_walk *w, size_t offset)
{
	size_t low = 0, high = w->bad_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (w->bad[middle] < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return offset - 2 * low;
}

struct regex_walk *regex_walk_new(const struct regex *re, const char *subject, size_t length)
{
	struct regex_walk *w = mem_zero(sizeof *w);

	w->re = re;
	w->subject = subject ? subject : "";
	w->length = length;
	w->previous_end = SIZE_MAX;
	w->started_ns = clock_mono_ns();
	if (!utf8_is_valid(w->subject, length))
		repair(w);
	w->data = pcre2_match_data_create(re->syntax.groups + 1, NULL);
	w->spans = mem_array(re->syntax.groups + 1, sizeof *w->spans);
	return w;
}

void regex_walk_free(struct regex_walk *w)
{
	if (!w)
		return;
	pcre2_match_data_free(w->data);
	free(w->repaired);
	free(w->bad);
	free(w->spans);
	free(w);
}

static enum regex_result match_at(struct regex_walk *w, size_t position)
{
	int r = pcre2_match(w->re->code, (PCRE2_SPTR)w->subject, w->length, position, PCRE2_NO_UTF_CHECK, w->data,
	                    w->re->limits);

	if (r == PCRE2_ERROR_JIT_STACKLIMIT)
		r = pcre2_match(w->re->code, (PCRE2_SPTR)w->subject, w->length, position,
		                PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, w->data, w->re->limits);
	if (r == PCRE2_ERROR_NOMATCH)
		return REGEX_NONE;
	return r < 0 ? REGEX_LIMIT : REGEX_MATCH;
}

static void report(struct regex_walk *w, const PCRE2_SIZE *found)
{
	for (uint32_t i = 0; i <= w->re->syntax.groups; i++) {
		bool absent = found[2 * i] == PCRE2_UNSET;

		w->spans[i].start = absent ? SIZE_MAX : original(w, found[2 * i]);
		w->spans[i].end = absent ? SIZE_MAX : original(w, found[2 * i + 1]);
	}
}

enum regex_result regex_walk_next(struct regex_walk *w, const struct regex_span **ret_spans)
{
	while (!w->done) {
		enum regex_result r = match_at(w, w->position);
		const PCRE2_SIZE *found = pcre2_get_ovector_pointer(w->data);
		bool accept = true;

		if (r == REGEX_MATCH && clock_mono_ns() - w->started_ns > WALK_NS_MAX)
			r = REGEX_LIMIT;
		if (r != REGEX_MATCH) {
			w->done = true;
			return r;
		}
		if (found[1] == w->position) { /* empty, at the place the search began */
			uint32_t c;

			accept = found[0] != w->previous_end;
			if (w->position < w->length)
				w->position += utf8_decode(w->subject + w->position, w->subject + w->length, &c, NULL);
			else
				w->done = true;
		} else {
			w->position = found[1];
		}
		w->previous_end = found[1];
		if (accept) {
			report(w, found);
			*ret_spans = w->spans;
			return REGEX_MATCH;
		}
	}
	return REGEX_NONE;
}

enum regex_result regex_test(const struct regex *re, const char *subject, size_t length)
{
	struct regex_walk *w = regex_walk_new(re, subject, length);
	const struct regex_span *spans;
	enum regex_result r = regex_walk_next(w, &spans);

	regex_walk_free(w);
	return r;
}

/* The name after a dollar: a number, a group's name, or neither. Returns its length with braces; 0: not a name. */
static size_t template_name(const char *p, size_t n, const char **ret_name, size_t *ret_length)
{
	bool brace = n > 0 && *p == '{';
	size_t i = brace;

	while (i < n) {
		uint32_t c;
		size_t width = utf8_decode(p + i, p + n, &c, NULL);

		if (c != '_' && !uc_is_general_category_withtable(c, UC_CATEGORY_MASK_L | UC_CATEGORY_MASK_Nd))
			break;
		i += width;
	}
	*ret_name = p + brace;
	*ret_length = i - brace;
	if (*ret_length == 0 || (brace && (i == n || p[i] != '}')))
		return 0;
	return i + brace;
}

/* Which group a template's name means; -1: none. */
static int64_t template_group(const struct regex *re, const char *name, size_t length, const struct regex_span *spans)
{
	int64_t number = 0;

	for (size_t i = 0; i < length && number >= 0; i++)
		number = name[i] < '0' || name[i] > '9' || number >= 100000000 ? -1 : number * 10 + (name[i] - '0');
	if (name[0] == '0' && length > 1)
		number = -1;
	if (number >= 0)
		return number <= (int64_t)re->syntax.groups ? number : -1;
	for (uint32_t i = 1; i <= re->syntax.groups; i++) {
		const char *candidate = regex_group_name(re, i);

		if (strlen(candidate) == length && memcmp(candidate, name, length) == 0 && spans[i].start != SIZE_MAX)
			return i;
	}
	return -1;
}

static void expand(const struct regex *re, const char *template, size_t n, const char *subject,
                   const struct regex_span *spans, struct text *out)
{
	const char *end = template + n;

	while (template <end) {
		const char *dollar = memchr(template, '$', (size_t)(end - template));
		const char *name;
		size_t length, whole;
		int64_t group;

		text_add(out, template, (size_t)((dollar ? dollar : end) - template));
		if (!dollar)
			return;
		template = dollar + 1;
		if (template <end &&*template == '$') {
			text_add_char(out, '$');
			template ++;
			continue;
		}
		whole = template_name(template, (size_t)(end - template), &name, &length);
		if (whole == 0) {
			text_add_char(out, '$');
			continue;
		}
		template += whole;
		group = template_group(re, name, length, spans);
		if (group >= 0 && spans[group].start != SIZE_MAX)
			text_add(out, subject + spans[group].start, spans[group].end - spans[group].start);
	}
}

enum err regex_replace_all(const struct regex *re, const char *subject, size_t length, const char *replacement,
                           size_t replacement_length, struct text *out)
{
	struct regex_walk *w = regex_walk_new(re, subject, length);
	const struct regex_span *spans;
	enum regex_result r;
	size_t copied = 0;

	while ((r = regex_walk_next(w, &spans)) == REGEX_MATCH && !out->failed) {
		text_add(out, subject + copied, spans[0].start - copied);
		expand(re, replacement, replacement_length, subject, spans, out);
		copied = spans[0].end;
	}
	regex_walk_free(w);
	if (r == REGEX_LIMIT)
		return ERR_INPUT;
	text_add(out, subject + copied, length - copied);
	return ERR_OK;
}
