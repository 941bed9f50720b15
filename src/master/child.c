#include "master/child.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "master/findings.h"
#include "master/pass.h"
#include "master/setup.h"
#include "master/worker.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Pidfds of short-lived children stay at the low number they got: moving one
 * costs three system calls.  So many may stay low, then the oldest moves. */
#define LOW_PIDFDS 64

/* Ends handled by one wake-up: the others wait for the next turn. */
#define REAP_BATCH 64

/* A child that is readable but cannot be reaped is looked at again after so long. */
#define RETRY_AFTER USEC_PER_SEC

#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1U << 2)
#endif

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

struct child_table {
	size_t max;
	size_t used;
	size_t touched; /* elements that were ever in use */
	int high;
	int epoll_fd;
	child_ended ended;
	void *userdata;
	struct child *children;
	struct child *free;
	struct child *first_young, *last_young;
	struct heap due; /* of those about whom something is to be done */
	struct child *late;
	uint64_t retry_at; /* usec, monotonic; USEC_INFINITY: nobody is late */

	struct child *low[LOW_PIDFDS]; /* ring of children whose pidfd is low; gaps are NULL */
	size_t low_at;
};

int child_table_new(
	size_t max, int high, child_ended ended, void *userdata, struct child_table **ret)
{
	struct child_table *table = calloc(1, sizeof *table);
	int fd;

	if (!table)
		return -ENOMEM;
	table->epoll_fd = -EBADF;
	table->children = calloc(max ? max : 1, sizeof *table->children);
	if (!table->children || heap_reserve(&table->due, max) < 0) {
		child_table_free(table);
		return -ENOMEM;
	}

	table->max = max;
	table->high = high;
	table->ended = ended;
	table->userdata = userdata;
	table->retry_at = USEC_INFINITY;
	fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd < 0) {
		child_table_free(table);
		return -errno;
	}
	table->epoll_fd = fd;
	fd = fd_move_up(fd, high);
	if (fd >= 0)
		table->epoll_fd = fd;
	*ret = table;
	return 0;
}

struct child_table *child_table_free(struct child_table *table)
{
	if (table) {
		fd_close(table->epoll_fd);
		free(table->children);
		heap_done(&table->due);
	}
	free(table);
	return NULL;
}

int child_table_fd(const struct child_table *table)
{
	return table->epoll_fd;
}

size_t child_table_used(const struct child_table *table)
{
	return table->used;
}

bool child_table_has_room(const struct child_table *table)
{
	return table->used < table->max;
}

size_t child_table_places(const struct child_table *table)
{
	return table->touched;
}

const struct child *child_table_at(const struct child_table *table, size_t place)
{
	const struct child *child = &table->children[place];

	return child->service ? child : NULL;
}

struct child *child_table_find(const struct child_table *table, uint64_t connection)
{
	for (size_t i = 0; i < table->touched; i++)
		if (table->children[i].service && table->children[i].connection == connection)
			return &table->children[i];
	return NULL;
}

/* Never used elements first come from the end of what was ever used, so that
 * a table for many children costs memory only for those that there were. */
struct child *child_new(struct child_table *table)
{
	struct child *child = table->free;

	if (table->used >= table->max)
		return NULL;

	if (child)
		table->free = child->next;
	else
		child = &table->children[table->touched++];
	table->used++;

	memset(child, 0, sizeof *child);
	child->pidfd = -EBADF;
	child->conn = -EBADF;
	return child;
}

static void young_remove(struct child_table *table, struct child *child)
{
	if (child->prev_young)
		child->prev_young->next_young = child->next_young;
	else if (table->first_young == child)
		table->first_young = child->next_young;
	if (child->next_young)
		child->next_young->prev_young = child->prev_young;
	else if (table->last_young == child)
		table->last_young = child->prev_young;
	child->next_young = child->prev_young = NULL;
}

static void young_append(struct child_table *table, struct child *child)
{
	child->prev_young = table->last_young;
	if (table->last_young)
		table->last_young->next_young = child;
	else
		table->first_young = child;
	table->last_young = child;
}

void child_begin(struct child_table *table, struct child *child)
{
	young_append(table, child);
}

struct child *child_table_young(const struct child_table *table)
{
	return table->first_young;
}

void child_announced(struct child_table *table, struct child *child)
{
	child->announced = true;
	young_remove(table, child);
}

static void low_forget(struct child_table *table, const struct child *child)
{
	if (child->pidfd >= table->high || child->pidfd < 0)
		return;
	for (size_t i = 0; i < LOW_PIDFDS; i++)
		if (table->low[i] == child)
			table->low[i] = NULL;
}

static void late_forget(struct child_table *table, struct child *child)
{
	if (!child->late)
		return;
	child->late = false;
	for (struct child **link = &table->late; *link; link = &(*link)->next_late) {
		if (*link != child)
			continue;
		*link = child->next_late;
		return;
	}
}

static void late_add(struct child_table *table, struct child *child, uint64_t now)
{
	if (child->late)
		return;
	child->late = true;
	child->next_late = table->late;
	table->late = child;
	if (table->retry_at == USEC_INFINITY)
		table->retry_at = now + RETRY_AFTER;
}

uint64_t child_table_retry_due(const struct child_table *table)
{
	return table->retry_at;
}

