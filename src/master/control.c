#include "master/control.h"

#include "base/clock.h"
#include "base/log-gate.h"
#include "base/log.h"
#include "master/control-client.h"
#include "master/control-listen.h"
#include "master/master.h"

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

/* ------------------------------------------------------------------ they come */

static struct ucred peer_of(int fd)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t len = sizeof peer;

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	return peer;
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
			control_client_drop(control_client_at(leaver));
		else
			control_client_refuse(
				control_client_at(leaver), "too many ask at once");
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
	struct ucred peer = peer_of(fd);
	struct control_client *client = control_client_add(master, fd, &peer, may_change, now);

	if (!client) {
		master_close_later(master, fd, clock_monotonic());
		accept_later(control, now);
		return;
	}
	if (now + SILENCE_MAX < control->due)
		control->due = now + SILENCE_MAX;
	control_client_look(client, now);
	make_room(control);
}

int control_on_queue(sd_event_source *source, int listener, uint32_t revents, void *userdata)
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

/* Not at once: this may be in the middle of anything. */
void control_look_again(struct master *master)
{
	master->control.due = 0;
	master->control.look_at_answers = true;
}

/* What they have waited for may have come.  All may have waited for the same, and there is a
 * lot to say of it: they get turns as others do. */
static void look_at_answers(struct control *control, uint64_t now)
{
	control->look_at_answers = false;
	for (struct control_seat *seat = control->seats.first; seat; seat = seat->next) {
		struct control_client *client = control_client_at(seat);

		if (seat->stage != CONTROL_AWAITING ||
			control_answer_waits(&client->answer, client->master))
			continue;
		control_answer_hear(&client->answer, client->master);
		client->born = now;
		control_seats_set_stage(&control->seats, seat, CONTROL_COME);
	}
}

/* Returns when the time of the next is over. */
static uint64_t send_away(struct control *control, uint64_t now)
{
	bool alone = !control_seats_find_next(&control->seats);
	struct control_seat *seat, *next;
	uint64_t due = USEC_INFINITY;

	for (seat = control->seats.first; seat; seat = next) {
		uint64_t until = until_when(control_client_at(seat), alone);

		next = seat->next;
		if (until <= now)
			control_client_drop(control_client_at(seat));
		else if (until < due)
			due = until;
	}
	return due;
}

static void give_turns(struct control *control, uint64_t now)
{
	struct control_seat *seat;

	while (control_client_has_turn(control) &&
		(seat = control_seats_find_next(&control->seats))) {
		if (seat->stage == CONTROL_COME) {
			control_client_go_on(control_client_at(seat), now);
			continue;
		}
		control_seats_set_stage(&control->seats, seat, CONTROL_SILENT);
		control_client_look(control_client_at(seat), now);
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

void control_close(struct master *master)
{
	struct control *control = &master->control;

	while (control->seats.first)
		control_client_drop(control_client_at(control->seats.first));
	control_leave_path(master);
	control->due = USEC_INFINITY;
}
