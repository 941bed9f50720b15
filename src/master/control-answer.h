/*
 * control-answer: what an operator is told, in lines of JSON.
 *
 * An answer is written a piece at a time, as the one who asked reads it, so ten thousand
 * services take no more memory than one, and a turn of the master is short.  Between two
 * pieces everything may change: each service remembers by a bit whether it has been told,
 * so after a reload those that stay are still told once each, whatever their order is
 * now, and the end of the answer says that there was one.  Connections have places that
 * they keep, and so has who is banned by a rule; bans of operators are told in their order.
 *
 * hatchd-control(7) is the description of what is told.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_CONTROL_ANSWER_H
#define HATCHD_MASTER_CONTROL_ANSWER_H

#include "master/control-ban.h"

#include <stddef.h>
#include <stdint.h>

struct master;

/* Room that control_answer_write() wants at least. */
#define CONTROL_PIECE_MAX 8192

enum control_phase {
	CONTROL_BEGIN,
	CONTROL_SERVICES,  /* between two of them */
	CONTROL_ADDRESSES, /* within the line of one */
	CONTROL_CHILDREN,  /* between two connections */
	CONTROL_BANNED,    /* between two who are banned */
	CONTROL_LIFT,      /* between two who may be let in again */
	CONTROL_LEFT,      /* between two that an earlier hatchd has left */
	CONTROL_AWAIT,     /* there is nothing to say before a reload or a search is over */
	CONTROL_END,
	CONTROL_OVER,
};

struct control_answer {
	struct control_request request;
	bool may_change; /* who asks */
	enum control_phase phase;
	uint8_t bit;  /* in `told_to` of services: told in this answer; 0: there is one to tell
	               */
	size_t next;  /* in master->services: all before it have been told */
	size_t place; /* there: the service whose line is being written */
	uint32_t number;   /* its number */
	uint32_t address;  /* of it, that comes next */
	size_t next_child; /* the place in the table that comes next */
	struct ban_walk bans;
	pid_t last_orphan;   /* that was told of */
	uint64_t awaited;    /* of reload_ended(), or the number of a search */
	bool heard;          /* the search is over, and this came of it: */
	int result;          /* 0 or a negative errno */
	uint32_t n_told;     /* processes that were sent a signal */
	uint32_t generation; /* of master->services when it was looked at last */
	bool reloaded;       /* it is another one than at the beginning */
	bool comma;          /* before what comes next */
};

/* Answer that.  No other answer that is not over has that bit; a list of all, and
 * metrics, walk the services. */
void control_answer_begin(struct control_answer *answer, const struct master *master,
	const struct control_request *request, bool may_change, uint8_t bit);

/* Is there nothing to be written for now?  It is to be looked at again after a reload or a
 * search, and when hatchd stops. */
bool control_answer_waits(const struct control_answer *answer, const struct master *master);

/* What it waits for has come: take down what will soon be forgotten. */
void control_answer_hear(struct control_answer *answer, const struct master *master);

/*
 * Do what is asked, and write what comes next: as much as there is room for, but a bounded
 * number of services.  Returns its length; CONTROL_OVER: that was all.
 */
size_t control_answer_write(struct control_answer *answer, struct master *master, char *buf,
	size_t size, uint64_t now);

/* Whoever has asked has gone: what he waits for is not done on his account.  It may be over, or
 * never have begun (all zero). */
void control_answer_drop(const struct control_answer *answer, struct master *master);

/* A whole answer that says why there is none, a constant phrase. */
size_t control_answer_error(const char *why, char *buf, size_t size);

#endif
