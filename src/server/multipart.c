#include "server/multipart.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_boundary_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c != '\0' && strchr("'()+_,-./:=? ", c));
}

bool multipart_boundary(const char *content_type, char ret[MULTIPART_BOUNDARY_MAX + 1])
{
	const char *p = strchr(content_type, ';');
	size_t n = 0;

	if (strncasecmp(content_type, "multipart/", 10) != 0)
		return false;
	for (; p; p = strchr(p, ';')) {
		p++;
		p += strspn(p, " \t");
		if (strncasecmp(p, "boundary=", 9) == 0)
			break;
	}
	if (!p)
		return false;
	p += 9;
	if (*p == '"') {
		for (p++; *p && *p != '"' && n < MULTIPART_BOUNDARY_MAX && is_boundary_char(*p); p++)
			ret[n++] = *p;
		if (*p != '"')
			return false;
	} else {
		for (; *p && *p != ';' && *p != ' ' && n < MULTIPART_BOUNDARY_MAX && is_boundary_char(*p); p++)
			ret[n++] = *p;
		if (*p && *p != ';' && *p != ' ')
			return false;
	}
	ret[n] = '\0';
	return n > 0 && ret[n - 1] != ' ';
}

void multipart_init(struct multipart *m, const char *boundary, const char *data, size_t length)
{
	memset(m, 0, sizeof *m);
	m->delimiter_length = (size_t)snprintf(m->delimiter, sizeof m->delimiter, "\r\n--%s", boundary);
	m->data = data;
	m->length = length;
}

/* Finds the next delimiter whose line ends properly. Sets at behind its line, closing when it is the last. */
static bool find_boundary(struct multipart *m, size_t from, size_t *ret_begin, bool *ret_closing)
{
	while (from <= m->length) {
		const char *found = memmem(m->data + from, m->length - from, m->delimiter, m->delimiter_length);
		size_t at;

		if (!found && !(from == 0 && !m->begun))
			return false;
		*ret_begin = found ? (size_t)(found - m->data) : 0;
		/* the very first boundary may stand at the start, without the CRLF before it */
		if (!m->begun && from == 0 && m->length >= m->delimiter_length - 2 &&
		    memcmp(m->data, m->delimiter + 2, m->delimiter_length - 2) == 0) {
			*ret_begin = 0;
			at = m->delimiter_length - 2;
		} else if (found) {
			at = *ret_begin + m->delimiter_length;
		} else {
			return false;
		}
		from = at;
		*ret_closing = m->length - at >= 2 && memcmp(m->data + at, "--", 2) == 0;
		if (*ret_closing)
			at += 2;
		while (at < m->length && (m->data[at] == ' ' || m->data[at] == '\t'))
			at++;
		if (*ret_closing && at == m->length) {
			m->at = at;
			return true;
		}
		if (m->length - at >= 2 && memcmp(m->data + at, "\r\n", 2) == 0) {
			m->at = at + 2;
			return true;
		}
	}
	return false;
}

enum multipart_event multipart_next(struct multipart *m, const char **ret_body, size_t *ret_length)
{
	size_t begin, body, end;
	bool closing;
	const char *blank;

	if (!m->begun) {
		if (!find_boundary(m, 0, &begin, &closing))
			return MULTIPART_BAD;
		m->begun = true;
		if (closing)
			m->at = m->length;
	}
	if (m->at >= m->length)
		return MULTIPART_END;
	/* headers end with an empty line, which may come at once */
	if (m->length - m->at >= 2 && memcmp(m->data + m->at, "\r\n", 2) == 0) {
		body = m->at + 2;
	} else {
		blank = memmem(m->data + m->at, m->length - m->at, "\r\n\r\n", 4);
		if (!blank || (size_t)(blank - m->data) - m->at > MULTIPART_HEADERS_MAX_BYTES ||
		    memmem(m->data + m->at - 2, (size_t)(blank - m->data) - m->at + 2, m->delimiter,
		           m->delimiter_length))
			return MULTIPART_BAD;
		body = (size_t)(blank - m->data) + 4;
	}
	/* an empty body's delimiter shares the CRLF that ends the headers */
	if (!find_boundary(m, body - 2, &end, &closing))
		return MULTIPART_BAD;
	*ret_body = m->data + body;
	*ret_length = end > body ? end - body : 0;
	if (closing)
		m->at = m->length;
	return MULTIPART_PART;
}
