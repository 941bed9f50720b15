#include "workers/builtin/datagrams.h"

#include "base/fd.h"
#include "base/own.h"
#include "workers/builtin/answers.h"
#include "workers/builtin/outbox.h"
#include "workers/pktinfo.h"

#include <string.h>

/* More than any datagram has. */
#define SLOT 65536

_Static_assert(DATAGRAMS_BATCH <= OUTBOX_MAX, "each may have an answer");

struct datagrams_room {
	struct mmsghdr in[DATAGRAMS_BATCH];
	struct iovec pieces[DATAGRAMS_BATCH];
	struct sockaddr_in6 names[DATAGRAMS_BATCH]; /* or sockaddr_in, which is shorter */
	union pktinfo_in control[DATAGRAMS_BATCH];
	struct outbox *outbox; /* owned */
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
	bool joins; /* its answers may be joined */
	datagrams_admit *admit;
	void *userdata;
	struct datagrams_counts counts;
};

/* One batch on its way. */
struct batch {
	struct datagrams *datagrams;
	struct datagrams_room *room;
	uint64_t random;
	const uint8_t *said; /* what all of them are answered, unless by echo or chargen */
	size_t said_len;
};

struct datagrams_room *datagrams_room_new(void)
{
	struct datagrams_room *room = calloc(1, sizeof *room);

	if (!room)
		return NULL;
	room->outbox = outbox_new();
	if (!room->outbox)
		return datagrams_room_free(room);
	answer_chargen(room->chargen);
	for (unsigned i = 0; i < DATAGRAMS_BATCH; i++) {
		room->pieces[i] = (struct iovec){room->slots[i], SLOT};
		room->in[i].msg_hdr.msg_iov = &room->pieces[i];
		room->in[i].msg_hdr.msg_iovlen = 1;
		room->in[i].msg_hdr.msg_name = &room->names[i];
		room->in[i].msg_hdr.msg_control = &room->control[i];
	}
	return room;
}

struct datagrams_room *datagrams_room_free(struct datagrams_room *room)
{
	if (!room)
		return NULL;
	outbox_free(room->outbox);
	free(room);
	return NULL;
}

/*
 * Beginning
 */

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
	r = pktinfo_begin(fd, &port, &family);
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
	d->joins = outbox_can_join(fd);
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

static bool may_answer(const struct pktinfo *info)
{
	return !info->broadcast && info->hops > 1 &&
	       endpoint_may_answer(&info->from, &info->to);
}

static bool is_admitted(
	const struct datagrams *d, const struct msghdr *message, const struct pktinfo *info)
{
	struct sockaddr_in6 to;
	socklen_t len;

	if (!d->admit)
		return true;
	len = endpoint_to_sockaddr(&info->to, info->family, &to);
	return d->admit(d->userdata, message->msg_name, message->msg_namelen,
		(struct sockaddr *)&to, len);
}

/*
 * Answering
 */

/* One hop less than it had left. */
static int hops_of_answer(const struct pktinfo *info)
{
	return info->hops > DATAGRAMS_HOPS ? DATAGRAMS_HOPS : info->hops - 1;
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
	size_t len = batch->room->in[i].msg_len;
	struct outbox_letter answer;
	struct pktinfo info;

	d->counts.received++;
	d->counts.bytes_in += len;
	if (!pktinfo_learn(in, d->port, &info) || info.hops <= 0) {
		d->counts.failed++;
	} else if (!may_answer(&info)) {
		d->counts.forbidden++;
	} else if (!is_admitted(d, in, &info)) {
		d->counts.refused++;
	} else if (d->kind == BUILTIN_DISCARD) {
		d->counts.discarded++;
	} else if (!make_answer(batch, i, len, &answer.said)) {
		d->counts.too_short++;
	} else {
		answer.to = in->msg_name;
		answer.to_len = in->msg_namelen;
		answer.from = &info.to;
		answer.hops = hops_of_answer(&info);
		outbox_put(batch->room->outbox, &answer);
	}
}

static void send_answers(const struct batch *batch)
{
	struct datagrams *d = batch->datagrams;
	struct outbox_counts counts;

	outbox_send(batch->room->outbox, d->fd, &counts);
	d->counts.answered += counts.sent;
	d->counts.bytes_out += counts.bytes;
	d->counts.failed += counts.failed;
}

/* The kernel has written how much of each it has used. */
static int receive(int fd, struct datagrams_room *room)
{
	int n;

	for (unsigned i = 0; i < DATAGRAMS_BATCH; i++) {
		room->in[i].msg_hdr.msg_namelen = sizeof room->names[i];
		room->in[i].msg_hdr.msg_controllen = sizeof room->control[i];
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
	outbox_clear(room->outbox, d->joins);
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
