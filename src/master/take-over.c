#include "master/take-over.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "master/master.h"
#include "master/service.h"
#include "master/successor.h"
#include "os/rights.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

/* The other one answers in a turn of its own. */
#define PATIENCE 30 /* s */

/* ... and closes its sockets in that one. */
#define END_PATIENCE 5 /* s */

/* More than a message brings, and what was left of the one before. */
#define QUEUE_MAX (4 * SUCCESSOR_BATCH)
#define TEXT_MAX  (2 * KEPT_NAME_MAX)

/* Of what somebody says who is not understood. */
#define SHOWN_MAX 256

/* The stream is two of them: lines, and the descriptors that these are about, in order. */
struct receiving {
	struct master *master;
	int fds[QUEUE_MAX]; /* owned: that no line was about yet */
	size_t n_fds;
	char text[TEXT_MAX]; /* behind the last whole line */
	size_t len;
	uint32_t n; /* sockets so far */
	bool over;
};

static void receiving_done(struct receiving *receiving)
{
	for (size_t i = 0; i < receiving->n_fds; i++)
		fd_close(receiving->fds[i]);
}

#define _cleanup_receiving_ _cleanup_(receiving_done)

static int fail(const struct master *master, const char *why)
{
	log_error("unable to take over from %s: %s", master->cmdline->take_over, why);
	return -EPROTO;
}

static int fail_errno(const struct master *master, int r)
{
	fail(master, r == -EAGAIN ? "it does not answer" : strerror(-r));
	return r;
}

/* Something else than was hoped for: why it refuses, as a line of its own or, before it has
 * begun, as the error that every client of a control socket is told. */
static int fail_said(const struct master *master, const char *line)
{
	static const char *const begins[] = {"refused ", "{\"error\":\""};
	char shown[SHOWN_MAX], why[SHOWN_MAX + 16];
	const char *word = "says";
	size_t len = strlen(line);

	for (size_t i = 0; i < ARRAY_SIZE(begins); i++) {
		if (strncmp(line, begins[i], strlen(begins[i])) != 0)
			continue;
		line += strlen(begins[i]);
		len = strcspn(line, "\"");
		word = "refuses:";
	}
	snprintf(
		why, sizeof why, "it %s %s", word, text_escape(line, len, shown, sizeof shown));
	return fail(master, why);
}

/* ----------------------------------------------------------------------- lines */

/* What is no socket of the kind we know is no reason not to take the others. */
static int take_socket(struct receiving *receiving, const char *name)
{
	int fd, r;

	if (receiving->n_fds == 0)
		return fail(receiving->master, "a descriptor is missing");
	fd = receiving->fds[0];
	receiving->n_fds--;
	memmove(receiving->fds, receiving->fds + 1, receiving->n_fds * sizeof fd);
	receiving->n++;
	r = kept_add(&receiving->master->kept, name, fd, NULL);
	if (r < 0) {
		log_warning("unable to take over a socket: %s, closing it", strerror(-r));
		fd_close(fd);
	}
	return r == -ENOMEM ? fail_errno(receiving->master, r) : 0;
}

static int take_end(struct receiving *receiving, const char *count)
{
	uint32_t n;

	if (text_parse_u32(count, &n) < 0 || n != receiving->n || receiving->n_fds > 0)
		return fail(receiving->master, "some sockets have not come");
	receiving->over = true;
	return 0;
}

static int take_line(struct receiving *receiving, const char *line)
{
	if (strncmp(line, "socket ", 7) == 0)
		return take_socket(receiving, line + 7);
	if (strncmp(line, "end ", 4) == 0)
		return take_end(receiving, line + 4);
	return fail_said(receiving->master, line);
}

static int take_lines(struct receiving *receiving)
{
	char *line = receiving->text, *newline;
	int r = 0;

	receiving->text[receiving->len] = '\0';
	while (r == 0 && !receiving->over && (newline = strchr(line, '\n'))) {
		*newline = '\0';
		r = take_line(receiving, line);
		line = newline + 1;
	}
	receiving->len = strlen(line);
	memmove(receiving->text, line, receiving->len);
	return r;
}

/* -------------------------------------------------------------------- messages */

/* One message, or a part of it. */
static int receive_some(struct receiving *receiving)
{
	struct iovec part = {
		.iov_base = receiving->text + receiving->len,
		.iov_len = sizeof receiving->text - 1 - receiving->len,
	};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
	};
	size_t free_places = QUEUE_MAX - receiving->n_fds;
	union rights_room room;
	ssize_t n;

	if (part.iov_len == 0)
		return fail(receiving->master, "a line has no end");
	rights_expect(
		&message, &room, free_places < SUCCESSOR_BATCH ? free_places : SUCCESSOR_BATCH);
	n = recvmsg(receiving->master->take_over.fd, &message, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EINTR ? 0 : fail_errno(receiving->master, -errno);
	receiving->n_fds += rights_take(&message, receiving->fds + receiving->n_fds);
	if (message.msg_flags & MSG_CTRUNC)
		return fail_errno(receiving->master, -EMFILE);
	if (n == 0)
		return fail(receiving->master, "it has ended the connection");
	receiving->len += (size_t)n;
	return take_lines(receiving);
}

