/* context: setups are read once, kept while somebody uses them, and not for ever. */
#include "tls-pki.h"

#include "base/fd.h"
#include "workers/tls/context.h"

#include <openssl/err.h>
#include <sys/uio.h>

#define NOW UINT64_C(1000000)

static struct {
	struct pki server;
	struct tls_certificate certificate;
	struct context_shelf shelf;
	int memory;
	size_t len;
} try;

static int set_up(void **state)
{
	struct tls_setup setup = {.certificates = &try.certificate, .n_certificates = 1};
	struct wire_writer w;

	(void)state;
	wire_writer_init(&w);
	assert_int_equal(tls_setup_write(&setup, &w), 0);
	try.len = w.len;
	try.memory = fd_new_memory("setup", &(struct iovec){w.data, w.len}, 1);
	assert_true(try.memory >= 0);
	wire_writer_done(&w);
	try.shelf = (struct context_shelf){0};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	context_shelf_done(&try.shelf);
	assert_null(try.shelf.first);
	assert_int_equal(try.shelf.n_idle, 0);
	try.memory = fd_close(try.memory);
	return 0;
}

static struct context *get(uint64_t number, uint64_t now)
{
	const struct context_place place = {try.memory, 0, try.len, number};
	struct context *context;

	assert_int_equal(context_get(&try.shelf, &place, now, &context), 0);
	return context;
}

/* Whether it is there: it cannot be read any more. */
static bool is_kept(uint64_t number, uint64_t now)
{
	const struct context_place place = {-EBADF, 0, try.len, number};
	struct context *context;
	int r = context_get(&try.shelf, &place, now, &context);

	if (r == 0)
		context_put(context, now);
	else
		assert_int_equal(r, -EBADF);
	return r == 0;
}

static void test_read_once(void **state)
{
	struct context *first = get(1, NOW), *other = get(2, NOW);

	(void)state;
	assert_ptr_not_equal(first, other);
	assert_ptr_equal(get(1, NOW), first);
	assert_ptr_equal(get(2, NOW), other);
	assert_int_equal(try.shelf.n_idle, 0);
	for (int i = 0; i < 2; i++) {
		context_put(first, NOW);
		context_put(other, NOW);
	}
	assert_int_equal(try.shelf.n_idle, 2);
	assert_ptr_equal(get(1, NOW), first);
	assert_int_equal(try.shelf.n_idle, 1);
	context_put(first, NOW);
}

static void test_without_a_number(void **state)
{
	struct context *one = get(0, NOW), *other = get(0, NOW);

	(void)state;
	assert_ptr_not_equal(one, other);
	context_put(one, NOW);
	context_put(other, NOW);
	assert_null(try.shelf.first);
}

static void test_kept_for_a_while(void **state)
{
	(void)state;
	context_put(get(1, NOW), NOW);
	assert_true(is_kept(1, NOW + CONTEXT_IDLE_TIME - 1));
	/* That was a use. */
	assert_true(is_kept(1, NOW + 2 * CONTEXT_IDLE_TIME - 3));
	/* Somebody else comes. */
	context_put(get(2, NOW + 4 * CONTEXT_IDLE_TIME), NOW + 4 * CONTEXT_IDLE_TIME);
	assert_false(is_kept(1, NOW + 4 * CONTEXT_IDLE_TIME));
	assert_true(is_kept(2, NOW + 4 * CONTEXT_IDLE_TIME));
}

/* What somebody uses stays as long as he does. */
static void test_in_use(void **state)
{
	struct context *used = get(1, NOW);

	(void)state;
	context_put(get(2, NOW + 9 * CONTEXT_IDLE_TIME), NOW + 9 * CONTEXT_IDLE_TIME);
	assert_true(is_kept(1, NOW + 9 * CONTEXT_IDLE_TIME));
	context_put(used, NOW + 9 * CONTEXT_IDLE_TIME);
}

/* The one goes that nobody has come to for longest. */
static void test_bounded(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= CONTEXT_IDLE_MAX; i++)
		context_put(get(i, NOW), NOW);
	assert_int_equal(try.shelf.n_idle, CONTEXT_IDLE_MAX);
	assert_true(is_kept(1, NOW));
	context_put(get(1000, NOW), NOW);
	assert_int_equal(try.shelf.n_idle, CONTEXT_IDLE_MAX);
	assert_false(is_kept(2, NOW));
	assert_true(is_kept(1, NOW));
	assert_true(is_kept(3, NOW));
	assert_true(is_kept(1000, NOW));
}

static void is_not_read(struct context_place place, int error)
{
	struct context *context = NULL;

	assert_int_equal(context_get(&try.shelf, &place, NOW, &context), error);
	assert_null(context);
	assert_null(try.shelf.first);
	ERR_clear_error();
}

static void test_what_cannot_be_read(void **state)
{
	(void)state;
	is_not_read((struct context_place){try.memory, 0, 0, 1}, -EBADMSG);
	is_not_read((struct context_place){try.memory, 0, try.len - 1, 1}, -EBADMSG);
	is_not_read((struct context_place){try.memory, 0, try.len + 1, 1}, -EBADMSG);
	is_not_read((struct context_place){try.memory, 1, try.len - 1, 1}, -EBADMSG);
	is_not_read((struct context_place){try.memory, UINT64_MAX, 8, 1}, -EBADMSG);
	is_not_read((struct context_place){try.memory, 0, TLS_SETUP_MAX + 1, 1}, -EBADMSG);
	is_not_read((struct context_place){-EBADF, 0, try.len, 1}, -EBADF);
}

static int begin_all(void **state)
{
	(void)state;
	try.server = PKI(.common_name = "server.example.org");
	try.certificate.chain = pki_chain(&try.server);
	try.certificate.key = pki_key(&try.server);
	return 0;
}

static int end_all(void **state)
{
	(void)state;
	pki_free(&try.server);
	pki_free_bytes(&try.certificate.chain);
	pki_free_bytes(&try.certificate.key);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_read_once),
		TEST(test_without_a_number),
		TEST(test_kept_for_a_while),
		TEST(test_in_use),
		TEST(test_bounded),
		TEST(test_what_cannot_be_read),
	};

	alarm(60);
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	return cmocka_run_group_tests(tests, begin_all, end_all);
}
