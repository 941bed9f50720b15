#include "conf/wrappers-word.h"

#include "base/hostname.h"
#include "base/text.h"
#include "conf/diag.h"
#include "conf/wrappers-file.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#define DIGITS "0123456789"

static const char *const words[] = {
	"ALL", "LOCAL", "KNOWN", "UNKNOWN", "PARANOID", "EXCEPT", NULL};

struct reader {
	const char *word;
	enum wrappers_side side;
	struct wrappers_items *items;
	char *remark;
};

void wrappers_items_done(struct wrappers_items *items)
{
	free(items->items);
	strv_free(items->texts);
	*items = (struct wrappers_items){0};
}

static int add_text(struct wrappers_items *items, const char *text, const char **ret)
{
	char **larger;

	if ((items->n_texts & (items->n_texts + 1)) == 0) {
		larger = reallocarray(
			items->texts, 2 * (items->n_texts + 1) + 1, sizeof *larger);
		if (!larger)
			return -ENOMEM;
		items->texts = larger;
	}
	items->texts[items->n_texts] = strdup(text);
	if (!items->texts[items->n_texts])
		return -ENOMEM;
	*ret = items->texts[items->n_texts++];
	items->texts[items->n_texts] = NULL;
	return 0;
}

int wrappers_items_add(struct wrappers_items *items, const struct wrappers_item *item)
{
	size_t size = items->size ? 2 * items->size : 2;
	struct wrappers_item *larger, added = *item;

	if (added.text && add_text(items, item->text, &added.text) < 0)
		return -ENOMEM;
	if (items->n == items->size) {
		larger = reallocarray(items->items, size, sizeof *larger);
		if (!larger)
			return -ENOMEM;
		items->items = larger;
		items->size = size;
	}
	items->items[items->n++] = added;
	return 0;
}

/* "'WORD' <what>" */
static int remark(const struct reader *in, const char *format, ...) _printf_(2, 3);
static int remark(const struct reader *in, const char *format, ...)
{
	char shown[DIAG_SHOWN_MAX];
	va_list ap;
	int n;

	n = snprintf(in->remark, WRAPPERS_REMARK_MAX, "'%s' ",
		diag_shown(in->word, strlen(in->word), shown));
	va_start(ap, format);
	vsnprintf(in->remark + n, WRAPPERS_REMARK_MAX - (size_t)n, format, ap);
	va_end(ap);
	return -EINVAL;
}

static int add_kind(const struct reader *in, enum wrappers_kind kind)
{
	return wrappers_items_add(in->items, &(struct wrappers_item){.kind = kind});
}

/* In ASCII, whatever the locale says. */
static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* In small letters. */
static int add_pattern(const struct reader *in, enum wrappers_kind kind, const char *text)
{
	char small[WRAPPERS_TEXT_MAX + 1];
	size_t len = strlen(text);

	if (len == 0 || len > WRAPPERS_TEXT_MAX)
		return remark(in, "is %s", len == 0 ? "empty" : "too long");
	for (size_t i = 0; i <= len; i++)
		small[i] = lower(text[i]);
	return wrappers_items_add(
		in->items, &(struct wrappers_item){.kind = kind, .text = small});
}

/*
 * Addresses.
 */

static void put_mask(uint8_t mask[16], unsigned bits)
{
	for (unsigned i = 0; i < bits; i++)
		mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
}

static int add_prefix(const struct reader *in, const struct addr_prefix *prefix)
{
	struct wrappers_item item = {.kind = WRAPPERS_NET, .family = prefix->family};

	memcpy(item.net, prefix->bytes, sizeof item.net);
	put_mask(item.mask, prefix->bits);
	return wrappers_items_add(in->items, &item);
}

static bool has_only(const char *text, const char *letters)
{
	return text[0] != '\0' && text[strspn(text, letters)] == '\0';
}

