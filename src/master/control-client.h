/*
 * control-client: one who is connected to the control socket, from his question to the end of
 * his answer.
 *
 * What he sends is looked at where it lies in the kernel's queue (master/control).  When there
 * is a whole line, and a turn for him, it is taken out, and he is answered as fast as he reads;
 * or he goes elsewhere, with his descriptor: who follows events, or takes over.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_CONTROL_CLIENT_H
#define HATCHD_MASTER_CONTROL_CLIENT_H

#include "master/control-answer.h"
#include "master/control-seat.h"

#include <sys/socket.h>
#include <systemd/sd-event.h>

struct control;
struct master;

struct control_client {
	struct control_seat seat; /* the first member */
	struct master *master;
	int fd; /* owned; a high number */
	sd_event_source *source;
	uint64_t born;  /* usec, monotonic: when he came, or what he has waited for, or his turn
	                 */
	uint64_t moved; /* when he last sent or took something */
	bool may_change;
	bool ended; /* he says nothing more */
	/* While he is answered: */
	uint8_t bit; /* his among those of all, see control-answer */
	struct control_answer answer;
	size_t len, sent; /* of out */
	char *out;        /* owned, OUT_MAX */
};

struct control_client *control_client_at(struct control_seat *seat);

/* The newest, who has said nothing; `fd` is his from now on.  NULL, and it is the caller's:
 * there is no memory. */
struct control_client *control_client_add(
	struct master *master, int fd, const struct ucred *peer, bool may_change, uint64_t now);

/* Whether one more can be answered. */
bool control_client_has_turn(const struct control *control);

/* See whether he has asked, and answer him, if there is a turn for him.  He may be gone
 * afterwards. */
void control_client_look(struct control_client *client, uint64_t now);

/* What he has waited for has come, and there is a turn for him; the same. */
void control_client_go_on(struct control_client *client, uint64_t now);

/* He is gone, and not waited for. */
void control_client_drop(struct control_client *client);

/* The same after he was told why, a constant phrase; he has got nothing yet. */
void control_client_refuse(struct control_client *client, const char *why);

#endif
