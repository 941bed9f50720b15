#include "workers/udp/sender.h"

#include "base/own.h"

#include <stddef.h>
#include <string.h>

/* Of whom others of the same network can be had for the asking. */
#define PREFIX4 24
#define PREFIX6 64

/* The kernel's words for "nobody knows". */
#define OVERFLOW_ID 65534

/* Where the address of IPv4 lies in the mapped one. */
#define IPV4_AT 12

_Static_assert(sizeof(struct sockaddr_un) + 2 * sizeof(uint32_t) <= PEER_KEY_MAX,
	"a name has room in a key");

int sender_begin(int fd, pid_t own, struct sender_socket *ret)
{
	union sender_name name;
	socklen_t len = sizeof name;

	if (getsockname(fd, &name.sa, &len) < 0)
		return -errno;
	if (name.sa.sa_family != AF_UNIX)
		return pktinfo_begin(fd, &ret->port, &ret->family);
	/* The master has had the kernel tell users, before there was a datagram. */
	*ret = (struct sender_socket){.family = AF_UNIX, .own = own};
	return 0;
}

size_t sender_control_len(const struct sender_socket *socket)
{
	if (socket->family == AF_UNIX)
		return CMSG_LEN(sizeof(struct ucred));
	return sizeof(union pktinfo_in);
}

/* ------------------------------------------------------------------------- who */

static void learn_user(struct msghdr *message, struct ucred *ret)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(message);

	*ret = (struct ucred){.uid = (uid_t)-1, .gid = (gid_t)-1};
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS ||
		c->cmsg_len < CMSG_LEN(sizeof *ret))
		return;
	memcpy(ret, CMSG_DATA(c), sizeof *ret);
	/* It was sent before anybody wanted to know. */
	if (ret->pid == 0 && ret->uid == OVERFLOW_ID && ret->gid == OVERFLOW_ID)
		ret->uid = (uid_t)-1;
}

static bool learn_local(
	const struct sender_socket *socket, struct msghdr *message, struct sender *ret)
{
	/* Of a socket without a name the kernel says nothing, or only the family. */
	if (message->msg_namelen > offsetof(struct sockaddr_un, sun_path))
		ret->name_len = message->msg_namelen;
	if (ret->name_len > sizeof ret->name.un)
		return false;
	memcpy(&ret->name, message->msg_name, ret->name_len);
	learn_user(message, &ret->user);
	/* Or it would be answered, and the answer as well, for ever. */
	return ret->user.pid != socket->own;
}

static bool learn_ip(
	const struct sender_socket *socket, struct msghdr *message, struct sender *ret)
{
	struct pktinfo info;

	if (!pktinfo_learn(message, socket->port, &info) ||
		message->msg_namelen > sizeof ret->name)
		return false;
	if (info.from.port == 0 || !endpoint_is_single(&info.from.ip))
		return false;
	ret->name_len = message->msg_namelen;
	memcpy(&ret->name, message->msg_name, ret->name_len);
	ret->from = info.from;
	ret->to = info.to;
	ret->is_ip = true;
	ret->hops = info.hops;
	/* Answers to what was sent to many leave from where the kernel will. */
	ret->from_there = !info.broadcast && endpoint_is_single(&info.to.ip);
	return true;
}

bool sender_learn(
	const struct sender_socket *socket, struct msghdr *message, struct sender *ret)
{
	*ret = (struct sender){.user = {.uid = (uid_t)-1}};
	if (socket->family == AF_UNIX)
		return learn_local(socket, message, ret);
	return learn_ip(socket, message, ret);
}

/* ------------------------------------------------------------------- as a name */

static void put(struct peer_key *key, const void *bytes, size_t len)
{
	memcpy(key->bytes + key->len, bytes, len);
	key->len = (uint8_t)(key->len + len);
}

static void put_endpoint(struct peer_key *key, const struct endpoint *endpoint)
{
	put(key, &endpoint->ip, sizeof endpoint->ip);
	put(key, &endpoint->interface, sizeof endpoint->interface);
	put(key, &endpoint->port, sizeof endpoint->port);
}

void sender_key(const struct sender *sender, struct peer_key *ret)
{
	*ret = (struct peer_key){.len = 0};
	if (sender->is_ip) {
		put_endpoint(ret, &sender->from);
		put_endpoint(ret, &sender->to);
		return;
	}
	put(ret, &sender->user.uid, sizeof sender->user.uid);
	if (sender_has_name(sender))
		put(ret, &sender->name, sender->name_len);
	else
		put(ret, &sender->user.pid, sizeof sender->user.pid);
}

static void to_address(const struct endpoint *endpoint, struct channel_address *ret)
{
	const uint8_t *ip = endpoint->ip.s6_addr;
	bool mapped = IN6_IS_ADDR_V4MAPPED(&endpoint->ip);

	*ret = (struct channel_address){.family = mapped ? AF_INET : AF_INET6};
	ret->port = endpoint->port;
	memcpy(ret->ip, mapped ? ip + IPV4_AT : ip, mapped ? 4 : sizeof endpoint->ip);
}

void sender_source(const struct sender *sender, struct addr_source *ret)
{
	struct addr addr;

	if (!sender->is_ip) {
		addr_source_uid(sender->user.uid, ret);
		return;
	}
	addr_from_ip(
		ADDR_UDP, &sender->from.ip, sizeof sender->from.ip, sender->from.port, &addr);
	addr_source(&addr, PREFIX4, PREFIX6, ret);
}

void sender_facts(const struct sender *sender, struct channel_facts *ret)
{
	if (sender->is_ip) {
		to_address(&sender->from, &ret->peer);
		to_address(&sender->to, &ret->local);
	} else if (sender->user.uid != (uid_t)-1) {
		ret->peer.family = AF_UNIX;
		memcpy(ret->peer.ip, &sender->user, sizeof sender->user);
	}
}

/* ------------------------------------------------------------------- to answer */

bool sender_has_name(const struct sender *sender)
{
	return sender->name_len > 0;
}

void sender_address(struct sender *sender, struct msghdr *message, union sender_answer *control)
{
	message->msg_name = &sender->name;
	message->msg_namelen = sender->name_len;
	message->msg_control = NULL;
	message->msg_controllen = 0;
	if (!sender->from_there)
		return;
	message->msg_control = control;
	pktinfo_answer_from(message, &sender->to, 0);
}
