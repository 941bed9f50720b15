#include "policy/cert.h"

#include "base/hostname.h"
#include "base/own.h"
#include "base/text.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#define HEX        "0123456789abcdef"
#define HEX_DIGITS 64

/* Of a type of RFC 2253, as OpenSSL writes them: a word, or the numbers of an OID. */
#define OF_TYPE "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-."

/* What stands for itself there only behind a backslash, and what may stand behind one. */
#define SPECIAL ",+\"\\<>;"
#define ESCAPED SPECIAL "#= "

/* What stands behind `start`; NULL: it begins otherwise. */
static const char *behind(const char *text, const char *start)
{
	size_t len = strlen(start);

	return strncmp(text, start, len) == 0 ? text + len : NULL;
}

/* ------------------------------------------------------------------------- rules */

/* Characters, of which none is a control. */
static bool is_text(const char *text)
{
	size_t left = strlen(text);

	if (left == 0)
		return false;
	while (left > 0) {
		uint32_t code;
		size_t n = text_utf8(text, left, &code);

		if (n == 0 || text_is_control(code))
			return false;
		text += n;
		left -= n;
	}
	return true;
}

/* hatchd-tls puts a question mark in the place of what it does not show, so that it could
 * stand for anything. */
static bool is_common_name(const char *text)
{
	return is_text(text) && !strchr(text, '?');
}

static bool is_dns_pattern(const char *text)
{
	if (text[0] != '*')
		return hostname_is_pattern(text);
	return text[1] == '.' && hostname_is_pattern(text + 1);
}

static bool is_hash(const char *text)
{
	return strspn(text, HEX) == HEX_DIGITS && text[HEX_DIGITS] == '\0';
}

bool cert_is_rule(const char *text)
{
	static const struct {
		const char *start;
		bool (*is_rest)(const char *text);
	} kinds[] = {
		{"CN=", is_common_name},
		{"DNS:", is_dns_pattern},
		{"email:", is_text},
		{"URI:", is_text},
		{"IP:", is_text},
		{"SHA256:", is_hash},
	};
	const char *rule = behind(text, CERT_MARK), *rest;

	if (!rule || strlen(text) > CERT_RULE_MAX)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		rest = behind(rule, kinds[i].start);
		if (rest)
			return kinds[i].is_rest(rest);
	}
	return strcmp(rule, "*") == 0;
}

/* -------------------------------------------------------------------- one of them */

/* The rule that would be about something in a certificate, in the making. */
struct draft {
	char text[CERT_RULE_MAX + 1];
	size_t len;
	bool odd; /* no rule can be about it: it has a NUL, or is too long */
};

static void put(struct draft *draft, char c)
{
	if (c == '\0' || draft->len == CERT_RULE_MAX) {
		draft->odd = true;
		return;
	}
	draft->text[draft->len++] = c;
	draft->text[draft->len] = '\0';
}

/* Begin anew, with "cert:" and that. */
static void begin(struct draft *draft, const char *kind, size_t len)
{
	draft->len = 0;
	draft->odd = false;
	for (const char *c = CERT_MARK; *c; c++)
		put(draft, *c);
	for (size_t i = 0; i < len; i++)
		put(draft, kind[i]);
}

static bool is_listed(const struct draft *draft, char *const *rules)
{
	if (draft->odd)
		return false;
	for (; *rules; rules++)
		if (strcmp(*rules, draft->text) == 0)
			return true;
	return false;
}

/* One digit, small or capital: RFC 2253 is written with capital ones.  -1: it is none. */
static int hex_value(char c)
{
	const char *at;

	if (c >= 'A' && c <= 'F')
		c = (char)(c - 'A' + 'a');
	at = c ? strchr(HEX, c) : NULL;
	return at ? (int)(at - HEX) : -1;
}

/* A byte of two digits.  False: there are not two. */
static bool read_hex(const char *text, char *ret)
{
	int high = hex_value(text[0]), low = high < 0 ? -1 : hex_value(text[1]);

	if (low < 0)
		return false;
	*ret = (char)(high * 16 + low);
	return true;
}

/* ----------------------------------------------------------------------- the subject */

/*
 * RFC 2253, as OpenSSL writes it: "CN=alice,OU=a\, b+UID=7".  Each function goes on at *at,
 * and says whether what stood there was as it should be; if not the subject is in no rule.
 */

/* Behind a backslash. */
static bool take_escape(const char **at, char *ret)
{
	if (**at && strchr(ESCAPED, **at)) {
		*ret = *(*at)++;
		return true;
	}
	if (!read_hex(*at, ret))
		return false;
	*at += 2;
	return true;
}

static bool take_character(const char **at, char *ret)
{
	char c = *(*at)++;

	if (c == '\\')
		return take_escape(at, ret);
	*ret = c;
	return !strchr(SPECIAL, c);
}

static bool is_end(char c)
{
	return c == '\0' || c == ',' || c == '+';
}

/* "#0C0161": bytes of something that is no text, which no rule is about. */
static bool take_dump(const char **at, struct draft *value)
{
	char byte;

	value->odd = true;
	for (++*at; !is_end(**at); *at += 2)
		if (!read_hex(*at, &byte))
			return false;
	return true;
}

/* A blank at either end has a backslash. */
static bool take_value(const char **at, struct draft *value)
{
	char c = '\0';
	bool blank = **at == ' ';

	if (**at == '#')
		return take_dump(at, value);
	while (!blank && !is_end(**at)) {
		blank = **at == ' ' && is_end((*at)[1]);
		if (!take_character(at, &c))
			return false;
		put(value, c);
	}
	return !blank;
}

