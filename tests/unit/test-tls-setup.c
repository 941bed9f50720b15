/* tls: a setup is read as it was written, and nothing else is believed. */
#include "base/strv.h"
#include "base/tls.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(text)                                                      \
	{                                                                \
		.data = (const uint8_t *)(text), .len = sizeof(text) - 1 \
	}

/* Strings of a setup are not const, since one that was read owns them. */
#define TEXT(text) ((char[]){text})

static struct tls_certificate some_certificates[] = {
	{BYTES("chain one"), BYTES("key one")},
	{BYTES("chain\0two"), BYTES("\xff")},
};

static char *some_alpn[] = {TEXT("h2"), TEXT("http/1.1"), NULL};

static struct tls_name some_names[] = {
	{TEXT("git.example.org"), TEXT(""), TEXT("git")},
	{TEXT("*.example.org"), TEXT("h2"), TEXT("web")},
	{TEXT(""), TEXT(""), TEXT("")},
};

static char some_ciphers[] = "ECDHE+AESGCM", some_suites[] = "TLS_AES_128_GCM_SHA256";

/* The least that is one. */
static struct tls_setup least(void)
{
	return (struct tls_setup){.certificates = some_certificates, .n_certificates = 1};
}

static struct tls_setup whole(void)
{
	struct tls_setup setup = {
		.certificates = some_certificates,
		.n_certificates = ARRAY_SIZE(some_certificates),
		.ca = BYTES("authorities"),
		.verify = TLS_VERIFY_REQUIRED,
		.min_version = TLS_VERSION_1_3,
		.ciphers = some_ciphers,
		.ciphersuites = some_suites,
		.alpn = some_alpn,
		.session_tickets = true,
		.names = some_names,
		.n_names = ARRAY_SIZE(some_names),
		.names_only = true,
	};

	for (size_t i = 0; i < sizeof setup.ticket_key; i++)
		setup.ticket_key[i] = (uint8_t)(i + 1);
	return setup;
}

static void bytes_equal(struct tls_bytes a, struct tls_bytes b)
{
	assert_int_equal(a.len, b.len);
	if (a.len > 0)
		assert_memory_equal(a.data, b.data, a.len);
}

static void text_equal(const char *a, const char *b)
{
	assert_int_equal(!a, !b);
	if (a)
		assert_string_equal(a, b);
}

static void lists_equal(const struct tls_setup *a, const struct tls_setup *b)
{
	assert_int_equal(a->n_certificates, b->n_certificates);
	for (size_t i = 0; i < a->n_certificates; i++) {
		bytes_equal(a->certificates[i].chain, b->certificates[i].chain);
		bytes_equal(a->certificates[i].key, b->certificates[i].key);
	}
	assert_true(strv_equal(a->alpn, b->alpn));
	assert_int_equal(a->n_names, b->n_names);
	for (size_t i = 0; i < a->n_names; i++) {
		text_equal(a->names[i].pattern, b->names[i].pattern);
		text_equal(a->names[i].alpn, b->names[i].alpn);
		text_equal(a->names[i].service, b->names[i].service);
	}
}

static void setups_equal(const struct tls_setup *a, const struct tls_setup *b)
{
	lists_equal(a, b);
	bytes_equal(a->ca, b->ca);
	assert_int_equal(a->verify, b->verify);
	assert_int_equal(a->min_version, b->min_version);
	text_equal(a->ciphers, b->ciphers);
	text_equal(a->ciphersuites, b->ciphersuites);
	assert_int_equal(a->session_tickets, b->session_tickets);
	assert_memory_equal(a->ticket_key, b->ticket_key, sizeof a->ticket_key);
	assert_int_equal(a->names_only, b->names_only);
}

/* Read from a copy of exactly that length, so that a read beyond it is seen. */
static void comes_back(const struct tls_setup *setup)
{
	_cleanup_free_ uint8_t *data = NULL;
	struct wire_writer w;
	struct tls_setup got;

	wire_writer_init(&w);
	assert_int_equal(tls_setup_write(setup, &w), 0);
	assert_true(w.len <= TLS_SETUP_MAX);
	data = malloc(w.len);
	assert_non_null(data);
	memcpy(data, w.data, w.len);
	assert_int_equal(tls_setup_read(data, w.len, &got), 0);
	wire_writer_done(&w);
	setups_equal(&got, setup);
	tls_setup_done(&got);
	assert_null(got.certificates);
	assert_int_equal(got.ticket_key[0], 0);
}

