#include "hatchctl/connect/tls.h"

#include "base/text.h"
#include "hatchctl/connect/tls-certificate.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct tls {
	const struct tls_wish *wish;
	SSL_CTX *ctx;
	SSL *ssl;
	short reading_awaits, writing_awaits; /* events of poll(2) */
	bool is_open;                         /* the handshake is done */
	bool was_asked;                       /* for a certificate of ours */
	char doubt[TLS_WHY_MAX];              /* first thing wrong with the peer's; "" */
	char why[TLS_WHY_MAX];                /* for -EPROTO */
};

static void _printf_(2, 3) narrate(const struct tls *tls, const char *format, ...)
{
	char event[TLS_WHY_MAX];
	va_list args;

	if (!tls->wish->narrate)
		return;
	va_start(args, format);
	vsnprintf(event, sizeof event, format, args);
	va_end(args);
	tls->wish->narrate(event);
}

/* ------------------------------------------------------------ the certificate */

/* What is wrong first is what is told. */
static int judge(int ok, X509_STORE_CTX *store)
{
	const SSL *ssl =
		X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *tls = SSL_get_app_data(ssl);

	if (ok)
		return ok;
	if (tls->doubt[0] == '\0')
		tls_certificate_doubt(
			store, tls->wish->name, tls->wish->ca, tls->doubt, sizeof tls->doubt);
	return tls->wish->insecure;
}

const char *tls_doubt(const struct tls *tls)
{
	return tls->doubt[0] == '\0' ? NULL : tls->doubt;
}

/* ------------------------------------------------------------------- begin and end */

/* Why the library has refused something, in its own words. */
static const char *library_says(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return text ? text : "it does not say why";
}

static bool fail(
	char why[TLS_WHY_MAX], const char *verb, const char *object, const char *reason)
{
	snprintf(why, TLS_WHY_MAX, "unable to %s %s: %s", verb, object, reason);
	return false;
}

/* The library tells it in too many ways. */
static bool is_readable(const char *path, char why[TLS_WHY_MAX])
{
	return access(path, R_OK) == 0 || fail(why, "read", path, strerror(errno));
}

/* Files of other kinds, and empty ones, are the most likely mistake. */
static const char *what_is_wrong(void)
{
	unsigned long first = ERR_peek_error();
	int lib = ERR_GET_LIB(first), reason = ERR_GET_REASON(first);

	if ((lib == ERR_LIB_PEM && reason == PEM_R_NO_START_LINE) ||
		(lib == ERR_LIB_X509 && reason == X509_R_NO_CERTIFICATE_OR_CRL_FOUND))
		return "there is no certificate in it";
	return library_says();
}

static bool set_trust(SSL_CTX *ctx, const struct tls_wish *wish, char why[TLS_WHY_MAX])
{
	if (!wish->ca) {
		if (SSL_CTX_set_default_verify_paths(ctx) == 1)
			return true;
		return fail(why, "find", "who is trusted here", library_says());
	}
	if (!is_readable(wish->ca, why))
		return false;
	if (SSL_CTX_load_verify_file(ctx, wish->ca) != 1)
		return fail(why, "use", wish->ca, what_is_wrong());
	/* Whatever is in there is trusted, also what somebody else has signed. */
	X509_STORE_set_flags(SSL_CTX_get_cert_store(ctx), X509_V_FLAG_PARTIAL_CHAIN);
	return true;
}

/* Standard input is the peer's, and nobody else is there who could be asked. */
static int refuse_password(char *buf, int size, int writing, void *asked)
{
	(void)buf;
	(void)size;
	(void)writing;
	*(bool *)asked = true;
	return -1;
}

static bool fits_not(const char *key, const char *certificate, char why[TLS_WHY_MAX])
{
	snprintf(why, TLS_WHY_MAX, "unable to use %s: its key is not for the certificate in %s",
		key, certificate);
	return false;
}

static bool set_key(
	SSL_CTX *ctx, const char *key, const char *certificate, char why[TLS_WHY_MAX])
{
	bool asked = false;
	int r;

	if (!is_readable(key, why))
		return false;
	SSL_CTX_set_default_passwd_cb(ctx, refuse_password);
	SSL_CTX_set_default_passwd_cb_userdata(ctx, &asked);
	r = SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM);
	SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
	if (asked)
		return fail(why, "use", key,
			"its key is encrypted; write it without a password by openssl pkey");
	if (r != 1 && ERR_GET_LIB(ERR_peek_last_error()) != ERR_LIB_X509)
		return fail(why, "use", key, "there is no key in it");
	if (r != 1 || SSL_CTX_check_private_key(ctx) != 1)
		return fits_not(key, certificate, why);
	return true;
}

static bool set_own(SSL_CTX *ctx, const struct tls_wish *wish, char why[TLS_WHY_MAX])
{
	const char *path = wish->certificate;

	if (!path)
		return true;
	if (!is_readable(path, why))
		return false;
	if (SSL_CTX_use_certificate_chain_file(ctx, path) != 1)
		return fail(why, "use", path, what_is_wrong());
	return set_key(ctx, wish->key ? wish->key : path, path, why);
}

