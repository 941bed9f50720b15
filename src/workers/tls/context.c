#include "workers/tls/context.h"

#include "base/own.h"
#include "workers/tls/certificate.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <string.h>

/* Forward secrecy, and nothing that is not authenticated as a whole (RFC 9325, 4.2).  Of
 * TLS 1.3 all are like that. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

/* How keys are agreed upon: the first list that OpenSSL knows all of.  Finite fields (RFC 7919)
 * are not among them: one of 8192 bits is 200 times the work of X25519, for a client who need
 * do none of it himself. */
static const char *const groups[] = {
	"X25519MLKEM768:X25519:P-256:X448:P-384:P-521",
	"X25519:P-256:X448:P-384:P-521",
	"P-256:P-384:P-521",
};

/* Who certify clients, in one setup; and the bytes of their names that a client is told, so
 * that he can choose: a list of more than 2^16 could not be sent. */
#define AUTHORITIES_MAX      4096
#define AUTHORITIES_SENT_MAX (32 * 1024)

struct context {
	SSL_CTX *ctx; /* owned, as all here */
	struct certificate certificates[TLS_CERTIFICATES_MAX];
	size_t n_certificates;
	struct tls_name *names;
	size_t n_names;
	bool names_only;
	char **alpn;

	/* On its shelf. */
	struct context_shelf *shelf; /* NULL: on none */
	struct context *before, *after;
	uint64_t number;
	size_t n_users;
	uint64_t idle_since;
};

/* -------------------------------------------------------------- what a client asks for */

static const struct context *context_of(const SSL *ssl)
{
	return ((const struct hello *)SSL_get_app_data(ssl))->context;
}

void context_name(const SSL *ssl, char ret[HOSTNAME_ROOM])
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	if (!name || hostname_read(name, ret) < 0)
		ret[0] = '\0';
}

static int note_hello(SSL *ssl, int *alert, void *arg)
{
	struct hello *hello = SSL_get_app_data(ssl);
	const unsigned char *bytes;
	size_t len;

	(void)alert;
	(void)arg;
	hello->offers_alpn = SSL_client_hello_get0_ext(
		ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &bytes, &len);
	return SSL_CLIENT_HELLO_SUCCESS;
}

/* OpenSSL makes new keys as often as he says. */
static void note_message(
	int sent, int version, int type, const void *bytes, size_t len, SSL *ssl, void *arg)
{
	struct hello *hello = SSL_get_app_data(ssl);

	(void)version;
	(void)arg;
	if (!sent && type == SSL3_RT_HANDSHAKE && len > 0 &&
		*(const uint8_t *)bytes == SSL3_MT_KEY_UPDATE)
		hello->n_updates++;
}

/* Who may still choose a protocol is judged when he has (choose_protocol()). */
static bool is_known(const SSL *ssl, const char *name)
{
	const struct hello *hello = SSL_get_app_data(ssl);
	const struct context *context = hello->context;

	if (!context->names_only)
		return true;
	if (hello->offers_alpn && context->alpn)
		return names_know(context->names, context->n_names, name);
	return names_find(context->names, context->n_names, name, "") != NULL;
}