void child_free(struct child_table *table, struct child *child)
{
	assert(!child->slot);

	young_remove(table, child);
	low_forget(table, child);
	late_forget(table, child);
	heap_remove(&table->due, &child->due);
	child->asking = 0; /* the answer is nobody's */
	child->pidfd = fd_close(child->pidfd);
	child->conn = fd_close(child->conn);
	free(child->ends);
	child->ends = NULL;
	child->findings = findings_release(child->findings);
	child->setup = setup_release(child->setup);
	child->service = NULL; /* nobody is at this place */
	child->next = table->free;
	table->free = child;
	table->used--;
}

/* Before Linux 6.9 the group has to be named by its number. */
static bool signal_group(const struct child *child, int signal)
{
	if (syscall(SYS_pidfd_send_signal, child->pidfd, signal, NULL,
		    PIDFD_SIGNAL_PROCESS_GROUP) == 0)
		return true;
	return errno == EINVAL && kill(-child->pid, signal) == 0;
}

/* It may not have a group of its own yet. */
void child_signal(struct child *child, int signal)
{
	if (child->worker && signal == SIGKILL)
		pass_insist(child);
	else if (child->worker)
		pass_end(child);
	else if (!signal_group(child, signal))
		syscall(SYS_pidfd_send_signal, child->pidfd, signal, NULL, 0);
}

void child_end_early(struct child *child)
{
	child->unwanted = true;
	if (!child->slot)
		child_signal(child, SIGTERM);
}

void child_set_due(struct child_table *table, struct child *child, uint64_t due)
{
	if (due == USEC_INFINITY)
		heap_remove(&table->due, &child->due);
	else
		heap_put(&table->due, &child->due, due);
}

uint64_t child_table_due(const struct child_table *table)
{
	const struct heap_node *first = heap_first(&table->due);

	return first ? first->key : USEC_INFINITY;
}

struct child *child_table_overdue(const struct child_table *table, uint64_t now)
{
	struct heap_node *first = heap_first(&table->due);

	if (!first || first->key > now)
		return NULL;
	return (struct child *)((char *)first - offsetof(struct child, due));
}

static bool arm(const struct child_table *table, int operation, struct child *child)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLONESHOT,
		.data.ptr = child,
	};

	return epoll_ctl(table->epoll_fd, operation, child->pidfd, &event) == 0;
}

/* Whether it is in the set is the kernel's to know: it may not have got there. */
static bool arm_again(const struct child_table *table, struct child *child)
{
	return arm(table, EPOLL_CTL_MOD, child) || arm(table, EPOLL_CTL_ADD, child);
}

/* Out of the part of the table that children copy.  Where that fails, it stays. */
static void move_high(struct child_table *table, struct child *child, uint64_t now)
{
	int fd;

	epoll_ctl(table->epoll_fd, EPOLL_CTL_DEL, child->pidfd, NULL);
	fd = fd_move_up(child->pidfd, table->high);
	if (fd >= 0)
		child->pidfd = fd;
	if (!arm(table, EPOLL_CTL_ADD, child))
		late_add(table, child, now);
}

static void low_remember(struct child_table *table, struct child *child, uint64_t now)
{
	struct child **place = &table->low[table->low_at];

	table->low_at = (table->low_at + 1) % LOW_PIDFDS;
	if (*place)
		move_high(table, *place, now);
	*place = child;
}

void child_watch(struct child_table *table, struct child *child, uint64_t now)
{
	if (!arm(table, EPOLL_CTL_ADD, child))
		late_add(table, child, now);
	low_remember(table, child, now);
}

void child_table_retry(struct child_table *table, uint64_t now)
{
	struct child *late = table->late;

	if (now < table->retry_at)
		return;
	table->late = NULL;
	table->retry_at = USEC_INFINITY;
	while (late) {
		struct child *child = late;

		late = child->next_late;
		child->next_late = NULL;
		child->late = false;
		if (!arm_again(table, child))
			late_add(table, child, now);
	}
}

bool child_learn_ends(struct child *child, const struct conn *conn)
{
	if (conn->proxy.len == 0 || child->ends)
		return true;
	child->ends = malloc(sizeof *child->ends);
	if (!child->ends)
		return false;
	*child->ends = (struct tcp_ends){.local = conn->reached, .peer = conn->proxy};
	return true;
}

static uint64_t cpu_of(const struct rusage *usage)
{
	return (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
}

/* The raw call: its fifth argument, which libc hides, is the child's usage. */
static bool reap(const struct child *child, struct child_end *ret)
{
	siginfo_t info = {0};
	struct rusage usage = {0};

	if (syscall(SYS_waitid, P_PIDFD, child->pidfd, &info, WEXITED | WNOHANG, &usage) < 0) {
		/* Somebody else took it; it is gone all the same. */
		*ret = (struct child_end){.outcome = {.status = 255}};
		return errno == ECHILD;
	}
	if (info.si_pid == 0)
		return false;

	*ret = (struct child_end){
		.outcome = outcome_from_wait(info.si_code, info.si_status),
		.cpu_usec = cpu_of(&usage),
	};
	return true;
}

void child_table_reap(struct child_table *table, uint64_t now)
{
	struct epoll_event events[REAP_BATCH];
	int n = epoll_wait(table->epoll_fd, events, REAP_BATCH, 0);

	for (int i = 0; i < n; i++) {
		struct child *child = events[i].data.ptr;
		struct child_end end;

		if (reap(child, &end))
			table->ended(table->userdata, child, &end);
		else
			late_add(table, child, now);
	}
}
