/*
 * hatchd-orphans: finds what an earlier hatchd has left running, and ends it when asked.
 *
 * The master reads no file, and a process can delay who reads its environment.  So it is this
 * process that goes through /proc, once, and ends; who delays it is known by his control group
 * alone, and nobody else is the worse for him (os/environ_reader).  Of what root may do it
 * keeps to look into processes and to send them signals; it is a user of its own.
 *
 * A process counts if a hatchd of the master's family has started it, by the mark in its
 * environment (os/mark), that hatchd is no more, and it is still in the session that was made
 * for it: what a service has started anew, a daemon or another hatchd, is on its own.  Where
 * the control group of the master is its own, as a unit of systemd's is, a process without such
 * a mark counts as well that is in there and was there before: programs may write over their
 * environment, or change it.
 * What such a process has started itself is not told of, as long as its parent lives: it is
 * the parent's affair.
 */
#include "base/clock.h"
#include "base/own.h"
#include "base/text.h"
#include "os/environ_reader.h"
#include "os/helper.h"
#include "os/no_rights.h"
#include "os/orphan_wire.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <linux/capability.h>

/* Of user and group, as hatchd-ask has one of its own. */
#define UNPRIVILEGED 65529

#define RIGHT(capability) (UINT64_C(1) << (capability))
#define RIGHTS            (RIGHT(CAP_SYS_PTRACE) | RIGHT(CAP_DAC_READ_SEARCH) | RIGHT(CAP_KILL))

/* More than the path of a control group can have. */
#define GROUP_MAX 8192

struct search {
	struct orphan_order order;
	char group[GROUP_MAX]; /* of the master, as its file says; "": it is not its own */
	char name[PROCESS_NAME_MAX]; /* of the master */
	uint64_t boot;               /* when the search was begun */
	uint32_t n_found, n_told;
	struct environ_reader reader;
	const char *environment; /* of the process that is looked at; the reader's */
	size_t environment_len;
};

/* The master is gone if it cannot be told, and so is everybody's work. */
static void tell(const struct orphan_news *news)
{
	if (send(HELPER_SOCKET_FD, news, sizeof *news, MSG_NOSIGNAL) < 0)
		_exit(0);
}

/* ------------------------------------------------------------------------- to judge */

enum kin {
	KIN_UNKNOWN, /* it has no mark that we can see, or one of strangers who are no more */
	KIN_OTHER,   /* its hatchd lives, or it is on its own */
	KIN_LEFT,
};

/* Only who is known to be dead is: what he has left will perhaps be killed. */
static bool lives(const struct search *search, const struct mark *mark)
{
	_cleanup_close_ int folder = -EBADF;
	struct process_stat stat;
	int r;

	if (mark->pid == search->order.mark.pid)
		return mark->start == search->order.mark.start;
	folder = process_open(mark->pid);
	r = folder < 0 ? folder : process_look(folder, &stat);
	if (r < 0)
		return r != -ENOENT && r != -ESRCH;
	return stat.start == mark->start && stat.state != 'Z' && stat.state != 'X';
}

static const char *find(const struct search *search, const char *name)
{
	return process_find_env(search->environment, search->environment_len, name);
}

/* Its environment is the one that find() looks at from now on. */
static enum kin learn_kin(struct search *search, int folder, const struct process_stat *stat)
{
	ssize_t n = environ_read(&search->reader, folder, &search->environment);
	const char *value;
	struct mark mark;

	search->environment_len = n > 0 ? (size_t)n : 0;
	value = find(search, MARK_NAME);
	if (!value || !mark_parse(value, &mark))
		return KIN_UNKNOWN;
	if (lives(search, &mark))
		return KIN_OTHER;
	if (mark.family != search->order.mark.family)
		return KIN_UNKNOWN;
	return stat->session == mark.session ? KIN_LEFT : KIN_OTHER;
}

/* It was there before the master, who is not its child either. */
static bool is_in_group(
	const struct search *search, int folder, const struct process_stat *stat)
{
	char group[GROUP_MAX];

	return search->group[0] && stat->start < search->order.mark.start &&
	       process_read(folder, "cgroup", group, sizeof group) > 0 &&
	       strcmp(group, search->group) == 0;
}

/* Another hatchd, that somebody has started in the middle of what a service does. */
static bool is_hatchd(const struct search *search, pid_t pid, const struct process_stat *stat)
{
	return pid != stat->session && strcmp(stat->name, search->name) == 0;
}

static bool is_left(
	struct search *search, pid_t pid, int folder, const struct process_stat *stat)
{
	enum kin kin;

