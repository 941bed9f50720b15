/*
 * hatchctl orphans: what an earlier hatchd has left running, a line for each process, and the
 * end of it.
 */
#include "base/clock.h"
#include "base/text.h"
#include "hatchctl/command.h"
#include "hatchctl/steer/orphans-end.h"
#include "hatchctl/table/listing.h"

#include <getopt.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

enum orphan_column {
	ORPHAN_SERVICE,
	ORPHAN_CONNECTION,
	ORPHAN_PID,
	ORPHAN_USER,
	ORPHAN_AGE,
	ORPHAN_COMMAND,
	_ORPHAN_COLUMN_MAX,
};

static const struct table_column columns[_ORPHAN_COLUMN_MAX] = {
	[ORPHAN_SERVICE] = {"SERVICE", "service", TABLE_TEXT, "that it was started for"},
	[ORPHAN_CONNECTION] = {"CONNECTION", "connection", TABLE_COUNT,
		"the number that it had, as in the log"},
	[ORPHAN_PID] = {"PID", "pid", TABLE_COUNT, "the process"},
	[ORPHAN_USER] = {"USER", "user", TABLE_TEXT, "who it is"},
	[ORPHAN_AGE] = {"AGE", "age_usec", TABLE_DURATION, "how long it has been there"},
	[ORPHAN_COMMAND] = {"COMMAND", "command", TABLE_TEXT, "what it calls itself"},
};

static const struct view_command orphans = {
	.name = "orphans",
	.help = "Usage: hatchctl orphans [OPTION...] [SERVICE]\n"
		"       hatchctl orphans --end [--kill-after TIME] [SERVICE]\n"
		"\n"
		"What an earlier hatchd, which has died or was stopped, has left running: of\n"
		"that service, or of all, workers included.\n"
		"\n"
		"      --end              have them end, by SIGTERM\n"
		"      --kill-after TIME  with --end: wait until they have ended, and have\n"
		"                         those killed that are left then; exit status 1 also\n"
		"                         says that some live all the same\n",
	.columns = columns,
	.n_columns = _ORPHAN_COLUMN_MAX,
	.standard = "service,connection,pid,user,age,command",
};

static void put_user(struct table *table, struct json_value uid)
{
	char text[TEXT_NUMBER_MAX];
	struct passwd *user;

	if (!uid.at || *uid.at == 'n' || !table_shows(table, ORPHAN_USER))
		return;
	snprintf(text, sizeof text, "%" PRIu64, json_to_number(uid));
	user = getpwuid((uid_t)json_to_number(uid));
	table_put_text(table, ORPHAN_USER, user ? user->pw_name : text);
}

static void add_orphan(struct table *table, struct json_value orphan)
{
	table_begin_row(table);
	table_put(table, ORPHAN_SERVICE, json_get(orphan, "service"));
	table_put(table, ORPHAN_CONNECTION, json_get(orphan, "connection"));
	table_put(table, ORPHAN_PID, json_get(orphan, "pid"));
	put_user(table, json_get(orphan, "uid"));
	table_put(table, ORPHAN_AGE, json_get(orphan, "age_usec"));
	table_put(table, ORPHAN_COMMAND, json_get(orphan, "command"));
}

static int show(int argc, char **argv, const struct view *view)
{
	_cleanup_answer_ struct answer answer = {0};
	_cleanup_table_ struct table table;
	int r = listing_ask(argc, argv, &orphans, view, &answer);

	table_init(&table, orphans.columns, &view->style);
	if (r != COMMAND_DONE)
		return r;
	for (size_t i = 0; i < answer.n_lines; i++)
		add_orphan(&table, answer.lines[i]);
	return table_print(&table, "orphans");
}

static int end(int argc, char **argv, const struct view *view, const char *kill_after)
{
	uint64_t patience = USEC_INFINITY;
	const char *service = NULL;
	int r = command_take_service("orphans", argc, argv, &service);

	if (view->styled)
		return command_misused("orphans",
			"%s is of no use with --end: no table is shown", view->styled);
	if (r != COMMAND_DONE)
		return r;
	if (kill_after && text_parse_duration(kill_after, &patience) < 0)
		return command_misused("orphans",
			"'%s' is not a duration such as 500ms, 30s or 5min", kill_after);
	return orphans_end(view->path, service, patience);
}

int command_orphans(int argc, char **argv)
{
	const char *kill_after = NULL;
	bool ends = false;
	const struct flag own[] = {
		{"end", &ends, NULL},
		{"kill-after", NULL, &kill_after},
		{NULL, NULL, NULL},
	};
	struct view_command command = orphans;
	struct view view;
	int r;

	command.own = own;
	r = view_parse(argc, argv, &command, &view);
	if (r != COMMAND_DONE || view.helped)
		return r;
	if (ends)
		return end(argc, argv, &view, kill_after);
	if (kill_after)
		return command_misused("orphans", "--kill-after needs --end");
	return show(argc, argv, &view);
}
