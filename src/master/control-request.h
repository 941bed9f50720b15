/*
 * control-request: what an operator asks, a line of plain words.
 *
 *	help                        what can be asked
 *	status                      hatchd itself
 *	list [SERVICE]              services
 *	connections [SERVICE]       who is connected
 *	bans [SERVICE]              who is banned
 *	events [SERVICE]            what happens from now on
 *	metrics                     what is counted
 *	orphans [SERVICE]           what an earlier hatchd has left
 *
 * and, of those who may change something,
 *
 *	reload                      read the files again, and say what became of it
 *	upgrade                     begin to execute another hatchd in the place of this one
 *	disable SERVICE             nobody comes in until it is enabled, or there is a reload
 *	enable SERVICE
 *	set SERVICE LIMIT VALUE     until there is a reload
 *	kill CONNECTION             end it
 *	drain [TIME|unlimited [kill]]
 *	                            let nobody in, and stop when all have gone, or then
 *	take-over VERSION           another hatchd takes over (master/successor)
 *	ban ADDRESS[/BITS] [DURATION [SERVICE]]
 *	                            let nobody in who comes from there
 *	unban ADDRESS[/BITS] [SERVICE]
 *	end-orphans [SERVICE]       with SIGTERM
 *	kill-orphans [SERVICE]      with SIGKILL
 *	log-level LEVEL             from now on
 *
 * The text is somebody else's: it is looked at here, and never shown again.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_CONTROL_REQUEST_H
#define HATCHD_MASTER_CONTROL_REQUEST_H

#include "base/addr-net.h"
#include "conf/conf.h"

/* Bytes of a line, with its newline. */
#define CONTROL_LINE_MAX 256

enum control_question {
	CONTROL_HELP,
	CONTROL_STATUS,
	CONTROL_LIST,
	CONTROL_CONNECTIONS,
	CONTROL_BANS,
	CONTROL_EVENTS,
	CONTROL_METRICS,
	CONTROL_ORPHANS,
	CONTROL_RELOAD,
	CONTROL_UPGRADE,
	CONTROL_DISABLE,
	CONTROL_ENABLE,
	CONTROL_SET,
	CONTROL_KILL,
	CONTROL_DRAIN,
	CONTROL_TAKE_OVER,
	CONTROL_BAN,
	CONTROL_UNBAN,
	CONTROL_END_ORPHANS,
	CONTROL_KILL_ORPHANS,
	CONTROL_LOG_LEVEL,
	_CONTROL_QUESTION_MAX,
};

/* How long a ban may be, usec; longer ones have no end. */
#define CONTROL_BAN_MIN UINT64_C(1000000)
#define CONTROL_BAN_MAX (UINT64_C(366) * 86400 * 1000000)

/* Limits of a service that can be set. */
enum control_limit {
	CONTROL_INSTANCES,
	CONTROL_PER_SOURCE,
	CONTROL_RATE,
	CONTROL_PER_SOURCE_RATE,
	_CONTROL_LIMIT_MAX,
};

/* What is not asked for is 0. */
struct control_request {
	enum control_question question;
	bool leaves; /* who asks that is no client any more, and wants no turn */
	char service[SERVICE_NAME_MAX + 1]; /* "": all */
	enum control_limit limit;
	uint32_t count;      /* the value of a limit that is a number */
	struct limit rate;   /* ... and of one that is a rate */
	uint64_t connection; /* its number */
	int priority;        /* LOG_ERR to LOG_DEBUG */
	struct addr_net who; /* is to be banned, or no longer */
	uint64_t duration;   /* of a ban, usec; 0: until somebody lifts it.  Of a drain, usec or
	                        DURATION_UNLIMITED */
	bool kills;          /* who is left after that drain is ended */
};

/* What can be asked. */
struct control_help {
	const char *usage; /* "list [SERVICE]" */
	const char *does;  /* a phrase */
	bool changes;      /* for those who may change something */
};

const struct control_help *control_request_help(enum control_question question);

/*
 * Where the first line in `text` ends, as its length with the newline; 0: not yet.
 * -EMSGSIZE: it is longer than it may be.  `ended`: nothing more comes, so what is there
 * is a line.
 */
int control_request_line(const char *text, size_t len, bool ended);

/* Understand one line, with or without its newline.  0; -EINVAL with *reterr_why pointing
 * at a constant phrase. */
int control_request_parse(
	const char *line, size_t len, struct control_request *ret, const char **reterr_why);

/* The name of the option. */
const char *control_limit_name(enum control_limit limit);

#endif
