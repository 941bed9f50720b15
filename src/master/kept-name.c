#include "master/kept-name.h"

#include "base/own.h"
#include "base/strv.h"
#include "base/text.h"
#include "conf/format.h"
#include "conf/options.h"
#include "policy/siphash.h"

#include <stdio.h>
#include <string.h>

#define LONG_PREFIX "hatchd/"
#define KEY_LEN     (KEPT_KEY_MAX - 1)

/* Of a name, NUL not included. */
#define NAME_LEN_MAX (KEPT_NAME_MAX - 1)

/* Longest text of a place, before anything in it is encoded. */
#define PLACE_MAX (ADDR_TEXT_MAX + SERVICE_NAME_MAX + 16)

/* Such options in names, whatever their place in the table is in another version. */
static const struct letter {
	const char *option;
	char letter;
} letters[] = {
	{"priority", 'p'},
	{"keepalive_time", 't'},
	{"keepalive_interval", 'i'},
	{"keepalive_probes", 'n'},
	{"congestion", 'c'},
	{"send_buffer", 's'},
	{"receive_buffer", 'r'},
};

/* --------------------------------------------------------------------- digests */

/* Nobody is to be kept from finding another text with the same digest: what a name leads to
 * is looked at before it is used.  But it has to be the same in the next life. */
static uint64_t fold(uint64_t hash, const char *text)
{
	uint8_t key[16] = {'h', 'a', 't', 'c', 'h', 'd', '-', '1'};

	memcpy(key + 8, &hash, sizeof hash);
	return siphash(text, strlen(text), key);
}

static uint64_t fold_number(uint64_t hash, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof text, "%llu", (unsigned long long)number);
	return fold(hash, text);
}

static void write_digest(uint64_t hash, char buf[KEPT_KEY_MAX])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789-_";

	for (int i = 0; i < KEY_LEN; i++, hash >>= 6)
		buf[i] = digits[hash & 63];
	buf[KEY_LEN] = '\0';
}

static int fold_option(
	const struct service_conf *conf, const struct conf_option *option, uint64_t *hash)
{
	char **values = NULL;
	int r = format_option(option, conf, &values);

	if (r < 0)
		return r;
	*hash = fold(*hash, option->name);
	for (char **value = values; value && *value; value++)
		*hash = fold(*hash, *value);
	strv_free(values);
	return 0;
}

/* ---------------------------------------------------------------------- stamps */

/* Of v6only counts what becomes of it, as in conf/diff. */
static bool says_something(const struct service_conf *conf, const struct conf_option *option,
	const struct addr *addr)
{
	static const struct service_conf nothing;

	if (!conf_option_concerns(option, addr))
		return false;
	if (option->offset == offsetof(struct service_conf, v6only))
		return addr_takes_ipv4(addr, conf->v6only) != addr_takes_ipv4(addr, -1);
	return !conf_option_equal(
		option, conf_option_field(option, conf), conf_option_field(option, &nothing));
}

/* All that options with one of these flags say; 0 if that is nothing. */
static int digest_options(
	const struct service_conf *conf, const struct addr *addr, unsigned flags, uint64_t *ret)
{
	uint64_t hash = 0;
	int r = 0;

	for (const struct conf_option *o = conf_options; o->name && r == 0; o++)
		if (o->flags & flags && says_something(conf, o, addr))
			r = fold_option(conf, o, &hash);
	*ret = hash;
	return r;
}

static size_t put_letters(
	const struct service_conf *conf, const struct addr *addr, char buf[KEPT_STAMP_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(letters); i++)
		if (says_something(conf, conf_option_find(letters[i].option), addr))
			buf[n++] = letters[i].letter;
	buf[n] = '\0';
	return n;
}

static int make_stamp(
	const struct service_conf *conf, const struct addr *addr, char buf[KEPT_STAMP_MAX])
{
	size_t n = put_letters(conf, addr, buf);
	uint64_t hash;
	int r = digest_options(conf, addr, OPTION_SOCKET_BIND, &hash);

	if (r < 0 || hash == 0)
		return r;
	buf[n++] = '.';
	write_digest(hash, buf + n);
	return 0;
}

/* What must be the same for a socket to stay that programs have had, see conf/diff. */
static int make_lent_stamp(
	const struct service_conf *conf, const struct addr *addr, char buf[KEPT_STAMP_MAX])
{
	uint64_t hash;
	int r = digest_options(conf, addr, OPTION_SOCKET_BIND | OPTION_SOCKET_LIVE, &hash);

	if (r < 0)
		return r;
	hash = fold(hash, conf->path ? conf->path : "");
	hash = fold(hash, conf->chroot ? conf->chroot : "");
	hash = fold_number(hash, conf->change_identity);
	hash = fold_number(hash, conf->uid);
	hash = fold_number(hash, conf->gid);
	hash = fold_number(hash, addr_is_path(addr) ? conf->socket_uid : 0);
	hash = fold_number(hash, addr_is_path(addr) ? conf->socket_gid : 0);
	buf[0] = '!';
	write_digest(hash, buf + 1);
	return 0;
}

/* ---------------------------------------------------------------------- places */

static size_t rank_of(const struct service_conf *conf, size_t index)
{
	size_t rank = 0;

	for (size_t i = 0; i < index; i++)
		rank += addr_equal(&conf->listen[i].addr, &conf->listen[index].addr);
	return rank;
}

