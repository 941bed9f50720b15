#include "conf/explain-peer.h"

#include "base/text.h"

#include <string.h>

#define NO_CLIENT "write a client as 192.0.2.7, [2001:db8::7]:1234, vsock:3 or unix:uid=USER"

/* HOST, HOST:PORT or [HOST]:PORT, whose port makes no difference.  False if that is
 * not what it is. */
static bool split_port(const char *text, char host[ADDR_PREFIX_MAX])
{
	const char *last = strrchr(text, ':'), *end = text + strlen(text);
	bool bracket = text[0] == '[';
	uint32_t port;

	if (bracket) {
		text++;
		end = strchr(text, ']');
		if (!end || (end[1] && (end[1] != ':' || end + 1 != last)))
			return false;
	}
	/* Two colons make it IPv6, which has its port behind a bracket. */
	if (last && (bracket ? last > end : strchr(text, ':') == last)) {
		if (text_parse_u32(last + 1, &port) < 0 || port > UINT16_MAX)
			return false;
		end = bracket ? end : last;
	}
	if (end - text >= ADDR_PREFIX_MAX)
		return false;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	return strchr(host, '/') == NULL;
}

/* As the log names a link-local client: "[fe80::1%eth0]:1234".  His interface is not asked
 * for. */
static int parse_ip(const char *text, struct addr_source *ret, struct addr_prefix *ret_prefix)
{
	char host[ADDR_PREFIX_MAX], *interface;

	if (!split_port(text, host))
		return -EINVAL;
	interface = strchr(host, '%');
	if (interface)
		*interface = '\0';
	if (addr_parse_prefix(host, ret_prefix) < 0)
		return -EINVAL;
	ret->family = ret_prefix->family;
	memcpy(ret->bytes, ret_prefix->bytes, sizeof ret->bytes);
	if (interface && (interface[1] == '\0' || !addr_source_is_link_local(ret)))
		return -EINVAL;
	return 0;
}

static int read_ip(const char *text, struct explain_peer *ret, const char **reterr)
{
	char shown[ADDR_PREFIX_MAX];
	struct addr_prefix prefix;

	if (parse_ip(text, &ret->peer.who, &prefix) < 0) {
		*reterr = NO_CLIENT;
		return -EINVAL;
	}
	ret->sort = prefix.family == ADDR_SOURCE_IPV4 ? "IPv4" : "IPv6";
	addr_format_prefix(&prefix, shown);
	snprintf(ret->shown, sizeof ret->shown, "%.*s", (int)strcspn(shown, "/"), shown);
	return 0;
}

static int read_vsock(const char *text, struct explain_peer *ret, const char **reterr)
{
	_cleanup_free_ char *number = strndup(text, strcspn(text, ":"));
	uint32_t cid;

	if (!number)
		return -ENOMEM;
	if (text_parse_u32(number, &cid) < 0) {
		*reterr = NO_CLIENT;
		return -EINVAL;
	}
	ret->peer.who.family = ADDR_SOURCE_VSOCK;
	memcpy(ret->peer.who.bytes, &cid, sizeof cid);
	ret->sort = "vsock";
	snprintf(ret->shown, sizeof ret->shown, "vsock:%u", cid);
	return 0;
}

static void add_group(struct explain_peer *ret, gid_t gid)
{
	if (ret->peer.n_groups < ARRAY_SIZE(ret->groups))
		ret->groups[ret->peer.n_groups++] = gid;
	else
		ret->peer.more_groups = true;
}

static int add_user(const char *name, struct identities *identities, struct explain_peer *ret)
{
	const gid_t *groups;
	size_t n;
	uid_t uid;
	int r;

	r = identity_find_user(identities, name, &uid);
	if (r < 0)
		return r;
	addr_source_uid(uid, &ret->peer.who);
	snprintf(ret->shown, sizeof ret->shown, "uid %u", uid);
	r = identity_find_groups(identities, name, &groups, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		add_group(ret, groups[i]);
	return r;
}

static int read_unix(char *text, struct identities *identities, struct explain_peer *ret,
	const char **reterr)
{
	const char *user = strsep(&text, ","), *group;
	gid_t gid;
	int r;

	ret->sort = "UNIX";
	ret->peer.groups = ret->groups;
	*reterr = "there is no such user";
	r = add_user(user, identities, ret);
	while (r == 0 && (group = strsep(&text, ","))) {
		*reterr = "there is no such group";
		r = strncmp(group, "gid=", 4) == 0 ? identity_find_group(group + 4, &gid)
		                                   : -EINVAL;
		if (r == 0)
			add_group(ret, gid);
	}
	return r == 0 || r == -ENOMEM ? r : -EINVAL;
}

int explain_peer_read(const char *text, struct identities *identities, struct explain_peer *ret,
	const char **reterr)
{
	static const char unix_mark[] = "unix:uid=", vsock_mark[] = "vsock:";
	_cleanup_free_ char *copy = NULL;

	memset(ret, 0, sizeof *ret);
	if (strncmp(text, vsock_mark, strlen(vsock_mark)) == 0)
		return read_vsock(text + strlen(vsock_mark), ret, reterr);
	if (strncmp(text, unix_mark, strlen(unix_mark)) != 0)
		return read_ip(text, ret, reterr);
	copy = strdup(text + strlen(unix_mark));
	return copy ? read_unix(copy, identities, ret, reterr) : -ENOMEM;
}
