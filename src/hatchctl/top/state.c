#include "hatchctl/top/state.h"

#include "base/clock.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void top_state_init(struct top_state *state, enum top_table table, uint64_t delay)
{
	*state = (struct top_state){.delay = delay};
	top_view_init(&state->view, table);
}

void top_state_done(struct top_state *state)
{
	top_view_done(&state->view);
}

/* ------------------------------------------------------------------ what keys do */

static enum top_wish show(struct top_state *state, enum top_table table, const char *service)
{
	top_view_show(&state->view, table, service);
	return TOP_WISH_NOTHING;
}

/* Of a service its connections, of a connection all that is known of it. */
static enum top_wish open_row(struct top_state *state, const struct top_sample *sample)
{
	const struct top_connection *connection = top_view_connection(&state->view, sample);
	const struct top_service *service = top_view_service(&state->view, sample);

	if (service)
		return show(state, TOP_CONNECTIONS, service->name);
	if (connection) {
		state->target = connection->id;
		state->mode = TOP_DETAILS;
	}
	return TOP_WISH_NOTHING;
}

/* One step back: from a filter to all, and from connections to services. */
static enum top_wish go_back(struct top_state *state)
{
	if (*state->view.filter)
		state->view.filter[0] = '\0';
	else if (state->view.table == TOP_CONNECTIONS)
		return show(state, TOP_SERVICES, NULL);
	return TOP_WISH_NOTHING;
}

static enum top_wish switch_table(struct top_state *state)
{
	return show(state, state->view.table == TOP_SERVICES ? TOP_CONNECTIONS : TOP_SERVICES,
		NULL);
}

static enum top_wish ask_whether_to_kill(
	struct top_state *state, const struct top_sample *sample)
{
	const struct top_connection *connection = top_view_connection(&state->view, sample);

	if (!connection) {
		snprintf(state->message, sizeof state->message,
			state->view.table == TOP_SERVICES
				? "Enter shows the connections of a service; one of these can "
				  "be ended"
				: "There is no connection to end");
		return TOP_WISH_NOTHING;
	}
	state->target = connection->id;
	state->mode = TOP_CONFIRMING;
	snprintf(state->question, sizeof state->question,
		"End connection %" PRIu64 " of %.64s, %.200s?", connection->id,
		connection->service, *connection->peer ? connection->peer : "no peer");
	return TOP_WISH_NOTHING;
}

static void sort_by(struct top_state *state, int column)
{
	struct top_order *order = &state->view.orders[state->view.table];

	if (column >= 0)
		*order = (struct top_order){.column = column};
}

/* The next one to the left or the right, of those on the screen. */
static void sort_by_neighbour(struct top_state *state, int step)
{
	int column = state->view.orders[state->view.table].column;
	int n = (int)state->layout.n_places, at = step > 0 ? -1 : n;

	for (int i = 0; i < n; i++)
		if (state->layout.places[i].number == column)
			at = i;
	if (at + step >= 0 && at + step < n)
		sort_by(state, state->layout.places[at + step].number);
}

static void reverse_order(struct top_state *state)
{
	struct top_order *order = &state->view.orders[state->view.table];

	order->reversed = !order->reversed;
}

static const uint64_t delays[] = {100 * USEC_PER_MSEC, 200 * USEC_PER_MSEC, 500 * USEC_PER_MSEC,
	USEC_PER_SEC, 2 * USEC_PER_SEC, 5 * USEC_PER_SEC, 10 * USEC_PER_SEC, 30 * USEC_PER_SEC,
	60 * USEC_PER_SEC};

static enum top_wish say_delay(struct top_state *state)
{
	char text[TEXT_NUMBER_MAX];

	snprintf(state->message, sizeof state->message, "A new sample every %s",
		text_format_elapsed(state->delay, text));
	return TOP_WISH_SAMPLE;
}

static enum top_wish slow_down(struct top_state *state)
{
	for (size_t i = 0; i < ARRAY_SIZE(delays); i++) {
		if (delays[i] > state->delay) {
			state->delay = delays[i];
			break;
		}
	}
	return say_delay(state);
}

static enum top_wish speed_up(struct top_state *state)
{
	for (size_t i = ARRAY_SIZE(delays); i > 0; i--) {
		if (delays[i - 1] < state->delay) {
			state->delay = delays[i - 1];
			break;
		}
	}
	return say_delay(state);
}

