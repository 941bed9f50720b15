#include "master/control.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log-gate.h"
#include "base/log.h"
#include "master/control-answer.h"
#include "master/control-lines.h"
#include "master/master.h"
#include "master/successor.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Whoever has asked nothing by then, or has taken nothing for so long, is sent away. */
#define SILENCE_MAX (30 * USEC_PER_SEC)
/* ... and everybody at last. */
#define ANSWER_MAX (60 * USEC_PER_SEC)

/* Who waits for a reload: there may be one before his. */
#define AWAIT_MAX (90 * USEC_PER_SEC)

/* Where others wait for his turn: as long as a program needs to read on. */
#define SILENCE_WAITED_FOR USEC_PER_SEC
#define ANSWER_WAITED_FOR  (5 * USEC_PER_SEC)

/* When there are no descriptors, or no memory. */
#define ACCEPT_AGAIN USEC_PER_SEC

#define OUT_MAX (2 * CONTROL_PIECE_MAX)

struct control_client {
	struct control_seat seat; /* the first member */
	struct master *master;
	int fd; /* owned; a high number */
	sd_event_source *source;
	uint64_t born;  /* usec, monotonic: when he came, or what he has waited for, or his turn
	                 */
	uint64_t moved; /* when he last sent or took something */
	bool may_change;
	bool ended; /* he says nothing more */
	/* While he is answered: */
	uint8_t bit; /* his among those of all, see control-answer */
	struct control_answer answer;
	size_t len, sent; /* of out */
	char *out;        /* owned, OUT_MAX */
};

static struct control_client *client_at(struct control_seat *seat)
{
	return (struct control_client *)seat;
}

/* ------------------------------------------------------------ whose turn it is */

static bool is_turn_free(const struct control *control)
{
	return control->seats.n_answering < CONTROL_ANSWERS_MAX;
}

/* False: there is no memory. */
static bool take_turn(struct control_client *client, uint64_t now)
{
	struct control *control = &client->master->control;

	client->out = malloc(OUT_MAX);
	if (!client->out)
		return false;
	client->bit = (uint8_t)(~control->bits & (control->bits + 1));
	control->bits |= client->bit;
	client->born = client->moved = now;
	control_seats_set_stage(&control->seats, &client->seat, CONTROL_ANSWERING);
	return true;
}

static void give_up_turn(struct control_client *client, enum control_stage stage)
{
	struct control *control = &client->master->control;

	control->bits &= (uint8_t)~client->bit;
	client->bit = 0;
	free(take_ptr(client->out));
	control_seats_set_stage(&control->seats, &client->seat, stage);
	/* There may be somebody for it. */
	control->due = 0;
}

/* ----------------------------------------------------------------- they leave */

