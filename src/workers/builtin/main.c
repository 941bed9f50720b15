/*
 * hatchd-builtin: answers by itself, in the place of programs: echo, discard, chargen,
 * daytime, time, qotd and fixed texts.
 *
 * Started by hatchd, with the ends of a channel (os/channel) and the number of
 * connections that it has to have room for.
 */
#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "policy/access.h"
#include "workers/builtin/post.h"
#include "workers/builtin/stream.h"
#include "workers/program.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <time.h>

/* Besides connections: 0 to 4, the epoll set, and the text of one that is being begun. */
#define OWN_FDS 16

/* Rules, and a reply. */
#define TEXT_MAX ((size_t)ACCESS_TABLE_MAX + BUILTIN_REPLY_MAX)

/* A connection, or a socket of datagrams. */
struct guest {
	struct work_session session; /* first */
	struct stream *stream;       /* NULL: it is a socket */
	struct post *post;
	bool over;
};

static struct guest *guest_of(const struct work_session *session)
{
	return (struct guest *)session;
}

/* What came along for it. */
struct text {
	uint8_t *bytes; /* owned */
	size_t len;
};

/* What is longer than anything that the master sends is not read. */
static int read_text(int fd, struct text *ret)
{
	char *bytes;
	int r = fd < 0 ? 0 : fd_read_all(fd, TEXT_MAX, &bytes, &ret->len);

	if (fd >= 0 && r == 0)
		ret->bytes = (uint8_t *)bytes;
	return r;
}

static int make_stream(const struct channel_request *request, const struct text *text, int fd,
	struct guest *guest)
{
	struct stream_setup setup = {
		.kind = request->what,
		.text = text->bytes,
		.text_len = text->len,
		.now = clock_monotonic(),
		.wall = clock_wall().tv_sec,
	};
	int r;

	if (setup.kind == BUILTIN_QOTD)
		(void)!getrandom(&setup.random, sizeof setup.random, GRND_NONBLOCK);
	r = stream_new(&setup, fd, &guest->stream);
	guest->over = r > 0;
	return r;
}

static int make_post(const struct channel_request *request, const struct text *text, int fd,
	struct guest *guest)
{
	struct post_setup setup = {
		.kind = request->what,
		.rules = text->bytes,
		.rules_len = request->rules_len,
	};

	if (setup.rules_len > text->len)
		return -EBADMSG;
	if (text->bytes)
		setup.text = text->bytes + setup.rules_len;
	setup.text_len = text->len - setup.rules_len;
	return post_new(&setup, fd, &guest->post);
}

static int make_guest(
	const struct channel_request *request, int fd, int text_fd, struct guest *guest)
{
	struct text text = {NULL, 0};
	int r = read_text(text_fd, &text);

	if (r == 0)
		r = request->is_socket ? make_post(request, &text, fd, guest)
		                       : make_stream(request, &text, fd, guest);
	free(text.bytes);
	return r;
}

static struct work_session *begin(const struct channel_request *request, int fd, int text)
{
	_cleanup_close_ int owned = fd;
	struct guest *guest = calloc(1, sizeof *guest);
	int r = guest ? make_guest(request, fd, text, guest) : -ENOMEM;

	if (r < 0) {
		free(guest);
		return NULL;
	}
	take_fd(&owned);
	return &guest->session;
}

static bool go(struct work_session *session, unsigned which, uint32_t events)
{
	struct guest *guest = guest_of(session);

	(void)which;
	/* One that has just begun, and waits, is not asked again. */
	if (guest->over || (events == 0 && session->events[0] == 0))
		return !guest->over;
	if (guest->post)
		return post_go(guest->post);
	guest->over = stream_go(guest->stream, events, clock_monotonic());
	return !guest->over;
}

static bool lasts(const struct work_session *session)
{
	return guest_of(session)->post != NULL;
}

static int fd_of(const struct work_session *session, unsigned which)
{
	const struct guest *guest = guest_of(session);

	(void)which;
	return guest->post ? post_fd(guest->post) : stream_fd(guest->stream);
}

static uint32_t events_of(const struct work_session *session, unsigned which)
{
	const struct guest *guest = guest_of(session);

	(void)which;
	return guest->post ? EPOLLIN : stream_events(guest->stream);
}

static uint64_t due_of(const struct work_session *session)
{
	const struct guest *guest = guest_of(session);

	return guest->post ? USEC_INFINITY : stream_due(guest->stream);
}

static void end_stream(struct stream *stream, bool ended, struct channel_answer *ret)
{
	static const uint32_t results[] = {
		[STREAM_OPEN] = CHANNEL_ENDED,
		[STREAM_DONE] = CHANNEL_FINISHED,
		[STREAM_RESET] = CHANNEL_RESET,
		[STREAM_ERROR] = CHANNEL_RESET,
		[STREAM_ABORTED] = CHANNEL_ENDED,
	};

	if (ended)
		stream_abort(stream);
	ret->result = results[stream_end(stream)];
	if (stream_end(stream) == STREAM_ERROR && stream_error(stream) == ENOMEM)
		ret->result = CHANNEL_REFUSED;
	ret->bytes_in = stream_bytes_in(stream);
	ret->bytes_out = stream_bytes_out(stream);
	stream_free(stream);
}

static void end_post(struct post *post, struct channel_answer *ret)
{
	ret->result = CHANNEL_ENDED;
	ret->bytes_in = post_counts(post)->bytes_in;
	ret->bytes_out = post_counts(post)->bytes_out;
	post_free(post);
}

static void end(struct work_session *session, bool ended, struct channel_answer *ret)
{
	struct guest *guest = guest_of(session);

	if (guest->post)
		end_post(guest->post, ret);
	else
		end_stream(guest->stream, ended, ret);
	free(guest);
}

static const struct work_kind kind = {
	.n_fds = 1,
	.begin = begin,
	.go = go,
	.lasts = lasts,
	.fd = fd_of,
	.events = events_of,
	.due = due_of,
	.end = end,
};

/* What has to come from a file comes before it is shut: the time zone. */
static int prepare(const char *called, uint32_t places, struct sandbox *ret)
{
	(void)called;
	tzset();
	ret->groups = SANDBOX_DATAGRAMS;
	ret->max_fds = places + OWN_FDS;
	return 0;
}

int main(int argc, char **argv)
{
	static const struct program program = {"hatchd-builtin", &kind, prepare};

	return program_main(&program, argc, argv);
}