static enum top_wish toggle_pause(struct top_state *state)
{
	state->paused = !state->paused;
	return state->paused ? TOP_WISH_NOTHING : TOP_WISH_SAMPLE;
}

/* -------------------------------------------------------------------- while browsing */

static bool move(struct top_state *state, const struct top_sample *sample, int key)
{
	long page = state->height > 1 ? (long)state->height - 1 : 1;
	long by;

	switch (key) {
	case TOP_KEY_UP:
		by = -1;
		break;
	case TOP_KEY_DOWN:
		by = 1;
		break;
	case TOP_KEY_PAGE_UP:
		by = -page;
		break;
	case TOP_KEY_PAGE_DOWN:
		by = page;
		break;
	case TOP_KEY_HOME:
		by = LONG_MIN + 1;
		break;
	case TOP_KEY_END:
		by = LONG_MAX;
		break;
	default:
		return false;
	}
	top_view_move(&state->view, sample, by);
	return true;
}

static bool change_order(struct top_state *state, int key)
{
	switch (key) {
	case '<':
	case TOP_KEY_LEFT:
		sort_by_neighbour(state, -1);
		return true;
	case '>':
	case TOP_KEY_RIGHT:
		sort_by_neighbour(state, 1);
		return true;
	case 'r':
		reverse_order(state);
		return true;
	case 'P':
		sort_by(state, top_column_find(state->view.table, "CPU%"));
		return true;
	case 'M':
		sort_by(state, top_column_find(state->view.table, "MEM"));
		return true;
	default:
		return false;
	}
}

static enum top_wish browse(struct top_state *state, const struct top_sample *sample, int key)
{
	if (sample && (move(state, sample, key) || change_order(state, key)))
		return TOP_WISH_NOTHING;
	switch (key) {
	case 'q':
		return TOP_WISH_QUIT;
	case '\r':
	case TOP_KEY_ENTER:
		return sample ? open_row(state, sample) : TOP_WISH_NOTHING;
	case TOP_KEY_ESCAPE:
		return go_back(state);
	case '\t':
		return switch_table(state);
	case 'k':
		return sample ? ask_whether_to_kill(state, sample) : TOP_WISH_NOTHING;
	case ' ':
		return toggle_pause(state);
	case '+':
		return slow_down(state);
	case '-':
		return speed_up(state);
	case 'L' & 31:
		return TOP_WISH_REDRAW;
	case '/':
		state->mode = TOP_FILTERING;
		return TOP_WISH_NOTHING;
	case '?':
	case 'h':
	case TOP_KEY_HELP:
		state->mode = TOP_HELP;
		return TOP_WISH_NOTHING;
	default:
		return TOP_WISH_NOTHING;
	}
}

/* ------------------------------------------------------------------- the other modes */

static enum top_wish filter(struct top_state *state, const struct top_sample *sample, int key)
{
	char *text = state->view.filter;
	size_t len = strlen(text);

	if (key == TOP_KEY_ENTER || key == '\r') {
		state->mode = TOP_BROWSING;
	} else if (key == TOP_KEY_ESCAPE) {
		text[0] = '\0';
		state->mode = TOP_BROWSING;
	} else if (key == TOP_KEY_BACKSPACE || key == 127 || key == '\b') {
		text[len ? len - 1 : 0] = '\0';
	} else if (key == ('U' & 31)) {
		text[0] = '\0';
	} else if (key >= ' ' && key < 127 && len + 1 < sizeof state->view.filter) {
		text[len] = (char)key;
		text[len + 1] = '\0';
	} else if (sample) {
		move(state, sample, key);
	}
	return TOP_WISH_NOTHING;
}

static enum top_wish confirm(struct top_state *state, int key)
{
	state->mode = TOP_BROWSING;
	return key == 'y' || key == 'Y' ? TOP_WISH_KILL : TOP_WISH_NOTHING;
}

enum top_wish top_press(struct top_state *state, const struct top_sample *sample, int key)
{
	state->message[0] = '\0';
	switch (state->mode) {
	case TOP_BROWSING:
		return browse(state, sample, key);
	case TOP_FILTERING:
		return filter(state, sample, key);
	case TOP_CONFIRMING:
		return confirm(state, key);
	case TOP_HELP:
	case TOP_DETAILS:
		state->mode = TOP_BROWSING;
		return TOP_WISH_NOTHING;
	}
	return TOP_WISH_NOTHING;
}
