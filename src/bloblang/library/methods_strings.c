/*
 * Methods of the family "strings" that cut, search, replace and fill texts.
 *
 * Invariants:
 * 1. A result is string or bytes as its target is; format and split's container are the exceptions.
 * 2. Lengths and offsets are bytes; a loop over code points moves by at least one byte.
 * 3. A list of replacements has pairs of texts: its .prepare saw to it.
 */
#include <stdlib.h>
#include <string.h>

#include <unicase.h>
#include <unictype.h>
#include <uniwbrk.h>

#include "base/check.h"
#include "base/utf8.h"
#include "bloblang/golang/gofmt.h"
#include "bloblang/language/function.h"

static const char *find(const char *s, size_t length, const char *needle, size_t needle_length)
{
	return needle_length == 0 ? s : memmem(s, length, needle, needle_length);
}

static struct value same_kind(struct value like, const char *s, size_t length)
{
	return value_view((enum value_kind)like.kind, s, length);
}

static bool map_runes(struct call *call, uint32_t mapped(uint32_t), struct value *ret)
{
	struct value v;
	const char *s;
	const char *end;
	struct text t;

	if (!call_need_text(call, call->target, &v))
		return false;
	s = v.text;
	end = s + v.length;
	text_init(&t, call->arena);
	while (s < end) {
		char out[UTF8_MAX];
		uint32_t rune;
		bool valid;
		size_t width = utf8_decode(s, end, &rune, &valid);

		text_add(&t, out, utf8_encode(out, mapped(rune)));
		s += width;
	}
	*ret = value_from_text(&t, (enum value_kind)v.kind);
	return true;
}

static bool uppercase(struct call *call, struct value *ret) { return map_runes(call, uc_toupper, ret); }

static bool lowercase(struct call *call, struct value *ret) { return map_runes(call, uc_tolower, ret); }

static bool has_prefix(struct call *call, struct value *ret)
{
	struct value v;
	struct value prefix = call->args[0];

	if (!call_need_text(call, call->target, &v))
		return false;
	*ret = value_bool(v.length >= prefix.length && memcmp(v.text, prefix.text, prefix.length) == 0);
	return true;
}

static bool has_suffix(struct call *call, struct value *ret)
{
	struct value v;
	struct value suffix = call->args[0];

	if (!call_need_text(call, call->target, &v))
		return false;
	*ret = value_bool(v.length >= suffix.length &&
	                  memcmp(v.text + v.length - suffix.length, suffix.text, suffix.length) == 0);
	return true;
}

static bool trim_prefix(struct call *call, struct value *ret)
{
	if (!has_prefix(call, ret))
		return false;
	*ret = ret->boolean ? same_kind(call->target, call->target.text + call->args[0].length,
	                                call->target.length - call->args[0].length)
	                    : call->target;
	return true;
}

static bool trim_suffix(struct call *call, struct value *ret)
{
	if (!has_suffix(call, ret))
		return false;
	*ret = ret->boolean ? same_kind(call->target, call->target.text, call->target.length - call->args[0].length)
	                    : call->target;
	return true;
}

static bool in_cutset(struct value cutset, uint32_t rune)
{
	const char *s = cutset.text;
	const char *end = s + cutset.length;

	while (s < end) {
		uint32_t c;

		s += utf8_decode(s, end, &c, NULL);
		if (c == rune)
			return true;
	}
	return false;
}

static bool is_trimmed(struct value cutset, uint32_t rune)
{
	return cutset.kind == VALUE_NOTHING ? utf8_is_space(rune) : in_cutset(cutset, rune);
}

static bool trim(struct call *call, struct value *ret)
{
	struct value v;
	const char *s;
	const char *end;
	uint32_t rune;

	if (!call_need_text(call, call->target, &v))
		return false;
	s = v.text;
	end = s + v.length;
	while (s < end) {
		size_t width = utf8_decode(s, end, &rune, NULL);

		if (!is_trimmed(call->args[0], rune) || arena_is_spent_now(call->arena)) /* the set may be long */
			break;
		s += width;
	}
	while (s < end) {
		const char *last = end - 1;

		while (last > s && end - last < UTF8_MAX && ((unsigned char)*last & 0xC0) == 0x80)
			last--;
		if (last + utf8_decode(last, end, &rune, NULL) != end) {
			last = end - 1;
			(void)utf8_decode(last, end, &rune, NULL);
		}
		if (!is_trimmed(call->args[0], rune) || arena_is_spent_now(call->arena))
			break;
		end = last;
	}
	*ret = v.kind == VALUE_BYTES && s == end ? value_no_bytes() : same_kind(v, s, (size_t)(end - s));
	return true;
}