/* His descriptor is seen to. */
static void leave(struct control_client *client)
{
	struct control *control = &client->master->control;

	control_answer_drop(&client->answer, client->master);
	give_up_turn(client, CONTROL_SILENT);
	control_seats_remove(&control->seats, &client->seat);
	free(client);
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

/* Whoever waits would be told all the time that he can be written to. */
static bool watch_for(struct control_client *client, uint32_t events)
{
	return sd_event_source_set_io_events(client->source, events) >= 0;
}

static void go_on_answering(struct control_client *client, uint64_t now)
{
	if (client->len == 0)
		client->len = control_answer_write(
			&client->answer, client->master, client->out, OUT_MAX, now);
	/* A piece may have been the beginning of nothing. */
	if (client->len > 0 && !send_some(client, now)) {
		drop(client);
		return;
	}
	if (client->len > 0 || !control_answer_waits(&client->answer, client->master))
		return;
	give_up_turn(client, CONTROL_AWAITING);
	if (!watch_for(client, EPOLLET))
		drop(client);
}

/* Not at once: this may be in the middle of anything. */
void control_look_again(struct master *master)
{
	master->control.due = 0;
	master->control.look_at_answers = true;
}

/* The next piece follows as soon as there is room for it. */
static void go_on(struct control_client *client, uint64_t now)
{
	if (!watch_for(client, EPOLLOUT))
		drop(client);
	else
		go_on_answering(client, now);
}

/* What he has waited for has come. */
static void take_turn_again(struct control_client *client, uint64_t now)
{
	if (take_turn(client, now))
		go_on(client, now);
	else
		drop(client);
}

/* What they have waited for may have come.  All may have waited for the same, and there is a
 * lot to say of it: they get turns as others do. */
static void look_at_answers(struct control *control, uint64_t now)
{
	control->look_at_answers = false;
	for (struct control_seat *seat = control->seats.first; seat; seat = seat->next) {
		struct control_client *client = client_at(seat);

		if (seat->stage != CONTROL_AWAITING ||
			control_answer_waits(&client->answer, client->master))
			continue;
		control_answer_hear(&client->answer, client->master);
		client->born = now;
		control_seats_set_stage(&control->seats, seat, CONTROL_COME);
	}
}

/* Who has got nothing yet has room for this, and is not waited for if he has not. */
static void refuse(struct control_client *client, const char *why)
{
	char text[128];
	size_t len = control_answer_error(why, text, sizeof text);

	send(client->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	drop(client);
}

/* He is no client any more: what he is told has no end. */
static void let_follow(
	struct control_client *client, const struct control_request *request, uint64_t now)
{
	struct master *master = client->master;

	if (request->service[0] && !control_knows(master, request->service)) {
		refuse(client, "no such service");
		return;
	}
	if (!followers_make_room(master, &client->seat)) {
		refuse(client, "as many follow already as may");
		return;
	}
	sd_event_source_disable_unref(client->source);
	followers_add(master, &client->seat, client->fd, request->service, now);
	leave(client);
}

/* The same of another hatchd, which is a client for longer than others. */
static void let_take_over(struct control_client *client, uint64_t now)
{
	const char *why =
		client->may_change ? successor_refuses(client->master) : CONTROL_ONLY_ROOT;

	if (why) {
		refuse(client, why);
		return;
	}
	sd_event_source_disable_unref(client->source);
	successor_begin(client->master, client->fd, client->seat.pid, now);
	leave(client);
}

static void answer(
	struct control_client *client, const struct control_request *request, uint64_t now)
{
	if (!take_turn(client, now)) {
		drop(client);
		return;
	}
	control_answer_begin(
		&client->answer, client->master, request, client->may_change, client->bit);
	go_on(client, now);
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

/* Others go elsewhere with what they ask. */
static bool takes_turn(const struct control_request *request)
{
	return request->question != CONTROL_EVENTS && request->question != CONTROL_TAKE_OVER;
}

/* A whole line, behind which others may have come. */
static void ask(struct control_client *client, char *text, size_t n, size_t line, uint64_t now)
{
	struct control *control = &client->master->control;
	struct control_request request;
	const char *why = NULL;

	control_request_parse(text, line, &request, &why);
	if (!why && takes_turn(&request) && !is_turn_free(control)) {
		control_seats_set_stage(&control->seats, &client->seat, CONTROL_ASKED);
		control->due = 0;
		return;
	}
	recv(client->fd, text, n, MSG_DONTWAIT);
	if (why)
		refuse(client, why);
	else if (request.question == CONTROL_EVENTS)
		let_follow(client, &request, now);
	else if (request.question == CONTROL_TAKE_OVER)
		let_take_over(client, now);
	else
		answer(client, &request, now);
}

/* Taken out of the queue only when there is a line, nothing in its tow, and his turn. */
static void look_at_question(struct control_client *client, uint64_t now)
{
	char text[CONTROL_LINE_MAX];
	bool loaded;
	ssize_t n = peek(client, text, &loaded);
	int line;

	if ((n == -EAGAIN || n == -EINTR) && !client->ended)
		return;
	if (n <= 0) {
		drop(client);
		return;
	}
	line = control_request_line(text, (size_t)n, client->ended);
	if (loaded)
		refuse(client, "descriptors are not taken");
	else if (line < 0)
		refuse(client, "the line is too long");
	else if (line > 0)
		ask(client, text, (size_t)n, (size_t)line, now);
}

static int on_client(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct control_client *client = userdata;
	uint64_t now = clock_monotonic();

	(void)source;
	(void)fd;
	switch (client->seat.stage) {
	case CONTROL_ANSWERING:
		go_on_answering(client, now);
		break;
	case CONTROL_AWAITING:
	case CONTROL_COME:
		if (revents & (EPOLLHUP | EPOLLERR))
			drop(client);
		break;
	default:
		client->ended |= revents & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
		look_at_question(client, now);
	}
	return 0;
}

/* ------------------------------------------------------------------ they come */

static struct ucred peer_of(int fd)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t len = sizeof peer;

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	return peer;
}

/* What is not taken out of the queue would wake us again and again: hence EPOLLET.  NULL: there
 * is no memory. */
static struct control_client *add_client(
	struct master *master, int fd, bool may_change, uint64_t now)
{
	struct control_client *client = calloc(1, sizeof *client);
	struct ucred peer = peer_of(fd);

	if (!client)
		return NULL;
	client->seat.uid = peer.uid;
	client->seat.pid = peer.pid;
	client->master = master;
	client->fd = fd;
	client->may_change = may_change;
	client->born = client->moved = now;
	if (sd_event_add_io(master->event, &client->source, fd, EPOLLIN | EPOLLRDHUP | EPOLLET,
		    on_client, client) < 0) {
		free(client);
		return NULL;
	}
	control_seats_add(&master->control.seats, &client->seat);
	return client;
}

static void turn_away(struct master *master, int fd, uint64_t now)
{
	struct ucred peer = peer_of(fd);
	char text[128];
	size_t len = control_answer_error("permission denied", text, sizeof text);

	if (log_once_a_minute(&master->control.refused_told, now))
		log_notice("refused uid %u pid %d at the control socket: neither root nor in "
			   "its group",
			peer.uid, peer.pid);
	send(fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	master_close_later(master, fd, clock_monotonic());
}

static void make_room(struct control *control)
{
	struct control_seat *leaver;

	while (control->seats.n > CONTROL_CLIENTS_MAX &&
		(leaver = control_seats_find_leaver(&control->seats))) {
		if (leaver->stage == CONTROL_SILENT)
			drop(client_at(leaver));
		else
			refuse(client_at(leaver), "too many ask at once");
	}
}

static void look_at_queue(struct control *control, bool look)
{
	if (control->source)
		sd_event_source_set_enabled(control->source, look ? SD_EVENT_ON : SD_EVENT_OFF);
	control->full = !look;
}

/* Descriptors and memory may come back; the others have given up while they waited. */
static void accept_later(struct control *control, uint64_t now)
{
	look_at_queue(control, false);
	control->look_from = now + ACCEPT_AGAIN;
	if (control->look_from < control->due)
		control->due = control->look_from;
}

/* Before it is decided who has to go, it is seen whether he has asked. */
static void welcome(struct master *master, int fd, bool may_change, uint64_t now)
{
	struct control *control = &master->control;
	struct control_client *client = add_client(master, fd, may_change, now);

	if (!client) {
		master_close_later(master, fd, clock_monotonic());
		accept_later(control, now);
		return;
	}
	if (now + SILENCE_MAX < control->due)
		control->due = now + SILENCE_MAX;
	look_at_question(client, now);
	make_room(control);
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
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			accept_later(control, now);
		return 0;
	}
	fd = master_move_up(master, fd);
	right = control_socket_right(&control->socket, fd);
	if (right == CONTROL_MAY_NOTHING)
		turn_away(master, fd, now);
	else
		welcome(master, fd, right == CONTROL_MAY_CHANGE, now);
	return 0;
}

/* ------------------------------------------------------------- their time is over */

/* `alone`: nobody waits for his turn. */
static uint64_t until_when(const struct control_client *client, bool alone)
{
	uint64_t by_silence, by_age;

	switch (client->seat.stage) {
	case CONTROL_SILENT:
		return client->born + SILENCE_MAX;
	case CONTROL_ASKED:
	case CONTROL_COME:
		return client->born + ANSWER_MAX;
	case CONTROL_AWAITING:
		return client->born + AWAIT_MAX;
	default:
		by_silence = client->moved + (alone ? SILENCE_MAX : SILENCE_WAITED_FOR);
		by_age = client->born + (alone ? ANSWER_MAX : ANSWER_WAITED_FOR);
		return by_silence < by_age ? by_silence : by_age;
	}
}

/* Returns when the time of the next is over. */
static uint64_t send_away(struct control *control, uint64_t now)
{
	bool alone = !control_seats_find_next(&control->seats);
	struct control_seat *seat, *next;
	uint64_t due = USEC_INFINITY;

	for (seat = control->seats.first; seat; seat = next) {
		uint64_t until = until_when(client_at(seat), alone);

		next = seat->next;
		if (until <= now)
			drop(client_at(seat));
		else if (until < due)
			due = until;
	}
	return due;
}

static void give_turns(struct control *control, uint64_t now)
{
	struct control_seat *seat;

	while (is_turn_free(control) && (seat = control_seats_find_next(&control->seats))) {
		if (seat->stage == CONTROL_COME) {
			take_turn_again(client_at(seat), now);
			continue;
		}
		control_seats_set_stage(&control->seats, seat, CONTROL_SILENT);
		look_at_question(client_at(seat), now);
	}
}

uint64_t control_due(const struct control *control)
{
	return control->due;
}

/* Whoever waits for a turn is looked at when there is one. */
void control_turn(struct master *master, uint64_t now)
{
	struct control *control = &master->control;

	if (now < control->due)
		return;
	if (control->look_at_answers)
		look_at_answers(control, now);
	send_away(control, now);
	give_turns(control, now);
	control->due = send_away(control, now);
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

void control_resume(struct master *master, int fd, uint64_t dev, uint64_t ino)
{
	const char *path = master->cmdline->control;

	if (fd < 0 || !path ||
		control_socket_resume(path, fd, dev, ino, &master->control.socket) < 0) {
		fd_close(fd);
		control_open(master);
		return;
	}
	if (watch(master) < 0)
		tell_failure(master, path, -ENOMEM);
	control_refresh(master);
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

void control_leave_path(struct master *master)
{
	close_socket(master);
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

	while (control->seats.first)
		drop(client_at(control->seats.first));
	close_socket(master);
	control->due = USEC_INFINITY;
}
