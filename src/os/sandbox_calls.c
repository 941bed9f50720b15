/*
 * A call that is here can be made by whoever has taken a worker over, on every descriptor
 * it has, and on connections that others use as well.  One more needs a reason; what it
 * can do to the master and to other workers is the question.  tests/unit/test-sandbox.c
 * tries every number.
 */
#include "os/sandbox_calls.h"

#include "base/own.h"
#include "os/pass_rights.h"
#include "os/sandbox.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* Linux 6.16; headers may be older. */

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#if SANITIZED
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif

#define EVERYBODY 0

/* A group that all are in but those who leave sockets as they are; and one of all that have no
 * folder. */
#define SETTERS  (1U << 31)
#define FILELESS (1U << 30)

_Static_assert(!(SANDBOX_GROUPS & (SETTERS | FILELESS)), "that is somebody's");

#define ARGS_MAX 3

struct rule {
	int call;
	unsigned groups; /* EVERYBODY, or who is in one of them */
	unsigned n_args; /* all of which must be so */
	struct scmp_arg_cmp args[ARGS_MAX];
};

/* The kernel looks at the lower half of an int; what is in the upper one is left to chance
 * by compilers. */
#define MASKED(nr, mask, value)                                                              \
	{                                                                                    \
		.arg = (nr), .op = SCMP_CMP_MASKED_EQ, .datum_a = (mask), .datum_b = (value) \
	}
#define IS(nr, value)     MASKED(nr, UINT32_MAX, value)
#define WITHOUT(nr, bits) MASKED(nr, bits, 0)

#define FUTEX_COMMAND 0x7f /* of it and its flags */
#define SOCKET_TYPE   0xf  /* the same */

/* ----------------------------------------------------------- without conditions */

static const int core[] = {
	/* What it has. */
	SCMP_SYS(close),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockname),
	SCMP_SYS(pread64),
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(recv),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(send),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(shutdown),
	SCMP_SYS(write),
	SCMP_SYS(writev),

	/* To wait for it. */
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_pwait),
#ifdef __SNR_epoll_pwait2
	SCMP_SYS(epoll_pwait2),
#endif
	SCMP_SYS(epoll_wait),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(ppoll_time64),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(timerfd_settime64),

	/* Time, where the kernel's page for it does not know. */
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_getres_time64),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_gettime64),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(clock_nanosleep_time64),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(nanosleep),
	SCMP_SYS(time),

	/* Memory; what maps it is below. */
	SCMP_SYS(brk),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),

	/* Itself.  abort() asks who it is. */
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(getpid),
	SCMP_SYS(getrandom),
	SCMP_SYS(gettid),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigreturn),
};

/* The C library asks what a descriptor is and where it stands before it prints to it, and
 * goes on without an answer.  These could also look for names, and move the end of a log
 * that others write to. */
static const int not_permitted[] = {
	SCMP_SYS(fstat),
	SCMP_SYS(fstat64),
	SCMP_SYS(fstatat64),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
};

/* What who has a folder needs besides; he may ask what is there. */
static const int of_folder[] = {
	SCMP_SYS(ftruncate),
	SCMP_SYS(ftruncate64),
	SCMP_SYS(openat),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
};

static const int not_seekable[] = {
	SCMP_SYS(_llseek),
	SCMP_SYS(lseek),
};

/* -------------------------------------------------------------- with conditions */

#define SOCKET(groups, domain, type, protocol)                                       \
	{                                                                            \
		SCMP_SYS(socket), groups, 3,                                         \
		{                                                                    \
			IS(0, domain), MASKED(1, SOCKET_TYPE, type), IS(2, protocol) \
		}                                                                    \
	}
#define SETSOCKOPT(groups, level, name)           \
	{                                         \
		SCMP_SYS(setsockopt), groups, 2,  \
		{                                 \
			IS(1, level), IS(2, name) \
		}                                 \
	}

