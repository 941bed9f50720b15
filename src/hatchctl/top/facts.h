/*
 * top/facts: what is told of hatchd as a whole, above the tables.
 *
 * Pure.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_TOP_FACTS_H
#define HATCHD_HATCHCTL_TOP_FACTS_H

#include "hatchctl/top/sample.h"

/* Each fact is cut at this, its NUL included. */
#define TOP_FACT_MAX 512

enum top_fact {
	TOP_FACT_HATCHD,
	TOP_FACT_CHILDREN,
	TOP_FACT_LOAD,
	TOP_FACT_SERVICES,
	TOP_FACT_CONNECTIONS,
	TOP_FACT_RELOAD,
	TOP_FACT_ACCEPTED,
	TOP_FACT_REFUSED,
	_TOP_FACTS,
};

/* The word in front of it. */
const char *top_fact_label(enum top_fact fact);

const char *top_fact(
	enum top_fact fact, const struct top_sample *sample, char buf[TOP_FACT_MAX]);

/* How much of what there is is used, from 0 on: of children, and of the processors, which
 * may be more than 1.  0 for the others. */
double top_fact_share(enum top_fact fact, const struct top_sample *sample);

/* "[||||     12 of 512]", exactly `width` characters, 2 at least and TOP_FACT_MAX - 1 at
 * most; a text that is too long is left out. */
const char *top_bar(double share, const char *text, int width, char buf[TOP_FACT_MAX]);

#endif
