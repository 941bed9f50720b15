/*
 * What has happened between two samples: a rate is a difference, divided by the time between
 * them.  That time is hatchd's own for what hatchd counts, and ours for what we have measured.
 */
#include "hatchctl/top/sample.h"

#include "base/clock.h"

#include <string.h>

/* A count that went back is of somebody else, and says nothing. */
static double rate_of(uint64_t now, uint64_t before, uint64_t usec)
{
	if (usec == 0 || now == TOP_UNKNOWN || before == TOP_UNKNOWN || now < before)
		return -1;
	return (double)(now - before) * (double)USEC_PER_SEC / (double)usec;
}

static uint64_t difference(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static void compare_use(struct top_use *use, const struct top_use *before, uint64_t usec)
{
	static const struct top_use nothing = {0};

	if (!before)
		before = &nothing;
	use->cpu_share = rate_of(use->cpu, before->cpu, usec);
	if (use->cpu_share >= 0)
		use->cpu_share *= 100.0 / (double)USEC_PER_SEC;
	use->receives = rate_of(use->received, before->received, usec);
	use->sends = rate_of(use->sent, before->sent, usec);
}

/* ------------------------------------------------------------------ sums of services */

static void add_count(uint64_t *sum, uint64_t count)
{
	if (count != TOP_UNKNOWN)
		*sum = *sum == TOP_UNKNOWN ? count : *sum + count;
}

static void add_rate(double *sum, double rate)
{
	if (rate >= 0)
		*sum = *sum < 0 ? rate : *sum + rate;
}

static void add_use(struct top_use *sum, const struct top_use *use)
{
	add_count(&sum->cpu, use->cpu);
	add_count(&sum->memory, use->memory);
	add_count(&sum->received, use->received);
	add_count(&sum->sent, use->sent);
	add_rate(&sum->cpu_share, use->cpu_share);
	add_rate(&sum->receives, use->receives);
	add_rate(&sum->sends, use->sends);
}

static void sum_up_services(struct top_sample *sample)
{
	for (size_t i = 0; i < sample->n_connections; i++) {
		const struct top_connection *connection = &sample->connections[i];
		struct top_service *service = top_sample_service(sample, connection->service);

		if (service)
			add_use(&service->use, &connection->use);
	}
}

/* ------------------------------------------------------------------------- rates */

static uint64_t refused_before(const struct top_sample *before, const char *word)
{
	for (size_t i = 0; i < before->n_reasons; i++)
		if (strcmp(before->reasons[i].word, word) == 0)
			return before->reasons[i].n;
	return 0;
}

/* Some are refused before they count as having come. */
static double rate_accepted(double came, double refused)
{
	if (came < 0 || refused < 0)
		return -1;
	return came > refused ? came - refused : 0;
}

static void compare_hatchd(struct top_sample *sample, const struct top_sample *before)
{
	uint64_t usec = difference(sample->up, before->up);

	sample->refusals = rate_of(sample->refused, before->refused, usec);
	sample->accepts =
		rate_accepted(rate_of(sample->came, before->came, usec), sample->refusals);
	for (size_t i = 0; i < sample->n_reasons; i++) {
		struct top_reason *reason = &sample->reasons[i];

		reason->rate = rate_of(reason->n, refused_before(before, reason->word), usec);
	}
}

/* One that was not there before has begun to count since. */
static void compare_services(struct top_sample *sample, const struct top_sample *before)
{
	uint64_t usec = difference(sample->up, before->up);

	for (size_t i = 0; i < sample->n_services; i++) {
		struct top_service *service = &sample->services[i];
		const struct top_service *old = top_sample_service(before, service->name);

		service->starts = rate_of(service->started, old ? old->started : 0, usec);
		service->refusals = rate_of(service->refused, old ? old->refused : 0, usec);
	}
}

static void compare_connections(struct top_sample *sample, const struct top_sample *before)
{
	uint64_t usec = difference(sample->measured, before->measured);

	for (size_t i = 0; i < sample->n_connections; i++) {
		struct top_connection *connection = &sample->connections[i];
		const struct top_connection *old =
			top_sample_connection(before, connection->id);

		compare_use(&connection->use, old ? &old->use : NULL, usec);
	}
}

static bool is_same_hatchd(const struct top_sample *sample, const struct top_sample *before)
{
	return sample->pid == before->pid && sample->up >= before->up;
}

void top_sample_compare(struct top_sample *sample, const struct top_sample *before)
{
	sample->compared = before && is_same_hatchd(sample, before);
	if (sample->compared) {
		compare_hatchd(sample, before);
		compare_services(sample, before);
		compare_connections(sample, before);
	}
	sum_up_services(sample);
}