static const struct rule conditional[] = {
/* Memory is no code.  Where mmap takes a pointer to its arguments, that is left to
 * PR_SET_MDWE, or nobody has used it for decades and it is not there. */
#if defined(__s390__)
	{SCMP_SYS(mmap), EVERYBODY, 0, {}},
#elif !defined(__i386__) && !defined(__m68k__) && !(defined(__arm__) && !defined(__aarch64__))
	{SCMP_SYS(mmap), EVERYBODY, 1, {WITHOUT(2, PROT_EXEC)}},
#endif
	{SCMP_SYS(mmap2), EVERYBODY, 1, {WITHOUT(2, PROT_EXEC)}},
	{SCMP_SYS(mprotect), EVERYBODY, 1, {WITHOUT(2, PROT_EXEC)}},
	{SCMP_SYS(madvise), EVERYBODY, 1, {IS(2, MADV_DONTNEED)}},
	{SCMP_SYS(madvise), EVERYBODY, 1, {IS(2, MADV_FREE)}},

	/* Locks of the C library's own. */
	{SCMP_SYS(futex), EVERYBODY, 1, {MASKED(1, FUTEX_COMMAND, FUTEX_WAIT)}},
	{SCMP_SYS(futex), EVERYBODY, 1, {MASKED(1, FUTEX_COMMAND, FUTEX_WAKE)}},
	{SCMP_SYS(futex_time64), EVERYBODY, 1, {MASKED(1, FUTEX_COMMAND, FUTEX_WAIT)}},
	{SCMP_SYS(futex_time64), EVERYBODY, 1, {MASKED(1, FUTEX_COMMAND, FUTEX_WAKE)}},

	{SCMP_SYS(fcntl), EVERYBODY, 1, {IS(1, F_GETFL)}},
	{SCMP_SYS(fcntl), SETTERS, 1, {IS(1, F_SETFL)}},
	{SCMP_SYS(fcntl64), EVERYBODY, 1, {IS(1, F_GETFL)}},
	{SCMP_SYS(fcntl64), SETTERS, 1, {IS(1, F_SETFL)}},

	/* How much lies there, unread and unsent. */
	{SCMP_SYS(ioctl), EVERYBODY, 1, {IS(1, FIONREAD)}},
	{SCMP_SYS(ioctl), EVERYBODY, 1, {IS(1, SIOCOUTQ)}},

	{SCMP_SYS(getsockopt), EVERYBODY, 1, {IS(1, SOL_SOCKET)}},
	{SCMP_SYS(getsockopt), EVERYBODY, 2, {IS(1, IPPROTO_TCP), IS(2, TCP_INFO)}},

	/* Never SO_LINGER: the master, which is root, would sleep in its close(2). */
	SETSOCKOPT(SETTERS, SOL_SOCKET, SO_RCVBUF),
	SETSOCKOPT(SETTERS, SOL_SOCKET, SO_SNDBUF),
	SETSOCKOPT(SETTERS, IPPROTO_TCP, TCP_CORK),
	SETSOCKOPT(SETTERS, IPPROTO_TCP, TCP_NODELAY),
	SETSOCKOPT(SETTERS, IPPROTO_TCP, TCP_NOTSENT_LOWAT),
	SETSOCKOPT(SETTERS, IPPROTO_TCP, TCP_QUICKACK),

	/* Datagrams. */
	{SCMP_SYS(recvmmsg), SANDBOX_DATAGRAMS, 0, {}},
	{SCMP_SYS(recvmmsg_time64), SANDBOX_DATAGRAMS, 0, {}},
	{SCMP_SYS(sendmmsg), SANDBOX_DATAGRAMS, 0, {}},
	SETSOCKOPT(SANDBOX_DATAGRAMS, IPPROTO_UDP, UDP_SEGMENT),
	SETSOCKOPT(SANDBOX_DATAGRAMS, IPPROTO_IP, IP_PKTINFO),
	SETSOCKOPT(SANDBOX_DATAGRAMS, IPPROTO_IP, IP_RECVTTL),
	SETSOCKOPT(SANDBOX_DATAGRAMS, IPPROTO_IPV6, IPV6_RECVPKTINFO),
	SETSOCKOPT(SANDBOX_DATAGRAMS, IPPROTO_IPV6, IPV6_RECVHOPLIMIT),

	/* Splice. */
	{SCMP_SYS(pipe2), SANDBOX_SPLICE, 0, {}},
	{SCMP_SYS(splice), SANDBOX_SPLICE, 0, {}},
	{SCMP_SYS(fcntl), SANDBOX_SPLICE, 1, {IS(1, F_GETPIPE_SZ)}},
	{SCMP_SYS(fcntl), SANDBOX_SPLICE, 1, {IS(1, F_SETPIPE_SZ)}},
	{SCMP_SYS(fcntl64), SANDBOX_SPLICE, 1, {IS(1, F_GETPIPE_SZ)}},
	{SCMP_SYS(fcntl64), SANDBOX_SPLICE, 1, {IS(1, F_SETPIPE_SZ)}},

	/* Connections of its own.  Protocols that would have to be loaded are none. */
	{SCMP_SYS(connect), SANDBOX_CONNECT | SANDBOX_INTERNET, 0, {}},
	SOCKET(SANDBOX_CONNECT | SANDBOX_INTERNET, AF_INET, SOCK_STREAM, 0),
	SOCKET(SANDBOX_CONNECT | SANDBOX_INTERNET, AF_INET, SOCK_STREAM, IPPROTO_TCP),
	SOCKET(SANDBOX_CONNECT | SANDBOX_INTERNET, AF_INET, SOCK_DGRAM, 0),
	SOCKET(SANDBOX_CONNECT | SANDBOX_INTERNET, AF_INET, SOCK_DGRAM, IPPROTO_UDP),
	SOCKET(SANDBOX_CONNECT | SANDBOX_INTERNET, AF_INET6, SOCK_STREAM, 0),
	SOCKET(SANDBOX_CONNECT | SANDBOX_INTERNET, AF_INET6, SOCK_STREAM, IPPROTO_TCP),
	SOCKET(SANDBOX_CONNECT | SANDBOX_INTERNET, AF_INET6, SOCK_DGRAM, 0),
	SOCKET(SANDBOX_CONNECT | SANDBOX_INTERNET, AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
	SOCKET(SANDBOX_CONNECT, AF_UNIX, SOCK_STREAM, 0),
	SOCKET(SANDBOX_CONNECT, AF_UNIX, SOCK_DGRAM, 0),
	SOCKET(SANDBOX_CONNECT, AF_UNIX, SOCK_SEQPACKET, 0),
	SETSOCKOPT(SANDBOX_CONNECT, SOL_SOCKET, SO_KEEPALIVE),
	SETSOCKOPT(SANDBOX_CONNECT, SOL_SOCKET, SO_OOBINLINE),
	SETSOCKOPT(SANDBOX_CONNECT, SOL_SOCKET, SO_PASSRIGHTS),
	SETSOCKOPT(SANDBOX_CONNECT, IPPROTO_TCP, TCP_KEEPCNT),
	SETSOCKOPT(SANDBOX_CONNECT, IPPROTO_TCP, TCP_KEEPIDLE),
	SETSOCKOPT(SANDBOX_CONNECT, IPPROTO_TCP, TCP_KEEPINTVL),
	SETSOCKOPT(SANDBOX_CONNECT, IPPROTO_TCP, TCP_USER_TIMEOUT),

	/* From an address that is chosen, with a port that is the kernel's choice. */
	{SCMP_SYS(bind), SANDBOX_INTERNET, 0, {}},
	SETSOCKOPT(SANDBOX_INTERNET, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
};

/* ------------------------------------------------------------------- the filter */

/* A call that this processor does not have needs no rule. */
static int add(scmp_filter_ctx filter, uint32_t action, const struct rule *rule)
{
	int r = seccomp_rule_add_array(filter, action, rule->call, rule->n_args, rule->args);

	return r == -EDOM ? 0 : r;
}

static int add_list(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n)
{
	int r;

	for (size_t i = 0; i < n; i++) {
		const struct rule rule = {.call = calls[i]};

		r = add(filter, action, &rule);
		if (r < 0)
			return r;
	}
	return 0;
}

#define ADD_LIST(filter, action, calls) add_list(filter, action, calls, ARRAY_SIZE(calls))

static int add_core(scmp_filter_ctx filter, unsigned groups)
{
	bool has_folder = groups & SANDBOX_FOLDER;
	uint32_t action = has_folder ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM);
	int r = ADD_LIST(filter, SCMP_ACT_ALLOW, core);

	if (r == 0)
		r = ADD_LIST(filter, action, not_permitted);
	if (r == 0 && has_folder)
		r = ADD_LIST(filter, SCMP_ACT_ALLOW, of_folder);
	if (r == 0)
		r = ADD_LIST(filter, SCMP_ACT_ERRNO(ESPIPE), not_seekable);
	return r;
}

/* Those of the groups. */
static int add_rules(scmp_filter_ctx filter, uint32_t action, unsigned groups,
	const struct rule *rules, size_t n)
{
	int r;

	for (size_t i = 0; i < n; i++) {
		if (rules[i].groups != EVERYBODY && !(rules[i].groups & groups))
			continue;
		r = add(filter, action, &rules[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * An assertion is to end with SIGABRT and not like a break-out, so abort() may send that,
 * to this process.  And somebody who enters twice is told so (probe()).
 */
static int add_own(scmp_filter_ctx filter)
{
	const struct rule abort_self = {
		SCMP_SYS(tgkill), EVERYBODY, 2, {IS(0, (uint32_t)getpid()), IS(2, SIGABRT)}};
	const struct rule again = {SCMP_SYS(prctl), EVERYBODY, 1, {IS(0, PR_GET_SECCOMP)}};
	int r = add(filter, SCMP_ACT_ALLOW, &abort_self);

	return r < 0 ? r : add(filter, SCMP_ACT_ERRNO(EALREADY), &again);
}

/* Calls of another kind (i386 and x32 on x86-64) end the process as well.  Sorted into a
 * tree, so that the last of the list costs no more than the first. */
static int set_attributes(scmp_filter_ctx filter)
{
	int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return r;
}

/* Without a program it is a fault of address where filters are known. */
static int probe(void)
{
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
		return errno == EALREADY ? -EALREADY : -EOPNOTSUPP;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0) < 0 && errno != EFAULT)
		return -EOPNOTSUPP;
	return 0;
}

/* ------------------------------------------------------------------- sanitizers */

#if SANITIZED
/*
 * Builds of the tests.  A sanitizer that finds something reads what is mapped, looks for
 * a symbolizer and ends the process: it gets EPERM for what it may not do, and reports
 * with less.  What it does with its own memory and stack is allowed.
 */
static const int sanitizer_allowed[] = {
	SCMP_SYS(madvise),
	SCMP_SYS(prlimit64),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sigaltstack),
};

static const struct rule sanitizer_refused[] = {
	{SCMP_SYS(ioctl), EVERYBODY, 1, {IS(1, TCGETS)}},
	{SCMP_SYS(open), EVERYBODY, 0, {}},
	{SCMP_SYS(openat), FILELESS, 0, {}},
	{SCMP_SYS(readlink), EVERYBODY, 0, {}},
	{SCMP_SYS(readlinkat), EVERYBODY, 0, {}},
	{SCMP_SYS(stat), EVERYBODY, 0, {}},
};

/* It reads what is mapped as long as it can. */
static void prepare_sanitizer(void)
{
	__sanitizer_sandbox_arguments none = {.coverage_fd = -1};

	__sanitizer_sandbox_on_notify(&none);
}

static int add_sanitizer(scmp_filter_ctx filter, unsigned groups)
{
	int r = ADD_LIST(filter, SCMP_ACT_ALLOW, sanitizer_allowed);

	if (r < 0)
		return r;
	return add_rules(filter, SCMP_ACT_ERRNO(EPERM), groups, sanitizer_refused,
		ARRAY_SIZE(sanitizer_refused));
}

/* The search for leaks clones a process that traces this one.  It asks here when it is
 * about to begin. */
__attribute__((used)) int __lsan_is_turned_off(void)
{
	return probe() == -EALREADY;
}
#else
static void prepare_sanitizer(void)
{
}

static int add_sanitizer(scmp_filter_ctx filter, unsigned groups)
{
	(void)filter;
	(void)groups;
	return 0;
}
#endif

/* --------------------------------------------------------------------- interface */

int sandbox_calls_prepare(void)
{
	int r = probe();

	if (r != -EALREADY)
		prepare_sanitizer();
	return r;
}

static void release(scmp_filter_ctx *filter)
{
	seccomp_release(*filter);
}

int sandbox_calls_filter(unsigned groups, bool leaves_sockets)
{
	_cleanup_(release) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r;

	if (!filter)
		return -ENOMEM;
	if (!leaves_sockets)
		groups |= SETTERS;
	if (!(groups & SANDBOX_FOLDER))
		groups |= FILELESS;
	r = set_attributes(filter);
	if (r == 0)
		r = add_core(filter, groups);
	if (r == 0)
		r = add_rules(
			filter, SCMP_ACT_ALLOW, groups, conditional, ARRAY_SIZE(conditional));
	if (r == 0)
		r = add_own(filter);
	if (r == 0)
		r = add_sanitizer(filter, groups);
	return r < 0 ? r : seccomp_load(filter);
}
