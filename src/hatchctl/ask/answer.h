/*
 * answer: what a running hatchd says when it is asked at its control socket.
 *
 * All of it is read before anything is done with it: whoever reads slowly, as a pager does,
 * keeps no place there.  What is at the other end may be anybody, so nothing is taken for
 * granted of what comes.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_ASK_ANSWER_H
#define HATCHD_HATCHCTL_ASK_ANSWER_H

#include "base/json-read.h"
#include "base/own.h"

#include <stdbool.h>
#include <sys/types.h>

struct answer {
	char *text; /* the lines, each with its newline; owned */
	size_t len;
	struct json_value *lines; /* they point into `text`; owned.  Without the last, which
	                             says that it is the last */
	size_t n_lines;
	pid_t pid; /* who answers, as processes are numbered here; 0: nobody whom we can see */
};

/*
 * Ask, with a line of plain words and its newline.  COMMAND_DONE with *ret, which
 * answer_done() frees; else what answer_refused() returns.
 */
int answer_get(const char *path, const char *request, struct answer *ret);
void answer_done(struct answer *answer);

/* Say why there is no answer: COMMAND_FAILED, or COMMAND_USAGE if what was named is not there.
 */
int answer_refused(const char *why);

#define _cleanup_answer_ _cleanup_(answer_done)

#endif
