#include "master/control-seat.h"

#include <stddef.h>

void control_seats_add(struct control_seats *seats, struct control_seat *seat)
{
	seat->stage = CONTROL_SILENT;
	seat->next = NULL;
	seat->prev = seats->last;
	if (seats->last)
		seats->last->next = seat;
	else
		seats->first = seat;
	seats->last = seat;
	seats->n++;
}

void control_seats_remove(struct control_seats *seats, struct control_seat *seat)
{
	control_seats_set_stage(seats, seat, CONTROL_SILENT);
	if (seat->prev)
		seat->prev->next = seat->next;
	else
		seats->first = seat->next;
	if (seat->next)
		seat->next->prev = seat->prev;
	else
		seats->last = seat->prev;
	seats->n--;
}

void control_seats_set_stage(
	struct control_seats *seats, struct control_seat *seat, enum control_stage stage)
{
	seats->n_answering -= seat->stage == CONTROL_ANSWERING;
	seats->n_answering += stage == CONTROL_ANSWERING;
	seat->stage = stage;
}

/* How many others there are, or are answered, that are like this one. */
struct weight {
	unsigned of_user, of_process;
};

static struct weight weigh(
	const struct control_seats *seats, const struct control_seat *seat, bool answering)
{
	struct weight weight = {0};

	for (const struct control_seat *s = seats->first; s; s = s->next) {
		if (s->uid != seat->uid || (answering && s->stage != CONTROL_ANSWERING))
			continue;
		weight.of_user++;
		weight.of_process += s->pid == seat->pid;
	}
	return weight;
}

static int compare(struct weight a, struct weight b)
{
	unsigned x = a.of_user, y = b.of_user;

	if (x == y) {
		x = a.of_process;
		y = b.of_process;
	}
	return (x > y) - (x < y);
}

/* Both weigh as much, and `a` is older. */
static bool stays_longer(const struct control_seat *a, const struct control_seat *b)
{
	return a->stage > b->stage || (a->stage == b->stage && b->stage != CONTROL_SILENT);
}

struct control_seat *control_seats_find_leaver(const struct control_seats *seats)
{
	struct control_seat *found = NULL;
	struct weight most = {0};

	for (struct control_seat *s = seats->first; s; s = s->next) {
		struct weight weight = weigh(seats, s, false);
		int order = compare(weight, most);

		if (s->stage == CONTROL_ANSWERING)
			continue;
		if (!found || order > 0 || (order == 0 && stays_longer(found, s))) {
			found = s;
			most = weight;
		}
	}
	return found;
}

struct control_seat *control_seats_find_next(const struct control_seats *seats)
{
	struct control_seat *found = NULL;
	struct weight least = {0};

	for (struct control_seat *s = seats->first; s; s = s->next) {
		struct weight weight;

		if (s->stage != CONTROL_ASKED && s->stage != CONTROL_COME)
			continue;
		weight = weigh(seats, s, true);
		if (!found || compare(weight, least) < 0) {
			found = s;
			least = weight;
		}
	}
	return found;
}
