/*
 * serve: somebody knocks.  Who may come in is let in, who may not is turned away or
 * left in the kernel's queue.
 *
 * One event serves a bounded number of clients, so that one busy service does not keep
 * the others waiting.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_SERVE_H
#define HATCHD_MASTER_SERVE_H

#include "master/conn.h"
#include "master/service.h"
#include "policy/admit.h"

#include <systemd/sd-event.h>

/* Exit status of --once when no child came about. */
#define ONCE_FAILED 125

/*
 * sd_event_io_handler_t of the set of listeners, master->listeners_fd: serve some
 * clients of some of those that have any.  One set of our own costs less memory
 * than an event source for each, and one wake-up serves several.
 */
int serve_on_clients(sd_event_source *source, int fd, uint32_t revents, void *userdata);

/* Who it is that is with a worker yet (master/caller) is known: what would become of him now?
 * ADMIT_OK also if he would only have to wait. */
enum admit_verdict serve_judge(const struct conn *conn, uint64_t now);

/* The same of who has not chosen yet whom he wants (gate_choice()). */
enum admit_verdict serve_judge_choice(const struct conn *conn, uint64_t now);

/* Could he be served or refused now, whoever he is?  True also where that is not known,
 * because the setup of his service is not in memory. */
bool serve_could(const struct conn *conn, uint64_t now);

/* Serve or refuse him.  False: not now; he stays the caller's. */
bool serve_caller(struct conn *conn, uint64_t now);

/* Is there a slot and a record for one more child?  A service may have half as many slots as
 * are free. */
bool serve_has_slot(const struct service *service);

/* Does somebody keep many of its connections from being closed? */
bool serve_is_clogged(const struct service *service);

/* Up to so many of those who have come to that socket already: it is about to be closed.  Whose
 * turn it is not now is held, or, if not `holds`, left in its queue with those behind him.  How
 * many; fewer: there are no more, or they cannot be had. */
int serve_last(struct listener *listener, int most, bool holds, uint64_t now);

/* Try again with clients that are held: see master/conn. */
void serve_held(struct service *service, uint64_t now);

#endif
