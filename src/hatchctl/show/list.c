/*
 * hatchctl list: the services of a running hatchd, a line for each.
 */
#include "hatchctl/command.h"
#include "hatchctl/show/service-row.h"
#include "hatchctl/table/listing.h"

static const struct view_command list = {
	.name = "list",
	.help = "Usage: hatchctl list [OPTION...] [SERVICE]\n"
		"\n"
		"A line for each service of the running hatchd, or for that one: its state, "
		"how\n"
		"many children it has and may have, how many were ever started, how many "
		"clients\n"
		"were refused, and its addresses; those in parentheses cannot be had now.\n",
	.columns = service_columns,
	.n_columns = _SERVICE_COLUMN_MAX,
	.standard = "service,state,children,limit,pending,started,refused,addresses",
};

int command_list(int argc, char **argv)
{
	_cleanup_answer_ struct answer answer = {0};
	_cleanup_table_ struct table table;
	struct view view;
	int r = listing_get(argc, argv, &list, &view, &answer);

	table_init(&table, list.columns, &view.style);
	if (r != COMMAND_DONE || view.helped)
		return r;
	for (size_t i = 0; i < answer.n_lines; i++)
		service_row_add(&table, answer.lines[i]);
	return table_print(&table, "services");
}
