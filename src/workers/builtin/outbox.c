#include "workers/builtin/outbox.h"

#include "base/own.h"

#include <netinet/udp.h>
#include <string.h>

/* The most of one message: so many pieces the oldest kernels take, so many bytes IPv4. */
#define PIECES_MAX 64
#define BYTES_MAX  65000

/* A piece that fits in each packet of IPv6; the kernel does not cut pieces. */
#define PIECE_MAX 1232

union control {
	uint8_t bytes[PKTINFO_OUT + CMSG_SPACE(sizeof(uint16_t))];
	struct cmsghdr align;
};

struct outbox {
	struct mmsghdr messages[OUTBOX_MAX];
	union control control[OUTBOX_MAX];
	struct iovec pieces[OUTBOX_MAX]; /* of one message after the other */
	unsigned n_messages, n_pieces;
	bool joins;
	struct endpoint from; /* of the last message ... */
	int hops;
};

struct outbox *outbox_new(void)
{
	struct outbox *o = calloc(1, sizeof *o);

	if (!o)
		return NULL;
	for (unsigned i = 0; i < OUTBOX_MAX; i++)
		o->messages[i].msg_hdr.msg_control = &o->control[i];
	return o;
}

struct outbox *outbox_free(struct outbox *o)
{
	free(o);
	return NULL;
}

/* An older kernel, and UDP-Lite, would make one datagram of all pieces; they do not know
 * the option either. */
bool outbox_can_join(int fd)
{
	static const int none = 0;

	return setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &none, sizeof none) == 0;
}

void outbox_clear(struct outbox *o, bool joins)
{
	o->n_messages = 0;
	o->n_pieces = 0;
	o->joins = joins;
}

/*
 * Collecting
 */

static bool is_same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	return memcmp(&a->ip, &b->ip, sizeof a->ip) == 0 && a->interface == b->interface &&
	       a->port == b->port;
}

static bool has_room(const struct msghdr *message, size_t len)
{
	return message->msg_iovlen < PIECES_MAX && (message->msg_iovlen + 1) * len <= BYTES_MAX;
}

/* May it go with the last message? */
static bool is_alike(const struct outbox *o, const struct outbox_letter *letter)
{
	const struct msghdr *last;
	size_t len = letter->said.iov_len;

	if (!o->joins || o->n_messages == 0)
		return false;
	last = &o->messages[o->n_messages - 1].msg_hdr;
	return len > 0 && len <= PIECE_MAX && len == last->msg_iov->iov_len &&
	       has_room(last, len) && letter->to_len == last->msg_namelen &&
	       memcmp(letter->to, last->msg_name, letter->to_len) == 0 &&
	       is_same_endpoint(letter->from, &o->from) && letter->hops == o->hops;
}

/* Behind what pktinfo has put there; see forget_size(). */
static void tell_size(struct msghdr *message, size_t len)
{
	uint8_t *end = (uint8_t *)message->msg_control + message->msg_controllen;
	struct cmsghdr *c = (struct cmsghdr *)end;
	uint16_t size = (uint16_t)len;

	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof size);
	memcpy(CMSG_DATA(c), &size, sizeof size);
	message->msg_controllen += CMSG_SPACE(sizeof size);
}

static void forget_size(struct msghdr *message)
{
	message->msg_controllen -= CMSG_SPACE(sizeof(uint16_t));
}

static void begin_message(struct outbox *o, const struct outbox_letter *letter)
{
	struct msghdr *message = &o->messages[o->n_messages++].msg_hdr;

	message->msg_name = letter->to;
	message->msg_namelen = letter->to_len;
	message->msg_iov = &o->pieces[o->n_pieces];
	message->msg_iovlen = 1;
	pktinfo_answer_from(message, letter->from, letter->hops);
	o->from = *letter->from;
	o->hops = letter->hops;
}

void outbox_put(struct outbox *o, const struct outbox_letter *letter)
{
	struct msghdr *last;

	if (o->n_pieces == OUTBOX_MAX)
		return;
	if (is_alike(o, letter)) {
		last = &o->messages[o->n_messages - 1].msg_hdr;
		if (last->msg_iovlen++ == 1)
			tell_size(last, letter->said.iov_len);
	} else {
		begin_message(o, letter);
	}
	o->pieces[o->n_pieces++] = letter->said;
}

/*
 * Sending
 */

static int send_some(int fd, struct mmsghdr *messages, unsigned n)
{
	int r;

	do
		r = sendmmsg(fd, messages, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

/* None can be sent now. */
static bool is_full(int error)
{
	return error == -EAGAIN || error == -ENOBUFS;
}

static void count_sent(const struct mmsghdr *messages, int n, struct outbox_counts *counts)
{
	for (int i = 0; i < n; i++) {
		counts->sent += (unsigned)messages[i].msg_hdr.msg_iovlen;
		counts->bytes += messages[i].msg_len;
	}
}

/* A way that is narrower than that, or a network card that cannot sum up, has no pieces. */
static int send_piecewise(int fd, struct mmsghdr *whole, struct outbox_counts *counts)
{
	struct iovec *pieces = whole->msg_hdr.msg_iov;
	size_t n = whole->msg_hdr.msg_iovlen;
	int r = 0;

	forget_size(&whole->msg_hdr);
	whole->msg_hdr.msg_iovlen = 1;
	for (size_t i = 0; i < n && !is_full(r); i++) {
		whole->msg_hdr.msg_iov = &pieces[i];
		r = send_some(fd, whole, 1);
		count_sent(whole, r, counts);
	}
	return r;
}

void outbox_send(struct outbox *o, int fd, struct outbox_counts *ret)
{
	struct outbox_counts counts = {0};
	unsigned at = 0;
	int r = 0;

	while (at < o->n_messages && !is_full(r)) {
		struct mmsghdr *next = &o->messages[at];

		r = send_some(fd, next, o->n_messages - at);
		count_sent(next, r, &counts);
		if (r < 0 && !is_full(r) && next->msg_hdr.msg_iovlen > 1)
			r = send_piecewise(fd, next, &counts);
		at += r > 0 ? (unsigned)r : 1;
	}
	counts.failed = o->n_pieces - counts.sent;
	*ret = counts;
}
