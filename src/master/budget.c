#include "master/budget.h"

#include "base/own.h"

#include <fcntl.h>
#include <unistd.h>

/* Connections in hand, their pidfds, and the descriptors lent to children in flight. */
#define LOW_MAX 1024
/* Event loop, log, journal streams of services come on top of it. */
#define SLACK 64

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* One descriptor for each listener, one for each service's log stream. */
static uint64_t own_descriptors(const struct conf *conf)
{
	uint64_t n = SLACK;

	for (size_t i = 0; i < conf->n_services; i++)
		n += conf->services[i]->n_listen + 1;
	return n;
}

/* A user may have only so many processes; root's limit does not count. */
static uint64_t process_limit(void)
{
	struct rlimit limit;

	if (geteuid() == 0 || getrlimit(RLIMIT_NPROC, &limit) < 0)
		return BUDGET_CHILDREN_MAX;
	return min_u64(limit.rlim_cur, BUDGET_CHILDREN_MAX);
}

/* Three quarters of what there is: other programs want to live as well. */
static uint64_t children_allowed(uint64_t descriptors)
{
	return min_u64(descriptors, process_limit()) / 4 * 3;
}

/* The kernel doubles the table; asking once for the last number grows it for good. */
static void grow_table(uint64_t size)
{
	int fd = fcntl(0, F_DUPFD_CLOEXEC, (int)size - 1);

	if (fd >= 0)
		close(fd);
}

int budget_make(const struct conf *conf, struct budget *ret)
{
	uint64_t own = own_descriptors(conf);
	uint64_t low, children, need;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;

	low = min_u64(LOW_MAX, limit.rlim_max / 4);
	if (limit.rlim_max < low + own + 16)
		return -EMFILE;

	children = children_allowed(limit.rlim_max - low - own);
	if (conf->total_instances > 0)
		children = min_u64(conf->total_instances, limit.rlim_max - low - own);
	children = min_u64(children, BUDGET_CHILDREN_MAX);
	need = low + own + children;

	/* Only up: what is left as it was need not be given back to children. */
	if (limit.rlim_cur < need) {
		limit.rlim_cur = need;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			return -errno;
	}
	grow_table(need);

	*ret = (struct budget){
		.total_instances = (uint32_t)children,
		.low_limit = (int)low,
		.fd_limit = (int)need,
	};
	return 0;
}
