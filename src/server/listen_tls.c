#include "server/listen_tls.h"

#include <string.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/cleanup.h"
#include "base/trusted.h"

enum { PEM_MAX_BYTES = 1 << 20 };

static enum err tls_fault(const char *path, struct error *e)
{
	char text[160];

	ERR_error_string_n(ERR_get_error(), text, sizeof text);
	ERR_clear_error();
	return error_set(e, ERR_ENVIRONMENT, "%s: %s", path, text);
}

/* Nobody is there to type it. */
static int no_pass_phrase(char *text, int size, int for_writing, void *arg)
{
	(void)text;
	(void)size;
	(void)for_writing;
	(void)arg;
	return -1;
}

static bool is_set(const char *text) { return text && *text; }

/* A file's text, to be parsed; wiped with it, for one of them is a key. */
struct pem {
	struct buf text;
	BIO *bio;
};

static void pem_fini(struct pem *p)
{
	BIO_free(p->bio);
	if (p->text.data)
		OPENSSL_cleanse(p->text.data, p->text.cap);
	buf_fini(&p->text);
}

static enum err pem_read(struct pem *p, const char *what, const char *path, bool is_secret, struct error *e)
{
	bool lax = false;
	enum err err;

	buf_init(&p->text, PEM_MAX_BYTES);
	err = trusted_read(path, &p->text, &lax, e);
	if (err != ERR_OK)
		return error_wrap(e, "%s", what);
	if (lax && is_secret)
		return error_set(e, ERR_ENVIRONMENT, "%s %s may be read by everybody: chmod o-r it", what, path);
	p->bio = BIO_new_mem_buf(p->text.data ? p->text.data : "", (int)p->text.len);
	return p->bio ? ERR_OK : tls_fault(path, e);
}

/* Clients must show a certificate of this authority. */
static enum err ask_for_clients(SSL_CTX *tls, const char *path, struct error *e)
{
	static const unsigned char context[] = "kspool";
	CLEANUP(pem_fini) struct pem p = {0};
	enum err err = pem_read(&p, "client_ca_file", path, false, e);
	STACK_OF(X509_INFO) *all = err == ERR_OK ? PEM_X509_INFO_read_bio(p.bio, NULL, no_pass_phrase, NULL) : NULL;
	int count = 0;

	for (int i = 0; err == ERR_OK && i < sk_X509_INFO_num(all); i++) {
		X509 *one = sk_X509_INFO_value(all, i)->x509;

		if (one && (X509_STORE_add_cert(SSL_CTX_get_cert_store(tls), one) != 1 ||
		            SSL_CTX_add_client_CA(tls, one) != 1))
			err = tls_fault(path, e);
		count += one != NULL;
	}
	sk_X509_INFO_pop_free(all, X509_INFO_free);
	if (err == ERR_OK && (!all || SSL_CTX_set_session_id_context(tls, context, sizeof context - 1) != 1))
		return tls_fault(path, e);
	if (err == ERR_OK && count == 0)
		return error_set(e, ERR_ENVIRONMENT, "client_ca_file %s has no certificate", path);
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return err;
}

/* Ours, and those of who signed it. */
static enum err show_certificate(SSL_CTX *tls, const char *path, struct error *e)
{
	CLEANUP(pem_fini) struct pem p = {0};
	enum err err = pem_read(&p, "cert_file", path, false, e);
	X509 *one = err == ERR_OK ? PEM_read_bio_X509_AUX(p.bio, NULL, no_pass_phrase, NULL) : NULL;
	bool is_good = one && SSL_CTX_use_certificate(tls, one) == 1;

	X509_free(one);
	while (is_good && (one = PEM_read_bio_X509(p.bio, NULL, no_pass_phrase, NULL)))
		if (SSL_CTX_add0_chain_cert(tls, one) != 1) {
			X509_free(one);
			is_good = false;
		}
	/* what ends it is that no more begins */
	if (is_good && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		is_good = false;
	if (err == ERR_OK && !is_good)
		return tls_fault(path, e);
	ERR_clear_error();
	return err;
}

/* A key is a secret: whose file it is and who may read it. */
static enum err take_key(SSL_CTX *tls, const char *path, struct error *e)
{
	CLEANUP(pem_fini) struct pem p = {0};
	enum err err = pem_read(&p, "key_file", path, true, e);
	EVP_PKEY *key = err == ERR_OK ? PEM_read_bio_PrivateKey(p.bio, NULL, no_pass_phrase, NULL) : NULL;

	if (err == ERR_OK && (!key || SSL_CTX_use_PrivateKey(tls, key) != 1 || SSL_CTX_check_private_key(tls) != 1))
		err = tls_fault(path, e);
	EVP_PKEY_free(key);
	return err;
}

static enum err read_files(SSL_CTX *tls, const struct listener_options *o, struct error *e)
{
	enum err err = show_certificate(tls, o->cert_file, e);

	if (err == ERR_OK)
		err = take_key(tls, o->key_file, e);
	return err == ERR_OK && is_set(o->client_ca_file) ? ask_for_clients(tls, o->client_ca_file, e) : err;
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

/*
 * Takes a name of a certificate if it may be one: whole, printable, allowed; then as it is allowed. is_host: the case
 * of letters says nothing (RFC 4343).
 */
static bool take_name(const ASN1_STRING *name, bool is_host, const struct listener_names *allowed, char *ret,
                      size_t size)
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
		if ((is_host ? strcasecmp : strcmp)(allowed->items[i], ret) == 0) {
			memcpy(ret, allowed->items[i], n);
			return true;
		}
	return allowed->count == 0;
}

static bool take_common_name(X509 *certificate, const struct listener_names *allowed, char *ret, size_t size)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	return at >= 0 &&
	       take_name(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), true, allowed, ret, size);
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
		found = take_name(name->d.ia5, name->type == GEN_DNS, allowed, ret, size);
	}
	if (certificate && !has_any)
		found = take_common_name(certificate, allowed, ret, size);
	GENERAL_NAMES_free(names);
	X509_free(certificate);
	return found;
}
