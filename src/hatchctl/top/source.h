/*
 * top/source: one sample after the other of a running hatchd, without ever waiting for it.
 *
 * A sample takes three questions, one after the other; hatchd may take them all as those of
 * one more client.  There are never more than two samples: the one that is shown, and the one
 * that becomes it.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_TOP_SOURCE_H
#define HATCHD_HATCHCTL_TOP_SOURCE_H

#include "hatchctl/ask/question.h"
#include "hatchctl/top/sample.h"

#define TOP_QUESTIONS 3

struct top_source {
	const char *path;          /* of the socket; borrowed */
	struct top_sample *sample; /* the last one; NULL: none yet; owned */
	struct question question;  /* its descriptor is to be polled while it is not negative */

	/* Private */
	struct answer answers[TOP_QUESTIONS];
	int n_answers;
	uint64_t started; /* usec, monotonic: when the first was asked */
};

void top_source_init(struct top_source *source, const char *path);
void top_source_done(struct top_source *source);

/*
 * Begin with the next sample, unless one is being made.  0, or a negative errno and
 * source->question.why; `sample` stays then as it is.
 */
int top_source_start(struct top_source *source, uint64_t now);

/* Go on with it: 1 when there is a new sample, 0, or as above. */
int top_source_turn(struct top_source *source);

/* Whoever has not answered until `now` has had his time: 0, or as above. */
int top_source_expire(struct top_source *source, uint64_t now);

#endif
