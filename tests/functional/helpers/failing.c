/*
 * failing CALL ERRNO PROGRAM [ARGUMENT...]: run a program where a system call always
 * fails with that number, as it does on a machine that lacks something.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static long number_of(const char *call)
{
	if (strcmp(call, "accept4") == 0)
		return SYS_accept4;
	fprintf(stderr, "failing: unknown system call %s\n", call);
	exit(125);
}

int main(int argc, char **argv)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {.len = 4, .filter = code};

	if (argc < 4) {
		fprintf(stderr, "usage: failing CALL ERRNO PROGRAM [ARGUMENT...]\n");
		return 125;
	}
	code[1].k = (unsigned)number_of(argv[1]);
	code[2].k |= (unsigned)strtoul(argv[2], NULL, 10) & SECCOMP_RET_DATA;

	/* Root needs no promise, which set-user-id programs would notice. */
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0 &&
		(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)) {
		fprintf(stderr, "failing: unable to set the filter: %s\n", strerror(errno));
		return 125;
	}
	execvp(argv[3], argv + 3);
	fprintf(stderr, "failing: unable to run %s: %s\n", argv[3], strerror(errno));
	return 127;
}
