/*
 * What is told of a client's certificate, whatever that may be: a block of NAME=VALUE in
 * plain characters, within its bounds; and of names each one is as it should be, whatever
 * stands in it.
 */
#include "base/own.h"
#include "base/text.h"
#include "workers/tls/facts.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

/* Other facts stand before them. */
#define BEFORE 800

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_plain(const char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		uint32_t code;
		size_t n = text_utf8(text, left, &code);

		check(n > 0 && !text_is_control(code));
		text += n;
		left -= n;
	}
}

/* Up to the next one. */
static void check_name(const char *name, size_t len)
{
	static const char *const kinds[] = {"DNS:", "email:", "IP:", "URI:"};
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		known |= len > strlen(kinds[i]) &&
		         strncmp(name, kinds[i], strlen(kinds[i])) == 0;
	check(known);
	check(!memchr(name, ',', len) && !memchr(name, ' ', len));
}

static void check_names(const char *names)
{
	while (*names) {
		size_t len = strcspn(names, ",");

		check_name(names, len);
		names += len;
		check(names[0] == '\0' || strncmp(names, ", ", 2) == 0);
		names += names[0] ? 2 : 0;
	}
}

static void check_fact(const char *fact)
{
	const char *value = strchr(fact, '=');

	check(value && strncmp(fact, "SSL_", 4) == 0);
	check_plain(fact);
	if (strncmp(fact, "SSL_CLIENT_SAN=", 15) == 0) {
		check(strlen(value + 1) <= FACTS_SAN_MAX);
		check_names(value + 1);
	}
	if (strncmp(fact, "SSL_CLIENT_S_DN=", 16) == 0)
		check(strlen(value + 1) <= FACTS_DN_MAX);
}

static void check_facts(X509 *certificate, bool is_certified)
{
	static struct facts facts;

	facts.len = BEFORE;
	facts_of_certificate(certificate, is_certified, &facts);
	check(facts.len <= sizeof facts.bytes && facts.bytes[facts.len - 1] == '\0');
	for (size_t at = BEFORE; at < facts.len; at += strlen(facts.bytes + at) + 1)
		check_fact(facts.bytes + at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const unsigned char *at = data;
	X509 *certificate = d2i_X509(NULL, &at, (long)size);

	ERR_clear_error();
	if (!certificate)
		return 0;
	check_facts(certificate, true);
	check_facts(certificate, false);
	X509_free(certificate);
	return 0;
}
