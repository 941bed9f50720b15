#include "master/control.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log-gate.h"
#include "base/log.h"
#include "master/control-answer.h"
#include "master/master.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Whoever has asked nothing by then, or has taken nothing for so long, is sent away. */
#define SILENCE_MAX (30 * USEC_PER_SEC)
/* ... and everybody at last. */
#define ANSWER_MAX (60 * USEC_PER_SEC)

/* Who waits for a reload: there may be one before his. */
#define AWAIT_MAX (90 * USEC_PER_SEC)

/* Where others wait for his place: as long as a program needs to ask, and to read on. */
#define SILENCE_WAITED_FOR USEC_PER_SEC
#define ANSWER_WAITED_FOR  (5 * USEC_PER_SEC)

/* When there are no descriptors, or no memory. */
#define ACCEPT_AGAIN USEC_PER_SEC

#define OUT_MAX (2 * CONTROL_PIECE_MAX)

struct control_client {
	struct master *master;
	int fd; /* owned; a high number */
	sd_event_source *source;
	uint64_t born;  /* usec, monotonic */
	uint64_t moved; /* when he last sent or took something */
	uint8_t bit;    /* his among those of all, see control-answer */
	bool may_change;
	bool answering;
	bool waits; /* there is nothing to answer for now */
	struct control_answer answer;
	struct control_client *next, *prev;
	size_t len, sent; /* of out */
	char out[OUT_MAX];
};

/* ----------------------------------------------------------------- they leave */

static void unlink_client(struct control *control, struct control_client *client)
{
	if (client->prev)
		client->prev->next = client->next;
	else
		control->first = client->next;
	if (client->next)
		client->next->prev = client->prev;
	else
		control->last = client->prev;
	control->n_clients--;
	control->bits &= (uint8_t)~client->bit;
}

/* His descriptor is seen to. */
static void leave(struct control_client *client)
{
	struct control *control = &client->master->control;

	unlink_client(control, client);
	free(client);
	/* There may be somebody for his place. */
	if (control->full)
		control->due = 0;
}

static void drop(struct control_client *client)
{
	sd_event_source_disable_unref(client->source);
	master_close_later(client->master, client->fd, clock_monotonic());
	leave(client);
}

/* ------------------------------------------------------------- they are answered */

