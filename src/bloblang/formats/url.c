/*
 * Percent-encoding, URLs and forms by Go's rules.
 *
 * Invariants:
 * 1. The pieces of a struct url point into the text or into the arena; none is written.
 * 2. A false answer has error set.
 * 3. raw_path and raw_fragment are empty when escaping the decoded part gives the text back.
 */
#include "bloblang/formats/url.h"

#include <ctype.h>
#include <string.h>

#include "base/hex.h"
#include "bloblang/golang/goquote.h"
#include "bloblang/formats/grouping.h"

struct piece {
	const char *p;
	size_t n;
};

static bool must_escape(char c, enum url_part part)
{
	if (isalnum((unsigned char)c) || strchr("-_.~", c))
		return c == '\0';
	if ((part == URL_HOST || part == URL_ZONE) && strchr("!$&'()*+,;=:[]<>\"", c))
		return false;
	if (strchr("$&+,/:;=?@", c)) {
		switch (part) {
		case URL_PATH:
			return c == '?';
		case URL_SEGMENT:
			return c == '/' || c == ';' || c == ',' || c == '?';
		case URL_USER:
			return c == '@' || c == '/' || c == '?' || c == ':';
		case URL_QUERY:
			return true;
		case URL_FRAGMENT:
			return false;
		case URL_HOST:
		case URL_ZONE:
			break;
		}
	}
	return !(part == URL_FRAGMENT && strchr("!()*", c));
}

void url_escape(struct text *out, const char *s, size_t length, enum url_part part)
{
	for (size_t i = 0; i < length; i++) {
		if (s[i] == ' ' && part == URL_QUERY)
			text_add_char(out, '+');
		else if (must_escape(s[i], part))
			text_addf(out, "%%%02X", (unsigned char)s[i]);
		else
			text_add_char(out, s[i]);
	}
}

static bool fail_quoted(struct arena *a, const char *before, const char *s, size_t length, const char *after,
                        const char **ret_error)
{
	struct text t;

	text_init(&t, a);
	text_add_string(&t, before);
	go_quote(&t, s, length, false);
	text_add_string(&t, after);
	*ret_error = text_end(&t);
	return false;
}

bool url_unescape(struct text *out, const char *s, size_t length, enum url_part part, const char **ret_error)
{
	bool host = part == URL_HOST || part == URL_ZONE;

	for (size_t i = 0; i < length; i++) {
		if (s[i] == '%') {
			size_t rest = length - i < 3 ? length - i : 3;
			int byte = hex_percent_decode(s + i, s + length);
			bool percent = byte == '%';
			char c = (char)byte;

			if (byte < 0 || (part == URL_HOST && byte < 0x80 && !percent) ||
			    (part == URL_ZONE && !percent && c != ' ' && must_escape(c, URL_HOST)))
				return fail_quoted(out->arena, "invalid URL escape ", s + i, rest, "", ret_error);
			text_add_char(out, c);
			i += 2;
		} else if (s[i] == '+' && part == URL_QUERY) {
			text_add_char(out, ' ');
		} else if (host && (unsigned char)s[i] < 0x80 && must_escape(s[i], part)) {
			return fail_quoted(out->arena, "invalid character ", s + i, 1, " in host name", ret_error);
		} else {
			text_add_char(out, s[i]);
		}
	}
	return true;
}

struct url {
	struct arena *arena;
	const char *error;
	struct piece scheme, opaque, host, path, raw_path, query, fragment, raw_fragment;
	struct piece user, password;
	bool has_user, has_password;
};

static bool unescape(struct url *u, struct piece in, enum url_part part, struct piece *ret)
{
	struct text t;

	text_init(&t, u->arena);
	if (!url_unescape(&t, in.p, in.n, part, &u->error))
		return false;
	ret->p = text_end(&t);
	ret->n = t.length;
	return true;
}

/* Decodes; *ret_raw is the source when the usual encoding would give something else. */
static bool unescape_keeping(struct url *u, struct piece in, enum url_part part, struct piece *ret,
                             struct piece *ret_raw)
{
	struct text again;

	if (!unescape(u, in, part, ret))
		return false;
	text_init(&again, u->arena);
	url_escape(&again, ret->p, ret->n, part);
	if (again.length != in.n || memcmp(text_end(&again), in.p, in.n) != 0)
		*ret_raw = in;
	return true;
}

