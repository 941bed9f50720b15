/* session: the handshake of one client, and what is told of him. */
#include "tls-try.h"

#include <signal.h>

static const uint8_t ticket_key[TLS_TICKET_KEY_SIZE] = {1, 2, 3};

static struct tls_setup asking(enum tls_verify verify)
{
	return (struct tls_setup){.verify = verify, .ca = pki.ca};
}

static struct tls_setup with_tickets(void)
{
	struct tls_setup setup = {.session_tickets = true};

	memcpy(setup.ticket_key, ticket_key, sizeof ticket_key);
	return setup;
}

/* --------------------------------------------------------------------- versions */

static void test_tls_1_3(void **state)
{
	(void)state;
	BEGIN(.version = TLS1_3_VERSION);
	shakes_hands();
	fact_is("SSL_PROTOCOL", "TLSv1.3");
	fact_is("SSL_CIPHER", SSL_get_cipher_name(try.client));
	fact_is("SSL_CLIENT_VERIFY", "NONE");
	fact_is("SSL_TLS_SNI_SERVERNAME", NULL);
	fact_is("SSL_ALPN", NULL);
	fact_is("SSL_PEER_CERT_HASH", NULL);
	assert_string_equal(try.service, "");
}

static void test_tls_1_2(void **state)
{
	(void)state;
	BEGIN(.version = TLS1_2_VERSION);
	shakes_hands();
	fact_is("SSL_PROTOCOL", "TLSv1.2");
	/* Forward secrecy, and authenticated as a whole. */
	assert_non_null(strstr(fact("SSL_CIPHER"), "ECDHE"));
	assert_true(strstr(fact("SSL_CIPHER"), "GCM") || strstr(fact("SSL_CIPHER"), "CHACHA"));
}

static void fails(int alert)
{
	assert_int_not_equal(try_shake(), 1);
	assert_int_equal(try.alert, alert);
	assert_false(try.offered);
	is_over(CHANNEL_BAD_HEADER);
	assert_true(session_reason(try.session)[0]);
}

static void test_older_versions(void **state)
{
	(void)state;
	BEGIN(.version = TLS1_1_VERSION);
	fails(SSL_AD_PROTOCOL_VERSION);
	try_end();
	BEGIN(.version = TLS1_VERSION);
	fails(SSL_AD_PROTOCOL_VERSION);
}

static void test_min_version(void **state)
{
	struct tls_setup setup = {.min_version = TLS_VERSION_1_3};

	(void)state;
	BEGIN(.setup = setup, .version = TLS1_2_VERSION);
	fails(SSL_AD_PROTOCOL_VERSION);
	try_end();
	BEGIN(.setup = setup);
	shakes_hands();
	fact_is("SSL_PROTOCOL", "TLSv1.3");
}

