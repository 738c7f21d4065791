#include "aws/identity/sts_xml.h"

#include <stdint.h>
#include <string.h>

#include "base/hex.h"
#include "base/utf8.h"

struct name {
	const char *text;
	size_t length;
};

struct scanner {
	const char *p;
	const char *end;
	struct name open[STS_XML_DEPTH_MAX];
	size_t depth;
	struct buf *out;
	const char *path;
	bool inside; /* the innermost open element is the one asked for */
	bool found;
	bool had_root;
};

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
	       c == '.' || c == ':';
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

static struct name take_name(struct scanner *s)
{
	struct name n = {.text = s->p};

	while (s->p < s->end && is_name_char(*s->p))
		s->p++;
	n.length = (size_t)(s->p - n.text);
	return n;
}

static void skip_space(struct scanner *s)
{
	while (s->p < s->end && is_space(*s->p))
		s->p++;
}

/* True when the open elements spell the path. */
static bool is_at_path(const struct scanner *s)
{
	const char *p = s->path;

	for (size_t i = 0; i < s->depth; i++) {
		size_t n = strcspn(p, "/");

		if (n != s->open[i].length || memcmp(p, s->open[i].text, n) != 0)
			return false;
		p += n;
		if (*p == '/')
			p++;
		else
			return i + 1 == s->depth;
	}
	return false;
}

/* Over attributes to '>' or '/>'. */
static bool skip_attributes(struct scanner *s, bool *ret_empty)
{
	for (;;) {
		const char *before = s->p;
		char quote;

		skip_space(s);
		if (s->p == s->end)
			return false;
		*ret_empty = *s->p == '/';
		if (*s->p == '/')
			s->p++;
		if (s->p < s->end && *s->p == '>') {
			s->p++;
			return true;
		}
		if (*ret_empty || before == s->p || take_name(s).length == 0 || s->end - s->p < 2 || *s->p != '=')
			return false;
		quote = s->p[1];
		if (quote != '"' && quote != '\'')
			return false;
		s->p = memchr(s->p + 2, quote, (size_t)(s->end - s->p - 2));
		if (!s->p) {
			s->p = s->end;
			return false;
		}
		s->p++;
	}
}

static bool close_element(struct scanner *s)
{
	if (s->inside) {
		s->found = true;
		s->inside = false;
	}
	s->depth--;
	return true;
}

static bool start_tag(struct scanner *s)
{
	struct name n = take_name(s);
	bool empty;

	if (n.length == 0 || s->depth == STS_XML_DEPTH_MAX || s->inside || (s->depth == 0 && s->had_root))
		return false;
	s->had_root = true;
	s->open[s->depth++] = n;
	if (!skip_attributes(s, &empty))
		return false;
	s->inside = !s->found && is_at_path(s);
	return empty ? close_element(s) : true;
}

static bool end_tag(struct scanner *s)
{
	struct name n = take_name(s);

	skip_space(s);
	if (s->depth == 0 || s->p == s->end || *s->p != '>' || n.length != s->open[s->depth - 1].length ||
	    memcmp(n.text, s->open[s->depth - 1].text, n.length) != 0)
		return false;
	s->p++;
	return close_element(s);
}

static bool add_code_point(struct buf *out, uint32_t c)
{
	char utf8[UTF8_MAX];

	if (c == 0 || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
		return false;
	return buf_add(out, utf8, utf8_encode(utf8, c)) == ERR_OK;
}

static bool numeric_entity(const char *text, size_t length, uint32_t *ret)
{
	bool hex = length > 1 && text[0] == 'x';
	uint32_t value = 0;

	for (size_t i = hex ? 1 : 0; i < length; i++) {
		int digit = hex_value(text[i]);

		if (digit < 0 || digit >= (hex ? 16 : 10) || value > 0x10FFFF)
			return false;
		value = value * (hex ? 16 : 10) + (uint32_t)digit;
	}
	*ret = value;
	return length > (hex ? 1U : 0U);
}

static bool entity(struct scanner *s)
{
	static const struct {
		const char *name;
		char c;
	} named[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
	const char *name = s->p + 1;
	const char *end = memchr(name, ';', (size_t)(s->end - name));
	size_t n = end ? (size_t)(end - name) : 0;
	uint32_t code = 0;

	if (n == 0 || n > 8)
		return false;
	s->p = end + 1;
	if (name[0] == '#')
		return numeric_entity(name + 1, n - 1, &code) && (!s->inside || add_code_point(s->out, code));
	for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
		if (strlen(named[i].name) == n && memcmp(named[i].name, name, n) == 0)
			return !s->inside || buf_add_char(s->out, named[i].c) == ERR_OK;
	return false;
}

static bool one_step(struct scanner *s)
{
	if (*s->p == '<') {
		s->p++;
		if (s->p < s->end && *s->p == '/') {
			s->p++;
			return end_tag(s);
		}
		return start_tag(s);
	}
	if (*s->p == '&')
		return s->depth > 0 && entity(s);
	if (*s->p == '\0' || (s->depth == 0 && !is_space(*s->p)))
		return false;
	if (s->inside && buf_add_char(s->out, *s->p) != ERR_OK)
		return false;
	s->p++;
	return true;
}

bool sts_xml_find(const char *text, size_t length, const char *path, struct buf *out)
{
	struct scanner s = {.p = text, .end = text + length, .path = path, .out = out};

	buf_clear(out);
	if (length >= 5 && memcmp(text, "<?xml", 5) == 0) {
		s.p = memchr(text, '>', length);
		if (!s.p || s.p[-1] != '?')
			return false;
		s.p++;
	}
	while (s.p < s.end)
		if (!one_step(&s))
			return false;
	return s.found && s.depth == 0;
}
