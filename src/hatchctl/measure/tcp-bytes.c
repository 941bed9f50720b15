#include "hatchctl/measure/tcp-bytes.h"

#include "base/addr.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h> /* that of libc ends before the counts of bytes */

/* The kernel fills 32 KiB at most. */
#define PART_MAX (64 * 1024)

/* It answers out of its memory; this is for a kernel that never says that it is done. */
#define PATIENCE 5 /* s */

#define ENTRIES_FIRST 64

/* include/net/tcp_states.h of the kernel has them; libc's netinet/tcp.h cannot stand beside
 * the header above. */
enum {
	STATE_ESTABLISHED = 1,
	STATE_FIN_WAIT1 = 4,
	STATE_FIN_WAIT2 = 5,
	STATE_CLOSE_WAIT = 8,
	STATE_LAST_ACK = 9,
	STATE_CLOSING = 11,
};

/* Connections, so nobody who listens, and nobody who is not there yet or any more. */
#define STATES                                                                     \
	(1U << STATE_ESTABLISHED | 1U << STATE_FIN_WAIT1 | 1U << STATE_FIN_WAIT2 | \
		1U << STATE_CLOSE_WAIT | 1U << STATE_LAST_ACK | 1U << STATE_CLOSING)

struct reader {
	struct tcp_bytes bytes;
	size_t room;
};

void tcp_bytes_done(struct tcp_bytes *bytes)
{
	free(bytes->entries);
	*bytes = (struct tcp_bytes){0};
}

/* ------------------------------------------------------------------------- keys */

static void set_ip(uint8_t to[16], const void *ip, size_t len)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (len == sizeof mapped + 4) {
		memcpy(to, ip, len);
		return;
	}
	memcpy(to, mapped, sizeof mapped);
	memcpy(to + sizeof mapped, ip, 4);
}

static struct tcp_bytes_key make_key(const struct inet_diag_msg *message)
{
	const struct inet_diag_sockid *id = &message->id;
	size_t len = message->idiag_family == AF_INET6 ? 16 : 4;
	struct tcp_bytes_key key = {
		.local_port = id->idiag_sport, .peer_port = id->idiag_dport};

	set_ip(key.local, id->idiag_src, len);
	set_ip(key.peer, id->idiag_dst, len);
	return key;
}

static bool read_endpoint(const char *text, uint8_t ip[16], uint16_t *ret_port)
{
	char written[ADDR_TEXT_MAX];
	struct addr_spec spec;
	uint8_t bytes[16];
	const char *why;
	size_t len;

	if ((size_t)snprintf(written, sizeof written, "tcp:%s", text) >= sizeof written)
		return false;
	if (addr_parse(written, &spec, &why) < 0 || spec.host[0] != '\0')
		return false;
	len = addr_ip(&spec.addr, bytes);
	if (len == 0)
		return false;
	set_ip(ip, bytes, len);
	*ret_port = htons((uint16_t)addr_port(&spec.addr));
	return true;
}

static int compare(const void *a, const void *b)
{
	const struct tcp_bytes_entry *x = a, *y = b;

	return memcmp(&x->key, &y->key, sizeof x->key);
}

/* ------------------------------------------------------------------ one connection */

/* The kernel counts the end of each direction as one more byte. */
static void set_counts(
	struct tcp_bytes_entry *entry, const struct tcp_info *info, unsigned state)
{
	bool peer_has_ended =
		state == STATE_CLOSE_WAIT || state == STATE_LAST_ACK || state == STATE_CLOSING;

	entry->received = info->tcpi_bytes_received;
	entry->sent = info->tcpi_bytes_acked;
	if (peer_has_ended && entry->received > 0)
		entry->received--;
	if (state == STATE_FIN_WAIT2 && entry->sent > 0)
		entry->sent--;
}

static int make_room(struct reader *reader)
{
	size_t room = reader->room ? 2 * reader->room : ENTRIES_FIRST;
	struct tcp_bytes_entry *entries;

	if (reader->bytes.n_entries < reader->room)
		return 0;
	entries = reallocarray(reader->bytes.entries, room, sizeof *entries);
	if (!entries)
		return -ENOMEM;
	reader->bytes.entries = entries;
	reader->room = room;
	return 0;
}

/* One about which nothing is told is left out. */
static int take_connection(
	struct reader *reader, const struct inet_diag_msg *message, size_t len)
{
	const struct rtattr *attr = (const struct rtattr *)(message + 1);
	struct tcp_info info = {0};
	struct tcp_bytes_entry *entry;
	size_t n;
	int r;