static void test_ciphers(void **state)
{
	static char gcm[] = "ECDHE-ECDSA-AES256-GCM-SHA384", suite[] = "TLS_AES_128_GCM_SHA256";
	struct tls_setup setup = {.ciphers = gcm, .ciphersuites = suite};

	(void)state;
	BEGIN(.setup = setup);
	shakes_hands();
	fact_is("SSL_CIPHER", suite);
	try_end();
	BEGIN(.setup = setup, .version = TLS1_2_VERSION);
	shakes_hands();
	fact_is("SSL_CIPHER", gcm);
	try_end();
	BEGIN(.setup = setup, .version = TLS1_2_VERSION,
		.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256");
	fails(SSL_AD_HANDSHAKE_FAILURE);
	try_end();
	/* Without forward secrecy, and of the old kind. */
	BEGIN(.version = TLS1_2_VERSION, .ciphers = "AES256-GCM-SHA384");
	fails(SSL_AD_HANDSHAKE_FAILURE);
	try_end();
	BEGIN(.version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES256-SHA384");
	fails(SSL_AD_HANDSHAKE_FAILURE);
}

static void with_groups(const char *groups, int version)
{
	BEGIN(.version = version);
	assert_int_equal(SSL_set1_groups_list(try.client, groups), 1);
}

/* What would be much work is not done for the asking. */
static void test_groups(void **state)
{
	static const char *const good[] = {"X25519", "P-256", "X448", "P-384", "P-521"};
	static const char *const dear[] = {"ffdhe2048", "ffdhe8192"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		with_groups(good[i], TLS1_3_VERSION);
		shakes_hands();
		try_end();
	}
	for (size_t i = 0; i < ARRAY_SIZE(dear); i++) {
		with_groups(dear[i], TLS1_3_VERSION);
		fails(SSL_AD_HANDSHAKE_FAILURE);
		try_end();
	}
}

/* But where somebody has written that he wants it. */
static void test_finite_fields(void **state)
{
	static char ciphers[] = "DHE-RSA-AES128-GCM-SHA256";
	struct tls_setup setup = {
		.certificates = &pki.certificates[3], .n_certificates = 1, .ciphers = ciphers};

	(void)state;
	BEGIN(.setup = setup, .version = TLS1_2_VERSION);
	shakes_hands();
	fact_is("SSL_CIPHER", ciphers);
}

static void test_no_renegotiation(void **state)
{
	(void)state;
	BEGIN(.version = TLS1_2_VERSION);
	shakes_hands();
	is_admitted();
	SSL_renegotiate(try.client);
	assert_int_not_equal(try_shake(), 1);
	assert_false(SSL_session_reused(try.client));
	/* He is told that there is none, and it is he who ends it for that. */
	program_hears_the_end();
	is_over(CHANNEL_RESET);
}

/* ------------------------------------------------------------------- certificates */

static void is_shown(const struct pki *wanted)
{
	X509 *shown = SSL_get0_peer_certificate(try.client);

	assert_non_null(shown);
	assert_int_equal(X509_cmp(shown, wanted->certificate), 0);
}

static void asks_for(const char *name, const struct pki *wanted, const char *known_as)
{
	struct tls_setup setup = {.certificates = pki.certificates, .n_certificates = 3};

	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		BEGIN(.setup = setup, .name = name, .version = version);
		shakes_hands();
		is_shown(wanted);
		fact_is("SSL_TLS_SNI_SERVERNAME", known_as);
		try_end();
	}
}

static void test_certificate_by_name(void **state)
{
	(void)state;
	asks_for(NULL, &pki.first, NULL);
	asks_for("first.example.org", &pki.first, "first.example.org");
	asks_for("second.example.org", &pki.second, "second.example.org");
	asks_for("other.example.net", &pki.second, "other.example.net");
	asks_for("any.example.org", &pki.wild, "any.example.org");
	asks_for("a.b.example.org", &pki.first, "a.b.example.org");
	asks_for("somewhere.example.net", &pki.first, "somewhere.example.net");
	/* It is one name, however it is spelt; and what is none is not told. */
	asks_for("SECOND.Example.Org", &pki.second, "second.example.org");
	asks_for("second.example.org.", &pki.second, "second.example.org");
	asks_for("192.0.2.1", &pki.first, NULL);
	asks_for("a b\n", &pki.first, NULL);
	asks_for("second.example.org\\", &pki.first, NULL);
	asks_for("\xff\xc3(.example.org", &pki.first, NULL);
}

/* As long as OpenSSL lets it be, and as long as a name may be. */
static void test_long_names(void **state)
{
	char name[TLSEXT_MAXLEN_host_name + 1];

	(void)state;
	memset(name, 'a', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	asks_for(name, &pki.first, NULL);
	for (size_t i = 50; i < sizeof name - 1; i += 50)
		name[i] = '.';
	name[HOSTNAME_MAX] = '\0';
	asks_for(name, &pki.first, name);
	memset(name, '.', sizeof name - 1);
	asks_for(name, &pki.first, NULL);
}

/* Two of one name: what he can use decides. */
static void test_certificate_by_key(void **state)
{
	struct tls_certificate both[] = {pki.certificates[0], pki.certificates[3]};
	struct tls_setup setup = {.certificates = both, .n_certificates = 2};
	static const char *const names[] = {NULL, "first.example.org", "unknown.example.net"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		BEGIN(.setup = setup, .name = names[i], .version = TLS1_2_VERSION,
			.ciphers = "ECDHE-RSA-AES128-GCM-SHA256");
		shakes_hands();
		is_shown(&pki.rsa);
		try_end();
		BEGIN(.setup = setup, .name = names[i], .version = TLS1_2_VERSION,
			.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256");
		shakes_hands();
		is_shown(&pki.first);
		try_end();
	}
}

/* -------------------------------------------------------------------------- services */

static char *protocols[] = {(char[]){"h2"}, (char[]){"http/1.1"}, NULL};

static struct tls_name some_names[] = {
	{(char[]){"git.example.org"}, (char[]){""}, (char[]){"git"}},
	{(char[]){"*.example.org"}, (char[]){"h2"}, (char[]){"web"}},
	{(char[]){"here.example.org"}, (char[]){""}, (char[]){""}},
};

static struct tls_setup with_names(bool only)
{
	return (struct tls_setup){.names = some_names,
		.n_names = ARRAY_SIZE(some_names),
		.names_only = only,
		.alpn = protocols};
}

#define H2   "\x02h2"
#define HTTP "\x08http/1.1"
#define OTHERS \
	"\x03" \
	"foo"

static void leads_to(bool only, const char *name, const char *alpn, const char *service)
{
	BEGIN(.setup = with_names(only), .name = name, .alpn = alpn);
	shakes_hands();
	assert_string_equal(try.service, service);
	try_end();
}

static void test_service_by_name(void **state)
{
	(void)state;
	leads_to(false, "git.example.org", NULL, "git");
	leads_to(false, "git.example.org", H2, "git");
	leads_to(false, "any.example.org", H2, "web");
	leads_to(false, "any.example.org", HTTP H2, "web");
	leads_to(false, "any.example.org", HTTP, "");
	leads_to(false, "any.example.org", NULL, "");
	leads_to(false, "here.example.org", NULL, "");
	leads_to(false, NULL, NULL, "");
	leads_to(true, "git.example.org", NULL, "git");
	leads_to(true, "here.example.org", NULL, "");
	leads_to(true, "any.example.org", H2, "web");
}

static void is_refused(const char *name, const char *alpn, int alert)
{
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		BEGIN(.setup = with_names(true), .name = name, .alpn = alpn,
			.version = version);
		fails(alert);
		try_end();
	}
}

static void test_names_only(void **state)
{
	(void)state;
	is_refused("somewhere.example.net", NULL, SSL_AD_UNRECOGNIZED_NAME);
	is_refused("somewhere.example.net", H2, SSL_AD_UNRECOGNIZED_NAME);
	is_refused(NULL, NULL, SSL_AD_UNRECOGNIZED_NAME);
	is_refused("192.0.2.1", NULL, SSL_AD_UNRECOGNIZED_NAME);
	/* There is an entry, for who speaks something else. */
	is_refused("any.example.org", NULL, SSL_AD_UNRECOGNIZED_NAME);
	is_refused("any.example.org", HTTP, SSL_AD_NO_APPLICATION_PROTOCOL);
}

static void test_alpn(void **state)
{
	struct tls_setup setup = {.alpn = protocols};

	(void)state;
	BEGIN(.setup = setup, .alpn = OTHERS HTTP H2);
	shakes_hands();
	fact_is("SSL_ALPN", "h2");
	try_end();
	BEGIN(.setup = setup, .alpn = HTTP, .version = TLS1_2_VERSION);
	shakes_hands();
	fact_is("SSL_ALPN", "http/1.1");
	try_end();
	BEGIN(.setup = setup);
	shakes_hands();
	fact_is("SSL_ALPN", NULL);
	try_end();
	BEGIN(.setup = setup, .alpn = OTHERS);
	fails(SSL_AD_NO_APPLICATION_PROTOCOL);
	try_end();
	/* Where nobody cares it is not asked. */
	BEGIN(.alpn = OTHERS);
	shakes_hands();
	fact_is("SSL_ALPN", NULL);
}

/* ---------------------------------------------------------------- client certificates */

static void hash_of(const struct pki *who, char ret[80])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len;

	assert_int_equal(X509_digest(who->certificate, EVP_sha256(), digest, &len), 1);
	strcpy(ret, "SHA256:");
	for (unsigned i = 0; i < len; i++)
		snprintf(ret + 7 + 2 * i, 3, "%02x", digest[i]);
}

static void is_certified(const struct pki *who, const char *verdict, const char *subject)
{
	char hash[80];

	shakes_hands();
	hash_of(who, hash);
	fact_is("SSL_CLIENT_VERIFY", verdict);
	fact_is("SSL_CLIENT_S_DN", subject);
	fact_is("SSL_PEER_CERT_HASH", hash);
	fact_is("SSL_CLIENT_OMITTED", NULL);
	try_end();
}

static void test_certified(void **state)
{
	(void)state;
	for (int verify = TLS_VERIFY_OPTIONAL; verify <= TLS_VERIFY_REQUIRED; verify++)
		for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
			BEGIN(.setup = asking((enum tls_verify)verify),
				.certificate = &pki.alice, .version = version);
			is_certified(&pki.alice, "SUCCESS", "CN=alice");
			assert_non_null(fact("SSL_CLIENT_SAN"));
			fact_is("SSL_CLIENT_SAN", "email:alice@example.org");
		}
}