/* Called when the server asks; what there is is sent anyway. */
static int note_question(SSL *ssl, void *data)
{
	struct tls *tls = SSL_get_app_data(ssl);

	(void)data;
	tls->was_asked = true;
	narrate(tls, "the server asks for a certificate: %s",
		tls->wish->certificate ? tls->wish->certificate : "there is none");
	return 1;
}

static void set_manners(SSL_CTX *ctx)
{
	/* The system may want more. */
	if (SSL_CTX_get_min_proto_version(ctx) < TLS1_2_VERSION)
		SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(
		ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, judge);
	SSL_CTX_set_cert_cb(ctx, note_question, NULL);
}

/* Each with its length before it (RFC 7301, 3.1). */
static bool set_protocols(SSL *ssl, const struct tls_wish *wish)
{
	unsigned char list[TLS_ALPN_MAX * (TLS_PROTOCOL_MAX + 1)];
	size_t len = 0;

	if (wish->n_alpn == 0)
		return true;
	for (size_t i = 0; i < wish->n_alpn; i++) {
		size_t n = strlen(wish->alpn[i]);

		list[len++] = (unsigned char)n;
		memcpy(list + len, wish->alpn[i], n);
		len += n;
	}
	/* Unlike all others it says 0. */
	return SSL_set_alpn_protos(ssl, list, (unsigned)len) == 0;
}

/* An address is nothing that could be asked for (RFC 6066, 3), but a certificate can be for
 * it.  What a subject is called is no host's name (RFC 9525, 6.2). */
