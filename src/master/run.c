/*
 * From the start of the process to its end: what it is started with, what it loads, everything
 * that a master needs, and in which order all of that goes.
 */
#include "master/run.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "conf/load.h"
#include "master/announce.h"
#include "master/apply.h"
#include "master/handover/adopt.h"
#include "master/init.h"
#include "master/loader.h"
#include "master/master.h"
#include "master/refusals.h"
#include "master/resume.h"
#include "master/serve.h"
#include "master/service.h"
#include "master/stop.h"
#include "master/tend.h"
#include "master/unwanted.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/stat.h>

#define EXIT_FAILED  1
#define EXIT_USAGE   2
#define EXIT_REFUSED 78 /* EX_CONFIG of sysexits.h */

/* More descriptors than a process can have (fs.nr_open); memory only where used. */
#define CLOSER_MAX (1U << 20)

/* hatchd itself failed. */
static int failed_status(const struct cmdline *cmdline)
{
	return cmdline->once ? ONCE_FAILED : EXIT_FAILED;
}

static enum spawn_mode spawn_mode(const struct cmdline *cmdline)
{
	static const enum spawn_mode modes[] = {
		[CMDLINE_SPAWN_AUTO] = SPAWN_AUTO,
		[CMDLINE_SPAWN_SHARED] = SPAWN_SHARED,
		[CMDLINE_SPAWN_PRIVATE] = SPAWN_PRIVATE,
	};

	return modes[cmdline->spawn];
}

char *master_describe_spawning(const struct cmdline *cmdline)
{
	struct spawner_setup setup = {.mode = spawn_mode(cmdline)};
	struct spawner *spawner;
	char *description;

	if (spawner_new(&setup, &spawner) < 0)
		return NULL;
	description = strdup(spawner_describe(spawner));
	spawner_free(spawner);
	return description;
}

static int make_spawner(struct master *master)
{
	struct spawner_setup setup = {
		.mode = spawn_mode(master->cmdline),
		.low_limit = master->budget.low_limit,
	};
	int r;

	r = spawner_new(&setup, &master->spawner);
	if (r < 0)
		return r;
	spawner_set_fd_limit(master->spawner, master->budget.fd_limit);
	log_debug("children start with %s", spawner_describe(master->spawner));
	return 0;
}

static int make_tables(struct master *master)
{
	uint8_t key[16];
	int r;

	r = child_table_new(BUDGET_CHILDREN_MAX + WORKERS_MAX, master->budget.low_limit,
		tend_on_end, master, &master->children);
	if (r < 0)
		return r;
	if (getrandom(key, sizeof key, 0) != sizeof key ||
		getrandom(master->address_key, sizeof master->address_key, 0) !=
			sizeof master->address_key)
		return -EIO;
	master->sources = sources_new(BUDGET_CHILDREN_MAX, SOURCES_REMEMBERED_MAX, key);
	return master->sources ? 0 : -ENOMEM;
}

static int open_listeners_set(struct master *master)
{
	int fd = epoll_create1(EPOLL_CLOEXEC), high;

	if (fd < 0)
		return -errno;
	high = fd_move_up(fd, master->budget.low_limit);
	master->listeners_fd = high < 0 ? fd : high;
	return high < 0 ? high : 0;
}

static int make_runtime(struct master *master, struct image *image)
{
	int r;

	r = budget_make(image, &master->budget);
	if (r < 0)
		return r;
	r = kept_move_up(&master->kept, master->budget.low_limit);
	if (r < 0)
		return r;
	master->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (master->null_fd < 0)
		return -errno;
	r = image_move_up(image, master->budget.low_limit);
	if (r < 0)
		return r;
	r = detach_move_up(&master->detach, master->budget.low_limit);
	if (r < 0)
		return r;
	r = open_listeners_set(master);
	if (r < 0)
		return r;
	r = make_spawner(master);
	if (r < 0)
		return r;
	r = make_tables(master);
	if (r < 0)
		return r;
	r = notify_new(getenv("NOTIFY_SOCKET"), &master->notify);
	if (r == -EINVAL)
		log_warning("unable to notify the service manager: NOTIFY_SOCKET names no "
			    "UNIX socket");
	if (r == -EINVAL)
		r = notify_new(NULL, &master->notify);
	if (r < 0)
		return r;
	workers_init(master);
	callers_init(&master->callers);
	inquiries_init(&master->inquiries);
	r = closer_new(CLOSER_MAX, &master->closer);
	if (r < 0)
		return r;
	r = asker_new(loader_open_other("hatchd-ask"), master->null_fd,
		master->budget.low_limit, &master->overdue.asker);
	if (r < 0)
		return r;
	r = tally_init(master, loader_open_other("hatchd-bytes"));
	if (r < 0)
		return r;
	accounting_init(master);
	r = sd_event_new(&master->event);
	if (r < 0)
		return r;
	r = orphans_init(master, image_conf(image)->main_file);
	if (r < 0)
		return r;
	return master_add_sources(master);
}

