#include "master/init.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/own.h"
#include "master/detach.h"

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Whoever is left when hatchd has ended gets so long after SIGTERM: the kernel kills him when
 * we end. */
#define PATIENCE USEC_PER_SEC

/* Added to a signal, it is the status of who was ended by that, as in shells. */
#define SIGNALLED 128

struct hatchd {
	pid_t pid;
	bool ended;
	int status; /* how, as waitpid(2) has it */
};

/* A terminal has told everybody in the foreground, hatchd among them: told twice, hatchd
 * would not wait for anybody.  That it is gone is told to the leader of the session alone. */
static bool has_heard(const siginfo_t *info)
{
	return info->si_code == SI_KERNEL && info->si_signo != SIGHUP;
}

static void hand_on(const struct hatchd *hatchd, const siginfo_t *info)
{
	static const int known[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (info->si_signo == known[i] && !has_heard(info))
			kill(hatchd->pid, info->si_signo);
}

/* Everybody who has ended, and it may be hatchd.  False: nobody is left. */
static bool reap(struct hatchd *hatchd)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		/* Its number may be another's then. */
		if (pid != hatchd->pid || hatchd->ended)
			continue;
		hatchd->ended = true;
		hatchd->status = status;
	}
	return pid == 0;
}

static void wait_for(struct hatchd *hatchd)
{
	siginfo_t info;
	sigset_t all;

	sigfillset(&all);
	while (!hatchd->ended) {
		if (sigwaitinfo(&all, &info) < 0)
			continue;
		if (info.si_signo == SIGCHLD)
			(void)reap(hatchd);
		else
			hand_on(hatchd, &info);
	}
}

/* What somebody has started in here from outside is not our child, and is not waited for. */
static void end_others(struct hatchd *hatchd)
{
	uint64_t now = clock_monotonic(), until = now + PATIENCE;
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGCHLD);
	kill(-1, SIGTERM);
	while (reap(hatchd) && now < until) {
		struct timespec left = {
			.tv_sec = (time_t)((until - now) / USEC_PER_SEC),
			.tv_nsec = (long)((until - now) % USEC_PER_SEC) * 1000,
		};

		sigtimedwait(&ends, NULL, &left);
		now = clock_monotonic();
	}
}

/* Nobody else would: whoever has started the container sees a number. */
static void tell_killed(const struct cmdline *cmdline, int signal)
{
	detach_open_log(cmdline);
	log_error("hatchd was ended by signal %d (%s)", signal, strsignal(signal));
	log_close();
}

static _Noreturn void be_init(const struct cmdline *cmdline, pid_t pid)
{
	struct hatchd hatchd = {.pid = pid};
	sigset_t all;

	/* Lists of processes are read by people, and one of the two is the daemon. */
	prctl(PR_SET_NAME, "hatchd-init");
	log_close();
	fd_close_range(STDERR_FILENO + 1, INT_MAX);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);

	wait_for(&hatchd);
	end_others(&hatchd);
	if (WIFEXITED(hatchd.status))
		_exit(WEXITSTATUS(hatchd.status));
	tell_killed(cmdline, WTERMSIG(hatchd.status));
	_exit(SIGNALLED + WTERMSIG(hatchd.status));
}

int init_stay_behind(const struct cmdline *cmdline)
{
	pid_t pid;

	if (getpid() != 1)
		return 0;
	log_flush();
	pid = fork();
	if (pid < 0) {
		int r = -errno;

		log_error("unable to start as process 1: %s", strerror(-r));
		return r;
	}
	if (pid > 0)
		be_init(cmdline, pid);
	return 0;
}
