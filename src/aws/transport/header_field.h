/*
 * header_field: one HTTP header field, as both the signer and the sender take it.
 *
 * What it is: plain data.
 * Promises: none of its own.
 * Owner: texts belong to whoever made the struct.
 * Thread: any.
 * Fails: never.
 * Does not: check names or values; the transport refuses line breaks.
 */
#ifndef KSPOOL_AWS_TRANSPORT_HEADER_FIELD_H
#define KSPOOL_AWS_TRANSPORT_HEADER_FIELD_H

struct header_field {
	const char *name;
	const char *value;
};

#endif