static void test_all_comes_back(void **ctx)
{
	struct tls_setup setup = whole();

	(void)ctx;
	comes_back(&setup);
	setup = least();
	comes_back(&setup);
	setup.ca = whole().ca;
	comes_back(&setup);
	setup.names = some_names;
	setup.n_names = ARRAY_SIZE(some_names);
	comes_back(&setup);
}

static void test_words(void **ctx)
{
	(void)ctx;
	assert_string_equal(tls_verify_names[TLS_VERIFY_NONE], "none");
	assert_string_equal(tls_verify_names[TLS_VERIFY_OPTIONAL], "optional");
	assert_string_equal(tls_verify_names[TLS_VERIFY_REQUIRED], "required");
	assert_null(tls_verify_names[_TLS_VERIFY_MAX]);
	assert_string_equal(tls_version_names[TLS_VERSION_1_2], "1.2");
	assert_string_equal(tls_version_names[TLS_VERSION_1_3], "1.3");
	assert_null(tls_version_names[_TLS_VERSION_MAX]);
}

static void test_patterns(void **ctx)
{
	char longest[HOSTNAME_MAX + 2] = "*";

	(void)ctx;
	assert_true(tls_is_pattern(""));
	assert_true(tls_is_pattern("git.example.org"));
	assert_true(tls_is_pattern("localhost"));
	assert_true(tls_is_pattern("*.example.org"));
	assert_true(tls_is_pattern("*.org"));
	assert_false(tls_is_pattern("*"));
	assert_false(tls_is_pattern("*."));
	assert_false(tls_is_pattern("*.*.org"));
	assert_false(tls_is_pattern("g*.example.org"));
	assert_false(tls_is_pattern("git.*.org"));
	assert_false(tls_is_pattern(".example.org"));
	assert_false(tls_is_pattern("example.org."));
	assert_false(tls_is_pattern("Example.org"));
	assert_false(tls_is_pattern("192.0.2.1"));
	assert_false(tls_is_pattern("a b"));
	for (size_t i = 1; i < HOSTNAME_MAX; i++)
		longest[i] = i % 2 ? '.' : 'a';
	assert_int_equal(strlen(longest), HOSTNAME_MAX);
	assert_true(tls_is_pattern(longest));
	strcat(longest, "a");
	assert_false(tls_is_pattern(longest));
}

/* ------------------------------------------------------------------- the bounds */

static void is_not_written(const struct tls_setup *setup, int error)
{
	struct wire_writer w;

	wire_writer_init(&w);
	assert_int_equal(tls_setup_write(setup, &w), error);
	assert_int_equal(w.len, 0);
	assert_int_equal(w.error, 0);
	wire_writer_done(&w);
}

static void has_room_for(
	struct tls_bytes *bytes, struct tls_setup *setup, size_t max, bool empty)
{
	static const uint8_t zeroes[TLS_CA_MAX + 1];
	struct tls_bytes before = *bytes;

	*bytes = (struct tls_bytes){.data = zeroes, .len = max};
	comes_back(setup);
	bytes->len = max + 1;
	is_not_written(setup, -E2BIG);
	bytes->len = 0;
	if (empty)
		comes_back(setup);
	else
		is_not_written(setup, -EINVAL);
	*bytes = before;
}

static void test_bytes_have_a_bound(void **ctx)
{
	struct tls_certificate one = some_certificates[0];
	struct tls_setup setup = least();

	(void)ctx;
	setup.certificates = &one;
	has_room_for(&one.chain, &setup, TLS_CHAIN_MAX, false);
	has_room_for(&one.key, &setup, TLS_KEY_MAX, false);
	has_room_for(&setup.ca, &setup, TLS_CA_MAX, true);
	for (int verify = TLS_VERIFY_OPTIONAL; verify < _TLS_VERIFY_MAX; verify++) {
		setup.verify = (enum tls_verify)verify;
		has_room_for(&setup.ca, &setup, TLS_CA_MAX, false);
	}
}