/* At a command line somebody sits who wants to know at once. */
static int require_all(const struct master *master)
{
	for (size_t i = 0; i < master->n_services && master->cmdline->adhoc; i++)
		if (service_lacks_address(master->services[i]))
			return -EADDRNOTAVAIL;
	return 0;
}

/* Who has started process 1 is not in its name space: there our number is another process's,
 * and process 1 is whom he waits for. */
static void say_started(struct master *master)
{
	char request[WATCHDOG_TEXT_MAX], state[64 + WATCHDOG_TEXT_MAX], pid[32] = "";

	announce_listeners(master);
	if (master->inherited.pid != 1)
		snprintf(pid, sizeof pid, "MAINPID=%d\n", (int)getpid());
	snprintf(state, sizeof state, "READY=1\n%s%s", pid,
		watchdog_request(&master->watchdog, request));
	announce_status(master, state);
}

/* As if we had not been there: also who writes our log is gone before, and reaped. */
static void go_back(const struct cmdline *cmdline, struct resume *resume, char **argv)
{
	int r;

	if (resume->old_program < 0)
		return;
	log_close();
	r = resume_go_back(resume, argv);
	detach_open_log(cmdline);
	log_error("unable to go back to the hatchd before: %s", strerror(-r));
}

static void tell_not_started(const struct master *master, size_t n, int r)
{
	const struct budget *budget = &master->budget;

	if (r == -EMFILE && budget->needed > 0)
		log_error("unable to start: %zu service%s need%s %llu descriptors, the limit "
			  "(RLIMIT_NOFILE) is %llu; raise LimitNOFILE= of its unit or "
			  "ulimit -Hn, or start it with CAP_SYS_RESOURCE",
			n, n == 1 ? "" : "s", n == 1 ? "s" : "",
			(unsigned long long)budget->needed,
			(unsigned long long)budget->allowed);
	else
		log_error("unable to start: %s", strerror(-r));
}

/* What was handed over is in the place that it has here. */
static void go_on(struct master *master, struct resume *resume)
{
	struct handover_process *process = &resume->handover.process;

	tally_turn(master, clock_monotonic());
	accounting_resume(master, process->records, process->records_len);
	handover_adopt(&resume->handover, master, clock_monotonic());
	control_resume(
		master, take_fd(&process->control), process->control_dev, process->control_ino);
	detach_resume_pid_file(master->cmdline, take_fd(&process->pid_file),
		master->budget.low_limit, &master->detach);
	resume_tell(resume);
	follow_upgrade(master, master->upgrade.reason[0] ? master->upgrade.reason : NULL);
	announce_status(master, "READY=1\n");
	if (process->reload)
		reload_request(master, clock_monotonic());
}

/* What an earlier hatchd has left may be running: it has left other things, or we are its
 * next image.  Who takes over finds it alive. */
static bool has_predecessor(const struct master *master, bool had_kept)
{
	return had_kept || master->control.socket.replaced ||
	       master->detach.pid_file.replaced ||
	       lineage_has_company(&master->orphans.lineage);
}

static int begin(struct master *master, struct resume *resume)
{
	bool takes_over = master->cmdline->take_over && !resume_is_wanted(resume);
	bool had_kept = master->kept.n > 0 && !takes_over;

	readinesses_begin(master);
	if (takes_over && take_over_finish(master) < 0)
		return failed_status(master->cmdline);
	kept_close_rest(master);
	master->store.active = true;
	report_unwanted(master);
	waiting_begin(master, clock_monotonic());
	/* The other one has just closed what could not be taken as it was. */
	if (takes_over)
		waiting_hurry(master, clock_monotonic());
	if (resume_is_wanted(resume)) {
		go_on(master, resume);
	} else {
		control_open(master);
		say_started(master);
	}
	if (resume_is_wanted(resume) || has_predecessor(master, had_kept))
		orphans_begin(master, clock_monotonic());
	resume_done(resume);
	return 0;
}

/* What the image before us has left, without a change to it.  Its last word to the service
 * manager was the last thing it did. */
