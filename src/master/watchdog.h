/*
 * watchdog: tell the service manager, as often as it has asked for, that the loop turns.
 *
 * WATCHDOG_USEC and WATCHDOG_PID of sd_watchdog_enabled(3): a manager that has not heard from
 * us for so long takes us for dead, and starts another one.  sd_event_set_watchdog(3) would do
 * it as well, but sleeps while the manager's queue is full (I2), and speaks for a loop that
 * waits for events and serves none of them.  Here it is one event among the others, and what
 * cannot be said now is said a little later.
 *
 * It has the priority of all others, among which the library is fair: who was ready first is
 * served first.  So it is said only by a loop that has served everybody who was there before.
 * With a lower one it would not be said at all for as long as there are always clients, and
 * these could have hatchd killed (I6).
 *
 * Nothing is said before we are ready: with the first word the manager's time begins.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_WATCHDOG_H
#define HATCHD_MASTER_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

struct master;

struct watchdog {
	uint64_t timeout;       /* usec: the manager's patience; 0: it has not asked */
	bool too_short;         /* it is another one that the manager has said */
	sd_event_source *timer; /* owned */
};

/* Shorter ones cannot be promised: a turn may take some time. */
#define WATCHDOG_TIMEOUT_MIN UINT64_C(1000000) /* usec */

/*
 * What two variables of the environment ask the process `self` for; NULL is unset.  0 with the
 * time in *ret, 0: nothing, or it is another one's affair; -EINVAL: they say nonsense.
 */
int watchdog_parse(const char *usec, const char *pid, pid_t self, uint64_t *ret);

/*
 * What the environment says.  To be called in the process that was started, while it is the
 * one; what is left in the environment behind is for the next image, be it of this process or
 * of one that leaves for the background.
 */
void watchdog_init(struct master *master);

/* Room for what the manager is told with READY=1, NUL included. */
#define WATCHDOG_TEXT_MAX 48

/* A line for sd_notify(3) where it is to have more patience than it has said, else "": in the
 * message with READY=1, behind which its time begins.  Returns buf. */
const char *watchdog_request(const struct watchdog *watchdog, char buf[WATCHDOG_TEXT_MAX]);

/* In the loop from now on.  0 or a negative errno. */
int watchdog_begin(struct master *master);

/* Say it now, as the loop will not turn for a while, or has not for one. */
void watchdog_say(struct master *master);

void watchdog_done(struct watchdog *watchdog);

#endif
