#include "conf/access-word.h"

#include "base/hostname.h"
#include "base/strv.h"
#include "base/text.h"
#include "conf/access-cert.h"
#include "conf/conf.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

/* Bound of what networks(5) may answer about one name. */
#define ANSWER_MAX 65536

#define DIGITS "0123456789"

struct reader {
	const char *word;
	struct identities *identities;
	const struct access_where *where;
	struct access_rules *rules;
	struct access_remark *remark;
};

void access_rules_done(struct access_rules *rules)
{
	free(rules->items);
	free(rules->where);
	strv_free(rules->names);
	strv_free(rules->certs);
	*rules = (struct access_rules){0};
}

static int grow(struct access_rules *rules)
{
	size_t size = rules->size ? 2 * rules->size : 8;
	struct access_rule *items = reallocarray(rules->items, size, sizeof *items);
	struct access_where *where;

	if (!items)
		return -ENOMEM;
	rules->items = items;
	where = reallocarray(rules->where, size, sizeof *where);
	if (!where)
		return -ENOMEM;
	rules->where = where;
	rules->size = size;
	return 0;
}

int access_rules_add(struct access_rules *rules, const struct access_rule *rule,
	const struct access_where *where)
{
	if (rules->n == rules->size && grow(rules) < 0)
		return -ENOMEM;
	rules->items[rules->n] = *rule;
	rules->where[rules->n++] = *where;
	return 0;
}

int access_rules_add_name(struct access_rules *rules, const char *name)
{
	int r;

	if (rules->n_names > CONF_NAMES_MAX)
		return 0;
	r = strv_add(&rules->names, name);
	if (r == 0)
		rules->n_names++;
	return r;
}

int access_rules_add_cert(struct access_rules *rules, const char *cert)
{
	int r;

	if (rules->n_certs > CONF_CERTS_MAX)
		return 0;
	r = strv_add(&rules->certs, cert);
	if (r == 0)
		rules->n_certs++;
	return r;
}

/* "'WORD' <what>"; returns `r`. */
static int remark(const struct reader *in, int r, const char *format, ...) _printf_(3, 4);
static int remark(const struct reader *in, int r, const char *format, ...)
{
	size_t size = sizeof in->remark->text;
	char shown[DIAG_SHOWN_MAX];
	va_list ap;
	int n;

	n = snprintf(
		in->remark->text, size, "'%s' ", diag_shown(in->word, strlen(in->word), shown));
	va_start(ap, format);
	vsnprintf(in->remark->text + n, size - (size_t)n, format, ap);
	va_end(ap);
	return r;
}

static int add_rule(const struct reader *in, enum access_kind kind, uint32_t id)
{
	const struct access_rule rule = {.kind = kind, .id = id};

	return access_rules_add(in->rules, &rule, in->where);
}

static int add_prefix(const struct reader *in, const struct addr_prefix *prefix)
{
	const struct access_rule rule = {.kind = ACCESS_IP, .prefix = *prefix};

	return access_rules_add(in->rules, &rule, in->where);
}

/*
 * Addresses and networks.
 */

/* Bits before the zeros at the end: 10.1.0.0 has 16. */
static uint8_t bits_of_network(const struct addr_prefix *prefix)
{
	uint8_t bits = 32;

	while (bits > 0 && prefix->bytes[bits / 8 - 1] == 0)
		bits = (uint8_t)(bits - 8);
	return bits;
}

/* What is written without a mask and ends in 0 is a network to xinetd. */
static int read_plain(const struct reader *in, struct addr_prefix *prefix)
{
	char network[ADDR_PREFIX_MAX], one[ADDR_PREFIX_MAX];
	struct addr_prefix whole = *prefix;

	if (prefix->family == ADDR_SOURCE_IPV4)
		whole.bits = bits_of_network(prefix);
	if (whole.bits == prefix->bits)
		return add_prefix(in, prefix);
	remark(in, 0,
		"means the network %s, as in xinetd; write that, or %s for the one address",
		addr_format_prefix(&whole, network), addr_format_prefix(prefix, one));
	return add_prefix(in, &whole);
}

