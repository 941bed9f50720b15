/*
 * mistakes: what `hatchd --check` says of the files and did not say before.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_STEER_MISTAKES_H
#define HATCHD_HATCHCTL_STEER_MISTAKES_H

#include <stddef.h>

struct mistakes {
	char *text;    /* those that are new, each with its lines; owned */
	size_t errors; /* how many of them are mistakes ... */
	size_t lacks;  /* ... and how many conditions, for which a service waits */
};

/* 0 with *ret, or -ENOMEM. */
int mistakes_compare(const char *before, const char *after, struct mistakes *ret);

#endif
