/*
 * sandbox: each thing that is forbidden is really refused, for root and for others,
 * whatever else is asked for.
 *
 * What is refused is harmless where it is not, so that all of it is tried outside as well.
 */
#include "os/sandbox_landlock.h"
#include "sandbox-try.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* ---------------------------------------------------------------- what is forbidden */

static long try_open(const struct belongings *have)
{
	(void)have;
	return open("/dev/null", O_RDONLY);
}

static long try_openat2(const struct belongings *have)
{
	(void)have;
	return syscall(SYS_openat2, AT_FDCWD, "/dev/null", NULL, 0);
}

static long try_memfd(const struct belongings *have)
{
	(void)have;
	return memfd_create("sandbox", 0);
}

static long try_unlink(const struct belongings *have)
{
	(void)have;
	return syscall(SYS_unlinkat, AT_FDCWD, "/nonexistent/sandbox", 0);
}

static long try_socket(const struct belongings *have)
{
	(void)have;
	return socket(AF_INET, SOCK_STREAM, 0);
}

static long try_netlink(const struct belongings *have)
{
	(void)have;
	return socket(AF_NETLINK, SOCK_RAW, 0);
}

static long try_raw(const struct belongings *have)
{
	(void)have;
	return socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
}

static long try_sctp(const struct belongings *have)
{
	(void)have;
	return socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP);
}

static long try_socketpair(const struct belongings *have)
{
	int pair[2];

	(void)have;
	return socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

static long try_unix(const struct belongings *have)
{
	(void)have;
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static long try_no_port(const struct belongings *have)
{
	return setsockopt(
		have->tcp, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
}

static long try_cut(const struct belongings *have)
{
	return ftruncate(have->page ? -EBADF : 0, 0);
}

static long try_rename(const struct belongings *have)
{
	return renameat(have->folder, "a", have->folder, "b");
}

static long try_connect(const struct belongings *have)
{
	struct sockaddr_in addr = loopback(have->port);

	return connect(have->udp, (struct sockaddr *)&addr, sizeof addr);
}

static long try_disconnect(const struct belongings *have)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	return connect(have->tcp, &none, sizeof none);
}

static long try_bind(const struct belongings *have)
{
	struct sockaddr_in addr = loopback(0);

	return bind(have->udp, (struct sockaddr *)&addr, sizeof addr);
}

static long try_listen(const struct belongings *have)
{
	return listen(have->tcp, 1);
}

static long try_accept(const struct belongings *have)
{
	return accept4(have->udp, NULL, NULL, 0);
}

static long try_execve(const struct belongings *have)
{
	char *argv[] = {NULL};

	(void)have;
	return execve("/nonexistent/sandbox", argv, argv);
}

static long try_execveat(const struct belongings *have)
{
	char *argv[] = {NULL};

	return syscall(SYS_execveat, have->stream, "", argv, argv, AT_EMPTY_PATH);
}

static long try_fork(const struct belongings *have)
{
	pid_t pid = fork();

	(void)have;
	if (pid == 0)
		_exit(0);
	return pid;
}

static long try_clone(const struct belongings *have)
{
	(void)have;
	return syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0);
}

static long try_clone3(const struct belongings *have)
{
	(void)have;
	return syscall(SYS_clone3, NULL, 0);
}

static long try_ptrace(const struct belongings *have)
{
	(void)have;
	return ptrace(PTRACE_PEEKDATA, 0, NULL, NULL);
}

static long try_process_vm_readv(const struct belongings *have)
{
	return process_vm_readv(have->outer, NULL, 0, NULL, 0, 0);
}

static long try_process_vm_writev(const struct belongings *have)
{
	return process_vm_writev(have->outer, NULL, 0, NULL, 0, 0);
}

static long try_pidfd_open(const struct belongings *have)
{
	return syscall(SYS_pidfd_open, have->outer, 0);
}

static long try_pidfd_getfd(const struct belongings *have)
{
	return syscall(SYS_pidfd_getfd, have->stream, 0, 0);
}

static long try_pidfd_send_signal(const struct belongings *have)
{
	return syscall(SYS_pidfd_send_signal, have->stream, 0, NULL, 0);
}

static long try_kill(const struct belongings *have)
{
	return kill(have->outer, 0);
}

static long try_kill_self(const struct belongings *have)
{
	(void)have;
	return kill(getpid(), 0);
}

static long try_tkill(const struct belongings *have)
{
	(void)have;
	return syscall(SYS_tkill, gettid(), 0);
}

static long try_tgkill(const struct belongings *have)
{
	(void)have;
	return syscall(SYS_tgkill, getpid(), gettid(), 0);
}

/* A thread that is not of that process, so that it would do nothing. */
static long try_tgkill_other(const struct belongings *have)
{
	return syscall(SYS_tgkill, have->outer, gettid(), SIGABRT);
}

static long try_sigqueue(const struct belongings *have)
{
	union sigval none = {0};

	return sigqueue(have->outer, 0, none);
}

static long try_linger(const struct belongings *have)
{
	struct linger hour = {.l_onoff = 1, .l_linger = 3600};

	return setsockopt(have->tcp, SOL_SOCKET, SO_LINGER, &hour, sizeof hour);
}

/* The kernel looks at the lower half only. */
static long try_linger_long(const struct belongings *have)
{
	struct linger hour = {.l_onoff = 1, .l_linger = 3600};
	const uint64_t high = UINT64_C(0x100000000);

	return syscall(SYS_setsockopt, have->tcp, high | SOL_SOCKET, high | SO_LINGER, &hour,
		sizeof hour);
}

static long try_socket_filter(const struct belongings *have)
{
	return setsockopt(have->tcp, SOL_SOCKET, SO_ATTACH_FILTER, NULL, 0);
}

static long try_ulp(const struct belongings *have)
{
	return setsockopt(have->tcp, IPPROTO_TCP, TCP_ULP, "none", 4);
}

static long try_zerocopy_receive(const struct belongings *have)
{
	return getsockopt(have->tcp, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, NULL, NULL);
}

static long try_mprotect(const struct belongings *have)
{
	return mprotect(have->page, 4096, PROT_READ | PROT_EXEC);
}

static long try_mmap(const struct belongings *have)
{
	void *page =
		mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)have;
	return page == MAP_FAILED ? -1 : 0;
}

