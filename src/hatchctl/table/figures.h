/*
 * figures: numbers as people want to read them.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_TABLE_FIGURES_H
#define HATCHD_HATCHCTL_TABLE_FIGURES_H

#include <stdint.h>

/* Room for any of them, NUL included. */
#define FIGURES_MAX 64

/* Rounded down to two or three digits: "0", "999", "9.7K", "35M", "1.2T"; by powers of 1024.
 * Returns buf, as all do. */
const char *figures_bytes(uint64_t bytes, char buf[FIGURES_MAX]);

/* Seconds since 1970 as the time of day here: "2026-11-22 08:20:49"; "?" beyond all years. */
const char *figures_time(uint64_t seconds, char buf[FIGURES_MAX]);

#endif