static void test_certificate_required(void **state)
{
	static const struct {
		const struct pki *certificate;
		int alert;
	} cases[] = {
		{NULL, SSL_AD_CERTIFICATE_REQUIRED},
		{&pki.foreign, SSL_AD_UNKNOWN_CA},
		{&pki.expired, SSL_AD_CERTIFICATE_EXPIRED},
		{&pki.of_server, SSL_AD_UNSUPPORTED_CERTIFICATE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		BEGIN(.setup = asking(TLS_VERIFY_REQUIRED), .certificate = cases[i].certificate,
			.version = TLS1_3_VERSION);
		/* In TLS 1.3 he is through before he knows. */
		try_shake();
		SSL_read(try.client, &(char){0}, 1);
		assert_int_equal(try.alert, cases[i].alert);
		assert_false(try.offered);
		is_over(CHANNEL_BAD_HEADER);
		try_end();
	}
	BEGIN(.setup = asking(TLS_VERIFY_REQUIRED), .version = TLS1_2_VERSION);
	fails(SSL_AD_HANDSHAKE_FAILURE);
}

/* Who he says he is is not told when nobody certifies it. */
static void test_certificate_optional(void **state)
{
	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		BEGIN(.setup = asking(TLS_VERIFY_OPTIONAL), .version = version);
		shakes_hands();
		fact_is("SSL_CLIENT_VERIFY", "NONE");
		try_end();
		BEGIN(.setup = asking(TLS_VERIFY_OPTIONAL), .certificate = &pki.foreign,
			.version = version);
		is_certified(
			&pki.foreign, "FAILED:unable to get local issuer certificate", NULL);
		BEGIN(.setup = asking(TLS_VERIFY_OPTIONAL), .certificate = &pki.expired,
			.version = version);
		is_certified(&pki.expired, "FAILED:certificate has expired", NULL);
		BEGIN(.setup = asking(TLS_VERIFY_OPTIONAL), .certificate = &pki.of_server,
			.version = version);
		is_certified(&pki.of_server, "FAILED:unsuitable certificate purpose", NULL);
	}
}

