#include "master/readiness.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "master/follow.h"
#include "master/master.h"
#include "master/overdue.h"
#include "master/pause.h"
#include "master/service.h"
#include "os/notice_socket.h"
#include "os/spawn_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define VARIABLE "NOTIFY_SOCKET="

/* Messages read at once; then the next ones wait for a moment, and who sends them with them. */
#define BATCH 8
#define REST  (10 * USEC_PER_MSEC)

/* While nothing gets on they wait for twice as long each time. */
#define REST_MAX USEC_PER_SEC

/* Messages of one program whose descriptors may be on their way to be closed: each may take a
 * thread, for as long as whoever has sent it likes. */
#define CLOSING_MAX 8

struct readiness {
	struct child *child;
	sd_event_source *source; /* owned; NULL: nobody listens */
	int fd;                  /* owned */
	uint64_t number;         /* of its name in the folder; 0: it is abstract */
	bool awaited;            /* READY=1 has yet to come */
	bool told_stranger;      /* the log says that somebody else has spoken */
	bool told_full;          /* ... that too much is being closed */
	bool heard;              /* the next message was; it could not be thrown away */
	uint8_t state;           /* enum notice_state */
	uint64_t due;  /* usec, monotonic: to be listened to again; else USEC_INFINITY */
	uint64_t rest; /* usec: how long it would wait then */

	/* With the closer. */
	uint32_t n_closing; /* descriptors; atomic */
	uint32_t service; /* number of the service, which may be gone before they are closed */
	int64_t last_at;  /* the last message that he throws away, or has, and who sent it: */
	pid_t last_pid;
	uid_t last_uid;

	char status[NOTICE_STATUS_MAX];
	LIST_ENTRY(readiness) all;
};

static struct readinesses *readinesses_of(const struct child *child)
{
	return &child->service->master->readinesses;
}

/* -------------------------------------------------------------- what is said */

bool readiness_is_awaited(const struct child *child)
{
	return child->readiness && child->readiness->awaited;
}

const char *readiness_describe(const struct child *child)
{
	const struct readiness *r = child ? child->readiness : NULL;

	if (!r)
		return NULL;
	if (r->state == NOTICE_STOPPING)
		return "stopping";
	if (r->awaited)
		return "starting";
	return r->state == NOTICE_RELOADING ? "reloading" : NULL;
}

const char *readiness_status(const struct child *child)
{
	const struct readiness *r = child ? child->readiness : NULL;

	return r && r->status[0] ? r->status : NULL;
}

/* It was told to end already: that it says so now does not help. */
static void become_ready(struct readiness *r, uint64_t now)
{
	struct child *child = r->child;
	char text[TEXT_NUMBER_MAX];

	if (!r->awaited || child->life.reason != LIFETIME_UNLIMITED)
		return;
	r->awaited = false;
	lifetime_ready(&child->life);
	overdue_resume(child);
	log_info("%sprocess %d is ready after %s", child->service->label, child->pid,
		text_format_elapsed(now - child->born, text));
	follow_service(child->service, "ready", NULL);
	service_recovered(child->service);
}

static void give_more_time(struct child *child, uint64_t extend, uint64_t now)
{
	if (extend == 0)
		return;
	lifetime_extend(&child->life, now + extend);
	overdue_resume(child);
}

static void take_notice(struct readiness *r, const struct notice *notice, uint64_t now)
{
	if (notice->has_status)
		memcpy(r->status, notice->status, sizeof r->status);
	if (notice->state != NOTICE_NOTHING)
		r->state = (uint8_t)notice->state;
	give_more_time(r->child, notice->extend, now);
	if (notice->ready)
		become_ready(r, now);
}

/* It leads its session, so that has its number.  Who has ended meanwhile, and was reaped, is of
 * none. */
static bool is_of_program(const struct child *child, pid_t sender)
{
	return sender > 0 && (sender == child->pid || getsid(sender) == child->pid);
}

static void tell_stranger(struct readiness *r, pid_t sender)
{
	if (r->told_stranger)
		return;
	r->told_stranger = true;
	log_warning("%sprocess %d speaks for process %d and is not of its session, ignoring "
		    "what it says",
		r->child->service->label, sender, r->child->pid);
}

static void hear(struct readiness *r, const struct notice_mail *mail, uint64_t now)
{
	struct notice notice;

	if (!is_of_program(r->child, mail->pid))
		tell_stranger(r, mail->pid);
	else if (mail->whole && notice_parse(mail->text, mail->len, &notice))
		take_notice(r, &notice, now);
}

/* ------------------------------------------------------------------ to listen */

static uint32_t closing(const struct readiness *r)
{
	return __atomic_load_n(&r->n_closing, __ATOMIC_ACQUIRE);
}

static void have_closed(struct readiness *r, struct closer_job job, uint64_t now)
{
	job.pending = &r->n_closing;
	master_have_closed(r->child->service->master, job, now);
}

