#include "os/no_rights.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* One word is what the kernel permits, the others are made of it. */
static void limit_to(struct __user_cap_data_struct *word, uint32_t kept)
{
	word->permitted &= kept;
	word->effective = word->permitted;
	word->inheritable = 0;
}

static int drop_capabilities(uint64_t kept)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct words[2] = {0};

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (kept != 0 && syscall(SYS_capget, &header, words) < 0)
		return -errno;
	limit_to(&words[0], (uint32_t)kept);
	limit_to(&words[1], (uint32_t)(kept >> 32));
	return syscall(SYS_capset, &header, words) < 0 ? -errno : 0;
}

int few_rights(id_t id, uint64_t capabilities)
{
	if (capabilities != 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return -errno;
	if (geteuid() == 0) {
		(void)!setgroups(0, NULL);
		(void)!setresgid(id, id, id);
		(void)!setresuid(id, id, id);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
		return -errno;
	return drop_capabilities(capabilities);
}

bool have_right(int capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct words[2] = {0};

	return syscall(SYS_capget, &header, words) == 0 &&
	       words[capability / 32].effective & 1U << capability % 32;
}

int no_rights(id_t id)
{
	return few_rights(id, 0);
}