/* False: he is gone, or has no more to expect. */
static bool send_some(struct control_client *client, uint64_t now)
{
	ssize_t n = send(client->fd, client->out + client->sent, client->len - client->sent,
		MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	client->sent += (size_t)n;
	client->moved = now;
	if (client->sent < client->len)
		return true;
	client->sent = client->len = 0;
	return client->answer.phase != CONTROL_OVER;
}

/* Who waits would be told all the time that he can be written to. */
static bool set_waits(struct control_client *client, bool waits)
{
	client->waits = waits;
	return sd_event_source_set_io_events(client->source, waits ? EPOLLET : EPOLLOUT) >= 0;
}

static void go_on_answering(struct control_client *client, uint64_t now)
{
	bool waits;

	if (client->len == 0)
		client->len = control_answer_write(
			&client->answer, client->master, client->out, sizeof client->out, now);
	/* A piece may have been the beginning of nothing. */
	if (client->len > 0 && !send_some(client, now)) {
		drop(client);
		return;
	}
	waits = client->len == 0 && control_answer_waits(&client->answer, client->master);
	if (waits != client->waits && !set_waits(client, waits))
		drop(client);
}

/* Not at once: this may be in the middle of anything. */
void control_look_again(struct master *master)
{
	master->control.due = 0;
	master->control.look_at_answers = true;
}

/* What they have waited for may have come. */
static void go_on_with_all(struct control *control, uint64_t now)
{
	struct control_client *client, *next;

	control->look_at_answers = false;
	for (client = control->first; client; client = next) {
		next = client->next;
		if (client->waits)
			go_on_answering(client, now);
	}
}

/* The next piece follows as soon as there is room for it. */
static void start_answering(struct control_client *client, uint64_t now)
{
	client->answering = true;
	client->moved = now;
	if (!set_waits(client, false))
		drop(client);
	else
		go_on_answering(client, now);
}

static void refuse(struct control_client *client, const char *why, uint64_t now)
{
	client->answer.phase = CONTROL_OVER;
	client->len = control_answer_error(why, client->out, sizeof client->out);
	start_answering(client, now);
}

/* He is no client any more: what he is told has no end. */
static void let_follow(
	struct control_client *client, const struct control_request *request, uint64_t now)
{
	struct master *master = client->master;

	if (!followers_have_room(&master->followers)) {
		refuse(client, "as many follow already as may", now);
		return;
	}
	sd_event_source_disable_unref(client->source);
	followers_add(master, client->fd, request->service, now);
	leave(client);
}

static void ask(struct control_client *client, const char *line, size_t len, uint64_t now)
{
	struct control_request request;
	const char *why;

	if (control_request_parse(line, len, &request, &why) < 0) {
		refuse(client, why, now);
		return;
	}
	if (request.question == CONTROL_EVENTS) {
		let_follow(client, &request, now);
		return;
	}
	control_answer_begin(
		&client->answer, client->master, &request, client->may_change, client->bit);
	start_answering(client, now);
}

/* What has been sent so far, which stays where it is.  *ret_loaded: there are descriptors
 * with it. */
static ssize_t peek(
	const struct control_client *client, char text[CONTROL_LINE_MAX], bool *ret_loaded)
{
	struct iovec part = {.iov_base = text, .iov_len = CONTROL_LINE_MAX};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n = recvmsg(client->fd, &message, MSG_PEEK | MSG_DONTWAIT);

	*ret_loaded = message.msg_flags & MSG_CTRUNC;
	return n < 0 ? -errno : n;
}

/* Taken out of the queue only when there is a line, and nothing in its tow. */
static void look_at_question(struct control_client *client, bool ended, uint64_t now)
{
	char text[CONTROL_LINE_MAX];
	bool loaded;
	ssize_t n = peek(client, text, &loaded);
	int len;

	if ((n == -EAGAIN || n == -EINTR) && !ended)
		return;
	if (n <= 0) {
		drop(client);
		return;
	}
	len = control_request_line(text, (size_t)n, ended);
	if (!loaded && len != 0)
		recv(client->fd, text, (size_t)n, MSG_DONTWAIT);
	if (loaded)
		refuse(client, "descriptors are not taken", now);
	else if (len < 0)
		refuse(client, "the line is too long", now);
	else if (len > 0)
		ask(client, text, (size_t)len, now);
}

static int on_client(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct control_client *client = userdata;
	uint64_t now = clock_monotonic();

	(void)source;
	(void)fd;
	if (client->waits && (revents & (EPOLLHUP | EPOLLERR)))
		drop(client);
	else if (client->answering)
		go_on_answering(client, now);
	else
		look_at_question(client, revents & (EPOLLRDHUP | EPOLLHUP | EPOLLERR), now);
	return 0;
}

/* ------------------------------------------------------------------ they come */

static void link_client(struct control *control, struct control_client *client)
{
	client->prev = control->last;
	if (control->last)
		control->last->next = client;
	else
		control->first = client;
	control->last = client;
	control->n_clients++;
	client->bit = (uint8_t)(~control->bits & (control->bits + 1));
	control->bits |= client->bit;
}

/* What is not taken out of the queue would wake us again and again: hence EPOLLET. */
static int add_client(struct master *master, int fd, bool may_change, uint64_t now)
{
	struct control_client *client = malloc(sizeof *client);
	int r;

	if (!client)
		return -ENOMEM;
	memset(client, 0, offsetof(struct control_client, out));
	client->master = master;
	client->fd = fd;
	client->may_change = may_change;
	client->born = client->moved = now;
	r = sd_event_add_io(master->event, &client->source, fd, EPOLLIN | EPOLLRDHUP | EPOLLET,
		on_client, client);
	if (r < 0) {
		free(client);
		return r;
	}
	link_client(&master->control, client);
	return 0;
}

static void tell_refused(struct control *control, int fd, uint64_t now)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t len = sizeof peer;

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	if (log_once_a_minute(&control->refused_told, now))
		log_notice("refused uid %u pid %d at the control socket: neither root nor in "
			   "its group",
			peer.uid, peer.pid);
}

