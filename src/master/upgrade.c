#include "master/upgrade.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/memfd.h"
#include "base/own.h"
#include "master/announce.h"
#include "master/handover/gather.h"
#include "master/master.h"
#include "master/resume.h"
#include "master/service.h"
#include "master/stop.h"
#include "master/tally.h"
#include "master/tend.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* So long it is waited for loaders, and for children to get to their exec; both are given up
 * before, as a rule. */
#define WAIT_PATIENCE (30 * USEC_PER_SEC)

/* So long nobody is taken in. */
#define SETTLE_PATIENCE (500 * USEC_PER_MSEC)

/* How often it is looked whether we can go on. */
#define LOOK_AGAIN USEC_PER_MSEC

bool upgrade_runs(const struct upgrade *upgrade)
{
	return upgrade->phase != UPGRADE_IDLE;
}

void upgrade_count(struct upgrade *upgrade, uint64_t done, uint64_t failed, bool good)
{
	upgrade->n_done = done + good;
	upgrade->n_failed = failed + !good;
	if (!good)
		snprintf(upgrade->reason, sizeof upgrade->reason,
			"the next hatchd could not take over");
}

/* ------------------------------------------------------------------ what is in force */

static void forget(struct upgrade *upgrade)
{
	upgrade->answer = fd_close(upgrade->answer);
	upgrade->program = fd_close(upgrade->program);
	upgrade->image = fd_close(upgrade->image);
	upgrade->secrets = fd_close(upgrade->secrets);
	upgrade->due = UINT64_MAX;
	upgrade->phase = UPGRADE_IDLE;
	upgrade->killed = false;
}

/* Whoever was held is served again. */
static void let_in(struct master *master)
{
	(void)sd_event_source_set_enabled(master->arrivals, SD_EVENT_ON);
	for (size_t i = 0; i < master->n_services; i++)
		service_update(master->services[i]);
}

static void _printf_(2, 3) fail(struct master *master, const char *format, ...)
{
	struct upgrade *upgrade = &master->upgrade;
	enum upgrade_phase phase = upgrade->phase;
	va_list args;

	va_start(args, format);
	vsnprintf(upgrade->reason, sizeof upgrade->reason, format, args);
	va_end(args);
	upgrade->n_failed++;
	log_error("unable to upgrade: %s, serving on as hatchd %s", upgrade->reason,
		PACKAGE_VERSION);
	follow_upgrade(master, upgrade->reason);
	forget(upgrade);
	if (phase >= UPGRADE_WAITING)
		let_in(master);
	control_look_again(master);
	announce_status(master, "");
	if (master->reload.again)
		reload_request(master, clock_monotonic());
}

/* ------------------------------------------------------------------------- the proof */

static int write_handover(struct handover *handover)
{
	_cleanup_close_ int fd = memfd_new(HANDOVER_NAME);
	int r;

	if (fd < 0)
		return fd;
	r = handover_write(handover, fd);
	return r < 0 ? r : take_fd(&fd);
}

/* As it would be if it were now. */
static int rehearse(const struct master *master)
{
	_cleanup_handover_ struct handover handover;
	int r = handover_rehearse(master, &handover);

	return r < 0 ? r : write_handover(&handover);
}

static const char *explain_status(int status)
{
	switch (status) {
	case LOADER_OTHER_HANDOVER:
		return "it takes over from other versions only";
	case LOADER_BAD_HANDOVER:
		return "it does not understand what it would take over";
	case LOADER_NOT_RUN:
		return "it cannot be executed";
	case -ECHILD:
		return "it was killed by a signal";
	case -EBADMSG:
		return "it has loaded no configuration";
	case -ETIME:
		return "it does not answer in time";
	default:
		return status < 0 ? strerror(-status) : NULL;
	}
}

/* Who has said that he is a hatchd, and then that the files are bad, is one. */
static void tell_failed_proof(struct master *master, int status, bool answered)
{
	const char *path = master->program, *why = explain_status(status);

	master->upgrade.foreign =
		status == LOADER_OTHER_HANDOVER || status == LOADER_BAD_HANDOVER;
	if (why)
		fail(master, "%s: %s", path, why);
	else if (!answered)
		fail(master, "%s: it does not know how to take over (exit %d)", path, status);
	else
		fail(master, "hatchd %s refuses the configuration",
			master->upgrade.who.version);
}

static bool read_answer(struct upgrade *upgrade)
{
	struct prove_answer answer;
	ssize_t n = read(upgrade->answer, &answer, sizeof answer);

	if (n != sizeof answer || answer.version[sizeof answer.version - 1] != '\0')
		return false;
	for (char *c = answer.version; *c; c++)
		if (*c <= ' ' || *c > '~')
			return false;
	upgrade->who = answer;
	return true;
}

