#include "hatchctl/table/figures.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

const char *figures_bytes(uint64_t bytes, char buf[FIGURES_MAX])
{
	static const char units[] = "KMGTPE";
	uint64_t tenths;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(buf, FIGURES_MAX, "%" PRIu64, bytes);
		return buf;
	}
	while (bytes >= UINT64_C(1024) * 1024) {
		bytes /= 1024;
		unit++;
	}
	tenths = bytes * 10 / 1024;
	if (tenths < 100)
		snprintf(buf, FIGURES_MAX, "%" PRIu64 ".%" PRIu64 "%c", tenths / 10,
			tenths % 10, units[unit]);
	else
		snprintf(buf, FIGURES_MAX, "%" PRIu64 "%c", tenths / 10, units[unit]);
	return buf;
}

const char *figures_time(uint64_t seconds, char buf[FIGURES_MAX])
{
	time_t time = (time_t)seconds;
	struct tm tm;

	if (seconds > INT64_MAX || !localtime_r(&time, &tm) ||
		strftime(buf, FIGURES_MAX, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		return "?";
	return buf;
}
