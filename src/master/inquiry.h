/*
 * inquiry: what hatchd-lookup is asked about one client before he comes in.
 *
 *	resolve		the name of his host (LOOKUP_NAME_OF)
 *	ident		who he is there (LOOKUP_IDENT)
 *	redirect	where the targets are that are written by name (LOOKUP_ADDRESSES_OF)
 *
 * All questions are asked at once and share one time, lookup_timeout.  A question that there
 * is no room for waits, as does one whose worker has died; one that is not answered in time
 * is answered with nothing.  What follows from nothing is decided where it is used: who is let
 * in by his name is not without one, and who must have a user is refused.
 *
 * INQUIRY_PLACES questions are at the worker at most, INQUIRY_PER_SOURCE of one source.  When
 * these are all taken, the oldest of the source that has the most is given up for one more
 * (policy/pending): who lets questions hang, with name servers of his own, is in nobody's way
 * but his own.
 *
 * What comes back is a stranger's word (os/lookup): it is believed of questions that were
 * asked, and who breaks the rules is killed; so is who does not answer.  Nobody waits for
 * that.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_INQUIRY_H
#define HATCHD_MASTER_INQUIRY_H

#include "base/heap.h"
#include "master/conn.h"
#include "master/findings.h"
#include "os/channel.h"
#include "policy/pending.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct inquiry;
struct inquiry_place;
struct master;
struct worker;

#define INQUIRY_PLACES     1024
#define INQUIRY_PER_SOURCE 64

TAILQ_HEAD(inquiry_list, inquiry);

/* All of them. */
struct inquiries {
	struct inquiry_list waiting; /* a question of theirs is to be asked yet */
	struct inquiry_list over;    /* and nobody has been told */
	struct heap late;            /* those of which not all is known, by their time */
	struct pending asked;        /* questions at the worker */
	uint64_t last;               /* number of the question that was asked last */
	uint64_t due;      /* usec: something is to be done; USEC_INFINITY: nothing is */
	uint64_t look_due; /* usec: questions at the worker are to be looked at; likewise */
};

/* So many free places, the worker's; NULL without memory. */
struct inquiry_place *inquiry_places_new(uint32_t n);

/* Called in inquiries_turn(), once; the inquiry is over, and is freed after it.  What was found
 * is the callee's. */
typedef void (*inquiry_answered)(void *userdata, struct findings *findings, uint64_t now);

void inquiries_init(struct inquiries *inquiries);
void inquiries_done(struct inquiries *inquiries);

/* Is it to be found out what can be known of that client before he comes in?  Of one who has
 * no address that is nothing, and it has to be found out as well: until then the gate takes
 * him for one whose name is on its way.  The setup of his service is in memory, here and
 * below. */
bool inquiry_is_needed(const struct conn *conn);

/*
 * Ask.  `conn` says who he is and whom he wants, stays where it is, and is borrowed until the
 * inquiry is over or freed.  0 or -ENOMEM.
 */
int inquiry_begin(const struct conn *conn, inquiry_answered answered, void *userdata,
	uint64_t now, struct inquiry **ret);

/* Nobody wants to know any more.  Takes NULL, returns it. */
struct inquiry *inquiry_free(struct inquiry *inquiry);

/* Ask what could not be asked, and tell of those that are over; a bounded number. */
void inquiries_turn(struct master *master, uint64_t now);

/* There may be room at the worker. */
void inquiries_hurry(struct master *master);

/* What hatchd-lookup has said: how many answers there were, or a negative errno as
 * channel_receive() has them; -EPROTO: it speaks of what it was not asked. */
int inquiry_hear(struct worker *worker);

/* CHANNEL_PING or CHANNEL_DRAIN, in its words; as channel_send(). */
int inquiry_say(const struct worker *worker, enum channel_request_kind kind);

/* It has died, or another one is to be asked: all that it has not answered is asked again.
 * `blamed`: perhaps because of what it was asked. */
void inquiries_lost(struct worker *worker, bool blamed);

#endif
