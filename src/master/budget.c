#include "master/budget.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "master/setup.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Connections in hand, their pidfds, and the descriptors lent to children in flight. */
#define LOW_MAX 1024
/* Event loop, log, and what else there is one of. */
#define SLACK 96
/* With fewer children it is not worth the while. */
#define CHILDREN_MIN 16
/* Where the hard limit is raised, there is to be room. */
#define CHILDREN_WANTED 1024
/* So many callers can always do with what is spare elsewhere. */
#define CALLERS_MIN 16

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* One for each listener, and for each program that says how it is; one for the journal's stream
 * of each service where there is a journal, and one for what clients are told of each service
 * that is in use. */
static uint64_t own_descriptors(const struct image *image)
{
	bool journal = log_target() == LOG_TARGET_JOURNAL;

	return SLACK + image_conf(image)->n_addresses + image_conf(image)->n_notify +
	       (journal ? image_n_services(image) : 0) +
	       (image_conf(image)->n_pending > 0 ? SETUPS_MAX : 0);
}

/* What a process may have at most, whoever it is: fs.nr_open. */
static uint64_t system_limit(void)
{
	_cleanup_close_ int fd = open("/proc/sys/fs/nr_open", O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	uint64_t limit;
	size_t len;

	if (fd < 0 || fd_read_all(fd, 64, &text, &len) < 0)
		return UINT64_MAX;
	text[strcspn(text, "\n")] = '\0';
	return text_parse_u64(text, &limit) < 0 ? UINT64_MAX : limit;
}

/* Who may not raise it keeps what there is. */
static void raise_hard_limit(uint64_t wanted, struct rlimit *limit)
{
	struct rlimit raised = *limit;

	raised.rlim_max = min_u64(wanted, system_limit());
	if (raised.rlim_max > limit->rlim_max && setrlimit(RLIMIT_NOFILE, &raised) == 0)
		*limit = raised;
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

static uint64_t callers_allowed(uint64_t wanted, uint64_t descriptors)
{
	uint64_t allowed = min_u64(wanted, descriptors);

	return allowed < CALLERS_MIN ? CALLERS_MIN : allowed;
}

/* The kernel doubles the table; asking once for the last number grows it for good. */
static void grow_table(uint64_t size)
{
	int fd = fcntl(0, F_DUPFD_CLOEXEC, (int)size - 1);

	if (fd >= 0)
		close(fd);
}

/* Only up: what is left as it was need not be given back to children. */
static int raise_soft_limit(uint64_t need, struct rlimit *limit)
{
	if (limit->rlim_cur >= need)
		return 0;
	limit->rlim_cur = need;
	return setrlimit(RLIMIT_NOFILE, limit) < 0 ? -errno : 0;
}

/* How many of the hard limit are left when the rest has what it needs. */
static uint64_t room_for_children(const struct rlimit *limit, uint64_t own, uint64_t *ret_low)
{
	uint64_t low = min_u64(LOW_MAX, limit->rlim_max / 4);

	*ret_low = low;
	return limit->rlim_max < low + own ? 0 : limit->rlim_max - low - own;
}

static int not_enough(uint64_t needed, uint64_t allowed, struct budget *ret)
{
	*ret = (struct budget){.needed = needed, .allowed = allowed};
	return -EMFILE;
}

int budget_make(const struct image *image, struct budget *ret)
{
	uint64_t own = own_descriptors(image), low, room, children, callers, need;
	uint64_t asked = min_u64(image_conf(image)->total_instances, BUDGET_CHILDREN_MAX);
	struct rlimit limit;
	int r;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (room_for_children(&limit, own, &low) < (asked ? asked : CHILDREN_MIN))
		raise_hard_limit(LOW_MAX + own + (asked ? asked : CHILDREN_WANTED), &limit);

	room = room_for_children(&limit, own, &low);
	if (room < CHILDREN_MIN)
		return not_enough(low + own + CHILDREN_MIN, limit.rlim_max, ret);
	children = asked ? min_u64(asked, room) : children_allowed(room);
	callers = min_u64(image_conf(image)->n_pending, BUDGET_CALLERS_MAX);
	if (room - children < callers)
		raise_hard_limit(low + own + children + callers, &limit);
	callers = callers_allowed(callers, limit.rlim_max - low - own - children);
	need = min_u64(low + own + children + callers, limit.rlim_max);

	r = raise_soft_limit(need, &limit);
	if (r < 0)
		return r;
	grow_table(need);
	*ret = (struct budget){
		.total_instances = (uint32_t)children,
		.callers = (uint32_t)callers,
		.low_limit = (int)low,
		.fd_limit = (int)need,
	};
	return 0;
}
