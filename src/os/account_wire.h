/*
 * account_wire: what the master and hatchd-account say to each other.
 *
 * One message is one packet of a SOCK_SEQPACKET socket of its own.  The master says first which
 * file it is, and then lines, each packet whole ones; hatchd-account says how much of them is
 * in the file, whenever that has become more, and what is in the way.  The master keeps what
 * is not there yet, so nothing is lost with the process; what it had written and not said may
 * be there twice.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_ACCOUNT_WIRE_H
#define HATCHD_OS_ACCOUNT_WIRE_H

#include "os/helper.h"

#include <limits.h>
#include <stdint.h>

#define ACCOUNT_SOCKET_FD HELPER_SOCKET_FD

enum account_order_kind {
	ACCOUNT_FILE = 1, /* once, first of all */
	ACCOUNT_LINES,    /* add these */
	ACCOUNT_REOPEN,   /* the file may be another one now */
};

/* Most bytes of lines in a packet. */
#define ACCOUNT_LINES_MAX 16384

struct account_order {
	uint32_t kind; /* enum account_order_kind */
	union {
		struct {
			uint32_t keep; /* old files */
			uint32_t gid;  /* of the file; (gid_t)-1: the process's own */
			uint64_t size; /* bytes; another file is begun before there are more */
			char path[PATH_MAX]; /* absolute, with a NUL behind it */
		} file;
		char lines[ACCOUNT_LINES_MAX];
	};
};

/* What stands in front of lines, and of nothing. */
#define ACCOUNT_HEAD offsetof(struct account_order, lines)

/* At what it has failed. */
enum account_step {
	ACCOUNT_FINE,
	ACCOUNT_FOLDER,    /* to open its folder */
	ACCOUNT_EXPOSED,   /* others may write there */
	ACCOUNT_SANDBOX,   /* to shut itself in */
	ACCOUNT_OPEN,      /* to open the file */
	ACCOUNT_IRREGULAR, /* which is none */
	ACCOUNT_WRITE,
	ACCOUNT_RENAME, /* so it grows on */
	_ACCOUNT_STEP_MAX,
};

struct account_status {
	uint64_t taken; /* bytes of lines that are in the file since this process began */
	uint32_t step;  /* enum account_step */
	int32_t error;  /* negative errno; 0 where the step says it all */
};

#endif
