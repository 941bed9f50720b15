/* notary: what the loader is told of certificates by hatchd-certificate, the program itself in
 * its sandbox; and what becomes of one that says something else. */
#include "base/fd.h"
#include "base/strv.h"
#include "conf/certificate-answer.h"
#include "conf/notary.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

/* 2033-05-18 */
#define NOW  INT64_C(2000000000)
#define DAY  86400
#define DAYS 100

static char folder[] = "/tmp/hatchd-notary-XXXXXX";

static const char *programs(void)
{
	const char *given = getenv("builddir");

	return given ? given : ".";
}

/* A certificate with its key, made by the program. */
static struct tls_bytes make(struct notary *notary, const char *name)
{
	char *names[] = {(char *)name, NULL}, *pem;
	size_t len;

	assert_int_equal(notary_make(notary, names, NOW, DAYS, &pem, &len), 0);
	return (struct tls_bytes){(const uint8_t *)pem, len};
}

static void drop(struct tls_bytes *bytes)
{
	free((void *)bytes->data);
}
#define _cleanup_drop_ _cleanup_(drop)

static struct tls_bytes text(const char *chars)
{
	return (struct tls_bytes){(const uint8_t *)chars, strlen(chars)};
}

/* ------------------------------------------------------------------ the program itself */

static void test_read(void **ctx)
{
	_cleanup_notary_reading_ struct notary_reading reading = {0};
	_cleanup_notary_ struct notary notary;
	_cleanup_drop_ struct tls_bytes pem = {0};

	(void)ctx;
	notary_init(&notary, programs());
	pem = make(&notary, "www.example.org");
	assert_int_equal(notary_read(&notary, &pem, &pem, &reading), 0);
	assert_int_equal(reading.begins, NOW);
	assert_int_equal(reading.pem.ends, NOW + DAYS * DAY);
	assert_true(reading.in_order);
	assert_memory_equal(reading.pem.key, "-----BEGIN PRIVATE KEY-----", 27);
	assert_memory_equal(reading.pem.chain, "-----BEGIN CERTIFICATE-----", 27);
	assert_int_equal(reading.pem.key_len + reading.pem.chain_len, pem.len);
}

static void test_what_is_wrong(void **ctx)
{
	const struct tls_bytes hello = text("hello\n"), none = {NULL, 0};
	_cleanup_notary_ struct notary notary;
	_cleanup_drop_ struct tls_bytes one = {0}, other = {0};
	struct notary_reading reading = {0};
	char why[CERTIFICATE_WHY_MAX];

	(void)ctx;
	notary_init(&notary, programs());
	one = make(&notary, "a.example.org");
	other = make(&notary, "b.example.org");
	assert_int_equal(notary_read(&notary, &hello, &one, &reading), -EINVAL);
	assert_string_equal(reading.why, "has no certificate in it");
	assert_false(reading.of_key);
	assert_int_equal(notary_read(&notary, &one, &hello, &reading), -EINVAL);
	assert_string_equal(reading.why, "has no key in it");
	assert_true(reading.of_key);
	assert_int_equal(notary_read(&notary, &one, &other, &reading), -EINVAL);
	assert_string_equal(reading.why, "has a key that is not for the certificate");
	assert_null(reading.pem.key);
	assert_int_equal(notary_count(&notary, &one, why), 1);
	assert_int_equal(notary_count(&notary, &none, why), 0);
	assert_string_equal(why, "has no certificate in it");
}

static void test_try_and_cover(void **ctx)
{
	char *names[] = {
		(char *)"x.example.org", (char *)"y.test", (char *)"*.example.org", NULL};
	_cleanup_notary_ struct notary notary;
	_cleanup_drop_ struct tls_bytes pem = {0};
	struct tls_certificate pair;
	struct tls_setup setup = {.certificates = &pair, .n_certificates = 1};
	char why[CERTIFICATE_WHY_MAX], nonsense[] = "NONSENSE";
	bool covered[3] = {false, true, false};
	size_t which = 0;

	(void)ctx;
	notary_init(&notary, programs());
	pem = make(&notary, "*.example.org");
	pair = (struct tls_certificate){pem, pem};
	assert_int_equal(notary_try(&notary, &setup, &which, why), REFUSED_NOTHING);
	assert_int_equal(notary_cover(&notary, &setup, names, covered), 0);
	assert_true(covered[0] && !covered[1] && covered[2]);
	setup.ciphers = nonsense;
	assert_int_equal(notary_try(&notary, &setup, &which, why), REFUSED_CIPHERS);
	assert_string_not_equal(why, "");
	setup.ciphers = NULL;
	setup.ciphersuites = nonsense;
	assert_int_equal(notary_try(&notary, &setup, &which, why), REFUSED_CIPHERSUITES);
}