static bool index_of(struct call *call, struct value *ret)
{
	struct value v;
	const char *hit;

	if (!call_need_text(call, call->target, &v))
		return false;
	hit = find(v.text, v.length, call->args[0].text, call->args[0].length);
	*ret = value_int(hit ? hit - v.text : -1);
	return true;
}

/* An empty needle matches before each rune and at the end. */
static void replace_empty(struct text *t, struct value v, struct value with)
{
	const char *s = v.text;
	const char *end = s + v.length;
	uint32_t rune;

	text_add(t, with.text, with.length);
	while (s < end) {
		size_t width = utf8_decode(s, end, &rune, NULL);

		text_add(t, s, width);
		text_add(t, with.text, with.length);
		s += width;
	}
}

static bool replace_all(struct call *call, struct value *ret)
{
	struct value old = call->args[0];
	struct value with = call->args[1];
	struct value v;
	const char *s;
	const char *end;
	struct text t;

	if (!call_need_text(call, call->target, &v))
		return false;
	text_init(&t, call->arena);
	s = v.text;
	end = s + v.length;
	if (old.length == 0) {
		replace_empty(&t, v, with);
	} else {
		const char *hit;

		while ((hit = find(s, (size_t)(end - s), old.text, old.length))) {
			text_add(&t, s, (size_t)(hit - s));
			text_add(&t, with.text, with.length);
			s = hit + old.length;
		}
		text_add(&t, s, (size_t)(end - s));
	}
	*ret = value_from_text(&t, (enum value_kind)v.kind);
	return true;
}

static void push_piece(struct call *call, struct value array, struct value like, const char *s, size_t length,
                       bool empty_as_null)
{
	value_array_push(call->arena, array, length == 0 && empty_as_null ? value_null() : same_kind(like, s, length));
}

static bool split(struct call *call, struct value *ret)
{
	struct value delimiter = call->args[0];
	bool empty_as_null = call->args[1].boolean;
	struct value v;
	const char *s;
	const char *end;

	if (!call_need_text(call, call->target, &v))
		return false;
	*ret = value_array(call->arena, 4);
	s = v.text;
	end = s + v.length;
	if (delimiter.length == 0) {
		while (s < end && !call_spent(call)) {
			uint32_t rune;
			size_t width = utf8_decode(s, end, &rune, NULL);

			push_piece(call, *ret, v, s, width, empty_as_null);
			s += width;
		}
		return true;
	}
	for (;;) {
		const char *hit = find(s, (size_t)(end - s), delimiter.text, delimiter.length);

		if (!hit || call_spent(call))
			break;
		push_piece(call, *ret, v, s, (size_t)(hit - s), empty_as_null);
		s = hit + delimiter.length;
	}
	push_piece(call, *ret, v, s, (size_t)(end - s), empty_as_null);
	return true;
}

static bool format(struct call *call, struct value *ret)
{
	struct value in;
	struct text out;

	if (!call_need_string(call, call->target, &in))
		return false;
	text_init(&out, call->arena);
	go_sprintf(&out, in.text, in.length, call->args, call->arg_count);
	*ret = value_from_text(&out, VALUE_STRING);
	return true;
}

/* Bad bytes become U+FFFD: what the Unicode library needs. */
static struct value repaired(struct arena *a, struct value v)
{
	struct text out;
	const char *p = v.text, *end = p + v.length;

	if (utf8_is_valid(v.text, v.length))
		return v;
	text_init(&out, a);
	while (p < end) {
		char bytes[UTF8_MAX];
		uint32_t c;

		p += utf8_decode(p, end, &c, NULL);
		text_add(&out, bytes, utf8_encode(bytes, c));
	}
	return value_from_text(&out, (enum value_kind)v.kind);
}

/* Between letters of one word: an apostrophe, a full stop, a colon. */
static bool is_mid_word(uint32_t c)
{
	int kind = uc_wordbreak_property(c);

	return kind == WBP_MIDLETTER || kind == WBP_MIDNUMLET || kind == WBP_SQ;
}

static bool ends_word(uint32_t c)
{
	switch (uc_wordbreak_property(c)) {
	case WBP_ALETTER:
	case WBP_HL:
	case WBP_NUMERIC:
	case WBP_EXTEND:
	case WBP_EXTENDNUMLET:
	case WBP_FORMAT:
	case WBP_ZWJ:
		return false;
	default:
		return !is_mid_word(c) && uc_combining_class(c) == 0;
	}
}

