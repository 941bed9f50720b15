#include "os/process.h"

#include "base/own.h"
#include "base/pidstat.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

/* More than a line of `stat`, or the part of `status` with the ids, can have. */
#define FILE_MAX 2048

int process_open(pid_t pid)
{
	char path[32];
	int fd;

	snprintf(path, sizeof path, "/proc/%d", (int)pid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

ssize_t process_read(int folder, const char *file, char *buf, size_t size)
{
	_cleanup_close_ int fd = openat(folder, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t len = 0;

	if (fd < 0)
		return -errno;
	while (len < size - 1) {
		ssize_t n = read(fd, buf + len, size - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	buf[len] = '\0';
	return (ssize_t)len;
}

int process_look(int folder, struct process_stat *ret)
{
	char text[FILE_MAX];
	ssize_t n = process_read(folder, "stat", text, sizeof text);

	return n < 0 ? (int)n : process_parse_stat(text, ret);
}

int process_user(int folder, uid_t *ret)
{
	char text[FILE_MAX];
	ssize_t n = process_read(folder, "status", text, sizeof text);

	return n < 0 ? (int)n : process_parse_user(text, ret);
}

/* The kernel takes the folder of a process for a pidfd. */
int process_signal(int folder, int signal)
{
	return syscall(SYS_pidfd_send_signal, folder, signal, NULL, 0) < 0 ? -errno : 0;
}

uint64_t process_age(const struct process_stat *stat, uint64_t boot)
{
	uint64_t since = pidstat_usec(stat->start);

	return boot > since ? boot - since : 0;
}

int process_parse_stat(const char *text, struct process_stat *ret)
{
	struct process_stat stat = {0};
	struct pidstat told;
	int r = pidstat_parse(text, &told);

	if (r < 0)
		return r;
	memcpy(stat.name, told.name,
		told.name_len < sizeof stat.name ? told.name_len : sizeof stat.name - 1);
	stat.state = told.state;
	stat.parent = told.parent;
	stat.session = told.session;
	stat.start = told.start;
	*ret = stat;
	return 0;
}

/* Behind the name, in whose line the kernel has escaped each newline. */
int process_parse_user(const char *status, uid_t *ret)
{
	const char *line = strstr(status, "\nUid:");
	unsigned effective;

	if (!line || sscanf(line + strlen("\nUid:"), "%*u %u", &effective) != 1)
		return -EBADMSG;
	*ret = effective;
	return 0;
}

const char *process_find_env(const char *env, size_t len, const char *name)
{
	size_t name_len = strlen(name);

	for (const char *at = env; at < env + len; at += strlen(at) + 1)
		if (strncmp(at, name, name_len) == 0 && at[name_len] == '=')
			return at + name_len + 1;
	return NULL;
}
