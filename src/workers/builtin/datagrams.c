#include "workers/builtin/datagrams.h"

#include "base/fd.h"
#include "base/own.h"
#include "workers/builtin/answers.h"
#include "workers/builtin/endpoint.h"

#include <string.h>

/* More than any datagram has. */
#define SLOT 65536

/* For what we ask the kernel to say, and for what else a socket may be told to. */
#define CONTROL_IN  256
#define CONTROL_OUT (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)))

union control_in {
	uint8_t bytes[CONTROL_IN];
	struct cmsghdr align;
};

union control_out {
	uint8_t bytes[CONTROL_OUT];
	struct cmsghdr align;
};

struct datagrams_room {
	struct mmsghdr in[DATAGRAMS_BATCH], out[DATAGRAMS_BATCH];
	struct iovec in_pieces[DATAGRAMS_BATCH], out_pieces[DATAGRAMS_BATCH];
	struct sockaddr_in6 names[DATAGRAMS_BATCH]; /* or sockaddr_in, which is shorter */
	union control_in control_in[DATAGRAMS_BATCH];
	union control_out control_out[DATAGRAMS_BATCH];
	uint8_t chargen[ANSWER_CHARGEN_PERIOD];
	uint8_t said[ANSWER_MAX];
	uint8_t slots[DATAGRAMS_BATCH][SLOT];
};

struct datagrams {
	int fd; /* owned */
	enum service_builtin kind;
	uint8_t *text; /* owned */
	size_t text_len;
	uint16_t port;
	datagrams_admit *admit;
	void *userdata;
	struct datagrams_counts counts;
};

/* What an answer has to know of a datagram. */
struct arrival {
	struct endpoint from, to;
	sa_family_t family; /* of the socket */
	bool known;         /* the kernel has said where it went */
	bool broadcast;
	int hops; /* left; 0: the kernel has not said it */
};

/* One batch on its way. */
struct batch {
	struct datagrams *datagrams;
	struct datagrams_room *room;
	uint64_t random;
	const uint8_t *said; /* what all of them are answered, unless by echo or chargen */
	size_t said_len;
	unsigned n_out;
};

struct datagrams_room *datagrams_room_new(void)
{
	struct datagrams_room *room = calloc(1, sizeof *room);

	if (!room)
		return NULL;
	answer_chargen(room->chargen);
	for (unsigned i = 0; i < DATAGRAMS_BATCH; i++) {
		room->in_pieces[i] = (struct iovec){room->slots[i], SLOT};
		room->in[i].msg_hdr.msg_iov = &room->in_pieces[i];
		room->in[i].msg_hdr.msg_iovlen = 1;
		room->in[i].msg_hdr.msg_name = &room->names[i];
		room->in[i].msg_hdr.msg_control = &room->control_in[i];

		room->out[i].msg_hdr.msg_iov = &room->out_pieces[i];
		room->out[i].msg_hdr.msg_iovlen = 1;
		room->out[i].msg_hdr.msg_control = &room->control_out[i];
	}
	return room;
}

struct datagrams_room *datagrams_room_free(struct datagrams_room *room)
{
	free(room);
	return NULL;
}

/*
 * Beginning
 */

static int switch_on(int fd, int level, int name)
{
	static const int on = 1;

	return setsockopt(fd, level, name, &on, sizeof on) < 0 ? -errno : 0;
}

/* A socket of IPv6 may have clients of IPv4, of which IPv6 does not say all. */
static int have_kernel_tell(int fd, sa_family_t family)
{
	int r;

	r = switch_on(fd, IPPROTO_IP, IP_PKTINFO);
	if (r == 0)
		r = switch_on(fd, IPPROTO_IP, IP_RECVTTL);
	if (r < 0 || family == AF_INET)
		return r;
	r = switch_on(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO);
	if (r < 0)
		return r;
	return switch_on(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT);
}

static int learn_port(int fd, uint16_t *ret, sa_family_t *ret_family)
{
	union {
		struct sockaddr sa;
		struct sockaddr_storage storage;
	} name;
	socklen_t len = sizeof name;
	struct endpoint own;

	if (getsockname(fd, &name.sa, &len) < 0)
		return -errno;
	if (!endpoint_from_sockaddr(&name.sa, len, &own))
		return -EPROTONOSUPPORT;
	*ret = own.port;
	*ret_family = name.sa.sa_family;
	return 0;
}

static int copy_text(struct datagrams *d, const struct datagrams_setup *setup)
{
	if (setup->text_len == 0)
		return 0;
	d->text = malloc(setup->text_len);
	if (!d->text)
		return -ENOMEM;
	memcpy(d->text, setup->text, setup->text_len);
	d->text_len = setup->text_len;
	return 0;
}

