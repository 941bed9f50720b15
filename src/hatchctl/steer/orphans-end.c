#include "hatchctl/steer/orphans-end.h"

#include "base/clock.h"
#include "hatchctl/ask/request.h"
#include "hatchctl/command.h"

#include <inttypes.h>
#include <stdio.h>

/* Between two looks. */
#define LOOK_NSEC (200 * 1000 * 1000)

/* Whoever was killed is gone after so long, unless the kernel keeps him. */
#define KILLED_PATIENCE (10 * USEC_PER_SEC)

struct ending {
	const char *path, *service;
	char why[REQUEST_WHY_MAX]; /* after a failure */
};

/* 0 or a negative errno. */
static int ask(struct ending *ending, const char *word, struct answer *ret)
{
	char words[REQUEST_LINE_MAX];
	const char *service = ending->service;

	snprintf(words, sizeof words, "%s%s%s", word, service ? " " : "",
		service ? service : "");
	return request_try(ending->path, words, ret, ending->why);
}

/* How many were told to, or a negative errno. */
static int64_t tell(struct ending *ending, const char *word)
{
	_cleanup_answer_ struct answer answer = {0};
	int r = ask(ending, word, &answer);

	return r < 0 ? r : (int64_t)request_number(&answer, "told");
}

/* How many there are; the same. */
static int64_t look(struct ending *ending)
{
	_cleanup_answer_ struct answer answer = {0};
	int r = ask(ending, "orphans", &answer);

	return r < 0 ? r : (int64_t)answer.n_lines;
}

/* Told once: for some programs a second SIGTERM means to drop everything.  Killed as often as
 * there is somebody, whose parent may have ended only now. */
static int64_t wait_for_all(struct ending *ending, bool kills, uint64_t patience)
{
	const struct timespec pause = {.tv_nsec = LOOK_NSEC};
	uint64_t begun = clock_monotonic();

	for (;;) {
		int64_t n = kills ? tell(ending, "kill-orphans") : look(ending);

		if (n <= 0 || clock_monotonic() - begun >= patience)
			return n;
		nanosleep(&pause, NULL);
	}
}

static int finish(const struct ending *ending, int64_t told, int64_t left)
{
	char text[96];

	if (told < 0 || left < 0)
		return request_tell(
			ending->service, (int)(told < 0 ? told : left), ending->why);
	if (left > 0)
		return command_failed("%" PRId64 " %s left", left,
			left == 1 ? "process is" : "processes are");
	snprintf(text, sizeof text, "%" PRId64 " %s ended\n", told,
		told == 1 ? "process has" : "processes have");
	return command_print(text);
}

int orphans_end(const char *path, const char *service, uint64_t kill_after)
{
	struct ending ending = {.path = path, .service = service};
	int64_t told = tell(&ending, "end-orphans"), left = told;
	char text[96];

	if (told >= 0 && kill_after == USEC_INFINITY) {
		snprintf(text, sizeof text, "%" PRId64 " %s told to end\n", told,
			told == 1 ? "process is" : "processes are");
		return command_print(text);
	}
	if (told > 0)
		left = wait_for_all(&ending, false, kill_after);
	if (left > 0)
		left = wait_for_all(&ending, true, KILLED_PATIENCE);
	return finish(&ending, told, left);
}