/* Where the word ends that s is in, as the reference has it: digits and single marks do not end one. */
static const char *word_end(const char *s, const char *end)
{
	bool after_mark = false;

	while (s < end) {
		uint32_t c;
		size_t width = utf8_decode(s, end, &c, NULL);
		bool mark = is_mid_word(c);

		if ((mark && after_mark) || (ends_word(c) && !uc_is_property_cased(c)))
			break;
		after_mark = mark;
		s += width;
	}
	return s;
}

/* One letter in title case, and the rest of its word in lower case. False when there is no memory. */
static bool add_word(struct text *out, const char *s, size_t letter, const char *end)
{
	casing_prefix_context_t before = u8_casing_prefix_context((const uint8_t *)s, letter);
	const char *rest = s + letter;
	size_t length = 0;
	uint8_t *cased = u8_totitle((const uint8_t *)s, letter, "en", NULL, NULL, &length);

	if (!cased)
		return false;
	text_add(out, cased, length);
	free(cased);
	if (rest == end)
		return true;
	length = 0;
	cased = u8_ct_tolower((const uint8_t *)rest, (size_t)(end - rest), before, unicase_empty_suffix_context, "en",
	                      NULL, NULL, &length);
	if (!cased)
		return false;
	text_add(out, cased, length);
	free(cased);
	return true;
}

static bool capitalize(struct call *call, struct value *ret)
{
	const char *p, *end, *next;
	struct value in;
	struct text out;

	if (!call_need_text(call, call->target, &in))
		return false;
	in = repaired(call->arena, in);
	text_init(&out, call->arena);
	end = in.text + in.length;
	for (p = in.text; p < end && !arena_is_spent(call->arena); p = next) {
		uint32_t c;
		size_t width = utf8_decode(p, end, &c, NULL);

		next = p + width;
		if (!uc_is_property_cased(c)) {
			text_add(&out, p, width);
			continue;
		}
		next = word_end(next, end);
		if (!add_word(&out, p, width, next))
			return call_fail(call, "out of memory");
	}
	*ret = value_from_text(&out, (enum value_kind)in.kind);
	return true;
}

static bool reverse(struct call *call, struct value *ret)
{
	struct value in;
	const char *p, *end;
	char *out, *at;

	if (!call_need_text(call, call->target, &in))
		return false;
	if (in.kind == VALUE_STRING)
		in = repaired(call->arena, in);
	p = in.text;
	end = p + in.length;
	out = arena_alloc(call->arena, in.length + 1);
	at = out + in.length;
	while (p < end) {
		uint32_t c;
		size_t width = in.kind == VALUE_STRING ? utf8_decode(p, end, &c, NULL) : 1;

		at -= width;
		memcpy(at, p, width);
		p += width;
	}
	*ret = value_view((enum value_kind)in.kind, out, in.length);
	return true;
}

static bool prepare_repeat(struct call *call)
{
	return call->args[0].integer >= 0 ||
	       call_fail_final(call, "invalid count, must be greater than or equal to zero: %lld",
	                       (long long)call->args[0].integer);
}

static bool repeat(struct call *call, struct value *ret)
{
	uint64_t count = (uint64_t)call->args[0].integer;
	struct value in;
	size_t total;
	char *out;

	if (!call_need_text(call, call->target, &in))
		return false;
	if (in.length == 0 || count == 0) {
		*ret = value_view((enum value_kind)in.kind, "", 0);
		return true;
	}
	if (count > UINT32_MAX / in.length || !arena_fits(call->arena, (size_t)count * in.length))
		return call_fail(call, "the repeated text exceeds the limit of this evaluation");
	total = (size_t)count * in.length;
	out = arena_alloc(call->arena, total);
	for (size_t i = 0; i < total; i += in.length)
		memcpy(out + i, in.text, in.length);
	*ret = value_view((enum value_kind)in.kind, out, total);
	return true;
}

static bool prepare_replacements(struct call *call)
{
	struct value list = call->args[0];
	struct text shown;

	if (value_count(list) % 2 != 0) {
		text_init(&shown, call->arena);
		go_sprintf(&shown, "%v", 2, &list, 1);
		return call_fail_final(call,
		                       "invalid arg, replacements should be in pairs and must therefore be even: %s",
		                       text_end(&shown));
	}
	for (uint32_t i = 0; i < value_count(list); i++)
		if (!value_is_text(list.array->items[i]))
			return call_fail_final(call, "invalid replacement value at index %u: %s", i,
			                       call_type_text(call, list.array->items[i], "string"));
	return true;
}

/* Every occurrence of what by with; an empty `what` lies between the runes. */
static struct value replaced(struct call *call, struct value in, struct value what, struct value with)
{
	const char *p = in.text, *end = p + in.length;
	struct text out;

