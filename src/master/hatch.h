/*
 * hatch: from a client at a socket to a child.
 *
 * Accept (or, for wait = yes, pass the socket), decide, prepare the plan,
 * start the child, note it.  What comes after is master/tend.  One event serves a bounded
 * number of clients, so that one busy service does not keep the others waiting.
 *
 * What lacks is the machine's (then the service pauses, and nobody is lost) or
 * the program's, and whose that is decides how long the service pauses: see
 * master/pause.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_HATCH_H
#define HATCHD_MASTER_HATCH_H

#include "base/addr.h"
#include "master/child.h"
#include "master/service.h"

#include <systemd/sd-event.h>

/* A client in hand: lives on the caller's stack from accept to spawn or close. */
struct conn {
	struct listener *listener;
	int fd; /* owned; wait = yes: the listener's own, borrowed */
	uint64_t number;
	struct addr peer; /* len 0 and kind of the socket where unknown */
	struct addr local;
	struct ucred peer_cred; /* UNIX; uid (uid_t)-1: unknown */
	struct addr_source source;
};

/* Exit status of --once when no child came about. */
#define ONCE_FAILED 125

/*
 * What hatchd lacks may show only after a client was accepted: clone(2) finds no
 * process, no memory, no descriptor.  Such a client is not dropped.  His listener holds
 * him, at most one each, and looks at no other client until he is served: that is
 * tried again when the pause ends that his service makes.  He goes with his listener.
 */
void hatch_held(struct service *service, uint64_t now);
void hatch_drop_held(struct listener *listener, uint64_t now);

/*
 * sd_event_io_handler_t of the set of listeners, master->listeners_fd: serve some
 * clients of some of those that have any.  One set of our own costs less memory
 * than an event source for each, and one wake-up serves several.
 */
int hatch_on_clients(sd_event_source *source, int fd, uint32_t revents, void *userdata);

#endif