	if (reader->bytes.n_entries == TCP_BYTES_MAX)
		return 0;
	len -= sizeof *message;
	while (RTA_OK(attr, len) && attr->rta_type != INET_DIAG_INFO)
		attr = RTA_NEXT(attr, len);
	if (!RTA_OK(attr, len) || RTA_PAYLOAD(attr) < offsetof(struct tcp_info, tcpi_segs_out))
		return 0;
	r = make_room(reader);
	if (r < 0)
		return r;
	n = RTA_PAYLOAD(attr) < sizeof info ? RTA_PAYLOAD(attr) : sizeof info;
	memcpy(&info, RTA_DATA(attr), n);
	entry = &reader->bytes.entries[reader->bytes.n_entries++];
	entry->key = make_key(message);
	set_counts(entry, &info, message->idiag_state);
	return 0;
}

/* ------------------------------------------------------------------ all connections */

static int ask(int fd, uint8_t family)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 body;
	} question = {
		.header = {.nlmsg_len = sizeof question,
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.body = {.sdiag_family = family,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_ext = 1 << (INET_DIAG_INFO - 1),
			.idiag_states = STATES},
	};

	return send(fd, &question, sizeof question, 0) < 0 ? -errno : 0;
}

/* 1: it was the last one. */
static int take_message(struct reader *reader, const struct nlmsghdr *header)
{
	size_t len = header->nlmsg_len - sizeof *header;
	const void *data = NLMSG_DATA(header);

	switch (header->nlmsg_type) {
	case NLMSG_DONE:
		return 1;
	case NLMSG_ERROR:
		return len < sizeof(struct nlmsgerr) ? -EBADMSG
		                                     : ((const struct nlmsgerr *)data)->error;
	case SOCK_DIAG_BY_FAMILY:
		return len < sizeof(struct inet_diag_msg) ? -EBADMSG
		                                          : take_connection(reader, data, len);
	default:
		return 0;
	}
}

static int take_part(struct reader *reader, const struct nlmsghdr *header, size_t len)
{
	int r = 0;

	while (r == 0 && NLMSG_OK(header, len)) {
		r = take_message(reader, header);
		header = NLMSG_NEXT(header, len);
	}
	return r;
}

static int read_family(int fd, uint8_t family, struct nlmsghdr *part, struct reader *reader)
{
	int r = ask(fd, family);

	while (r == 0) {
		ssize_t n = recv(fd, part, PART_MAX, MSG_TRUNC);

		if (n < 0)
			r = errno == EAGAIN ? -ETIMEDOUT : -errno;
		else if (n == 0 || n > PART_MAX)
			r = -EBADMSG;
		else
			r = take_part(reader, part, (size_t)n);
	}
	return r < 0 ? r : 0;
}

static int open_diag(void)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	const struct timeval patience = {.tv_sec = PATIENCE};

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
		return -errno;
	/* Nobody else is listened to then. */
	if (connect(fd, (const struct sockaddr *)&kernel, sizeof kernel) < 0)
		return -errno;
	return take_fd(&fd);
}

int tcp_bytes_read(struct tcp_bytes *ret)
{
	_cleanup_free_ struct nlmsghdr *part = malloc(PART_MAX);
	_cleanup_close_ int fd = open_diag();
	struct reader reader = {0};
	int r;

	if (!part || fd < 0)
		return part ? fd : -ENOMEM;
	r = read_family(fd, AF_INET, part, &reader);
	if (r == 0)
		r = read_family(fd, AF_INET6, part, &reader);
	if (r < 0) {
		tcp_bytes_done(&reader.bytes);
		return r;
	}
	if (reader.bytes.n_entries > 0)
		qsort(reader.bytes.entries, reader.bytes.n_entries,
			sizeof *reader.bytes.entries, compare);
	*ret = reader.bytes;
	return 0;
}

static bool has_double(const struct tcp_bytes *bytes, const struct tcp_bytes_entry *entry)
{
	const struct tcp_bytes_entry *last = bytes->entries + bytes->n_entries - 1;

	return (entry > bytes->entries && compare(entry - 1, entry) == 0) ||
	       (entry < last && compare(entry, entry + 1) == 0);
}

const struct tcp_bytes_entry *tcp_bytes_find(
	const struct tcp_bytes *bytes, const char *local, const char *peer)
{
	struct tcp_bytes_entry wanted = {0};
	const struct tcp_bytes_entry *found;

	if (!read_endpoint(local, wanted.key.local, &wanted.key.local_port) ||
		!read_endpoint(peer, wanted.key.peer, &wanted.key.peer_port))
		return NULL;
	if (bytes->n_entries == 0)
		return NULL;
	found = bsearch(&wanted, bytes->entries, bytes->n_entries, sizeof wanted, compare);
	return found && !has_double(bytes, found) ? found : NULL;
}
