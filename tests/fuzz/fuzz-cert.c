/*
 * What is told of a client's certificate, and rules about it.
 *
 * The bytes are taken for a block of facts, and for the values of a subject and of names, which
 * are written here as hatchd-tls writes them.  Whoever is not certified is in no rule but that
 * about his certificate's hash; and of a subject the rule about its CN has it if it has one CN
 * and no other, whatever stands in it or in its neighbours.
 */
#include "policy/cert.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTS_MAX 4
#define PART_MAX  64
#define SHA       "SHA256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool match(const struct cert_client *client, const char *rule)
{
	char text[CERT_RULE_MAX + 1], *rules[] = {text, NULL};

	assert(cert_is_rule(rule) && strlen(rule) <= CERT_RULE_MAX);
	snprintf(text, sizeof text, "%s", rule);
	return cert_match(client, rules);
}

/* ------------------------------------------------------------------------- facts */

static void try_block(const uint8_t *data, size_t size)
{
	static const char *const rules[] = {"cert:*", "cert:CN=alice", "cert:DNS:*.example.org",
		"cert:DNS:.example.org", "cert:email:a@b", "cert:URI:urn:x",
		"cert:IP:10.0.0.1"};
	struct cert_client client;
	bool certified;

	if (cert_client_read((const char *)data, size, &client) < 0)
		return;
	certified = client.verify && strcmp(client.verify, "SUCCESS") == 0;
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
		assert(!match(&client, rules[i]) || certified);
	assert(match(&client, "cert:" SHA) == (client.hash && strcmp(client.hash, SHA) == 0));
	if (match(&client, "cert:CN=alice"))
		assert(strstr(client.subject, "CN="));
}

/* ----------------------------------------------------------------------- a subject */

/* Of what the bytes say: a letter that is its type, and up to a letter 0xff its value. */
struct part {
	bool is_name, joined;
	char value[PART_MAX + 1];
	size_t len;
};

static size_t cut(const uint8_t *data, size_t size, struct part parts[PARTS_MAX])
{
	size_t n = 0;

	while (size > 0 && n < PARTS_MAX) {
		struct part *part = &parts[n++];

		*part = (struct part){.is_name = *data & 1, .joined = *data & 2};
		data++;
		size--;
		while (size > 0 && *data != 0xff && part->len < PART_MAX) {
			part->value[part->len++] = (char)*data++;
			size--;
		}
		data += size > 0;
		size -= size > 0;
	}
	return n;
}

/* Room for all parts, each byte of which takes four. */
struct line {
	char text[PARTS_MAX * (4 * PART_MAX + 8) + 1];
	size_t len;
};

static void put(struct line *line, const char *text)
{
	size_t len = strlen(text);

	assert(len < sizeof line->text - line->len);
	memcpy(line->text + line->len, text, len + 1);
	line->len += len;
}

static void put_byte(struct line *line, const char *before, char c)
{
	put(line, before);
	put(line, (char[]){c, '\0'});
}

static void put_code(struct line *line, const char *before, char c)
{
	char digits[3];

	snprintf(digits, sizeof digits, "%02x", (unsigned char)c);
	put(line, before);
	put(line, digits);
}

static void put_value(struct line *line, const struct part *part)
{
	for (size_t i = 0; i < part->len; i++) {
		char c = part->value[i];
		bool edge = i == 0 || i + 1 == part->len;

		if ((unsigned char)c < ' ' || c == 0x7f)
			put_code(line, "\\", c);
		else if (strchr(",+\"\\<>;", c) || (edge && c == ' ') || (i == 0 && c == '#'))
			put_byte(line, "\\", c);
		else
			put_byte(line, "", c);
	}
}

static void write_subject(const struct part *parts, size_t n, struct line *line)
{
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			put(line, parts[i].joined ? "+" : ",");
		put(line, parts[i].is_name ? "CN=" : "O=");
		put_value(line, &parts[i]);
	}
}

static void try_subject(const struct part *parts, size_t n)
{
	struct line line = {.len = 0};
	const struct cert_client client = {.verify = "SUCCESS", .subject = line.text};
	char rule[CERT_RULE_MAX + 1];
	size_t n_names = 0;

	write_subject(parts, n, &line);
	for (size_t i = 0; i < n; i++)
		n_names += parts[i].is_name;
	for (size_t i = 0; i < n; i++) {
		bool whole = strlen(parts[i].value) == parts[i].len;

		snprintf(rule, sizeof rule, "cert:CN=%s", parts[i].value);
		if (whole && parts[i].is_name && cert_is_rule(rule))
			assert(match(&client, rule) == (n_names == 1));
		else if (n_names == 0 && cert_is_rule(rule))
			assert(!match(&client, rule));
	}
}

/* ------------------------------------------------------------------------- names */

static void write_names(const struct part *parts, size_t n, struct line *line)
{
	for (size_t i = 0; i < n; i++) {
		put(line, i > 0 ? ", " : "");
		put(line, parts[i].is_name ? "URI:" : "email:");
		for (size_t j = 0; j < parts[i].len; j++)
			put_code(line, "\\x", parts[i].value[j]);
	}
}

static bool has(const struct part *parts, size_t n, const struct part *part, bool is_name)
{
	for (size_t i = 0; i < n; i++)
		if (parts[i].is_name == is_name && parts[i].len == part->len &&
			memcmp(parts[i].value, part->value, part->len) == 0)
			return true;
	return false;
}

static void try_names(const struct part *parts, size_t n)
{
	struct line line = {.len = 0};
	const struct cert_client client = {.verify = "SUCCESS", .names = line.text};
	char rule[CERT_RULE_MAX + 1];

	write_names(parts, n, &line);
	for (size_t i = 0; i < 2 * n; i++) {
		const struct part *part = &parts[i / 2];
		bool is_name = i & 1;

		snprintf(rule, sizeof rule, "cert:%s%s",
			is_name ? "URI:" : "email:", part->value);
		if (strlen(part->value) == part->len && cert_is_rule(rule))
			assert(match(&client, rule) == has(parts, n, part, is_name));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct part parts[PARTS_MAX];
	size_t n = cut(data, size, parts);
	char *text = malloc(size + 1);

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	cert_is_rule(text);
	free(text);
	try_block(data, size);
	try_subject(parts, n);
	try_names(parts, n);
	return 0;
}