static int judge_name(SSL *ssl, int *alert, void *arg)
{
	char name[HOSTNAME_ROOM];

	(void)arg;
	context_name(ssl, name);
	if (!is_known(ssl, name)) {
		*alert = SSL_AD_UNRECOGNIZED_NAME;
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	return name[0] ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* A list as RFC 7301, 3.1, has it: OpenSSL has looked at the lengths. */
static bool is_offered(const unsigned char *list, unsigned len, const char *protocol)
{
	size_t wanted = strlen(protocol);

	for (unsigned at = 0; at < len; at += 1U + list[at])
		if (list[at] == wanted && at + 1 + wanted <= len &&
			memcmp(list + at + 1, protocol, wanted) == 0)
			return true;
	return false;
}

static bool leads_somewhere(const struct context *context, const char *name, const char *alpn)
{
	return !context->names_only ||
	       names_find(context->names, context->n_names, name, alpn) != NULL;
}

/* Our order decides.  Who offers nothing that is spoken here is told so (RFC 7301, 3.2). */
static int choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
	const unsigned char *offered, unsigned len, void *arg)
{
	const struct context *context = context_of(ssl);
	char name[HOSTNAME_ROOM];

	(void)arg;
	context_name(ssl, name);
	for (char **protocol = context->alpn; *protocol; protocol++) {
		if (!is_offered(offered, len, *protocol) ||
			!leads_somewhere(context, name, *protocol))
			continue;
		*ret = (const unsigned char *)*protocol;
		*ret_len = (unsigned char)strlen(*protocol);
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

const char *context_service(const SSL *ssl)
{
	const struct context *context = context_of(ssl);
	char name[HOSTNAME_ROOM], alpn[TLS_PROTOCOL_MAX + 1];
	const unsigned char *chosen;
	const struct tls_name *found;
	unsigned len;

	context_name(ssl, name);
	SSL_get0_alpn_selected(ssl, &chosen, &len);
	if (len > 0)
		memcpy(alpn, chosen, len);
	alpn[len] = '\0';
	found = names_find(context->names, context->n_names, name, alpn);
	return found ? found->service : "";
}

/* -------------------------------------------------------------------- certificates */

/* Which of those that fit his software can use is OpenSSL's to choose: of each kind of key
 * the first one. */
static void show(SSL *ssl, const struct certificate *certificate)
{
	if (SSL_use_cert_and_key(
		    ssl, certificate->leaf, certificate->key, certificate->chain, 0) != 1)
		ERR_clear_error();
}

static enum names_fit best_fit(const struct context *context, const char *name)
{
	enum names_fit best = NAMES_UNFIT;

	for (size_t i = 0; i < context->n_certificates; i++) {
		enum names_fit fit = certificate_fit(&context->certificates[i], name);

		if (fit > best)
			best = fit;
	}
	return best;
}

static void show_those_for(SSL *ssl, const struct context *context, const char *name)
{
	enum names_fit best = best_fit(context, name);

	for (size_t i = 0; i < context->n_certificates; i++)
		if (certificate_fit(&context->certificates[i], name) == best)
			show(ssl, &context->certificates[i]);
}

/* Who asks for what none is for gets the first one, and what else he would get who asks for
 * the name in it. */
static int choose_certificate(SSL *ssl, void *arg)
{
	const struct context *context = context_of(ssl);
	char name[HOSTNAME_ROOM];

	(void)arg;
	SSL_certs_clear(ssl);
	context_name(ssl, name);
	if (name[0] && best_fit(context, name) != NAMES_UNFIT) {
		show_those_for(ssl, context, name);
		return 1;
	}
	show(ssl, &context->certificates[0]);
	if (context->certificates[0].names)
		show_those_for(ssl, context, context->certificates[0].names[0]);
	return 1;
}

/* His certificate's key, by which he proves that it is his: that is our work as well, and is
 * done for whoever shows one. */
static bool is_too_much(X509_STORE_CTX *store)
{
	const EVP_PKEY *key = X509_get0_pubkey(X509_STORE_CTX_get0_cert(store));

	return key && EVP_PKEY_get_bits(key) > CONTEXT_KEY_MAX;
}

/* Where he need not have one, what is wrong is noted, and the handshake goes on.  The first
 * fault ends it in any case: nothing is computed for who is not certified. */
static int judge_certificate(X509_STORE_CTX *store, void *arg)
{
	const SSL *ssl =
		X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	bool needed = SSL_get_verify_mode(ssl) & SSL_VERIFY_FAIL_IF_NO_PEER_CERT;

	(void)arg;
	if (is_too_much(store)) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
		return 0;
	}
	if (X509_verify_cert(store) == 1)
		return 1;
	/* It is never taken for certified. */
	if (X509_STORE_CTX_get_error(store) == X509_V_OK)
		X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
	return needed ? 0 : 1;
}

/* ------------------------------------------------------------- OpenSSL's view of it */

static int set_certificates(struct context *context, const struct tls_setup *setup)
{
	for (size_t i = 0; i < setup->n_certificates; i++) {
		struct certificate *made = &context->certificates[i];
		int r = certificate_read(&setup->certificates[i], made);

		if (r < 0)
			return r;
		context->n_certificates++;
		/* Also to see whether it is good enough for what this system allows. */
		if (SSL_CTX_use_cert_and_key(
			    context->ctx, made->leaf, made->key, made->chain, 1) != 1)
			return -EBADMSG;
	}
	if (context->n_certificates > 1)
		SSL_CTX_set_cert_cb(context->ctx, choose_certificate, NULL);
	return 0;
}

/* Their names, as far as they can be told. */
static int tell_authorities(SSL_CTX *ctx, STACK_OF(X509) * list)
{
	long sum = 0;

	for (int i = 0; i < sk_X509_num(list); i++)
		sum += i2d_X509_NAME(X509_get_subject_name(sk_X509_value(list, i)), NULL) + 2;
	for (int i = 0; i < sk_X509_num(list) && sum <= AUTHORITIES_SENT_MAX; i++)
		if (SSL_CTX_add_client_CA(ctx, sk_X509_value(list, i)) != 1)
			return -ENOMEM;
	return 0;
}

static int trust(SSL_CTX *ctx, const struct tls_bytes *pem)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	STACK_OF(X509) *list = NULL;
	int r = certificate_read_list(pem, AUTHORITIES_MAX, &list);

	if (r < 0)
		return r;
	for (int i = 0; i < sk_X509_num(list) && r == 0; i++)
		if (X509_STORE_add_cert(store, sk_X509_value(list, i)) != 1)
			r = -ENOMEM;
	if (r == 0)
		r = tell_authorities(ctx, list);
	sk_X509_pop_free(list, X509_free);
	return r;
}

/* A session goes on only where the same is asked of clients. */
static int name_sessions(SSL_CTX *ctx, const struct tls_setup *setup)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	uint8_t verify = (uint8_t)setup->verify;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool made = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
	            EVP_DigestUpdate(md, &verify, 1) == 1 &&
	            EVP_DigestUpdate(md, setup->ca.data, setup->ca.len) == 1 &&
	            EVP_DigestFinal_ex(md, digest, NULL) == 1;

	EVP_MD_CTX_free(md);
	if (!made || SSL_CTX_set_session_id_context(ctx, digest, sizeof digest) != 1)
		return -ENOMEM;
	return 0;
}