static int receive(struct master *master)
{
	_cleanup_receiving_ struct receiving receiving = {.master = master};
	int r = 0;

	while (r == 0 && !receiving.over)
		r = receive_some(&receiving);
	if (r == 0)
		log_info("%" PRIu32 " socket%s come from %s", receiving.n,
			receiving.n == 1 ? "" : "s", master->cmdline->take_over);
	return r;
}

/* --------------------------------------------------------------------- to begin */

/* Whoever has that path is believed if he could be trusted to be a hatchd of ours. */
static bool is_trusted(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static int dial(const char *path)
{
	const struct timeval patience = {.tv_sec = PATIENCE};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0)
		return -errno;
	r = fd_connect_unix(fd, path);
	if (r < 0)
		return r;
	return is_trusted(fd) ? take_fd(&fd) : -EPERM;
}

/* A line of it, or as much of that as has come. */
struct said {
	char text[SHOWN_MAX];
	size_t len;
};

/* Until its next line is whole, which has no end then.  0; -EAGAIN: it is silent; -ECONNRESET:
 * it has ended the connection; or another negative errno. */
static int hear(const struct master *master, struct said *said, int flags)
{
	while (said->len < sizeof said->text - 1) {
		char *to = said->text + said->len, *newline;
		ssize_t n = recv(
			master->take_over.fd, to, sizeof said->text - 1 - said->len, flags);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		said->len += (size_t)n;
		said->text[said->len] = '\0';
		newline = strchr(to, '\n');
		if (!newline)
			continue;
		*newline = '\0';
		return 0;
	}
	return 0;
}

static int say(const struct master *master, const char *line)
{
	ssize_t n = send(master->take_over.fd, line, strlen(line), MSG_NOSIGNAL);

	return n < 0 ? -errno : 0;
}

int take_over_begin(struct master *master)
{
	int r;

	if (!master->cmdline->take_over)
		return 0;
	r = dial(master->cmdline->take_over);
	if (r < 0)
		return fail_errno(master, r);
	master->take_over.fd = master_move_up(master, r);
	master->kept.shared = true;
	r = say(master, "take-over " SUCCESSOR_VERSION_TEXT "\n");
	if (r < 0)
		return fail_errno(master, r);
	r = receive(master);
	return r < 0 ? r : kept_move_up(&master->kept, master->budget.low_limit);
}

/* ---------------------------------------------------------------------- to end */

/* Something lives where it was asked, be it as busy as it may. */
static bool is_answered(const struct master *master)
{
	int fd = dial(master->cmdline->take_over);

	fd_close(fd);
	return fd != -ECONNREFUSED && fd != -ENOENT;
}

/* It has ended the connection without a word: it serves on, in another image maybe, or there is
 * nobody but us. */
static int judge_silence(const struct master *master)
{
	if (is_answered(master))
		return fail(master, "it has ended the connection, and is still there");
	log_warning("%s has ended without a word, serving in its place",
		master->cmdline->take_over);
	return 0;
}

/* What it says then, once. */
static int judge(struct master *master, const struct said *said)
{
	if (strcmp(said->text, "drains") != 0)
		return fail_said(master, said->text);
	master->kept.shared = false;
	return 0;
}

/* It has said that it drains, and may have some closing left to do. */
static void await_end(const struct master *master)
{
	const struct timeval patience = {.tv_sec = END_PATIENCE};
	char rest[16];

	setsockopt(master->take_over.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	while (recv(master->take_over.fd, rest, sizeof rest, 0) > 0)
		;
}

int take_over_finish(struct master *master)
{
	struct said said = {.len = 0};
	int r;

	if (master->take_over.fd < 0)
		return 0;
	/* If it does not read that any more, it has said why. */
	(void)say(master, "taken\n");
	r = hear(master, &said, 0);
	if (r == -EAGAIN) {
		/* From here on it cannot say anything: either it has by now, or it never
		 * drains. */
		shutdown(master->take_over.fd, SHUT_RDWR);
		if (hear(master, &said, MSG_DONTWAIT) < 0)
			return fail_errno(master, -EAGAIN);
		r = 0;
	}
	r = r == 0 ? judge(master, &said) : judge_silence(master);
	if (r < 0)
		return r;
	await_end(master);
	fd_close(take_fd(&master->take_over.fd));
	return 0;
}

void take_over_give_up(struct master *master)
{
	if (master->take_over.fd < 0)
		return;
	services_leave_paths(master);
	fd_close(take_fd(&master->take_over.fd));
}
