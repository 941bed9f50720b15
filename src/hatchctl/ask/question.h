/*
 * question: a question to a running hatchd, whose answer comes piece by piece.
 *
 * For whoever has other things to look after meanwhile, such as a screen and keys; answer
 * does the same and waits.  Nothing is printed here: what goes wrong is a text of the
 * question.  What is at the other end may be anybody.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_ASK_QUESTION_H
#define HATCHD_HATCHCTL_ASK_QUESTION_H

#include "hatchctl/ask/answer.h"

#include <limits.h>
#include <stdint.h>

/* A hatchd that runs answers at once. */
#define QUESTION_PATIENCE 30 /* s */

struct question {
	int fd;                   /* owned; negative while nothing is asked */
	bool waits;               /* for the other end */
	unsigned patience;        /* s: it waits no longer for all of the answer;
	                             QUESTION_PATIENCE unless changed */
	uint64_t asked;           /* usec, monotonic */
	char *path;               /* of the socket; owned */
	struct answer answer;     /* as far as it has come */
	size_t size, line;        /* of its text: the room, and where the next line begins */
	char why[PATH_MAX + 256]; /* after a failure: a text for people, which is escaped */
};

/* Nothing is asked yet. */
void question_init(struct question *question, bool waits);
void question_done(struct question *question);

#define _cleanup_question_ _cleanup_(question_done)

/*
 * Ask, with a line of plain words and its newline, at the socket with that path; whatever
 * was asked before is forgotten.  0, or a negative errno and question->why.
 */
int question_ask(struct question *question, const char *path, const char *request);

/*
 * Read what there is of the answer, when poll(2) says that there is something: 1 when all
 * of it was there, which *ret has then (answer_done() frees it), 0 if more is to come, or a
 * negative errno and question->why; -EREMOTEIO is the other side's refusal.  Unless it is
 * 0 the question is over, its descriptor closed.
 */
int question_read(struct question *question, struct answer *ret);

#endif