/* What is executed has to be what has proved itself, and as it was then. */
static int check_program(const struct upgrade *upgrade)
{
	struct prove_answer now;
	int r = prove_identify(upgrade->program, &now);

	if (r < 0)
		return r;
	return now.dev == upgrade->who.dev && now.ino == upgrade->who.ino &&
	                       now.changed == upgrade->who.changed
	               ? 0
	               : -ESTALE;
}

static const char *explain_program(int r)
{
	return r == -ESTALE ? "it was replaced meanwhile" : strerror(-r);
}

static int open_program(struct master *master)
{
	struct upgrade *upgrade = &master->upgrade;
	int r;

	upgrade->program = open(master->program, O_PATH | O_CLOEXEC);
	if (upgrade->program < 0)
		return -errno;
	r = check_program(upgrade);
	if (r < 0)
		return r;
	upgrade->program = master_move_up(master, upgrade->program);
	return 0;
}

static void begin_to_wait(struct master *master)
{
	struct upgrade *upgrade = &master->upgrade;
	int r = open_program(master);

	if (r < 0) {
		fail(master, "%s: %s", master->program, explain_program(r));
		return;
	}
	upgrade->image = master_move_up(master, upgrade->image);
	upgrade->secrets = master_move_up(master, upgrade->secrets);
	upgrade->phase = UPGRADE_WAITING;
	upgrade->until = clock_monotonic() + WAIT_PATIENCE;
}

static int on_proof(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct master *master = userdata;
	struct upgrade *upgrade = &master->upgrade;
	bool answered = read_answer(upgrade);
	int r;

	(void)source;
	(void)fd;
	(void)revents;
	upgrade->ended = sd_event_source_disable_unref(upgrade->ended);
	r = loading_finish_proof(&upgrade->proof, &upgrade->image, &upgrade->secrets);
	if (upgrade->phase == UPGRADE_IDLE) {
		forget(upgrade);
		return 0;
	}
	if (r == 0 && answered)
		begin_to_wait(master);
	else
		tell_failed_proof(master, r == 0 ? -EBADMSG : r, answered);
	return 0;
}

/* Its process has been killed, if there is one, and is still to be reaped. */
static void leave_proof(struct master *master)
{
	struct loading *proof = &master->upgrade.proof;

	if (proof->pidfd >= 0)
		loading_kill(proof);
	if (proof->pid > 0)
		(void)strays_add(&master->strays, proof->pid, clock_monotonic());
	loading_done(proof);
}

static int start_proof(struct master *master, int handover, int answer)
{
	struct upgrade *upgrade = &master->upgrade;
	const struct loading_proof proof = {.handover = handover, .answer = answer};
	const struct loading_request request = {
		.path = master->program,
		.argv = master->argv,
		.cwd = master->cwd,
		.strict = true,
		.to_log = master->cmdline->daemon,
		.proof = &proof,
	};
	int r = loading_start(&request, &upgrade->proof);

	if (r == 0)
		r = sd_event_add_io(master->event, &upgrade->ended, upgrade->proof.pidfd,
			EPOLLIN, on_proof, master);
	if (r < 0)
		leave_proof(master);
	return r;
}

static int begin_proof(struct master *master)
{
	_cleanup_close_ int handover = rehearse(master), theirs = -EBADF;
	int ends[2];

	if (handover < 0)
		return handover;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	master->upgrade.answer = ends[0];
	theirs = ends[1];
	return start_proof(master, handover, theirs);
}

/* What one cannot do now, or never. */
static const char *find_obstacle(const struct master *master)
{
	if (master->cmdline->adhoc)
		return "there is no configuration to go on with";
	if (!master->program)
		return "it is not known where hatchd lies";
	if (master->leaving)
		return "hatchd is about to stop";
	if (master->successor)
		return "another hatchd takes over";
	if (master->upgrade.ended)
		return "the program that was tried last has not ended yet";
	return NULL;
}

static void begin(struct master *master, uint64_t now)
{
	struct upgrade *upgrade = &master->upgrade;
	int r;

	upgrade->reason[0] = '\0';
	upgrade->foreign = false;
	log_info("upgrading: trying %s", master->program);
	upgrade->phase = UPGRADE_PROVING;
	upgrade->due = now + (uint64_t)master->cmdline->loader_timeout * USEC_PER_MSEC;
	r = begin_proof(master);
	if (r == -EUSERS)
		fail(master, "too many processes of earlier upgrades have not ended yet");
	else if (r < 0)
		fail(master, "%s", strerror(-r));
}

/* What was never begun has not failed. */
const char *upgrade_request(struct master *master, uint64_t now)
{
	struct upgrade *upgrade = &master->upgrade;
	const char *obstacle;

	if (upgrade_runs(upgrade))
		return NULL;
	obstacle = find_obstacle(master);
	if (obstacle) {
		log_error("unable to upgrade: %s, serving on as hatchd %s", obstacle,
			PACKAGE_VERSION);
		return obstacle;
	}
	begin(master, now);
	return upgrade_runs(upgrade) ? NULL : upgrade->reason;
}

