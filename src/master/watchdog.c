#include "master/watchdog.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "master/master.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * It is said twice in the time that the manager waits, and what it did not take is tried again
 * soon.  One that has stood still for longer than that time, with a full queue, looks through
 * the queue first and for whom it has not heard of then: it has to be in there as soon as there
 * is room.
 */
#define TIMES     2
#define TRIES     8
#define RETRY_MAX (10 * USEC_PER_MSEC)

int watchdog_parse(const char *usec, const char *pid, pid_t self, uint64_t *ret)
{
	uint64_t timeout;
	int32_t whose;

	if (!usec) {
		*ret = 0;
		return 0;
	}
	if (text_parse_u64(usec, &timeout) < 0 || timeout == 0 || timeout == USEC_INFINITY)
		return -EINVAL;
	if (pid && (text_parse_i32(pid, &whose) < 0 || whose <= 0))
		return -EINVAL;
	*ret = pid && whose != self ? 0 : timeout;
	return 0;
}

static void forget(void)
{
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

static void set_timeout(struct watchdog *watchdog, uint64_t timeout)
{
	watchdog->timeout = timeout;
	watchdog->too_short = timeout < WATCHDOG_TIMEOUT_MIN;
	if (!watchdog->too_short)
		return;
	watchdog->timeout = WATCHDOG_TIMEOUT_MIN;
	log_warning("the service manager wants to hear from us every %" PRIu64 " us, which is "
		    "more often than can be promised (WatchdogSec=): asking it for %" PRIu64
		    " us",
		timeout, watchdog->timeout);
}

/* Where the process goes on under another number, or as another image, it is still meant. */
void watchdog_init(struct master *master)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t timeout = 0;
	int r = watchdog_parse(usec, pid, master->inherited.pid, &timeout);

	if (r < 0)
		log_warning("ignoring WATCHDOG_USEC and WATCHDOG_PID of the environment: they "
			    "say no time, or no process");
	if (timeout == 0 || !getenv("NOTIFY_SOCKET")) {
		forget();
		return;
	}
	unsetenv("WATCHDOG_PID");
	set_timeout(&master->watchdog, timeout);
}

/* False: the manager takes nothing now, or is not there.  It never waits in the queue of what
 * we have to say, which is short, and by then it would not be true. */
static bool say(struct master *master)
{
	return notify_pass(master->notify, "WATCHDOG=1", -EBADF);
}

static uint64_t retry_after(const struct watchdog *watchdog)
{
	uint64_t wait = watchdog->timeout / TIMES / TRIES;

	return wait < RETRY_MAX ? wait : RETRY_MAX;
}

/* One that is gone has no queue that could have room again. */
static uint64_t wait_after(struct master *master)
{
	uint64_t wait = master->watchdog.timeout / TIMES;

	if (say(master))
		return wait;
	return notify_error(master->notify) < 0 ? wait / TRIES : retry_after(&master->watchdog);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct master *master = userdata;
	uint64_t wait = wait_after(master);
	int r;

	(void)usec;
	r = sd_event_source_set_time(source, clock_monotonic() + wait);
	return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

const char *watchdog_request(const struct watchdog *watchdog, char buf[WATCHDOG_TEXT_MAX])
{
	buf[0] = '\0';
	if (watchdog->too_short)
		snprintf(buf, WATCHDOG_TEXT_MAX, "WATCHDOG_USEC=%" PRIu64 "\n",
			watchdog->timeout);
	return buf;
}

/* The first time is at once. */
int watchdog_begin(struct master *master)
{
	struct watchdog *watchdog = &master->watchdog;

	if (watchdog->timeout == 0)
		return 0;
	return sd_event_add_time(master->event, &watchdog->timer, CLOCK_MONOTONIC, 0,
		retry_after(watchdog), on_time, master);
}

void watchdog_say(struct master *master)
{
	if (master->watchdog.timeout > 0)
		(void)say(master);
}

void watchdog_done(struct watchdog *watchdog)
{
	watchdog->timer = sd_event_source_disable_unref(watchdog->timer);
}
