#include "hatchctl/measure/proc.h"

#include "base/clock.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* 52 numbers of 20 digits, and the name. */
#define STAT_MAX 2048

static uint64_t ticks_to_usec(uint64_t ticks)
{
	const uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);

	return ticks / per_second * USEC_PER_SEC +
	       ticks % per_second * USEC_PER_SEC / per_second;
}

/* Where the name ends: the last parenthesis, for there may be others in it. */
static const char *take_name(const char *text, char name[PROC_NAME_MAX])
{
	const char *start = strchr(text, '('), *end = strrchr(text, ')');

	if (!start || !end || end < start)
		return NULL;
	snprintf(name, PROC_NAME_MAX, "%.*s", (int)(end - start - 1), start + 1);
	return end + 1;
}

/* They are numbered as in proc(5), where the state behind the name is the third. */
int proc_parse(const char *text, struct proc *ret)
{
	uint64_t user, system, started, pages;
	struct proc proc = {0};
	const char *rest = take_name(text, proc.name);

	if (!rest)
		return -EBADMSG;
	if (sscanf(rest,
		    " %*c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s" /* 3 to 13 */
		    " %" SCNu64 " %" SCNu64 " %*s %*s %*s %*s %*s %*s"
		    " %" SCNu64 " %*s %" SCNu64,
		    &proc.parent, &user, &system, &started, &pages) != 5)
		return -EBADMSG;
	proc.cpu = ticks_to_usec(user) + ticks_to_usec(system);
	proc.started = ticks_to_usec(started);
	proc.memory = pages * (uint64_t)sysconf(_SC_PAGESIZE);
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
