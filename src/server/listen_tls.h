/*
 * listen_tls: TLS of a listener, and who a client's certificate says it is.
 *
 * What it is: contexts of TLS 1.2 and later from files, with a client CA where certificates are asked for, and the
 * names in a certificate: DNS, URI and mail names of its subjectAltName, its common name when it has none of them.
 * Promises: none of its own. Owner: the context is the caller's (SSL_CTX_free). Thread: any.
 * Fails: with ERR_CONFIG for options that do not fit, ERR_ENVIRONMENT for files, naming them; names by false.
 * Does not: watch its files; whoever asks again gets a new context.
 */
#ifndef KSPOOL_SERVER_LISTEN_TLS_H
#define KSPOOL_SERVER_LISTEN_TLS_H

#include <openssl/ssl.h>

#include "server/listener.h"

/* *ret is null when there is no certificate. */
enum err listen_tls_open(const struct listener_options *options, SSL_CTX **ret, struct error *e) MUST_CHECK;
/* The name a client is known by: the first of its certificate that is allowed (any, when none are named). */
bool listen_tls_name(const SSL *ssl, const struct listener_names *allowed, char *ret, size_t size);

#endif
