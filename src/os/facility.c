#include "os/facility.h"

#include "base/addr.h"
#include "base/own.h"
#include "base/tcp-diag.h"
#include "os/pass_rights.h"
#include "os/sandbox_landlock.h"

#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif

/* Without arguments it does nothing, but says that it is there. */
static int find_clone3(void)
{
	return syscall(SYS_clone3, NULL, 0) < 0 && errno == EINVAL;
}

static int find_pidfd(void)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	return fd >= 0;
}

/* A number that is never open. */
static int find_close_range(void)
{
	return syscall(SYS_close_range, ~0U, ~0U, 0) == 0;
}

static int find_seccomp(void)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

static int find_mdwe(void)
{
	return prctl(PR_GET_MDWE, 0, 0, 0, 0) >= 0;
}

static int find_passrights(void)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int value = 0;

	return fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &value, sizeof value) == 0;
}

static int find_tcp_diag(void)
{
	return tcp_diag_probe() == 0;
}

static int find_socket(int family, int type, int protocol)
{
	_cleanup_close_ int fd = socket(family, type | SOCK_CLOEXEC, protocol);

	return fd >= 0;
}

static int find_ipv6(void)
{
	return find_socket(AF_INET6, SOCK_STREAM, 0);
}

static int find_mptcp(void)
{
	return find_socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
}

static int find_udplite(void)
{
	return find_socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
}

const struct facility facilities[] = {
	{"clone3", "children are started by clone", find_clone3, 0},
	{"close_range", "children copy the whole table of descriptors", find_close_range, 0},
	{"pidfd", "hatchd does not run: it could not wait for its children", find_pidfd, 0},
	{"seccomp", "no worker runs: no TLS, redirects, built-in services", find_seccomp, 0},
	{"Landlock", "workers have one wall less", sandbox_landlock_version,
		SANDBOX_LANDLOCK_NEWEST},
	{"MDWE", "workers have one wall less", find_mdwe, 0},
	{"SO_PASSRIGHTS", "descriptors that clients send are taken and closed", find_passrights,
		0},
	{"tcp_diag", "idle_timeout, first_byte_timeout and account_bytes have no effect",
		find_tcp_diag, 0},
	{"IPv6", "tcp: and udp: serve IPv4 alone", find_ipv6, 0},
	{"MPTCP", "mptcp: is served as plain TCP", find_mptcp, 0},
	{"UDP-Lite", "udplite: cannot be served", find_udplite, 0},
	{NULL, NULL, NULL, 0},
};
