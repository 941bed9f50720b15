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

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define VARIABLE "NOTIFY_SOCKET="

/* Messages read at once; then the next ones wait for a moment, and who sends them with them. */
#define BATCH 8
#define REST  (10 * USEC_PER_MSEC)

struct readiness {
	struct child *child;
	sd_event_source *source; /* owned; NULL: nobody listens */
	int fd;                  /* owned */
	bool awaited;            /* READY=1 has yet to come */
	bool told_stranger;      /* the log says that somebody else has spoken */
	uint8_t state;           /* enum notice_state */
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

static void rest(struct readiness *r, uint64_t now)
{
	struct readinesses *all = readinesses_of(r->child);

	sd_event_source_set_enabled(r->source, SD_EVENT_OFF);
	if (now + REST < all->due)
		all->due = now + REST;
}

/* What cannot be thrown away now is heard once more, which makes no difference. */
static int drop(const struct readiness *r, const struct notice_mail *mail, uint64_t now)
{
	if (mail->laden)
		return service_drop_message_later(r->child->service, r->fd, now);
	notice_socket_drop(r->fd);
	return 0;
}

static int on_notice(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct readiness *r = userdata;
	uint64_t now = clock_monotonic();
	struct notice_mail mail;

	(void)source;
	(void)revents;
	for (int i = 0; i < BATCH && service_closing(r->child->service) == 0; i++) {
		int found = notice_socket_look(fd, &mail);

		if (found == 0)
			return 0;
		if (found < 0)
			break;
		hear(r, &mail, now);
		if (drop(r, &mail, now) < 0)
			break;
	}
	rest(r, now);
	return 0;
}

void readinesses_turn(struct master *master, uint64_t now)
{
	struct readinesses *all = &master->readinesses;
	struct readiness *r;

	if (now < all->due)
		return;
	all->due = USEC_INFINITY;
	LIST_FOREACH (r, &all->all, all)
		if (r->source && sd_event_source_set_enabled(r->source, SD_EVENT_ON) < 0)
			all->due = now + REST;
}

/* ------------------------------------------------------------ from start to end */

static struct readiness *new_readiness(struct child *child)
{
	struct readiness *r = calloc(1, sizeof *r);

	if (!r)
		return NULL;
	r->child = child;
	r->fd = -EBADF;
	r->awaited = true;
	LIST_INSERT_HEAD(&readinesses_of(child)->all, r, all);
	child->readiness = r;
	return r;
}

static void free_readiness(struct readiness *r)
{
	sd_event_source_disable_unref(r->source);
	LIST_REMOVE(r, all);
	r->child->readiness = NULL;
	free(r);
}

static int put_name(const char *name, struct spawn_plan *plan)
{
	size_t len = sizeof VARIABLE + strlen(name);
	char *entry = plan->text + plan->text_used;

	if (plan->n_env >= SPAWN_ENV_MAX || len > SPAWN_TEXT_MAX - plan->text_used)
		return -E2BIG;
	memcpy(entry, VARIABLE, sizeof VARIABLE - 1);
	strcpy(entry + sizeof VARIABLE - 1, name);
	plan->text_used += (unsigned)len;
	plan->envp[plan->n_env++] = entry;
	return 0;
}

int readiness_open(struct child *child, struct spawn_plan *plan)
{
	char name[NOTICE_SOCKET_NAME_MAX];
	struct readiness *r;
	int fd;

	if (!child->setup->conf->notify)
		return 0;
	r = new_readiness(child);
	if (!r)
		return -ENOMEM;
	fd = notice_socket_open(name);
	if (fd < 0)
		return fd;
	r->fd = master_move_up(child->service->master, fd);
	return put_name(name, plan);
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
		service_close_later(child->service, r->fd, 0, now);
	free_readiness(r);
}

/* The end of the process closes it. */
void readiness_abandon(struct child *child)
{
	if (child->readiness)
		free_readiness(child->readiness);
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
	r->awaited = saved->awaited;
	r->state = saved->state;
	if (saved->status)
		notice_copy_status(saved->status, strlen(saved->status), r->status);
	child->life.ready_by = r->awaited ? settle(child, saved->ready_by, now) : 0;
	listen_to(r);
}