/* Services that share a certificate have the same question; what is made is another one each
 * time. */
static void test_again(void **ctx)
{
	_cleanup_notary_reading_ struct notary_reading first = {0}, again = {0}, third = {0};
	_cleanup_drop_ struct tls_bytes one = {0}, other = {0};
	_cleanup_notary_ struct notary notary;

	(void)ctx;
	notary_init(&notary, programs());
	one = make(&notary, "a.test");
	other = make(&notary, "a.test");
	assert_false(one.len == other.len && memcmp(one.data, other.data, one.len) == 0);
	assert_int_equal(notary_read(&notary, &one, &one, &first), 0);
	assert_int_equal(notary_read(&notary, &one, &one, &again), 0);
	assert_int_equal(notary_read(&notary, &other, &other, &third), 0);
	assert_string_equal(first.why, again.why);
	assert_int_equal(first.pem.key_len, again.pem.key_len);
	assert_memory_equal(first.pem.key, again.pem.key, first.pem.key_len);
	assert_memory_not_equal(first.pem.key, third.pem.key, first.pem.key_len);
}

/* The same without a program: the second answer is the first one, and no other question's. */
static void test_memory(void **ctx)
{
	const struct tls_bytes hello = text("hello\n"), longer = text("hello, hello\n");
	struct certificate_memory memory = {0};
	struct wire_writer answers[3];

	(void)ctx;
	for (size_t i = 0; i < 3; i++) {
		struct certificate_message question;
		struct wire_writer w;

		wire_writer_init(&w);
		wire_put_u8(&w, CERTIFICATE_DIGEST);
		certificate_put_bytes(&w, &hello);
		certificate_put_bytes(&w, i < 2 ? &hello : &longer);
		question = (struct certificate_message){w.data, w.len};
		certificate_begin(&answers[i]);
		assert_int_equal(certificate_answer_again(&memory, &question, &answers[i]), 0);
		/* Only who is new is kept. */
		assert_true(i == 1 ? question.data != NULL : question.data == NULL);
		certificate_message_done(&question);
	}
	assert_int_equal(answers[0].len, answers[1].len);
	assert_memory_equal(answers[0].data, answers[1].data, answers[0].len);
	assert_memory_not_equal(answers[0].data, answers[2].data, answers[0].len);
	for (size_t i = 0; i < 3; i++)
		wire_writer_done(&answers[i]);
	certificate_memory_done(&memory);
}

/* The largest there are, in both directions, one after another: nobody waits for somebody
 * who waits for him. */
static void test_large(void **ctx)
{
	_cleanup_free_ uint8_t *bytes = calloc(1, TLS_SETUP_MAX);
	const struct tls_bytes both[] = {{bytes, TLS_SETUP_MAX}, {bytes, 0}};
	uint8_t digests[2][CERTIFICATE_DIGEST_LEN], ours[CERTIFICATE_DIGEST_LEN];
	_cleanup_notary_ struct notary notary;

	(void)ctx;
	assert_non_null(bytes);
	notary_init(&notary, programs());
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(notary_digest(&notary, both, digests), 0);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(certificate_digest(both[i].data, both[i].len, ours), 0);
		assert_memory_equal(digests[i], ours, sizeof ours);
	}
}

