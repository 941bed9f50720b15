#include "master/listener.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/strv.h"
#include "master/caller.h"
#include "master/conn.h"
#include "master/master.h"
#include "master/service.h"
#include "master/setup.h"
#include "master/store.h"
#include "os/listen.h"
#include "os/pass_rights.h"
#include "os/reuse.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

struct listener *listener_new(struct service *service, uint32_t index)
{
	struct listener *listener = calloc(1, sizeof *listener);

	if (!listener)
		return NULL;
	listener->service = service;
	listener->index = index;
	listener->fd = -EBADF;
	listener->held = -EBADF;
	return listener;
}

const struct addr *listener_asked(const struct listener *listener)
{
	const struct setup *setup = service_setup(listener->service);

	if (!setup || listener->index >= setup->conf->n_listen)
		return NULL;
	return &setup->conf->listen[listener->index].addr;
}

const struct addr *listener_addr(const struct listener *listener)
{
	return listener->bound ? &listener->bound->addr : listener_asked(listener);
}

const char *listener_text(const struct addr *addr, char buf[ADDR_TEXT_MAX])
{
	return addr ? addr_format(addr, buf) : "an address";
}

struct listener *listener_free(struct listener *listener)
{
	if (!listener)
		return NULL;
	if (listener->child)
		listener->child->listener = NULL;
	listener_close(listener);
	free(listener->arrival);
	free(listener->told_step);
	free(listener);
	return NULL;
}

bool listener_is_handed_over(const struct listener *listener)
{
	return listener->bound && listener->bound->handed_over;
}

static void narrate(void *userdata, const char *line)
{
	const struct service *service = userdata;

	log_debug("%s%s", service->label, line);
}

/* Of a socket of the service manager. */
static const char *explain_theirs(int error)
{
	switch (-error) {
	case ENOENT:
		return "the service manager handed over none with that name";
	case EINVAL:
		return "it is not a listening socket of a kind that this service can serve";
	case EOPNOTSUPP:
		return "it is for datagrams, and ident = required is for connections";
	case EPROTOTYPE:
		return "it is of another protocol or type";
	case EADDRNOTAVAIL:
		return "it is not for the same versions of IP (v6only)";
	case ENODEV:
		return "it is not bound to the same interface (bind_to_device)";
	case EISCONN:
		return "it is connected, so it hears nobody else";
	case ENOTUNIQ:
		return "it is the same socket as one that was handed over before it";
	default:
		return strerror(-error);
	}
}

static const char *explain_told(const struct listener *listener)
{
	return listener->told_theirs ? explain_theirs(listener->told)
	                             : listen_explain(listener->told);
}

const char *listener_reason(const struct listener *listener)
{
	return listener->told == 0 ? NULL : explain_told(listener);
}

/* At a command line nothing waits: it is the end of it. */
void listener_tell(const struct listener *listener)
{
	bool adhoc = listener->service->master->cmdline->adhoc;
	char text[ADDR_TEXT_MAX];

	log_message(adhoc ? LOG_ERR : LOG_WARNING, "%s%sunable to %s %s: %s",
		listener->service->label,
		adhoc ? "" : "waiting: ", listener->told_step ? listener->told_step : "open",
		listener_text(listener_asked(listener), text), explain_told(listener));
}

/* Once, not at every attempt. */
static void tell(struct listener *listener, const char *step, bool theirs, int error)
{
	if (listener->quiet || (listener->told == error && listener->told_theirs == theirs))
		return;
	listener->told = error;
	listener->told_theirs = theirs;
	listener->told_just_now = true;
	free(listener->told_step);
	listener->told_step = strdup(step);
	listener_tell(listener);
}

static void tell_failure(struct listener *listener, const char *step, int error)
{
	tell(listener, step, false, error);
}

static struct bound *bound_free(struct bound *bound)
{
	if (bound)
		strv_free(bound->links);
	free(bound);
	return NULL;
}

/* A port that was chosen, a family that was fallen back to: not what was asked.  A
 * path has to be known also when the configuration is another. */
static bool is_as_asked(const struct listener *listener, const struct addr *addr,
	const struct service_conf *conf)
{
	return listener->is_ip &&
	       memcmp(addr, &conf->listen[listener->index].addr, sizeof *addr) == 0;
}

static int remember_addr(
	struct listener *listener, const struct addr *addr, const struct service_conf *conf)
{
	listener->is_ip = addr_is_ip(addr);
	listener->is_datagram = addr_is_datagram(addr);
	if (!listener->bound && is_as_asked(listener, addr, conf))
		return 0;
	if (!listener->bound)
		listener->bound = calloc(1, sizeof *listener->bound);
	if (!listener->bound)
		return -ENOMEM;
	listener->bound->addr = *addr;
	return 0;
}

