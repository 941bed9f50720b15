#include "os/own_group.h"

#include "os/process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ROOT "/sys/fs/cgroup"

/* More than the path of a control group can have. */
#define PATH_ROOM 8192

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

bool own_group_parse(const char *line, char *ret, unsigned long size)
{
	const char *first = strchr(line, ':');
	const char *path = first ? strchr(first + 1, ':') : NULL;
	const char *mount = "";
	int len;

	if (!path)
		return false;
	if (begins(first, ":name=systemd:"))
		mount = "/systemd";
	else if (!begins(line, "0::"))
		return false;
	path++;
	len = snprintf(ret, size, ROOT "%s%.*s", mount, (int)strcspn(path, "\n"), path);
	return len > 0 && (unsigned long)len < size;
}

static bool is_other(pid_t pid)
{
	int folder = pid == getpid() ? -ENOENT : process_open(pid);
	struct process_stat stat;
	bool other;

	if (folder < 0)
		return false;
	other = process_look(folder, &stat) == 0 && stat.parent != getpid() &&
	        stat.state != 'Z';
	close(folder);
	return other;
}

static bool has_others(const char *group)
{
	char path[PATH_ROOM + 16];
	bool found = false;
	FILE *file;
	int pid;

	snprintf(path, sizeof path, "%s/cgroup.procs", group);
	file = fopen(path, "re");
	if (!file)
		return false;
	/* 0 stands for one of another name space. */
	while (!found && fscanf(file, "%d", &pid) == 1)
		found = pid > 0 && is_other(pid);
	fclose(file);
	return found;
}

bool own_group_has_others(void)
{
	char line[PATH_ROOM], group[PATH_ROOM];
	FILE *file = fopen("/proc/self/cgroup", "re");
	bool found = false;

	if (!file)
		return false;
	while (!found && fgets(line, sizeof line, file))
		found = own_group_parse(line, group, sizeof group) && has_others(group);
	fclose(file);
	return found;
}
