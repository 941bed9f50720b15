#include "master/follow.h"

#include "base/clock.h"
#include "base/json.h"
#include "master/account.h"
#include "master/master.h"
#include "master/service.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Longest line: texts in it are bounded each. */
#define LINE_MAX_BYTES 8192

/* "{"event":"lost","count":18446744073709551615}" and its time. */
#define LOST_MAX 128

/* Who has something to take, and takes nothing for so long, is sent away. */
#define SILENCE_MAX (30 * USEC_PER_SEC)

struct follower {
	struct control_seat seat; /* the first member */
	struct master *master;
	int fd; /* owned; a high number */
	sd_event_source *source;
	char service[SERVICE_NAME_MAX + 1]; /* "": all */
	uint64_t moved; /* usec, monotonic: when he last took something, or lacked nothing */
	uint64_t lost;  /* lines since the last that he got */
	bool blocked;   /* the kernel takes nothing more; it tells when it does */
	size_t len, sent;
	char out[FOLLOWER_ROOM];
};

static struct follower *follower_at(struct control_seat *seat)
{
	return (struct follower *)seat;
}

/* ----------------------------------------------------------------- they leave */

static void drop(struct follower *follower)
{
	struct master *master = follower->master;

	control_seats_remove(&master->followers.seats, &follower->seat);
	sd_event_source_disable_unref(follower->source);
	master_close_later(master, follower->fd, clock_monotonic());
	free(follower);
}

/* False: he is gone. */
static bool send_some(struct follower *follower, uint64_t now)
{
	ssize_t n;

	if (follower->len == 0 || follower->blocked)
		return true;
	n = send(follower->fd, follower->out + follower->sent, follower->len - follower->sent,
		MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0) {
		follower->blocked = errno == EAGAIN;
		return errno == EAGAIN || errno == EINTR;
	}
	follower->moved = now;
	follower->sent += (size_t)n;
	if (follower->sent < follower->len)
		return true;
	follower->sent = follower->len = 0;
	return true;
}

static int on_follower(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct follower *follower = userdata;

	(void)source;
	(void)fd;
	follower->blocked = false;
	if ((revents & (EPOLLHUP | EPOLLERR)) || !send_some(follower, clock_monotonic()))
		drop(follower);
	return 0;
}

/* --------------------------------------------------------------- they are told */

static bool has_room(const struct follower *follower, size_t len)
{
	return FOLLOWER_ROOM - (follower->len - follower->sent) >= len;
}

static void append(struct follower *follower, const char *line, size_t len)
{
	if (FOLLOWER_ROOM - follower->len < len) {
		follower->len -= follower->sent;
		memmove(follower->out, follower->out + follower->sent, follower->len);
		follower->sent = 0;
	}
	memcpy(follower->out + follower->len, line, len);
	follower->len += len;
}