/* "131.155." */
static int read_beginning(const struct reader *in)
{
	struct addr_prefix prefix;
	char text[ADDR_PREFIX_MAX];
	unsigned n = 0;

	for (const char *at = in->word; *at; at++)
		n += *at == '.';
	if (!has_only(in->word, DIGITS ".") || n > 3 || strlen(in->word) > 12)
		return remark(in, "ends in a dot, and is not the beginning of an address");
	snprintf(text, sizeof text, "%s%s/%u", in->word,
		n == 1   ? "0.0.0"
		: n == 2 ? "0.0"
			 : "0",
		n * 8);
	if (addr_parse_prefix(text, &prefix) < 0)
		return remark(in, "is not the beginning of an address");
	return add_prefix(in, &prefix);
}

/* "10.1", "10.1.2": where it stands, it never matches. */
static int tell_no_address(const struct reader *in)
{
	unsigned n = 0;

	for (const char *at = in->word; *at; at++)
		n += *at == '.';
	if (n > 2)
		return remark(in, "is no address");
	return remark(in, "is no address; for the network write '%s.'", in->word);
}

/* NET/MASK of IPv4, whose mask need not be a prefix. */
static int add_masked(const struct reader *in, const char *net, const char *mask)
{
	struct wrappers_item item = {.kind = WRAPPERS_NET, .family = ADDR_SOURCE_IPV4};
	char text[INET_ADDRSTRLEN];
	bool cut = false;

	if (inet_pton(AF_INET, net, item.net) != 1)
		return remark(in, "has no address of IPv4 before the '/'");
	if (inet_pton(AF_INET, mask, item.mask) != 1)
		return remark(in, "has neither a number of bits nor a mask behind the '/'");
	if (strcmp(mask, "255.255.255.255") == 0)
		return remark(in, "never matches; write the address without a mask");
	for (int i = 0; i < 4; i++) {
		cut = cut || (item.net[i] & ~item.mask[i]);
		item.net[i] &= item.mask[i];
	}
	if (cut)
		return remark(in,
			"has bits behind its mask, and never matches; did you mean "
			"%s/%s?",
			inet_ntop(AF_INET, item.net, text, sizeof text), mask);
	return wrappers_items_add(in->items, &item);
}

/* NET/BITS, in brackets that are gone. */
static int add_network(const struct reader *in, const char *text)
{
	char network[ADDR_PREFIX_MAX];
	struct addr_prefix prefix;
	bool is_ipv6 = strchr(text, ':');
	int r = addr_parse_prefix(text, &prefix);

	if (r == -ENOENT)
		return remark(in, "is no address of a network");
	if (r < 0)
		return remark(in, "has more bits behind the '/' than an address");
	/* tcp_wrappers shifts by 32 there. */
	if (prefix.bits == 0 && !is_ipv6)
		return remark(in, "never matches; write 0.0.0.0/0.0.0.0, or ALL");
	if (!addr_prefix_cut(&prefix))
		return add_prefix(in, &prefix);
	addr_format_prefix(&prefix, network);
	return remark(in,
		"has bits behind its mask, and never matches; did you mean %s%.*s%s%s?",
		is_ipv6 ? "[" : "", (int)strcspn(network, "/"), network, is_ipv6 ? "]" : "",
		network + strcspn(network, "/"));
}

static int read_masked(const struct reader *in)
{
	const char *slash = strchr(in->word, '/');
	char net[ADDR_PREFIX_MAX];

	if (strpbrk(in->word, "*?"))
		return remark(in, "has a wildcard and a mask; write the one or the other");
	if (strlen(in->word) >= sizeof net)
		return remark(in, "is no address of a network");
	if (has_only(slash + 1, DIGITS))
		return add_network(in, in->word);
	snprintf(net, sizeof net, "%.*s", (int)(slash - in->word), in->word);
	return add_masked(in, net, slash + 1);
}

