/*
 * lifetime: how long a child may live, and how long its client may be silent.
 *
 *	time_limit            since its birth
 *	first_byte_timeout    until its client has said something
 *	idle_timeout          without a byte in either direction
 *	ready_timeout         until it has said that it is ready, if it is to say so
 *	kill_after            from SIGTERM, which all of them end in, to SIGKILL
 *
 * Whoever is asked what the client does (os/asker) is asked as rarely as can be: when
 * the answer can matter for the first time, and not before.
 *
 * Pure: all times in usec, of one clock that does not go back.
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_LIFETIME_H
#define HATCHD_POLICY_LIFETIME_H

#include <stdbool.h>
#include <stdint.h>

/* No limit, and: never. */
#define LIFETIME_NEVER UINT64_MAX

struct lifetime_limits {
	uint64_t time_limit;
	uint64_t first_byte_timeout;
	uint64_t idle_timeout;
	uint64_t kill_after;
};

/* Why it was told to end. */
enum lifetime_reason {
	LIFETIME_UNLIMITED, /* it was not */
	LIFETIME_TIME_LIMIT,
	LIFETIME_FIRST_BYTE,
	LIFETIME_IDLE,
	LIFETIME_KILLED, /* an operator wants it */
	LIFETIME_READY,  /* it has not said that it is ready */
	_LIFETIME_REASON_MAX,
};

struct lifetime {
	uint64_t born;
	uint64_t ask_at;   /* LIFETIME_NEVER: its client is not watched */
	uint64_t ready_by; /* it is to have said that it is ready; 0: it need not, or has */
	uint64_t told;     /* to end; counts if there is a reason */
	enum lifetime_reason reason;
	bool heard;  /* its client has said something */
	bool killed; /* nothing is left to be done */
};

/* What is to be done. */
enum lifetime_act {
	LIFETIME_REST, /* nothing, before lifetime_due() */
	LIFETIME_ASK,  /* what its client does; lifetime_answer() */
	LIFETIME_TERM, /* send it SIGTERM */
	LIFETIME_KILL, /* send it SIGKILL */
};

/* About the connection. */
struct lifetime_facts {
	enum {
		LIFETIME_OPEN,    /* `heard` and `silent` say how it is */
		LIFETIME_CLOSED,  /* there is none any more: nobody is silent */
		LIFETIME_UNKNOWN, /* it cannot be told now */
	} state;
	bool heard;      /* something has come from the client, be it the end */
	uint64_t silent; /* since the last byte in either direction */
};

/* A child is born; `watched`: its client can be asked after. */
void lifetime_begin(struct lifetime *life, const struct lifetime_limits *limits, bool watched,
	uint64_t now);

/* It is to say that it is ready, in that time; LIFETIME_NEVER: whenever it likes. */
void lifetime_await_ready(struct lifetime *life, uint64_t timeout, uint64_t now);

/* It may take until then, if that is later.  Nothing happens if it is not waited for. */
void lifetime_extend(struct lifetime *life, uint64_t until);

/* It has said so. */
void lifetime_ready(struct lifetime *life);

/* When lifetime_act() has something to do, LIFETIME_NEVER: not any more. */
uint64_t lifetime_due(const struct lifetime *life, const struct lifetime_limits *limits);

/* What is to be done now, which is then taken as done. */
enum lifetime_act lifetime_act(
	struct lifetime *life, const struct lifetime_limits *limits, uint64_t now);

/* The answer to LIFETIME_ASK, at once or later: LIFETIME_UNKNOWN until it comes.
 * LIFETIME_TERM or LIFETIME_REST. */
enum lifetime_act lifetime_answer(struct lifetime *life, const struct lifetime_limits *limits,
	const struct lifetime_facts *facts, uint64_t now);

/* It is to end for that reason, and not because of a limit; false: it was told to already. */
bool lifetime_end(struct lifetime *life, enum lifetime_reason reason, uint64_t now);

/* The stable word, of a limit the name of the option; NULL for LIFETIME_UNLIMITED. */
const char *lifetime_reason(enum lifetime_reason reason);

#endif
