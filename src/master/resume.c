#include "master/resume.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "conf/image.h"
#include "master/admitted.h"
#include "master/findings.h"
#include "master/handover/master-state.h"
#include "master/handover/service-state.h"
#include "master/master.h"
#include "master/overdue.h"
#include "master/service.h"
#include "master/setup.h"
#include "master/tally.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VARIABLE "HATCHD_HANDOVER"

/* Two numbers with a comma between them. */
#define VALUE_MAX 32

/* ------------------------------------------------------------- from image to image */

int resume_announce(int state, int old_program)
{
	char value[VALUE_MAX];

	snprintf(value, sizeof value, "%d,%d", state, old_program);
	return setenv(VARIABLE, value, 1) < 0 ? -errno : 0;
}

void resume_denounce(void)
{
	unsetenv(VARIABLE);
}

/* -1 for the second: there is nothing to go back to. */
static bool parse_value(const char *value, int *ret_state, int *ret_program)
{
	char state[VALUE_MAX];
	const char *comma = strchr(value, ',');
	int32_t first, second;

	if (!comma || comma - value >= VALUE_MAX)
		return false;
	snprintf(state, sizeof state, "%.*s", (int)(comma - value), value);
	if (text_parse_i32(state, &first) < 0 || text_parse_i32(comma + 1, &second) < 0)
		return false;
	*ret_state = first;
	*ret_program = second < 0 ? -EBADF : second;
	return first > STDERR_FILENO;
}

static bool is_open(int fd)
{
	return fd < 0 || fcntl(fd, F_GETFD) >= 0;
}

struct check {
	bool good;
};

static void check_fd(void *userdata, int fd)
{
	struct check *check = userdata;

	check->good &= is_open(fd) && (fd < 0 || fd > STDERR_FILENO);
}

/* A variable that somebody has left, or set, is nobody's handover. */
int resume_check(const struct handover *handover)
{
	struct saved_master all;
	int r = master_state_read(handover->state, handover->state_len, &all);

	master_state_done(&all);
	for (size_t i = 0; i < handover->n_services && r == 0; i++) {
		const struct handover_service *service = &handover->services[i];
		struct saved_service saved;

		r = service_state_read(service->state, service->state_len, &saved);
		service_state_done(&saved);
	}
	return r;
}

static int read_state(struct resume *resume)
{
	struct check check = {.good = true};
	int r = handover_read(resume->state, &resume->handover);

	if (r < 0)
		return r;
	if (resume->handover.process.pid != (uint32_t)getpid())
		return -ESRCH;
	r = resume_check(&resume->handover);
	if (r < 0)
		return r;
	handover_each_fd(&resume->handover, check_fd, &check);
	/* Whoever could not begin may have closed sockets that his configuration has no use
	 * for. */
	return check.good || resume->old_program < 0 ? 0 : -EBADF;
}

void resume_find(struct resume *resume)
{
	const char *value = getenv(VARIABLE);
	int r;

	if (!value)
		return;
	if (!parse_value(value, &resume->state, &resume->old_program)) {
		resume->state = resume->old_program = -EBADF;
		resume_denounce();
		return;
	}
	resume_denounce();
	r = read_state(resume);
	if (r == 0)
		return;
	/* A stray variable of somebody else's process. */
	if (r == -ESRCH || !is_open(resume->state)) {
		handover_done(&resume->handover);
		resume->state = resume->old_program = -EBADF;
		return;
	}
	log_error("unable to take over: %s",
		r == -EPROTONOSUPPORT ? "what is handed over is of another version"
		: r == -EBADMSG       ? "what is handed over is damaged"
				      : strerror(-r));
	resume->failed = true;
}

/* ----------------------------------------------------------------- descriptors */

struct fds {
	int *fds; /* owned; NULL without memory, or before they are counted */
	size_t n;
};