static long try_pkey_mprotect(const struct belongings *have)
{
	return syscall(SYS_pkey_mprotect, have->page, 4096, PROT_READ, -1);
}

static long try_madvise(const struct belongings *have)
{
	return madvise(have->page, 4096, MADV_DONTDUMP);
}

static long try_setuid(const struct belongings *have)
{
	(void)have;
	return setresuid(getuid(), geteuid(), geteuid());
}

static long try_setgid(const struct belongings *have)
{
	(void)have;
	return setresgid(getgid(), getegid(), getegid());
}

static long try_setgroups(const struct belongings *have)
{
	(void)have;
	return setgroups(0, NULL);
}

static long try_capset(const struct belongings *have)
{
	(void)have;
	return syscall(SYS_capset, NULL, NULL);
}

static long try_dumpable(const struct belongings *have)
{
	(void)have;
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static long try_seccomp_off(const struct belongings *have)
{
	(void)have;
	return prctl(PR_SET_SECCOMP, 0, 0, 0, 0);
}

static long try_terminal(const struct belongings *have)
{
	return ioctl(have->stream, TIOCSTI, "x");
}

static long try_interfaces(const struct belongings *have)
{
	return ioctl(have->tcp, SIOCGIFCONF, NULL);
}

static long try_owner(const struct belongings *have)
{
	return fcntl(have->stream, F_SETOWN, getpid());
}

static long try_dup(const struct belongings *have)
{
	return dup(have->stream);
}

static long try_lock(const struct belongings *have)
{
	struct flock lock = {.l_type = F_UNLCK};

	return fcntl(have->stream, F_SETLK, &lock);
}

static long try_io_uring(const struct belongings *have)
{
	(void)have;
	return syscall(SYS_io_uring_setup, 0, NULL);
}

static long try_bpf(const struct belongings *have)
{
	(void)have;
	return syscall(SYS_bpf, -1, NULL, 0);
}

static long try_perf(const struct belongings *have)
{
	(void)have;
	return syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0);
}

static long try_userfaultfd(const struct belongings *have)
{
	(void)have;
	return syscall(SYS_userfaultfd, -1);
}