static void test_lists_have_a_bound(void **ctx)
{
	static struct tls_certificate certificates[TLS_CERTIFICATES_MAX + 1];
	static struct tls_name names[TLS_NAMES_MAX + 1];
	char *alpn[TLS_ALPN_MAX + 2] = {NULL};
	struct tls_setup setup = least();

	(void)ctx;
	for (size_t i = 0; i <= TLS_CERTIFICATES_MAX; i++)
		certificates[i] = some_certificates[0];
	for (size_t i = 0; i <= TLS_NAMES_MAX; i++)
		names[i] = some_names[0];
	for (size_t i = 0; i < TLS_ALPN_MAX; i++)
		alpn[i] = some_alpn[0];
	setup.certificates = certificates;
	setup.n_certificates = TLS_CERTIFICATES_MAX;
	setup.names = names;
	setup.n_names = TLS_NAMES_MAX;
	setup.alpn = alpn;
	comes_back(&setup);
	alpn[TLS_ALPN_MAX] = some_alpn[0];
	is_not_written(&setup, -E2BIG);
	setup.alpn = NULL;
	setup.n_names++;
	is_not_written(&setup, -E2BIG);
	setup.n_names = 0;
	setup.n_certificates++;
	is_not_written(&setup, -E2BIG);
	setup.n_certificates = 0;
	is_not_written(&setup, -EINVAL);
}

static void text_has_room(char **text, struct tls_setup *setup, size_t max, bool empty)
{
	static char letters[TLS_CIPHERS_MAX + 2];
	char *before = *text;

	memset(letters, 'x', max + 1);
	letters[max + 1] = '\0';
	*text = letters;
	is_not_written(setup, -E2BIG);
	letters[max] = '\0';
	comes_back(setup);
	letters[0] = '\0';
	if (empty)
		comes_back(setup);
	else
		is_not_written(setup, -EINVAL);
	*text = before;
}

static void test_texts_have_a_bound(void **ctx)
{
	struct tls_name name = some_names[0];
	char *alpn[] = {some_alpn[0], NULL};
	struct tls_setup setup = whole();

	(void)ctx;
	setup.names = &name;
	setup.n_names = 1;
	setup.alpn = alpn;
	text_has_room(&setup.ciphers, &setup, TLS_CIPHERS_MAX, false);
	text_has_room(&setup.ciphersuites, &setup, TLS_CIPHERS_MAX, false);
	text_has_room(&alpn[0], &setup, TLS_PROTOCOL_MAX, false);
	text_has_room(&name.alpn, &setup, TLS_PROTOCOL_MAX, true);
	text_has_room(&name.service, &setup, TLS_SERVICE_MAX, true);
	name.pattern = TEXT("Example.org");
	is_not_written(&setup, -EINVAL);
	name.pattern = NULL;
	is_not_written(&setup, -EINVAL);
}

static void test_what_is_no_choice(void **ctx)
{
	struct tls_setup setup = whole();

	(void)ctx;
	setup.verify = _TLS_VERIFY_MAX;
	is_not_written(&setup, -EINVAL);
	setup = whole();
	setup.min_version = _TLS_VERSION_MAX;
	is_not_written(&setup, -EINVAL);
	/* Nobody could come in. */
	setup = whole();
	setup.n_names = 0;
	is_not_written(&setup, -EINVAL);
}

/* -------------------------------------------------------------- what is not believed */

static void is_refused(const struct wire_writer *w)
{
	struct tls_setup got = {.n_names = 42};

	assert_int_equal(w->error, 0);
	assert_int_equal(tls_setup_read(w->data, w->len, &got), -EBADMSG);
	/* An output is not touched on failure. */
	assert_int_equal(got.n_names, 42);
}

/* Every shorter one is refused, and so is one more byte. */
static void test_cut_and_longer(void **ctx)
{
	struct tls_setup setup = whole();
	struct wire_writer w;
	size_t len;

	(void)ctx;
	wire_writer_init(&w);
	assert_int_equal(tls_setup_write(&setup, &w), 0);
	len = w.len;
	for (w.len = 0; w.len < len; w.len++)
		is_refused(&w);
	wire_put_u8(&w, 0);
	is_refused(&w);
	wire_writer_done(&w);
	assert_int_equal(tls_setup_read(NULL, 0, &setup), -EBADMSG);
}

/* The least one up to what is to be tried, in bytes: one certificate, and an empty `ca`. */
static void put_start(struct wire_writer *w)
{
	wire_writer_init(w);
	wire_put_u32(w, 1);
	wire_put_blob(w, "c", 1);
	wire_put_blob(w, "k", 1);
	wire_put_blob(w, NULL, 0);
}

