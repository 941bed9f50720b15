/*
 * hatchd-certificate: says what certificates and keys are worth, and makes some.
 *
 * Started by the loader (conf/notary) where a configuration has certificates, with a socket as
 * its standard input: a question, its answer, until the other end is closed.  It ends with
 * whoever has started it, also while it computes: he may have been killed because that takes
 * so long.  All it needs comes in a question, so it is shut in before the first: it has no
 * file, no network, no other process and no rights.  Where a kernel has no seccomp it goes on
 * without, as what it reads are files of whoever writes the configuration; hatchd-tls does not.
 */
#include "base/fd.h"
#include "base/openssl.h"
#include "base/own.h"
#include "conf/certificate-answer.h"
#include "conf/certificate.h"
#include "os/sandbox.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

/* 0 to 2, and a few that nobody asks for. */
#define FDS_MAX 8

/* Of one that had ended before nobody tells us, but his end of the socket is closed. */
static int end_with_parent(void)
{
	struct pollfd socket = {.fd = STDIN_FILENO};

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	return poll(&socket, 1, 0) > 0 && socket.revents & POLLHUP ? -ECHILD : 0;
}

static int fail(const char *what, int r)
{
	fprintf(stderr, "hatchd-certificate: unable to %s: %s\n", what, strerror(-r));
	return r;
}

static int have_all(void)
{
	int r = openssl_have_all();

	return r < 0 ? fail("begin", r) : 0;
}

static int shut_in(void)
{
	const struct sandbox sandbox = {.max_fds = FDS_MAX, .seccomp_optional = true};
	struct sandbox_report report;
	int r = sandbox_enter(&sandbox, &report);

	return r < 0 ? fail(report.failed ? report.failed : "enter the sandbox", r) : 0;
}

/* -ECHILD: nobody asks any more. */
static int answer_next(struct certificate_memory *memory)
{
	_cleanup_certificate_message_ struct certificate_message question = {0};
	struct wire_writer answer;
	int r = certificate_receive(STDIN_FILENO, &question);

	if (r < 0)
		return r;
	certificate_begin(&answer);
	r = certificate_answer_again(memory, &question, &answer);
	if (r == 0)
		return certificate_send(STDIN_FILENO, &answer);
	wire_writer_done(&answer);
	return r;
}

int main(void)
{
	struct certificate_memory memory = {0};
	int r;

	/* The loader has descriptors of the master's. */
	fd_close_range(STDERR_FILENO + 1, INT_MAX);
	r = end_with_parent();
	if (r == 0)
		r = have_all();
	if (r == 0)
		r = shut_in();
	while (r == 0)
		r = answer_next(&memory);
	certificate_memory_done(&memory);
	if (r == -ENOTSOCK)
		fputs("hatchd-certificate: is started by hatchd-load\n", stderr);
	_exit(r == -ECHILD ? 0 : 1);
}