/* One "TYPE=VALUE"; a value of type CN into *name. */
static bool take_pair(const char **at, struct draft *name, size_t *n_names)
{
	size_t len = strspn(*at, OF_TYPE);
	bool is_name = len == 2 && strncmp(*at, "CN", 2) == 0;
	struct draft other;

	if (len == 0 || (*at)[len] != '=')
		return false;
	begin(is_name ? name : &other, *at, len + 1);
	*n_names += is_name;
	*at += len + 1;
	return take_value(at, is_name ? name : &other);
}

/* Who has two CNs could be meant by either. */
static bool has_common_name(const char *subject, char *const *rules)
{
	const char *at = subject;
	struct draft name;
	size_t n_names = 0;

	while (take_pair(&at, &name, &n_names)) {
		if (*at == '\0')
			return n_names == 1 && is_listed(&name, rules);
		at++;
	}
	return false;
}

/* --------------------------------------------------------------------- its names */

/* "*.example.org" is for one label (RFC 9525, 6.3), as in tls_name; a name that has a star
 * itself, in the certificate, is none of a host. */
static bool matches_dns(const char *name, const char *pattern)
{
	if (pattern[0] != '*')
		return hostname_matches(name, pattern);
	return hostname_matches(name, pattern + 1) &&
	       strcmp(strchr(name, '.'), pattern + 1) == 0;
}

static bool is_dns_listed(const struct draft *draft, char *const *rules)
{
	const char *name = draft->text + strlen(CERT_MARK "DNS:");

	if (draft->odd || !hostname_is_plain(name))
		return false;
	for (; *rules; rules++) {
		const char *pattern = behind(*rules, CERT_MARK "DNS:");

		if (pattern && matches_dns(name, pattern))
			return true;
	}
	return false;
}

/* "\x20" is a blank; one that stands for itself ends nothing here. */
static bool take_letter(const char **at, char *ret)
{
	*ret = *(*at)++;
	if (*ret != '\\')
		return *ret != ' ';
	if (**at != 'x' || !read_hex(*at + 1, ret))
		return false;
	*at += 3;
	return true;
}

/* "KIND:NAME", with *at behind it then; *found if there is a rule about it.  False: it is
 * none. */
static bool take_name(const char **at, char *const *rules, bool *found)
{
	static const char *const kinds[] = {"DNS:", "email:", "URI:", "IP:"};
	struct draft name;
	size_t kind = 0;
	char c;

	while (kind < ARRAY_SIZE(kinds) && !behind(*at, kinds[kind]))
		kind++;
	if (kind == ARRAY_SIZE(kinds))
		return false;
	begin(&name, kinds[kind], strlen(kinds[kind]));
	*at += strlen(kinds[kind]);
	while (**at && **at != ',') {
		if (!take_letter(at, &c))
			return false;
		put(&name, c);
	}
	*found |= kind == 0 ? is_dns_listed(&name, rules) : is_listed(&name, rules);
	return true;
}

/* "DNS:a, email:b": one that is not as it should be spoils all. */
static bool has_other_name(const char *names, char *const *rules)
{
	const char *at = names;
	bool found = false;

	while (take_name(&at, rules, &found)) {
		if (*at == '\0')
			return found;
		at = behind(at, ", ");
		if (!at)
			return false;
	}
	return false;
}

/* ----------------------------------------------------------------------- a client */

/* False: it is no fact, or one that has been told. */
static bool note(const char *fact, struct cert_client *client)
{
	const struct {
		const char *start, **value;
	} known[] = {
		{"SSL_CLIENT_VERIFY=", &client->verify},
		{"SSL_CLIENT_S_DN=", &client->subject},
		{"SSL_CLIENT_SAN=", &client->names},
		{"SSL_PEER_CERT_HASH=", &client->hash},
		{"SSL_CLIENT_OMITTED=", &client->omitted},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		const char *value = behind(fact, known[i].start);

		if (!value)
			continue;
		if (*known[i].value)
			return false;
		*known[i].value = value;
		return true;
	}
	return strchr(fact, '=');
}

int cert_client_read(const char *facts, size_t len, struct cert_client *ret)
{
	struct cert_client client = {0};

	if (len > 0 && facts[len - 1] != '\0')
		return -EBADMSG;
	for (const char *fact = facts; fact < facts + len; fact += strlen(fact) + 1)
		if (!note(fact, &client))
			return -EBADMSG;
	*ret = client;
	return 0;
}

static bool is_omitted(const struct cert_client *client, const char *what)
{
	return client->omitted && strstr(client->omitted, what);
}

/* "*", and a hash as it is told. */
static bool has_rule(const char *text, char *const *rules)
{
	struct draft draft;

	begin(&draft, text, strlen(text));
	return is_listed(&draft, rules);
}

bool cert_match(const struct cert_client *client, char *const *rules)
{
	if (!rules)
		return false;
	if (client->hash && behind(client->hash, "SHA256:") && has_rule(client->hash, rules))
		return true;
	if (!client->verify || strcmp(client->verify, "SUCCESS") != 0)
		return false;
	if (has_rule("*", rules))
		return true;
	if (client->subject && !is_omitted(client, "S_DN") &&
		has_common_name(client->subject, rules))
		return true;
	return client->names && !is_omitted(client, "SAN") &&
	       has_other_name(client->names, rules);
}