static bool is_in_file_system(const struct listener *listener)
{
	return listener->bound && listener->bound->ino != 0;
}

/* What of it is in the file system, to be removed whatever is configured by then. */
static void take_links(struct listener *listener, const struct service_conf *conf, char **links)
{
	struct bound *bound = listener->bound;

	if (!is_in_file_system(listener)) {
		strv_free(links);
		return;
	}
	strv_free(bound->links);
	bound->links = links;
	bound->stays = !conf->remove_on_stop;
}

static int remember(struct listener *listener, const struct listen_result *result,
	const struct service_conf *conf)
{
	char **links = NULL;
	int r = remember_addr(listener, &result->addr, conf);

	if (r < 0)
		return r;
	if (listener->bound) {
		listener->bound->dev = result->dev;
		listener->bound->ino = result->ino;
	}
	if (is_in_file_system(listener))
		r = strv_copy(conf->symlinks, &links);
	if (r == 0)
		take_links(listener, conf, links);
	return r;
}

static int bind_socket(struct listener *listener, const struct service_conf *conf)
{
	struct listen_request request = {
		.service = conf,
		.addr = &conf->listen[listener->index].addr,
		.told = narrate,
		.userdata = listener->service,
	};
	struct listen_result result;
	char step[LISTEN_STEP_MAX], text[ADDR_TEXT_MAX];
	int r;

	r = listen_open(&request, &result, step);
	if (r < 0) {
		tell_failure(listener, step, r);
		return r;
	}
	if (result.addr.kind != request.addr->kind)
		log_warning("%s%s: this kernel offers no MPTCP, serving plain TCP",
			listener->service->label, addr_format(request.addr, text));
	listener->fd = result.fd;
	return remember(listener, &result, conf);
}

/* What is of the service manager can be served, or a negative errno.  To ask who is at the
 * other end takes the lock, which programs may hold for as long as they like (I2). */
static int check_theirs(const struct handed_socket *socket, const struct service_conf *conf,
	const struct addr *asked)
{
	int r = 0;

	if (socket->kind == HANDED_OTHER)
		return -EINVAL;
	if (socket->kind == HANDED_TWICE)
		return -ENOTUNIQ;
	if (asked->kind != ADDR_FD)
		r = reuse_handed_over(socket->fd, conf, asked, &socket->addr);
	if (r == 0 && asked->kind != ADDR_FD && !socket->lent)
		r = reuse_check_peer(socket->fd, &socket->addr);
	return r < 0 ? r : listen_adopt(socket->fd, conf, &socket->addr);
}

/* It may be less than was asked for: IPv4 alone, or one path. */
static void tell_difference(const struct listener *listener, const struct handed_socket *socket,
	const struct addr *asked)
{
	char text[ADDR_TEXT_MAX], own[ADDR_TEXT_MAX];

	if (asked->kind != ADDR_FD && (asked->kind != socket->addr.kind ||
					      addr_family(asked) != addr_family(&socket->addr)))
		log_warning("%s%s: what was handed over is %s, serving that",
			listener->service->label, addr_format(asked, text),
			addr_format(&socket->addr, own));
}

/* From here on it is the listener's, until that gives it back. */
static int adopt(struct listener *listener, struct handed_socket *socket,
	const struct service_conf *conf)
{
	const struct addr *asked = &conf->listen[listener->index].addr;
	int r = check_theirs(socket, conf, asked);

	if (r < 0)
		return r;
	listener->bound = calloc(1, sizeof *listener->bound);
	if (!listener->bound)
		return -ENOMEM;
	listener->bound->handed_over = socket;
	listener->fd = take_fd(&socket->fd);
	listener->lent = socket->lent;
	socket->asked = *asked;
	socket->told = false;
	tell_difference(listener, socket, asked);
	return remember_addr(listener, &socket->addr, conf);
}

static void tell_misfit(struct listener *listener, const struct handed_socket *socket,
	const struct addr *asked, int error)
{
	char step[64 + 4 * ADDR_NAME_MAX], shown[4 * ADDR_NAME_MAX];

	snprintf(step, sizeof step, "take over socket");
	if (asked->kind != ADDR_FD)
		snprintf(step, sizeof step, "take over the socket handed over as '%s' for",
			text_escape(socket->name, strlen(socket->name), shown, sizeof shown));
	tell(listener, step, true, error);
}

/*
 * 1: it goes on with a socket of the service manager; 0: there is none for that address, which
 * it may open.  Where there is one that cannot be served, nobody else can have that address.
 */
