#include "os/sandbox_landlock.h"

#include "base/own.h"
#include "os/sandbox.h"

#include <stdint.h>
#include <sys/syscall.h>

/* Numbers and bits of the kernel's, by us: what we are built with may be older than what
 * we run on. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif
#ifndef SYS_landlock_add_rule
#define SYS_landlock_add_rule 445
#endif
#ifndef SYS_landlock_restrict_self
#define SYS_landlock_restrict_self 446
#endif

#define CREATE_RULESET_VERSION (1U << 0)

#define FS_UNTIL(last) ((UINT64_C(2) << (last)) - 1)
#define FS_BIT(n)      (UINT64_C(1) << (n))
#define FS_WRITE_FILE  1
#define FS_READ_FILE   2
#define FS_REMOVE_FILE 5
#define FS_MAKE_REG    8
#define FS_MAKE_SYM    12
#define FS_REFER       13
#define FS_TRUNCATE    14
#define FS_IOCTL_DEV   15

#define NET_BIND_TCP    (UINT64_C(1) << 0)
#define NET_CONNECT_TCP (UINT64_C(1) << 1)

#define SCOPE_ABSTRACT_UNIX (UINT64_C(1) << 0)
#define SCOPE_SIGNAL        (UINT64_C(1) << 1)

#define RULE_PATH_BENEATH 1

/* The kernel's, which has no padding. */
struct path_beneath {
	uint64_t allowed;
	int32_t folder;
} __attribute__((packed));

/* An older kernel takes the longer one if what it does not know is zero. */
struct ruleset {
	uint64_t files;
	uint64_t net;
	uint64_t scopes;
};

int sandbox_landlock_version(void)
{
	long r = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);

	if (r < 0)
		return 0;
	return r < SANDBOX_LANDLOCK_NEWEST ? (int)r : SANDBOX_LANDLOCK_NEWEST;
}

static uint64_t files_of(int version)
{
	if (version >= 5)
		return FS_UNTIL(FS_IOCTL_DEV);
	if (version >= 3)
		return FS_UNTIL(FS_TRUNCATE);
	return version == 2 ? FS_UNTIL(FS_REFER) : FS_UNTIL(FS_MAKE_SYM);
}

/* What is named here is refused everywhere, but in a folder that there is a rule for. */
static struct ruleset all_of(int version, unsigned groups)
{
	struct ruleset all = {.files = files_of(version)};

	if (version >= 4)
		all.net = NET_BIND_TCP | NET_CONNECT_TCP;
	if (version >= 6)
		all.scopes = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
	if (groups & SANDBOX_CONNECT)
		all.net &= ~NET_CONNECT_TCP;
	if (groups & (SANDBOX_CONNECT | SANDBOX_ABSTRACT))
		all.scopes &= ~SCOPE_ABSTRACT_UNIX;
	if (groups & SANDBOX_INTERNET)
		all.net = 0;
	return all;
}

/* A file that takes the place of another one has that removed. */
static int allow_files(int fd, int version, int folder)
{
	const struct path_beneath rule = {
		.allowed = FS_BIT(FS_WRITE_FILE) | FS_BIT(FS_READ_FILE) |
	                   FS_BIT(FS_REMOVE_FILE) | FS_BIT(FS_MAKE_REG) |
	                   (version >= 3 ? FS_BIT(FS_TRUNCATE) : 0),
		.folder = folder,
	};

	return syscall(SYS_landlock_add_rule, fd, RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

int sandbox_landlock_enter(int version, unsigned groups, int folder)
{
	const struct ruleset all = all_of(version, groups);
	_cleanup_close_ int fd = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (groups & SANDBOX_FOLDER)
		r = allow_files(fd, version, folder);
	if (r < 0)
		return r;
	return syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
}
