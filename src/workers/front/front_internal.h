/*
 * front_internal: what front.c, front_read.c and front_say.c share.  For nobody else.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_FRONT_FRONT_INTERNAL_H
#define HATCHD_WORKERS_FRONT_FRONT_INTERNAL_H

#include "workers/front/front.h"
#include "workers/front/proxy.h"
#include "workers/front/tcpmux.h"

#include <sys/types.h>

/* What comes next. */
enum front_step {
	FRONT_AT_PRESENCE, /* to see whether there is a header */
	FRONT_AT_HEADER,
	FRONT_AT_BANNER, /* to write it */
	FRONT_AT_NAME,
	FRONT_AT_OFFER,   /* somebody has to take it */
	FRONT_AT_VERDICT, /* to come */
	FRONT_AT_WELCOME, /* to write */
	FRONT_AT_LIST,    /* to write the answer to HELP */
	FRONT_AT_REFUSAL, /* to write */
	FRONT_AT_END,     /* his */
	FRONT_IS_OVER,
	_FRONT_STEP_MAX,
};

struct front {
	int fd; /* owned */
	enum front_step step;
	unsigned what;
	enum channel_result result; /* when it is over, or what it will be after AT_END */
	uint64_t now;               /* of this go */
	uint64_t patience, due;     /* as in front.h */
	uint64_t stopped;           /* when it did although there was more to be done; else 0 */
	uint64_t in, out;
	size_t listed;      /* names that have been written */
	uint32_t said;      /* bytes that are written of what this step writes */
	uint32_t discarded; /* of AT_END */
	bool plus;          /* of AT_WELCOME: "+go" comes first */
	bool ended;         /* he sends nothing any more */
	const char *why;    /* of AT_REFUSAL: the line; NULL: `fail` */
	struct words *words;
	/* Owned; NULL while there is nothing for them. */
	struct proxy_parser *proxy;
	struct tcpmux_parser *mux;
	struct channel_facts *facts;
};

/* It is over.  Returns false: it does not go on. */
bool front_finish(struct front *front, enum channel_result result);

/* The connection is no more, or there is no memory: a negative errno.  The same. */
bool front_fail(struct front *front, int error);

/* Write why, or (NULL) `fail`, and then it is over.  Returns true. */
bool front_refuse(struct front *front, const char *why, enum channel_result result);

/* The step after this one. */
bool front_after_header(struct front *front);
bool front_after_banner(struct front *front);
bool front_after_name(struct front *front);

/* As recv(2), never waiting: bytes, 0 at his end, or a negative errno. */
ssize_t front_receive(struct front *front, void *buf, size_t size, int flags);

/*
 * One step each, a bounded piece of it.  True: go on, there may be more to be done at once;
 * false: wait, or it is over.
 */
bool front_see_presence(struct front *front);
bool front_read_header(struct front *front);
bool front_read_name(struct front *front);
bool front_discard(struct front *front);

/* The steps that write.  `ret_all`: there is nothing left to write. */
bool front_say(struct front *front, bool *ret_all);

#endif