static int tell_bits_behind(const struct reader *in, const struct addr_prefix *cut)
{
	char network[ADDR_PREFIX_MAX];

	return remark(in, -EINVAL, "has bits behind its mask; did you mean %s, or %.*s/%u?",
		addr_format_prefix(cut, network), (int)strcspn(in->word, "/"), in->word,
		strchr(in->word, ':') ? 128 : 32);
}

static int read_prefix(const struct reader *in, struct addr_prefix *prefix)
{
	if (!strchr(in->word, '/'))
		return read_plain(in, prefix);
	if (addr_prefix_cut(prefix))
		return tell_bits_behind(in, prefix);
	return add_prefix(in, prefix);
}

/* 10/8, 10.1, 192.168.: the rest is zeros.  True with what was meant. */
static bool complete(const char *word, struct addr_prefix *ret)
{
	char text[64];
	unsigned n = 0;
	size_t used = 0;

	while (*word >= '0' && *word <= '9' && n < 4 && used < 32) {
		size_t len = strspn(word, DIGITS);

		used += (size_t)snprintf(text + used, sizeof text - used, "%s%.*s",
			n ? "." : "", (int)len, word);
		word += len;
		n++;
		if (*word == '.')
			word++;
	}
	if (n == 0 || n == 4 || used > 32 || (*word != '\0' && *word != '/'))
		return false;
	for (unsigned i = n; i < 4; i++)
		used += (size_t)snprintf(text + used, sizeof text - used, ".0");
	if (*word)
		snprintf(text + used, sizeof text - used, "%.4s", word);
	else
		snprintf(text + used, sizeof text - used, "/%u", n * 8);
	return addr_parse_prefix(text, ret) == 0 && !addr_prefix_cut(ret);
}

/* 10.0.0.0/255.0.0.0.  True with how many bits that is. */
static bool dotted_mask(const char *mask, unsigned *ret)
{
	struct in_addr in;
	uint32_t word;

	if (inet_pton(AF_INET, mask, &in) != 1)
		return false;
	word = ntohl(in.s_addr);
	/* All ones come first: what is behind them is one less than a power of 2. */
	if ((~word & (~word + 1)) != 0)
		return false;
	*ret = (unsigned)__builtin_popcount(word);
	return true;
}

static int tell_mask(const struct reader *in)
{
	size_t len = strcspn(in->word, "/");
	unsigned bits;

	if (dotted_mask(in->word + len + 1, &bits))
		return remark(in, -EINVAL, "has its mask as an address; did you mean %.*s/%u?",
			(int)len, in->word, bits);
	return remark(in, -EINVAL,
		"has a mask that does not exist; it is a number from 0 to %d",
		strchr(in->word, ':') ? 128 : 32);
}

static bool is_everybody(const char *word)
{
	return strcasecmp(word, "all") == 0 || strcasecmp(word, "any") == 0 ||
	       strcmp(word, "*") == 0;
}

/* 127.0.0.1:80 and [::1]:80. */
static bool has_port(const char *word)
{
	size_t len = strspn(word, DIGITS ".");

	return word[0] == '[' || (len > 0 && word[len] == ':' && !strchr(word + len + 1, ':'));
}

static bool is_range(const char *word)
{
	return strchr(word, '-') && word[strspn(word, DIGITS ".-")] == '\0';
}

/* Its user, as others write it. */
static bool is_id(const char *word)
{
	return (strncmp(word, "uid", 3) == 0 || strncmp(word, "gid", 3) == 0) &&
	       (word[3] == ':' || word[3] == '=');
}

/* The name of a file without the mark of one, or another mark. */
static bool is_path(const char *word)
{
	return word[0] == '/' || strncmp(word, "./", 2) == 0 || strncmp(word, "../", 3) == 0 ||
	       strncasecmp(word, "file:", 5) == 0;
}

static bool is_of_hosts_allow(const char *word)
{
	static const char *const words[] = {"LOCAL", "KNOWN", "UNKNOWN", "PARANOID", "EXCEPT"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(word, words[i]) == 0)
			return true;
	}
	return false;
}

