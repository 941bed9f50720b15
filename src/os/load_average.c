#include "os/load_average.h"

#include <sys/sysinfo.h>

uint32_t load_average(void)
{
	struct sysinfo info;

	if (sysinfo(&info) < 0)
		return 0;
	return (uint32_t)((uint64_t)info.loads[0] * 100 >> SI_LOAD_SHIFT);
}