/* Of several primes: that does not take half a minute. */
static EVP_PKEY *large_key(size_t bits)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *key = NULL;

	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)bits), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_primes(ctx, 5), 1);
	assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* Whoever certifies it: the longer it is, the more work is it for us. */
static void test_certificate_with_a_large_key(void **state)
{
	struct pki large =
		PKI(.common_name = "large", .issuer = &pki.authority, .key = large_key(8200));

	(void)state;
	for (int verify = TLS_VERIFY_OPTIONAL; verify <= TLS_VERIFY_REQUIRED; verify++)
		for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
			BEGIN(.setup = asking((enum tls_verify)verify), .certificate = &large,
				.version = version);
			try_shake();
			SSL_read(try.client, &(char){0}, 1);
			assert_int_equal(try.alert, SSL_AD_BAD_CERTIFICATE);
			assert_false(try.offered);
			is_over(CHANNEL_BAD_HEADER);
			try_end();
		}
	pki_free(&large);
}

static void test_certificate_not_asked_for(void **state)
{
	(void)state;
	BEGIN(.certificate = &pki.alice);
	shakes_hands();
	fact_is("SSL_CLIENT_VERIFY", "NONE");
	fact_is("SSL_PEER_CERT_HASH", NULL);
}

/* ------------------------------------------------------------------------- tickets */

/* He gets a ticket, if there are any, and leaves. */
static void comes_once(struct try_spec spec)
{
	try_begin(spec);
	shakes_hands();
	assert_false(SSL_session_reused(try.client));
	is_admitted();
	program_says("x", 1);
	client_hears("x", 1);
	try_end();
}

/* He comes, and comes back: to another context of the same setup. */
static void comes_twice(struct try_spec spec, bool goes_on)
{
	comes_once(spec);
	if (!goes_on && !try.ticket)
		return;
	assert_non_null(try.ticket);
	spec.session = try.ticket;
	try_begin(spec);
	shakes_hands();
	assert_int_equal(SSL_session_reused(try.client), goes_on);
}

static void test_tickets(void **state)
{
	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct try_spec spec = {
			.setup = with_tickets(), .version = version, .name = "a.example.org"};

		comes_twice(spec, true);
		fact_is("SSL_TLS_SNI_SERVERNAME", "a.example.org");
		try_tear_down(NULL);
	}
}

/* Who he is goes along. */
static void test_tickets_of_the_certified(void **state)
{
	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct try_spec spec = {
			.setup = with_tickets(), .version = version, .certificate = &pki.alice};

		spec.setup.verify = TLS_VERIFY_REQUIRED;
		spec.setup.ca = pki.ca;
		comes_twice(spec, true);
		fact_is("SSL_CLIENT_VERIFY", "SUCCESS");
		fact_is("SSL_CLIENT_S_DN", "CN=alice");
		try_tear_down(NULL);
		spec.setup.verify = TLS_VERIFY_OPTIONAL;
		spec.certificate = &pki.foreign;
		comes_twice(spec, true);
		assert_non_null(strstr(fact("SSL_CLIENT_VERIFY"), "FAILED:"));
		fact_is("SSL_CLIENT_S_DN", NULL);
		try_tear_down(NULL);
	}
}

static void test_no_tickets(void **state)
{
	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		comes_twice((struct try_spec){.version = version}, false);
		try_tear_down(NULL);
	}
}

