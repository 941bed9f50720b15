/*
 * sandbox: what a worker shuts behind itself before it touches a stranger's first byte.
 *
 * A worker reads in the master's place what anybody on the network may send, so it is
 * built as if its code were the stranger's one day.  From sandbox_enter() on it has what
 * it holds open, and can get nothing more but what the master hands it: no file, no
 * program, no process or thread, no memory to run code from, no rights, no way to look
 * into another process or to signal it.  It cannot set SO_LINGER on a socket that the
 * master has to close as well (I2).
 *
 * Several walls stand behind each other.  Seccomp says which system calls there are, and
 * with which arguments where these decide; any other one ends the process with SIGSYS,
 * which the kernel's audit log explains.  Landlock refuses files, signals and ports even
 * if seccomp should let something through, and the limits of resources and no
 * capabilities hold where a kernel has neither.
 *
 * What pointers point to cannot be filtered: descriptors in sendmsg(2), the address in
 * connect(2).  Nor can it where all calls of sockets have one number (i386 and a few
 * others): there neither the options of setsockopt(2) nor the kinds of socket(2) are
 * looked at.
 *
 * Layer: os, in a library of its own: linked into workers, hatchd-account, hatchd-bytes and
 * hatchd-certificate; of the master, what `hatchd -V` says of Landlock, and nothing else.
 */
#ifndef HATCHD_OS_SANDBOX_H
#define HATCHD_OS_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What a worker may do beyond what all may: read, write, send, receive and shut down
 * what it has, epoll, poll, timers and the time, memory without code, signal masks, a few
 * socket options (sandbox_calls.c), exit and abort.
 */
enum sandbox_group {
	/* recvmmsg, sendmmsg, and to ask for the address that a datagram was sent to. */
	SANDBOX_DATAGRAMS = 1 << 0,
	/* splice, pipes of its own, and to set their size. */
	SANDBOX_SPLICE = 1 << 1,
	/* Stream and datagram sockets of IPv4, IPv6 and UNIX, connect, keep-alive, urgent
	 * bytes among the others, and whether descriptors may be sent to it.
	 * connect() to AF_UNSPEC resets a TCP connection, which takes no SO_LINGER. */
	SANDBOX_CONNECT = 1 << 2,
	/* To send to abstract UNIX sockets by their names, over sockets that it has. */
	SANDBOX_ABSTRACT = 1 << 3,
	/* Stream and datagram sockets of IPv4 and IPv6, and none of UNIX: connect, also from
	 * an address of the worker's choice (bind).  Whoever is bound hears datagrams; there
	 * is no listening. */
	SANDBOX_INTERNET = 1 << 4,
	/* To make, write, cut and rename regular files in the one folder that it is told. */
	SANDBOX_FOLDER = 1 << 5,
};

#define SANDBOX_GROUPS                                                             \
	(SANDBOX_DATAGRAMS | SANDBOX_SPLICE | SANDBOX_CONNECT | SANDBOX_ABSTRACT | \
		SANDBOX_INTERNET | SANDBOX_FOLDER)

struct sandbox {
	unsigned groups;  /* of enum sandbox_group */
	unsigned max_fds; /* descriptors are below it; at least 1 */
	/* No flag of a descriptor, and no option that all others may set, can be set: what it
	 * has is somebody else's later, who would find it changed. */
	bool leaves_sockets;
	int folder; /* of SANDBOX_FOLDER: borrowed, may be O_PATH */
	/* Go on where there is no seccomp, as under qemu-user.  For tests: the wall that
	 * matters most is missing. */
	bool seccomp_optional;
};

/* What is in force, or what could not be done. */
struct sandbox_report {
	bool seccomp;
	bool mdwe;          /* the kernel never lets memory become code: Linux 6.3 */
	int landlock;       /* the version of its interface in use, 0: none */
	unsigned max_fds;   /* less than asked for where the hard limit was */
	const char *failed; /* after "unable to"; NULL on success */
};

/*
 * Enter it.  For a process without threads that has become who it is to be and has opened
 * what it needs: there is no way back.  What is missing of Landlock and of MDWE in this
 * kernel is gone without, and *report says so.
 *
 * The log must be open by then, and the time zone read; who wants either later is killed.
 * Standard error takes nothing more if it is a file, but with SANDBOX_FOLDER: writing gives
 * EFBIG (SIGXFSZ is ignored from now on).  Pipes and sockets are no files.
 *
 * On failure a negative errno, and report->failed; some of it may have been done, so the
 * process must end.  -EALREADY: it is in there, and stays (without seccomp a second time
 * only does all of it again); -EBUSY: it has threads; -EINVAL: not a sandbox;
 * -EOPNOTSUPP: no seccomp here.
 *
 * In builds with AddressSanitizer, for tests, what that needs for its reports is allowed
 * or fails with EPERM instead of ending the process, and leaks are not looked for from
 * here on: that takes a process which traces this one.  Valgrind cannot work in here at
 * all: it opens files, and makes code.
 */
int sandbox_enter(const struct sandbox *sandbox, struct sandbox_report *report);

/* Room for the longest description. */
#define SANDBOX_TEXT_MAX 48

/* What is in force, for the log: "seccomp, landlock 6, mdwe", "seccomp, no landlock, no
 * mdwe". */
void sandbox_describe(const struct sandbox_report *report, char ret_text[SANDBOX_TEXT_MAX]);

#endif