static int set_clients(SSL_CTX *ctx, const struct tls_setup *setup)
{
	int how = SSL_VERIFY_PEER;

	if (setup->verify == TLS_VERIFY_NONE)
		return 0;
	if (setup->verify == TLS_VERIFY_REQUIRED)
		how |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(ctx, how, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, judge_certificate, NULL);
	SSL_CTX_set_verify_depth(ctx, CONTEXT_DEPTH_MAX);
	SSL_CTX_set_max_cert_list(ctx, CONTEXT_CHAIN_MAX);
	if (SSL_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT) != 1)
		return -ENOMEM;
	return trust(ctx, &setup->ca);
}

static int set_ticket_key(SSL_CTX *ctx, const struct tls_setup *setup)
{
	uint8_t key[TLS_TICKET_KEY_SIZE];
	long r;

	memcpy(key, setup->ticket_key, sizeof key);
	r = SSL_CTX_set_tlsext_ticket_keys(ctx, key, sizeof key);
	OPENSSL_cleanse(key, sizeof key);
	return r == 1 ? 0 : -EBADMSG;
}

static int set_sessions(SSL_CTX *ctx, const struct tls_setup *setup)
{
	int r = name_sessions(ctx, setup);

	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ctx, CONTEXT_SESSION_TIME);
	if (r < 0)
		return r;
	if (setup->session_tickets)
		return set_ticket_key(ctx, setup);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	return SSL_CTX_set_num_tickets(ctx, 0) == 1 ? 0 : -ENOMEM;
}

static int set_groups(SSL_CTX *ctx)
{
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		if (SSL_CTX_set1_groups_list(ctx, groups[i]) == 1)
			return 0;
		ERR_clear_error();
	}
	return -EBADMSG;
}

static int set_ciphers(SSL_CTX *ctx, const struct tls_setup *setup)
{
	int version = setup->min_version == TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;

	if (SSL_CTX_set_min_proto_version(ctx, version) != 1 ||
		SSL_CTX_set_cipher_list(ctx, setup->ciphers ? setup->ciphers : CIPHERS) != 1)
		return -EBADMSG;
	if (setup->ciphersuites && SSL_CTX_set_ciphersuites(ctx, setup->ciphersuites) != 1)
		return -EBADMSG;
	/* Where somebody has asked for those that need it. */
	SSL_CTX_set_dh_auto(ctx, 1);
	return set_groups(ctx);
}

/* Buffers are for sessions over which something goes.  No chain is looked for: what is shown
 * is written in the setup, and `ca` is about others. */
static void set_manners(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_client_hello_cb(ctx, note_hello, NULL);
	SSL_CTX_set_msg_callback(ctx, note_message);
	SSL_CTX_set_tlsext_servername_callback(ctx, judge_name);
}

static int make_ctx(struct context *context, const struct tls_setup *setup)
{
	SSL_CTX *ctx = context->ctx = SSL_CTX_new(TLS_server_method());
	int r;

	if (!ctx)
		return -ENOMEM;
	set_manners(ctx);
	if (setup->alpn)
		SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	r = set_ciphers(ctx, setup);
	if (r == 0)
		r = set_sessions(ctx, setup);
	if (r == 0)
		r = set_clients(ctx, setup);
	return r == 0 ? set_certificates(context, setup) : r;
}

/* ---------------------------------------------------------------------- begin and end */

/* The lists of it become the context's. */
static void take_lists(struct context *context, struct tls_setup *setup)
{
	context->names = take_ptr(setup->names);
	context->n_names = setup->n_names;
	setup->n_names = 0;
	context->names_only = setup->names_only;
	context->alpn = take_ptr(setup->alpn);
}

