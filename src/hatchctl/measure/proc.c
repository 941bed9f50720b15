#include "hatchctl/measure/proc.h"

#include "base/pidstat.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* 52 numbers of 20 digits, and the name. */
#define STAT_MAX 2048

int proc_parse(const char *text, struct proc *ret)
{
	struct proc proc = {0};
	struct pidstat stat;
	int r = pidstat_parse(text, &stat);

	if (r < 0)
		return r;
	snprintf(proc.name, sizeof proc.name, "%.*s", (int)stat.name_len, stat.name);
	proc.parent = stat.parent;
	proc.cpu = pidstat_usec(stat.user) + pidstat_usec(stat.system);
	proc.started = pidstat_usec(stat.start);
	proc.memory = stat.pages * (uint64_t)sysconf(_SC_PAGESIZE);
	*ret = proc;
	return 0;
}

int proc_read(pid_t pid, struct proc *ret)
{
	_cleanup_close_ int fd = -EBADF;
	char path[32], text[STAT_MAX];
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof text - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	return proc_parse(text, ret);
}

int proc_read_child(pid_t pid, pid_t parent, struct proc *ret)
{
	struct proc proc;
	int r = proc_read(pid, &proc);

	if (r < 0)
		return r;
	if (proc.parent != parent)
		return -ESRCH;
	*ret = proc;
	return 0;
}