static int adopt_socket(struct listener *listener, const struct service_conf *conf)
{
	const struct handed_over *all = &listener->service->master->inherited.handed_over;
	const struct addr *asked = &conf->listen[listener->index].addr;
	struct handed_socket *socket = handed_over_find_again(all, asked), *first = NULL;
	int error = asked->kind == ADDR_FD ? -ENOENT : 0, r;
	size_t at = 0;

	if (socket && adopt(listener, socket, conf) == 0)
		return 1;
	while ((socket = handed_over_find(all, asked, &at))) {
		r = adopt(listener, socket, conf);
		if (r == 0)
			return 1;
		error = first ? error : r;
		first = first ? first : socket;
	}
	if (error < 0)
		tell_misfit(listener, first, asked, error);
	return error;
}

/* What a former life has left, whatever it is. */
static bool take_kept(
	struct listener *listener, const struct service_conf *conf, struct kept_socket *ret)
{
	struct kept *kept = &listener->service->master->kept;
	struct kept_wish wish;

	return kept->n > 0 && kept_wish_make(conf, listener->index, &wish) == 0 &&
	       kept_take(kept, &wish, ret);
}

/* A program of ours that has made its socket a connection may be about to undo that; what one
 * of a former life has left would stay deaf. */
static int check_kept(const struct listener *listener, const struct kept_socket *kept,
	const struct service_conf *conf, struct listen_result *ret)
{
	const struct addr *asked = &conf->listen[listener->index].addr;
	int r = kept->known ? reuse_known_socket(kept->fd, conf, asked, kept->known, ret)
	                    : reuse_socket(kept->fd, conf, asked, ret);

	if (r == 0 && !listener->service->master->kept.own)
		r = reuse_check_peer(kept->fd, &ret->addr);
	return r;
}

/* 1: it goes on with its socket of a former life; 0: there is none, or none that will do. */
static int resume_kept(struct listener *listener, const struct service_conf *conf)
{
	const struct addr *asked = &conf->listen[listener->index].addr;
	struct listen_result result;
	struct kept_socket kept;
	char text[ADDR_TEXT_MAX];
	int r;

	if (!take_kept(listener, conf, &kept))
		return 0;
	r = check_kept(listener, &kept, conf, &result);
	if (r < 0) {
		log_warning("%sunable to go on with what had been kept for %s: %s, opening "
			    "another socket",
			listener->service->label, addr_format(asked, text), reuse_explain(r));
		kept_drop(listener->service->master, &kept);
		return 0;
	}
	free(kept.known);
	listener->fd = kept.fd;
	listener->stored = kept.stored;
	listener->lent = kept_name_is_lent(&kept.name);
	r = remember(listener, &result, conf);
	if (r < 0)
		return r;
	listener->service->master->kept.n_used++;
	return 1;
}

/* Who has it may be about to give it back.  Where ports are shared another one would be opened
 * beside it, and who comes to that of the two which nobody has then would wait. */
static bool may_come_back(const struct listener *listener, const struct service_conf *conf)
{
	return listener->quiet &&
	       handed_over_is_taken(&listener->service->master->inherited.handed_over,
		       &conf->listen[listener->index].addr);
}

/* Of a socket at that address which is kept and one that is handed over the service manager
 * goes on to have the second. */
static int get_socket(
	struct listener *listener, const struct service_conf *conf, bool *ret_resumed)
{
	int r = adopt_socket(listener, conf);

	if (r == 0) {
		r = resume_kept(listener, conf);
		*ret_resumed = r == 1;
	}
	if (r == 0 && may_come_back(listener, conf))
		return -EADDRINUSE;
	return r != 0 ? r : bind_socket(listener, conf);
}

/* A program may want descriptors that clients send along; a worker does not.  Connections have
 * it from the socket they came by.  And who sends UNIX datagrams is told by the kernel to
 * whoever has asked for that before they came. */
