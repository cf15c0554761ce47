#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/proverr.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "conf/err.h"
#include "net/tls.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

struct tls {
	SSL_CTX *ctx;
	const char *authorities;	/* the setting that has them, for messages */
};

/* --- certificates of peers ------------------------------------------------------------- */

static bool
is_address(const char *host)
{
	unsigned char addr[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, addr) == 1 || inet_pton(AF_INET6, host, addr) == 1;
}

static bool
has_names(X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	bool has = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && !has; i++) {
		int type = sk_GENERAL_NAME_value(names, i)->type;

		has = type == GEN_DNS || type == GEN_IPADD;
	}
	GENERAL_NAMES_free(names);
	return has;
}

/* Called for each certificate of the chain, the peer's own last. */
static int
verify(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	X509 *cert = X509_STORE_CTX_get_current_cert(store);
	const char *host = SSL_get_app_data(ssl);

	if (!ok || !host || X509_STORE_CTX_get_error_depth(store) > 0)
		return ok;
	if (!has_names(cert)) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
		return 0;
	}
	if (is_address(host) ? X509_check_ip_asc(cert, host, 0) == 1
			     : X509_check_host(cert, host, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1)
		return 1;
	X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
	return 0;
}

/* Of a certificate that a client shows to a server of strangers. */
static int
verify_client(int ok, X509_STORE_CTX *store)
{
	X509 *cert = X509_STORE_CTX_get_current_cert(store);

	if (!ok || X509_STORE_CTX_get_error_depth(store) > 0)
		return ok;
	if (has_names(cert) || X509_NAME_get_index_by_NID(X509_get_subject_name(cert), NID_commonName, -1) >= 0)
		return 1;
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

static int
take_any(int ok, X509_STORE_CTX *store)
{
	(void)ok, (void)store;
	return 1;
}

/* --- files -------------------------------------------------------------------------------- */

/* The password of a key is `arg`; NULL or "": nobody can be asked for one. */
static int
tell_password(char *buf, int size, int writing, void *arg)
{
	size_t len = arg ? strlen(arg) : 0;

	(void)writing;
	if (len == 0 || len > (size_t)size)
		return -1;
	memcpy(buf, arg, len);
	return (int)len;
}

static const struct {
	int lib, reason;
	const char *text;
} file_reasons[] = {
	{ ERR_LIB_PEM, PEM_R_NO_START_LINE, "holds nothing of the kind (PEM)" },
	{ ERR_LIB_OSSL_DECODER, ERR_R_UNSUPPORTED, "holds nothing of the kind (PEM)" },
	{ ERR_LIB_X509, X509_R_NO_CERTIFICATE_OR_CRL_FOUND, "holds nothing of the kind (PEM)" },
	{ ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH, "is not the key of the certificate" },
	{ ERR_LIB_CRYPTO, ERR_R_INTERRUPTED_OR_CANCELLED, "wants a passphrase" },
	{ ERR_LIB_PROV, PROV_R_BAD_DECRYPT, "wants another passphrase" },
	{ ERR_LIB_EVP, EVP_R_BAD_DECRYPT, "wants another passphrase" },
};

/* Of a chain of reasons, the first is nearest to the file. */
static int
file_note(const char *key, const char *path)
{
	unsigned long err = ERR_get_error();
	const char *why = ERR_SYSTEM_ERROR(err) ? strerror(ERR_GET_REASON(err))
						: ERR_reason_error_string(err);

	for (size_t i = 0; i < LENGTH(file_reasons); i++)
		if (ERR_GET_LIB(err) == file_reasons[i].lib && ERR_GET_REASON(err) == file_reasons[i].reason)
			why = file_reasons[i].text;
	return err_note(MQ_EBADCONF, "%s %s: %s", key, path, why ? why : "cannot be used");
}

static int
load(SSL_CTX *ctx, const char *cert, const char *key, const char *ca)
{
	STACK_OF(X509_NAME) *authorities;

	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
		return file_note("tlsCert", cert);
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		return file_note("tlsKey", key);
	if (SSL_CTX_load_verify_file(ctx, ca) != 1)
		return file_note("tlsCa", ca);
	authorities = SSL_load_client_CA_file(ca);	/* a server names the authorities that it accepts */
	if (!authorities)
		return file_note("tlsCa", ca);
	SSL_CTX_set_client_CA_list(ctx, authorities);
	return MQ_OK;
}

static void
be_strict(SSL_CTX *ctx)
{
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
				 SSL_OP_IGNORE_UNEXPECTED_EOF);	/* the length of a frame is in its head */
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
			      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);	/* the loop decides when to try again */
	SSL_CTX_set_default_passwd_cb(ctx, tell_password);
}