/* What may have been meant by a word that is nothing here; NULL: nobody knows. */
static const char *guess(const char *word)
{
	if (word[0] == '!')
		return "is no address; exceptions stand in the other of only_from and "
		       "no_access";
	if (strpbrk(word, " ,"))
		return "is not one address; write { a, b }, or each in a line of a file";
	if (is_everybody(word))
		return "is no address; all clients are 0.0.0.0/0 and ::/0";
	if (is_of_hosts_allow(word))
		return "is a word of hosts.allow, and means nothing here";
	if (is_path(word))
		return "is no address; write file:PATH for what a file lists";
	if (strchr(word, '%'))
		return "is no address; leave out the interface, it makes no difference";
	if (has_port(word))
		return "is no address; write it without brackets and port";
	if (is_range(word))
		return "is a range; write networks, such as 10.0.0.0/29";
	if (is_id(word))
		return "is not known; write \"unix:uid=USER\" or \"unix:gid=GROUP\"";
	return NULL;
}

static int tell_no_address(const struct reader *in)
{
	const char *meaning = guess(in->word);
	struct addr_prefix meant;
	char text[ADDR_PREFIX_MAX];

	if (meaning)
		return remark(in, -EINVAL, "%s", meaning);
	if (complete(in->word, &meant))
		return remark(in, -EINVAL, "is not complete; did you mean %s?",
			addr_format_prefix(&meant, text));
	return remark(in, -EINVAL,
		"is no address; write one such as 192.0.2.7 or 2001:db8::7, "
		"a network such as 10.0.0.0/8, or file:PATH");
}

static int read_address(const struct reader *in)
{
	struct addr_prefix prefix;
	int r = addr_parse_prefix(in->word, &prefix);

	if (r == 0)
		return read_prefix(in, &prefix);
	if (r == -ENOENT)
		return tell_no_address(in);
	return tell_mask(in);
}

/*
 * 10.1.{2,3}
 */

/* A number up to 255; *word goes behind it. */
static bool take_octet(const char **word, uint8_t *ret)
{
	size_t len = strspn(*word, DIGITS);
	unsigned value = 0;

	if (len == 0 || len > 3 || (len > 1 && **word == '0'))
		return false;
	for (size_t i = 0; i < len; i++)
		value = value * 10 + (unsigned)(*(*word)++ - '0');
	*ret = (uint8_t)value;
	return value <= 255;
}

static int read_factors(const struct reader *in)
{
	const char *why = "is not of the form 10.1.{2,3}: up to four numbers from 0 to 255, "
			  "the last one in braces";
	struct addr_prefix prefix = {.family = ADDR_SOURCE_IPV4};
	const char *at = in->word;
	unsigned n = 0;
	int r;

	for (; *at != '{'; n++, at++) {
		if (n == 3 || !take_octet(&at, &prefix.bytes[n]) || *at != '.')
			return remark(in, -EINVAL, "%s", why);
	}
	prefix.bits = (uint8_t)(8 * (n + 1));
	do {
		at++;
		if (!take_octet(&at, &prefix.bytes[n]))
			return remark(in, -EINVAL, "%s", why);
		r = add_prefix(in, &prefix);
		if (r < 0)
			return r;
	} while (*at == ',');
	return strcmp(at, "}") == 0 ? 0 : remark(in, -EINVAL, "%s", why);
}

/*
 * Names.
 */

/* -ENOENT, -ENOMEM, or 0. */
static int ask_network(const char *name, uint32_t *ret)
{
	for (size_t size = 1024; size <= ANSWER_MAX; size *= 4) {
		_cleanup_free_ char *buf = malloc(size);
		struct netent entry, *found = NULL;
		int r, h;

		if (!buf)
			return -ENOMEM;
		r = getnetbyname_r(name, &entry, buf, size, &found, &h);
		if (r == ERANGE)
			continue;
		if (!found || found->n_addrtype != AF_INET)
			return -ENOENT;
		*ret = found->n_net;
		return 0;
	}
	return -ENOENT;
}

/* A domain as others write it. */
static bool has_star(const char *word, char ret[HOSTNAME_ROOM])
{
	return word[0] == '*' && word[1] == '.' && hostname_read_pattern(word + 1, ret) == 0;
}

static int read_name(const struct reader *in)
{
	const char *meaning = guess(in->word);
	char name[HOSTNAME_ROOM];

	if (meaning)
		return remark(in, -EINVAL, "%s", meaning);
	if (hostname_read_pattern(in->word, name) == 0)
		return access_rules_add_name(in->rules, name);
	if (has_star(in->word, name))
		return remark(in, -EINVAL, "is no name; did you mean %s?", name);
	return remark(in, -EINVAL,
		"is neither an address nor a network of networks(5), and no host can have such "
		"a name");
}

