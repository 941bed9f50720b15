#include "master/reload.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "conf/load.h"
#include "master/announce.h"
#include "master/apply.h"
#include "master/master.h"
#include "master/service.h"
#include "master/steer.h"
#include "master/unwanted.h"

#include <stdio.h>
#include <sys/wait.h>

/* Loaders that did not end when they were killed are looked for so often. */
#define REAP_AGAIN USEC_PER_SEC

/* ------------------------------------------------------- what is said about it */

static void say_reloading(const struct master *master, uint64_t now)
{
	notify_send(master->notify,
		"RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reading the configuration",
		(unsigned long long)now);
}

/* Whoever has asked since then is answered by the reload that comes next. */
static void say_ready(struct master *master)
{
	announce_status(master, master->reload.again ? "" : "READY=1\n");
}

static void note_end(struct master *master, bool failed)
{
	struct reload *reload = &master->reload;

	reload->failed = failed;
	reload->finished = clock_monotonic();
	if (failed)
		reload->n_failed++;
	else
		reload->n_done++;
	control_look_again(master);
	follow_reload(master);
}

static void say_kept(struct master *master, const char *reason)
{
	struct reload *reload = &master->reload;

	log_error("unable to reload: %s, keeping the configuration in force", reason);
	snprintf(reload->reason, sizeof reload->reason, "%s", reason);
	note_end(master, true);
	say_ready(master);
}

/* Once: it is tried again and again, and whoever edits the files is not done yet. */
static void say_hindered(struct master *master, const char *reason)
{
	if (!master->reload.hindered)
		log_warning(
			"unable to look whether waiting services can be served: %s", reason);
	master->reload.hindered = true;
}

static void say_applied(struct master *master, const struct applied *applied)
{
	note_end(master, false);
	if (applied->added + applied->changed + applied->removed == 0)
		log_notice(
			"reloaded: %s has changed", applied->whole ? "no service" : "nothing");
	else
		log_notice("reloaded: %zu added, %zu changed, %zu removed, %zu unchanged",
			applied->added, applied->changed, applied->removed, applied->unchanged);
	say_ready(master);
}

/* ------------------------------------------------------------------- the end */

static int put_in_force(struct master *master, struct image *image, struct applied *applied)
{
	struct budget budget;
	int r;

	r = budget_make(image, &budget);
	if (r == 0)
		r = image_move_up(image, master->budget.low_limit);
	if (r == 0)
		r = apply(master, image, applied);
	if (r == 0)
		master_set_budget(master, &budget);
	return r;
}

/* What a loader has answered, or what became of its answer. */
static const char *explain(int result)
{
	switch (result) {
	case LOAD_MISTAKES:
		return "the files have mistakes";
	case LOAD_UNKNOWN:
		return "the files cannot be read";
	case -EBUSY:
		return "other loaders hang in a file system";
	default:
		return result > 0 && result != LOADER_NOT_RUN ? "the loader failed"
		                                              : loading_explain(result);
	}
}

static void finish_full(struct master *master, int result, struct image *image)
{
	struct applied applied;

	if (result == 0)
		result = put_in_force(master, image, &applied);
	if (result != 0) {
		image_free(image);
		say_kept(master, explain(result));
		return;
	}
	steer_forget_all(master, clock_monotonic());
	workers_renew_lookup(master, clock_monotonic());
	master->reload.hindered = false;
	report_unwanted(master);
	waiting_begin(master, clock_monotonic());
	control_refresh(master);
	say_applied(master, &applied);
}

/* What the files say otherwise is for a reload that somebody asks for. */
static void finish_look(struct master *master, int result, struct image *image)
{
	struct applied applied;

	if (result == 0)
		result = put_in_force(master, image, &applied);
	if (result != 0 && result != LOAD_NOTHING_NEW) {
		image_free(image);
		say_hindered(master, explain(result));
		return;
	}
	master->reload.hindered = false;
	if (result == LOAD_NOTHING_NEW)
		return;
	waiting_go_on(master);
	say_ready(master);
}

static void start_loader(struct master *master, bool full, uint64_t now);

static int on_loader_end(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct master *master = userdata;
	struct reload *reload = &master->reload;
	bool given_up = reload->given_up, full = reload->full;
	struct image *image = NULL;
	int result;

	(void)source;
	(void)fd;
	(void)revents;
	reload->ended = sd_event_source_disable_unref(reload->ended);
	result = loading_finish(&reload->loading, &image);
	reload->due = UINT64_MAX;

	if (given_up)
		image_free(image);
	else if (full)
		finish_full(master, result, image);
	else
		finish_look(master, result, image);
	/* What an upgrade reads is newer, and who has failed to do one reloads. */
	if (reload->again && !upgrade_runs(&master->upgrade))
		start_loader(master, true, clock_monotonic());
	return 0;
}

/* ----------------------------------------------------------------- the beginning */