/* Whatever bytes come as a question: an answer, or none, and nothing else. */
static void test_no_questions(void **ctx)
{
	const uint8_t pieces[][12] = {
		{CERTIFICATE_READ},
		{CERTIFICATE_READ, 0, 0, 0, 0, 1},
		{CERTIFICATE_COUNT, 0xff, 0xff, 0xff, 0xff},
		{CERTIFICATE_TRY, 65},
		{CERTIFICATE_COVER, 1},
		{CERTIFICATE_DIGEST, 0, 0, 0, 0, 0, 0, 0, 0, 7},
		{CERTIFICATE_MAKE},
		{CERTIFICATE_MAKE + 1},
	};
	struct wire_writer answer;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		certificate_begin(&answer);
		assert_int_equal(
			certificate_answer(pieces[i], sizeof pieces[i], &answer), -EBADMSG);
		assert_int_equal(certificate_answer(pieces[i], 0, &answer), -EBADMSG);
		wire_writer_done(&answer);
	}
}

/* ---------------------------------------------------------------------- another one */

static void put_program(const char *name, const char *script, mode_t mode)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, script, strlen(script)), strlen(script));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int set_up(void **ctx)
{
	(void)ctx;
	assert_non_null(mkdtemp(folder));
	put_program("hatchd-tls", "", 0700);
	return 0;
}

static int tear_down(void **ctx)
{
	char command[64];

	(void)ctx;
	snprintf(command, sizeof command, "rm -r %s", folder);
	return system(command);
}

/* What is said where it is not the program that it should be. */
static void assert_fails(const char *script, int error, const char *said)
{
	const struct tls_bytes hello = text("hello\n");
	_cleanup_notary_ struct notary notary;
	char why[CERTIFICATE_WHY_MAX];

	put_program("hatchd-certificate", script, 0700);
	notary_init(&notary, folder);
	assert_null(notary_missing(&notary));
	assert_int_equal(notary_count(&notary, &hello, why), error);
	assert_string_equal(notary_explain(error), said);
}

#define HEAD(mark, len) "head -c 19 >/dev/null; printf '" mark "" len "' >&0"

static void test_another_program(void **ctx)
{
	static const char nonsense[] = "it is of another version, or says nonsense";

	(void)ctx;
	assert_fails("#!/bin/sh\nexit 1\n", -ECHILD, "it has ended");
	assert_fails("#!/bin/sh\nkill -9 $$\n", -ECHILD, "it has ended");
	assert_fails(
		"#!/bin/sh\n" HEAD("\\2qch", "\\4\\0\\0\\0\\0\\0\\0\\0"), -EBADMSG, nonsense);
	assert_fails("#!/bin/sh\n" HEAD("\\1qch", "\\0\\0\\0\\0"), -EBADMSG, nonsense);
	assert_fails("#!/bin/sh\n" HEAD("\\1qch", "\\377\\377\\377\\377"), -EBADMSG, nonsense);
	assert_fails("#!/bin/sh\n" HEAD("\\1qch", "\\4\\0\\0\\0"), -ECHILD, "it has ended");
}

static void assert_missing(const char *before, const char *program, const char *behind)
{
	const struct tls_bytes hello = text("hello\n");
	_cleanup_notary_ struct notary notary;
	char why[CERTIFICATE_WHY_MAX], whole[TLS_PROGRAM_WHY_MAX];

	notary_init(&notary, folder);
	snprintf(whole, sizeof whole, "%s%s/%s%s", before, folder, program, behind);
	assert_string_equal(notary_missing(&notary), whole);
	assert_true(notary_count(&notary, &hello, why) < 0);
}

static void remove_program(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	assert_int_equal(unlink(path), 0);
}

static void test_not_installed(void **ctx)
{
	static const char not_installed[] =
		"TLS is not installed: install the package hatchd-tls (";

	(void)ctx;
	put_program("hatchd-certificate", "", 0600);
	assert_missing("unable to execute ", "hatchd-certificate", ": Permission denied");
	remove_program("hatchd-certificate");
	assert_missing(not_installed, "hatchd-certificate", " is missing)");
	remove_program("hatchd-tls");
	assert_missing(not_installed, "hatchd-tls", " is missing)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_what_is_wrong),
		cmocka_unit_test(test_try_and_cover),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_no_questions),
		cmocka_unit_test(test_another_program),
		cmocka_unit_test(test_not_installed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
