#include "hatchctl/metrics/backlog.h"

#include <string.h>
#include <sys/time.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>

/* enum of the kernel that libc has where it does not suit the headers above. */
#define STATE_LISTEN 10

/* The kernel writes no more than this in one go. */
#define ANSWER_MAX 32768

/* s; it answers at once. */
#define PATIENCE 5

/* What a socket is found by: without holes, all of it is compared. */
struct key {
	uint16_t family;
	uint16_t port;      /* network order; of UNIX sockets the type */
	uint32_t interface; /* of a link-local address */
	uint8_t len;        /* of the name */
	uint8_t name[115];  /* address; path, or name behind a NUL */
};
_Static_assert(sizeof(struct key) == 124, "no holes");

struct backlog_entry {
	struct key key;
	struct backlog backlog;
};

/* One question; the answers are of its sort. */
struct question {
	struct nlmsghdr header;
	union {
		struct inet_diag_req_v2 inet;
		struct unix_diag_req unix_;
	} body;
};

void backlogs_done(struct backlogs *backlogs)
{
	free(backlogs->entries);
	*backlogs = (struct backlogs){0};
}

/* --------------------------------------------------------------------- keys */

static bool is_link_local(const void *ip)
{
	const uint8_t *bytes = ip;

	return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}

static void set_ip(
	struct key *key, uint16_t family, const void *ip, uint16_t port, uint32_t interface)
{
	memset(key, 0, sizeof *key);
	key->family = family;
	key->port = port;
	key->len = family == AF_INET6 ? 16 : 4;
	memcpy(key->name, ip, key->len);
	if (family == AF_INET6 && is_link_local(ip))
		key->interface = interface;
}

/* A path ends at its NUL, or where it is cut; a name that begins with one does not. */
static void set_unix(struct key *key, uint16_t type, const void *name, size_t len)
{
	const char *text = name;

	memset(key, 0, sizeof *key);
	key->family = AF_UNIX;
	key->port = type;
	if (len > sizeof key->name)
		len = sizeof key->name;
	if (len > 0 && text[0] != '\0')
		len = strnlen(text, len);
	key->len = (uint8_t)len;
	memcpy(key->name, name, len);
}

static bool set_addr(struct key *key, const struct addr *addr)
{
	if (addr_is_tcp(addr) && addr_family(addr) == AF_INET6)
		set_ip(key, AF_INET6, &addr->in6.sin6_addr, addr->in6.sin6_port,
			if_nametoindex(addr->interface));
	else if (addr_is_tcp(addr))
		set_ip(key, AF_INET, &addr->in.sin_addr, addr->in.sin_port, 0);
	else if (addr_family(addr) == AF_UNIX && !addr_is_datagram(addr))
		set_unix(key, (uint16_t)addr_socktype(addr), addr->un.sun_path,
			addr->len - offsetof(struct sockaddr_un, sun_path));
	else
		return false;
	return true;
}

static int compare(const void *a, const void *b)
{
	const struct backlog_entry *left = a, *right = b;

	return memcmp(&left->key, &right->key, sizeof left->key);
}

/* ------------------------------------------------------------------- answers */

static struct backlog_entry *add_entry(struct backlogs *backlogs)
{
	if (backlogs->n == backlogs->room) {
		size_t room = backlogs->room ? 2 * backlogs->room : 256;
		struct backlog_entry *entries =
			reallocarray(backlogs->entries, room, sizeof *entries);

		if (!entries)
			return NULL;
		backlogs->entries = entries;
		backlogs->room = room;
	}
	return &backlogs->entries[backlogs->n++];
}

static int take_inet(struct backlogs *backlogs, const struct inet_diag_msg *message, size_t len)
{
	struct backlog_entry *entry;

	if (len < sizeof *message)
		return 0;
	entry = add_entry(backlogs);
	if (!entry)
		return -ENOMEM;
	set_ip(&entry->key, message->idiag_family, message->id.idiag_src,
		message->id.idiag_sport, message->id.idiag_if);
	entry->backlog = (struct backlog){message->idiag_rqueue, message->idiag_wqueue};
	return 0;
}

/* Attributes and messages have places of whole words, but for the last, which may end within.
 */
static size_t place_of(size_t len, size_t left)
{
	size_t place = NLMSG_ALIGN(len);

	return place < left ? place : left;
}

