/*
 * hatchd-builtin: answers by itself, in the place of programs: echo, discard, chargen,
 * daytime, time, qotd and fixed texts.
 *
 * Started by hatchd, with the ends of a channel (os/channel) and the number of
 * connections that it has to have room for.
 */
#include "base/clock.h"
#include "base/own.h"
#include "os/sandbox.h"
#include "workers/builtin/stream.h"
#include "workers/work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* Besides connections: 0 to 4, the epoll set, and the text of one that is being begun. */
#define OWN_FDS 16

struct guest {
	struct work_session session; /* first */
	struct stream *stream;
	bool over;
};

static struct guest *guest_of(const struct work_session *session)
{
	return (struct guest *)session;
}

static size_t read_text(int fd, uint8_t text[BUILTIN_REPLY_MAX])
{
	ssize_t len = fd < 0 ? 0 : pread(fd, text, BUILTIN_REPLY_MAX, 0);

	return len < 0 ? 0 : (size_t)len;
}

static int make_stream(
	const struct channel_request *request, int fd, int text_fd, struct stream **ret)
{
	static uint8_t text[BUILTIN_REPLY_MAX];
	struct stream_setup setup = {
		.kind = request->what,
		.text = text,
		.text_len = read_text(text_fd, text),
		.now = clock_monotonic(),
		.wall = clock_wall().tv_sec,
	};

	if (setup.kind == BUILTIN_QOTD)
		(void)!getrandom(&setup.random, sizeof setup.random, GRND_NONBLOCK);
	return stream_new(&setup, fd, ret);
}

static struct work_session *begin(const struct channel_request *request, int fd, int text)
{
	_cleanup_close_ int owned = fd;
	struct guest *guest = calloc(1, sizeof *guest);
	int r = guest ? make_stream(request, fd, text, &guest->stream) : -ENOMEM;

	if (r < 0) {
		free(guest);
		return NULL;
	}
	take_fd(&owned);
	guest->over = r > 0;
	return &guest->session;
}

static bool go(struct work_session *session, uint32_t events)
{
	struct guest *guest = guest_of(session);

	/* One that has just begun, and waits, is not asked again. */
	if (!guest->over && (events != 0 || session->events != 0))
		guest->over = stream_go(guest->stream, events, clock_monotonic());
	return !guest->over;
}

static int fd_of(const struct work_session *session)
{
	return stream_fd(guest_of(session)->stream);
}

static uint32_t events_of(const struct work_session *session)
{
	return stream_events(guest_of(session)->stream);
}

static uint64_t due_of(const struct work_session *session)
{
	return stream_due(guest_of(session)->stream);
}

static void end(struct work_session *session, bool ended, struct channel_answer *ret)
{
	static const uint32_t results[] = {
		[STREAM_OPEN] = CHANNEL_ENDED,
		[STREAM_DONE] = CHANNEL_FINISHED,
		[STREAM_RESET] = CHANNEL_RESET,
		[STREAM_ERROR] = CHANNEL_RESET,
		[STREAM_ABORTED] = CHANNEL_ENDED,
	};
	struct guest *guest = guest_of(session);

	if (ended)
		stream_abort(guest->stream);
	ret->result = results[stream_end(guest->stream)];
	ret->bytes_in = stream_bytes_in(guest->stream);
	ret->bytes_out = stream_bytes_out(guest->stream);
	stream_free(guest->stream);
	free(guest);
}

static const struct work_kind kind = {
	.begin = begin,
	.go = go,
	.fd = fd_of,
	.events = events_of,
	.due = due_of,
	.end = end,
};

static int fail(const char *what, int r)
{
	fprintf(stderr, "hatchd-builtin: unable to %s: %s\n", what, strerror(-r));
	return 1;
}

/* What has to come from a file comes before it is shut: the time zone. */
static int shut_in(uint32_t places)
{
	const struct sandbox sandbox = {.max_fds = places + OWN_FDS};
	struct sandbox_report report;
	int r;

	tzset();
	r = sandbox_enter(&sandbox, &report);
	return r < 0 ? fail(report.failed ? report.failed : "enter the sandbox", r) : 0;
}

int main(int argc, char **argv)
{
	uint32_t places = work_places(argc, argv);
	struct work *work;
	int r;

	if (places == 0) {
		fprintf(stderr, "hatchd-builtin: is started by hatchd\n");
		return 2;
	}
	work_begin("hatchd-builtin");
	r = work_new(&kind, places, &work);
	if (r < 0)
		return fail("begin", r);
	if (shut_in(places) != 0)
		return 1;
	r = work_run(work);
	work_free(work);
	return r < 0 ? fail("go on", r) : 0;
}
