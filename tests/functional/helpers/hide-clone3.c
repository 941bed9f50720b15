/*
 * hide-clone3 PROGRAM [ARGUMENT...]: run a program on a kernel that seems not to
 * have clone3, as under the system call filters of some containers.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NR_CLONE3 435 /* on every architecture of today */

int main(int argc, char **argv)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NR_CLONE3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {.len = 4, .filter = code};

	if (argc < 2) {
		fprintf(stderr, "usage: hide-clone3 PROGRAM [ARGUMENT...]\n");
		return 125;
	}

	/* Root needs no promise, which set-user-id programs would notice. */
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0 &&
		(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)) {
		fprintf(stderr, "hide-clone3: unable to set the filter: %s\n", strerror(errno));
		return 125;
	}
	execvp(argv[1], argv + 1);
	fprintf(stderr, "hide-clone3: unable to run %s: %s\n", argv[1], strerror(errno));
	return 127;
}
