#include "base/tcp-diag.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"

#include <errno.h>
#include <string.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h> /* that of libc ends before the counts of bytes */

#ifndef SOL_MPTCP
#define SOL_MPTCP 284
#endif

#ifndef MPTCP_INFO
#define MPTCP_INFO 1
#endif

/* More than an answer has; one that is longer would be cut. */
#define ANSWER_MAX 4096

/* The beginning of struct mptcp_info as Linux 6.10 has it: older headers end before
 * what is wanted of it.  Milliseconds. */
struct mptcp_facts {
	uint8_t counts[8];
	uint32_t flags;
	uint32_t token;
	uint64_t sequences[3];
	uint8_t addresses[4];
	uint32_t retransmits;
	uint64_t bytes_retrans;
	uint64_t bytes_sent;
	uint64_t bytes_received;
	uint64_t bytes_acked;
	uint8_t subflows[4];
	uint32_t last_data_sent;
	uint32_t last_data_recv;
	uint32_t last_ack_recv;
};
_Static_assert(sizeof(struct mptcp_facts) == 96, "as the kernel writes it");

/* Answers to those who did not wait for them. */
#define STALE_MAX 16

/* All states, since only one connection is meant. */
#define ANY_STATE UINT32_MAX

struct question {
	struct nlmsghdr header;
	struct inet_diag_req_v2 body;
	struct nlattr attr; /* of several paths: the protocol, which is no byte any more */
	uint32_t protocol;
};

#define PLAIN_QUESTION_LEN offsetof(struct question, attr)

/* The token is what the kernel finds it by. */
static int learn_paths(int fd, struct tcp_handle *handle)
{
	struct mptcp_facts facts;
	socklen_t len = sizeof facts;

	if (getsockopt(fd, SOL_MPTCP, MPTCP_INFO, &facts, &len) < 0 || len < sizeof facts)
		return -EPROTONOSUPPORT;
	handle->token = facts.token;
	return 0;
}

int tcp_diag_learn(int fd, struct tcp_handle *ret)
{
	struct tcp_handle handle = {0};
	socklen_t len = sizeof(int);
	int protocol, interface = 0, r;

	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) < 0)
		return -errno;
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP)
		return -EPROTONOSUPPORT;
	r = protocol == IPPROTO_MPTCP ? learn_paths(fd, &handle) : 0;
	if (r < 0)
		return r;
	len = sizeof handle.cookie;
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &handle.cookie, &len) < 0)
		return -errno;
	len = sizeof interface;
	if (getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &interface, &len) < 0)
		return -errno;
	handle.interface = (uint32_t)interface;
	*ret = handle;
	return 0;
}

int tcp_diag_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);

	return fd < 0 ? -errno : fd;
}

static void put_addr(const struct addr *addr, __be16 *port, __be32 to[4])
{
	if (addr_family(addr) == AF_INET6) {
		*port = addr->in6.sin6_port;
		memcpy(to, &addr->in6.sin6_addr, sizeof addr->in6.sin6_addr);
	} else {
		*port = addr->in.sin_port;
		to[0] = addr->in.sin_addr.s_addr;
	}
}

static void make_question(const struct addr *local, const struct addr *peer,
	const struct tcp_handle *handle, struct question *ret)
{
	struct inet_diag_sockid *id = &ret->body.id;

	memset(ret, 0, sizeof *ret);
	ret->header.nlmsg_len = PLAIN_QUESTION_LEN;
	ret->header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	ret->header.nlmsg_flags = NLM_F_REQUEST;
	/* Another one in all likelihood than the question before had. */
	ret->header.nlmsg_seq = (uint32_t)handle->cookie;
	ret->body.sdiag_family = (uint8_t)addr_family(peer);
	ret->body.sdiag_protocol = IPPROTO_TCP;
	ret->body.idiag_ext = 1 << (INET_DIAG_INFO - 1);
	ret->body.idiag_states = ANY_STATE;
	put_addr(local, &id->idiag_sport, id->idiag_src);
	put_addr(peer, &id->idiag_dport, id->idiag_dst);
	id->idiag_if = handle->interface;
	id->idiag_cookie[0] = (uint32_t)handle->cookie;
	id->idiag_cookie[1] = (uint32_t)(handle->cookie >> 32);
	if (handle->token == 0)
		return;
	id->idiag_cookie[0] = handle->token;
	ret->header.nlmsg_len = sizeof *ret;
	ret->attr = (struct nlattr){
		.nla_len = sizeof ret->attr + sizeof ret->protocol,
		.nla_type = INET_DIAG_REQ_PROTOCOL,
	};
	ret->protocol = IPPROTO_MPTCP;
}

static uint64_t silence(uint32_t received, uint32_t sent)
{
	return USEC_PER_MSEC * (received < sent ? received : sent);
}

static int read_tcp(const struct inet_diag_msg *message, const void *data, size_t len,
	struct tcp_facts *ret)
{
	struct tcp_info info = {0};

	if (len < offsetof(struct tcp_info, tcpi_segs_out))
		return -EOPNOTSUPP;
	memcpy(&info, data, len < sizeof info ? len : sizeof info);
	*ret = (struct tcp_facts){
		.held = message->idiag_inode != 0,
		.received = info.tcpi_bytes_received,
		.silent = silence(info.tcpi_last_data_recv, info.tcpi_last_data_sent),
		.bytes = tcp_bytes_of(message->idiag_state, info.tcpi_bytes_received,
			message->idiag_rqueue, info.tcpi_bytes_acked),
	};
	return 0;
}