static int take_unix(struct backlogs *backlogs, const struct unix_diag_msg *message, size_t len)
{
	const struct rtattr *attr, *name = NULL, *queue = NULL;
	const uint8_t *at = (const uint8_t *)(message + 1);
	struct unix_diag_rqlen lengths;
	struct backlog_entry *entry;

	if (len < sizeof *message)
		return 0;
	len -= sizeof *message;
	for (size_t place; len >= sizeof *attr; at += place, len -= place) {
		attr = (const struct rtattr *)at;
		if (attr->rta_len < sizeof *attr || attr->rta_len > len)
			break;
		if (attr->rta_type == UNIX_DIAG_NAME)
			name = attr;
		else if (attr->rta_type == UNIX_DIAG_RQLEN)
			queue = attr;
		place = place_of(attr->rta_len, len);
	}
	if (!name || !queue || RTA_PAYLOAD(queue) < sizeof lengths)
		return 0;
	entry = add_entry(backlogs);
	if (!entry)
		return -ENOMEM;
	set_unix(&entry->key, message->udiag_type, RTA_DATA(name), RTA_PAYLOAD(name));
	memcpy(&lengths, RTA_DATA(queue), sizeof lengths);
	entry->backlog = (struct backlog){lengths.udiag_rqueue, lengths.udiag_wqueue};
	return 0;
}

static int take_message(struct backlogs *backlogs, const struct nlmsghdr *header)
{
	const struct inet_diag_msg *message = NLMSG_DATA(header);
	size_t len = header->nlmsg_len - sizeof *header;

	/* Both sorts begin with the family. */
	if (len > 0 && message->idiag_family == AF_UNIX)
		return take_unix(backlogs, NLMSG_DATA(header), len);
	return take_inet(backlogs, message, len);
}

/* 1: there is more to come; 0: that was all. */
static int take_messages(struct backlogs *backlogs, const uint8_t *at, size_t len)
{
	int r = 0;

	for (size_t place; len >= sizeof(struct nlmsghdr) && r == 0;
		at += place, len -= place) {
		const struct nlmsghdr *header = (const struct nlmsghdr *)at;

		if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
			header->nlmsg_len < sizeof *header || header->nlmsg_len > len)
			return 0;
		r = take_message(backlogs, header);
		place = place_of(header->nlmsg_len, len);
	}
	return r < 0 ? r : 1;
}

static int ask(struct backlogs *backlogs, int fd, const struct question *question)
{
	_cleanup_free_ uint8_t *answer = malloc(ANSWER_MAX);
	int r = 1;

	if (!answer)
		return -ENOMEM;
	if (send(fd, question, question->header.nlmsg_len, 0) < 0)
		return 0;
	while (r > 0) {
		ssize_t n = recv(fd, answer, ANSWER_MAX, 0);

		r = n <= 0 ? 0 : take_messages(backlogs, answer, (size_t)n);
	}
	return r;
}

static struct nlmsghdr header_of(size_t body)
{
	return (struct nlmsghdr){
		.nlmsg_len = (uint32_t)NLMSG_LENGTH(body),
		.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
	};
}

static int ask_inet(struct backlogs *backlogs, int fd, uint8_t family)
{
	const struct question question = {
		.header = header_of(sizeof question.body.inet),
		.body.inet =
			{
				.sdiag_family = family,
				.sdiag_protocol = IPPROTO_TCP,
				.idiag_states = 1 << STATE_LISTEN,
			},
	};

	return ask(backlogs, fd, &question);
}

static int ask_unix(struct backlogs *backlogs, int fd)
{
	const struct question question = {
		.header = header_of(sizeof question.body.unix_),
		.body.unix_ =
			{
				.sdiag_family = AF_UNIX,
				.udiag_states = 1 << STATE_LISTEN,
				.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_RQLEN,
			},
	};

	return ask(backlogs, fd, &question);
}

int backlogs_get(struct backlogs *ret)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	const struct timeval patience = {.tv_sec = PATIENCE};
	struct backlogs backlogs = {0};
	int r = 0;

	if (fd >= 0 &&
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0) {
		r = ask_inet(&backlogs, fd, AF_INET);
		if (r == 0)
			r = ask_inet(&backlogs, fd, AF_INET6);
		if (r == 0)
			r = ask_unix(&backlogs, fd);
	}
	if (r < 0) {
		backlogs_done(&backlogs);
		return r;
	}
	if (backlogs.n > 0)
		qsort(backlogs.entries, backlogs.n, sizeof *backlogs.entries, compare);
	*ret = backlogs;
	return 0;
}

bool backlogs_find(
	const struct backlogs *backlogs, const struct addr *addr, struct backlog *ret)
{
	struct backlog_entry wanted;
	const struct backlog_entry *found;

	if (backlogs->n == 0 || !set_addr(&wanted.key, addr))
		return false;
	found = bsearch(
		&wanted, backlogs->entries, backlogs->n, sizeof *backlogs->entries, compare);
	if (!found)
		return false;
	*ret = found->backlog;
	return true;
}
