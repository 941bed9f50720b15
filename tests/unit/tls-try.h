/*
 * tls-try: one client of hatchd-tls, for tests: his OpenSSL, the session's loop, its clock,
 * and the program that is started for him.
 *
 * UNIX sockets hand over at once what is sent, so that nothing has to be waited for.  Time
 * stands still unless a test moves it.
 */
#ifndef HATCHD_TESTS_TLS_TRY_H
#define HATCHD_TESTS_TLS_TRY_H

#include "tls-pki.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/strv.h"
#include "workers/tls/session.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#define TRY_NOW      UINT64_C(7000000)
#define TRY_PATIENCE (5 * USEC_PER_SEC)

#define BYTES(text) text, sizeof(text) - 1

/* Who is certified by whom, for all tests of a program. */
static struct {
	struct pki authority, stranger; /* the second one is nobody's authority */
	struct pki first, second, wild, rsa;
	struct pki alice, expired, foreign, of_server;
	struct tls_bytes ca;
	struct tls_certificate certificates[4]; /* of first, second, wild, rsa */
} pki;

static inline void pki_begin(void)
{
	const struct pki *const ours[] = {&pki.first, &pki.second, &pki.wild, &pki.rsa};

	pki.authority = PKI(.common_name = "authority", .is_authority = true);
	pki.stranger = PKI(.common_name = "stranger", .is_authority = true);
	pki.first = PKI(.common_name = "first", .issuer = &pki.authority,
		.alternatives = "DNS:first.example.org");
	pki.second = PKI(.common_name = "second", .issuer = &pki.authority,
		.alternatives = "DNS:Second.example.org,DNS:other.example.net");
	pki.wild = PKI(.common_name = "wild", .issuer = &pki.authority,
		.alternatives = "DNS:*.example.org");
	pki.rsa = PKI(.common_name = "rsa", .issuer = &pki.authority,
		.alternatives = "DNS:first.example.org", .is_rsa = true);
	pki.alice = PKI(.common_name = "alice", .issuer = &pki.authority,
		.alternatives = "email:alice@example.org");
	pki.expired = PKI(.common_name = "late", .issuer = &pki.authority, .is_expired = true);
	pki.foreign = PKI(.common_name = "foreign", .issuer = &pki.stranger);
	pki.of_server =
		PKI(.common_name = "server", .issuer = &pki.authority, .is_of_server = true);
	pki.ca = pki_chain(&pki.authority);
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		pki.certificates[i] = (struct tls_certificate){
			.chain = pki_chain(ours[i]), .key = pki_key(ours[i])};
}

static inline void pki_end(void)
{
	struct pki *const all[] = {&pki.authority, &pki.stranger, &pki.first, &pki.second,
		&pki.wild, &pki.rsa, &pki.alice, &pki.expired, &pki.foreign, &pki.of_server};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		pki_free(all[i]);
	pki_free_bytes(&pki.ca);
	for (size_t i = 0; i < ARRAY_SIZE(pki.certificates); i++) {
		pki_free_bytes(&pki.certificates[i].chain);
		pki_free_bytes(&pki.certificates[i].key);
	}
}

/* What a test says about both sides before they meet. */
struct try_spec {
	struct tls_setup setup;        /* without certificates: with the first one */
	const struct pki *certificate; /* the client's; NULL: none */
	const char *name;              /* that he asks for; NULL: none */
	const char *alpn;              /* as on the wire; NULL: none */
	int version;                   /* TLS1_3_VERSION ...; 0: any from 1.2 on */
	const char *ciphers;           /* of TLS 1.2; NULL: OpenSSL's */
	SSL_SESSION *session;          /* to go on with; NULL: none */
	bool tcp;
};

static struct {
	struct session *session;
	struct context *context;
	struct tube_works works;
	SSL_CTX *ctx;
	SSL *client;
	int fd;      /* the client's */
	int program; /* its end of the pair */
	uint64_t now;
	bool goes_on;
	char told[CHANNEL_FACTS_BYTES_MAX + 1]; /* facts */
	size_t told_len;
	unsigned n_told; /* pieces */
	bool offered;
	char service[CHANNEL_NAME_MAX + 1];
	SSL_SESSION *ticket; /* the last one that the client got */
	int alert;           /* the same; 0: none */
} try = {.fd = -EBADF, .program = -EBADF};

/* ------------------------------------------------------------------------ the loop */

