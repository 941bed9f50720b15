/*
 * top/measure: what the kernel knows of the connections in a sample, and of the machine.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_TOP_MEASURE_H
#define HATCHD_HATCHCTL_TOP_MEASURE_H

#include "hatchctl/top/sample.h"

/* Fill in `use` of all connections, as far as that is told, the load, and when this was
 * done.  One file of /proc for each process, and one question about all of TCP. */
void top_measure(struct top_sample *sample);

#endif