static void turn_away(struct master *master, int fd, uint64_t now)
{
	char text[128];
	size_t len = control_answer_error("permission denied", text, sizeof text);

	tell_refused(&master->control, fd, now);
	send(fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	master_close_later(master, fd, clock_monotonic());
}

/* Times until which others do not get his place; or anybody, if `alone`. */
static uint64_t safe_until(const struct control_client *client, bool alone)
{
	uint64_t silence = alone ? SILENCE_MAX : SILENCE_WAITED_FOR;
	uint64_t all = alone ? ANSWER_MAX : ANSWER_WAITED_FOR;
	uint64_t by_silence = client->moved + silence, by_age = client->born + all;

	if (control_answer_waits(&client->answer, client->master))
		return client->born + AWAIT_MAX;
	/* To send a word each second is no way to ask. */
	if (!client->answering)
		by_silence = client->born + silence;
	return by_silence < by_age ? by_silence : by_age;
}

/* The oldest of those who have had their time; *due is when the next has. */
static struct control_client *find_expendable(
	const struct control *control, bool alone, uint64_t now, uint64_t *due)
{
	for (struct control_client *c = control->first; c; c = c->next) {
		uint64_t until = safe_until(c, alone);

		if (until <= now)
			return c;
		if (until < *due)
			*due = until;
	}
	return NULL;
}

static void look_at_queue(struct control *control, bool look)
{
	if (control->source)
		sd_event_source_set_enabled(control->source, look ? SD_EVENT_ON : SD_EVENT_OFF);
	control->full = !look;
}

/* False: he has to wait until somebody's time is over. */
static bool make_room(struct control *control, uint64_t now)
{
	struct control_client *client;
	uint64_t due = USEC_INFINITY;

	if (control->n_clients < CONTROL_CLIENTS_MAX)
		return true;
	client = find_expendable(control, false, now, &due);
	if (client) {
		drop(client);
		return true;
	}
	look_at_queue(control, false);
	if (due < control->due)
		control->due = due;
	return false;
}

/* Descriptors and memory may come back; the others have given up while they waited. */
static void accept_later(struct control *control, uint64_t now)
{
	look_at_queue(control, false);
	control->look_from = now + ACCEPT_AGAIN;
	if (control->look_from < control->due)
		control->due = control->look_from;
}

static int on_queue(sd_event_source *source, int listener, uint32_t revents, void *userdata)
{
	struct master *master = userdata;
	struct control *control = &master->control;
	uint64_t now = clock_monotonic();
	enum control_right right;
	int fd;

	(void)source;
	(void)revents;
	if (!make_room(control, now))
		return 0;
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			accept_later(control, now);
		return 0;
	}
	fd = master_move_up(master, fd);
	right = control_socket_right(&control->socket, fd);
	if (right == CONTROL_MAY_NOTHING) {
		turn_away(master, fd, now);
	} else if (add_client(master, fd, right == CONTROL_MAY_CHANGE, now) < 0) {
		master_close_later(master, fd, clock_monotonic());
		accept_later(control, now);
	} else if (control->last && control->due > safe_until(control->last, true)) {
		control->due = safe_until(control->last, true);
	}
	return 0;
}

uint64_t control_due(const struct control *control)
{
	return control->due;
}

/* Whoever waits in the queue is looked at when somebody's place can be had. */
void control_turn(struct master *master, uint64_t now)
{
	struct control *control = &master->control;
	struct control_client *client;
	uint64_t due;

	if (now < control->due)
		return;
	if (control->look_at_answers)
		go_on_with_all(control, now);
	do {
		due = USEC_INFINITY;
		client = find_expendable(control, true, now, &due);
		if (client)
			drop(client);
	} while (client);
	control->due = due;
	if (control->full && now >= control->look_from)
		look_at_queue(control, true);
	else if (control->full && control->look_from < control->due)
		control->due = control->look_from;
}

/* ----------------------------------------------------------------- the socket */

/* Who has not asked for it, and is nobody in particular, need not hear of that. */
static void tell_failure(const struct master *master, const char *path, int error)
{
	bool asked = master->cmdline->control_given || geteuid() == 0;

	log_message(asked ? LOG_WARNING : LOG_DEBUG,
		"unable to open the control socket %s: %s, going on without", path,
		control_socket_strerror(error));
}

static int watch(struct master *master)
{
	struct control *control = &master->control;
	int r;

	control->socket.fd = master_move_up(master, control->socket.fd);
	r = sd_event_add_io(
		master->event, &control->source, control->socket.fd, EPOLLIN, on_queue, master);
	if (r < 0)
		fd_close(control_socket_leave(&control->socket));
	return r;
}

void control_open(struct master *master)
{
	const struct control_place place = {
		.path = master->cmdline->control,
		.gid = image_conf(master->image)->control_gid,
		.folder_is_ours = !master->cmdline->control_given,
	};
	int r;

	if (!place.path)
		return;
	r = control_socket_open(&place, &master->control.socket);
	if (r == 0)
		r = watch(master);
	if (r < 0)
		tell_failure(master, place.path, r);
	else
		log_debug("control socket %s", place.path);
}

static void close_socket(struct master *master)
{
	struct control *control = &master->control;
	int fd;

	control->source = sd_event_source_disable_unref(control->source);
	fd = control_socket_leave(&control->socket);
	if (fd >= 0)
		master_close_later(master, fd, clock_monotonic());
}

void control_refresh(struct master *master)
{
	struct control *control = &master->control;

	if (control_socket_is_in_place(&control->socket) &&
		control->socket.gid == image_conf(master->image)->control_gid)
		return;
	close_socket(master);
	control->full = false;
	control_open(master);
}

void control_close(struct master *master)
{
	struct control *control = &master->control;

	while (control->first)
		drop(control->first);
	close_socket(master);
	control->due = USEC_INFINITY;
}
