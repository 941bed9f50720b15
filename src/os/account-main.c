/*
 * hatchd-account: adds records of connections to a file in the place of the master.
 *
 * A disk may be full, a file server may not answer, and a name may lead to a FIFO that nobody
 * reads: it is this process that waits then, with lines that the master keeps until they are
 * in the file.  It is who the master is, since it makes files where only he may, and shut
 * into that one folder before it is told the first line.  It has no capabilities, and ends
 * when the master's end of its socket is closed.
 */
#include "base/clock.h"
#include "base/own.h"
#include "os/account_file.h"
#include "os/sandbox.h"

#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* What could not be written is tried again after so long, in milliseconds. */
#define PATIENCE 250

/* The socket, standard output and error, the folder, the file, and the next one. */
#define FDS_MAX 16

struct state {
	struct account_file file;
	struct account_status told; /* what the master knows */
	uint64_t taken;
};

/* The master is gone if he cannot be told. */
static void tell(struct state *state)
{
	const struct account_status status = {
		.taken = state->taken,
		.step = state->file.step,
		.error = state->file.error,
	};

	if (memcmp(&status, &state->told, sizeof status) == 0)
		return;
	if (send(ACCOUNT_SOCKET_FD, &status, sizeof status, MSG_NOSIGNAL) < 0)
		_exit(0);
	state->told = status;
}

/* Files have the group that may look at them.  Where there is no such right, as in a user name
 * space, they have ours. */
static void take_group(uint32_t gid)
{
	if (geteuid() == 0 && gid != (uint32_t)-1) {
		(void)!setgroups(0, NULL);
		(void)!setresgid(gid, gid, gid);
	}
	umask(027);
}

static int shut_in(struct state *state)
{
	const struct sandbox sandbox = {
		.groups = SANDBOX_FOLDER,
		.max_fds = FDS_MAX,
		.folder = state->file.folder,
	};
	struct sandbox_report report;
	int r = sandbox_enter(&sandbox, &report);

	if (r < 0) {
		state->file.step = ACCOUNT_SANDBOX;
		state->file.error = r;
	}
	return r;
}

/* What cannot be written may be later; what the master has sent meanwhile waits. */
static void wait_a_while(void)
{
	struct pollfd p = {.fd = ACCOUNT_SOCKET_FD, .events = POLLRDHUP};

	if (poll(&p, 1, PATIENCE) > 0)
		_exit(0);
}

/* Until all of them are in the file. */
static void add(struct state *state, const char *lines, size_t len)
{
	size_t done = 0;

	for (;;) {
		size_t before = done;

		account_file_add(
			&state->file, lines + done, len - done, clock_monotonic(), &done);
		state->taken += done - before;
		tell(state);
		if (done == len)
			return;
		wait_a_while();
	}
}

static int begin(struct state *state, const struct account_order *order, ssize_t len)
{
	int r;

	if (len != sizeof *order || order->kind != ACCOUNT_FILE ||
		memchr(order->file.path, '\0', PATH_MAX) == NULL)
		return -EBADMSG;
	take_group(order->file.gid);
	r = account_file_init(
		&state->file, order->file.path, order->file.size, order->file.keep);
	return r < 0 ? r : shut_in(state);
}

static void obey(struct state *state, const struct account_order *order, size_t len)
{
	if (order->kind == ACCOUNT_LINES)
		add(state, order->lines, len - ACCOUNT_HEAD);
	if (order->kind == ACCOUNT_REOPEN) {
		account_file_reopen(&state->file);
		tell(state);
	}
}

int main(void)
{
	struct state state = {.file = ACCOUNT_FILE_NONE};
	struct account_order order;
	sigset_t all;
	ssize_t n;
	int r;

	prctl(PR_SET_NAME, "hatchd-account");
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	r = begin(&state, &order, recv(ACCOUNT_SOCKET_FD, &order, sizeof order, 0));
	if (r == 0)
		account_file_reopen(&state.file);
	tell(&state);
	if (r < 0)
		return 1;
	while ((n = recv(ACCOUNT_SOCKET_FD, &order, sizeof order, 0)) > 0)
		if ((size_t)n >= ACCOUNT_HEAD)
			obey(&state, &order, (size_t)n);
	_exit(0);
}