/* Those that have ended at last; nobody tells when. */
static void reap_stuck(struct reload *reload, uint64_t now)
{
	for (unsigned i = reload->n_stuck; i-- > 0;)
		if (waitpid(reload->stuck[i], NULL, WNOHANG) != 0)
			reload->stuck[i] = reload->stuck[--reload->n_stuck];
	reload->reap_due = reload->n_stuck > 0 ? now + REAP_AGAIN : UINT64_MAX;
}

/* It was killed, and is reaped when it has ended. */
static void leave_alone(struct reload *reload, uint64_t now)
{
	reload->stuck[reload->n_stuck++] = reload->loading.pid;
	reload->reap_due = now + REAP_AGAIN;
	loading_done(&reload->loading);
}

static int launch(struct master *master)
{
	struct reload *reload = &master->reload;
	struct loading_request request = {
		.path = master->loader,
		.argv = master->argv,
		.cwd = master->cwd,
		.in_force = master->image,
		.strict = true,
		.conditions = !reload->full,
		.to_log = reload->full && master->cmdline->daemon,
	};

	return loading_start(&request, &reload->loading);
}

static int run_loader(struct master *master, uint64_t now)
{
	struct reload *reload = &master->reload;
	int r;

	if (reload->n_stuck > RELOAD_STUCK_MAX)
		return -EBUSY;
	r = launch(master);
	if (r == 0) {
		r = sd_event_add_io(master->event, &reload->ended, reload->loading.pidfd,
			EPOLLIN, on_loader_end, master);
		if (r < 0)
			loading_kill(&reload->loading);
	}
	if (r < 0 && reload->loading.pid > 0)
		leave_alone(reload, now);
	return r;
}

static void start_loader(struct master *master, bool full, uint64_t now)
{
	struct reload *reload = &master->reload;
	int r;

	reap_stuck(reload, now);
	reload->given_up = false;
	reload->again = false;
	reload->full = full;
	if (full)
		say_reloading(master, now);
	r = run_loader(master, now);
	if (r == 0)
		reload->due = now + (uint64_t)master->cmdline->loader_timeout * USEC_PER_MSEC;
	else if (full)
		say_kept(master, explain(r));
	else
		say_hindered(master, explain(r));
}

/* One that was killed and is still there is in nobody's way any longer, unless there
 * are too many of them. */
static void leave_stuck(struct reload *reload, uint64_t now)
{
	if (!reload->ended || !reload->given_up)
		return;
	reap_stuck(reload, now);
	if (reload->n_stuck >= RELOAD_STUCK_MAX)
		return;
	reload->ended = sd_event_source_disable_unref(reload->ended);
	leave_alone(reload, now);
}

/* Whoever asks is answered now, and served when the loader ends after all. */
static void put_off(struct master *master, uint64_t now)
{
	struct reload *reload = &master->reload;

	if (reload->given_up) {
		say_reloading(master, now);
		reload->again = false;
		say_kept(master, explain(-EBUSY));
	}
	reload->again = true;
}

uint64_t reload_ended(const struct reload *reload)
{
	return reload->n_done + reload->n_failed;
}

/* One that runs may have read the files before; one that was given up is over. */
uint64_t reload_next(const struct reload *reload)
{
	bool before = reload->ended && reload->full && !reload->given_up;

	return reload_ended(reload) + (before ? 2 : 1);
}

void reload_request(struct master *master, uint64_t now)
{
	if (master->leaving)
		return;
	leave_stuck(&master->reload, now);
	/* The files that it puts in force may have been read before: whoever comes after the
	 * upgrade, or is left by it, reads them again. */
	if (master->reload.ended)
		put_off(master, now);
	else if (upgrade_runs(&master->upgrade))
		master->reload.again = true;
	else
		start_loader(master, true, now);
}

void reload_look_again(struct master *master)
{
	struct reload *reload = &master->reload;
	uint64_t now = clock_monotonic();

	if (master->leaving || upgrade_runs(&master->upgrade))
		return;
	leave_stuck(reload, now);
	if (!reload->ended)
		start_loader(master, false, now);
	else if (reload->given_up)
		say_hindered(master, explain(-EBUSY));
}

uint64_t reload_due(const struct reload *reload)
{
	return reload->due < reload->reap_due ? reload->due : reload->reap_due;
}

/* Its end is waited for, but nobody need wait for it. */
void reload_turn(struct master *master, uint64_t now)
{
	struct reload *reload = &master->reload;
	bool again = reload->again;

	if (reload->n_stuck > 0)
		reap_stuck(reload, now);
	if (now < reload->due)
		return;
	reload->due = UINT64_MAX;
	reload->given_up = true;
	reload->again = false;
	loading_kill(&reload->loading);
	if (reload->full)
		say_kept(master, explain(-ETIME));
	else
		say_hindered(master, explain(-ETIME));
	/* It may never end: whoever has asked since then does not wait for that. */
	if (again)
		reload_request(master, now);
}

void reload_stop(struct reload *reload)
{
	if (!reload->ended)
		return;
	reload->ended = sd_event_source_disable_unref(reload->ended);
	loading_kill(&reload->loading);
	loading_done(&reload->loading);
	*reload = RELOAD_NONE;
}
