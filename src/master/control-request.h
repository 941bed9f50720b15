/*
 * control-request: what an operator asks, a line of plain words.
 *
 *	status          hatchd itself
 *	list            all services
 *	list SERVICE    one of them
 *
 * The text is somebody else's: it is looked at here, and never shown again.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_CONTROL_REQUEST_H
#define HATCHD_MASTER_CONTROL_REQUEST_H

#include "conf/conf.h"

/* Bytes of a line, with its newline. */
#define CONTROL_LINE_MAX 256

enum control_question {
	CONTROL_STATUS,
	CONTROL_LIST,
};

struct control_request {
	enum control_question question;
	char service[SERVICE_NAME_MAX + 1]; /* "": all */
};

/*
 * Where the first line in `text` ends, as its length with the newline; 0: not yet.
 * -EMSGSIZE: it is longer than it may be.  `ended`: nothing more comes, so what is there
 * is a line.
 */
int control_request_line(const char *text, size_t len, bool ended);

/* Understand one line, with or without its newline.  0; -EINVAL with *reterr_why pointing
 * at a constant phrase. */
int control_request_parse(
	const char *line, size_t len, struct control_request *ret, const char **reterr_why);

#endif
