/* Samples for the tests of hatchctl top, made of lines as hatchd writes them. */
#ifndef HATCHD_TESTS_TOP_TRY_H
#define HATCHD_TESTS_TOP_TRY_H

#include "hatchctl/top/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Lines of JSON, each with its newline and none of them the last of an answer. */
static inline void try_answer(struct answer *answer, const char *text)
{
	const char *at, *end;
	size_t n = 0;

	*answer = (struct answer){.text = strdup(text), .len = strlen(text)};
	assert_non_null(answer->text);
	for (at = answer->text; *at; at++)
		n += *at == '\n';
	answer->lines = calloc(n + 1, sizeof *answer->lines);
	assert_non_null(answer->lines);
	for (at = answer->text; (end = strchr(at, '\n')); at = end + 1)
		assert_true(
			json_parse(at, (size_t)(end - at), &answer->lines[answer->n_lines++]));
}

static inline struct top_sample *try_sample(
	const char *status, const char *services, const char *connections)
{
	_cleanup_answer_ struct answer status_line = {0}, list = {0}, all = {0};
	struct top_sample *sample;

	try_answer(&status_line, status);
	try_answer(&list, services);
	try_answer(&all, connections);
	sample = top_sample_new(&status_line, &list, &all);
	assert_non_null(sample);
	return sample;
}

static inline void try_sample_free(struct top_sample **sample)
{
	top_sample_free(*sample);
}

#define _cleanup_sample_ _cleanup_(try_sample_free)

#endif
