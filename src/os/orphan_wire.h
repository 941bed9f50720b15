/*
 * orphan_wire: what the master and hatchd-orphans say to each other.
 *
 * One message is one packet of a SOCK_SEQPACKET socket of its own.  There is one order, and
 * then what was found, one process after the other by its number, and that this was all.  The
 * master holds the program open from its start, so both are of one version also while a package
 * is upgraded.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_ORPHAN_WIRE_H
#define HATCHD_OS_ORPHAN_WIRE_H

#include "conf/conf.h"
#include "os/mark.h"
#include "os/process.h"

/* So many are told of one by one; of others, how many there are. */
#define ORPHANS_TOLD_MAX 1024

/* Room for the name of a service and a NUL. */
#define ORPHAN_SERVICE_MAX (SERVICE_NAME_MAX + 1)

enum orphan_order_kind {
	ORPHAN_LOOK = 1,
	ORPHAN_END,  /* send SIGTERM to those of the service */
	ORPHAN_KILL, /* the same with SIGKILL */
};

struct orphan_order {
	uint32_t kind;                    /* enum orphan_order_kind */
	bool own_group;                   /* the control group of the master is its own */
	struct mark mark;                 /* of the master itself */
	char service[ORPHAN_SERVICE_MAX]; /* "": all */
};

/* A process that an earlier hatchd has left. */
struct orphan {
	pid_t pid;
	uid_t uid;
	uint64_t age;                     /* usec */
	uint64_t connection;              /* 0: not known */
	char service[ORPHAN_SERVICE_MAX]; /* "": not known; any bytes */
	char command[PROCESS_NAME_MAX];   /* any bytes */
};

enum orphan_news_kind {
	ORPHAN_FOUND = 1,
	ORPHAN_OVER, /* that was all */
};

struct orphan_news {
	uint32_t kind;    /* enum orphan_news_kind */
	int32_t result;   /* ORPHAN_OVER: 0, or the negative errno of why they are not known */
	uint32_t n_found; /* ORPHAN_OVER: how many there are ... */
	uint32_t n_told;  /* ... and were sent a signal */
	struct orphan orphan; /* ORPHAN_FOUND */
};

#endif