static int read_mptcp(const void *data, size_t len, struct tcp_facts *ret)
{
	struct mptcp_facts facts;

	if (len < sizeof facts)
		return -EOPNOTSUPP;
	memcpy(&facts, data, sizeof facts);
	*ret = (struct tcp_facts){
		.held = 1,
		.received = facts.bytes_received,
		.silent = silence(facts.last_data_recv, facts.last_data_sent),
	};
	return 0;
}

/* A token may be another one's by now, the cookie never. */
static bool is_meant(const struct inet_diag_msg *message, const struct tcp_handle *handle)
{
	return message->id.idiag_cookie[0] == (uint32_t)handle->cookie &&
	       message->id.idiag_cookie[1] == (uint32_t)(handle->cookie >> 32);
}

/* What is left of one for a while after its end has no counts, and of one over several paths
 * nobody wants to know what it has still to send. */
static int read_facts(const struct inet_diag_msg *message, size_t len,
	const struct tcp_handle *handle, struct tcp_facts *ret)
{
	const void *info;
	size_t info_len;

	if (len < sizeof *message)
		return -EBADMSG;
	if (!is_meant(message, handle) || (message->idiag_inode == 0 && handle->token != 0))
		return -ENOENT;
	info = tcp_end_find_info(message, len, &info_len);
	if (!info)
		return message->idiag_inode == 0 ? -ENOENT : -EOPNOTSUPP;
	return handle->token != 0 ? read_mptcp(info, info_len, ret)
	                          : read_tcp(message, info, info_len, ret);
}

static int read_answer(
	const struct nlmsghdr *header, const struct tcp_handle *handle, struct tcp_facts *ret)
{
	size_t len = header->nlmsg_len - sizeof *header;
	const void *data = header + 1;

	if (header->nlmsg_type == SOCK_DIAG_BY_FAMILY)
		return read_facts(data, len, handle, ret);
	if (header->nlmsg_type != NLMSG_ERROR || len < sizeof(struct nlmsgerr))
		return -EBADMSG;
	return ((const struct nlmsgerr *)data)->error;
}

/* It is there when the question has been put. */
static int receive(
	int diag_fd, uint32_t seq, const struct tcp_handle *handle, struct tcp_facts *ret)
{
	union {
		struct nlmsghdr header;
		uint8_t bytes[ANSWER_MAX];
	} answer;

	for (int i = 0; i < STALE_MAX; i++) {
		ssize_t n = recv(diag_fd, &answer, sizeof answer, MSG_DONTWAIT);

		if (n < 0)
			return -errno;
		if ((size_t)n < sizeof answer.header || answer.header.nlmsg_len > (size_t)n ||
			answer.header.nlmsg_len < sizeof answer.header)
			return -EBADMSG;
		if (answer.header.nlmsg_seq == seq)
			return read_answer(&answer.header, handle, ret);
	}
	return -EAGAIN;
}

/* -ESTALE: there is one of the same addresses. */
static int ask(int diag_fd, const struct addr *local, const struct addr *peer,
	const struct tcp_handle *handle, struct tcp_facts *ret)
{
	static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct question question;

	make_question(local, peer, handle, &question);
	if (sendto(diag_fd, &question, question.header.nlmsg_len, MSG_DONTWAIT,
		    (const struct sockaddr *)&kernel, sizeof kernel) < 0)
		return -errno;
	return receive(diag_fd, question.header.nlmsg_seq, handle, ret);
}

int tcp_diag_ask(int diag_fd, const struct addr *local, const struct addr *peer,
	const struct tcp_handle *handle, struct tcp_facts *ret)
{
	int r = ask(diag_fd, local, peer, handle, ret);

	return r == -ESTALE ? -ENOENT : r;
}

/* Something that exists for certain: a socket that listens, for nobody but this machine.
 * Its address is put into *ret. */
static int listen_somewhere(const char *where, struct addr *ret)
{
	_cleanup_close_ int fd = -EBADF;
	struct addr_spec spec;
	const char *why;
	socklen_t len;

	if (addr_parse(where, &spec, &why) < 0)
		return -EINVAL;
	fd = addr_socket(&spec.addr, SOCK_CLOEXEC);
	if (fd < 0)
		return fd;
	if (bind(fd, &spec.addr.sa, spec.addr.len) < 0 || listen(fd, 1) < 0)
		return -errno;
	len = spec.addr.len;
	if (getsockname(fd, &spec.addr.sa, &len) < 0)
		return -errno;
	*ret = spec.addr;
	return take_fd(&fd);
}

/* One without a loopback device has nothing to ask after: 0, it cannot be told. */
static int listen_here(struct addr *local, struct addr *peer)
{
	int fd = listen_somewhere("tcp:127.0.0.1:0", local);

	if (fd < 0)
		fd = listen_somewhere("tcp:[::1]:0", local);
	*peer = (struct addr){
		.kind = ADDR_TCP, .sa.sa_family = (sa_family_t)addr_family(local)};
	return fd;
}

/* Without a handler for TCP the kernel says of everything that it does not exist. */
int tcp_diag_probe(void)
{
	_cleanup_close_ int fd = tcp_diag_open(), listener = -EBADF;
	struct tcp_handle handle;
	struct addr local, peer;
	struct tcp_facts facts;
	int r;

	if (fd < 0)
		return fd;
	listener = listen_here(&local, &peer);
	if (listener < 0 || tcp_diag_learn(listener, &handle) < 0)
		return 0;
	r = ask(fd, &local, &peer, &handle, &facts);
	return r == -ESTALE ? 0 : r == -ENOENT ? -EPROTONOSUPPORT : r;
}