static long try_keyctl(const struct belongings *have)
{
	(void)have;
	return syscall(SYS_keyctl, -1, 0, 0, 0, 0);
}

static long try_unshare(const struct belongings *have)
{
	(void)have;
	return unshare(0);
}

static long try_setns(const struct belongings *have)
{
	return setns(have->stream, 0);
}

static long try_mount(const struct belongings *have)
{
	(void)have;
	return mount(NULL, NULL, NULL, 0, NULL);
}

static long try_chroot(const struct belongings *have)
{
	(void)have;
	return chroot("/nonexistent/sandbox");
}

static long try_limits(const struct belongings *have)
{
	struct rlimit limit;

	(void)have;
	return syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
}

static long try_futex_requeue(const struct belongings *have)
{
	return syscall(SYS_futex, have->page, FUTEX_CMP_REQUEUE, 0, 0, have->page, 0);
}

static long try_datagrams(const struct belongings *have)
{
	return syscall(SYS_recvmmsg, have->udp, NULL, 0, MSG_DONTWAIT, NULL);
}

static long try_datagrams_out(const struct belongings *have)
{
	return syscall(SYS_sendmmsg, have->udp, NULL, 0, 0);
}

static long try_destination(const struct belongings *have)
{
	return setsockopt(have->udp, IPPROTO_IP, IP_PKTINFO, &(int){1}, sizeof(int));
}

static long try_pipe(const struct belongings *have)
{
	int pipes[2];

	(void)have;
	return pipe2(pipes, O_CLOEXEC);
}

static long try_splice(const struct belongings *have)
{
	return splice(have->stream, NULL, have->tcp, NULL, 1, SPLICE_F_NONBLOCK);
}

