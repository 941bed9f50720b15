#include "master/reload.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "master/announce.h"
#include "master/apply.h"
#include "master/master.h"
#include "master/service.h"

/* ------------------------------------------------------- what is said about it */

static void say_reloading(const struct master *master, uint64_t now)
{
	notify_send(master->notify,
		"RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reading the configuration",
		(unsigned long long)now);
}

/* Whoever has asked since then is answered by the reload that comes next. */
static void say_ready(const struct master *master, const char *remark)
{
	log_flush();
	notify_send(master->notify, "%sSTATUS=Serving %zu of %zu services%s",
		master->reload.again ? "" : "READY=1\n", announce_served(master),
		master->n_services, remark);
}

static void say_kept(const struct master *master, const char *reason)
{
	log_error("unable to reload: %s, keeping the configuration", reason);
	say_ready(master, "; the last reload failed");
}

static void say_applied(const struct master *master, const struct applied *applied)
{
	if (applied->added + applied->changed + applied->removed == 0)
		log_notice("reloaded: nothing has changed");
	else
		log_notice("reloaded: %zu added, %zu changed, %zu removed, %zu unchanged",
			applied->added, applied->changed, applied->removed, applied->unchanged);
	say_ready(master, "");
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

static void finish_full(struct master *master, int result, struct image *image)
{
	struct applied applied;

	if (result > 0 && result != LOADER_NOT_RUN) {
		say_kept(master, "the configuration has mistakes");
		return;
	}
	if (result == 0)
		result = put_in_force(master, image, &applied);
	if (result != 0) {
		image_free(image);
		say_kept(master, loading_explain(result));
		return;
	}
	master_close_unwanted(master);
	waiting_begin(master, clock_monotonic());
	say_applied(master, &applied);
}

/* What the files say otherwise is for a reload that somebody asks for. */
static void finish_look(struct master *master, int result, struct image *image)
{
	struct applied applied;

	if (result != 0)
		return;
	if (put_in_force(master, image, &applied) != 0) {
		image_free(image);
		return;
	}
	waiting_begin(master, clock_monotonic());
	log_notice("%zu of %zu services are served now", announce_served(master),
		master->n_services);
	say_ready(master, "");
}

static void start(struct master *master, bool full, uint64_t now);

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
	if (given_up && result != 0)
		result = -ETIME;
	reload->due = UINT64_MAX;

	if (full)
		finish_full(master, result, image);
	else
		finish_look(master, result, image);
	if (reload->again)
		start(master, true, clock_monotonic());
	return 0;
}

/* ----------------------------------------------------------------- the beginning */

static int run_loader(struct master *master)
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
	int r;

	r = loading_start(&request, &reload->loading);
	if (r < 0)
		return r;
	r = sd_event_add_io(master->event, &reload->ended, reload->loading.pidfd, EPOLLIN,
		on_loader_end, master);
	if (r < 0) {
		loading_kill(&reload->loading);
		loading_done(&reload->loading);
	}
	return r;
}

static void start(struct master *master, bool full, uint64_t now)
{
	struct reload *reload = &master->reload;
	int r;

	*reload = RELOAD_NONE;
	reload->full = full;
	if (full)
		say_reloading(master, now);
	r = run_loader(master);
	if (r == 0)
		reload->due = now + (uint64_t)master->cmdline->loader_timeout * USEC_PER_MSEC;
	else if (full)
		say_kept(master, loading_explain(r));
}

void reload_request(struct master *master, uint64_t now)
{
	if (master->stopping)
		return;
	if (master->reload.ended)
		master->reload.again = true;
	else
		start(master, true, now);
}

void reload_look_again(struct master *master)
{
	if (!master->stopping && !master->reload.ended)
		start(master, false, clock_monotonic());
}

/* It is killed, and what it leaves comes as its end. */
void reload_turn(struct master *master, uint64_t now)
{
	struct reload *reload = &master->reload;

	if (now < reload->due)
		return;
	reload->due = UINT64_MAX;
	reload->given_up = true;
	loading_kill(&reload->loading);
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
