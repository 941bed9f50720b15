/*
 * probe: print what this process finds itself with, as lines "KEY VALUE", and
 * end.  It uses no stdio before it has looked, so it sees nothing of its own.
 *
 *	fd N TARGET		open descriptors
 *	env NAME=VALUE		environment, in its order
 *	arg N TEXT		arguments
 *	status NAME VALUE	lines of /proc/self/status
 *	limit NAME SOFT HARD
 *	and single values: pid sid pgrp umask cwd root policy affinity nice
 *	ioprio slack keyring keyring_name oom groups tty
 *
 * probe hold: the same, then wait for the end of the input.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FD_LIMIT 70000

extern char **environ;

static unsigned char is_open[FD_LIMIT];

static void look_at_descriptors(void)
{
	for (int fd = 0; fd < FD_LIMIT; fd++)
		is_open[fd] = fcntl(fd, F_GETFD) >= 0;
}

static void print_descriptors(void)
{
	for (int fd = 0; fd < FD_LIMIT; fd++) {
		char path[64], target[4096];
		ssize_t len;

		if (!is_open[fd])
			continue;
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		len = readlink(path, target, sizeof target - 1);
		target[len < 0 ? 0 : len] = '\0';
		printf("fd %d %s\n", fd, target);
	}
}

static void print_file(const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	char line[4096];

	while (file && fgets(line, sizeof line, file))
		printf("%s %s", key, line);
	if (file)
		fclose(file);
}

static void print_limits(void)
{
	static const struct {
		const char *name;
		int resource;
	} limits[] = {
		{"as", RLIMIT_AS},
		{"core", RLIMIT_CORE},
		{"cpu", RLIMIT_CPU},
		{"data", RLIMIT_DATA},
		{"fsize", RLIMIT_FSIZE},
		{"locks", RLIMIT_LOCKS},
		{"memlock", RLIMIT_MEMLOCK},
		{"msgqueue", RLIMIT_MSGQUEUE},
		{"nice", RLIMIT_NICE},
		{"nofile", RLIMIT_NOFILE},
		{"nproc", RLIMIT_NPROC},
		{"rss", RLIMIT_RSS},
		{"rtprio", RLIMIT_RTPRIO},
		{"rttime", RLIMIT_RTTIME},
		{"sigpending", RLIMIT_SIGPENDING},
		{"stack", RLIMIT_STACK},
	};

	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		struct rlimit limit;

		getrlimit(limits[i].resource, &limit);
		printf("limit %s %lld %lld\n", limits[i].name, (long long)limit.rlim_cur,
			(long long)limit.rlim_max);
	}
}

static void print_scheduling(void)
{
	cpu_set_t cpus;

	printf("policy %d\n", sched_getscheduler(0));
	if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
		printf("affinity %d\n", CPU_COUNT(&cpus));
	errno = 0;
	printf("nice %d\n", getpriority(PRIO_PROCESS, 0));
	printf("ioprio %ld\n", syscall(SYS_ioprio_get, 1, 0));
	printf("slack %d\n", prctl(PR_GET_TIMERSLACK));
}

static void print_keyring(void)
{
	/* KEYCTL_GET_KEYRING_ID of KEY_SPEC_SESSION_KEYRING, not made if there is
	 * none; KEYCTL_DESCRIBE. */
	long id = syscall(SYS_keyctl, 0, -3, 0);
	char name[256] = "";

	if (id < 0)
		return;
	printf("keyring %ld\n", id);
	syscall(SYS_keyctl, 6, id, name, sizeof name - 1);
	printf("keyring_name %s\n", strrchr(name, ';') ? strrchr(name, ';') + 1 : "");
}

static void print_groups(void)
{
	gid_t groups[1024];
	int n = getgroups(1024, groups);

	printf("groups");
	for (int i = 0; i < n; i++)
		printf(" %u", groups[i]);
	printf("\n");
}

static void print_place(void)
{
	char path[4096];
	mode_t mask = umask(0);
	struct stat st = {0};
	int tty;

	printf("umask %04o\n", mask);
	printf("cwd %s\n", getcwd(path, sizeof path) ? path : "?");
	stat("/", &st);
	printf("root %llu\n", (unsigned long long)st.st_ino);
	tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
	printf("tty %s\n", tty < 0 ? "no" : "yes");
	printf("pid %d\nsid %d\npgrp %d\n", getpid(), getsid(0), getpgrp());
}

int main(int argc, char **argv)
{
	char byte;

	look_at_descriptors();
	print_descriptors();
	for (char **entry = environ; *entry; entry++)
		printf("env %s\n", *entry);
	for (int i = 0; i < argc; i++)
		printf("arg %d %s\n", i, argv[i]);
	print_file("/proc/self/status", "status");
	print_file("/proc/self/oom_score_adj", "oom");
	print_limits();
	print_scheduling();
	print_keyring();
	print_groups();
	print_place();
	printf("end\n");
	fflush(stdout);

	if (argc > 1 && strcmp(argv[1], "hold") == 0)
		while (read(0, &byte, 1) > 0)
			;
	return 0;
}