static void write_place(const struct service_conf *conf, size_t index, char buf[PLACE_MAX])
{
	const struct addr *addr = &conf->listen[index].addr;
	char text[ADDR_TEXT_MAX];

	addr_format(addr, text);
	if (addr_port_space(addr) && addr_port(addr) == 0)
		snprintf(buf, PLACE_MAX, "%s,%s,%zu", text, conf->name ? conf->name : "",
			rank_of(conf, index));
	else
		snprintf(buf, PLACE_MAX, "%s", text);
}

/* Where a name cannot have the byte as it is: three more of them at most. */
static const char *encode(char c, char buf[4])
{
	if (c == ':')
		return "=";
	if (c > ' ' && c < 0x7f && c != '=' && c != '%')
		snprintf(buf, 4, "%c", c);
	else
		snprintf(buf, 4, "%%%02X", (unsigned char)c);
	return buf;
}

static void encode_place(const char *text, struct kept_wish *wish)
{
	size_t n = 0;
	char buf[4];

	wish->cut = false;
	for (; *text; text++) {
		const char *piece = encode(*text, buf);
		size_t len = strlen(piece);

		if (n + len >= sizeof wish->place) {
			wish->cut = true;
			break;
		}
		memcpy(wish->place + n, piece, len);
		n += len;
	}
	wish->place[n] = '\0';
}

int kept_wish_make(const struct service_conf *conf, size_t index, struct kept_wish *ret)
{
	const struct addr *addr = &conf->listen[index].addr;
	struct kept_wish wish = {0};
	char text[PLACE_MAX];
	int r;

	write_place(conf, index, text);
	encode_place(text, &wish);
	write_digest(fold(0, text), wish.key);
	r = make_stamp(conf, addr, wish.stamp);
	if (r == 0 && conf->wait)
		r = make_lent_stamp(conf, addr, wish.lent);
	if (r == 0)
		*ret = wish;
	return r;
}

/* ----------------------------------------------------------------------- names */

const char *kept_wish_name(const struct kept_wish *wish, bool brief, char buf[KEPT_NAME_MAX])
{
	const char *stamp = wish->lent[0] ? wish->lent : wish->stamp;
	size_t len = strlen(LONG_PREFIX) + strlen(stamp) + 1 + strlen(wish->place);

	if (brief || wish->cut || len > NAME_LEN_MAX)
		snprintf(buf, KEPT_NAME_MAX, "~%s%s", wish->key, stamp);
	else
		snprintf(buf, KEPT_NAME_MAX, LONG_PREFIX "%s/%.*s", stamp, (int)len,
			wish->place);
	return buf;
}

bool kept_name_is_ours(const char *name)
{
	return name[0] == '~' || strncmp(name, LONG_PREFIX, strlen(LONG_PREFIX)) == 0;
}

static int take_stamp(const char *text, size_t len, struct kept_name *name)
{
	if (len >= sizeof name->stamp)
		return -EINVAL;
	memcpy(name->stamp, text, len);
	name->stamp[len] = '\0';
	return 0;
}

/* One byte of a place; 0: that is no place. */
static char decode(const char **text)
{
	const char *at = *text;
	int high, low;

	*text += *at == '%' ? 3 : 1;
	if (*at == '=')
		return ':';
	if (*at != '%')
		return *at;
	high = text_hex_digit(at[1]);
	low = high < 0 ? -1 : text_hex_digit(at[2]);
	return low < 0 ? '\0' : (char)(high * 16 + low);
}

static int parse_long(const char *rest, struct kept_name *name)
{
	const char *place = strchr(rest, '/');
	char text[KEPT_NAME_MAX];
	size_t n = 0;

	if (!place || take_stamp(rest, (size_t)(place - rest), name) < 0)
		return -EINVAL;
	place++;
	if (!*place || strlen(place) >= sizeof text)
		return -EINVAL;
	while (*place) {
		text[n] = decode(&place);
		if (text[n++] == '\0')
			return -EINVAL;
	}
	text[n] = '\0';
	write_digest(fold(0, text), name->key);
	return 0;
}

static int parse_brief(const char *rest, struct kept_name *name)
{
	if (strlen(rest) < KEY_LEN)
		return -EINVAL;
	memcpy(name->key, rest, KEY_LEN);
	name->key[KEY_LEN] = '\0';
	return take_stamp(rest + KEY_LEN, strlen(rest + KEY_LEN), name);
}

int kept_name_parse(const char *name, struct kept_name *ret)
{
	struct kept_name parsed;
	int r;

	if (!kept_name_is_ours(name) || strlen(name) > NAME_LEN_MAX)
		return -EINVAL;
	r = name[0] == '~' ? parse_brief(name + 1, &parsed)
	                   : parse_long(name + strlen(LONG_PREFIX), &parsed);
	if (r == 0)
		*ret = parsed;
	return r;
}

bool kept_name_is_lent(const struct kept_name *name)
{
	return name->stamp[0] == '!';
}

/* Whether each letter of `had` is one of `has`: none was set that is not set now. */
static bool are_among(const char *had, size_t n_had, const char *has, size_t n_has)
{
	for (size_t i = 0; i < n_had; i++)
		if (!memchr(has, had[i], n_has))
			return false;
	return true;
}

bool kept_name_fits(const struct kept_name *name, const struct kept_wish *wish)
{
	const char *had = name->stamp, *has = wish->stamp;
	size_t n_had = strcspn(had, "."), n_has = strcspn(has, ".");

	if (kept_name_is_lent(name))
		return strcmp(had, wish->lent) == 0;
	return are_among(had, n_had, has, n_has) && strcmp(had + n_had, has + n_has) == 0;
}