static void context_free(struct context *context)
{
	struct tls_setup lists = {
		.names = context->names,
		.n_names = context->n_names,
		.alpn = context->alpn,
	};

	SSL_CTX_free(context->ctx);
	for (size_t i = 0; i < context->n_certificates; i++)
		certificate_done(&context->certificates[i]);
	tls_setup_done(&lists);
	free(context);
}

static int make(struct tls_setup *setup, struct context **ret)
{
	struct context *context = calloc(1, sizeof *context);
	int r;

	if (!context)
		return -ENOMEM;
	r = make_ctx(context, setup);
	if (r < 0) {
		context_free(context);
		return r;
	}
	take_lists(context, setup);
	context->n_users = 1;
	*ret = context;
	return 0;
}

/* Written and read again: then the lists are its own. */
int context_new(const struct tls_setup *setup, struct context **ret)
{
	struct tls_setup copy = {0};
	struct wire_writer w;
	int r;

	wire_writer_init_secret(&w);
	r = tls_setup_write(setup, &w);
	if (r == 0)
		r = tls_setup_read(w.data, w.len, &copy);
	if (r == 0) {
		r = make(&copy, ret);
		tls_setup_done(&copy);
	}
	wire_writer_done(&w);
	return r;
}

static int read_whole(const struct context_place *place, uint8_t *to)
{
	size_t len = 0;

	while (len < place->len) {
		ssize_t n =
			pread(place->fd, to + len, place->len - len, (off_t)(place->at + len));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		len += (size_t)n;
	}
	return 0;
}

static int read_context(const struct context_place *place, struct context **ret)
{
	struct tls_setup setup;
	uint8_t *data;
	int r;

	if (place->len == 0 || place->len > TLS_SETUP_MAX || place->at > INT64_MAX - place->len)
		return -EBADMSG;
	data = malloc(place->len);
	if (!data)
		return -ENOMEM;
	r = read_whole(place, data);
	if (r == 0)
		r = tls_setup_read(data, place->len, &setup);
	if (r == 0) {
		r = make(&setup, ret);
		tls_setup_done(&setup);
	}
	/* The keys. */
	OPENSSL_cleanse(data, place->len);
	free(data);
	return r;
}

/* ---------------------------------------------------------------------- the shelf */

static void take_off(struct context *context)
{
	struct context_shelf *shelf = context->shelf;

	if (context->before)
		context->before->after = context->after;
	else
		shelf->first = context->after;
	if (context->after)
		context->after->before = context->before;
	context->before = context->after = NULL;
}

static void put_first(struct context_shelf *shelf, struct context *context)
{
	context->shelf = shelf;
	context->after = shelf->first;
	if (shelf->first)
		shelf->first->before = context;
	shelf->first = context;
}

/* From the first on; those that stay are few, and stand in the order in which they were come
 * to. */
static void tidy(struct context_shelf *shelf, uint64_t now, size_t max)
{
	struct context *next;
	size_t n = 0;

	for (struct context *at = shelf->first; at; at = next) {
		next = at->after;
		if (at->n_users > 0 || (++n <= max && now - at->idle_since < CONTEXT_IDLE_TIME))
			continue;
		take_off(at);
		context_free(at);
		shelf->n_idle--;
	}
}

static struct context *find(const struct context_shelf *shelf, uint64_t number)
{
	struct context *at = shelf->first;

	while (at && at->number != number)
		at = at->after;
	return number > 0 ? at : NULL;
}

static void use_again(struct context_shelf *shelf, struct context *context)
{
	if (context->n_users++ == 0)
		shelf->n_idle--;
	if (shelf->first == context)
		return;
	take_off(context);
	put_first(shelf, context);
}

int context_get(struct context_shelf *shelf, const struct context_place *place, uint64_t now,
	struct context **ret)
{
	struct context *context = find(shelf, place->number);
	int r;

	if (context) {
		use_again(shelf, context);
		*ret = context;
		return 0;
	}
	tidy(shelf, now, CONTEXT_IDLE_MAX);
	r = read_context(place, &context);
	if (r < 0)
		return r;
	context->number = place->number;
	if (place->number > 0)
		put_first(shelf, context);
	*ret = context;
	return 0;
}

struct context *context_put(struct context *context, uint64_t now)
{
	if (!context || --context->n_users > 0)
		return NULL;
	if (!context->shelf) {
		context_free(context);
		return NULL;
	}
	context->idle_since = now;
	context->shelf->n_idle++;
	tidy(context->shelf, now, CONTEXT_IDLE_MAX);
	return NULL;
}

void context_shelf_done(struct context_shelf *shelf)
{
	tidy(shelf, 0, 0);
}

SSL *context_open(const struct context *context, struct hello *hello)
{
	SSL *ssl = SSL_new(context->ctx);

	*hello = (struct hello){.context = context};
	if (!ssl || SSL_set_app_data(ssl, hello) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_accept_state(ssl);
	return ssl;
}
