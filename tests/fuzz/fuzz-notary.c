/*
 * What hatchd-certificate may say to the loader, which reads it as a stranger's: the first byte
 * says what was asked, the rest is the answer.  Whatever is believed is within its bounds.
 */
#include "base/own.h"
#include "conf/certificate-wire.h"
#include "conf/notary.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Less than a socket holds, for question and answer are written before they are read. */
#define ANSWER_MAX (32 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static const struct tls_bytes any = {(const uint8_t *)"any", 3};

static void read_one(struct notary *notary)
{
	_cleanup_notary_reading_ struct notary_reading reading = {0};
	int r = notary_read(notary, &any, &any, &reading);

	check(r <= 0 && strlen(reading.why) < CERTIFICATE_WHY_MAX);
	if (r < 0)
		return;
	check(reading.pem.chain_len > 0 && reading.pem.chain_len <= TLS_CHAIN_MAX);
	check(reading.pem.key_len > 0 && reading.pem.key_len <= TLS_KEY_MAX);
}

static void count(struct notary *notary)
{
	char why[CERTIFICATE_WHY_MAX] = "";

	notary_count(notary, &any, why);
	check(strlen(why) < sizeof why);
}

static void try_some(struct notary *notary, const struct tls_setup *setup)
{
	char why[CERTIFICATE_WHY_MAX] = "";
	size_t which = 0;
	int r = notary_try(notary, setup, &which, why);

	check(r <= REFUSED_CERTIFICATE && strlen(why) < sizeof why);
	check(r != REFUSED_CERTIFICATE || which < setup->n_certificates);
}

static void cover(struct notary *notary, const struct tls_setup *setup)
{
	char *names[] = {(char *)"a.test", (char *)"*.b.test", NULL};
	bool covered[ARRAY_SIZE(names)] = {false};

	check(notary_cover(notary, setup, names, covered) <= 0);
	check(!covered[2]);
}

static void digest(struct notary *notary)
{
	const struct tls_bytes both[] = {any, any};
	uint8_t digests[2][CERTIFICATE_DIGEST_LEN];

	check(notary_digest(notary, both, digests) <= 0);
}

static void make(struct notary *notary)
{
	char *names[] = {(char *)"a.test", NULL}, *pem = NULL;
	size_t len = 0;
	int r = notary_make(notary, names, 0, 1, &pem, &len);

	check(r == 0 ? len > 0 && len <= ANSWER_MAX : r < 0 && !pem);
	free(pem);
}

static void ask(struct notary *notary, unsigned what)
{
	struct tls_certificate pairs[] = {{any, any}, {any, any}};
	const struct tls_setup setup = {.certificates = pairs, .n_certificates = 2};

	switch ((enum certificate_question)what) {
	case CERTIFICATE_READ:
		return read_one(notary);
	case CERTIFICATE_COUNT:
		return count(notary);
	case CERTIFICATE_TRY:
		return try_some(notary, &setup);
	case CERTIFICATE_COVER:
		return cover(notary, &setup);
	case CERTIFICATE_DIGEST:
		return digest(notary);
	case CERTIFICATE_MAKE:
		return make(notary);
	case _CERTIFICATE_QUESTION_MAX:
		return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct notary notary;
	struct wire_writer answer;
	int fds[2];

	if (size == 0 || size > ANSWER_MAX)
		return 0;
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	notary_init(&notary, NULL);
	notary.fd = fds[0];
	certificate_begin(&answer);
	wire_put_raw(&answer, data + 1, size - 1);
	check(certificate_send(fds[1], &answer) == 0);
	ask(&notary, data[0] % _CERTIFICATE_QUESTION_MAX);
	notary_done(&notary);
	close(fds[1]);
	return 0;
}
