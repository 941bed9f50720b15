/*
 * hatchctl top: a running hatchd, live.
 *
 * One loop waits for keys, signals, the answers that make a sample, and the answer to a
 * request to end a connection; whatever comes, there is a new picture.
 */
#include "base/clock.h"
#include "base/text.h"
#include "conf/cmdline.h"
#include "hatchctl/command.h"
#include "hatchctl/top/batch.h"
#include "hatchctl/top/draw.h"

#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
	"Usage: hatchctl top [OPTION...] [SERVICE]\n"
	"\n"
	"Show the services of the running hatchd, or the connections of one, live: who is\n"
	"there, and what that costs. On the screen, ? shows the keys.\n"
	"\n"
	"  -b, --batch          plain text to standard output, also without a terminal\n"
	"  -c, --connections    begin with the connections of all services\n"
	"  -d, --delay=TIME     from one sample to the next: 500ms, 2s, or 0.5 (1s)\n"
	"  -f, --filter=TEXT    only rows with that text\n"
	"  -n, --count=N        end after so many samples\n"
	"  -o, --sort=COLUMN    sort by that column; with - in front the other way round\n"
	"  -s, --control=PATH   the control socket (" CMDLINE_CONTROL ")\n"
	"  -h, --help           print this\n"
	"\n"
	"Exit status: 0 done, 1 hatchd does not run, or does not answer that, or there is no\n"
	"terminal, 2 the command line is wrong.\n";

struct top_options {
	const char *path, *filter, *sort, *service;
	uint64_t delay, count; /* count 0: no end */
	bool batch, connections, helped;
};

struct top {
	struct top_screen screen;
	struct top_state state;
	struct top_source source;
	struct question killer; /* asks for the end of a connection */
	char trouble[TOP_MESSAGE_MAX];
	uint64_t next;  /* usec, monotonic: when the next sample is due */
	uint64_t count; /* of samples that are still to come; 0: no end */
	bool over;
	int status;
};

/* ------------------------------------------------------------------------- options */

/* "0.5": what other programs of the name understand.  At most six decimals count. */
static int parse_decimal(const char *text, uint64_t *ret_usec)
{
	size_t whole = strcspn(text, "."), len = strlen(text);
	char number[TEXT_NUMBER_MAX];
	uint64_t seconds = 0, fraction = 0;

	if (whole == len || len + 7 > sizeof number || len - whole > 7 || len == 1)
		return -EINVAL;
	snprintf(number, sizeof number, "%.*s", (int)whole, text);
	if (whole > 0 && text_parse_u64(number, &seconds) < 0)
		return -EINVAL;
	snprintf(number, sizeof number, "%s%.*s", text + whole + 1, (int)(7 - (len - whole)),
		"000000");
	if (text_parse_u64(number, &fraction) < 0 || seconds > TOP_DELAY_MAX / USEC_PER_SEC)
		return -EINVAL;
	*ret_usec = seconds * USEC_PER_SEC + fraction;
	return 0;
}

static int parse_delay(const char *text, uint64_t *ret_usec)
{
	uint64_t usec;

	if (text_parse_duration(text, &usec) < 0 && parse_decimal(text, &usec) < 0)
		return command_misused("top", "'%s' is no time such as 500ms, 2s or 0.5", text);
	if (usec < TOP_DELAY_MIN || usec > TOP_DELAY_MAX)
		return command_misused("top", "the delay is from 100ms to 1d, not %s", text);
	*ret_usec = usec;
	return COMMAND_DONE;
}

static int parse_count(const char *text, uint64_t *ret)
{
	if (text_parse_u64(text, ret) < 0 || *ret == 0)
		return command_misused("top", "'%s' is no number of samples", text);
	return COMMAND_DONE;
}

static int take_option(
	int result, char **argv, const struct option *table, struct top_options *options)
{
	switch (result) {
	case 'b':
		options->batch = true;
		return COMMAND_DONE;
	case 'c':
		options->connections = true;
		return COMMAND_DONE;
	case 's':
		options->path = optarg;
		return COMMAND_DONE;
	case 'd':
		return parse_delay(optarg, &options->delay);
	case 'f':
		options->filter = optarg;
		return COMMAND_DONE;
	case 'n':
		return parse_count(optarg, &options->count);
	case 'o':
		options->sort = optarg;
		return COMMAND_DONE;
	case 'h':
		options->helped = true;
		return command_print(help);
	default:
		return command_bad_option("top", result, argv, table);
	}
}

