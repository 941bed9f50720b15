/*
 * listing: commands that ask hatchd one question, of all services or of one, and show a row
 * for each line of the answer.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_TABLE_LISTING_H
#define HATCHD_HATCHCTL_TABLE_LISTING_H

#include "hatchctl/ask/answer.h"
#include "hatchctl/table/view.h"

/*
 * Read the command line, and ask with the command's own name.  COMMAND_DONE with *ret_view,
 * and *ret_answer unless there was only --help; answer_done() frees it.  Else COMMAND_USAGE
 * or COMMAND_FAILED, after a message.
 */
int listing_get(int argc, char **argv, const struct view_command *command,
	struct view *ret_view, struct answer *ret_answer);

/* The same for who has read the options himself, with view_parse(). */
int listing_ask(int argc, char **argv, const struct view_command *command,
	const struct view *view, struct answer *ret_answer);

#endif
