/*
 * multipart: cuts a whole multipart body (RFC 2046 5.1) into its parts.
 *
 * What it is: a walk over bytes in memory. A part's headers are bounded and dropped. Its body is a view into the
 * input, byte for byte. Strict where it matters: the closing boundary must be there (a body that was cut off is
 * refused as a whole), boundaries begin a line, line ends are CRLF.
 * Promises: 1 (all parts or none: a cut body never gives its first parts alone).
 * Owner: nothing is allocated. Thread: any. Fails: with MULTIPART_BAD, or false for a boundary that cannot be used.
 * Does not: look into nested multiparts; they are opaque bytes.
 */
#ifndef KSPOOL_SERVER_MULTIPART_H
#define KSPOOL_SERVER_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

enum { MULTIPART_BOUNDARY_MAX = 70, MULTIPART_HEADERS_MAX_BYTES = 16384 };

enum multipart_event { MULTIPART_PART, MULTIPART_END, MULTIPART_BAD };

struct multipart {
	char delimiter[MULTIPART_BOUNDARY_MAX + 8]; /* CRLF "--" boundary */
	size_t delimiter_length;
	const char *data;
	size_t length;
	size_t at; /* behind the last boundary line's text, or 0 before the first */
	bool begun;
};

/* Reads the boundary parameter of a Content-Type value. False: not multipart, or no usable boundary. */
bool multipart_boundary(const char *content_type, char ret[MULTIPART_BOUNDARY_MAX + 1]);
void multipart_init(struct multipart *m, const char *boundary, const char *data, size_t length);
/* The next part's body. MULTIPART_END after the closing boundary. */
enum multipart_event multipart_next(struct multipart *m, const char **ret_body, size_t *ret_length);

#endif