static int
make(const char *authorities, struct tls **ret)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->authorities = authorities;
	t->ctx = SSL_CTX_new(TLS_method());
	if (!t->ctx) {
		free(t);
		return err_note(-EIO, "libssl cannot be used");
	}
	SSL_CTX_set_app_data(t->ctx, t);
	be_strict(t->ctx);
	*ret = t;
	return MQ_OK;
}

static int
opened(struct tls *t, int rc, struct tls **ret)
{
	if (rc == MQ_OK)
		*ret = t;
	else
		tls_close(t);
	return rc;
}

int
tls_open(const char *cert, const char *key, const char *ca, struct tls **ret)
{
	struct tls *t;
	int rc = make("tlsCa", &t);

	if (rc != MQ_OK)
		return rc;
	rc = load(t->ctx, cert, key, ca);
	return opened(t, rc, ret);
}

/* --- a server of strangers ------------------------------------------------------------------- */

/* A certificate that is signed by its own key, for clients that verify none. */
static X509 *
sign_own(EVP_PKEY *key)
{
	X509 *cert = X509_new();
	X509_NAME *name = cert ? X509_get_subject_name(cert) : NULL;

	if (cert && X509_set_version(cert, X509_VERSION_3) == 1 &&
	    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(cert), -24 * 3600) &&
	    X509_gmtime_adj(X509_getm_notAfter(cert), 3650L * 24 * 3600) &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"mqfs", -1, -1, 0) == 1 &&
	    X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, key) == 1 &&
	    X509_sign(cert, key, EVP_sha256()) > 0)
		return cert;
	X509_free(cert);
	return NULL;
}

static int
make_own(SSL_CTX *ctx)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = key ? sign_own(key) : NULL;
	bool well = cert && SSL_CTX_use_certificate(ctx, cert) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1;

	X509_free(cert);
	EVP_PKEY_free(key);
	return well ? MQ_OK : err_note(-EIO, "a certificate cannot be made");
}

static int
load_server(SSL_CTX *ctx, const struct tls_server *what)
{
	SSL_CTX_set_default_passwd_cb_userdata(ctx, (void *)(uintptr_t)what->password);
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, what->cert) != 1)
		return file_note("tls.server.certPath", what->cert);
	if (SSL_CTX_use_PrivateKey_file(ctx, what->key, SSL_FILETYPE_PEM) != 1)
		return file_note("tls.server.keyPath", what->key);
	return MQ_OK;
}

static int
load_trust(SSL_CTX *ctx, const struct tls_server *what)
{
	ERR_clear_error();
	if (*what->trust && SSL_CTX_load_verify_file(ctx, what->trust) != 1)
		return file_note("tls.server.trustCertPath", what->trust);
	if (!*what->trust && SSL_CTX_set_default_verify_paths(ctx) != 1)
		return err_note(-EIO, "the system has no authorities");
	return MQ_OK;
}

