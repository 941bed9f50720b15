/*
 * inquiry-internal: what inquiry.c, where it is known what is asked about a client and what
 * comes of it, and inquiry-worker.c, which has hatchd-lookup answer it, share.  For nobody
 * else.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_INQUIRY_INTERNAL_H
#define HATCHD_MASTER_INQUIRY_INTERNAL_H

#include "master/inquiry.h"
#include "os/lookup.h"

enum question_state {
	QUESTION_WAITS, /* is to be asked */
	QUESTION_ASKED, /* the worker has it */
	QUESTION_DONE,
};

struct question {
	struct pending_node asked; /* first; while the worker has it */
	struct inquiry *inquiry;
	enum lookup_what what;
	uint32_t target; /* ADDRESSES_OF: whose name that is */
	enum question_state state;
	unsigned tries; /* workers that have died with it */
	uint32_t place; /* QUESTION_ASKED */
	struct lookup_address addresses[LOOKUP_ADDRESSES_MAX]; /* what has come of that */
	size_t n_addresses;
};

struct inquiry {
	TAILQ_ENTRY(inquiry) link; /* in one of the two lists, or in none */
	struct inquiry_list *list; /* which; NULL: none */
	struct master *master;
	const struct conn *conn; /* borrowed */
	struct setup *setup;     /* held: what was to be asked by it */
	inquiry_answered answered;
	void *userdata;
	struct heap_node late; /* its key (usec): no answer is waited for any longer */
	struct findings *findings;
	size_t n, n_open;
	struct question questions[];
};

/* One of its questions is to be asked: inquiries_turn() sees to it from then (usec) on. */
void inquiry_let_wait(struct inquiry *inquiry, uint64_t due);

/* There is an answer, or (settle_without) there will be none. */
void question_settle(struct question *question, const struct lookup_facts *facts);
void question_settle_without(struct question *question, enum lookup_result result);

/* Have it answered.  It is asked or done afterwards, or still waits. */
void question_ask(struct question *question, uint64_t now);

/* The worker has it, and nobody wants to know any more. */
void question_give_up(struct question *question);

/* A worker that does not answer what it should have is killed: its places never came free. */
void inquiries_look_after(struct master *master, uint64_t now);

#endif
