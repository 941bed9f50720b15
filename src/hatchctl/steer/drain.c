/*
 * hatchctl drain: let nobody in, and wait until everybody has gone.
 */
#include "base/clock.h"
#include "base/text.h"
#include "conf/cmdline.h"
#include "hatchctl/command.h"
#include "hatchctl/flags.h"
#include "hatchctl/steer/drain-set.h"
#include "hatchctl/steer/drain-stop.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Between two looks. */
#define LOOK_NSEC (200 * 1000 * 1000)

/* More services than that are not listed in a command to be typed. */
#define NAMED_MAX 16

static const char help[] =
	"Usage: hatchctl drain [-s PATH] [--timeout TIME] [--kill] [SERVICE...]\n"
	"       hatchctl drain [-s PATH] [--timeout TIME] [--kill] --stop\n"
	"\n"
	"Disable these services until the next reload, or all, and wait until none of their\n"
	"connections is left; or have hatchd do so for all of them, and stop then.\n"
	"\n"
	"      --stop           hatchd itself lets nobody in, and stops when all have gone\n"
	"      --timeout TIME   wait no longer, such as 30s or 5min\n"
	"      --kill           end those who are left then; without --timeout at once\n"
	"  -s, --control PATH   the socket of hatchd (/run/hatchd/control)\n"
	"  -h, --help           this text\n"
	"\n"
	"Exit status: 0 all are gone, 1 some are left, or that could not be done, 2 the "
	"command\n"
	"line is wrong, or there is no such service.\n";

struct drain {
	struct drain_set set;
	sigset_t signals;  /* that end the waiting; blocked */
	uint64_t timeout;  /* usec; USEC_INFINITY: none */
	uint64_t deadline; /* usec, monotonic; USEC_INFINITY: none */
	bool kills;        /* those who are left at the deadline */
	bool shows;        /* how it goes, on a terminal */
};

static void show(const struct drain *drain)
{
	char text[72];

	if (drain->shows)
		fprintf(stderr, "\rwaiting: %s\033[K",
			drain_set_describe(&drain->set, text, sizeof text));
}

static void show_no_more(const struct drain *drain)
{
	if (drain->shows)
		fputs("\r\033[K", stderr);
}

/* What stays as it is, and how to have it otherwise. */
static void tell_way_back(const struct drain_set *set)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++)
		n += set->services[i].disabled;
	if (n == 0)
		return;
	fprintf(stderr, "hatchctl: %s until the next reload; to take that back: hatchctl %s",
		n == 1 ? "it stays disabled" : "they stay disabled",
		n > NAMED_MAX ? "reload" : "enable");
	if (strcmp(set->path, CMDLINE_CONTROL) != 0)
		fprintf(stderr, " -s %s", set->path);
	for (size_t i = 0; i < set->n && n <= NAMED_MAX; i++)
		if (set->services[i].disabled)
			fprintf(stderr, " %s", set->services[i].name);
	fputc('\n', stderr);
}

static int give_up(const struct drain *drain, const char *why)
{
	char text[1024];

	show_no_more(drain);
	command_failed("%s: %s", why, drain_set_describe(&drain->set, text, sizeof text));
	tell_way_back(&drain->set);
	return COMMAND_FAILED;
}

static int break_off(const struct drain *drain, int r)
{
	show_no_more(drain);
	r = request_tell(NULL, r, drain->set.why);
	tell_way_back(&drain->set);
	return r;
}

/* Whether somebody wants it to end. */
static bool pause_is_broken(const struct drain *drain)
{
	const struct timespec pause = {.tv_nsec = LOOK_NSEC};

	return sigtimedwait(&drain->signals, NULL, &pause) > 0;
}

/* Who is told to end takes his time; others may come out of the dark meanwhile. */
static int wait_for_all(struct drain *drain)
{
	int r;

	for (;;) {
		bool late = clock_monotonic() >= drain->deadline;

		if (late && !drain->kills && drain_set_left(&drain->set) > 0)
			return give_up(drain, "the time is over");
		r = late && drain->kills ? drain_set_kill(&drain->set) : 0;
		if (r == 0)
			r = drain_set_look(&drain->set);
		if (r < 0)
			return break_off(drain, r);
		if (drain_set_left(&drain->set) == 0)
			break;
		show(drain);
		if (pause_is_broken(drain))
			return give_up(drain, "interrupted");
	}
	show_no_more(drain);
	return COMMAND_DONE;
}

static int run(struct drain *drain, char **names)
{
	int r = drain_set_choose(&drain->set, names);

	if (r < 0)
		return request_tell(NULL, r, drain->set.why);
	r = drain_set_disable(&drain->set);
	if (r == 0)
		r = drain_set_look(&drain->set);
	if (r < 0)
		return break_off(drain, r);
	r = wait_for_all(drain);
	if (r != COMMAND_DONE)
		return r;
	printf("%zu %s drained, disabled until the next reload\n", drain->set.n,
		drain->set.n == 1 ? "service is" : "services are");
	return command_print("");
}

/* They are waited for, so that nobody goes without a word. */
static void block_signals(struct drain *drain)
{
	static const int numbers[] = {SIGHUP, SIGINT, SIGTERM};

	sigemptyset(&drain->signals);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		sigaddset(&drain->signals, numbers[i]);
	sigprocmask(SIG_BLOCK, &drain->signals, NULL);
}

static int set_deadline(struct drain *drain, const char *timeout)
{
	drain->timeout = timeout || drain->kills ? 0 : USEC_INFINITY;
	if (timeout && text_parse_duration(timeout, &drain->timeout) < 0)
		return command_misused(
			"drain", "'%s' is not a duration such as 500ms, 30s or 5min", timeout);
	drain->deadline = clock_monotonic() + drain->timeout;
	if (drain->deadline < drain->timeout)
		drain->deadline = USEC_INFINITY;
	return COMMAND_DONE;
}

/* hatchd keeps the time: somebody may interrupt the waiting. */
static int stop_all(const struct drain *drain, const char *path, const char *service)
{
	const struct drain_stop how = {
		.path = path,
		.signals = &drain->signals,
		.timeout = drain->timeout,
		.kills = drain->kills,
		.shows = drain->shows,
	};

	if (service)
		return command_misused(
			"drain", "--stop is about all services, not '%s'", service);
	return drain_stop(&how);
}

int command_drain(int argc, char **argv)
{
	const char *timeout = NULL;
	struct drain drain = {.shows = isatty(STDERR_FILENO)};
	bool stop = false;
	const struct flag own[] = {
		{"kill", &drain.kills, NULL},
		{"stop", &stop, NULL},
		{"timeout", NULL, &timeout},
		{NULL, NULL, NULL},
	};
	struct flags flags;
	int r = flags_parse(argc, argv, "drain", help, own, &flags);

	if (r != COMMAND_DONE || flags.helped)
		return r;
	r = set_deadline(&drain, timeout);
	if (r != COMMAND_DONE)
		return r;
	block_signals(&drain);
	if (stop)
		return stop_all(&drain, flags.control, argv[optind]);
	drain_set_init(&drain.set, flags.control);
	r = run(&drain, argv + optind);
	drain_set_done(&drain.set);
	return r;
}
