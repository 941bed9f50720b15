#include "base/tcp-end.h"

#include "base/own.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h> /* that of libc ends before the counts of bytes */

/* States as <netinet/tcp.h> numbers them, which cannot be had beside <linux/tcp.h>. */
enum {
	STATE_FIN_WAIT2 = 5,
	STATE_TIME_WAIT = 6,
	STATE_CLOSE_WAIT = 8,
	STATE_LAST_ACK = 9,
	STATE_CLOSING = 11,
};

/* Any state: only one connection is meant. */
#define ANY_STATE UINT32_MAX

struct question {
	struct nlmsghdr header;
	struct inet_diag_req_v2 body;
};

static int join(int fd)
{
	static const int groups[] = {SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY};

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			    sizeof groups[i]) < 0)
			return -errno;
	return 0;
}

/* Without an address of its own it would be taken for the kernel, who is told nothing. */
int tcp_end_open(int room)
{
	static const struct sockaddr_nl any = {.nl_family = AF_NETLINK};
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	int r;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	if (bind(fd, (const struct sockaddr *)&any, sizeof any) < 0)
		return -errno;
	r = join(fd);
	return r < 0 ? r : take_fd(&fd);
}

static uint64_t cookie_of(const struct inet_diag_sockid *id)
{
	return (uint64_t)id->idiag_cookie[1] << 32 | id->idiag_cookie[0];
}

/* Data alone, without what was sent again. */
static uint64_t sent_once(const struct tcp_info *info)
{
	return info->tcpi_bytes_sent - info->tcpi_bytes_retrans;
}

/*
 * Where anything is unread, the client's end is, too: so that what was read is exact.  Else
 * it may be among what was read; not if there never was any data, and where our own end
 * has arrived it can be found out.
 */
static void count(const struct tcp_info *info, uint32_t unread, struct tcp_end *ret)
{
	uint64_t received = info->tcpi_bytes_received, acked = info->tcpi_bytes_acked;
	bool ended = acked == sent_once(info) + 1;

	ret->bytes.out = ended ? acked - 1 : acked;
	ret->bytes.in = received > unread ? received - unread : 0;
	if (info->tcpi_data_segs_in == 0)
		ret->bytes.in = 0;
	ret->vague = ended && unread == 0 && ret->bytes.in > 0;
}

static int read_info(const void *data, size_t len, uint32_t unread, struct tcp_end *ret)
{
	struct tcp_info info = {0};

	if (len < offsetof(struct tcp_info, tcpi_dsack_dups))
		return -EOPNOTSUPP;
	memcpy(&info, data, len < sizeof info ? len : sizeof info);
	count(&info, unread, ret);
	return 0;
}

/* The last one need not be as long as its place. */
static size_t place_of(const struct rtattr *attr, size_t left)
{
	size_t len = RTA_ALIGN(attr->rta_len);

	return len < left ? len : left;
}

const void *tcp_end_find_info(const struct inet_diag_msg *body, size_t len, size_t *ret_len)
{
	const uint8_t *at = (const uint8_t *)(body + 1);
	size_t left = len - sizeof *body;

	while (left >= sizeof(struct rtattr)) {
		const struct rtattr *attr = (const struct rtattr *)at;

		if (attr->rta_len < sizeof *attr || attr->rta_len > left)
			return NULL;
		if (attr->rta_type == INET_DIAG_INFO) {
			*ret_len = attr->rta_len - sizeof *attr;
			return attr + 1;
		}
		at += place_of(attr, left);
		left -= place_of(attr, left);
	}
	return NULL;
}

static int read_body(const struct inet_diag_msg *body, size_t len, struct tcp_end *ret)
{
	struct tcp_end end = {
		.cookie = cookie_of(&body->id),
		.family = body->idiag_family,
		.id = body->id,
	};
	size_t info_len;
	const void *info = tcp_end_find_info(body, len, &info_len);
	int r = info ? read_info(info, info_len, body->idiag_rqueue, &end) : -EOPNOTSUPP;

	if (r == 0)
		*ret = end;
	return r;
}

int tcp_end_read(const void *message, size_t len, struct tcp_end *ret)
{
	const struct nlmsghdr *header = message;
	const struct inet_diag_msg *body;

	if (len < sizeof *header || header->nlmsg_len > len ||
		header->nlmsg_len < sizeof *header + sizeof *body ||
		header->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return -EBADMSG;
	body = (const struct inet_diag_msg *)(header + 1);
	return read_body(body, header->nlmsg_len - sizeof *header, ret);
}

/* Nobody's lock is taken: whoever has its addresses now has another cookie. */
static int put_question(int diag_fd, const struct tcp_end *end)
{
	static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct question question;

	memset(&question, 0, sizeof question);
	question.header.nlmsg_len = sizeof question;
	question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	question.header.nlmsg_flags = NLM_F_REQUEST;
	question.body.sdiag_family = end->family;
	question.body.sdiag_protocol = IPPROTO_TCP;
	question.body.idiag_states = ANY_STATE;
	question.body.id = end->id;
	return sendto(diag_fd, &question, sizeof question, MSG_DONTWAIT,
		       (const struct sockaddr *)&kernel, sizeof kernel) < 0
	               ? -errno
	               : 0;
}

/* Does the kernel say for certain that nothing is left of it? */
static bool is_forgotten(int diag_fd, const struct tcp_end *end)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr why;
		uint8_t rest[TCP_END_MAX];
	} answer;
	ssize_t n;

	if (put_question(diag_fd, end) < 0)
		return false;
	n = recv(diag_fd, &answer, sizeof answer, MSG_DONTWAIT);
	if (n < (ssize_t)offsetof(typeof(answer), rest) ||
		answer.header.nlmsg_type != NLMSG_ERROR)
		return false;
	return answer.why.error == -ENOENT || answer.why.error == -ESTALE;
}

void tcp_end_settle(int diag_fd, struct tcp_end *end)
{
	if (end->vague && is_forgotten(diag_fd, end))
		end->bytes.in--;
	end->vague = false;
}

static bool has_their_end(int state)
{
	return state == STATE_CLOSE_WAIT || state == STATE_LAST_ACK || state == STATE_CLOSING ||
	       state == STATE_TIME_WAIT;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

struct tcp_bytes tcp_bytes_of(int state, uint64_t received, uint32_t unread, uint64_t acked)
{
	bool ours_arrived = state == STATE_FIN_WAIT2 || state == STATE_TIME_WAIT;

	if (unread == 0 && has_their_end(state))
		unread = 1;
	return (struct tcp_bytes){
		.in = less(received, unread),
		.out = less(acked, ours_arrived),
	};
}