static inline bool try_turn_of(enum pump_side side)
{
	uint32_t wanted = try.goes_on ? session_events(try.session, side) : 0;
	struct pollfd p = {.fd = session_fd(try.session, side), .events = (short)wanted};

	/* Events of poll(2) and epoll(7) have the same numbers. */
	if (wanted == 0 || poll(&p, 1, 0) <= 0 || p.revents == 0)
		return false;
	try.goes_on = session_go(try.session, side, (uint32_t)p.revents, try.now);
	return true;
}

/* One thing that there is to be done; false: there is none. */
static inline bool try_turn(void)
{
	if (!try.goes_on)
		return false;
	if (session_due(try.session) <= try.now) {
		try.goes_on = session_go(try.session, PUMP_CLIENT, 0, try.now);
		return true;
	}
	return try_turn_of(PUMP_CLIENT) || try_turn_of(PUMP_PROGRAM);
}

static inline void try_turns(void)
{
	int n = 0;

	while (try_turn())
		assert_true(++n < 100000); /* it would never wait */
}

static inline void try_at(uint64_t now)
{
	try.now = now;
	try_turns();
}

/* ------------------------------------------------------------------ begin and end */

static inline int note_ticket(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(try.ticket);
	try.ticket = session;
	return 1;
}

static inline void note_alert(const SSL *ssl, int where, int what)
{
	(void)ssl;
	if (where == SSL_CB_READ_ALERT && what >> 8 == SSL3_AL_FATAL)
		try.alert = what & 0xff;
}

