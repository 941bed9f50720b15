#include "os/counter.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "os/helper.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define NAME "hatchd-bytes"

/* Pauses before it is started again. */
#define PAUSE_MIN (100 * USEC_PER_MSEC)
#define PAUSE_MAX (30 * USEC_PER_SEC)

/* What it has not read yet of what it was told, as long as it may be behind: some thousands
 * of orders. */
#define ORDERS_ROOM (4 << 20)

/* Messages in one call: however fast it talks, everybody else has his turn. */
#define BATCH 16

/* Losses that it may tell of beside one in BYTES_LOST_PAUSE: the clock was read a while ago,
 * and the first one may come at once. */
#define LOST_SPARE 2

struct counter {
	struct helper process;
	uint32_t generation; /* of the process that runs or was last */
	bool wanted;
	bool ready;   /* it hears the kernel */
	bool refused; /* it never will */
	/* Of this process. */
	uint64_t since;   /* usec, monotonic; it did not run before */
	uint64_t n_asked; /* connections it was named and has said nothing of */
	uint64_t n_lost;  /* how often it has told of a loss */
	uint64_t start_at, pause;
	int trouble;
};

int counter_new(int program, int null, int lowest, struct counter **ret)
{
	struct counter *counter = calloc(1, sizeof *counter);
	int r;

	if (!counter) {
		fd_close(program);
		return -ENOMEM;
	}
	r = helper_init(&counter->process, NAME, program, null, lowest);
	if (r < 0) {
		free(counter);
		return r;
	}
	counter->pause = PAUSE_MIN;
	*ret = counter;
	return 0;
}

void counter_done(struct counter *counter)
{
	if (!counter)
		return;
	helper_done(&counter->process);
	free(counter);
}

int counter_fd(const struct counter *counter)
{
	return counter->process.epoll_fd;
}

pid_t counter_pid(const struct counter *counter)
{
	return counter->process.pid;
}

uint64_t counter_starts(const struct counter *counter)
{
	return counter->process.starts;
}

static bool runs(const struct counter *counter)
{
	return counter->process.socket >= 0;
}

uint32_t counter_generation(const struct counter *counter)
{
	return runs(counter) ? counter->generation : 0;
}

int counter_trouble(struct counter *counter)
{
	int trouble = counter->trouble;

	counter->trouble = 0;
	return trouble;
}

const char *counter_explain(int trouble, char buf[HELPER_WHY_MAX])
{
	switch (trouble) {
	case -ENOBUFS:
		return "more connections end than the kernel can tell of";
	case -EAGAIN:
		return NAME " is behind";
	default:
		return helper_explain(NAME, trouble, buf);
	}
}

/* ------------------------------------------------------------------- the process */

void counter_want(struct counter *counter, bool wanted)
{
	counter->wanted = wanted;
	counter->refused = false;
}

static void pause_before_start(struct counter *counter, int trouble, uint64_t now)
{
	counter->trouble = trouble;
	counter->start_at = now + counter->pause;
	counter->pause = counter->pause * 2 < PAUSE_MAX ? counter->pause * 2 : PAUSE_MAX;
}

/* That it was ready shows nothing: it may end each time it has been. */
static void give_up(struct counter *counter, int trouble, uint64_t now)
{
	if (now >= counter->since + PAUSE_MAX)
		counter->pause = PAUSE_MIN;
	helper_end(&counter->process, now);
	pause_before_start(counter, trouble, now);
}

