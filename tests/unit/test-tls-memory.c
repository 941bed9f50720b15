/*
 * session, without memory: an allocation fails, OpenSSL's or our own, while a client shakes
 * hands, is let in and speaks.  Whatever comes of it, nothing is lost, nobody is let in who
 * should not be, and all of it ends.
 *
 * There are thousands of allocations, so only some of them are tried, one in STRIDE; from
 * HATCHD_TEST_ROUNDS=200 on none is left out.
 */
#include "tls-try.h"

#include <openssl/crypto.h>
#include <signal.h>

#define STRIDE     37
#define ALL_ROUNDS 200

/* So many succeed, then one does not; negative: all do. */
static long left = -1;
static bool in_session; /* those of the client and of the test never fail */

static long stride(void)
{
	const char *rounds = getenv("HATCHD_TEST_ROUNDS");

	return rounds && strtol(rounds, NULL, 10) >= ALL_ROUNDS ? 1 : STRIDE;
}

static bool fails_now(void)
{
	return in_session && left >= 0 && left-- == 0;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails_now() ? NULL : __real_realloc(old, size);
}

static void *crypto_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return fails_now() ? NULL : __real_malloc(size);
}

static void *crypto_realloc(void *old, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return fails_now() ? NULL : __real_realloc(old, size);
}

static void crypto_free(void *old, const char *file, int line)
{
	(void)file;
	(void)line;
	free(old);
}

/* ------------------------------------------------------------------------- one client */

static void turns(void)
{
	in_session = true;
	try_turns();
	in_session = false;
}

static bool shakes(void)
{
	for (int i = 0; i < 5; i++) {
		SSL_do_handshake(try.client);
		turns();
	}
	try_hear_facts();
	return try.goes_on && try.offered;
}

static void speaks(void)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	try.program = ends[0];
	fd_set_nonblock(try.program, true);
	in_session = true;
	try.goes_on = session_verdict(try.session, CHANNEL_ADMITTED, &ends[1], try.now);
	in_session = false;
	assert_int_equal(ends[1], -EBADF);
	SSL_write(try.client, "hello", 5);
	(void)!send(try.program, "world", 5, MSG_NOSIGNAL);
	turns();
	SSL_shutdown(try.client);
	try.program = fd_close(try.program);
	turns();
}

static void is_untouched(void)
{
	int fd = session_fd(try.session, PUMP_CLIENT);

	assert_int_equal(session_result(try.session), CHANNEL_REFUSED);
	assert_int_equal(recv(fd, &(char){0}, 1, MSG_PEEK | MSG_DONTWAIT), 1);
	assert_int_equal(recv(try.fd, &(char){0}, 1, MSG_DONTWAIT), -1);
}

/* Whether all went well. */
static bool comes(long n, int version, const struct pki *certificate)
{
	struct tls_setup setup = {.verify = TLS_VERIFY_OPTIONAL, .ca = pki.ca};
	bool well;

	setup.session_tickets = true;
	BEGIN(.setup = setup, .version = version, .certificate = certificate);
	left = n;
	if (shakes()) {
		/* Nobody is taken for certified, or for somebody else, for want of memory. */
		if (certificate != &pki.alice)
			assert_null(fact("SSL_CLIENT_S_DN"));
		assert_non_null(fact("SSL_CLIENT_VERIFY"));
		speaks();
	}
	well = left >= 0;
	left = -1;
	/* Who may go to somebody else for that is as he came: nothing of his was read. */
	if (!try.offered && session_bytes_in(try.session) == 0)
		is_untouched();
	if (try.goes_on) {
		shutdown(try.fd, SHUT_WR);
		try_turns();
		try_at(TRY_NOW + PUMP_LEAVE_TIME + TRY_PATIENCE);
	}
	try_end();
	return well;
}

static void comes_in_spite(int version, const struct pki *certificate)
{
	long n = 0;

	while (!comes(n, version, certificate)) {
		n += stride();
		assert_true(n < 100000);
	}
	assert_true(n > 100);
}

static void test_tls_1_3(void **state)
{
	(void)state;
	comes_in_spite(TLS1_3_VERSION, &pki.alice);
}

static void test_tls_1_2(void **state)
{
	(void)state;
	comes_in_spite(TLS1_2_VERSION, NULL);
}

static void test_who_is_not_certified(void **state)
{
	(void)state;
	comes_in_spite(TLS1_3_VERSION, &pki.foreign);
}

/* ----------------------------------------------------------------------- and a setup */

static void test_a_setup(void **state)
{
	struct tls_setup setup = {.certificates = pki.certificates,
		.n_certificates = 2,
		.verify = TLS_VERIFY_REQUIRED,
		.ca = pki.ca,
		.session_tickets = true};
	struct context *context;
	int r = -ENOMEM;

	(void)state;
	for (long n = 0; r < 0; n += stride()) {
		left = n;
		in_session = true;
		r = context_new(&setup, &context);
		in_session = false;
		ERR_clear_error();
		assert_true(n < 100000);
		/* It was had in spite of that, or it was not. */
		assert_true(r == 0 || left < 0);
		if (r == 0 && left < 0)
			context_put(context, 0);
		if (left < 0)
			r = -ENOMEM;
	}
	context_put(context, 0);
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
		TRY_TEST(test_who_is_not_certified),
		TRY_TEST(test_a_setup),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(600);
	if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1)
		return 99;
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	return cmocka_run_group_tests(tests, begin_all, end_all);
}