/* -------------------------------------------------------------------------- to wait */

/* Whoever does not get to its exec now is killed in its time, which is longer than nobody can
 * be taken in. */
static bool may_settle(const struct master *master, uint64_t now)
{
	return !master->reload.ended &&
	       (now >= master->upgrade.until || !tend_is_stuck(master, now - SETTLE_PATIENCE));
}

static void begin_to_settle(struct master *master, uint64_t now)
{
	(void)sd_event_source_set_enabled(master->arrivals, SD_EVENT_OFF);
	master->upgrade.phase = UPGRADE_SETTLING;
	master->upgrade.due = now + SETTLE_PATIENCE;
}

/* ------------------------------------------------------------------------- to leap */

static int open_self(const struct master *master)
{
	int fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);

	return fd < 0 ? -errno : master_move_up(master, fd);
}

static int leap(struct master *master)
{
	_cleanup_handover_ struct handover handover = {0};
	_cleanup_close_ int state = -EBADF, self = open_self(master);
	int r;

	if (self < 0)
		return self;
	watchdog_say(master);
	tally_flush(master);
	r = handover_gather(master, &handover);
	if (r < 0)
		return r;
	handover.process.next_image = master->upgrade.image;
	handover.process.next_secrets = master->upgrade.secrets;
	state = write_handover(&handover);
	if (state < 0)
		return state;
	state = master_move_up(master, state);
	/* Somebody may have written into it while we have waited. */
	r = check_program(&master->upgrade);
	if (r < 0)
		return r;
	watchdog_say(master);
	return resume_execute(&handover, state, master->upgrade.program, self, master->argv);
}

/* A child that cannot be killed either keeps its copy of our memory, and is reaped as others;
 * records that do not get into their file go along. */
static bool is_settled(struct master *master, uint64_t now)
{
	bool is_over = now >= master->upgrade.due;

	if (stop_count_closing(master) > 0)
		return false;
	if (spawner_in_flight(master->spawner) > 0)
		return is_over && master->upgrade.killed;
	return is_over || accounting_is_idle(master);
}

/* The next image would not know whether a child has been executed.  Others are served while one
 * takes its time, and only then, when it has had enough of it, it is killed. */
static void give_up_settling(struct master *master, uint64_t now)
{
	struct upgrade *upgrade = &master->upgrade;

	if (stop_count_closing(master) > 0) {
		fail(master, "a connection is being closed for longer than that takes");
	} else if (now < upgrade->until) {
		upgrade->phase = UPGRADE_WAITING;
		let_in(master);
	} else {
		tend_kill_slots(master);
		upgrade->killed = true;
		upgrade->due = now + SETTLE_PATIENCE;
	}
}

static void try_to_leap(struct master *master, uint64_t now)
{
	int r;

	if (is_settled(master, now)) {
		r = leap(master);
		fail(master, "%s: %s", master->program, explain_program(r));
	} else if (now >= master->upgrade.due) {
		give_up_settling(master, now);
	}
}

/* --------------------------------------------------------------------------- turns */

uint64_t upgrade_due(const struct upgrade *upgrade)
{
	return upgrade->phase >= UPGRADE_WAITING ? upgrade->look : upgrade->due;
}

/* It may never end; whoever asks again is told so. */
static void give_up_proof(struct master *master)
{
	struct upgrade *upgrade = &master->upgrade;

	loading_kill(&upgrade->proof);
	tell_failed_proof(master, -ETIME, false);
}

static void go_on_waiting(struct master *master, uint64_t now)
{
	if (may_settle(master, now))
		begin_to_settle(master, now);
	else if (now >= master->upgrade.until)
		fail(master, "a reload has still not ended");
}

void upgrade_turn(struct master *master, uint64_t now)
{
	struct upgrade *upgrade = &master->upgrade;

	if (upgrade->phase == UPGRADE_PROVING && now >= upgrade->due)
		give_up_proof(master);
	if (upgrade->phase == UPGRADE_WAITING)
		go_on_waiting(master, now);
	if (upgrade->phase == UPGRADE_SETTLING)
		try_to_leap(master, now);
	upgrade->look = now + LOOK_AGAIN;
}

void upgrade_stop(struct master *master)
{
	struct upgrade *upgrade = &master->upgrade;

	if (upgrade_runs(upgrade)) {
		upgrade->n_failed++;
		snprintf(upgrade->reason, sizeof upgrade->reason, "hatchd is stopping");
	}
	if (upgrade->phase >= UPGRADE_SETTLING && master->arrivals)
		(void)sd_event_source_set_enabled(master->arrivals, SD_EVENT_ON);
	if (upgrade->ended) {
		upgrade->ended = sd_event_source_disable_unref(upgrade->ended);
		leave_proof(master);
	}
	forget(upgrade);
}