/* Cuts at the first c: *head before it, *tail after it. */
static bool cut(struct piece in, char c, struct piece *head, struct piece *tail)
{
	const char *at = in.n ? memchr(in.p, c, in.n) : NULL;

	*head = at ? (struct piece){in.p, (size_t)(at - in.p)} : in;
	*tail = at ? (struct piece){at + 1, in.n - head->n - 1} : (struct piece){"", 0};
	return at;
}

static bool fail(struct url *u, const char *error)
{
	u->error = error;
	return false;
}

static bool take_scheme(struct url *u, struct piece *rest)
{
	for (size_t i = 0; i < rest->n; i++) {
		char c = rest->p[i];

		if (isalpha((unsigned char)c))
			continue;
		if (c == ':') {
			char *scheme;

			if (i == 0)
				return fail(u, "missing protocol scheme");
			scheme = arena_copy(u->arena, rest->p, i);
			for (size_t k = 0; k < i; k++)
				scheme[k] = (char)tolower((unsigned char)scheme[k]);
			u->scheme = (struct piece){scheme, i};
			*rest = (struct piece){rest->p + i + 1, rest->n - i - 1};
			return true;
		}
		if (i == 0 || !(isdigit((unsigned char)c) || strchr("+-.", c)))
			return true;
	}
	return true;
}

static bool check_port(struct url *u, struct piece port)
{
	size_t i = 1;

	while (i < port.n && isdigit((unsigned char)port.p[i]))
		i++;
	if (port.n == 0 || (*port.p == ':' && i == port.n))
		return true;
	return fail_quoted(u->arena, "invalid port ", port.p, port.n, " after host", &u->error);
}

static bool take_host(struct url *u, struct piece host)
{
	const char *mark;

	if (host.n > 0 && *host.p == '[') {
		const char *zone;

		mark = memrchr(host.p, ']', host.n);
		if (!mark)
			return fail(u, "missing ']' in host");
		if (!check_port(u, (struct piece){mark + 1, (size_t)(host.p + host.n - mark - 1)}))
			return false;
		zone = memmem(host.p, (size_t)(mark - host.p), "%25", 3);
		if (zone) {
			struct piece one, two, three;
			struct text t;

			if (!unescape(u, (struct piece){host.p, (size_t)(zone - host.p)}, URL_HOST, &one) ||
			    !unescape(u, (struct piece){zone, (size_t)(mark - zone)}, URL_ZONE, &two) ||
			    !unescape(u, (struct piece){mark, (size_t)(host.p + host.n - mark)}, URL_HOST, &three))
				return false;
			text_init(&t, u->arena);
			text_add(&t, one.p, one.n);
			text_add(&t, two.p, two.n);
			text_add(&t, three.p, three.n);
			u->host.p = text_end(&t);
			u->host.n = t.length;
			return true;
		}
	} else {
		mark = host.n ? memrchr(host.p, ':', host.n) : NULL;
		if (mark && !check_port(u, (struct piece){mark, (size_t)(host.p + host.n - mark)}))
			return false;
	}
	return unescape(u, host, URL_HOST, &u->host);
}

static bool take_authority(struct url *u, struct piece authority)
{
	const char *at = authority.n ? memrchr(authority.p, '@', authority.n) : NULL;
	struct piece info, name, password;

	if (!at)
		return take_host(u, authority);
	info = (struct piece){authority.p, (size_t)(at - authority.p)};
	if (!take_host(u, (struct piece){at + 1, authority.n - info.n - 1}))
		return false;
	for (size_t i = 0; i < info.n; i++)
		if (!isalnum((unsigned char)info.p[i]) && !(info.p[i] && strchr("-._:~!$&'()*+,;=%@", info.p[i])))
			return fail(u, "net/url: invalid userinfo");
	u->has_user = true;
	u->has_password = cut(info, ':', &name, &password);
	return unescape(u, name, URL_USER, &u->user) && unescape(u, password, URL_USER, &u->password);
}

static bool starts_with(struct piece p, const char *prefix)
{
	return p.n >= strlen(prefix) && memcmp(p.p, prefix, strlen(prefix)) == 0;
}