static void suit_worker(const struct listener *listener, const struct service_conf *conf)
{
	bool peers = service_conf_has_program(conf) && !conf->wait && listener->is_datagram;
	int on = true;

	pass_rights(listener->fd, !peers && !service_conf_has_worker(conf));
	if (peers && !listener->is_ip)
		(void)!setsockopt(listener->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
}

static int settle(struct listener *listener, const struct service_conf *conf)
{
	struct master *master = listener->service->master;
	int fd;

	fd = fd_move_up(listener->fd, master->budget.low_limit);
	if (fd < 0)
		return fd;
	listener->fd = fd;
	if (!listener->lent)
		suit_worker(listener, conf);
	if (conf->wait && !listener->lent)
		arrival_prepare(listener);
	return 0;
}

/* What may have changed since it was opened. */
static void tell_socket(struct listener *listener, const struct service_conf *conf)
{
	const struct addr *asked = &conf->listen[listener->index].addr;
	struct listen_request request = {.service = conf, .addr = asked};
	struct listen_result socket = {
		.fd = listener->fd,
		.addr = listener->bound ? listener->bound->addr : *asked,
		.dev = listener->bound ? listener->bound->dev : 0,
		.ino = listener->bound ? listener->bound->ino : 0,
	};
	char step[LISTEN_STEP_MAX], text[ADDR_TEXT_MAX];
	int r;

	r = listen_adjust(&request, &socket, step);
	if (r < 0)
		log_error("%sunable to %s %s: %s, leaving it as it was",
			listener->service->label, step, addr_format(asked, text),
			listen_explain(r));
}

/* Who has read that it waits wants to know. */
static void tell_success(struct listener *listener)
{
	char text[ADDR_TEXT_MAX];

	if (listener->told != 0)
		log_notice("%slistening on %s now", listener->service->label,
			listener_text(listener_addr(listener), text));
	listener->told = 0;
}

int listener_open(struct listener *listener, const struct service_conf *conf)
{
	bool resumed = false;
	int r;

	if (listener->fd >= 0)
		return 0;
	r = get_socket(listener, conf, &resumed);
	if (r >= 0)
		r = settle(listener, conf);
	if (r < 0) {
		if (listener->fd >= 0)
			tell_failure(listener, "watch", r);
		listener_close(listener);
		return r;
	}
	/* Programs may hold the lock of one that they have had (I2), and it is as it was. */
	if (resumed && !listener->lent)
		tell_socket(listener, conf);
	store_listener(listener, conf);
	tell_success(listener);
	return 0;
}

int listener_try(struct listener *listener, const struct service_conf *conf)
{
	int r;

	/* A socket that was handed over is there or not, and can be taken once. */
	if (conf->listen[listener->index].addr.kind == ADDR_FD)
		return -ENOENT;
	listener->quiet = true;
	r = listener_open(listener, conf);
	listener->quiet = false;
	return r;
}

bool listener_suits(const struct listener *listener, const struct service_conf *conf)
{
	return !listener_is_handed_over(listener) ||
	       listen_suits(conf, &listener->bound->addr) == 0;
}

void listener_adjust(struct listener *listener, const struct service_conf *conf, char **links)
{
	take_links(listener, conf, links);
	if (listener->fd < 0)
		return;
	/* One that was handed over is told nothing else: programs may have had it. */
	if (listener_is_handed_over(listener)) {
		if (!conf->wait && !listener->lent)
			suit_worker(listener, conf);
		fd_set_nonblock(listener->fd, !conf->wait);
		return;
	}
	suit_worker(listener, conf);
	if (conf->wait)
		arrival_prepare(listener);
	tell_socket(listener, conf);
	store_listener(listener, conf);
}

void listener_drop_links(struct listener *listener, const struct service_conf *conf)
{
	if (listener->bound && listener->bound->links)
		listen_drop_links(
			&listener->bound->addr, listener->bound->links, conf->symlinks);
}

static void give_back(const struct listener *listener)
{
	struct handed_socket *socket = listener->bound->handed_over;

	socket->fd = listener->fd;
	socket->lent = listener->lent;
}

/*
 * With it go clients that were not accepted, and what they have sent.  A program
 * that has had the socket may have made a connection of it that lingers: it is
 * for the closer as well.
 */
static void let_go(struct listener *listener)
{
	const struct bound *bound = listener->bound;
	bool stays = store_leave(listener) || (bound && bound->stays);

	if (bound && bound->ino != 0 && !stays)
		listen_unlink(&bound->addr, bound->dev, bound->ino, bound->links);
	if (bound && bound->handed_over)
		give_back(listener);
	else if (listener->is_ip && !listener->lent)
		fd_close(listener->fd);
	else
		service_close_listener_later(
			listener->service, listener->fd, clock_monotonic());
}

void listener_close(struct listener *listener)
{
	listener_poll(listener, false);
	conn_drop_held(listener, clock_monotonic());
	callers_drop_listener(listener, clock_monotonic());
	listener_let_nobody_in(listener);
}

void listener_let_nobody_in(struct listener *listener)
{
	/* Out of epoll before the close: a child in flight may still hold the
	 * socket, and a closed one would go on waking us. */
	listener_poll(listener, false);
	if (listener->fd < 0)
		return;
	let_go(listener);
	listener->bound = bound_free(listener->bound);
	listener->lent = listener->given = false;
	listener->fd = -EBADF;
}

bool listener_poll(struct listener *listener, bool poll)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = listener};

	if (poll == listener->polled || listener->fd < 0)
		return true;
	if (epoll_ctl(listener->service->master->listeners_fd,
		    poll ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listener->fd, &event) < 0)
		return false;
	listener->polled = poll;
	return true;
}