static long try_keepalive(const struct belongings *have)
{
	return setsockopt(have->tcp, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
}

static long try_urgent(const struct belongings *have)
{
	return setsockopt(have->tcp, SOL_SOCKET, SO_OOBINLINE, &(int){1}, sizeof(int));
}

static long try_rights(const struct belongings *have)
{
	enum { PASSRIGHTS = 83 };

	setsockopt(have->stream, SOL_SOCKET, PASSRIGHTS, &(int){0}, sizeof(int));
	return 0; /* before Linux 6.16 there is no such thing */
}

#if defined(__x86_64__)
static long try_i386(const struct belongings *have)
{
	long r = 20; /* getpid, which is writev in its own kind */

	(void)have;
	__asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
	return r < 0 ? -1 : 0;
}

static long try_x32(const struct belongings *have)
{
	(void)have;
	return syscall(0x40000000 + SYS_getpid);
}
#endif

/* Whatever is asked for. */
static const struct trial forbidden[] = {
	{"openat2", try_openat2},
	{"memfd_create", try_memfd},
	{"unlinkat", try_unlink},
	{"socket of netlink", try_netlink},
	{"raw socket", try_raw},
	{"socket of sctp", try_sctp},
	{"socketpair", try_socketpair},
	{"listen", try_listen},
	{"accept", try_accept},
	{"execve", try_execve},
	{"execveat", try_execveat},
	{"fork", try_fork},
	{"clone", try_clone},
	{"clone3", try_clone3},
	{"ptrace", try_ptrace},
	{"process_vm_readv", try_process_vm_readv},
	{"process_vm_writev", try_process_vm_writev},
	{"pidfd_open", try_pidfd_open},
	{"pidfd_getfd", try_pidfd_getfd},
	{"pidfd_send_signal", try_pidfd_send_signal},
	{"kill", try_kill},
	{"kill itself", try_kill_self},
	{"tkill", try_tkill},
	{"tgkill", try_tgkill},
	{"tgkill another process", try_tgkill_other},
	{"sigqueue", try_sigqueue},
	{"SO_LINGER", try_linger},
	{"SO_LINGER in 64 bits", try_linger_long},
	{"SO_ATTACH_FILTER", try_socket_filter},
	{"TCP_ULP", try_ulp},
	{"TCP_ZEROCOPY_RECEIVE", try_zerocopy_receive},
	{"mprotect to code", try_mprotect},
	{"mmap of code", try_mmap},
	{"pkey_mprotect", try_pkey_mprotect},
	{"setresuid", try_setuid},
	{"setresgid", try_setgid},
	{"setgroups", try_setgroups},
	{"capset", try_capset},
	{"PR_SET_DUMPABLE", try_dumpable},
	{"PR_SET_SECCOMP", try_seccomp_off},
	{"TIOCSTI", try_terminal},
	{"SIOCGIFCONF", try_interfaces},
	{"F_SETOWN", try_owner},
	{"F_SETLK", try_lock},
	{"dup", try_dup},
	{"io_uring_setup", try_io_uring},
	{"bpf", try_bpf},
	{"perf_event_open", try_perf},
	{"userfaultfd", try_userfaultfd},
	{"keyctl", try_keyctl},
	{"unshare", try_unshare},
	{"setns", try_setns},
	{"mount", try_mount},
	{"chroot", try_chroot},
	{"FUTEX_CMP_REQUEUE", try_futex_requeue},
	{"madvise", try_madvise},
	{"prlimit", try_limits},
#if defined(__x86_64__)
	{"a call of i386", try_i386},
	{"a call of x32", try_x32},
#endif
};

/* Each in its groups, with one of which it is no break-out. */
static const struct {
	struct trial trial;
	unsigned groups;
} grouped[] = {
	{{"recvmmsg", try_datagrams}, SANDBOX_DATAGRAMS},
	{{"sendmmsg", try_datagrams_out}, SANDBOX_DATAGRAMS},
	{{"IP_PKTINFO", try_destination}, SANDBOX_DATAGRAMS},
	{{"pipe2", try_pipe}, SANDBOX_SPLICE},
	{{"splice", try_splice}, SANDBOX_SPLICE},
	{{"socket", try_socket}, SANDBOX_CONNECT | SANDBOX_INTERNET},
	{{"socket of UNIX", try_unix}, SANDBOX_CONNECT},
	{{"connect", try_connect}, SANDBOX_CONNECT | SANDBOX_INTERNET},
	{{"connect to nobody", try_disconnect}, SANDBOX_CONNECT | SANDBOX_INTERNET},
	{{"SO_KEEPALIVE", try_keepalive}, SANDBOX_CONNECT},
	{{"SO_OOBINLINE", try_urgent}, SANDBOX_CONNECT},
	{{"SO_PASSRIGHTS", try_rights}, SANDBOX_CONNECT},
	{{"bind", try_bind}, SANDBOX_INTERNET},
	{{"IP_BIND_ADDRESS_NO_PORT", try_no_port}, SANDBOX_INTERNET},
	{{"ftruncate", try_cut}, SANDBOX_FOLDER},
	{{"renameat", try_rename}, SANDBOX_FOLDER},
};

/* How many are not as they should be. */
static int judge(const struct trial *trial, uid_t uid, const struct sandbox *sandbox,
	bool forbids, const struct belongings *have)
{
	int status;

	if (SANITIZED && (trial->act == try_madvise || trial->act == try_limits))
		return 0;
	status = try_as(uid, sandbox, trial, have);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_ENTERED)
		complain("cannot enter", trial, uid, status);
	else if (is_broken_out(status) != forbids)
		complain(forbids ? "not refused" : "refused", trial, uid, status);
	else
		return 0;
	return 1;
}

static void test_forbidden(void **state)
{
	const struct belongings *have = *state;
	const struct sandbox most = {
		.max_fds = MAX_FDS, .groups = SANDBOX_GROUPS, .folder = have->folder};
	size_t n_users;
	uid_t users[2];
	int n_wrong = 0;

	n_users = identities(users);
	for (size_t u = 0; u < n_users; u++)
		for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++) {
			n_wrong += judge(&forbidden[i], users[u], NULL, false, *state);
			n_wrong += judge(&forbidden[i], users[u], &plain, true, *state);
			n_wrong += judge(&forbidden[i], users[u], &most, true, *state);
		}
	assert_int_equal(n_wrong, 0);
}

/* A sanitizer wants to look for files, and goes on without. */
static void test_open(void **state)
{
	const struct trial trial = {"open", try_open};
	uid_t users[2];
	int status;

	for (size_t u = 0; u < identities(users); u++) {
		assert_true(is_exit(try_as(users[u], NULL, &trial, *state), 0));
		status = try_as(users[u], &plain, &trial, *state);
		assert_true(SANITIZED ? is_exit(status, EPERM) : is_broken_out(status));
	}
}