int datagrams_new(const struct datagrams_setup *setup, int fd, struct datagrams **ret)
{
	struct datagrams *d;
	sa_family_t family = AF_UNSPEC;
	uint16_t port = 0;
	int r;

	if (setup->kind == BUILTIN_NONE || setup->kind >= BUILTIN_TCPMUX)
		return -EINVAL;
	r = learn_port(fd, &port, &family);
	if (r < 0)
		return r;
	r = have_kernel_tell(fd, family);
	if (r < 0)
		return r;
	d = calloc(1, sizeof *d);
	if (!d)
		return -ENOMEM;
	d->fd = -EBADF;
	if (copy_text(d, setup) < 0) {
		datagrams_free(d);
		return -ENOMEM;
	}
	d->fd = fd;
	d->port = port;
	d->kind = setup->kind;
	d->admit = setup->admit;
	d->userdata = setup->userdata;
	*ret = d;
	return 0;
}

struct datagrams *datagrams_free(struct datagrams *d)
{
	if (!d)
		return NULL;
	fd_close(d->fd);
	free(d->text);
	free(d);
	return NULL;
}

/*
 * Reading
 */

static void learn_ipv4(const struct cmsghdr *c, struct arrival *arrival)
{
	struct in_pktinfo info;

	if (c->cmsg_type == IP_TTL) {
		memcpy(&arrival->hops, CMSG_DATA(c), sizeof arrival->hops);
	} else if (c->cmsg_type == IP_PKTINFO) {
		memcpy(&info, CMSG_DATA(c), sizeof info);
		arrival->to.ip = endpoint_ipv4(info.ipi_addr);
		arrival->to.interface = 0;
		/* Where it was sent, and what the kernel would send from.  The latter is not
		 * known of what came before we asked for it; but to send from an address
		 * that is not its own, the kernel refuses. */
		arrival->broadcast = info.ipi_spec_dst.s_addr != 0 &&
		                     info.ipi_spec_dst.s_addr != info.ipi_addr.s_addr;
		arrival->known = true;
	}
}

/* Of IPv4, this says where it went, but not whether that was broadcast. */
static void learn_ipv6(const struct cmsghdr *c, struct arrival *arrival)
{
	struct in6_pktinfo info;

	if (c->cmsg_type == IPV6_HOPLIMIT) {
		memcpy(&arrival->hops, CMSG_DATA(c), sizeof arrival->hops);
	} else if (c->cmsg_type == IPV6_PKTINFO) {
		memcpy(&info, CMSG_DATA(c), sizeof info);
		if (IN6_IS_ADDR_V4MAPPED(&info.ipi6_addr))
			return;
		arrival->to.ip = info.ipi6_addr;
		if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
			arrival->to.interface = info.ipi6_ifindex;
		arrival->known = true;
	}
}

/* Where it comes from and where it went; false if the kernel did not say all of that. */
static bool learn_arrival(struct msghdr *message, uint16_t port, struct arrival *ret)
{
	*ret = (struct arrival){.to.port = port};
	if (message->msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return false;
	if (!endpoint_from_sockaddr(message->msg_name, message->msg_namelen, &ret->from))
		return false;
	ret->family = ((struct sockaddr *)message->msg_name)->sa_family;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == IPPROTO_IP)
			learn_ipv4(c, ret);
		else if (c->cmsg_level == IPPROTO_IPV6)
			learn_ipv6(c, ret);
	}
	return ret->known && ret->hops > 0;
}

static bool may_answer(const struct arrival *arrival)
{
	return !arrival->broadcast && arrival->hops > 1 &&
	       endpoint_may_answer(&arrival->from, &arrival->to);
}

static bool is_admitted(
	const struct datagrams *d, const struct msghdr *message, const struct arrival *arrival)
{
	struct sockaddr_in6 to;
	socklen_t len;

	if (!d->admit)
		return true;
	len = endpoint_to_sockaddr(&arrival->to, arrival->family, &to);
	return d->admit(d->userdata, message->msg_name, message->msg_namelen,
		(struct sockaddr *)&to, len);
}

/*
 * Answering
 */

static void put_control(
	struct msghdr *message, int level, int type, const void *value, size_t len)
{
	struct cmsghdr *c =
		(struct cmsghdr *)((uint8_t *)message->msg_control + message->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), value, len);
	message->msg_controllen += CMSG_SPACE(len);
}

/* From the address that was asked.  By which interface is for the routes to say, unless the
 * address has a meaning on that one only. */
