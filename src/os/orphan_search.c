#include "os/orphan_search.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "os/helper.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define NAME "hatchd-orphans"

struct orphan_search {
	struct helper process;
	bool runs;
	int failed;       /* negative errno: it is over, which nobody was told */
	uint32_t n_found; /* told of */
	uint64_t overdue; /* usec, monotonic: it is given up then */
};

int orphan_search_new(int program, int null, int lowest, struct orphan_search **ret)
{
	struct orphan_search *search = calloc(1, sizeof *search);
	int r;

	if (!search) {
		fd_close(program);
		return -ENOMEM;
	}
	r = helper_init(&search->process, NAME, program, null, lowest);
	if (r < 0) {
		free(search);
		return r;
	}
	*ret = search;
	return 0;
}

void orphan_search_done(struct orphan_search *search)
{
	if (!search)
		return;
	helper_done(&search->process);
	free(search);
}

int orphan_search_fd(const struct orphan_search *search)
{
	return search->process.epoll_fd;
}

bool orphan_search_runs(const struct orphan_search *search)
{
	return search->runs;
}

const char *orphan_search_explain(int result, char buf[HELPER_WHY_MAX])
{
	switch (result) {
	case -EPERM:
		return "that takes CAP_SYS_PTRACE";
	case -ETIME:
		return "it takes too long";
	default:
		return helper_explain(NAME, result, buf);
	}
}

void orphan_search_begin(
	struct orphan_search *search, const struct orphan_order *order, uint64_t now)
{
	search->runs = true;
	search->n_found = 0;
	search->overdue = now + ORPHAN_PATIENCE;
	search->failed = helper_start(&search->process);
	if (search->failed == 0 && send(search->process.socket, order, sizeof *order,
					   MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof *order)
		search->failed = -ECHILD;
}

/* -EAGAIN: nothing is there. */
static int hear(struct orphan_search *search, struct orphan_news *ret)
{
	ssize_t n = recv(search->process.socket, ret, sizeof *ret, MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -ECHILD;
	if (n == 0)
		return -ECHILD;
	if (n != sizeof *ret || (ret->kind != ORPHAN_FOUND && ret->kind != ORPHAN_OVER))
		return -EBADMSG;
	if (ret->kind == ORPHAN_FOUND &&
		(search->n_found++ >= ORPHANS_TOLD_MAX || ret->orphan.pid <= 0))
		return -EBADMSG;
	ret->orphan.service[ORPHAN_SERVICE_MAX - 1] = '\0';
	ret->orphan.command[PROCESS_NAME_MAX - 1] = '\0';
	return 0;
}

static void end(struct orphan_search *search, uint64_t now)
{
	helper_end(&search->process, now);
	search->runs = false;
	search->failed = 0;
}

/* -EAGAIN as above. */
static int hear_in_time(struct orphan_search *search, uint64_t now, struct orphan_news *ret)
{
	int r = hear(search, ret);

	return r == -EAGAIN && now >= search->overdue ? -ETIME : r;
}

/* One that could not be started is over, whatever the reason was. */
bool orphan_search_take(struct orphan_search *search, uint64_t now, struct orphan_news *ret)
{
	int r = search->failed;

	if (!search->runs)
		return false;
	if (r == 0) {
		r = hear_in_time(search, now, ret);
		if (r == -EAGAIN)
			return false;
	}
	if (r < 0)
		*ret = (struct orphan_news){
			.kind = ORPHAN_OVER, .result = r, .n_found = search->n_found};
	if (ret->kind == ORPHAN_OVER)
		end(search, now);
	return true;
}

uint64_t orphan_search_tend(struct orphan_search *search, uint64_t now)
{
	uint64_t due = search->runs ? search->overdue : USEC_INFINITY;

	if (now >= search->process.reap_at)
		helper_reap(&search->process, now);
	if (search->failed < 0)
		due = 0;
	return search->process.reap_at < due ? search->process.reap_at : due;
}

size_t orphan_search_pids(const struct orphan_search *search, pid_t ret[HELPER_PIDS_MAX])
{
	return helper_pids(&search->process, ret);
}