/* [v6] or [v6]/BITS. */
static int read_brackets(const struct reader *in)
{
	const char *close = strchr(in->word, ']');
	char text[ADDR_PREFIX_MAX];
	struct addr_prefix prefix;

	if (!close || strlen(in->word) >= sizeof text || (close[1] && close[1] != '/'))
		return remark(in, "is not [ADDRESS] or [ADDRESS]/BITS");
	snprintf(text, sizeof text, "%.*s%s", (int)(close - in->word - 1), in->word + 1,
		close + 1);
	if (addr_parse_prefix(text, &prefix) == -ENOENT || !strchr(text, ':'))
		return remark(in, "has no address of IPv6 in its brackets");
	return add_network(in, text);
}

/*
 * Names.
 */

/* Such as fe80*: libwrap would try it on addresses as well. */
static bool is_half_of_ipv6(const char *word)
{
	return has_only(word, DIGITS "abcdefABCDEF*?") && strpbrk(word, "abcdefABCDEF");
}

/* What has letters is about names; with digits alone it is about addresses, since the owner of
 * an address can name it 10.1.example.org. */
static int read_wildcard(const struct reader *in)
{
	bool has_letters = false, has_digits = strpbrk(in->word, DIGITS);

	if (has_only(in->word, "*"))
		return add_kind(in, WRAPPERS_ALL);
	if (strpbrk(in->word, "[]:") || is_half_of_ipv6(in->word))
		return remark(in, "is of IPv6, which has no wildcards here; write [NET]/BITS");
	if (in->word[0] == '.' || in->word[strlen(in->word) - 1] == '.')
		return remark(in, "has a wildcard and a dot at its end; write the one or the "
				  "other");
	for (const char *at = in->word; *at; at++) {
		bool is_letter = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
		                 *at == '-' || *at == '_';

		has_letters = has_letters || is_letter;
		if (!is_letter && !strchr(DIGITS ".*?", *at))
			return remark(in, "is neither a pattern of names nor of addresses");
	}
	return add_pattern(in,
		has_letters  ? WRAPPERS_HOST_LIKE
		: has_digits ? WRAPPERS_ADDRESS_LIKE
			     : WRAPPERS_EITHER_LIKE,
		in->word);
}

/* A name that shouts is a word, and not well written. */
static int tell_shouting(const struct reader *in)
{
	const char *near = text_nearest(in->word, words);

	if (near)
		return remark(in, "is no word here; did you mean '%s'?", near);
	return 0;
}

