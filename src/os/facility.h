/*
 * facility: what of the kernel hatchd makes use of where it is there, and what is so where it
 * is not.  For people who wonder what they have: whoever needs one finds out by himself.
 *
 * To look changes nothing, but that the kernel may load its module for tcp_diag, as at any
 * start.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_FACILITY_H
#define HATCHD_OS_FACILITY_H

struct facility {
	const char *name;
	const char *without; /* a phrase: what is so where it is not there */
	/* Its version, or 1 if it has none; 0: it is not there, or is not permitted. */
	int (*find)(void);
	int newest; /* the version that we know to use; 0: it has none */
};

/* The end has no name. */
extern const struct facility facilities[];

#endif