static bool set_name(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
		return true;
	X509_VERIFY_PARAM_set_hostflags(param,
		X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
	       SSL_set_tlsext_host_name(ssl, name) == 1;
}

static bool prepare(struct tls *tls, const struct tls_wish *wish, char why[TLS_WHY_MAX])
{
	tls->ctx = SSL_CTX_new(TLS_client_method());
	if (!tls->ctx)
		return fail(why, "speak", "TLS", library_says());
	set_manners(tls->ctx);
	if (!set_trust(tls->ctx, wish, why) || !set_own(tls->ctx, wish, why))
		return false;
	tls->ssl = SSL_new(tls->ctx);
	if (!tls->ssl || SSL_set_app_data(tls->ssl, tls) != 1 || !set_protocols(tls->ssl, wish))
		return fail(why, "speak", "TLS", library_says());
	return set_name(tls->ssl, wish->name) ||
	       fail(why, "ask for", wish->name, library_says());
}

struct tls *tls_new(const struct tls_wish *wish, char why[TLS_WHY_MAX])
{
	_cleanup_tls_ struct tls *tls = calloc(1, sizeof *tls);

	if (!tls) {
		fail(why, "speak", "TLS", strerror(ENOMEM));
		return NULL;
	}
	tls->wish = wish;
	ERR_clear_error();
	return prepare(tls, wish, why) ? take_ptr(tls) : NULL;
}

struct tls *tls_free(struct tls *tls)
{
	if (!tls)
		return NULL;
	SSL_free(tls->ssl);
	SSL_CTX_free(tls->ctx);
	free(tls);
	return NULL;
}

/* --------------------------------------------------------------- why it has failed */

/* Whether a server that has asked for a certificate says by that what he thinks of it.  That
 * there is none is said in so many words only in TLS 1.3. */
static bool is_about_certificate(int alert)
{
	switch (alert) {
	case SSL3_AD_HANDSHAKE_FAILURE:
	case SSL3_AD_NO_CERTIFICATE:
	case SSL3_AD_BAD_CERTIFICATE:
	case SSL3_AD_UNSUPPORTED_CERTIFICATE:
	case SSL3_AD_CERTIFICATE_REVOKED:
	case SSL3_AD_CERTIFICATE_EXPIRED:
	case SSL3_AD_CERTIFICATE_UNKNOWN:
	case TLS1_AD_UNKNOWN_CA:
	case TLS1_AD_ACCESS_DENIED:
	case TLS13_AD_CERTIFICATE_REQUIRED:
		return true;
	default:
		return false;
	}
}

static const char *words_for_alert(const struct tls *tls, int alert, char buf[TLS_WHY_MAX])
{
	const char *own = tls->wish->certificate, *says = SSL_alert_desc_string_long(alert);

	if (alert == TLS1_AD_PROTOCOL_VERSION)
		return "the server speaks TLS only before version 1.2";
	if (alert == TLS1_AD_NO_APPLICATION_PROTOCOL)
		return "the server speaks no protocol that --alpn names";
	if (!tls->was_asked || !is_about_certificate(alert))
		snprintf(buf, TLS_WHY_MAX, "the server says: %s", says);
	else if (own)
		snprintf(buf, TLS_WHY_MAX, "the server does not take %s: %s", own, says);
	else
		return "the server wants a certificate; use --certificate";
	return buf;
}

/* What the library says is about the code that it is in. */
static const char *words_for(const struct tls *tls, int reason, char buf[TLS_WHY_MAX])
{
	if (reason >= SSL_AD_REASON_OFFSET)
		return words_for_alert(tls, reason - SSL_AD_REASON_OFFSET, buf);
	switch (reason) {
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
		return tls->doubt[0] ? tls->doubt : "the certificate is not valid";
	case SSL_R_UNEXPECTED_EOF_WHILE_READING:
		return tls->is_open ? "the peer closed without saying so"
		                    : "the peer closed within the handshake";
	case SSL_R_UNSUPPORTED_PROTOCOL:
		return "the server speaks TLS only before version 1.2";
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_HTTP_REQUEST:
		return "what answers there does not speak TLS";
	default:
		return library_says();
	}
}

/* After SSL_get_error() and with the errno of the call. */
static int find_why(struct tls *tls, int what, int error)
{
	unsigned long first = ERR_peek_error();
	int reason = ERR_GET_LIB(first) == ERR_LIB_SSL ? ERR_GET_REASON(first) : 0;
	char buf[TLS_WHY_MAX];

	/* Of who has said his end it is that that OpenSSL tells, whatever has failed. */
	if ((what == SSL_ERROR_SYSCALL || what == SSL_ERROR_ZERO_RETURN) && error != 0)
		return -error;
	snprintf(tls->why, sizeof tls->why, "%s", words_for(tls, reason, buf));
	return -EPROTO;
}

/* What came of a call that has not succeeded; *ret_awaits is what it is to be repeated for. */
static int pause_or_fail(struct tls *tls, int result, short *ret_awaits)
{
	int error = errno, what = SSL_get_error(tls->ssl, result);

	if (what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE) {
		*ret_awaits = what == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
		return -EAGAIN;
	}
	return find_why(tls, what, error);
}

const char *tls_explain(const struct tls *tls, int error)
{
	return error == -EPROTO && tls->why[0] ? tls->why : strerror(-error);
}

/* -------------------------------------------------------------------- the handshake */

static void narrate_certificate(const struct tls *tls)
{
	const X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
	char text[TLS_WHY_MAX];

	if (certificate)
		narrate(tls, "certificate of %s",
			tls_certificate_describe(certificate, text, sizeof text));
}

static void narrate_protocol(const struct tls *tls)
{
	const unsigned char *name;
	char shown[4 * TLS_PROTOCOL_MAX + 1];
	unsigned len;

	if (tls->wish->n_alpn == 0)
		return;
	SSL_get0_alpn_selected(tls->ssl, &name, &len);
	if (len == 0)
		narrate(tls, "the server chooses no protocol");
	else
		narrate(tls, "the server chooses the protocol %s",
			text_escape((const char *)name, len, shown, sizeof shown));
}

static void narrate_handshake(const struct tls *tls)
{
	if (!tls->wish->narrate)
		return;
	narrate(tls, "%s with %s", SSL_get_version(tls->ssl), SSL_get_cipher_name(tls->ssl));
	narrate_certificate(tls);
	narrate_protocol(tls);
}

static int step(struct tls *tls, short *ret_awaits)
{
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_connect(tls->ssl);
	return r == 1 ? 0 : pause_or_fail(tls, r, ret_awaits);
}

int tls_shake_hands(struct tls *tls, int fd)
{
	const char *name = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
	struct pollfd slot = {.fd = fd};
	int r;

	narrate(tls, "TLS handshake, asking for %s", name ? name : "no name");
	if (SSL_set_fd(tls->ssl, fd) != 1)
		return -ENOMEM;
	while ((r = step(tls, &slot.events)) == -EAGAIN)
		poll(&slot, 1, -1);
	if (r < 0)
		return r;
	tls->is_open = true;
	narrate_handshake(tls);
	return 0;
}

/* ------------------------------------------------------------------ reading, writing */

/* What one call has taken from the socket may be what the other one waits for. */
ssize_t tls_read(struct tls *tls, char *data, size_t len)
{
	size_t n;
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_read_ex(tls->ssl, data, len, &n);
	if (r == 1) {
		if (tls->writing_awaits == POLLIN)
			tls->writing_awaits = 0;
		return (ssize_t)n;
	}
	if (SSL_get_error(tls->ssl, r) == SSL_ERROR_ZERO_RETURN)
		return 0;
	return pause_or_fail(tls, r, &tls->reading_awaits);
}

ssize_t tls_write(struct tls *tls, const char *data, size_t len)
{
	size_t n;
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_write_ex(tls->ssl, data, len, &n);
	if (r == 1) {
		if (tls->reading_awaits == POLLOUT)
			tls->reading_awaits = 0;
		return (ssize_t)n;
	}
	return pause_or_fail(tls, r, &tls->writing_awaits);
}

/* The end is said once: another call would wait for that of the peer. */
int tls_end(struct tls *tls)
{
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_shutdown(tls->ssl);
	return r >= 0 ? 0 : pause_or_fail(tls, r, &tls->writing_awaits);
}

short tls_reading_awaits(const struct tls *tls)
{
	return tls->reading_awaits;
}

short tls_writing_awaits(const struct tls *tls)
{
	return tls->writing_awaits;
}

void tls_wake(struct tls *tls)
{
	tls->reading_awaits = tls->writing_awaits = 0;
}