/* What he says before he has shaken hands could be somebody else's, said again. */
static void test_early_data(void **state)
{
	struct try_spec spec = {.setup = with_tickets(), .version = TLS1_3_VERSION};
	size_t written;

	(void)state;
	comes_once(spec);
	assert_int_equal(SSL_SESSION_get_max_early_data(try.ticket), 0);
	/* Whatever he was told. */
	assert_int_equal(SSL_SESSION_set_max_early_data(try.ticket, 1000), 1);
	spec.session = try.ticket;
	try_begin(spec);
	assert_int_equal(SSL_write_early_data(try.client, "early", 5, &written), 1);
	try_turns();
	shakes_hands();
	assert_int_equal(SSL_get_early_data_status(try.client), SSL_EARLY_DATA_REJECTED);
	is_admitted();
	program_hears_nothing();
	client_says(BYTES("late"));
	program_hears(BYTES("late"));
}

/* With a ticket that was good before. */
static void comes_back_to(struct tls_setup setup)
{
	struct try_spec spec = {.setup = with_tickets(), .version = TLS1_3_VERSION};

	comes_once(spec);
	assert_int_equal(SSL_SESSION_is_resumable(try.ticket), 1);
	spec.session = try.ticket;
	spec.setup = setup;
	try_begin(spec);
	try_shake();
	assert_false(SSL_session_reused(try.client));
}

/* Another key is another setup; and so is one that asks for something else, with the same
 * key. */
static void test_tickets_of_others(void **state)
{
	struct tls_setup setup = with_tickets();

	(void)state;
	setup.ticket_key[0]++;
	comes_back_to(setup);
	assert_true(try.offered);
	try_end();
	setup = with_tickets();
	setup.verify = TLS_VERIFY_REQUIRED;
	setup.ca = pki.ca;
	comes_back_to(setup);
	assert_false(try.offered);
}

/* ------------------------------------------------------------------ what is no handshake */

static void says_raw(const char *bytes, size_t len)
{
	assert_int_equal(send(try.fd, bytes, len, MSG_NOSIGNAL), len);
	try_turns();
}

static void test_no_tls(void **state)
{
	static const char *const lines[] = {"GET / HTTP/1.0\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n",
		"\x16\x03\x01\xff\xff\x01 more", "PROXY UNKNOWN\r\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		BEGIN(.version = 0);
		says_raw(lines[i], strlen(lines[i]));
		is_over(CHANNEL_BAD_HEADER);
		assert_true(session_reason(try.session)[0]);
		try_end();
	}
}

/* Who has failed and goes on is not listened to for ever. */
static void test_no_tls_for_ever(void **state)
{
	static const char more[8192];

	(void)state;
	BEGIN(.version = 0);
	says_raw(BYTES("hello\r\n\r\n"));
	assert_true(try.goes_on);
	for (int i = 0; i < SESSION_LEAVE_BYTES / (int)sizeof more && try.goes_on; i++)
		says_raw(more, sizeof more);
	assert_false(try.goes_on);
	try_end();
	BEGIN(.version = 0);
	says_raw(BYTES("hello\r\n\r\n"));
	try_at(TRY_NOW + SESSION_LEAVE_TIME - 1);
	assert_true(try.goes_on);
	try_at(TRY_NOW + SESSION_LEAVE_TIME);
	assert_false(try.goes_on);
	assert_int_equal(session_result(try.session), CHANNEL_BAD_HEADER);
}

static void test_who_says_nothing(void **state)
{
	(void)state;
	BEGIN(.version = 0);
	is_over(CHANNEL_FINISHED);
	assert_int_equal(session_bytes_in(try.session), 0);
	try_end();
	BEGIN(.version = 0);
	says_raw("\x16", 1);
	is_over(CHANNEL_BAD_HEADER);
	assert_int_equal(session_bytes_in(try.session), 1);
}

static void test_silent(void **state)
{
	(void)state;
	BEGIN(.version = 0);
	try_at(TRY_NOW + TRY_PATIENCE - 1);
	assert_true(try.goes_on);
	assert_int_equal(session_events(try.session, PUMP_CLIENT), POLLIN);
	try_at(TRY_NOW + TRY_PATIENCE);
	is_over(CHANNEL_SILENT);
	assert_int_equal(session_bytes_in(try.session), 0);
	try_end();
	/* For all of it, not for each piece. */
	BEGIN(.version = 0);
	SSL_do_handshake(try.client);
	try_at(TRY_NOW + TRY_PATIENCE - 1);
	assert_true(try.goes_on);
	try_at(TRY_NOW + TRY_PATIENCE);
	is_over(CHANNEL_SILENT);
}