static void test_groups(void **state)
{
	static const unsigned groups[] = {0, SANDBOX_DATAGRAMS, SANDBOX_SPLICE, SANDBOX_CONNECT,
		SANDBOX_ABSTRACT, SANDBOX_INTERNET, SANDBOX_FOLDER, SANDBOX_GROUPS};
	const struct belongings *have = *state;
	struct sandbox sandbox = plain;
	int n_wrong = 0;
	bool forbids;

	sandbox.folder = have->folder;
	for (size_t g = 0; g < ARRAY_SIZE(groups); g++)
		for (size_t i = 0; i < ARRAY_SIZE(grouped); i++) {
			sandbox.groups = groups[g];
			forbids = !(groups[g] & grouped[i].groups);
			n_wrong +=
				judge(&grouped[i].trial, geteuid(), &sandbox, forbids, *state);
		}
	assert_int_equal(n_wrong, 0);
}

/* What who has a folder can do there, and elsewhere: exit status 0 if that is right. */
static void use_folder(int folder, int version)
{
	int fd = openat(folder, "a", O_RDWR | O_CREAT | O_APPEND, 0600);

	if (fd < 0 || write(fd, "abc", 3) != 3 || ftruncate(fd, 2) < 0 ||
		renameat(folder, "a", folder, "b") < 0)
		_exit(1);
	if (version > 0 && openat(AT_FDCWD, "/dev/null", O_RDONLY) >= 0)
		_exit(2);
	if (version > 0 && openat(folder, "..", O_RDONLY | O_DIRECTORY) >= 0)
		_exit(3);
	if (version > 0 && renameat(folder, "b", AT_FDCWD, "/tmp/hatchd-test-b") == 0)
		_exit(4);
	_exit(0);
}

static void test_folder(void **state)
{
	char path[] = "/tmp/hatchd-test-sandbox-XXXXXX", name[sizeof path + 2];
	int version = sandbox_landlock_version(), folder;
	struct sandbox sandbox = plain;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(path));
	folder = open(path, O_PATH | O_DIRECTORY);
	sandbox.groups = SANDBOX_FOLDER;
	sandbox.folder = folder;
	pid = start();
	if (pid == 0) {
		enter_or_exit(&sandbox);
		use_folder(folder, version);
	}
	assert_true(is_exit(wait_status(pid), 0));
	snprintf(name, sizeof name, "%s/b", path);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(rmdir(path), 0);
	close(folder);
}

