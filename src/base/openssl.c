#include "base/openssl.h"

#include <errno.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <time.h>

int openssl_begin(void)
{
	return OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1 ? 0 : -ENOMEM;
}

int openssl_have_all(void)
{
	unsigned char byte;
	SSL_CTX *ctx;

	tzset();
	if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS |
				     OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
		    NULL) != 1 ||
		RAND_bytes(&byte, 1) != 1)
		return -ENOMEM;
	ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_free(ctx);
	return ctx ? 0 : -ENOMEM;
}
