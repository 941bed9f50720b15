/*
 * hatchctl bans: who is banned for now, a line for each.
 */
#include "hatchctl/command.h"
#include "hatchctl/table/listing.h"

enum ban_column {
	BAN_SERVICE,
	BAN_SOURCE,
	BAN_LEFT,
	BAN_BY,
	_BAN_COLUMN_MAX,
};

static const struct table_column columns[_BAN_COLUMN_MAX] = {
	[BAN_SERVICE] = {"SERVICE", "service", TABLE_TEXT, "that turns them away; - all do"},
	[BAN_SOURCE] = {"SOURCE", "source", TABLE_TEXT, "who: an address or a network"},
	[BAN_LEFT] = {"LEFT", "left_usec", TABLE_DURATION,
		"for how long; - until somebody lifts it"},
	[BAN_BY] = {"BY", "by", TABLE_TEXT, "operator, or rule: overflow_source, sensor"},
};

static const struct view_command bans = {
	.name = "bans",
	.help = "Usage: hatchctl bans [OPTION...] [SERVICE]\n"
		"\n"
		"Who is banned by the running hatchd, or by that service, and for how long.\n",
	.columns = columns,
	.n_columns = _BAN_COLUMN_MAX,
	.standard = "service,source,left,by",
};

static void add_ban(struct table *table, struct json_value ban)
{
	table_begin_row(table);
	table_put(table, BAN_SERVICE, json_get(ban, "service"));
	table_put(table, BAN_SOURCE, json_get(ban, "source"));
	table_put(table, BAN_LEFT, json_get(ban, "left_usec"));
	table_put(table, BAN_BY, json_get(ban, "by"));
}

int command_bans(int argc, char **argv)
{
	_cleanup_answer_ struct answer answer = {0};
	_cleanup_table_ struct table table;
	struct view view;
	int r = listing_get(argc, argv, &bans, &view, &answer);

	table_init(&table, bans.columns, &view.style);
	if (r != COMMAND_DONE || view.helped)
		return r;
	for (size_t i = 0; i < answer.n_lines; i++)
		add_ban(&table, answer.lines[i]);
	return table_print(&table, "bans");
}
