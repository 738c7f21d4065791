/* field: one HTTP header field, as both the signer and the sender take it. Texts belong to whoever made the struct. */
#ifndef KSPOOL_AWS_TRANSPORT_HEADER_FIELD_H
#define KSPOOL_AWS_TRANSPORT_HEADER_FIELD_H

struct header_field {
	const char *name;
	const char *value;
};

#endif
