#include "os/account_feed.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"

#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define NAME "hatchd-account"

/* Pauses before it is started again. */
#define PAUSE_MIN (100 * USEC_PER_MSEC)
#define PAUSE_MAX (30 * USEC_PER_SEC)

/* Messages in one turn: however fast it talks, everybody else has his turn. */
#define BATCH 64

struct trouble {
	uint32_t step;
	int error;
};

struct account_feed {
	struct helper helper;
	struct account_order aim; /* which file */
	/* Lines: from `start` to `sent` the process has them, and has not said that they are in
	 * the file; from there to `end` they wait. */
	char *data;
	size_t start, sent, end;
	uint64_t taken;      /* as the process has said */
	bool aimed;          /* it knows which file */
	bool to_reopen;      /* it is to be told so */
	bool waits_for_room; /* in the socket */
	struct trouble trouble, told;
	uint64_t start_at, pause;
};

int account_feed_new(int program, int null, int lowest, struct account_feed **ret)
{
	struct account_feed *feed = calloc(1, sizeof *feed);
	int r;

	if (feed)
		feed->data = malloc(ACCOUNT_FEED_ROOM);
	if (!feed || !feed->data) {
		fd_close(program);
		free(feed);
		return -ENOMEM;
	}
	r = helper_init(&feed->helper, NAME, program, null, lowest);
	if (r < 0) {
		free(feed->data);
		free(feed);
		return r;
	}
	feed->pause = PAUSE_MIN;
	*ret = feed;
	return 0;
}

struct account_feed *account_feed_free(struct account_feed *feed)
{
	if (feed) {
		helper_done(&feed->helper);
		free(feed->data);
	}
	free(feed);
	return NULL;
}

int account_feed_fd(const struct account_feed *feed)
{
	return feed->helper.epoll_fd;
}

size_t account_feed_pending(const struct account_feed *feed)
{
	return feed->end - feed->start;
}

const char *account_feed_text(const struct account_feed *feed, size_t *ret_len)
{
	*ret_len = feed->end - feed->start;
	return feed->data + feed->start;
}

bool account_feed_trouble(
	struct account_feed *feed, enum account_step *ret_step, int *ret_error)
{
	if (feed->trouble.step == feed->told.step && feed->trouble.error == feed->told.error)
		return false;
	feed->told = feed->trouble;
	*ret_step = (enum account_step)feed->trouble.step;
	*ret_error = feed->trouble.error;
	return true;
}

/* --------------------------------------------------------------------- the process */

/* What it has not said to be in the file is for the next one. */
static void forget_process(struct account_feed *feed, uint64_t now)
{
	helper_end(&feed->helper, now);
	feed->sent = feed->start;
	feed->taken = 0;
	feed->aimed = feed->to_reopen = feed->waits_for_room = false;
}

static void pause_before_start(struct account_feed *feed, int error, uint64_t now)
{
	/* What it has said itself says more than that it has ended. */
	if (feed->trouble.step == ACCOUNT_FINE)
		feed->trouble = (struct trouble){_ACCOUNT_STEP_MAX, error};
	feed->start_at = now + feed->pause;
	feed->pause = feed->pause * 2 < PAUSE_MAX ? feed->pause * 2 : PAUSE_MAX;
}

static void give_up(struct account_feed *feed, int error, uint64_t now)
{
	forget_process(feed, now);
	pause_before_start(feed, error, now);
}

void account_feed_aim(struct account_feed *feed, const struct account_feed_target *target)
{
	feed->aim = (struct account_order){.kind = ACCOUNT_FILE};
	feed->aim.file.keep = target->keep;
	feed->aim.file.gid = target->gid;
	feed->aim.file.size = target->size;
	snprintf(feed->aim.file.path, sizeof feed->aim.file.path, "%s", target->path);
	forget_process(feed, clock_monotonic());
	feed->start_at = 0;
	feed->pause = PAUSE_MIN;
	feed->trouble = feed->told = (struct trouble){0};
}

void account_feed_end(struct account_feed *feed, uint64_t now)
{
	forget_process(feed, now);
	feed->aim.kind = 0;
	feed->start = feed->sent = feed->end = 0;
}

bool account_feed_is_over(const struct account_feed *feed)
{
	return feed->aim.kind == 0 && feed->helper.n_corpses == 0;
}

static void start(struct account_feed *feed, uint64_t now)
{
	int r;

	if (feed->helper.socket >= 0 || now < feed->start_at || feed->aim.kind == 0)
		return;
	r = helper_start(&feed->helper);
	if (r < 0)
		pause_before_start(feed, r, now);
}

/* ------------------------------------------------------------------------- to send */

static void watch_room(struct account_feed *feed, bool wanted)
{
	struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0)};

	if (wanted == feed->waits_for_room)
		return;
	epoll_ctl(feed->helper.epoll_fd, EPOLL_CTL_MOD, feed->helper.socket, &event);
	feed->waits_for_room = wanted;
}

