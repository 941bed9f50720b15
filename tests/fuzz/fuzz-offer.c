/*
 * What hatchd-tls tells the master of a client before it offers him (base/tls-facts).
 *
 * A block that is believed goes into the environment of a program line by line, and rules about
 * certificates are asked with it.  So of each that holds: its lines are all of it, each of them
 * is one that an environment can have and that no program takes for another one's, and of who
 * is not certified nothing is known but that.
 */
#include "base/tls-facts.h"
#include "policy/cert.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_line(const char *line)
{
	const char *value = strchr(line, '=');

	assert(strncmp(line, "SSL_", 4) == 0 && value);
	for (const char *p = line + 4; p < value; p++)
		assert((*p >= 'A' && *p <= 'Z') || *p == '_');
	for (const char *p = value; *p; p++)
		assert((unsigned char)*p >= ' ' && *p != 0x7f);
}

/* No name is told twice: else who reads the first, and who the last, would take him for two. */
static size_t try_lines(const char *block, size_t len)
{
	size_t all = 0;

	for (const char *line = NULL; (line = tls_facts_next(block, len, line));) {
		char name[64] = "";

		try_line(line);
		assert(strcspn(line, "=") < sizeof name);
		memcpy(name, line, strcspn(line, "="));
		assert(tls_facts_get(block, len, name) == strchr(line, '=') + 1);
		all += strlen(line) + 1;
	}
	return all;
}

static void try_certificate(const char *block, size_t len)
{
	static char *const anybody[] = {"cert:*", NULL};
	struct cert_client client;
	bool certified;

	assert(cert_client_read(block, len, &client) == 0);
	assert(client.subject == tls_facts_get(block, len, "SSL_CLIENT_S_DN"));
	assert(client.names == tls_facts_get(block, len, "SSL_CLIENT_SAN"));
	certified = client.verify && strcmp(client.verify, "SUCCESS") == 0;
	assert(certified || (!client.subject && !client.names && !client.omitted));
	assert(!cert_match(&client, anybody) || certified);
}

/* In memory of its own size, so that whoever reads on is found. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *block = malloc(size ? size : 1);

	assert(block);
	memcpy(block, data, size);
	if (tls_facts_hold(block, size)) {
		assert(try_lines(block, size) == size);
		try_certificate(block, size);
	}
	free(block);
	return 0;
}