/* By a copy: the socket itself may be closed meanwhile. */
static int drop_later(struct readiness *r, const struct notice_mail *mail, uint64_t now)
{
	const struct closer_job job = {
		.fd = fcntl(
			r->fd, F_DUPFD_CLOEXEC, r->child->service->master->budget.low_limit),
		.drop = true,
	};

	if (job.fd < 0)
		return -errno;
	have_closed(r, job, now);
	r->last_at = mail->at;
	r->last_pid = mail->pid;
	r->last_uid = mail->uid;
	return 0;
}

/* Of many that are soon closed there is nothing to tell. */
static void tell_full(struct readiness *r)
{
	if (r->told_full || r->rest < REST_MAX)
		return;
	r->told_full = true;
	log_warning(
		"%sprocess %d of user %u has sent descriptors that take long to close: until "
		"one of %d is closed nothing is heard of process %d",
		r->child->service->label, r->last_pid, r->last_uid, CLOSING_MAX, r->child->pid);
}

static int drop(struct readiness *r, const struct notice_mail *mail, uint64_t now)
{
	if (!mail->laden) {
		notice_socket_drop(r->fd);
		return 0;
	}
	if (closing(r) < CLOSING_MAX)
		return drop_later(r, mail, now);
	tell_full(r);
	return -EBUSY;
}

/* 1; 0: there is none; or a negative errno: it has to wait.  The closer takes a message out and
 * closes behind that what was with it: as long as he is at it, it may still be the next one. */
static int take_next(struct readiness *r, uint64_t now)
{
	bool maybe_dropped = closing(r) > 0; /* as of before the look */
	struct notice_mail mail;
	int error = notice_socket_look(r->fd, &mail);

	if (error <= 0)
		return error;
	if (maybe_dropped && mail.at == r->last_at)
		return -EAGAIN;
	if (!r->heard)
		hear(r, &mail, now);
	error = drop(r, &mail, now);
	r->heard = error < 0;
	return error < 0 ? error : 1;
}

static void rest(struct readiness *r, bool got_on, uint64_t now)
{
	struct readinesses *all = readinesses_of(r->child);

	if (got_on)
		r->rest = REST;
	sd_event_source_set_enabled(r->source, SD_EVENT_OFF);
	r->due = now + r->rest;
	if (r->due < all->due)
		all->due = r->due;
	if (r->rest < REST_MAX)
		r->rest *= 2;
}

static int on_notice(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct readiness *r = userdata;
	uint64_t now = clock_monotonic();
	int n = 0, taken = 1;

	(void)source;
	(void)fd;
	(void)revents;
	while (n < BATCH && (taken = take_next(r, now)) > 0)
		n++;
	if (taken != 0)
		rest(r, n > 0, now);
	return 0;
}

static void listen_again(struct readinesses *all, struct readiness *r, uint64_t now)
{
	if (r->due <= now)
		r->due = sd_event_source_set_enabled(r->source, SD_EVENT_ON) < 0
		                 ? now + REST
		                 : USEC_INFINITY;
	if (r->due < all->due)
		all->due = r->due;
}

void readinesses_turn(struct master *master, uint64_t now)
{
	struct readinesses *all = &master->readinesses;
	struct readiness *r;

	if (now < all->due)
		return;
	all->due = USEC_INFINITY;
	LIST_FOREACH (r, &all->all, all)
		listen_again(all, r, now);
}

/* ------------------------------------------------------------- what is being closed */

/* The closer counts in there. */
static void forget_closed(struct readinesses *readinesses)
{
	struct readiness *r = LIST_FIRST(&readinesses->left);

	while (r) {
		struct readiness *next = LIST_NEXT(r, all);

		if (closing(r) == 0) {
			LIST_REMOVE(r, all);
			free(r);
		}
		r = next;
	}
}

size_t readinesses_closing(const struct readinesses *readinesses)
{
	const struct readiness *r;
	size_t n = 0;

	LIST_FOREACH (r, &readinesses->all, all)
		n += closing(r);
	LIST_FOREACH (r, &readinesses->left, all)
		n += closing(r);
	return n;
}

uint32_t readinesses_left_by(const struct service *service)
{
	const struct readiness *r;
	uint32_t n = 0;

	LIST_FOREACH (r, &service->master->readinesses.left, all)
		if (r->service == service->number)
			n += closing(r);
	return n;
}

static void remove_name(struct readiness *r)
{
	if (r->number != 0)
		notice_folder_remove(readinesses_of(r->child)->folder, r->number);
	r->number = 0;
}

void readinesses_leave(struct readinesses *readinesses)
{
	struct readiness *r;

	LIST_FOREACH (r, &readinesses->all, all)
		remove_name(r);
	if (readinesses->folder[0])
		notice_folder_leave(readinesses->folder);
}

void readinesses_done(struct readinesses *readinesses)
{
	forget_closed(readinesses);
}

/* ------------------------------------------------------------ from start to end */

void readinesses_begin(struct master *master)
{
	struct readinesses *all = &master->readinesses;
	const char *control = master->cmdline->control;
	size_t len = sizeof all->folder;

	if (!control || (size_t)snprintf(all->folder, len, "%s.notify", control) >= len)
		all->folder[0] = '\0';
	else
		notice_folder_sweep(all->folder);
}