/* Not 0, which is no process. */
static void begin_generation(struct counter *counter, uint64_t now)
{
	static const int room = ORDERS_ROOM;

	if (++counter->generation == 0)
		counter->generation = 1;
	counter->ready = false;
	counter->since = now;
	counter->n_asked = counter->n_lost = 0;
	if (setsockopt(counter->process.socket, SOL_SOCKET, SO_SNDBUFFORCE, &room,
		    sizeof room) < 0)
		(void)setsockopt(
			counter->process.socket, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
}

static void start(struct counter *counter, uint64_t now)
{
	int r;

	if (runs(counter) || counter->refused || now < counter->start_at)
		return;
	r = helper_start(&counter->process);
	if (r < 0)
		pause_before_start(counter, r, now);
	else
		begin_generation(counter, now);
}

static uint64_t due(const struct counter *counter)
{
	uint64_t due = counter->process.reap_at;

	if (counter->wanted && !counter->refused && !runs(counter) && counter->start_at < due)
		due = counter->start_at;
	return due;
}

uint64_t counter_tend(struct counter *counter, uint64_t now)
{
	if (now >= counter->process.reap_at)
		helper_reap(&counter->process, now);
	if (counter->wanted)
		start(counter, now);
	else if (runs(counter))
		helper_end(&counter->process, now);
	return due(counter);
}

/* --------------------------------------------------------------------- messages */

static bool send_order(struct counter *counter, const struct bytes_order *order)
{
	if (!runs(counter))
		return false;
	return send(counter->process.socket, order, sizeof *order,
		       MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof *order;
}

bool counter_watch(struct counter *counter, uint64_t cookie, uint64_t ticket)
{
	const struct bytes_order order = {
		.kind = BYTES_WATCH, .cookie = cookie, .ticket = ticket};

	if (send_order(counter, &order)) {
		counter->n_asked++;
		return true;
	}
	if (runs(counter))
		counter->trouble = -EAGAIN;
	return false;
}

/* Where there is no room to say so it stays in its table, as nobody's, until it ends. */
void counter_forget(struct counter *counter, uint64_t cookie)
{
	const struct bytes_order order = {.kind = BYTES_FORGET, .cookie = cookie};

	send_order(counter, &order);
}

static int hear_ready(struct counter *counter, int result)
{
	if (counter->ready || result > 0)
		return -EBADMSG;
	counter->ready = true;
	if (result == 0)
		return 0;
	/* It ends by itself, and there is no use in another one. */
	counter->refused = true;
	return result;
}

/* Not more often than it may, all in all: what we have not read for a while comes at once. */
static int hear_lost(struct counter *counter, uint64_t now)
{
	uint64_t lived = now > counter->since ? now - counter->since : 0;

	if (counter->n_lost >= LOST_SPARE + lived / BYTES_LOST_PAUSE)
		return -EBADMSG;
	counter->n_lost++;
	counter->trouble = -ENOBUFS;
	return 0;
}

/* One for each that it was named, at most. */
static int hear_ended(
	struct counter *counter, const struct bytes_news *said, struct counter_news *ret)
{
	if (counter->n_asked == 0)
		return -EBADMSG;
	counter->n_asked--;
	*ret = (struct counter_news){.ticket = said->ticket, .bytes = said->bytes};
	return 1;
}

/* 1: one is over, 0: something else. */
static int hear(struct counter *counter, uint64_t now, const struct bytes_news *said,
	struct counter_news *ret)
{
	if (said->kind == BYTES_READY)
		return hear_ready(counter, said->result);
	if (!counter->ready)
		return -EBADMSG;
	if (said->kind == BYTES_LOST)
		return hear_lost(counter, now);
	if (said->kind == BYTES_ENDED)
		return hear_ended(counter, said, ret);
	return -EBADMSG;
}

/* The same, or -EAGAIN: nothing is there. */
static int read_one(struct counter *counter, uint64_t now, struct counter_news *ret)
{
	struct bytes_news said;
	ssize_t n = recv(counter->process.socket, &said, sizeof said, MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -ECHILD;
	if (n == 0)
		return -ECHILD;
	return n == sizeof said ? hear(counter, now, &said, ret) : -EBADMSG;
}

bool counter_take(struct counter *counter, uint64_t now, struct counter_news *ret)
{
	for (int i = 0; i < BATCH && runs(counter); i++) {
		int r = read_one(counter, now, ret);

		if (r == -EAGAIN)
			return false;
		if (r < 0)
			give_up(counter, r, now);
		if (r == 1)
			return true;
	}
	return false;
}

size_t counter_pids(const struct counter *counter, pid_t ret[HELPER_PIDS_MAX])
{
	return helper_pids(&counter->process, ret);
}
