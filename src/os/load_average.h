/*
 * load_average: how busy the machine is, sysinfo(2).
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_LOAD_AVERAGE_H
#define HATCHD_OS_LOAD_AVERAGE_H

#include <stdint.h>

/* Of the last minute, in hundredths; 0 where the kernel does not say. */
uint32_t load_average(void);

#endif
