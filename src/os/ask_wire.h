/*
 * ask_wire: what the master and hatchd-ask say to each other.
 *
 * One message is one packet of a SOCK_SEQPACKET socket of its own, always of the same
 * length.  The master holds the program open from its start, so both are of one version
 * also while a package is upgraded.
 *
 * Questions are begun in the order in which they were put, and none before the one ahead
 * of it is answered or was said to be slow.  So whoever is said to be slow has really
 * been asked after, and waits for nobody but himself or for those that were slow before.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_ASK_WIRE_H
#define HATCHD_OS_ASK_WIRE_H

#include "base/addr.h"
#include "base/tcp-diag.h"

/* Questions that may be without an answer: each of them can hold up a thread. */
#define ASK_PLACES 16

struct ask_question {
	uint64_t ticket; /* counts up */
	struct addr local, peer;
	struct tcp_handle handle;
};

enum ask_kind {
	ASK_ANSWER = 1, /* once for each question */
	ASK_SLOW,       /* at most once, before its answer: the kernel takes its time */
};

struct ask_answer {
	uint64_t ticket;
	uint32_t kind; /* enum ask_kind */
	int32_t result;
	struct tcp_facts facts; /* if `result` is 0 */
};

#endif
