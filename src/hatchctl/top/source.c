#include "hatchctl/top/source.h"

#include "base/clock.h"
#include "hatchctl/top/measure.h"

#include <stdio.h>
#include <string.h>

static const char *const requests[TOP_QUESTIONS] = {"status\n", "list\n", "connections\n"};

void top_source_init(struct top_source *source, const char *path)
{
	*source = (struct top_source){.path = path};
	question_init(&source->question, false);
}

static void forget_answers(struct top_source *source)
{
	for (int i = 0; i < TOP_QUESTIONS; i++)
		answer_done(&source->answers[i]);
	source->n_answers = 0;
}

void top_source_done(struct top_source *source)
{
	forget_answers(source);
	question_done(&source->question);
	source->sample = top_sample_free(source->sample);
}

static int fail(struct top_source *source, int error)
{
	forget_answers(source);
	return error;
}

static int ask(struct top_source *source)
{
	int r = question_ask(&source->question, source->path, requests[source->n_answers]);

	return r < 0 ? fail(source, r) : 0;
}

int top_source_start(struct top_source *source, uint64_t now)
{
	if (source->question.fd >= 0)
		return 0;
	source->started = now;
	return ask(source);
}

static int make_sample(struct top_source *source)
{
	struct top_sample *sample =
		top_sample_new(&source->answers[0], &source->answers[1], &source->answers[2]);

	forget_answers(source);
	if (!sample) {
		snprintf(source->question.why, sizeof source->question.why,
			"unable to keep the answer: %s", strerror(ENOMEM));
		return fail(source, -ENOMEM);
	}
	top_measure(sample);
	top_sample_compare(sample, source->sample);
	top_sample_free(source->sample);
	source->sample = sample;
	return 1;
}

int top_source_turn(struct top_source *source)
{
	int r;

	if (source->question.fd < 0)
		return 0;
	r = question_read(&source->question, &source->answers[source->n_answers]);
	if (r < 0)
		return fail(source, r);
	if (r == 0)
		return 0;
	if (++source->n_answers < TOP_QUESTIONS)
		return ask(source);
	return make_sample(source);
}

int top_source_expire(struct top_source *source, uint64_t now)
{
	if (source->question.fd < 0 || now - source->started < QUESTION_PATIENCE * USEC_PER_SEC)
		return 0;
	question_done(&source->question);
	snprintf(source->question.why, sizeof source->question.why,
		"unable to read from %s: no answer within %d s", source->path,
		QUESTION_PATIENCE);
	return fail(source, -ETIMEDOUT);
}