static void address_answer(struct msghdr *message, const struct arrival *arrival)
{
	int hops = arrival->hops > DATAGRAMS_HOPS ? DATAGRAMS_HOPS : arrival->hops - 1;
	struct in6_pktinfo info6 = {arrival->to.ip, arrival->to.interface};
	struct in_pktinfo info4 = {0};

	message->msg_controllen = 0;
	if (IN6_IS_ADDR_V4MAPPED(&arrival->to.ip)) {
		memcpy(&info4.ipi_spec_dst, arrival->to.ip.s6_addr + 12,
			sizeof info4.ipi_spec_dst);
		put_control(message, IPPROTO_IP, IP_PKTINFO, &info4, sizeof info4);
		put_control(message, IPPROTO_IP, IP_TTL, &hops, sizeof hops);
		return;
	}
	put_control(message, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
	put_control(message, IPPROTO_IPV6, IPV6_HOPLIMIT, &hops, sizeof hops);
}

/* A number from 0 to `max` for the one with that index; all alike in likelihood, almost. */
static size_t draw(const struct batch *batch, unsigned i, size_t max)
{
	/* splitmix64, by S. Vigna */
	uint64_t z = batch->random + (i + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return (size_t)(z % (max + 1));
}

/* What number `i`, of `len` bytes, is answered; false if there is no answer so short. */
static bool make_answer(struct batch *batch, unsigned i, size_t len, struct iovec *ret)
{
	size_t max = len < ANSWER_CHARGEN_DATAGRAM_MAX ? len : ANSWER_CHARGEN_DATAGRAM_MAX;

	switch (batch->datagrams->kind) {
	case BUILTIN_ECHO:
		*ret = (struct iovec){batch->room->slots[i], len};
		return true;
	case BUILTIN_CHARGEN:
		*ret = (struct iovec){batch->room->chargen, draw(batch, i, max)};
		return true;
	default:
		*ret = (struct iovec){(void *)batch->said, batch->said_len};
		return batch->said_len > 0 && batch->said_len <= len;
	}
}

/* Look at one that was read, and put its answer to the others if it gets one. */
static void judge(struct batch *batch, unsigned i)
{
	struct datagrams *d = batch->datagrams;
	struct msghdr *in = &batch->room->in[i].msg_hdr;
	struct msghdr *out = &batch->room->out[batch->n_out].msg_hdr;
	size_t len = batch->room->in[i].msg_len;
	struct arrival arrival;

	d->counts.received++;
	d->counts.bytes_in += len;
	if (!learn_arrival(in, d->port, &arrival)) {
		d->counts.failed++;
	} else if (!may_answer(&arrival)) {
		d->counts.forbidden++;
	} else if (!is_admitted(d, in, &arrival)) {
		d->counts.refused++;
	} else if (d->kind == BUILTIN_DISCARD) {
		d->counts.discarded++;
	} else if (!make_answer(batch, i, len, &batch->room->out_pieces[batch->n_out])) {
		d->counts.too_short++;
	} else {
		out->msg_name = in->msg_name;
		out->msg_namelen = in->msg_namelen;
		address_answer(out, &arrival);
		batch->n_out++;
	}
}

static void count_sent(struct datagrams *d, const struct mmsghdr *messages, unsigned n)
{
	d->counts.answered += n;
	for (unsigned i = 0; i < n; i++)
		d->counts.bytes_out += messages[i].msg_len;
}

/* One that cannot be sent does not keep the others back, unless none can be now. */
static void send_answers(const struct batch *batch)
{
	struct datagrams *d = batch->datagrams;
	unsigned at = 0;

	while (at < batch->n_out) {
		int n = sendmmsg(d->fd, batch->room->out + at, batch->n_out - at,
			MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			count_sent(d, batch->room->out + at, (unsigned)n);
			at += (unsigned)n;
		} else if (errno == EAGAIN || errno == ENOBUFS) {
			d->counts.failed += batch->n_out - at;
			return;
		} else if (errno != EINTR) {
			d->counts.failed++;
			at++;
		}
	}
}

/* The kernel has written how much of each it has used. */
static int receive(int fd, struct datagrams_room *room)
{
	int n;

	for (unsigned i = 0; i < DATAGRAMS_BATCH; i++) {
		room->in[i].msg_hdr.msg_namelen = sizeof room->names[i];
		room->in[i].msg_hdr.msg_controllen = sizeof room->control_in[i];
	}
	n = recvmmsg(fd, room->in, DATAGRAMS_BATCH, MSG_DONTWAIT, NULL);
	if (n >= 0)
		return n;
	/* Others are about one datagram, or the answer to one, or will not last. */
	return errno == EBADF || errno == ENOTSOCK ? -errno : 0;
}

int datagrams_go(
	struct datagrams *d, struct datagrams_room *room, const struct datagrams_moment *moment)
{
	struct batch batch = {.datagrams = d, .room = room, .random = moment->random};
	int n = receive(d->fd, room);

	if (n <= 0)
		return n;
	batch.said_len = answer_make(d->kind, d->text, d->text_len, moment->wall,
		moment->random, room->said, &batch.said);
	for (unsigned i = 0; i < (unsigned)n; i++)
		judge(&batch, i);
	send_answers(&batch);
	return n;
}

int datagrams_fd(const struct datagrams *d)
{
	return d->fd;
}

const struct datagrams_counts *datagrams_counts(const struct datagrams *d)
{
	return &d->counts;
}