/* From there to the number of names. */
static void put_middle(struct wire_writer *w, uint8_t verify, uint8_t version, uint32_t n_alpn,
	uint8_t tickets)
{
	static const uint8_t key[TLS_TICKET_KEY_SIZE];

	wire_put_u8(w, verify);
	wire_put_u8(w, version);
	wire_put_string(w, NULL);
	wire_put_string(w, NULL);
	wire_put_u32(w, n_alpn);
	if (n_alpn == 1)
		wire_put_string(w, NULL);
	wire_put_u8(w, tickets);
	wire_put_raw(w, key, sizeof key);
}

static void numbers_are(uint8_t verify, uint8_t version, uint32_t n_alpn, uint8_t tickets,
	uint32_t n_names, uint8_t only)
{
	struct wire_writer w;

	put_start(&w);
	put_middle(&w, verify, version, n_alpn, tickets);
	wire_put_u32(&w, n_names);
	wire_put_u8(&w, only);
	is_refused(&w);
	wire_writer_done(&w);
}

static void test_numbers_that_are_none(void **ctx)
{
	struct wire_writer w;
	struct tls_setup got;

	(void)ctx;
	put_start(&w);
	put_middle(&w, 0, 0, 0, 0);
	wire_put_u32(&w, 0);
	wire_put_u8(&w, 0);
	assert_int_equal(tls_setup_read(w.data, w.len, &got), 0);
	tls_setup_done(&got);
	wire_writer_done(&w);

	numbers_are(_TLS_VERIFY_MAX, 0, 0, 0, 0, 0);
	numbers_are(TLS_VERIFY_OPTIONAL, 0, 0, 0, 0, 0);
	numbers_are(0, _TLS_VERSION_MAX, 0, 0, 0, 0);
	numbers_are(0, 0, 1, 0, 0, 0);
	numbers_are(0, 0, UINT32_MAX, 0, 0, 0);
	numbers_are(0, 0, 0, 2, 0, 0);
	numbers_are(0, 0, 0, 0, UINT32_MAX, 0);
	numbers_are(0, 0, 0, 0, 0, 1);
	numbers_are(0, 0, 0, 0, 0, 2);
}

static void put_name(
	struct wire_writer *w, const char *pattern, const char *alpn, const char *to)
{
	put_start(w);
	put_middle(w, 0, 0, 0, 0);
	wire_put_u32(w, 1);
	wire_put_string(w, pattern);
	wire_put_string(w, alpn);
	wire_put_string(w, to);
	wire_put_u8(w, 0);
}

static void test_names_that_are_none(void **ctx)
{
	static const struct {
		const char *pattern, *alpn, *service;
	} bad[] = {
		{NULL, "", ""},
		{"", NULL, ""},
		{"", "", NULL},
		{"*", "", ""},
		{"A", "", ""},
		{"", "", "ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss5"},
	};
	struct wire_writer w;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put_name(&w, bad[i].pattern, bad[i].alpn, bad[i].service);
		is_refused(&w);
		wire_writer_done(&w);
	}
}

/* No memory is taken for what may not be there. */
static void test_too_many(void **ctx)
{
	static const uint8_t zeroes[16 * (TLS_NAMES_MAX + 1)];
	struct wire_writer w;

	(void)ctx;
	wire_writer_init(&w);
	wire_put_u32(&w, TLS_CERTIFICATES_MAX + 1);
	wire_put_raw(&w, zeroes, sizeof zeroes);
	is_refused(&w);
	wire_writer_done(&w);
	put_start(&w);
	put_middle(&w, 0, 0, 0, 0);
	wire_put_u32(&w, TLS_NAMES_MAX + 1);
	wire_put_raw(&w, zeroes, sizeof zeroes);
	is_refused(&w);
	wire_writer_done(&w);
}

static void test_longer_than_any(void **ctx)
{
	_cleanup_free_ uint8_t *zeroes = calloc(1, TLS_SETUP_MAX + 1);
	struct tls_setup got;

	(void)ctx;
	assert_non_null(zeroes);
	assert_int_equal(tls_setup_read(zeroes, TLS_SETUP_MAX + 1, &got), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_comes_back),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_bytes_have_a_bound),
		cmocka_unit_test(test_lists_have_a_bound),
		cmocka_unit_test(test_texts_have_a_bound),
		cmocka_unit_test(test_what_is_no_choice),
		cmocka_unit_test(test_cut_and_longer),
		cmocka_unit_test(test_numbers_that_are_none),
		cmocka_unit_test(test_names_that_are_none),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_longer_than_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
