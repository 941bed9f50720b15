/*
 * hatchctl selftest: be a client of a service at each of its addresses.
 *
 * What becomes of that hatchd tells itself, as events: what else goes on meanwhile at a service
 * that is busy is not taken for ours.
 */
#include "base/text.h"
#include "hatchctl/command.h"
#include "hatchctl/show/attempt.h"
#include "hatchctl/table/view.h"

#include <getopt.h>
#include <string.h>

enum test_column {
	TEST_ADDRESS,
	TEST_RESULT,
	TEST_TIME,
	TEST_DETAIL,
	_TEST_COLUMN_MAX,
};

static const struct table_column columns[_TEST_COLUMN_MAX] = {
	[TEST_ADDRESS] = {"ADDRESS", "address", TABLE_TEXT, "where we were a client"},
	[TEST_RESULT] = {"RESULT", "result", TABLE_TEXT,
		"served, pending, untold, refused or failed"},
	[TEST_TIME] = {"TIME", "time_usec", TABLE_DURATION, "how long it took"},
	[TEST_DETAIL] = {"DETAIL", "detail", TABLE_TEXT, "who serves it, or what is wrong"},
};

static const struct view_command selftest = {
	.name = "selftest",
	.help = "Usage: hatchctl selftest [OPTION...] SERVICE\n"
		"\n"
		"Connect to each address of that service, or send an empty datagram there, and "
		"see\n"
		"what becomes of it.  A program is started for it, and finds the end of its "
		"input.\n"
		"Nothing is said, so TLS is not begun.\n",
	.columns = columns,
	.n_columns = _TEST_COLUMN_MAX,
	.standard = "address,result,time,detail",
};

/* Who would wait for a place, or for better days, is not tried. */
static int judge_state(const char *name, struct json_value service)
{
	static const char *const testable[] = {"serving", "without an address"};
	_cleanup_free_ char *state = json_to_string(json_get(service, "state"));
	_cleanup_free_ char *reason = json_to_string(json_get(service, "reason"));
	char shown[512];

	for (size_t i = 0; state && i < ARRAY_SIZE(testable); i++)
		if (strcmp(state, testable[i]) == 0)
			return COMMAND_DONE;
	text_escape(reason ? reason : "", reason ? strlen(reason) : 0, shown, sizeof shown);
	if (state && strcmp(state, "full") == 0)
		return command_failed("%s is full: a client would wait", name);
	if (!reason && state)
		text_escape(state, strlen(state), shown, sizeof shown);
	return command_failed("%s is not serving%s%s", name, shown[0] ? ": " : "", shown);
}

static void add_row(struct table *table, const char *address, const struct attempt *attempt)
{
	static const char *const colors[] = {
		[ATTEMPT_PENDING] = "yellow",
		[ATTEMPT_UNTOLD] = "yellow",
		[ATTEMPT_REFUSED] = "red",
		[ATTEMPT_FAILED] = "red",
	};

	table_begin_row(table);
	table_put_text(table, TEST_ADDRESS, address);
	table_put_text(table, TEST_RESULT, attempt_word(attempt->result));
	table_set_color(table, TEST_RESULT, colors[attempt->result]);
	if (attempt->usec > 0)
		table_put_number(table, TEST_TIME, attempt->usec);
	table_put_text(table, TEST_DETAIL, attempt->detail);
}

/* One that hatchd does not have is nobody's to connect to. */
static int try_address(
	struct attempt_at *at, struct json_value address, struct table *table, bool *good)
{
	_cleanup_free_ char *text = json_to_string(json_get(address, "address"));
	_cleanup_free_ char *state = json_to_string(json_get(address, "state"));
	_cleanup_free_ char *reason = json_to_string(json_get(address, "reason"));
	struct attempt attempt = {.result = ATTEMPT_FAILED};
	int r = 0;

	if (state && strcmp(state, "open") == 0)
		r = attempt_make(at, text ? text : "", &attempt);
	else
		snprintf(attempt.detail, sizeof attempt.detail, "%s",
			reason ? reason : "it cannot be had now");
	if (r < 0)
		return command_failed("unable to ask hatchd: %s", strerror(-r));
	if (attempt.connection > 0)
		at->after = attempt.connection;
	add_row(table, text, &attempt);
	*good &= attempt.result < ATTEMPT_REFUSED;
	return COMMAND_DONE;
}

static int try_all(const char *name, struct json_value service, const struct view *view)
{
	_cleanup_free_ struct watch *watch = calloc(1, sizeof *watch);
	struct attempt_at at = {.watch = watch,
		.path = view->path,
		.service = name,
		.has_pending = json_get(service, "pending").at,
		.has_tls = json_get(service, "certificate").at};
	struct json_value item = {NULL, NULL};
	_cleanup_table_ struct table table;
	bool good = true;
	int r;

	table_init(&table, columns, &view->style);
	if (!watch)
		return command_failed("unable to watch %s: %s", name, strerror(ENOMEM));
	r = watch_begin(watch, view->path, name);
	while (r == COMMAND_DONE && json_next(json_get(service, "addresses"), &item, NULL))
		r = try_address(&at, item, &table, &good);
	watch_done(watch);
	if (r == COMMAND_DONE)
		r = table_print(&table, "tests");
	return r == COMMAND_DONE && !good ? COMMAND_FAILED : r;
}

static int read_name(int argc, char **argv, const char **ret)
{
	if (argc - optind < 1)
		return command_misused("selftest", "the service is missing");
	return command_take_service("selftest", argc, argv, ret);
}

int command_selftest(int argc, char **argv)
{
	_cleanup_answer_ struct answer answer = {0};
	const char *name = NULL;
	char request[128];
	struct view view;
	int r;

	r = view_parse(argc, argv, &selftest, &view);
	if (r != COMMAND_DONE || view.helped)
		return r;
	r = read_name(argc, argv, &name);
	if (r != COMMAND_DONE)
		return r;
	snprintf(request, sizeof request, "list %s\n", name);
	r = answer_get(view.path, request, &answer);
	if (r != COMMAND_DONE)
		return r;
	if (answer.n_lines == 0)
		return answer_refused("no such service");
	r = judge_state(name, answer.lines[0]);
	return r == COMMAND_DONE ? try_all(name, answer.lines[0], &view) : r;
}
