/*
 * XML to values and back, by mxj's conventions.
 *
 * Invariants:
 * 1. start <= p <= end, and p only goes forward.
 * 2. depth <= DEPTH_MAX in reader and writer; what lies deeper is an error to the one and left out by the other.
 * 3. Every element is given to its parent's grouping once, so that repeated ones become an array in their order.
 */
#include "bloblang/formats/xml.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/utf8.h"
#include "value/number.h"
#include "bloblang/formats/grouping.h"

enum { DEPTH_MAX = 500 };

struct xml_reader {
	struct arena *arena;
	const char *start;
	const char *p;
	const char *end;
	bool cast;
	const char *error;
	int depth;
};

struct xml_name {
	const char *text; /* without its prefix */
	size_t length;
};

static bool fail(struct xml_reader *r, const char *what)
{
	size_t line = 1;

	for (const char *c = r->start; c < r->p; c++)
		line += *c == '\n';
	r->error = arena_format(r->arena, "xml.Decoder.Token() - XML syntax error on line %zu: %s", line, what);
	return false;
}

static bool starts(const struct xml_reader *r, const char *text)
{
	return (size_t)(r->end - r->p) >= strlen(text) && memcmp(r->p, text, strlen(text)) == 0;
}

/* Past the next occurrence of text, or to the end: false. */
static bool skip_past(struct xml_reader *r, const char *text)
{
	const char *found = memmem(r->p, (size_t)(r->end - r->p), text, strlen(text));

	r->p = found ? found + strlen(text) : r->end;
	return found;
}

static void skip_space(struct xml_reader *r)
{
	while (r->p < r->end && isspace((unsigned char)*r->p))
		r->p++;
}

static bool is_name_char(char c) { return isalnum((unsigned char)c) || (c & 0x80) || (c && strchr("_:.-", c)); }

static bool take_name(struct xml_reader *r, struct xml_name *ret)
{
	const char *start = r->p, *colon;

	while (r->p < r->end && is_name_char(*r->p))
		r->p++;
	if (r->p == start || isdigit((unsigned char)*start) || *start == '-' || *start == '.')
		return false;
	colon = memrchr(start, ':', (size_t)(r->p - start));
	ret->text = colon && colon + 1 < r->p && colon > start ? colon + 1 : start;
	ret->length = (size_t)(r->p - ret->text);
	return true;
}