static void count_fd(void *userdata, int fd)
{
	struct fds *list = userdata;

	if (fd >= 0 && list->fds)
		list->fds[list->n] = fd;
	list->n += fd >= 0;
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Without memory for the list nothing is closed. */
static void close_others(const struct fds *list)
{
	int next = STDERR_FILENO + 1;

	for (size_t i = 0; i < list->n; i++) {
		(void)fcntl(list->fds[i], F_SETFD, FD_CLOEXEC);
		if (list->fds[i] > next)
			fd_close_range(next, list->fds[i] - 1);
		next = list->fds[i] >= next ? list->fds[i] + 1 : next;
	}
	fd_close_range(next, INT_MAX);
}

void resume_clean_up(const struct resume *resume)
{
	struct fds list = {NULL, 0};

	handover_each_fd(&resume->handover, count_fd, &list);
	list.fds = calloc(list.n + 3, sizeof *list.fds);
	if (!list.fds)
		return;
	list.n = 0;
	handover_each_fd(&resume->handover, count_fd, &list);
	/* Executed by its descriptor, it would be called by the number of that. */
	prctl(PR_SET_NAME, "hatchd");
	count_fd(&list, resume->state);
	count_fd(&list, resume->old_program);
	count_fd(&list, log_fd());
	qsort(list.fds, list.n, sizeof *list.fds, compare);
	close_others(&list);
	free(list.fds);
}

/* Who goes back has the configuration that he had. */
int resume_image(struct resume *resume, struct image **ret)
{
	struct handover_process *process = &resume->handover.process;
	bool back = resume->old_program < 0;
	int *fd = back ? &process->image : &process->next_image;
	int *secrets = back ? &process->secrets : &process->next_secrets;
	_cleanup_image_ struct image *image = NULL;
	int r;

	r = image_open(*fd, &image);
	if (r < 0)
		return r;
	*fd = -EBADF;
	if (*secrets >= 0) {
		r = image_take_secrets(image, *secrets);
		if (r < 0)
			return r;
		*secrets = -EBADF;
	}
	*ret = take_ptr(image);
	return 0;
}

/* ------------------------------------------------------------------------ sockets */

/* As if the service manager had handed them over just now. */
static int give_handed_over(struct resume *resume, struct inherited *inherited)
{
	struct handover *handover = &resume->handover;
	int r = 0;

	for (size_t i = 0; i < handover->n_spares && r == 0; i++)
		r = inherited_add(inherited, handover->spares[i].name, &handover->spares[i].fd);
	for (size_t i = 0; i < handover->n_listeners && r == 0; i++)
		if (handover->listeners[i].handed_over)
			r = inherited_add(inherited, handover->listeners[i].handed_over,
				&handover->listeners[i].fd);
	return r;
}

/* One that is not what its name says is closed with what nobody wants. */
static int keep_socket(struct handover_listener *listener, struct master *master)
{
	struct stored *stored = NULL;
	int r;

	if (listener->fd < 0 || !listener->name)
		return 0;
	if (listener->stored)
		stored = store_note(master, listener->name);
	r = kept_add(&master->kept, listener->name, listener->fd, stored);
	if (r == 0)
		listener->fd = -EBADF;
	else
		store_forget(master, stored);
	return r == -ENOMEM ? r : 0;
}

int resume_sockets(struct resume *resume, struct master *master)
{
	struct handover *handover = &resume->handover;
	int r = give_handed_over(resume, &master->inherited);

	for (size_t i = 0; i < handover->n_listeners && r == 0; i++)
		r = keep_socket(&handover->listeners[i], master);
	return r;
}

int resume_memory(const struct resume *resume, struct master *master, uint64_t now)
{
	const struct handover *handover = &resume->handover;
	struct saved_master saved;
	int r = master_state_read(handover->state, handover->state_len, &saved);

	if (r == 0)
		master_state_put(&saved, master, now);
	master_state_done(&saved);
	return r;
}

/* ----------------------------------------------------------------------- services */

/* What was handed over by its place there, and is here now. */
struct places {
	struct resume *resume;
	struct master *master;
	struct service **services;   /* owned */
	struct listener **listeners; /* owned; NULL: it is not there any more */
	struct setup **setups;       /* owned, each held; NULL: it cannot be read */
	size_t n_lost;               /* children that nobody remembers */
};

/* Mostly the configuration has not changed, and it is where it was. */
static struct service *find_service(const struct master *master, const char *name, size_t hint)
{
	if (hint < master->n_services && service_is_called(master->services[hint], name))
		return master->services[hint];
	for (size_t i = 0; i < master->n_services; i++)
		if (service_is_called(master->services[i], name))
			return master->services[i];
	return NULL;
}

/* It has children, and no configuration any more. */
static struct service *make_retired(struct master *master, const char *name)
{
	struct service *service = service_new(master, name);

	if (service)
		service_retire(service);
	return service;
}

static void find_services(struct places *places)
{
	const struct handover *handover = &places->resume->handover;

	for (size_t i = 0; i < handover->n_services; i++) {
		const char *name = handover->services[i].name;
		struct service *service = find_service(places->master, name, i);

		places->services[i] = service;
	}
}

/* They have their numbers from then on. */
static void give_memories(struct places *places, uint64_t now)
{
	const struct handover *handover = &places->resume->handover;

	for (size_t i = 0; i < handover->n_services; i++) {
		const struct handover_service *from = &handover->services[i];
		struct saved_service saved;
		int r = -ENOENT;

		if (!places->services[i])
			continue;
		r = service_state_read(from->state, from->state_len, &saved);
		if (r == 0)
			r = service_state_put(&saved, places->services[i], now);
		if (r < 0)
			log_error("%sunable to go on with what was counted: %s",
				places->services[i]->label, strerror(-r));
		service_state_done(&saved);
	}
}

static void give_sources(const struct places *places, uint64_t now)
{
	const struct handover *handover = &places->resume->handover;
	struct saved_master saved;
	int r = master_state_read(handover->state, handover->state_len, &saved);

	if (r == 0)
		r = master_state_put_sources(&saved, places->master, now);
	if (r < 0)
		log_error("unable to go on with rates and bans of clients: %s", strerror(-r));
	master_state_done(&saved);
}

static struct listener *find_listener(
	const struct service *service, const struct addr *asked, size_t hint)
{
	for (size_t i = 0; i < service->n_listeners; i++) {
		struct listener *listener =
			service->listeners[(i + hint) % service->n_listeners];
		const struct addr *addr = listener_asked(listener);

		if (addr && addr_equal(addr, asked))
			return listener;
	}
	return NULL;
}

static void find_listeners(struct places *places)
{
	const struct handover *handover = &places->resume->handover;
	uint32_t last = HANDOVER_NONE;
	size_t hint = 0;

	for (size_t i = 0; i < handover->n_listeners; i++) {
		const struct handover_listener *from = &handover->listeners[i];
		const struct service *service = places->services[from->service];

		hint = from->service == last ? hint + 1 : 0;
		last = from->service;
		if (service)
			places->listeners[i] = find_listener(service, &from->asked, hint);
	}
}

static void read_setups(struct places *places)
{
	const struct handover *handover = &places->resume->handover;

	for (size_t i = 0; i < handover->n_setups; i++) {
		const struct handover_setup *setup = &handover->setups[i];

		if (setup->image_version == IMAGE_VERSION && setup->len > 0)
			(void)setup_from_record(&places->master->inherited, setup->record,
				setup->len, &places->setups[i]);
	}
}

/* A client who was accepted, and is the first in line. */
static void give_held(struct places *places)
{
	struct handover *handover = &places->resume->handover;

	for (size_t i = 0; i < handover->n_listeners; i++) {
		struct handover_listener *from = &handover->listeners[i];
		struct listener *listener = places->listeners[i];

		if (from->held < 0 || !listener || listener->held >= 0)
			continue;
		listener->held = take_fd(&from->held);
		listener->held_number = from->held_number;
		listener->held_since = from->held_since;
	}
}

/* ----------------------------------------------------------------------- children */

static struct findings *read_findings(const struct handover_child *from, uint32_t generation)
{
	struct findings *findings = from->has_findings ? findings_new(generation) : NULL;

	if (!findings)
		return NULL;
	findings->name_state = from->findings.name_state;
	findings->user_state = from->findings.user_state;
	if (from->findings.name)
		(void)findings_set_name(findings, from->findings.name);
	if (from->findings.user)
		(void)findings_set_user(findings, from->findings.user);
	return findings;
}

/* What it was started with, or what is in force, or what a service has that says nothing. */
static struct setup *find_setup(
	const struct places *places, const struct handover_child *from, struct service *service)
{
	struct setup *setup = from->setup == HANDOVER_NONE ? NULL : places->setups[from->setup];

	if (!setup && !service->retired)
		setup = service_setup(service);
	return setup ? setup_hold(setup)
	             : setup_of_nothing(
			       service, places->resume->handover.services[from->service].name);
}

static void fill_client(struct child *child, const struct handover_child *from)
{
	child->peer = from->peer;
	child->local = from->local;
	child->peer_cred = (struct ucred){
		.pid = (pid_t)from->peer_pid, .uid = from->peer_uid, .gid = from->peer_gid};
	child->source = from->source;
	child->tcp = from->tcp;
	child->taken = from->taken;
	if (!from->has_ends)
		return;
	child->ends = malloc(sizeof *child->ends);
	if (child->ends)
		*child->ends =
			(struct tcp_ends){.local = from->proxy_local, .peer = from->proxy_peer};
}

static void fill_life(struct child *child, const struct handover_child *from)
{
	child->life = (struct lifetime){
		.born = from->life_born,
		.ask_at = from->life_ask_at,
		.told = from->life_told,
		.reason = from->life_reason,
		.heard = from->life_heard,
		.killed = from->life_killed,
	};
}

static void fill(struct child *child, struct handover_child *from)
{
	child->connection = from->connection;
	child->pid = from->pid;
	child->pidfd = take_fd(&from->pidfd);
	child->report = (struct spawn_report){.step = SPAWN_EXEC};
	child->born = from->born;
	child->came_by_ip = from->came_by_ip;
	child->on_pair = from->on_pair;
	child->unwanted = from->unwanted;
	child->killed_late = from->killed_late;
	child->announced = from->announced;
	fill_client(child, from);
	fill_life(child, from);
}

/* It has the socket itself: nobody else looks at it. */
static void lend(struct child *child, struct listener *listener)
{
	struct service *service = child->service;

	if (!listener || !service->wait)
		return;
	child->listener = listener;
	listener->child = child;
	listener->lent = true;
	if (!service->takes_all)
		return;
	service->wait_child = child;
	for (uint32_t i = 0; i < service->n_listeners; i++)
		service->listeners[i]->lent = true;
}

/* A zombie until we end, if we cannot remember it: its descriptor is closed with the others. */
static bool adopt(struct places *places, struct handover_child *from, uint64_t now)
{
	struct master *master = places->master;
	struct service **service = &places->services[from->service];
	struct setup *setup = NULL;
	struct child *child;

	if (!*service)
		*service = make_retired(
			master, places->resume->handover.services[from->service].name);
	if (*service)
		setup = find_setup(places, from, *service);
	child = setup ? child_new(master->children) : NULL;
	if (!child) {
		setup_release(setup);
		return false;
	}
	child->service = *service;
	child->setup = setup;
	fill(child, from);
	child->findings = read_findings(from, master->generation);
	admitted_count(child);
	if (from->listener != HANDOVER_NONE)
		lend(child, places->listeners[from->listener]);
	child_watch(master->children, child, now);
	if (!child->announced)
		child_begin(master->children, child);
	tally_resume(child, &from->counted);
	overdue_resume(child);
	return true;
}

static int compare_born(const void *a, const void *b)
{
	const struct handover_child *x = a, *y = b;

	return (x->born > y->born) - (x->born < y->born);
}

static void adopt_all(struct places *places, uint64_t now)
{
	struct handover *handover = &places->resume->handover;

	if (handover->n_children == 0)
		return;
	qsort(handover->children, handover->n_children, sizeof *handover->children,
		compare_born);
	for (size_t i = 0; i < handover->n_children; i++)
		if (!adopt(places, &handover->children[i], now))
			places->n_lost++;
	if (places->n_lost > 0)
		log_error("unable to remember %zu children: %s", places->n_lost,
			strerror(ENOMEM));
}

static bool make_places(struct places *places)
{
	const struct handover *handover = &places->resume->handover;

	places->services = calloc(handover->n_services + 1, sizeof(struct service *));
	places->listeners = calloc(handover->n_listeners + 1, sizeof(struct listener *));
	places->setups = calloc(handover->n_setups + 1, sizeof(struct setup *));
	return places->services && places->listeners && places->setups;
}

static void free_places(struct places *places)
{
	for (size_t i = 0; places->setups && i < places->resume->handover.n_setups; i++)
		setup_release(places->setups[i]);
	free(places->services);
	free(places->listeners);
	free(places->setups);
}

void resume_children(struct resume *resume, struct master *master, uint64_t now)
{
	struct places places = {.resume = resume, .master = master};

	if (make_places(&places)) {
		find_services(&places);
		give_memories(&places, now);
		find_listeners(&places);
		read_setups(&places);
		adopt_all(&places, now);
		give_sources(&places, now);
		give_held(&places);
	} else {
		log_error("unable to remember children: %s", strerror(ENOMEM));
	}
	free_places(&places);
	for (size_t i = 0; i < resume->handover.n_listeners; i++)
		if (resume->handover.listeners[i].held >= 0)
			master_close_later(
				master, take_fd(&resume->handover.listeners[i].held), now);
	for (size_t i = 0; i < resume->handover.n_strays; i++)
		(void)strays_add(&master->strays, resume->handover.strays[i].pid, now);
	for (size_t i = 0; i < master->n_services; i++)
		service_update(master->services[i]);
}

/* -------------------------------------------------------------------------- the end */

void resume_tell(const struct resume *resume)
{
	const struct handover *handover = &resume->handover;
	const char *was = handover->process.version;
	size_t n = handover->n_children;

	if (resume->old_program < 0)
		log_error("unable to upgrade: the next hatchd could not take over, serving on "
			  "as hatchd %s",
			PACKAGE_VERSION);
	else if (strcmp(was, PACKAGE_VERSION) == 0)
		log_notice("upgraded to hatchd %s, %zu %s living on", PACKAGE_VERSION, n,
			n == 1 ? "child" : "children");
	else
		log_notice("upgraded from hatchd %s to %s, %zu %s living on", was,
			PACKAGE_VERSION, n, n == 1 ? "child" : "children");
}

static void keep_open(void *userdata, int fd)
{
	(void)userdata;
	if (fd >= 0)
		(void)fcntl(fd, F_SETFD, 0);
}

void resume_go_back(struct resume *resume, char **argv)
{
	if (resume->old_program < 0 || resume_announce(resume->state, -1) < 0)
		return;
	handover_each_fd(&resume->handover, keep_open, NULL);
	keep_open(NULL, resume->state);
	log_flush();
	syscall(SYS_execveat, resume->old_program, "", argv, environ, AT_EMPTY_PATH);
	resume_denounce();
}

static void close_left(void *userdata, int fd)
{
	(void)userdata;
	fd_close(fd);
}

/* What nobody has taken out of it by now is nobody's. */
void resume_done(struct resume *resume)
{
	if (!resume_is_wanted(resume))
		return;
	handover_each_fd(&resume->handover, close_left, NULL);
	handover_done(&resume->handover);
	fd_close(resume->state);
	fd_close(resume->old_program);
	*resume = RESUME_NONE;
}
