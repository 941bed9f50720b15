#include "hatchctl/top/facts.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const labels[_TOP_FACTS] = {
	[TOP_FACT_HATCHD] = "hatchd",
	[TOP_FACT_CHILDREN] = "Children",
	[TOP_FACT_LOAD] = "Load",
	[TOP_FACT_SERVICES] = "Services",
	[TOP_FACT_CONNECTIONS] = "Connections",
	[TOP_FACT_RELOAD] = "Reload",
	[TOP_FACT_ACCEPTED] = "Accepted",
	[TOP_FACT_REFUSED] = "Refused",
};

const char *top_fact_label(enum top_fact fact)
{
	return labels[fact];
}

static int count_processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (int)n : 1;
}

static void put_hatchd(const struct top_sample *sample, char *buf)
{
	char elapsed[TEXT_NUMBER_MAX];

	snprintf(buf, TOP_FACT_MAX, "%s, process %" PRIu64 ", %s for %s", sample->version,
		sample->pid, sample->state, text_format_elapsed(sample->up, elapsed));
}

static void put_load(const struct top_sample *sample, char *buf)
{
	int n = count_processors();

	if (sample->load < 0)
		strcpy(buf, "-");
	else
		snprintf(buf, TOP_FACT_MAX, "%.2f on %d processor%s", sample->load, n,
			n == 1 ? "" : "s");
}

static void put_services(const struct top_sample *sample, char *buf)
{
	size_t serving = 0;

	for (size_t i = 0; i < sample->n_services; i++)
		serving += strcmp(sample->services[i].state, "serving") == 0;
	snprintf(buf, TOP_FACT_MAX, "%zu, %zu serving", sample->n_services, serving);
}

static const char *put_rate(double rate, char *buf, size_t size)
{
	if (rate < 0)
		snprintf(buf, size, "-");
	else
		snprintf(buf, size, rate > 0 && rate < 99.95 ? "%.1f/s" : "%.0f/s", rate);
	return buf;
}

/* "3.1/s: per_source 2.0/s, rate 1.1/s", the words in hatchd's order. */
static void put_refused(const struct top_sample *sample, char *buf)
{
	const char *before = ": ";
	char rate[32];
	size_t len;

	put_rate(sample->refusals, buf, TOP_FACT_MAX);
	for (size_t i = 0; i < sample->n_reasons; i++) {
		const struct top_reason *reason = &sample->reasons[i];

		if (reason->rate <= 0)
			continue;
		len = strlen(buf);
		snprintf(buf + len, TOP_FACT_MAX - len, "%s%s %s", before, reason->word,
			put_rate(reason->rate, rate, sizeof rate));
		before = ", ";
	}
}

const char *top_fact(
	enum top_fact fact, const struct top_sample *sample, char buf[TOP_FACT_MAX])
{
	switch (fact) {
	case TOP_FACT_HATCHD:
		put_hatchd(sample, buf);
		break;
	case TOP_FACT_CHILDREN:
		snprintf(buf, TOP_FACT_MAX, "%" PRIu64 " of %" PRIu64, sample->children,
			sample->limit);
		break;
	case TOP_FACT_LOAD:
		put_load(sample, buf);
		break;
	case TOP_FACT_SERVICES:
		put_services(sample, buf);
		break;
	case TOP_FACT_CONNECTIONS:
		snprintf(buf, TOP_FACT_MAX, "%zu", sample->n_connections);
		break;
	case TOP_FACT_RELOAD:
		snprintf(buf, TOP_FACT_MAX, "%s", sample->reload);
		break;
	case TOP_FACT_ACCEPTED:
		put_rate(sample->accepts, buf, TOP_FACT_MAX);
		break;
	case TOP_FACT_REFUSED:
		put_refused(sample, buf);
		break;
	case _TOP_FACTS:
		break;
	}
	return buf;
}

double top_fact_share(enum top_fact fact, const struct top_sample *sample)
{
	if (fact == TOP_FACT_CHILDREN && sample->limit > 0)
		return (double)sample->children / (double)sample->limit;
	if (fact == TOP_FACT_LOAD && sample->load > 0)
		return sample->load / count_processors();
	return 0;
}

/* Something is never shown as nothing. */
const char *top_bar(double share, const char *text, int width, char buf[TOP_FACT_MAX])
{
	int inner = width - 2, len = (int)strlen(text);
	int full = share >= 1 ? inner : (int)(share * inner + 0.5);

	if (full == 0 && share > 0)
		full = inner > 0;
	buf[0] = '[';
	memset(buf + 1, ' ', (size_t)inner);
	memset(buf + 1, '|', (size_t)full);
	if (len <= inner)
		memcpy(buf + 1 + inner - len, text, (size_t)len);
	buf[width - 1] = ']';
	buf[width] = '\0';
	return buf;
}