	if (stat->state == 'Z' || stat->state == 'X' || is_hatchd(search, pid, stat))
		return false;
	kin = learn_kin(search, folder, stat);
	return kin == KIN_LEFT || (kin == KIN_UNKNOWN && is_in_group(search, folder, stat));
}

static bool is_left_process(struct search *search, pid_t pid)
{
	_cleanup_close_ int folder = process_open(pid);
	struct process_stat stat;

	return folder >= 0 && process_look(folder, &stat) == 0 &&
	       is_left(search, pid, folder, &stat);
}

/* ------------------------------------------------------------------------ to search */

/* What is too long is not known. */
static void copy_service(const struct search *search, char service[ORPHAN_SERVICE_MAX])
{
	const char *value = find(search, "HATCHD_SERVICE");

	if (value && strlen(value) < ORPHAN_SERVICE_MAX)
		strcpy(service, value);
}

static uint64_t find_connection(const struct search *search)
{
	const char *value = find(search, "HATCHD_CONNECTION");
	uint64_t connection;

	return value && text_parse_u64(value, &connection) == 0 ? connection : 0;
}

static struct orphan describe(
	const struct search *search, pid_t pid, int folder, const struct process_stat *stat)
{
	struct orphan orphan = {.pid = pid, .uid = (uid_t)-1};

	process_user(folder, &orphan.uid);
	orphan.age = process_age(stat, search->boot);
	orphan.connection = find_connection(search);
	copy_service(search, orphan.service);
	memcpy(orphan.command, stat->name, sizeof orphan.command);
	return orphan;
}

/* By its folder: whoever has that number meanwhile is not hit. */
static void send_signal(struct search *search, int folder, const struct orphan *orphan)
{
	const struct orphan_order *order = &search->order;
	int signal = order->kind == ORPHAN_KILL ? SIGKILL : SIGTERM;

	if (order->kind == ORPHAN_LOOK)
		return;
	if (order->service[0] && strcmp(order->service, orphan->service) != 0)
		return;
	if (process_signal(folder, signal) == 0)
		search->n_told++;
}

/* The parent comes first: its environment is in the way of the other. */
static void look_at(struct search *search, pid_t pid)
{
	struct orphan_news news = {.kind = ORPHAN_FOUND};
	_cleanup_close_ int folder = process_open(pid);
	struct process_stat stat;

	if (folder < 0 || process_look(folder, &stat) < 0 ||
		!is_left(search, pid, folder, &stat))
		return;
	if (stat.parent > 0 && is_left_process(search, stat.parent))
		return;
	if (!is_left(search, pid, folder, &stat))
		return;
	news.orphan = describe(search, pid, folder, &stat);
	send_signal(search, folder, &news.orphan);
	if (search->n_found++ < ORPHANS_TOLD_MAX)
		tell(&news);
}

/* The control group only where it is its own, as a unit of systemd's is: a folder of somebody
 * else's processes is not. */
static int learn_master(struct search *search)
{
	_cleanup_close_ int folder = process_open(search->order.mark.pid);
	struct process_stat stat;
	int r = folder < 0 ? folder : process_look(folder, &stat);
	ssize_t n = 0;

	if (r < 0)
		return r;
	memcpy(search->name, stat.name, sizeof search->name);
	if (search->order.own_group)
		n = process_read(folder, "cgroup", search->group, sizeof search->group);
	return n < 0 ? (int)n : 0;
}

static int search_all(struct search *search)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	uint32_t pid;

	if (!proc)
		return -errno;
	search->boot = clock_boot();
	while ((entry = readdir(proc)))
		if (text_parse_u32(entry->d_name, &pid) == 0 && pid != (uint32_t)getpid() &&
			pid != (uint32_t)search->order.mark.pid)
			look_at(search, (pid_t)pid);
	closedir(proc);
	return 0;
}

int main(void)
{
	static struct search search;
	struct orphan_news over = {.kind = ORPHAN_OVER};
	bool root = geteuid() == 0;
	sigset_t all;

	prctl(PR_SET_NAME, "hatchd-orphans");
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (few_rights(UNPRIVILEGED, RIGHTS) < 0)
		return 1;
	if (recv(HELPER_SOCKET_FD, &search.order, sizeof search.order, 0) !=
		sizeof search.order)
		return 1;
	/* Programs are other users: nothing would be found, which says nothing. */
	over.result = root && !have_right(CAP_SYS_PTRACE) ? -EPERM : learn_master(&search);
	if (over.result == 0)
		over.result = search_all(&search);
	over.n_found = search.n_found;
	over.n_told = search.n_told;
	tell(&over);
	_exit(0);
}
