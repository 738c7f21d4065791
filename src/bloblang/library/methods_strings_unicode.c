/* Methods of the family "strings" that know natural text: slugs and segments. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <unicase.h>
#include <unigbrk.h>
#include <uninorm.h>
#include <unictype.h>
#include <uniwbrk.h>

#include "base/utf8.h"
#include "bloblang/language/function.h"

/* --- slug --- */

/* Letters whose plain form is not their decomposition. */
static const struct {
	uint32_t rune;
	const char *plain;
} transliterations[] = {{0xdf, "ss"}, {0xe6, "ae"}, {0xf8, "o"},  {0x153, "oe"},    {0xf0, "d"},     {0xfe, "th"},
                        {0x111, "d"}, {0x142, "l"}, {0x131, "i"}, {0x20ac, "euro"}, {0xa3, "pound"}, {0xd7, "x"}};

/* What the ampersand and the at sign are called. */
static const struct {
	const char *language;
	const char *and;
	const char *at;
} languages[] = {{"en", "and", "at"},    {"de", "und", "an"}, {"fr", "et", "arobase"}, {"es", "y", "en"},
                 {"it", "e", "a"},       {"pt", "e", "a"},    {"nl", "en", "at"},      {"pl", "i", "na"},
                 {"cs", "a", "zavinac"}, {"da", "og", "at"},  {"nb", "og", "at"},      {"sv", "och", "snabel a"},
                 {"fi", "ja", "at"},     {"tr", "ve", "et"},  {"ro", "si", "la"},      {"hu", "es", "kukac"}};

static const char *plain_form(uint32_t c)
{
	for (size_t i = 0; i < sizeof transliterations / sizeof *transliterations; i++)
		if (transliterations[i].rune == c)
			return transliterations[i].plain;
	return NULL;
}

static void add_dash(struct text *out)
{
	if (out->length > 0 && out->data[out->length - 1] != '-')
		text_add_char(out, '-');
}

static void add_slug_rune(struct text *out, uint32_t c)
{
	const char *plain;

	c = uc_tolower(c);
	plain = plain_form(c);
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')
		text_add_char(out, (char)c);
	else if (plain)
		text_add_string(out, plain);
	else if (c == '\'' || c == '"' || c == 0x2019 || uc_is_general_category_withtable(c, UC_CATEGORY_MASK_M))
		return; /* quotes and accents vanish */
	else
		add_dash(out);
}

static bool slug(struct call *call, struct value *ret)
{
	const char *and = languages[0].and, *at = languages[0].at;
	struct value in;
	struct text out;
	uint8_t *split;
	size_t n = 0;

	if (!call_need_string(call, call->target, &in))
		return false;
	for (size_t i = 0; i < sizeof languages / sizeof *languages; i++) {
		if (value_text_is(call->args[0], languages[i].language)) {
			and = languages[i].and;
			at = languages[i].at;
		}
	}
	if (!utf8_is_valid(in.text, in.length))
		return call_fail(call, "the text is not UTF-8");
	split = u8_normalize(UNINORM_NFKD, (const uint8_t *)in.text, in.length, NULL, &n);
	if (!split && in.length > 0)
		return call_fail(call, "out of memory");
	text_init(&out, call->arena);
	for (size_t i = 0; i < n;) {
		uint32_t c;

		i += utf8_decode((const char *)split + i, (const char *)split + n, &c, NULL);
		if (c == '&' || c == '@')
			text_add_string(&out, c == '&' ? and : at);
		else
			add_slug_rune(&out, c);
	}
	free(split);
	while (out.length > 0 && out.data[out.length - 1] == '-')
		out.length--;
	*ret = value_from_text(&out, VALUE_STRING);
	return true;
}

/* --- unicode_segments --- */

static bool prepare_segments(struct call *call)
{
	return value_text_is(call->args[0], "grapheme") || value_text_is(call->args[0], "word") ||
	       value_text_is(call->args[0], "sentence") ||
	       call_fail_final(call, "unexpected segmentation type: %.*s", (int)call->args[0].length,
	                       call->args[0].text);
}

/* A sentence ends after . ! ? (and their kin), closing marks and blanks, before what is no small letter; and at breaks.
 */
static size_t sentence_length(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n) {
		uint32_t c;

		i += utf8_decode(s + i, s + n, &c, NULL);
		if (c == '\n' || c == 0x2029)
			return i;
		if (c != '.' && c != '!' && c != '?' && c != 0x2026 && c != 0x3002 && c != 0xff01 && c != 0xff1f)
			continue;
		while (i < n && strchr(".!?\"')]", s[i]) && s[i])
			i++;
		if (i < n && s[i] != ' ' && s[i] != '\t' && c < 128)
			continue;
		while (i < n && (s[i] == ' ' || s[i] == '\t'))
			i++;
		if (i == n || c != '.' || !islower((unsigned char)s[i]))
			return i;
	}
	return n;
}

/* The library breaks after a zero width joiner; emoji sequences go on there. */
static size_t grapheme_length(const char *s, size_t n)
{
	const uint8_t *start = (const uint8_t *)s, *end = start + n, *at = start;

	for (;;) {
		uint32_t next;

		at = u8_grapheme_next(at, end);
		if (!at || at >= end)
			return n;
		if (at - start < 3 || memcmp(at - 3, "\xe2\x80\x8d", 3) != 0)
			return (size_t)(at - start);
		(void)utf8_decode((const char *)at, (const char *)end, &next, NULL);
		if (!uc_is_general_category_withtable(next, UC_CATEGORY_MASK_So) && next < 0x1f000)
			return (size_t)(at - start);
	}
}

static void push(struct call *call, struct value array, const char *s, size_t n)
{
	value_array_push(call->arena, array, value_string(s, n));
}

static void split_words(struct call *call, struct value in, struct value array)
{
	char *breaks = arena_alloc(call->arena, in.length);
	size_t from = 0;

	u8_wordbreaks((const uint8_t *)in.text, in.length, breaks);
	for (size_t i = 1; i <= in.length; i++) {
		if (i == in.length || breaks[i]) {
			push(call, array, in.text + from, i - from);
			from = i;
		}
	}
}

static bool unicode_segments(struct call *call, struct value *ret)
{
	struct value in;

	if (!call_need_string(call, call->target, &in))
		return false;
	*ret = value_array(call->arena, 8);
	if (in.length == 0)
		return true;
	if (!utf8_is_valid(in.text, in.length))
		return call_fail(call, "the text is not UTF-8");
	if (value_text_is(call->args[0], "word")) {
		split_words(call, in, *ret);
		return true;
	}
	for (size_t i = 0; i < in.length && !call_spent(call);) {
		size_t n = value_text_is(call->args[0], "sentence") ? sentence_length(in.text + i, in.length - i)
		                                                    : grapheme_length(in.text + i, in.length - i);

		push(call, *ret, in.text + i, n);
		i += n;
	}
	return true;
}

/* clang-format off */
const struct bloblang_row rows_methods_strings_unicode[] = {
	{.name = "slug", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = slug,
	 .parameters = {{"lang", PARAM_STRING, false, "\"en\""}}, .summary = "The text as a part of a URL."},
	{.name = "unicode_segments", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = unicode_segments,
	 .prepare = prepare_segments, .parameters = {{"segmentation_type", PARAM_STRING, false, NULL}},
	 .summary = "The graphemes, words or sentences of a text."},
	{.name = NULL},
};
/* clang-format on */
