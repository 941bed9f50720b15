#include "base/tls-facts.h"

#include "base/own.h"
#include "base/text.h"

#include <string.h>

static const char *const names[] = {
	"SSL_PROTOCOL",
	"SSL_CIPHER",
	"SSL_TLS_SNI_SERVERNAME",
	"SSL_ALPN",
	"SSL_CLIENT_VERIFY",
	"SSL_PEER_CERT_HASH",
	"SSL_CLIENT_S_DN",
	"SSL_CLIENT_SAN",
	"SSL_CLIENT_OMITTED",
};

/* What is said of who is certified, and of nobody else. */
static const char *const certified[] = {
	"SSL_CLIENT_S_DN",
	"SSL_CLIENT_SAN",
	"SSL_CLIENT_OMITTED",
};

/* The place of the name before the '='; ARRAY_SIZE(names): it is none of them. */
static size_t find_name(const char *line)
{
	size_t len = strcspn(line, "="), i = 0;

	while (i < ARRAY_SIZE(names) &&
		(strlen(names[i]) != len || !line[len] || strncmp(names[i], line, len) != 0))
		i++;
	return i;
}

static bool is_text(const char *value)
{
	size_t left = strlen(value);

	while (left > 0) {
		uint32_t code;
		size_t n = text_utf8(value, left, &code);

		if (n == 0 || text_is_control(code))
			return false;
		value += n;
		left -= n;
	}
	return true;
}

const char *tls_facts_next(const char *block, size_t len, const char *line)
{
	const char *next = line ? line + strlen(line) + 1 : block;

	return next < block + len ? next : NULL;
}

const char *tls_facts_get(const char *block, size_t len, const char *name)
{
	size_t name_len = strlen(name);

	for (const char *line = NULL; (line = tls_facts_next(block, len, line));)
		if (strncmp(line, name, name_len) == 0 && line[name_len] == '=')
			return line + name_len + 1;
	return NULL;
}

static bool lines_hold(const char *block, size_t len)
{
	bool seen[ARRAY_SIZE(names)] = {false};

	for (const char *line = NULL; (line = tls_facts_next(block, len, line));) {
		size_t i = find_name(line);

		if (i == ARRAY_SIZE(names) || seen[i] || !is_text(strchr(line, '=') + 1))
			return false;
		seen[i] = true;
	}
	return seen[0];
}

static bool certificate_holds(const char *block, size_t len)
{
	const char *verify = tls_facts_get(block, len, "SSL_CLIENT_VERIFY");

	if (verify && strcmp(verify, "SUCCESS") == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(certified); i++)
		if (tls_facts_get(block, len, certified[i]))
			return false;
	return true;
}

bool tls_facts_hold(const char *block, size_t len)
{
	return len > 0 && block[len - 1] == '\0' && lines_hold(block, len) &&
	       certificate_holds(block, len);
}
