#include "master/strays.h"

#include "base/clock.h"

#include <sys/wait.h>

/* They are gone soon, or serve somebody for hours. */
#define LOOK_FIRST (10 * USEC_PER_MSEC)
#define LOOK_LAST  (10 * USEC_PER_SEC)

bool strays_add(struct strays *strays, pid_t pid, uint64_t now)
{
	if (strays->n == STRAYS_MAX)
		return false;
	strays->pids[strays->n++] = pid;
	strays->pause = LOOK_FIRST;
	strays->due = now + LOOK_FIRST;
	return true;
}

void strays_turn(struct strays *strays, uint64_t now)
{
	if (now < strays->due)
		return;
	for (size_t i = strays->n; i-- > 0;)
		if (waitpid(strays->pids[i], NULL, WNOHANG) != 0)
			strays->pids[i] = strays->pids[--strays->n];
	strays->pause = strays->pause * 2 < LOOK_LAST ? strays->pause * 2 : LOOK_LAST;
	strays->due = strays->n > 0 ? now + strays->pause : UINT64_MAX;
}