	text_init(&out, call->arena);
	while (p < end) {
		const char *found = what.length ? memmem(p, (size_t)(end - p), what.text, what.length) : p;
		uint32_t c;

		text_add(&out, p, (size_t)((found ? found : end) - p));
		if (!found)
			break;
		text_add(&out, with.text, with.length);
		p = found + what.length;
		if (what.length == 0) {
			size_t width = utf8_decode(p, end, &c, NULL);

			text_add(&out, p, width);
			p += width;
		}
	}
	if (what.length == 0)
		text_add(&out, with.text, with.length);
	else if (in.length == 0 && in.kind == VALUE_BYTES)
		return value_no_bytes();
	return value_from_text(&out, (enum value_kind)in.kind);
}

static bool replace_all_many(struct call *call, struct value *ret)
{
	struct value list = call->args[0];

	must(value_count(list) % 2 == 0);
	if (!call_need_text(call, call->target, ret))
		return false;
	for (uint32_t i = 0; i + 1 < value_count(list); i += 2) {
		*ret = replaced(call, *ret, list.array->items[i], list.array->items[i + 1]);
		if (call_spent(call))
			return false;
	}
	return true;
}

/* clang-format off */
const struct bloblang_row rows_methods_strings[] = {
	{.name = "uppercase", .kind = METHOD, .evaluate = uppercase,
	 .summary = "Upper case, code point by code point."},
	{.name = "lowercase", .kind = METHOD, .evaluate = lowercase,
	 .summary = "Lower case, code point by code point."},
	{.name = "has_prefix", .kind = METHOD, .evaluate = has_prefix,
	 .parameters = {{"value", PARAM_STRING, false, NULL}}, .summary = "True when the text begins with another."},
	{.name = "has_suffix", .kind = METHOD, .evaluate = has_suffix,
	 .parameters = {{"value", PARAM_STRING, false, NULL}}, .summary = "True when the text ends with another."},
	{.name = "trim_prefix", .kind = METHOD, .evaluate = trim_prefix,
	 .parameters = {{"prefix", PARAM_STRING, false, NULL}}, .summary = "Removes a prefix once."},
	{.name = "trim_suffix", .kind = METHOD, .evaluate = trim_suffix,
	 .parameters = {{"suffix", PARAM_STRING, false, NULL}}, .summary = "Removes a suffix once."},
	{.name = "trim", .kind = METHOD, .evaluate = trim, .parameters = {{"cutset", PARAM_STRING, true, NULL}},
	 .summary = "Removes white space, or the characters of a set, from both ends."},
	{.name = "index_of", .kind = METHOD, .evaluate = index_of,
	 .parameters = {{"value", PARAM_STRING, false, NULL}}, .summary = "The byte offset of another text, or -1."},
	{.name = "replace_all", .kind = METHOD, .evaluate = replace_all,
	 .parameters = {{"old", PARAM_STRING, false, NULL}, {"new", PARAM_STRING, false, NULL}},
	 .summary = "Replaces every occurrence of a text."},
	{.name = "replace", .kind = METHOD, .status = HIDDEN, .evaluate = replace_all,
	 .parameters = {{"old", PARAM_STRING, false, NULL}, {"new", PARAM_STRING, false, NULL}},
	 .summary = "Another name of replace_all."},
	{.name = "split", .kind = METHOD, .evaluate = split, .parameters = {{"delimiter", PARAM_STRING, false, NULL},
	 {"empty_as_null", PARAM_BOOL, false, "false"}},
	 .summary = "Cuts a text at a delimiter; an empty one cuts between code points."},
	{.name = "format", .kind = METHOD, .flags = ROW_VARIADIC, .evaluate = format,
	 .summary = "Fills the text, a format of Go's Sprintf, with the arguments."},
	{.name = "capitalize", .kind = METHOD, .evaluate = capitalize,
	 .summary = "Title case for each word, lower case for the rest."},
	{.name = "reverse", .kind = METHOD, .evaluate = reverse,
	 .summary = "Strings reversed by code point, bytes by byte."},
	{.name = "repeat", .kind = METHOD, .evaluate = repeat, .prepare = prepare_repeat,
	 .parameters = {{"count", PARAM_INT, false, NULL}}, .summary = "The text a number of times over."},
	{.name = "replace_all_many", .kind = METHOD, .evaluate = replace_all_many, .prepare = prepare_replacements,
	 .parameters = {{"values", PARAM_ARRAY, false, NULL}},
	 .summary = "Replacements one after the other from [old, new, ...]."},
	{.name = "replace_many", .kind = METHOD, .evaluate = replace_all_many, .prepare = prepare_replacements,
	 .parameters = {{"values", PARAM_ARRAY, false, NULL}}, .summary = "The same as replace_all_many."},
	{.name = NULL},
};
/* clang-format on */
