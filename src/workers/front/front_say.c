/*
 * front_say: what a client is told.
 *
 * What a step writes is made anew each time from what is known, and how much of it has been
 * written is counted; so nothing has to be kept for those who read slowly.
 */
#include "base/own.h"
#include "workers/front/front_internal.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Of the list, written at once. */
#define LIST_ROOM 4096

/* What this step writes, or (AT_LIST) the next lines of it. */
struct speech {
	struct iovec pieces[2];
	size_t n_pieces;
	size_t len;
	size_t listed; /* of AT_LIST: names when these lines are written */
	char buf[LIST_ROOM];
};

_Static_assert(TCPMUX_ANSWER_MAX <= LIST_ROOM && TCPMUX_LINE_MAX <= LIST_ROOM, "no room");

static void add(struct speech *speech, const void *bytes, size_t len)
{
	if (len == 0)
		return;
	speech->pieces[speech->n_pieces].iov_base = (void *)bytes;
	speech->pieces[speech->n_pieces++].iov_len = len;
	speech->len += len;
}

static void add_bytes(struct speech *speech, const struct front_bytes *bytes)
{
	add(speech, bytes->data, bytes->len);
}

static void add_answer(struct speech *speech, bool positive, const char *text)
{
	add(speech, speech->buf, tcpmux_write_answer(positive, text, speech->buf));
}

static void add_lines(struct speech *speech, const struct front *front)
{
	const char *const *names = (const char *const *)front->words->text.names;
	size_t n;

	speech->listed = front->listed;
	n = tcpmux_write_help(
		names, front->words->n_names, &speech->listed, speech->buf, sizeof speech->buf);
	add(speech, speech->buf, n);
}

static void compose(const struct front *front, struct speech *ret)
{
	static const struct front_text silence;
	const struct front_text *text = front->words ? &front->words->text : &silence;

	ret->n_pieces = ret->len = 0;
	if (front->step == FRONT_AT_BANNER)
		add_bytes(ret, &text->banner);
	if (front->step == FRONT_AT_WELCOME && front->plus)
		add_answer(ret, true, "go");
	if (front->step == FRONT_AT_WELCOME)
		add_bytes(ret, &text->success);
	if (front->step == FRONT_AT_REFUSAL && front->why)
		add_answer(ret, false, front->why);
	if (front->step == FRONT_AT_REFUSAL && !front->why)
		add_bytes(ret, &text->fail);
	if (front->step == FRONT_AT_LIST && front->words)
		add_lines(ret, front);
}

/* That has been written already. */
static void skip(struct speech *speech, size_t len)
{
	assert(len <= speech->len);
	for (size_t i = 0; i < speech->n_pieces; i++) {
		struct iovec *piece = &speech->pieces[i];
		size_t n = len < piece->iov_len ? len : piece->iov_len;

		piece->iov_base = (char *)piece->iov_base + n;
		piece->iov_len -= n;
		len -= n;
	}
}

/* Our end follows a refusal: one segment for both. */
static ssize_t transmit(struct front *front, struct speech *speech)
{
	struct msghdr message = {.msg_iov = speech->pieces, .msg_iovlen = speech->n_pieces};
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
	ssize_t n;

	if (front->step == FRONT_AT_REFUSAL)
		flags |= MSG_MORE;
	do
		n = sendmsg(front->fd, &message, flags);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		front->out += (uint64_t)n;
	return n < 0 ? -errno : n;
}

/* These are written; of a list there may be more. */
static bool end_speech(struct front *front, const struct speech *speech, bool *ret_all)
{
	front->said = 0;
	*ret_all = true;
	if (front->step == FRONT_AT_LIST && front->words) {
		front->listed = speech->listed;
		*ret_all = front->listed == front->words->n_names;
	}
	return true;
}

bool front_say(struct front *front, bool *ret_all)
{
	struct speech speech;
	ssize_t n;

	*ret_all = false;
	compose(front, &speech);
	skip(&speech, front->said);
	if (front->said == speech.len)
		return end_speech(front, &speech, ret_all);
	n = transmit(front, &speech);
	if (n < 0)
		return n == -EAGAIN ? false : front_fail(front, (int)n);
	front->said += (uint32_t)n;
	return front->said == speech.len ? end_speech(front, &speech, ret_all) : true;
}