static void begin_line(struct json *json, char *buf, size_t size, const char *event)
{
	struct timespec now = clock_wall();

	json_init(json, buf, size);
	json_open(json, NULL, '{');
	json_text(json, "event", event);
	json_number(json, "time_usec",
		(uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000);
}

static void end_line(struct json *json)
{
	json_close(json, '}');
	json_end_line(json);
}

static void append_lost(struct follower *follower)
{
	struct json json;
	char line[LOST_MAX];

	begin_line(&json, line, sizeof line, "lost");
	json_number(&json, "count", follower->lost);
	end_line(&json);
	append(follower, line, json.len);
	follower->lost = 0;
}

static void tell_one(struct follower *follower, const char *line, size_t len, uint64_t now)
{
	if (follower->len == 0)
		follower->moved = now;
	if (!has_room(follower, len + LOST_MAX)) {
		follower->lost++;
		return;
	}
	if (follower->lost > 0)
		append_lost(follower);
	append(follower, line, len);
}

/* `service` is whose event that is; NULL: nobody's in particular. */
static void tell(struct master *master, const char *service, const struct json *line)
{
	uint64_t now = clock_monotonic();

	for (struct control_seat *s = master->followers.seats.first; s; s = s->next) {
		struct follower *f = follower_at(s);

		if (!f->service[0] || !service || strcasecmp(f->service, service) == 0)
			tell_one(f, line->buf, line->len, now);
	}
	master->followers.due = 0;
}

void follow_client(struct master *master, const char *event, const struct account *account,
	uint64_t banned)
{
	char text[LINE_MAX_BYTES];
	struct json line;

	if (master->followers.seats.n == 0)
		return;
	begin_line(&line, text, sizeof text, event);
	account_put(&line, account);
	if (banned > 0)
		json_number(&line, "banned_usec", banned);
	end_line(&line);
	tell(master, account->service, &line);
}

void follow_open(const struct child *child, uint64_t now)
{
	struct master *master = child->service->master;
	struct account account;

	if (master->followers.seats.n == 0)
		return;
	account_begin(&account, child, now);
	account.duration = ACCOUNT_UNKNOWN;
	follow_client(master, "open", &account, 0);
}

void follow_service(struct service *service, const char *event, const char *reason)
{
	struct master *master = service->master;
	const char *name;
	char text[LINE_MAX_BYTES];
	struct json line;

	if (master->followers.seats.n == 0)
		return;
	name = service_name(service);
	begin_line(&line, text, sizeof text, event);
	json_text(&line, "service", name);
	if (reason)
		json_text(&line, "reason", reason);
	end_line(&line);
	tell(master, name, &line);
}

void follow_reload(struct master *master)
{
	const struct reload *reload = &master->reload;
	char text[LINE_MAX_BYTES];
	struct json line;

	if (master->followers.seats.n == 0)
		return;
	begin_line(&line, text, sizeof text, "reload");
	json_text(&line, "result", reload->failed ? "failed" : "done");
	if (reload->failed)
		json_text(&line, "reason", reload->reason);
	end_line(&line);
	tell(master, NULL, &line);
}

void follow_drain(struct master *master, const char *event, uint64_t now)
{
	const struct drain *drain = &master->drain;
	char text[LINE_MAX_BYTES];
	struct json line;

	if (master->followers.seats.n == 0)
		return;
	begin_line(&line, text, sizeof text, event);
	json_number(&line, "connections", drain->told);
	if (drain->deadline != USEC_INFINITY && drain->deadline > now)
		json_number(&line, "left_usec", drain->deadline - now);
	end_line(&line);
	tell(master, NULL, &line);
}

void follow_upgrade(struct master *master, const char *reason)
{
	char text[LINE_MAX_BYTES];
	struct json line;

	if (master->followers.seats.n == 0)
		return;
	begin_line(&line, text, sizeof text, "upgrade");
	json_text(&line, "result", reason ? "failed" : "done");
	if (reason)
		json_text(&line, "reason", reason);
	json_text(&line, "hatchd", PACKAGE_VERSION);
	end_line(&line);
	tell(master, NULL, &line);
}

/* ------------------------------------------------------------------- they come */

/* So that he knows from when on he is told, and of whom. */
static void greet(struct follower *follower, uint64_t now)
{
	char text[LINE_MAX_BYTES];
	struct json line;

	begin_line(&line, text, sizeof text, "begin");
	json_text(&line, "hatchd", PACKAGE_VERSION);
	json_text(&line, "service", follower->service[0] ? follower->service : NULL);
	end_line(&line);
	tell_one(follower, text, line.len, now);
	follower->master->followers.due = 0;
}

/* What he goes on to say is left in the kernel's queue; that there is room to write to him is
 * told when it becomes so. */
static int watch(struct follower *follower)
{
	return sd_event_add_io(follower->master->event, &follower->source, follower->fd,
		EPOLLOUT | EPOLLET, on_follower, follower);
}

/* All of them wait: the newest goes first. */
static void take_seat(
	struct followers *followers, struct control_seat *seat, const struct control_seat *who)
{
	seat->uid = who->uid;
	seat->pid = who->pid;
	control_seats_add(&followers->seats, seat);
	control_seats_set_stage(&followers->seats, seat, CONTROL_ASKED);
}

bool followers_make_room(struct master *master, const struct control_seat *who)
{
	struct control_seats *seats = &master->followers.seats;
	struct control_seat seat = {0}, *leaver;

	if (seats->n < FOLLOWERS_MAX)
		return true;
	take_seat(&master->followers, &seat, who);
	leaver = control_seats_find_leaver(seats);
	control_seats_remove(seats, &seat);
	if (leaver == &seat)
		return false;
	drop(follower_at(leaver));
	return true;
}

/* NULL: no memory, or no event loop; then the descriptor is let go. */
static struct follower *add(struct master *master, const struct control_seat *who, int fd,
	const char *service, uint64_t now)
{
	struct follower *follower = malloc(sizeof *follower);
	int r = -ENOMEM;

	if (follower) {
		memset(follower, 0, offsetof(struct follower, out));
		follower->master = master;
		follower->fd = fd;
		follower->moved = now;
		memcpy(follower->service, service, strlen(service) + 1);
		r = watch(follower);
	}
	if (r < 0) {
		free(follower);
		master_close_later(master, fd, now);
		return NULL;
	}
	take_seat(&master->followers, &follower->seat, who);
	return follower;
}

int followers_add(struct master *master, const struct control_seat *who, int fd,
	const char *service, uint64_t now)
{
	struct follower *follower = add(master, who, fd, service, now);

	if (!follower)
		return -ENOMEM;
	greet(follower, now);
	return 0;
}

/* ------------------------------------------------------------ from image to image */

const struct control_seat *follower_next(
	const struct master *master, const struct control_seat *seat, struct following *ret)
{
	struct control_seat *next = seat ? seat->next : master->followers.seats.first;
	const struct follower *follower;

	if (!next)
		return NULL;
	follower = follower_at(next);
	*ret = (struct following){
		.uid = next->uid,
		.pid = next->pid,
		.fd = follower->fd,
		.service = follower->service,
		.lost = follower->lost,
		.out = follower->out + follower->sent,
		.len = follower->len - follower->sent,
	};
	return next;
}

static bool can_be(const struct following *following)
{
	return following->service && strlen(following->service) <= SERVICE_NAME_MAX &&
	       following->len <= FOLLOWER_ROOM;
}

int follower_resume(struct master *master, const struct following *from, uint64_t now)
{
	const struct control_seat who = {.uid = from->uid, .pid = from->pid};
	struct follower *follower;

	if (!can_be(from) || master->followers.seats.n >= FOLLOWERS_MAX) {
		master_close_later(master, from->fd, now);
		return -EBADMSG;
	}
	follower = add(master, &who, from->fd, from->service, now);
	if (!follower)
		return -ENOMEM;
	follower->lost = from->lost;
	if (from->len > 0)
		append(follower, from->out, from->len);
	master->followers.due = 0;
	return 0;
}

/* --------------------------------------------------------------------- the turn */

/* When it is to be seen whether he takes anything; USEC_INFINITY: he lacks nothing. */
static uint64_t patience_with(const struct follower *follower)
{
	return follower->len == 0 ? USEC_INFINITY : follower->moved + SILENCE_MAX;
}

void followers_turn(struct master *master, uint64_t now)
{
	struct control_seat *seat = master->followers.seats.first, *next;
	uint64_t due = USEC_INFINITY;

	if (now < master->followers.due)
		return;
	for (; seat; seat = next) {
		struct follower *follower = follower_at(seat);

		next = seat->next;
		if (!send_some(follower, now) || patience_with(follower) <= now)
			drop(follower);
		else if (patience_with(follower) < due)
			due = patience_with(follower);
	}
	master->followers.due = due;
}

void followers_close(struct master *master)
{
	char text[LOST_MAX];
	struct json line;

	begin_line(&line, text, sizeof text, "end");
	end_line(&line);
	tell(master, NULL, &line);
	followers_turn(master, clock_monotonic());
	while (master->followers.seats.first)
		drop(follower_at(master->followers.seats.first));
}
