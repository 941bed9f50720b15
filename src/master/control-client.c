#include "master/control-client.h"

#include "base/clock.h"
#include "base/own.h"
#include "master/control-lines.h"
#include "master/master.h"
#include "master/successor.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define OUT_MAX (2 * CONTROL_PIECE_MAX)

struct control_client *control_client_at(struct control_seat *seat)
{
	return (struct control_client *)seat;
}

/* ------------------------------------------------------------ whose turn it is */

bool control_client_has_turn(const struct control *control)
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

void control_client_drop(struct control_client *client)
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
		control_client_drop(client);
		return;
	}
	if (client->len > 0 || !control_answer_waits(&client->answer, client->master))
		return;
	give_up_turn(client, CONTROL_AWAITING);
	if (!watch_for(client, EPOLLET))
		control_client_drop(client);
}

/* The next piece follows as soon as there is room for it. */
static void go_on(struct control_client *client, uint64_t now)
{
	if (!watch_for(client, EPOLLOUT))
		control_client_drop(client);
	else
		go_on_answering(client, now);
}

/* What he has waited for has come. */
void control_client_go_on(struct control_client *client, uint64_t now)
{
	if (take_turn(client, now))
		go_on(client, now);
	else
		control_client_drop(client);
}

/* Who has got nothing yet has room for this, and is not waited for if he has not. */
void control_client_refuse(struct control_client *client, const char *why)
{
	char text[128];
	size_t len = control_answer_error(why, text, sizeof text);

	send(client->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	control_client_drop(client);
}

/* He is no client any more: what he is told has no end. */
static void let_follow(
	struct control_client *client, const struct control_request *request, uint64_t now)
{
	struct master *master = client->master;

	if (request->service[0] && !control_knows(master, request->service)) {
		control_client_refuse(client, "no such service");
		return;
	}
	if (!followers_make_room(master, &client->seat)) {
		control_client_refuse(client, "as many follow already as may");
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
		control_client_refuse(client, why);
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
		control_client_drop(client);
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

static void let_leave(
	struct control_client *client, const struct control_request *request, uint64_t now)
{
	if (request->question == CONTROL_EVENTS)
		let_follow(client, request, now);
	else
		let_take_over(client, now);
}

/* A whole line, behind which others may have come. */
static void ask(struct control_client *client, char *text, size_t n, size_t line, uint64_t now)
{
	struct control *control = &client->master->control;
	struct control_request request;
	const char *why = NULL;

	control_request_parse(text, line, &request, &why);
	if (!why && !request.leaves && !control_client_has_turn(control)) {
		control_seats_set_stage(&control->seats, &client->seat, CONTROL_ASKED);
		control->due = 0;
		return;
	}
	recv(client->fd, text, n, MSG_DONTWAIT);
	if (why)
		control_client_refuse(client, why);
	else if (request.leaves)
		let_leave(client, &request, now);
	else
		answer(client, &request, now);
}

/* Taken out of the queue only when there is a line, nothing in its tow, and his turn. */
void control_client_look(struct control_client *client, uint64_t now)
{
	char text[CONTROL_LINE_MAX];
	bool loaded;
	ssize_t n = peek(client, text, &loaded);
	int line;

	if ((n == -EAGAIN || n == -EINTR) && !client->ended)
		return;
	if (n <= 0) {
		control_client_drop(client);
		return;
	}
	line = control_request_line(text, (size_t)n, client->ended);
	if (loaded)
		control_client_refuse(client, "descriptors are not taken");
	else if (line < 0)
		control_client_refuse(client, "the line is too long");
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
			control_client_drop(client);
		break;
	default:
		client->ended |= revents & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
		control_client_look(client, now);
	}
	return 0;
}

/* What is not taken out of the queue would wake us again and again: hence EPOLLET. */
struct control_client *control_client_add(
	struct master *master, int fd, const struct ucred *peer, bool may_change, uint64_t now)
{
	struct control_client *client = calloc(1, sizeof *client);

	if (!client)
		return NULL;
	client->seat.uid = peer->uid;
	client->seat.pid = peer->pid;
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