static void reset(void)
{
	static const struct linger now = {.l_onoff = 1};

	assert_int_equal(setsockopt(try.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
	try.fd = fd_close(try.fd);
}

/* What was sent over TCP on this machine is there when that is reported. */
static void wait_and_turn(void)
{
	while (try.goes_on) {
		struct pollfd p = {.fd = session_fd(try.session, PUMP_CLIENT),
			.events = (short)session_events(try.session, PUMP_CLIENT)};

		assert_int_equal(poll(&p, 1, 60000), 1);
		try_turns();
	}
}

static void test_reset_in_the_handshake(void **state)
{
	(void)state;
	BEGIN(.tcp = true);
	reset();
	wait_and_turn();
	is_over(CHANNEL_RESET);
	try_end();
	BEGIN(.tcp = true);
	SSL_do_handshake(try.client);
	reset();
	wait_and_turn();
	is_over(CHANNEL_RESET);
}

/* Byte by byte, in both directions, each of them alone. */
static void test_one_byte_at_a_time(void **state)
{
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	char byte;
	int r = 0;

	(void)state;
	BEGIN(.version = TLS1_3_VERSION);
	SSL_set_bio(try.client, in, out);
	for (int i = 0; i < 100 && r != 1; i++) {
		r = SSL_do_handshake(try.client);
		while (BIO_read(out, &byte, 1) == 1)
			says_raw(&byte, 1);
		while (r != 1 && recv(try.fd, &byte, 1, 0) == 1) {
			BIO_write(in, &byte, 1);
			r = SSL_do_handshake(try.client);
		}
	}
	while (BIO_read(out, &byte, 1) == 1)
		says_raw(&byte, 1);
	assert_int_equal(r, 1);
	try_hear_facts();
	assert_true(try.offered);
}

/* A hello that never ends. */
static void test_endless(void **state)
{
	static const char fragment[5 + 16384] = "\x16\x03\x01\x40\x00\x01\xff\xff\xff";

	(void)state;
	BEGIN(.version = 0);
	for (int i = 0; i < 64 && try.goes_on; i++)
		if (send(try.fd, fragment, sizeof fragment, MSG_NOSIGNAL) > 0)
			try_turns();
	is_over(CHANNEL_BAD_HEADER);
}

/* One that is long, in records of one byte: most of it is what is around them. */
static void test_endless_in_small_pieces(void **state)
{
	static const uint8_t hello[] = {1, 1, 0, 0};
	char records[6000];
	size_t sum = 0;

	(void)state;
	BEGIN(.version = 0);
	while (try.goes_on) {
		for (size_t i = 0; i < sizeof records; i += 6) {
			size_t at = (sum + i) / 6;

			memcpy(records + i, "\x16\x03\x01\x00\x01", 5);
			records[i + 5] = at < sizeof hello ? (char)hello[at] : 0;
		}
		assert_in_range(sum, 0, SESSION_HANDSHAKE_BYTES);
		says_raw(records, sizeof records);
		sum += sizeof records;
	}
	is_over(CHANNEL_BAD_HEADER);
	assert_true(sum > SESSION_HANDSHAKE_BYTES / 2);
}

/* ---------------------------------------------------------------------------- verdicts */

static void test_refused(void **state)
{
	static const enum channel_verdict verdicts[] = {
		CHANNEL_NOT_ALLOWED, CHANNEL_BUSY, CHANNEL_NO_SERVICE};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(verdicts); i++) {
		int none = -EBADF;

		BEGIN(.version = TLS1_3_VERSION);
		shakes_hands();
		try.goes_on = session_verdict(try.session, verdicts[i], &none, try.now);
		try_turns();
		client_hears_the_end(true);
		is_over(CHANNEL_FINISHED);
		assert_int_equal(session_bytes_out(try.session), 0);
		try_end();
	}
}

static void is_refused_now(void)
{
	int none = -EBADF;

	try.goes_on = session_verdict(try.session, CHANNEL_BUSY, &none, try.now);
	try_turns();
	assert_true(try.goes_on);
}

/* His end of the pair stays as it is until the master has seen to it. */
static void test_cut_is_told(void **state)
{
	struct channel_answer told = {0};
	char byte;

	(void)state;
	BEGIN(.version = TLS1_3_VERSION);
	shakes_hands();
	session_tell_cuts(try.session);
	is_admitted();
	client_says("half", 4);
	shutdown(try.fd, SHUT_WR);
	try_turns();
	assert_true(try.goes_on);
	program_hears("half", 4);
	assert_int_equal(recv(try.program, &byte, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(session_waits_for_verdict(try.session));
	assert_int_equal(session_events(try.session, PUMP_CLIENT), 0);
	assert_int_equal(session_events(try.session, PUMP_PROGRAM), 0);
	assert_true(session_due(try.session) != USEC_INFINITY);
	assert_true(session_tell(try.session, &told));
	assert_int_equal(told.kind, CHANNEL_CUT);
	assert_false(session_tell(try.session, &told));
	assert_true(session_due(try.session) == USEC_INFINITY);
	session_abort(try.session);
	assert_int_equal(session_result(try.session), CHANNEL_RESET);
}

/* Neither who goes on nor who just stays. */
static void test_refused_for_ever(void **state)
{
	static const char more[8192];
	unsigned n = 0;

	(void)state;
	BEGIN(.version = TLS1_3_VERSION);
	shakes_hands();
	is_refused_now();
	while (try.goes_on) {
		assert_in_range(++n, 1, SESSION_LEAVE_BYTES / sizeof more);
		assert_true(SSL_write(try.client, more, sizeof more) > 0);
		try_turns();
	}
	assert_int_equal(session_result(try.session), CHANNEL_FINISHED);
	try_end();
	BEGIN(.version = TLS1_3_VERSION);
	shakes_hands();
	is_refused_now();
	try_at(TRY_NOW + SESSION_LEAVE_TIME - 1);
	/* A byte more now and then is no reason. */
	assert_int_equal(SSL_write(try.client, "x", 1), 1);
	try_turns();
	assert_true(try.goes_on);
	try_at(TRY_NOW + SESSION_LEAVE_TIME);
	assert_false(try.goes_on);
	assert_int_equal(session_result(try.session), CHANNEL_FINISHED);
}

static void fill_the_way_out(void)
{
	static const char bytes[4096];
	int fd = session_fd(try.session, PUMP_CLIENT);

	while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	assert_int_equal(errno, EAGAIN);
}

static size_t empty_the_way_out(void)
{
	static char bytes[4096];
	size_t sum = 0;
	ssize_t n;

	while ((n = recv(try.fd, bytes, sizeof bytes, 0)) > 0)
		sum += (size_t)n;
	return sum;
}

/* What he is told has to wait for him: that is no work, and he gets it if he comes for it. */
static void test_an_alert_that_waits(void **state)
{
	size_t before;

	(void)state;
	BEGIN(.version = TLS1_3_VERSION);
	shakes_hands();
	fill_the_way_out();
	is_refused_now();
	assert_int_equal(session_events(try.session, PUMP_CLIENT), POLLIN | POLLOUT);
	before = empty_the_way_out();
	assert_true(before > 0);
	try_turns();
	assert_true(empty_the_way_out() > 0);
	assert_int_equal(session_events(try.session, PUMP_CLIENT), POLLIN);
	is_over(CHANNEL_FINISHED);
	try_end();
	BEGIN(.version = TLS1_3_VERSION);
	shakes_hands();
	fill_the_way_out();
	is_refused_now();
	try_at(TRY_NOW + SESSION_LEAVE_TIME);
	assert_false(try.goes_on);
}

static void test_no_descriptor(void **state)
{
	int none = -EBADF;

	(void)state;
	BEGIN(.version = TLS1_3_VERSION);
	shakes_hands();
	try.goes_on = session_verdict(try.session, CHANNEL_ADMITTED, &none, try.now);
	client_hears_the_end(true);
	is_over(CHANNEL_REFUSED);
	/* Nobody else can go on with him. */
	assert_true(session_bytes_in(try.session) > 0);
}

/* Nobody has asked for it. */
static void test_a_verdict_too_early(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	BEGIN(.version = TLS1_3_VERSION);
	assert_true(session_verdict(try.session, CHANNEL_ADMITTED, &ends[0], try.now));
	assert_true(ends[0] >= 0);
	shakes_hands();
	close(ends[0]);
	close(ends[1]);
}

static void test_gone_while_it_waits(void **state)
{
	(void)state;
	BEGIN(.tcp = true);
	while (!try.offered) {
		struct pollfd p = {
			.fd = session_fd(try.session, PUMP_CLIENT), .events = POLLIN};

		SSL_do_handshake(try.client);
		poll(&p, 1, 10);
		try_turns();
		try_hear_facts();
	}
	assert_true(session_waits_for_verdict(try.session));
	reset();
	wait_and_turn();
	is_over(CHANNEL_RESET);
}

/* He has said what he had to say, in order, and not waited for his tickets. */
static void test_gone_with_something_said(void **state)
{
	struct tls_setup setup = with_tickets();
	struct pollfd p;

	(void)state;
	BEGIN(.setup = setup, .tcp = true, .version = TLS1_3_VERSION);
	p = (struct pollfd){.fd = session_fd(try.session, PUMP_CLIENT), .events = POLLIN};
	while (!try.offered) {
		SSL_do_handshake(try.client);
		poll(&p, 1, 10);
		try_turns();
		try_hear_facts();
	}
	assert_int_equal(SSL_write(try.client, "hello", 5), 5);
	SSL_shutdown(try.client);
	reset();
	p.events = 0;
	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_true(p.revents & POLLERR);
	try_turns();
	assert_true(try.goes_on);
	/* It is known, and reported no more. */
	assert_int_equal(session_events(try.session, PUMP_CLIENT), 0);
	is_admitted();
	program_hears(BYTES("hello"));
	program_hears_the_end();
	try.program = fd_close(try.program);
	try_turns();
	is_over(CHANNEL_FINISHED);
}

/* What nobody has room for is told later, and nothing of it is lost. */
static void test_told_later(void **state)
{
	struct channel_answer answer = {0};

	(void)state;
	BEGIN(.version = TLS1_3_VERSION);
	for (int i = 0; i < 5; i++) {
		SSL_do_handshake(try.client);
		try_turns();
	}
	assert_false(session_waits_for_verdict(try.session) &&
		     session_due(try.session) == USEC_INFINITY);
	try_at(session_due(try.session));
	assert_true(session_due(try.session) > try.now);
	assert_true(session_tell(try.session, &answer));
	assert_int_equal(answer.kind, CHANNEL_FACT);
	memset(&answer, 0, sizeof answer);
	assert_true(session_tell(try.session, &answer));
	assert_int_equal(answer.kind, CHANNEL_OFFER);
	assert_false(session_tell(try.session, &answer));
	assert_true(session_due(try.session) == USEC_INFINITY);
}

static void test_aborted(void **state)
{
	(void)state;
	BEGIN(.version = TLS1_3_VERSION);
	shakes_hands();
	session_abort(try.session);
	assert_int_equal(session_result(try.session), CHANNEL_ENDED);
	client_hears_the_end(false);
	assert_false(session_go(try.session, PUMP_CLIENT, 0, try.now));
}

/* ------------------------------------------------------------------- setups that are none */

static void is_no_setup(struct tls_setup setup)
{
	struct context *context = NULL;

	if (!setup.certificates) {
		setup.certificates = pki.certificates;
		setup.n_certificates = 1;
	}
	assert_int_equal(context_new(&setup, &context), -EBADMSG);
	assert_null(context);
	ERR_clear_error();
}

static void test_bad_setups(void **state)
{
	static char nonsense[] = "nonsense";
	static const struct tls_bytes garbage = {(const uint8_t *)"garbage", 7};
	struct tls_certificate odd[] = {pki.certificates[0]};

	(void)state;
	is_no_setup((struct tls_setup){.ciphers = nonsense});
	is_no_setup((struct tls_setup){.ciphersuites = nonsense});
	is_no_setup((struct tls_setup){.verify = TLS_VERIFY_OPTIONAL, .ca = garbage});
	odd[0].key = pki.certificates[1].key;
	is_no_setup((struct tls_setup){.certificates = odd, .n_certificates = 1});
	odd[0].key = garbage;
	is_no_setup((struct tls_setup){.certificates = odd, .n_certificates = 1});
	odd[0] = pki.certificates[0];
	odd[0].chain = garbage;
	is_no_setup((struct tls_setup){.certificates = odd, .n_certificates = 1});
	odd[0].chain = pki.certificates[0].key;
	is_no_setup((struct tls_setup){.certificates = odd, .n_certificates = 1});
}

static int begin_all(void **state)
{
	(void)state;
	pki_begin();
	return 0;
}

static int end_all(void **state)
{
	(void)state;
	pki_end();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TRY_TEST(test_tls_1_3),
		TRY_TEST(test_tls_1_2),
		TRY_TEST(test_older_versions),
		TRY_TEST(test_min_version),
		TRY_TEST(test_ciphers),
		TRY_TEST(test_groups),
		TRY_TEST(test_finite_fields),
		TRY_TEST(test_no_renegotiation),
		TRY_TEST(test_certificate_by_name),
		TRY_TEST(test_long_names),
		TRY_TEST(test_certificate_by_key),
		TRY_TEST(test_service_by_name),
		TRY_TEST(test_names_only),
		TRY_TEST(test_alpn),
		TRY_TEST(test_certified),
		TRY_TEST(test_certificate_required),
		TRY_TEST(test_certificate_optional),
		TRY_TEST(test_certificate_with_a_large_key),
		TRY_TEST(test_certificate_not_asked_for),
		TRY_TEST(test_tickets),
		TRY_TEST(test_tickets_of_the_certified),
		TRY_TEST(test_no_tickets),
		TRY_TEST(test_early_data),
		TRY_TEST(test_tickets_of_others),
		TRY_TEST(test_no_tls),
		TRY_TEST(test_no_tls_for_ever),
		TRY_TEST(test_who_says_nothing),
		TRY_TEST(test_silent),
		TRY_TEST(test_reset_in_the_handshake),
		TRY_TEST(test_one_byte_at_a_time),
		TRY_TEST(test_endless),
		TRY_TEST(test_endless_in_small_pieces),
		TRY_TEST(test_refused),
		TRY_TEST(test_cut_is_told),
		TRY_TEST(test_refused_for_ever),
		TRY_TEST(test_an_alert_that_waits),
		TRY_TEST(test_no_descriptor),
		TRY_TEST(test_a_verdict_too_early),
		TRY_TEST(test_gone_while_it_waits),
		TRY_TEST(test_gone_with_something_said),
		TRY_TEST(test_told_later),
		TRY_TEST(test_aborted),
		TRY_TEST(test_bad_setups),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(120);
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	return cmocka_run_group_tests(tests, begin_all, end_all);
}