static int take_what_was_left(struct master *master, struct resume *resume)
{
	int r;

	watchdog_say(master);
	r = resume_sockets(resume, master);
	return r < 0 ? r : resume_memory(resume, master, clock_monotonic());
}

static void put_in_force(
	struct master *master, struct image *image, struct resume *resume, struct apply *apply)
{
	struct applied applied;

	if (resume_is_wanted(resume))
		resume_stay(resume, master);
	if (!master->kept.shared)
		kept_sweep(master, image);
	apply_finish(apply, &applied);
}

static int serve(struct master *master, struct image *image, struct resume *resume)
{
	size_t n = image_n_services(image);
	struct apply *apply = NULL;
	int r;

	r = make_runtime(master, image);
	if (r == 0 && resume_is_wanted(resume)) {
		r = take_what_was_left(master, resume);
	} else if (r == 0 && take_over_begin(master) < 0) {
		image_free(image);
		return failed_status(master->cmdline);
	}
	if (r == 0)
		r = apply_prepare(master, image, &apply);
	if (r < 0) {
		tell_not_started(master, n, r);
		go_back(master->cmdline, resume, master->argv);
		image_free(image);
		return failed_status(master->cmdline);
	}
	put_in_force(master, image, resume, apply);
	if (require_all(master) < 0)
		return failed_status(master->cmdline);
	if (begin(master, resume) != 0)
		return failed_status(master->cmdline);
	if (detach_ready(&master->detach, master->null_fd) < 0)
		return failed_status(master->cmdline);
	return master_loop(master) < 0 ? failed_status(master->cmdline) : master->status;
}

/* The loader has said what is wrong; a daemon's manager wants a status. */
static int refused_status(const struct cmdline *cmdline, int status)
{
	if (cmdline->once)
		return status == LOAD_UNKNOWN ? ONCE_FAILED : status;
	return cmdline->adhoc ? EXIT_USAGE : EXIT_REFUSED;
}

/* Nobody is served yet who could be kept waiting. */
static int load_first(struct master *master, struct image **ret)
{
	struct loading_request request = {
		.path = master->loader,
		.argv = master->argv,
		.cwd = master->cwd,
	};
	struct loading loading;
	int r;

	r = loading_start(&request, &loading);
	if (r < 0)
		return r;
	r = loading_wait(&loading, master->cmdline->loader_timeout);
	if (r < 0)
		loading_kill(&loading);
	else
		r = loading_finish(&loading, ret);
	loading_done(&loading);
	return r;
}

/* What there is of us outside of what is configured. */
static int resume_process(struct master *master, struct resume *resume, struct image **ret)
{
	struct handover_process *process = &resume->handover.process;
	int r;

	free(master->cwd);
	master->cwd = take_ptr(process->cwd);
	master->program = take_ptr(process->program);
	upgrade_count(&master->upgrade, process->upgrades, process->failed, !resume->back);
	detach_resume();
	r = loader_find(&master->loader);
	if (r == 0)
		r = resume_image(resume, ret);
	if (r == 0)
		return 0;
	log_error("unable to take over: %s", strerror(-r));
	go_back(master->cmdline, resume, master->argv);
	return failed_status(master->cmdline);
}

static int load(struct master *master, struct image **ret)
{
	int r = loader_find(&master->loader);

	master->program = loader_find_self(master->cwd);
	if (r == 0)
		r = load_first(master, ret);
	if (r == 0)
		return 0;
	if (r > 0 && r != LOADER_NOT_RUN)
		return refused_status(master->cmdline, r);
	log_error("unable to load the configuration: %s", loading_explain(r));
	return failed_status(master->cmdline);
}

/*
 * Nothing of ours may go away under a child that still runs in our memory, or
 * under a thread that is stuck in a close: then the process ends with everything
 * in place, which the kernel keeps.
 */