static inline void try_make_client(const struct try_spec *spec)
{
	try.ctx = SSL_CTX_new(TLS_client_method());
	if (spec->version != 0) {
		SSL_CTX_set_min_proto_version(try.ctx, spec->version);
		SSL_CTX_set_max_proto_version(try.ctx, spec->version);
	}
	if (spec->version != 0 && spec->version < TLS1_2_VERSION)
		assert_int_equal(SSL_CTX_set_cipher_list(try.ctx, "ALL:@SECLEVEL=0"), 1);
	if (spec->ciphers)
		assert_int_equal(SSL_CTX_set_cipher_list(try.ctx, spec->ciphers), 1);
	if (spec->certificate) {
		SSL_CTX_use_certificate(try.ctx, spec->certificate->certificate);
		SSL_CTX_use_PrivateKey(try.ctx, spec->certificate->key);
	}
	SSL_CTX_set_session_cache_mode(
		try.ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(try.ctx, note_ticket);
	SSL_CTX_set_info_callback(try.ctx, note_alert);
	try.client = SSL_new(try.ctx);
	if (spec->name)
		SSL_set_tlsext_host_name(try.client, spec->name);
	if (spec->alpn)
		SSL_set_alpn_protos(try.client, (const unsigned char *)spec->alpn,
			(unsigned)strlen(spec->alpn));
	if (spec->session)
		SSL_set_session(try.client, spec->session);
	SSL_set_fd(try.client, try.fd);
	SSL_set_connect_state(try.client);
}

static inline void try_tcp(int ret[2])
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof sin;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sin, &len), 0);
	ret[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(ret[0], (struct sockaddr *)&sin, len), 0);
	/* What he says has been sent when he breaks off. */
	setsockopt(ret[0], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	ret[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(ret[1] >= 0);
	close(listener);
}

static inline void try_begin(struct try_spec spec)
{
	struct session_setup setup = {
		.works = &try.works, .patience = TRY_PATIENCE, .now = TRY_NOW};
	int ends[2];

	if (!spec.setup.certificates) {
		spec.setup.certificates = pki.certificates;
		spec.setup.n_certificates = 1;
	}
	assert_int_equal(tube_works_init(&try.works), 0);
	assert_int_equal(context_new(&spec.setup, &setup.context), 0);
	if (spec.tcp)
		try_tcp(ends);
	else
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	try.fd = ends[0];
	fd_set_nonblock(try.fd, true);
	try.now = TRY_NOW;
	try.told_len = try.n_told = 0;
	try.offered = false;
	try.alert = 0;
	try_make_client(&spec);
	assert_int_equal(session_new(&setup, ends[1], &try.session), 0);
	try.goes_on = session_go(try.session, PUMP_CLIENT, 0, try.now);
}

#define BEGIN(...) try_begin((struct try_spec){__VA_ARGS__})

static inline void try_end(void)
{
	try.session = session_free(try.session, try.now);
	/* Else OpenSSL takes his tickets for bad ones. */
	SSL_set_shutdown(try.client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(try.client);
	SSL_CTX_free(try.ctx);
	try.client = NULL;
	try.ctx = NULL;
	try.fd = fd_close(try.fd);
	try.program = fd_close(try.program);
	tube_works_done(&try.works);
	ERR_clear_error();
}

static inline int try_tear_down(void **state)
{
	(void)state;
	if (try.session)
		try_end();
	SSL_SESSION_free(try.ticket);
	try.ticket = NULL;
	return 0;
}

#define TRY_TEST(f) cmocka_unit_test_teardown(f, try_tear_down)

/* ----------------------------------------------------------------- what happens */

static inline void try_hear_facts(void)
{
	struct channel_answer answer = {0};

	while (!try.offered && session_tell(try.session, &answer)) {
		try.offered = answer.kind == CHANNEL_OFFER;
		if (try.offered) {
			strcpy(try.service, answer.facts.service);
			break;
		}
		assert_int_equal(answer.kind, CHANNEL_FACT);
		assert_in_range(answer.facts.authority_len, 1, CHANNEL_AUTHORITY_MAX);
		assert_true(try.told_len + answer.facts.authority_len < sizeof try.told);
		memcpy(try.told + try.told_len, answer.facts.authority,
			answer.facts.authority_len);
		try.told_len += answer.facts.authority_len;
		try.n_told++;
		memset(&answer, 0, sizeof answer);
	}
}

/* Both do what they can, until none of them can do more.  The client's last word. */
static inline int try_shake(void)
{
	int r = 0, before = -2;

	for (int i = 0; i < 20; i++) {
		ERR_clear_error();
		r = SSL_do_handshake(try.client);
		try_turns();
		if (r == before && i > 4)
			break;
		before = r;
	}
	try_hear_facts();
	return r;
}

static inline void shakes_hands(void)
{
	assert_int_equal(try_shake(), 1);
	assert_true(try.goes_on);
	assert_true(try.offered);
}

/* He leaves, if it waits for that. */
static inline void is_over(enum channel_result result)
{
	if (try.goes_on) {
		shutdown(try.fd, SHUT_WR);
		try_turns();
	}
	assert_false(try.goes_on);
	assert_int_equal(session_result(try.session), result);
}

static inline const char *fact(const char *name)
{
	size_t len = strlen(name);

	for (size_t at = 0; at < try.told_len; at += strlen(try.told + at) + 1)
		if (strncmp(try.told + at, name, len) == 0 && try.told[at + len] == '=')
			return try.told + at + len + 1;
	return NULL;
}

static inline void fact_is(const char *name, const char *value)
{
	const char *told = fact(name);

	if (!value) {
		assert_null(told);
		return;
	}
	assert_non_null(told);
	assert_string_equal(told, value);
}

/* He comes in. */
static inline void is_admitted(void)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	try.program = ends[0];
	fd_set_nonblock(try.program, true);
	try.goes_on = session_verdict(try.session, CHANNEL_ADMITTED, &ends[1], try.now);
	assert_int_equal(ends[1], -EBADF);
	try_turns();
}

static inline void client_says(const char *bytes, size_t len)
{
	assert_int_equal(SSL_write(try.client, bytes, (int)len), len);
	try_turns();
}

static inline void program_says(const char *bytes, size_t len)
{
	assert_int_equal(send(try.program, bytes, len, MSG_NOSIGNAL), len);
	try_turns();
}

static inline void program_hears(const char *bytes, size_t len)
{
	char heard[256];

	assert_int_equal(recv(try.program, heard, sizeof heard, 0), len);
	assert_memory_equal(heard, bytes, len);
}

static inline void client_hears(const char *bytes, size_t len)
{
	char heard[256];
	size_t n = 0;

	while (n < len) {
		int r = SSL_read(try.client, heard + n, (int)(sizeof heard - n));

		assert_true(r > 0);
		n += (size_t)r;
	}
	assert_int_equal(n, len);
	assert_memory_equal(heard, bytes, len);
}

static inline void program_hears_the_end(void)
{
	assert_int_equal(recv(try.program, &(char){0}, 1, 0), 0);
}

static inline void program_hears_nothing(void)
{
	assert_int_equal(recv(try.program, &(char){0}, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
}

/* In order, or not. */
static inline void client_hears_the_end(bool in_order)
{
	int r = SSL_read(try.client, &(char){0}, 1);

	assert_true(r <= 0);
	if (in_order)
		assert_int_equal(SSL_get_error(try.client, r), SSL_ERROR_ZERO_RETURN);
	else
		assert_int_not_equal(SSL_get_error(try.client, r), SSL_ERROR_ZERO_RETURN);
	ERR_clear_error();
}

#endif
