#include "aws/signing/canonical.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/hex.h"

static bool is_unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
	       c == '.' || c == '~';
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

void canonical_encode(struct buf *out, const char *text, size_t length, bool keep_slash)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (is_unreserved(c) || (keep_slash && c == '/')) {
			(void)buf_add_char(out, (char)c);
			continue;
		}
		hex_percent_add(out, text[i]);
	}
}

/* RFC 3986 5.2.4 plus the merging of repeated slashes; a trailing slash stays. */
static void path_add_normal(struct buf *out, const char *path)
{
	size_t length = strlen(path);
	char *normal = mem_alloc(length + 2);
	size_t used = 0;

	for (const char *p = path; *p;) {
		size_t n;

		while (*p == '/')
			p++;
		n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.') {
			while (used > 0 && normal[--used] != '/') {
			}
		} else if (n > 0 && !(n == 1 && p[0] == '.')) {
			normal[used++] = '/';
			memcpy(normal + used, p, n);
			used += n;
		}
		p += n;
	}
	if (used == 0 || (length > 0 && path[length - 1] == '/'))
		normal[used++] = '/';
	canonical_encode(out, normal, used, true);
	free(normal);
}

static void path_add(struct buf *out, const struct canonical_request *r)
{
	const char *path = r->path && *r->path ? r->path : "/";

	if (r->keep_path)
		canonical_encode(out, path, strlen(path), true);
	else
		path_add_normal(out, path);
}

/* A query part, decoded and encoded again so that every spelling of it signs alike. */
static char *query_text(const char *text, size_t length)
{
	struct buf plain, encoded;

	buf_init(&plain, length);
	for (size_t i = 0; i < length; i++) {
		int byte = hex_percent_decode(text + i, text + length);

		if (byte >= 0) {
			(void)buf_add_char(&plain, (char)byte);
			i += HEX_PERCENT_CHARS - 1;
		} else {
			(void)buf_add_char(&plain, text[i]);
		}
	}
	buf_init(&encoded, length * 3);
	canonical_encode(&encoded, plain.data ? plain.data : "", plain.len, false);
	buf_fini(&plain);
	return buf_take(&encoded, NULL);
}

struct pair {
	char *name;
	char *value;
};

static int pair_compare(const void *left, const void *right)
{
	const struct pair *a = left, *b = right;
	int order = strcmp(a->name, b->name);

	return order ? order : strcmp(a->value, b->value);
}

static enum err query_add(struct buf *out, const char *query, struct error *e)
{
	struct pair pairs[CANONICAL_QUERY_MAX];
	size_t count = 0;
	enum err err = ERR_OK;

	for (const char *p = query ? query : ""; *p;) {
		size_t n = strcspn(p, "&");
		const char *equals = memchr(p, '=', n);
		size_t name_length = equals ? (size_t)(equals - p) : n;

		if (count == CANONICAL_QUERY_MAX) {
			err = error_set(e, ERR_TOOBIG, "more than %d query parts", CANONICAL_QUERY_MAX);
			break;
		}
		if (n > 0) {
			pairs[count].name = query_text(p, name_length);
			pairs[count].value = equals ? query_text(equals + 1, n - name_length - 1) : mem_string("");
			count++;
		}
		p += n + (p[n] == '&' ? 1 : 0);
	}
	qsort(pairs, count, sizeof pairs[0], pair_compare);
	for (size_t i = 0; i < count; i++) {
		(void)buf_addf(out, "%s%s=%s", i ? "&" : "", pairs[i].name, pairs[i].value);
		free(pairs[i].name);
		free(pairs[i].value);
	}
	return err;
}

/* Field order: by name without case, then as given (values of one name are joined in the order they were sent). */
static int field_compare(const void *left, const void *right)
{
	const struct header_field *const *a = left, *const *b = right;
	int order = strcasecmp((*a)->name, (*b)->name);

	if (order)
		return order;
	return *a < *b ? -1 : *a > *b;
}

static void value_add(struct buf *out, const char *value)
{
	bool wrote = false, gap = false;

	for (const char *p = value; *p; p++) {
		if (is_blank(*p)) {
			gap = wrote;
			continue;
		}
		if (gap)
			(void)buf_add_char(out, ' ');
		gap = false;
		wrote = true;
		(void)buf_add_char(out, *p);
	}
}

static void name_add(struct buf *out, const char *name)
{
	for (const char *p = name; *p; p++)
		(void)buf_add_char(out, lower(*p));
}

static void fields_add(struct buf *out, struct buf *names, const struct header_field **sorted, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && strcasecmp(sorted[i]->name, sorted[i - 1]->name) == 0) {
			(void)buf_add_char(out, ',');
		} else {
			if (i > 0) {
				(void)buf_add_char(out, '\n');
				(void)buf_add_char(names, ';');
			}
			name_add(out, sorted[i]->name);
			name_add(names, sorted[i]->name);
			(void)buf_add_char(out, ':');
		}
		value_add(out, sorted[i]->value);
	}
	(void)buf_add_char(out, '\n');
}

enum err canonical_build(const struct canonical_request *r, struct buf *out, struct buf *signed_names, struct error *e)
{
	const struct header_field *sorted[CANONICAL_FIELDS_MAX];
	enum err result;

	buf_clear(out);
	buf_clear(signed_names);
	if (r->field_count > CANONICAL_FIELDS_MAX)
		return error_set(e, ERR_TOOBIG, "more than %d signed fields", CANONICAL_FIELDS_MAX);
	for (size_t i = 0; i < r->field_count; i++)
		sorted[i] = &r->fields[i];
	qsort(sorted, r->field_count, sizeof sorted[0], field_compare);
	(void)buf_addf(out, "%s\n", r->method);
	path_add(out, r);
	(void)buf_add_char(out, '\n');
	result = query_add(out, r->query, e);
	if (result)
		return result;
	(void)buf_add_char(out, '\n');
	fields_add(out, signed_names, sorted, r->field_count);
	(void)buf_add_char(out, '\n');
	(void)buf_add(out, signed_names->data ? signed_names->data : "", signed_names->len);
	(void)buf_addf(out, "\n%s", r->payload_hash);
	if (out->overflow || signed_names->overflow)
		return error_set(e, ERR_TOOBIG, "the canonical request is larger than %zu bytes", out->max);
	return ERR_OK;
}