static bool parse_main(struct url *u, struct piece rest)
{
	for (size_t i = 0; i < rest.n; i++)
		if ((unsigned char)rest.p[i] < ' ' || rest.p[i] == 127)
			return fail(u, "net/url: invalid control character in URL");
	if (rest.n == 1 && *rest.p == '*') {
		u->path = rest;
		return true;
	}
	if (!take_scheme(u, &rest))
		return false;
	(void)cut(rest, '?', &rest, &u->query);
	if (rest.n == 0 || *rest.p != '/') {
		const char *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
		size_t segment = slash ? (size_t)(slash - rest.p) : rest.n;

		if (u->scheme.n > 0) {
			u->opaque = rest;
			return true;
		}
		if (segment > 0 && memchr(rest.p, ':', segment))
			return fail(u, "first path segment in URL cannot contain colon");
	}
	if ((u->scheme.n > 0 || !starts_with(rest, "///")) && starts_with(rest, "//")) {
		struct piece authority = {rest.p + 2, rest.n - 2};
		const char *slash = authority.n ? memchr(authority.p, '/', authority.n) : NULL;

		rest =
		    slash ? (struct piece){slash, (size_t)(authority.p + authority.n - slash)} : (struct piece){"", 0};
		authority.n -= rest.n;
		if (!take_authority(u, authority))
			return false;
	}
	return unescape_keeping(u, rest, URL_PATH, &u->path, &u->raw_path);
}

static void set(struct arena *a, struct value object, const char *key, struct piece p)
{
	value_object_set(a, object, key, strlen(key), value_string(p.n ? p.p : "", p.n));
}

bool url_parse(struct arena *a, const char *s, size_t length, struct value *ret, const char **ret_error)
{
	struct url u = {.arena = a};
	struct piece main, fragment;
	bool has_fragment = cut((struct piece){s, length}, '#', &main, &fragment);

	if (!parse_main(&u, main)) {
		struct text t;

		text_init(&t, a);
		text_add_string(&t, ": ");
		text_add_string(&t, u.error);
		return fail_quoted(a, "parse ", main.p, main.n, text_end(&t), ret_error);
	}
	if (has_fragment && !unescape_keeping(&u, fragment, URL_FRAGMENT, &u.fragment, &u.raw_fragment))
		return fail_quoted(a, "parse ", s, length, arena_format(a, ": %s", u.error), ret_error);
	*ret = value_object(a, 9);
	set(a, *ret, "scheme", u.scheme);
	set(a, *ret, "opaque", u.opaque);
	set(a, *ret, "host", u.host);
	set(a, *ret, "path", u.path);
	set(a, *ret, "raw_path", u.raw_path);
	set(a, *ret, "raw_query", u.query);
	set(a, *ret, "fragment", u.fragment);
	set(a, *ret, "raw_fragment", u.raw_fragment);
	if (u.has_user) {
		struct value user = value_object(a, 2);

		set(a, user, "name", u.user);
		if (u.has_password)
			set(a, user, "password", u.password);
		value_object_set(a, *ret, "user", 4, user);
	}
	return true;
}

/* What has nothing to decode stays where it is. */
static bool unescape_form(struct url *u, struct piece *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->p[i] == '%' || p->p[i] == '+')
			return unescape(u, *p, URL_QUERY, p);
	return true;
}

bool url_parse_form(struct arena *a, const char *s, size_t length, struct value *ret, const char **ret_error)
{
	struct url u = {.arena = a};
	struct piece rest = {s, length};
	struct grouping pairs = {.arena = a};

	while (rest.n > 0) {
		struct piece pair, key, item;

		(void)cut(rest, '&', &pair, &rest);
		if (pair.n == 0)
			continue;
		if (memchr(pair.p, ';', pair.n)) {
			*ret_error = "invalid semicolon separator in query";
			return false;
		}
		(void)cut(pair, '=', &key, &item);
		if (!unescape_form(&u, &key) || !unescape_form(&u, &item)) {
			*ret_error = u.error;
			return false;
		}
		if (!grouping_add(&pairs, key.p, key.n, value_string(item.p, item.n), false))
			break;
	}
	*ret = grouping_object(&pairs);
	return true;
}