static long try_delay(const struct belongings *have)
{
	return setsockopt(have->tcp, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

static long try_buffer(const struct belongings *have)
{
	return setsockopt(have->tcp, SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int));
}

static long try_flags(const struct belongings *have)
{
	return fcntl(have->tcp, F_SETFL, O_RDWR | O_NONBLOCK);
}

/* Whatever group it is in: who must leave them as they are cannot do otherwise. */
static void test_sockets_that_are_left_as_they_are(void **state)
{
	static const struct trial trials[] = {
		{"TCP_NODELAY", try_delay},
		{"SO_SNDBUF", try_buffer},
		{"F_SETFL", try_flags},
	};
	const struct belongings *have = *state;
	struct sandbox sandbox = plain;
	int n_wrong = 0;

	sandbox.folder = have->folder;
	for (size_t i = 0; i < ARRAY_SIZE(trials); i++) {
		n_wrong += judge(&trials[i], geteuid(), &plain, false, *state);
		sandbox.leaves_sockets = true;
		sandbox.groups = 0;
		n_wrong += judge(&trials[i], geteuid(), &sandbox, true, *state);
		sandbox.groups = SANDBOX_GROUPS;
		n_wrong += judge(&trials[i], geteuid(), &sandbox, true, *state);
	}
	assert_int_equal(n_wrong, 0);
}

/* --------------------------------------------------------------- every number there is */

/* What may be called without a group and without arguments. */
static const long callable[] = {
	SYS_brk,
	SYS_clock_getres,
	SYS_clock_gettime,
	SYS_clock_nanosleep,
	SYS_close,
	SYS_epoll_create1,
	SYS_epoll_ctl,
	SYS_epoll_pwait,
	SYS_exit,
	SYS_exit_group,
	SYS_futex,
	SYS_getpeername,
	SYS_getpid,
	SYS_getrandom,
	SYS_getsockname,
	SYS_gettid,
	SYS_gettimeofday,
	SYS_mmap,
	SYS_mprotect,
	SYS_mremap,
	SYS_munmap,
	SYS_nanosleep,
	SYS_ppoll,
	SYS_pread64,
	SYS_read,
	SYS_readv,
	SYS_recvfrom,
	SYS_recvmsg,
	SYS_restart_syscall,
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_sendmsg,
	SYS_sendto,
	SYS_shutdown,
	SYS_timerfd_create,
	SYS_timerfd_settime,
	SYS_write,
	SYS_writev,
#ifdef SYS_epoll_pwait2
	SYS_epoll_pwait2,
#endif
#ifdef SYS_epoll_wait
	SYS_epoll_wait,
	SYS_poll,
	SYS_time,
#endif
	/* With an errno. */
	SYS_fstat,
	SYS_lseek,
	SYS_newfstatat,
	SYS_statx,
#if SANITIZED
	SYS_madvise,
	SYS_openat,
	SYS_prlimit64,
	SYS_readlinkat,
	SYS_sched_yield,
	SYS_sigaltstack,
#ifdef SYS_open
	SYS_open,
	SYS_readlink,
	SYS_stat,
#endif
#endif
};

/* Behind all that there are. */
#define NUMBERS 600

static bool is_callable(long number)
{
	for (size_t i = 0; i < ARRAY_SIZE(callable); i++)
		if (callable[i] == number)
			return true;
	return false;
}

static int try_number(long number)
{
	pid_t pid = start();

	if (pid == 0) {
		signal(SIGILL, SIG_DFL);
		enter_or_exit(&plain);
		_exit(syscall(number, 0, 0, 0, 0, 0, 0) < 0 ? errno : 0);
	}
	return wait_status(pid);
}

/* The kernel's own probes have calls that no filter sees, of no use without a probe. */
static bool is_of_probes(long number, int status)
{
#if defined(__x86_64__)
	if (number == 335 || number == 336)
		return is_exit(status, ENXIO) ||
		       (WIFSIGNALED(status) && WTERMSIG(status) == SIGILL);
#endif
	(void)number;
	(void)status;
	return false;
}

/* Nothing has come in that nobody wanted. */
static void test_every_number(void **state)
{
	int status, n_wrong = 0;

	(void)state;
	for (long number = 0; number < NUMBERS; number++) {
		if (is_callable(number))
			continue;
		status = try_number(number);
		if (is_broken_out(status) || is_of_probes(number, status))
			continue;
		print_error("system call %ld is not refused: %#x\n", number, (unsigned)status);
		n_wrong++;
	}
	assert_int_equal(n_wrong, 0);
}

/* ------------------------------------------------------------ every option there is */

static bool may_set(int level, int name)
{
	if (level == SOL_SOCKET)
		return name == SO_RCVBUF || name == SO_SNDBUF;
	return level == IPPROTO_TCP &&
	       (name == TCP_CORK || name == TCP_NODELAY || name == TCP_NOTSENT_LOWAT ||
		       name == TCP_QUICKACK);
}

static int try_option(int level, int name)
{
	pid_t pid = start();

	if (pid == 0) {
		enter_or_exit(&plain);
		setsockopt(-1, level, name, NULL, 0);
		_exit(0);
	}
	return wait_status(pid);
}

static void test_every_option(void **state)
{
	static const int levels[] = {SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP};
	int status, n_wrong = 0;

	(void)state;
	for (size_t l = 0; l < ARRAY_SIZE(levels); l++)
		for (int name = 0; name < 100; name++) {
			status = try_option(levels[l], name);
			if (is_broken_out(status) != may_set(levels[l], name))
				continue;
			print_error("option %d of level %d: %#x\n", name, levels[l],
				(unsigned)status);
			n_wrong++;
		}
	assert_int_equal(n_wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_forbidden),
		test(test_open),
		test(test_groups),
		test(test_folder),
		test(test_sockets_that_are_left_as_they_are),
		test(test_every_number),
		test(test_every_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