static bool send_parts(struct account_feed *feed, const struct iovec *parts, size_t n)
{
	struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = n};

	/* That it has ended is found out where its answers are read. */
	return sendmsg(feed->helper.socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static bool send_order(struct account_feed *feed, const struct account_order *order, size_t len)
{
	const struct iovec part = {(void *)order, len};

	return send_parts(feed, &part, 1);
}

/* As many whole lines as go into a packet. */
static size_t portion(const struct account_feed *feed)
{
	const char *first = feed->data + feed->sent, *last;
	size_t len = feed->end - feed->sent;

	if (len <= ACCOUNT_LINES_MAX)
		return len;
	last = memrchr(first, '\n', ACCOUNT_LINES_MAX);
	return last ? (size_t)(last - first) + 1 : ACCOUNT_LINES_MAX;
}

static bool send_lines(struct account_feed *feed)
{
	struct account_order order = {.kind = ACCOUNT_LINES};
	size_t len = portion(feed);
	const struct iovec parts[] = {
		{&order, ACCOUNT_HEAD},
		{feed->data + feed->sent, len},
	};

	if (!send_parts(feed, parts, ARRAY_SIZE(parts)))
		return false;
	feed->sent += len;
	return true;
}

static bool send_all(struct account_feed *feed)
{
	const struct account_order reopen = {.kind = ACCOUNT_REOPEN};

	if (!feed->aimed)
		feed->aimed = send_order(feed, &feed->aim, sizeof feed->aim);
	if (feed->aimed && feed->to_reopen)
		feed->to_reopen = !send_order(feed, &reopen, ACCOUNT_HEAD);
	if (!feed->aimed || feed->to_reopen)
		return false;
	while (feed->sent < feed->end)
		if (!send_lines(feed))
			return false;
	return true;
}

/* ------------------------------------------------------------------------- to hear */

/* -EBADMSG: it has said nonsense. */
static int hear(struct account_feed *feed, const struct account_status *status)
{
	uint64_t more = status->taken - feed->taken;

	if (status->step >= _ACCOUNT_STEP_MAX || status->error > 0 ||
		status->taken < feed->taken || more > feed->sent - feed->start)
		return -EBADMSG;
	feed->taken = status->taken;
	feed->start += (size_t)more;
	if (feed->start == feed->end)
		feed->start = feed->sent = feed->end = 0;
	feed->trouble = (struct trouble){status->step, status->error};
	if (status->step == ACCOUNT_FINE)
		feed->pause = PAUSE_MIN;
	return 0;
}

static int hear_one(struct account_feed *feed)
{
	struct account_status status;
	ssize_t n = recv(feed->helper.socket, &status, sizeof status, MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -ECHILD;
	if (n == 0)
		return -ECHILD;
	return n == sizeof status ? hear(feed, &status) : -EBADMSG;
}

/* What is left then wakes us again. */
static void hear_some(struct account_feed *feed, uint64_t now)
{
	for (int i = 0; i < BATCH && feed->helper.socket >= 0; i++) {
		int r = hear_one(feed);

		if (r == -EAGAIN)
			return;
		if (r < 0)
			give_up(feed, r, now);
	}
}

/* ----------------------------------------------------------------------- interface */

bool account_feed_put(struct account_feed *feed, const char *line, size_t len)
{
	if (len > ACCOUNT_FEED_ROOM - feed->end && feed->start > 0) {
		memmove(feed->data, feed->data + feed->start, feed->end - feed->start);
		feed->sent -= feed->start;
		feed->end -= feed->start;
		feed->start = 0;
	}
	if (len > ACCOUNT_FEED_ROOM - feed->end)
		return false;
	memcpy(feed->data + feed->end, line, len);
	feed->end += len;
	return true;
}

void account_feed_reopen(struct account_feed *feed)
{
	feed->to_reopen = feed->helper.socket >= 0;
}

uint64_t account_feed_tend(struct account_feed *feed, uint64_t now)
{
	uint64_t due;

	if (now >= feed->helper.reap_at)
		helper_reap(&feed->helper, now);
	hear_some(feed, now);
	start(feed, now);
	if (feed->helper.socket >= 0)
		watch_room(feed, !send_all(feed));
	due = feed->helper.reap_at;
	if (feed->aim.kind != 0 && feed->helper.socket < 0 && feed->start_at < due)
		due = feed->start_at;
	return due;
}

static size_t count_lines(const struct account_feed *feed)
{
	size_t n = 0;

	for (size_t i = feed->start; i < feed->end; i++)
		n += feed->data[i] == '\n';
	return n;
}

size_t account_feed_settle(struct account_feed *feed, uint64_t patience)
{
	uint64_t now = clock_monotonic(), until = now + patience;

	while (now < until) {
		struct pollfd p = {.fd = feed->helper.epoll_fd, .events = POLLIN};

		account_feed_tend(feed, now);
		if (feed->start == feed->end || feed->helper.socket < 0 ||
			feed->trouble.step != ACCOUNT_FINE)
			break;
		poll(&p, 1, (int)((until - now) / USEC_PER_MSEC) + 1);
		now = clock_monotonic();
	}
	return count_lines(feed);
}

size_t account_feed_pids(const struct account_feed *feed, pid_t ret[HELPER_PIDS_MAX])
{
	return helper_pids(&feed->helper, ret);
}