static void clean_up(struct master *master)
{
	upgrade_stop(master);
	reload_stop(&master->reload);
	waiting_done(&master->waiting);
	successor_close(master);
	take_over_give_up(master);
	control_close(master);
	followers_close(master);
	master->store.active = false;
	for (size_t i = 0; i < master->n_services; i++)
		service_close(master->services[i]);
	tally_flush(master);
	detach_end(&master->detach, master->status);
	asker_done(master->overdue.asker);
	tally_done(&master->tally);
	accounting_done(master);
	orphans_done(&master->orphans);
	workers_done(master);
	readinesses_leave(&master->readinesses);
	/* Without a closer, which comes after the spawner, there was no child yet. */
	if (master->closer &&
		(spawner_in_flight(master->spawner) > 0 || !stop_wait_for_closer(master))) {
		log_close();
		_exit(master->status);
	}
	for (size_t i = 0; i < master->n_services; i++)
		service_free(master->services[i]);
	services_forget_retired(master);
	backends_free(master);
	callers_done(&master->callers);
	workers_free(master);
	inquiries_done(&master->inquiries);
	free(master->services);
	readinesses_done(&master->readinesses);
	closer_done(master->closer);
	notify_free(master->notify);
	kept_done(&master->kept);
	store_done(&master->store);
	watchdog_done(&master->watchdog);
	sd_event_source_unref(master->arrivals);
	sd_event_unref(master->event);
	child_table_free(master->children);
	sources_free(master->sources);
	bans_done(&master->banned);
	refusals_free(master->refusals);
	refusals_free(master->bans);
	free(master->told.last_failure);
	heap_done(&master->pacing);
	spawner_free(master->spawner);
	image_free(master->image);
	fd_close(master->null_fd);
	fd_close(master->listeners_fd);
	free(master->cwd);
	free(master->loader);
	free(master->program);
	inherited_done(&master->inherited);
	log_close();
}

/* Where the process comes from: 0, or a negative errno that was told. */
static int find_out_what_we_are(struct master *master, struct resume *resume)
{
	int r = resume_find(resume);

	if (r < 0)
		return r;
	r = inherited_take(&master->inherited, resume);
	if (r < 0) {
		log_error("unable to clean up what the process was started with: %s",
			strerror(-r));
		return r;
	}
	return resume_is_wanted(resume) ? 0 : init_stay_behind(master->cmdline);
}

void master_decline(char **argv)
{
	static const struct cmdline nothing;
	struct resume resume = RESUME_NONE;

	detach_open_log(&nothing);
	(void)resume_find(&resume);
	go_back(&nothing, &resume, argv);
	resume_done(&resume);
	log_close();
}

int master_run(const struct cmdline *cmdline, char **argv)
{
	struct master master = {
		.cmdline = cmdline,
		.argv = argv,
		.cwd = getcwd(NULL, 0),
		.listeners_fd = -EBADF,
		.overdue = OVERDUE_NONE,
		.readinesses = READINESSES_NONE,
		.tally = TALLY_NONE,
		.reload = RELOAD_NONE,
		.upgrade = UPGRADE_NONE,
		.strays = STRAYS_NONE,
		.waiting = {.due = USEC_INFINITY},
		.detach = DETACH_NONE,
		.control = CONTROL_NONE,
		.accounting = ACCOUNTING_NONE,
		.orphans = ORPHANS_NONE,
		.followers = FOLLOWERS_NONE,
		.store = STORE_NONE,
		.announced = ANNOUNCED_NONE,
		.take_over = TAKE_OVER_NONE,
		.drain = DRAIN_NONE,
		.started = clock_monotonic(),
		.next_connection = 1,
		.slot_delay = USEC_PER_MSEC,
		.gates_due = USEC_INFINITY,
		.paused_due = USEC_INFINITY,
		.young_due = USEC_INFINITY,
		.closer_due = USEC_INFINITY,
		.spare_due = USEC_INFINITY,
		.null_fd = -EBADF,
	};
	struct resume resume = RESUME_NONE;
	struct image *image = NULL;
	int r;

	if (!master.cwd)
		master.cwd = strdup("/");
	detach_open_log(cmdline);
	if (find_out_what_we_are(&master, &resume) < 0) {
		go_back(cmdline, &resume, argv);
		master.status = failed_status(cmdline);
		clean_up(&master);
		return master.status;
	}
	store_init(&master, getenv("NOTIFY_SOCKET") ? getenv("FDSTORE") : NULL);
	store_take_inherited(&master);
	watchdog_init(&master);

	if (resume_is_wanted(&resume))
		r = resume_process(&master, &resume, &image);
	else
		r = detach_start(cmdline, &master.detach) < 0 ? failed_status(cmdline)
		                                              : load(&master, &image);
	if (r == 0) {
		/* Hold on to no file system; what was relative has been resolved. */
		if (chdir("/") < 0)
			log_warning("unable to change to /: %s", strerror(errno));
		umask(077);
		if (master.inherited.uid == 0)
			log_isolate();
		r = serve(&master, image, &resume);
	}
	master.status = r;
	clean_up(&master);
	return r;
}