int
tls_open_server(const struct tls_server *what, struct tls **ret)
{
	struct tls *t;
	int rc = make("tls.server.trustCertPath", &t), mode = SSL_VERIFY_NONE;

	if (rc != MQ_OK)
		return rc;
	if (what->ask != TLS_ASK_NONE)
		mode = SSL_VERIFY_PEER | (what->ask == TLS_ASK_REQUIRE ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
	SSL_CTX_set_verify(t->ctx, mode, what->verify ? verify_client : take_any);
	rc = *what->cert ? load_server(t->ctx, what) : make_own(t->ctx);
	if (rc == MQ_OK && what->ask != TLS_ASK_NONE && what->verify)
		rc = load_trust(t->ctx, what);
	SSL_CTX_set_default_passwd_cb_userdata(t->ctx, NULL);
	return opened(t, rc, ret);
}

void
tls_close(struct tls *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	free(t);
}

/* --- a connection ---------------------------------------------------------------------------- */

int
tls_session(struct tls *t, int fd, const char *host, struct ssl_st **ret)
{
	SSL *ssl = SSL_new(t->ctx);

	if (!ssl || SSL_set_fd(ssl, fd) != 1 ||
	    (host && !is_address(host) && SSL_set_tlsext_host_name(ssl, host) != 1)) {
		SSL_free(ssl);
		return err_note(-ENOMEM, "TLS: %m");
	}
	SSL_set_app_data(ssl, (void *)(uintptr_t)host);
	if (host)
		SSL_set_connect_state(ssl);
	else
		SSL_set_accept_state(ssl);
	*ret = ssl;
	return MQ_OK;
}

/* --- reasons of failures ------------------------------------------------------------------------ */

static const struct {
	int reason, rc;
	const char *text;
} reasons[] = {
	{ SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, -EPROTO, "has no certificate" },
	{ SSL_R_WRONG_VERSION_NUMBER, -EPROTONOSUPPORT, "does not speak TLS" },
	{ SSL_R_HTTP_REQUEST, -EPROTONOSUPPORT, "does not speak TLS" },
	{ SSL_R_HTTPS_PROXY_REQUEST, -EPROTONOSUPPORT, "does not speak TLS" },
	{ SSL_R_UNSUPPORTED_PROTOCOL, -EPROTO, "speaks no TLS that is new enough (1.2)" },
	{ SSL_R_NO_SHARED_CIPHER, -EPROTO, "knows no cipher that we know" },
};

/* The peer has sent an alert; one about certificates is about ours. */
static int
alert_note(int alert)
{
	bool ours = (alert >= SSL_AD_BAD_CERTIFICATE && alert <= SSL_AD_CERTIFICATE_UNKNOWN) ||
		    alert == SSL_AD_UNKNOWN_CA || alert == SSL_AD_CERTIFICATE_REQUIRED;

	return err_note(-EPROTO, "%s: %s", ours ? "does not take our certificate" : "breaks off TLS",
			SSL_alert_desc_string_long(alert));
}

/* The peer's certificate was refused. */
static int
refusal_note(const SSL *ssl)
{
	const struct tls *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	long result = SSL_get_verify_result(ssl);

	switch (result) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
		return err_note(-EPROTO, "its certificate is not for %s",
				(const char *)SSL_get_app_data(ssl));
	case X509_V_ERR_APPLICATION_VERIFICATION:
		return SSL_is_server(ssl) ? err_note(-EPROTO, "its certificate has no name")
					  : err_note(-EPROTO, "its certificate has no names (subjectAltName), so it is "
						     "for no host");
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return err_note(-EPROTO, "its certificate is of no authority in %s", t->authorities);
	default:
		return err_note(-EPROTO, "its certificate is not good: %s",
				X509_verify_cert_error_string(result));
	}
}

int
tls_note(const struct ssl_st *ssl, int ret)
{
	int saved = errno, reason;
	unsigned long err = ERR_peek_last_error();

	if (SSL_get_error(ssl, ret) == SSL_ERROR_SYSCALL)
		return saved ? err_note(-saved, "%m") : err_note(-ECONNRESET, "closed the connection");
	reason = ERR_GET_LIB(err) == ERR_LIB_SSL ? ERR_GET_REASON(err) : 0;
	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return refusal_note(ssl);
	if (reason > SSL_AD_REASON_OFFSET)
		return alert_note(reason - SSL_AD_REASON_OFFSET);
	for (size_t i = 0; i < LENGTH(reasons); i++)
		if (reason == reasons[i].reason)
			return err_note(reasons[i].rc, "%s", reasons[i].text);
	return err_note(-EPROTO, "TLS: %s", err ? ERR_reason_error_string(err) : "no reason given");
}
