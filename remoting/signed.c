#include "config.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "conf/bytes.h"
#include "conf/scope.h"
#include "remoting/signed.h"

#define SHA1_BYTES 20
#define BASE64_BYTES 28

struct signer {
	EVP_MAC_CTX *keyed;		/* copied for each signature */
};

/* --- values ---------------------------------------------------------------------------------------- */

static bool
is_signed(const char *name)
{
	return strcmp(name, "Signature") != 0 && strcmp(name, "_UNIQUE_KEY_QUERY") != 0 &&
	       !text_begins(name, "mqfs.");
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char *
signed_values(const json_t *ext, size_t *ret_len)
{
	size_t n = 0, len = 0, max = json_object_size(ext);
	AUTO_FREE const char **names = malloc((max + 1) * sizeof(*names));
	json_t *object = (json_t *)(uintptr_t)ext, *value;
	const char *name;
	char *values;

	if (!names)
		return NULL;
	json_object_foreach(object, name, value)
		if (is_signed(name)) {
			names[n++] = name;
			len += json_string_length(value);
		}
	qsort(names, n, sizeof(*names), by_name);
	values = malloc(len + 1);
	if (!values)
		return NULL;
	len = 0;
	for (size_t i = 0; i < n; i++) {
		value = json_object_get(ext, names[i]);
		if (json_string_length(value) > 0)
			memcpy(values + len, json_string_value(value), json_string_length(value));
		len += json_string_length(value);
	}
	*ret_len = len;
	return values;
}

/* --- keys ------------------------------------------------------------------------------------------- */

struct signer *
signer_make(const char *secret)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){ "SHA1" }, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	struct signer *s = calloc(1, sizeof(*s));

	if (s && hmac)
		s->keyed = EVP_MAC_CTX_new(hmac);
	EVP_MAC_free(hmac);
	if (s && s->keyed &&
	    EVP_MAC_init(s->keyed, (const unsigned char *)secret, strlen(secret), params) == 1)
		return s;
	signer_free(s);
	return NULL;
}

void
signer_free(struct signer *s)
{
	if (!s)
		return;
	EVP_MAC_CTX_free(s->keyed);
	free(s);
}

bool
signer_has_signed(const struct signer *s, const struct signed_part *parts, size_t n, const char *signature)
{
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(s->keyed);
	unsigned char mac[SHA1_BYTES], text[BASE64_BYTES + 1];
	size_t len = 0;
	bool well = ctx != NULL;

	for (size_t i = 0; i < n && well; i++)
		well = EVP_MAC_update(ctx, parts[i].at, parts[i].len) == 1;
	well = well && EVP_MAC_final(ctx, mac, &len, sizeof(mac)) == 1 && len == sizeof(mac);
	EVP_MAC_CTX_free(ctx);
	if (!well || strlen(signature) != BASE64_BYTES)
		return false;
	EVP_EncodeBlock(text, mac, sizeof(mac));
	return CRYPTO_memcmp(text, signature, BASE64_BYTES) == 0;
}