/* One reference at p ("&lt;", "&#65;"); its length, 0 when it is none that is known. */
static size_t take_reference(const char *p, const char *end, struct text *out)
{
	static const struct {
		const char *text;
		char c;
	} known[] = {{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&apos;", '\''}, {"&quot;", '"'}};
	const char *close = memchr(p, ';', (size_t)(end - p > 12 ? 12 : end - p));
	uint32_t c = 0;
	char bytes[UTF8_MAX];

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if ((size_t)(end - p) >= strlen(known[i].text) &&
		    memcmp(p, known[i].text, strlen(known[i].text)) == 0) {
			text_add_char(out, known[i].c);
			return strlen(known[i].text);
		}
	}
	if (!close || close - p < 3 || p[1] != '#')
		return 0;
	for (const char *d = p + 2 + (p[2] == 'x'); d < close; d++) {
		unsigned base = p[2] == 'x' ? 16 : 10;

		if (!(base == 16 ? isxdigit((unsigned char)*d) : isdigit((unsigned char)*d)))
			return 0;
		c = c * base +
		    (uint32_t)(isdigit((unsigned char)*d) ? *d - '0' : tolower((unsigned char)*d) - 'a' + 10);
		if (c > 0x10ffff)
			return 0;
	}
	text_add(out, bytes, utf8_encode(bytes, c));
	return (size_t)(close + 1 - p);
}

static void add_text(struct xml_reader *r, struct text *out, const char *p, const char *end)
{
	(void)r;
	while (p < end) {
		size_t n = *p == '&' ? take_reference(p, end, out) : 0;

		if (n > 0) {
			p += n;
		} else if (*p == '\r') {
			text_add_char(out, '\n');
			p += p + 1 < end && p[1] == '\n' ? 2 : 1;
		} else {
			text_add_char(out, *p++);
		}
	}
}

static struct value cast_text(const struct xml_reader *r, const char *s, size_t length)
{
	double d;

	if (r->cast && length > 0) {
		bool word = strncasecmp(s, "nan", 3) == 0 || strncasecmp(s + (*s == '-' || *s == '+'), "inf", 3) == 0;

		if (!word && number_parse_float(s, length, &d))
			return value_float(d);
		if ((length == 4 &&
		     (memcmp(s, "true", 4) == 0 || memcmp(s, "True", 4) == 0 || memcmp(s, "TRUE", 4) == 0)) ||
		    (length == 1 && (*s == 't' || *s == 'T')))
			return value_bool(true);
		if ((length == 5 &&
		     (memcmp(s, "false", 5) == 0 || memcmp(s, "False", 5) == 0 || memcmp(s, "FALSE", 5) == 0)) ||
		    (length == 1 && (*s == 'f' || *s == 'F')))
			return value_bool(false);
	}
	return value_string(s, length);
}

/* The text between two places with its references resolved; one that has none stays where it is. */
static struct value take_plain(struct xml_reader *r, const char *start, const char *stop)
{
	size_t n = (size_t)(stop - start);
	struct text t;

	if (!memchr(start, '&', n) && !memchr(start, '\r', n))
		return cast_text(r, start, n);
	text_init(&t, r->arena);
	add_text(r, &t, start, stop);
	return cast_text(r, text_end(&t), t.length);
}

static bool take_attribute(struct xml_reader *r, struct grouping *content)
{
	struct xml_name name;
	const char *start, *stop;
	char *key;

	if (!take_name(r, &name))
		return fail(r, "expected attribute name in element");
	start = name.text;
	stop = name.text + name.length;
	skip_space(r);
	if (r->p < r->end && *r->p == '=') {
		r->p++;
		skip_space(r);
		start = r->p;
		if (r->p < r->end && (*r->p == '"' || *r->p == '\'')) {
			char quote = *r->p++;

			start = r->p;
			stop = memchr(start, quote, (size_t)(r->end - start));
			if (!stop) {
				r->p = r->end;
				return fail(r, "unexpected EOF");
			}
			r->p = stop + 1;
		} else {
			while (r->p < r->end && is_name_char(*r->p))
				r->p++;
			stop = r->p;
		}
	}
	if (!arena_fits(r->arena, name.length + 1))
		return fail(r, "unexpected EOF");
	key = arena_alloc(r->arena, name.length + 1);
	key[0] = '-';
	memcpy(key + 1, name.text, name.length);
	return grouping_add(content, key, name.length + 1, take_plain(r, start, stop), true) ||
	       fail(r, "unexpected EOF");
}

/* *ret_closed: the tag ended itself. */
static bool take_attributes(struct xml_reader *r, struct grouping *content, bool *ret_closed)
{
	for (;;) {
		skip_space(r);
		if (r->p == r->end)
			return fail(r, "unexpected EOF");
		if (*r->p == '>') {
			r->p++;
			*ret_closed = false;
			return true;
		}
		if (starts(r, "/>")) {
			r->p += 2;
			*ret_closed = true;
			return true;
		}
		if (!take_attribute(r, content))
			return false;
	}
}

static bool take_element(struct xml_reader *r, struct xml_name *ret_name, struct value *ret);

/* Character data up to the next tag, trimmed; *ret_any: something is left. */
static struct value take_text(struct xml_reader *r, bool *ret_any)
{
	struct text t;
	const char *s, *end;

	text_init(&t, r->arena);
	if (starts(r, "<![CDATA[")) {
		const char *from = r->p + 9, *stop = memmem(from, (size_t)(r->end - from), "]]>", 3);

		text_add(&t, from, (size_t)((stop ? stop : r->end) - from));
		r->p = stop ? stop + 3 : r->end;
	} else {
		const char *tag = memchr(r->p, '<', (size_t)(r->end - r->p));

		add_text(r, &t, r->p, tag ? tag : r->end);
		r->p = tag ? tag : r->end;
	}
	s = text_end(&t);
	end = s + t.length;
	while (s < end && strchr("\t\r\b\n ", *s) && *s)
		s++;
	while (end > s && strchr("\t\r\b\n ", end[-1]) && end[-1])
		end--;
	*ret_any = end > s;
	return cast_text(r, s, (size_t)(end - s));
}

/* r->p is at an end tag, and it is this element's. */
static bool is_end_of(struct xml_reader *r, const struct xml_name *name)
{
	struct xml_reader ahead = *r;
	struct xml_name other = {0};

	ahead.p += 2;
	return take_name(&ahead, &other) && other.length == name->length &&
	       memcmp(other.text, name->text, name->length) == 0;
}

/* What lies between the tags; the end tag is taken too. */
static bool take_content(struct xml_reader *r, const struct xml_name *name, struct grouping *content, struct value *ret)
{
	struct value lone = {.kind = VALUE_NOTHING}; /* text seen before anything else */
	bool any;

	for (;;) {
		if (r->p == r->end || arena_is_spent(r->arena))
			return fail(r, "unexpected EOF");
		if (starts(r, "</")) {
			break;
		} else if (starts(r, "<!--")) {
			if (!skip_past(r, "-->"))
				return fail(r, "unexpected EOF");
		} else if (starts(r, "<?")) {
			(void)skip_past(r, "?>");
		} else if (*r->p == '<' && !starts(r, "<![CDATA[")) {
			struct xml_name child_name = {0};
			struct value child = value_null();

			if (!take_element(r, &child_name, &child))
				return false;
			if (!grouping_add(content, child_name.text, child_name.length, child, false))
				return fail(r, "unexpected EOF");
		} else {
			struct value text = take_text(r, &any);

			if (any && content->count > 0)
				(void)grouping_add(content, "#text", 5, text, true);
			else if (any)
				lone = text;
		}
	}
	/* A wrong end tag closes the element too, and those around it up to its own: the decoder is not strict. */
	if ((is_end_of(r, name) || r->depth == 1) && !skip_past(r, ">"))
		return fail(r, "unexpected EOF");
	if (content->count > 0) {
		if (lone.kind != VALUE_NOTHING)
			(void)grouping_add(content, "#text", 5, lone, true);
		*ret = grouping_object(content);
	} else {
		*ret = lone.kind != VALUE_NOTHING ? lone : value_literal("");
	}
	return true;
}

static bool take_element(struct xml_reader *r, struct xml_name *ret_name, struct value *ret)
{
	struct grouping content = {.arena = r->arena};
	bool closed = false, ok;

	must(r->start <= r->p && r->p <= r->end);
	if (++r->depth > DEPTH_MAX)
		return fail(r, "exceeded max depth");
	r->p++;
	if (!take_name(r, ret_name))
		return fail(r, "expected element name after <");
	if (!take_attributes(r, &content, &closed))
		return false;
	if (closed) {
		*ret = content.count > 0 ? grouping_object(&content) : value_literal("");
		ok = true;
	} else {
		ok = take_content(r, ret_name, &content, ret);
	}
	r->depth--;
	return ok;
}

bool xml_read(struct arena *a, const char *s, size_t length, bool cast, struct value *ret, const char **ret_error)
{
	struct xml_reader r = {.arena = a, .start = s, .p = s, .end = s + length, .cast = cast};
	struct xml_name name = {0};
	struct value root = value_null();

	for (;;) {
		const char *tag = memchr(r.p, '<', (size_t)(r.end - r.p));

		if (!tag) {
			*ret_error = "EOF";
			return false;
		}
		r.p = tag;
		if (starts(&r, "<?"))
			(void)skip_past(&r, "?>");
		else if (starts(&r, "<!--"))
			(void)skip_past(&r, "-->");
		else if (starts(&r, "<!"))
			(void)skip_past(&r, ">");
		else
			break;
	}
	if (!take_element(&r, &name, &root)) {
		*ret_error = r.error;
		return false;
	}
	*ret = value_object(a, 1);
	value_object_set(a, *ret, name.text, name.length, root);
	return true;
}

struct writer {
	struct text *out;
	const char *indent;
	int depth;
	const char *error; /* not null: a value has no text */
};

static void write_value(struct writer *w, struct value v)
{
	const char *error;

	if (!value_print_text(w->out, v, &error))
		w->error = error;
}

static void new_line(struct writer *w)
{
	if (!w->indent)
		return;
	if (w->out->length > 0)
		text_add_char(w->out, '\n');
	for (int i = 0; i < w->depth; i++)
		text_add_string(w->out, w->indent);
}

static void write_tag(struct writer *w, const char *tag, size_t length, struct value v);

static bool is_attribute(const struct value_pair *pair) { return pair->key_length > 1 && pair->key[0] == '-'; }

static bool is_text(const struct value_pair *pair)
{
	return pair->key_length == 5 && memcmp(pair->key, "#text", 5) == 0;
}

static void write_children(struct writer *w, const char *tag, size_t length, struct value v)
{
	uint32_t children = 0;
	const struct value *text = value_object_find(v, "#text", 5);

	for (uint32_t i = 0; i < value_count(v); i++) {
		struct value_pair *pair = &v.object->pairs[i];

		if (is_attribute(pair)) {
			text_add_char(w->out, ' ');
			text_add(w->out, pair->key + 1, pair->key_length - 1);
			text_add_string(w->out, "=\"");
			if (!value_is_nullish(pair->value))
				write_value(w, pair->value);
			text_add_char(w->out, '"');
		} else {
			children += !is_text(pair);
		}
	}
	if (children == 0 && !text) {
		text_add_string(w->out, "/>");
		return;
	}
	text_add_char(w->out, '>');
	if (text && !value_is_nullish(*text))
		write_value(w, *text);
	w->depth++;
	for (uint32_t i = 0; i < value_count(v); i++)
		if (!is_attribute(&v.object->pairs[i]) && !is_text(&v.object->pairs[i]))
			write_tag(w, v.object->pairs[i].key, v.object->pairs[i].key_length, v.object->pairs[i].value);
	w->depth--;
	if (children > 0)
		new_line(w);
	text_add_string(w->out, "</");
	text_add(w->out, tag, length);
	text_add_char(w->out, '>');
}

static void write_tag(struct writer *w, const char *tag, size_t length, struct value v)
{
	if (v.kind == VALUE_ARRAY && value_count(v) > 0) {
		for (uint32_t i = 0; i < value_count(v); i++)
			write_tag(w, tag, length, v.array->items[i]);
		return;
	}
	if (w->depth > DEPTH_MAX || w->out->failed)
		return;
	new_line(w);
	text_add_char(w->out, '<');
	text_add(w->out, tag, length);
	if (v.kind == VALUE_OBJECT) {
		write_children(w, tag, length, v);
	} else if (value_is_nullish(v) || v.kind == VALUE_ARRAY || (value_is_text(v) && v.length == 0)) {
		text_add_string(w->out, "/>");
	} else {
		text_add_char(w->out, '>');
		write_value(w, v);
		text_add_string(w->out, "</");
		text_add(w->out, tag, length);
		text_add_char(w->out, '>');
	}
}

bool xml_write(struct text *out, struct value v, const char *indent, const char *root, size_t root_length,
               const char **ret_error)
{
	struct writer w = {.out = out, .indent = indent};

	if (root) {
		write_tag(&w, root, root_length, v);
	} else if (value_count(v) == 1 && !is_attribute(v.object->pairs) &&
	           v.object->pairs[0].value.kind != VALUE_ARRAY) {
		write_tag(&w, v.object->pairs[0].key, v.object->pairs[0].key_length, v.object->pairs[0].value);
	} else {
		write_tag(&w, "doc", 3, v);
	}
	*ret_error = w.error;
	return !w.error;
}