static int read_name(const struct reader *in)
{
	char name[HOSTNAME_ROOM];
	int r = 0;

	if (has_only(in->word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
		r = tell_shouting(in);
	if (r < 0)
		return r;
	if (in->word[0] == '#')
		return remark(in, "begins no comment: that has its # at the beginning of the "
				  "line");
	if (hostname_read_pattern(in->word, name) < 0)
		return remark(in, "is neither an address nor a name");
	return wrappers_items_add(
		in->items, &(struct wrappers_item){.kind = WRAPPERS_HOST, .text = name});
}

/*
 * Hosts.
 */

static int read_word(const struct reader *in)
{
	static const enum wrappers_kind kinds[] = {WRAPPERS_ALL, WRAPPERS_LOCAL, WRAPPERS_KNOWN,
		WRAPPERS_UNKNOWN, WRAPPERS_PARANOID};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (wrappers_is_word(in->word, words[i]))
			return add_kind(in, kinds[i]);
	return -ENOENT;
}

static int read_foreign(const struct reader *in)
{
	if (in->word[0] == '@')
		return remark(in, "is a netgroup, and those are not asked");
	if (in->word[0] == '{')
		return remark(in, "is a list at a name server, and those are not asked");
	return -ENOENT;
}

static int read_address(const struct reader *in)
{
	size_t len = strlen(in->word);
	struct addr_prefix prefix;

	if (in->word[0] == '[')
		return read_brackets(in);
	if (strchr(in->word, '/'))
		return read_masked(in);
	if (strpbrk(in->word, "*?"))
		return read_wildcard(in);
	if (in->word[len - 1] == '.')
		return read_beginning(in);
	if (addr_parse_prefix(in->word, &prefix) == 0)
		return add_prefix(in, &prefix);
	return has_only(in->word, DIGITS ".") ? tell_no_address(in) : -ENOENT;
}

static int read_host(const struct reader *in)
{
	int r;

	if (in->word[0] == '\0')
		return remark(in, "is no host");
	r = read_word(in);
	if (r == -ENOENT)
		r = read_foreign(in);
	if (r == -ENOENT)
		r = read_address(in);
	return r == -ENOENT ? read_name(in) : r;
}

int wrappers_host_read(const char *word, enum wrappers_side side, struct wrappers_items *items,
	char remark_buf[WRAPPERS_REMARK_MAX])
{
	const struct reader in = {
		.word = word, .side = side, .items = items, .remark = remark_buf};
	int r = read_host(&in);

	if (r < 0 || side == WRAPPERS_OF_CLIENT)
		return r;
	if (wrappers_wants_name(&items->items[items->n - 1]) ||
		items->items[items->n - 1].kind == WRAPPERS_UNKNOWN)
		return remark(&in, "is about names; those of this machine are not looked up, "
				   "write its address");
	return 0;
}

/*
 * Users and daemons.
 */

const char *wrappers_behind_at(const char *word)
{
	const char *at = word[0] ? strchr(word + 1, '@') : NULL;

	return at ? at + 1 : NULL;
}

int wrappers_user_read(const char *word, size_t len, struct wrappers_items *items,
	char remark_buf[WRAPPERS_REMARK_MAX])
{
	char user[WRAPPERS_TEXT_MAX + 2];
	struct reader in = {.word = user, .items = items, .remark = remark_buf};

	snprintf(user, sizeof user, "%.*s", (int)(len < sizeof user ? len : sizeof user), word);
	if (user[0] == '@')
		return remark(&in, "is a netgroup, and those are not asked");
	if (wrappers_is_word(user, "ALL") || (user[0] && has_only(user, "*")))
		return 0;
	if (wrappers_is_word(user, "KNOWN"))
		return add_kind(&in, WRAPPERS_USER_KNOWN);
	if (wrappers_is_word(user, "UNKNOWN"))
		return add_kind(&in, WRAPPERS_USER_UNKNOWN);
	return add_pattern(&in, WRAPPERS_USER_LIKE, user);
}

bool wrappers_daemon_matches(const char *pattern, size_t len, const char *name)
{
	char text[WRAPPERS_TEXT_MAX + 1];
	size_t n = strlen(name);

	if (len == 0 || len >= sizeof text)
		return false;
	for (size_t i = 0; i < len; i++)
		text[i] = lower(pattern[i]);
	text[len] = '\0';
	if (strpbrk(text, "*?"))
		return wrappers_is_like(name, text);
	if (strcmp(text, "all") == 0 || strcmp(text, "known") == 0)
		return true;
	if (text[0] == '.')
		return n > len && strcasecmp(text, name + n - len) == 0;
	if (text[len - 1] == '.')
		return strncasecmp(text, name, len) == 0;
	return strcasecmp(text, name) == 0;
}

bool wrappers_wants_name(const struct wrappers_item *item)
{
	switch (item->kind) {
	case WRAPPERS_KNOWN:
	case WRAPPERS_UNKNOWN:
	case WRAPPERS_PARANOID:
	case WRAPPERS_LOCAL:
	case WRAPPERS_HOST:
	case WRAPPERS_HOST_LIKE:
	case WRAPPERS_EITHER_LIKE:
		return true;
	default:
		return false;
	}
}

bool wrappers_wants_user(const struct wrappers_item *item)
{
	return item->kind >= WRAPPERS_USER_KNOWN && item->kind <= WRAPPERS_USER_LIKE;
}
