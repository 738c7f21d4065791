#include "server/listen_tls.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/cleanup.h"
#include "base/trusted.h"

static enum err tls_fault(const char *path, struct error *e)
{
	char text[160];

	ERR_error_string_n(ERR_get_error(), text, sizeof text);
	ERR_clear_error();
	return error_set(e, ERR_ENVIRONMENT, "%s: %s", path, text);
}

static bool is_set(const char *text) { return text && *text; }

/* Clients must show a certificate of this authority. */
static enum err ask_for_clients(SSL_CTX *tls, const char *path, struct error *e)
{
	static const unsigned char context[] = "kspool";
	STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);

	if (!names)
		return tls_fault(path, e);
	SSL_CTX_set_client_CA_list(tls, names);
	if (SSL_CTX_load_verify_locations(tls, path, NULL) != 1 ||
	    SSL_CTX_set_session_id_context(tls, context, sizeof context - 1) != 1)
		return tls_fault(path, e);
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return ERR_OK;
}

static enum err read_files(SSL_CTX *tls, const struct listener_options *o, struct error *e)
{
	if (SSL_CTX_use_certificate_chain_file(tls, o->cert_file) != 1)
		return tls_fault(o->cert_file, e);
	if (SSL_CTX_use_PrivateKey_file(tls, o->key_file, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(tls) != 1)
		return tls_fault(o->key_file, e);
	return is_set(o->client_ca_file) ? ask_for_clients(tls, o->client_ca_file, e) : ERR_OK;
}

/* A key is a secret: whose file it is and who may read it. */
static enum err check_key(const char *path, struct error *e)
{
	AUTOCLOSE int fd = -1;
	bool lax = false;

	if (trusted_open(path, O_RDONLY, &fd, &lax, e) != ERR_OK)
		return error_wrap(e, "key_file");
	if (lax)
		return error_set(e, ERR_ENVIRONMENT, "key_file %s may be read by everybody: chmod o-r it", path);
	return ERR_OK;
}

enum err listen_tls_open(const struct listener_options *o, SSL_CTX **ret, struct error *e)
{
	SSL_CTX *tls;
	enum err err;

	*ret = NULL;
	if (!is_set(o->cert_file))
		return is_set(o->client_ca_file)
		           ? error_set(e, ERR_CONFIG, "client_ca_file %s needs a cert_file", o->client_ca_file)
		           : ERR_OK;
	if (!is_set(o->key_file))
		return error_set(e, ERR_CONFIG, "cert_file %s needs a key_file", o->cert_file);
	if (o->allowed_names.count > 0 && !is_set(o->client_ca_file))
		return error_set(e, ERR_CONFIG, "allowed_names needs a client_ca_file");
	err = check_key(o->key_file, e);
	if (err != ERR_OK)
		return err;
	tls = SSL_CTX_new(TLS_server_method());
	if (!tls || SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1) {
		SSL_CTX_free(tls);
		return tls_fault("TLS", e);
	}
	(void)SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
	                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
	(void)SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
	(void)SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	err = read_files(tls, o, e);
	if (err == ERR_OK)
		*ret = tls;
	else
		SSL_CTX_free(tls);
	return err;
}

/* Takes a name of a certificate if it may be one: whole, printable, allowed. */
static bool take_name(const ASN1_STRING *name, const struct listener_names *allowed, char *ret, size_t size)
{
	size_t n = (size_t)ASN1_STRING_length(name);
	const char *text = (const char *)ASN1_STRING_get0_data(name);

	if (n == 0 || n >= size)
		return false;
	for (size_t i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	memcpy(ret, text, n);
	ret[n] = '\0';
	for (size_t i = 0; i < allowed->count; i++)
		if (strcmp(allowed->items[i], ret) == 0)
			return true;
	return allowed->count == 0;
}

static bool take_common_name(X509 *certificate, const struct listener_names *allowed, char *ret, size_t size)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	return at >= 0 && take_name(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), allowed, ret, size);
}

bool listen_tls_name(const SSL *ssl, const struct listener_names *allowed, char *ret, size_t size)
{
	X509 *certificate = SSL_get1_peer_certificate(ssl);
	GENERAL_NAMES *names = certificate ? X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL) : NULL;
	bool found = false, has_any = false;

	for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type != GEN_DNS && name->type != GEN_URI && name->type != GEN_EMAIL)
			continue;
		has_any = true;
		found = take_name(name->d.ia5, allowed, ret, size);
	}
	if (certificate && !has_any)
		found = take_common_name(certificate, allowed, ret, size);
	GENERAL_NAMES_free(names);
	X509_free(certificate);
	return found;
}