static struct readiness *new_readiness(struct child *child)
{
	struct readiness *r = calloc(1, sizeof *r);

	if (!r)
		return NULL;
	forget_closed(readinesses_of(child));
	r->child = child;
	r->fd = -EBADF;
	r->awaited = true;
	r->due = USEC_INFINITY;
	r->rest = REST;
	r->service = child->service->number;
	LIST_INSERT_HEAD(&readinesses_of(child)->all, r, all);
	child->readiness = r;
	return r;
}

/* Freed as soon as nothing of it is being closed. */
static void leave(struct readiness *r)
{
	struct readinesses *all = readinesses_of(r->child);

	remove_name(r);
	r->source = sd_event_source_disable_unref(r->source);
	r->child->readiness = NULL;
	r->child = NULL;
	LIST_REMOVE(r, all);
	LIST_INSERT_HEAD(&all->left, r, all);
	forget_closed(all);
}

static int put_name(const char *name, struct spawn_plan *plan)
{
	char entry[sizeof VARIABLE + NOTICE_PATH_MAX];
	int len = snprintf(entry, sizeof entry, VARIABLE "%s", name);

	return spawn_plan_add(plan, entry, (size_t)len + 1) ? 0 : -E2BIG;
}

/* A program with another root directory gets to no folder of ours. */
static int open_socket(const struct child *child, struct notice_name *ret)
{
	const char *folder = readinesses_of(child)->folder;
	int fd;

	if (!folder[0] || child->setup->conf->chroot)
		return notice_socket_open(NULL, ret);
	fd = notice_socket_open(folder, ret);
	if (fd >= 0)
		return fd;
	log_debug("%sunable to make a socket in %s: %s, making one that all can send to",
		child->service->label, folder, strerror(-fd));
	return notice_socket_open(NULL, ret);
}

int readiness_open(struct child *child, struct spawn_plan *plan)
{
	struct notice_name name;
	struct readiness *r;
	int fd;

	if (!child->setup->conf->notify)
		return 0;
	r = new_readiness(child);
	if (!r)
		return -ENOMEM;
	fd = open_socket(child, &name);
	if (fd < 0)
		return fd;
	r->number = name.number;
	r->fd = master_move_up(child->service->master, fd);
	return put_name(name.text, plan);
}

/* Without memory for that it will have waited in vain, and is started anew. */
static void listen_to(struct readiness *r)
{
	struct master *master = r->child->service->master;
	int error = sd_event_add_io(master->event, &r->source, r->fd, EPOLLIN, on_notice, r);

	if (error < 0)
		log_error("%sunable to listen to process %d: %s", r->child->service->label,
			r->child->pid, strerror(-error));
}

void readiness_begin(struct child *child, uint64_t now)
{
	struct readiness *r = child->readiness;

	if (!r)
		return;
	listen_to(r);
	lifetime_await_ready(&child->life, child->setup->conf->ready_timeout, now);
	overdue_resume(child);
}

/* There may be descriptors in it that nobody has taken. */
void readiness_close(struct child *child, uint64_t now)
{
	struct readiness *r = child->readiness;

	if (!r)
		return;
	if (r->fd >= 0)
		have_closed(r, (struct closer_job){.fd = r->fd}, now);
	leave(r);
}

/* The end of the process closes it. */
void readiness_abandon(struct child *child)
{
	if (child->readiness)
		leave(child->readiness);
}

/* ------------------------------------------------------------- from image to image */

void readiness_save(const struct child *child, struct readiness_saved *ret)
{
	struct readiness *r = child->readiness;

	*ret = (struct readiness_saved){.fd = -EBADF};
	if (!r)
		return;
	*ret = (struct readiness_saved){
		.there = true,
		.fd = r->fd,
		.number = r->number,
		.awaited = r->awaited,
		.state = r->state,
		.status = r->status,
		.ready_by = child->life.ready_by,
	};
}

/* No later than it can have been allowed. */
static uint64_t settle(const struct child *child, uint64_t ready_by, uint64_t now)
{
	uint64_t timeout = child->setup->conf->ready_timeout;
	uint64_t most = timeout > NOTICE_EXTEND_MAX ? timeout : NOTICE_EXTEND_MAX;

	if (timeout == DURATION_UNLIMITED || ready_by <= now + most)
		return ready_by;
	return now + most;
}

void readiness_resume(struct child *child, struct readiness_saved *saved, uint64_t now)
{
	struct readiness *r = saved->there && saved->fd >= 0 ? new_readiness(child) : NULL;

	if (!r)
		return;
	r->fd = take_fd(&saved->fd);
	r->number = saved->number;
	r->awaited = saved->awaited;
	r->state = saved->state;
	if (saved->status)
		notice_copy_status(saved->status, strlen(saved->status), r->status);
	child->life.ready_by = r->awaited ? settle(child, saved->ready_by, now) : 0;
	listen_to(r);
}
