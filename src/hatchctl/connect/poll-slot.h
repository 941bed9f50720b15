/*
 * poll-slot: one descriptor among those that poll(2) waits for.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_CONNECT_POLL_SLOT_H
#define HATCHD_HATCHCTL_CONNECT_POLL_SLOT_H

#include <poll.h>
#include <stdbool.h>

/* A descriptor that nothing is wanted of is left out: poll(2) would report its
 * hang-up again and again. */
static inline void poll_slot_watch(struct pollfd *slot, int fd, bool in, bool out)
{
	slot->events = (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0));
	slot->fd = slot->events ? fd : -1;
}

/* Whether it was waited for, and reading or writing would tell something now. */
static inline bool poll_slot_is_ready(const struct pollfd *slot, short wanted)
{
	return (slot->events & wanted) &&
	       (slot->revents & (wanted | POLLERR | POLLHUP | POLLNVAL));
}

#endif
