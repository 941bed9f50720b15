#include "hatchctl/table/listing.h"

#include "hatchctl/command.h"

#include <stdio.h>

#define REQUEST_MAX 128

static int make_request(int argc, char **argv, const char *command, char request[REQUEST_MAX])
{
	const char *service = NULL;
	int r = command_take_service(command, argc, argv, &service);

	if (r != COMMAND_DONE)
		return r;
	snprintf(request, REQUEST_MAX, "%s%s%s\n", command, service ? " " : "",
		service ? service : "");
	return COMMAND_DONE;
}

int listing_ask(int argc, char **argv, const struct view_command *command,
	const struct view *view, struct answer *ret_answer)
{
	char request[REQUEST_MAX];
	int r = make_request(argc, argv, command->name, request);

	return r == COMMAND_DONE ? answer_get(view->path, request, ret_answer) : r;
}

int listing_get(int argc, char **argv, const struct view_command *command,
	struct view *ret_view, struct answer *ret_answer)
{
	int r = view_parse(argc, argv, command, ret_view);

	if (r != COMMAND_DONE || ret_view->helped)
		return r;
	return listing_ask(argc, argv, command, ret_view, ret_answer);
}