static int parse_options(int argc, char **argv, struct top_options *options)
{
	static const struct option table[] = {
		{"batch", no_argument, NULL, 'b'},
		{"connections", no_argument, NULL, 'c'},
		{"control", required_argument, NULL, 's'},
		{"count", required_argument, NULL, 'n'},
		{"delay", required_argument, NULL, 'd'},
		{"filter", required_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{"sort", required_argument, NULL, 'o'},
		{NULL, 0, NULL, 0},
	};
	int result, r = COMMAND_DONE;

	*options = (struct top_options){
		.path = CMDLINE_CONTROL, .filter = "", .delay = USEC_PER_SEC};
	while (r == COMMAND_DONE && !options->helped &&
		(result = getopt_long(argc, argv, ":bcd:f:hn:o:s:", table, NULL)) != -1)
		r = take_option(result, argv, table, options);
	if (r != COMMAND_DONE || options->helped)
		return r;
	return command_take_service("top", argc, argv, &options->service);
}

static int set_order(struct top_view *view, const char *sort)
{
	struct top_order *order = &view->orders[view->table];
	const char *names[TOP_COLUMNS_MAX + 1] = {NULL};
	bool reversed = *sort == '-';
	size_t n;
	const struct top_column *columns = top_columns(view->table, &n);
	int column = top_column_find(view->table, sort + reversed);

	if (column >= 0) {
		*order = (struct top_order){column, reversed};
		return COMMAND_DONE;
	}
	for (size_t i = 0; i < n; i++)
		names[i] = columns[i].head;
	return command_unknown(
		"top", "column", sort + reversed, text_nearest(sort + reversed, names));
}

static int set_state(struct top_state *state, const struct top_options *options)
{
	bool connections = options->connections || options->service;

	top_state_init(state, connections ? TOP_CONNECTIONS : TOP_SERVICES, options->delay);
	top_view_show(&state->view, state->view.table, options->service);
	if (strlen(options->filter) >= sizeof state->view.filter)
		return command_misused("top", "the filter has more than %zu characters",
			sizeof state->view.filter - 1);
	strcpy(state->view.filter, options->filter);
	return options->sort ? set_order(&state->view, options->sort) : COMMAND_DONE;
}

/* -------------------------------------------------------------------------- samples */

static void note_trouble(struct top *top)
{
	snprintf(top->trouble, sizeof top->trouble, "%s", top->source.question.why);
	top->next = clock_monotonic() + top->state.delay;
}

static void note_sample(struct top *top)
{
	uint64_t now = clock_monotonic();

	top->trouble[0] = '\0';
	top->next = top->source.started + top->state.delay;
	if (top->next < now)
		top->next = now;
	if (top->count > 0 && top->source.sample->compared && --top->count == 0)
		top->over = true;
}

static void heed_source(struct top *top, int r)
{
	if (r < 0)
		note_trouble(top);
	else if (r > 0)
		note_sample(top);
}

static bool is_sampling(const struct top *top)
{
	return top->source.question.fd >= 0;
}

static void look_at_clock(struct top *top)
{
	uint64_t now = clock_monotonic();

	heed_source(top, top_source_expire(&top->source, now));
	if (!is_sampling(top) && !top->state.paused && now >= top->next)
		heed_source(top, top_source_start(&top->source, now));
}

/* Milliseconds until there is something to do without any event, rounded up. */
static int time_left(const struct top *top)
{
	uint64_t now = clock_monotonic(), then = top->next;

	if (is_sampling(top))
		then = top->source.started + QUESTION_PATIENCE * USEC_PER_SEC;
	else if (top->state.paused)
		return -1;
	return then <= now ? 0 : (int)((then - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
}

/* --------------------------------------------------------------------- ending others */

static void tell_killed(struct top *top)
{
	snprintf(top->state.message, sizeof top->state.message,
		"Connection %" PRIu64 " is being ended", top->state.target);
	top->next = clock_monotonic();
}

static void tell_not_killed(struct top *top)
{
	snprintf(top->state.message, sizeof top->state.message, "%s", top->killer.why);
}

static void kill_connection(struct top *top)
{
	char request[64];

	snprintf(request, sizeof request, "kill %" PRIu64 "\n", top->state.target);
	if (question_ask(&top->killer, top->source.path, request) < 0)
		tell_not_killed(top);
}

static void hear_killer(struct top *top)
{
	_cleanup_answer_ struct answer answer = {0};
	int r = question_read(&top->killer, &answer);

	if (r > 0)
		tell_killed(top);
	else if (r < 0)
		tell_not_killed(top);
}

/* ----------------------------------------------------------------------------- loop */

static void fulfil(struct top *top, enum top_wish wish)
{
	switch (wish) {
	case TOP_WISH_QUIT:
		top->over = true;
		break;
	case TOP_WISH_SAMPLE:
		top->next = clock_monotonic();
		break;
	case TOP_WISH_KILL:
		kill_connection(top);
		break;
	case TOP_WISH_REDRAW:
		top_screen_redraw();
		break;
	case TOP_WISH_NOTHING:
		break;
	}
}

/* The rows are those of the sample, as the view is now. */
static void update_view(struct top *top)
{
	if (!top->source.sample || top_view_update(&top->state.view, top->source.sample) == 0)
		return;
	snprintf(top->state.message, sizeof top->state.message, "unable to sort: %s",
		strerror(ENOMEM));
}

static void hear_keys(struct top *top)
{
	int key;

	while (!top->over && (key = top_screen_key()) != TOP_KEY_NONE) {
		fulfil(top, top_press(&top->state, top->source.sample, key));
		update_view(top);
	}
}

static void draw(struct top *top)
{
	update_view(top);
	top_draw(&top->screen, &top->state, top->source.sample,
		*top->trouble ? top->trouble : NULL);
}

static void wait_and_heed(struct top *top)
{
	struct pollfd slots[] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = top->screen.signals, .events = POLLIN},
		{.fd = top->source.question.fd, .events = POLLIN},
		{.fd = top->killer.fd, .events = POLLIN},
	};

	if (poll(slots, ARRAY_SIZE(slots), time_left(top)) < 0)
		return;
	if (slots[1].revents && !top_screen_heed(&top->screen))
		top->over = true;
	if (slots[2].revents)
		heed_source(top, top_source_turn(&top->source));
	if (slots[3].revents)
		hear_killer(top);
	hear_keys(top);
	/* Nobody is there any more. */
	if (slots[0].revents & (POLLHUP | POLLERR | POLLNVAL))
		top->over = true;
}

static int open_failed(int error)
{
	const char *term = getenv("TERM");
	char shown[64];

	if (error == -ENOTTY)
		return command_failed("this is no terminal; use --batch");
	if (error == -ENODEV)
		return command_failed("unable to draw on a terminal of type '%s'; use --batch",
			text_escape(term ? term : "", term ? strlen(term) : 0, shown,
				sizeof shown));
	return command_failed("unable to use the terminal: %s", strerror(-error));
}

static int run_on_screen(struct top *top)
{
	int r = top_screen_open(&top->screen);

	if (r < 0)
		return open_failed(r);
	while (!top->over) {
		look_at_clock(top);
		draw(top);
		wait_and_heed(top);
	}
	top_screen_close(&top->screen);
	return COMMAND_DONE;
}

static void top_done(struct top *top)
{
	question_done(&top->killer);
	top_source_done(&top->source);
	top_state_done(&top->state);
}

int command_top(int argc, char **argv)
{
	_cleanup_(top_done) struct top top = {0};
	struct top_options options;
	int r;

	question_init(&top.killer, false);
	top_source_init(&top.source, NULL);
	r = parse_options(argc, argv, &options);
	if (r != COMMAND_DONE || options.helped)
		return r;
	top.source.path = options.path;
	top.count = options.count;
	r = set_state(&top.state, &options);
	if (r != COMMAND_DONE)
		return r;
	if (options.batch)
		return top_batch(&top.source, &top.state, options.count);
	return run_on_screen(&top);
}
