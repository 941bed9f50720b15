#include "base/pidstat.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The name ends at the last bracket, for there may be others in it.  What stands behind is
 * numbered as in proc(5), where the state is the third. */
int pidstat_parse(const char *text, struct pidstat *ret)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	struct pidstat stat = {0};

	if (!open || !close || close < open)
		return -EBADMSG;
	if (sscanf(close + 1,
		    " %c %d %*s %d %*s %*s %*s %*s %*s %*s %*s" /* 3 to 13 */
		    " %" SCNu64 " %" SCNu64 " %*s %*s %*s %*s %*s %*s"
		    " %" SCNu64 " %*s %" SCNu64,
		    &stat.state, &stat.parent, &stat.session, &stat.user, &stat.system,
		    &stat.start, &stat.pages) != 7 ||
		stat.parent < 0 || stat.session < 0)
		return -EBADMSG;
	stat.name = open + 1;
	stat.name_len = (size_t)(close - stat.name);
	*ret = stat;
	return 0;
}

uint64_t pidstat_usec(uint64_t ticks)
{
	const uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);

	if (ticks / per_second >= UINT64_MAX / USEC_PER_SEC)
		return UINT64_MAX;
	return ticks / per_second * USEC_PER_SEC +
	       ticks % per_second * USEC_PER_SEC / per_second;
}