static int read_network(const struct reader *in)
{
	struct addr_prefix prefix = {.family = ADDR_SOURCE_IPV4};
	uint32_t net = 0, word;
	int r = ask_network(in->word, &net);

	if (r == -ENOENT)
		return read_name(in);
	if (r < 0)
		return r;
	/* 127 and 127.0.0.0 are the same there. */
	while (net != 0 && net >> 24 == 0)
		net <<= 8;
	word = htonl(net);
	memcpy(prefix.bytes, &word, sizeof word);
	prefix.bits = bits_of_network(&prefix);
	return add_prefix(in, &prefix);
}

/* What came of asking for a user or a group. */
static int tell_lookup(const struct reader *in, int r, const char *what, const char *name)
{
	char shown[DIAG_SHOWN_MAX];

	if (r == -ENOMEM)
		return r;
	diag_shown(name, strlen(name), shown);
	if (r == -EINVAL)
		return remark(in, r,
			"can be no %s; write a name or a number from 0 to 4294967294", what);
	if (r == -ENOENT)
		snprintf(in->remark->text, sizeof in->remark->text, "no %s '%s'", what, shown);
	else
		snprintf(in->remark->text, sizeof in->remark->text,
			"unable to look up %s '%s': %s", what, shown, strerror(-r));
	return -ENOENT;
}

static int read_unix(const struct reader *in, const char *rest)
{
	uint32_t id = 0;
	int r;

	if (rest[0] == '\0')
		return add_rule(in, ACCESS_UNIX, 0);
	if (strncmp(rest, ":uid=", 5) == 0) {
		r = identity_find_user(in->identities, rest + 5, &id);
		return r < 0 ? tell_lookup(in, r, "user", rest + 5)
		             : add_rule(in, ACCESS_UID, id);
	}
	if (strncmp(rest, ":gid=", 5) == 0) {
		r = identity_find_group(rest + 5, &id);
		return r < 0 ? tell_lookup(in, r, "group", rest + 5)
		             : add_rule(in, ACCESS_GID, id);
	}
	return remark(in, -EINVAL,
		"is not known; write unix, \"unix:uid=USER\" or \"unix:gid=GROUP\"");
}

static int read_vsock(const struct reader *in, const char *rest)
{
	uint32_t cid;

	if (rest[0] == '\0')
		return add_rule(in, ACCESS_VSOCK, 0);
	if (text_parse_u32(rest + 1, &cid) < 0 || cid == UINT32_MAX)
		return remark(in, -EINVAL, "is not known; write vsock or vsock:CID, a number");
	return add_rule(in, ACCESS_CID, cid);
}

static int read_cert(const struct reader *in)
{
	char rule[CERT_RULE_MAX + 1];
	const char *why;

	if (access_cert_read(in->word, rule, &why) < 0)
		return remark(in, -EINVAL, "%s", why);
	return access_rules_add_cert(in->rules, rule);
}

/* What stands behind `kind` and is nothing or begins with a colon; else NULL. */
static const char *behind(const char *word, const char *kind)
{
	size_t len = strlen(kind);

	if (strncmp(word, kind, len) != 0 || (word[len] != '\0' && word[len] != ':'))
		return NULL;
	return word + len;
}

int access_word_read(const char *word, struct identities *identities,
	const struct access_where *where, struct access_rules *rules,
	struct access_remark *remark)
{
	const struct reader in = {word, identities, where, rules, remark};
	const char *rest;

	remark->text[0] = '\0';
	if (access_names_cert(word))
		return read_cert(&in);
	if ((rest = behind(word, "unix")))
		return read_unix(&in, rest);
	if ((rest = behind(word, "vsock")))
		return read_vsock(&in, rest);
	if (strchr(word, '{'))
		return read_factors(&in);
	if (strpbrk(word, ":/") || strspn(word, DIGITS ".") == strlen(word))
		return read_address(&in);
	return strchr(word, '.') ? read_name(&in) : read_network(&in);
}
