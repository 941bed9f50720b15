#include "hatchctl/top/batch.h"

#include "base/clock.h"
#include "hatchctl/command.h"
#include "hatchctl/top/facts.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

static void put_facts(FILE *out, const struct top_sample *sample)
{
	char text[TOP_FACT_MAX], label[32];

	for (int i = 0; i < _TOP_FACTS; i++) {
		enum top_fact fact = (enum top_fact)i;

		snprintf(label, sizeof label, "%s:", top_fact_label(fact));
		fprintf(out, "%-13s%s\n", label, top_fact(fact, sample, text));
	}
}

/* Without blanks at the end. */
static void put_line(FILE *out, char *line)
{
	size_t len = strlen(line);

	while (len > 0 && line[len - 1] == ' ')
		len--;
	fprintf(out, "%.*s\n", (int)len, line);
}

/* The heads, or the cells of a row. */
static void put_row(FILE *out, const struct top_layout *layout, const struct top_sample *sample,
	const size_t *row)
{
	char line[TOP_COLUMNS_MAX * (TOP_CELL_MAX + 2)], cell[TOP_CELL_MAX];
	size_t len = 0;

	for (size_t i = 0; i < layout->n_places; i++) {
		const struct top_place *place = &layout->places[i];

		if (row)
			top_cell(place, sample, *row, cell);
		else
			top_head(place, cell);
		len += (size_t)snprintf(line + len, sizeof line - len, "%*s%s",
			i > 0 ? layout->gap : 0, "", cell);
	}
	put_line(out, line);
}

static void put_table(FILE *out, const struct top_layout *layout, const struct top_view *view,
	const struct top_sample *sample)
{
	put_row(out, layout, sample, NULL);
	for (size_t i = 0; i < view->n_rows; i++)
		put_row(out, layout, sample, &view->rows[i]);
}

static int print(struct top_state *state, const struct top_sample *sample, bool first)
{
	if (top_view_update(&state->view, sample) < 0)
		return command_failed("unable to sort: %s", strerror(ENOMEM));
	if (top_view_is_lost(&state->view, sample))
		return answer_refused("no such service");
	top_layout_make(&state->layout, &state->view, sample, 0);
	if (!first)
		fputc('\n', stdout);
	put_facts(stdout, sample);
	fputc('\n', stdout);
	put_table(stdout, &state->layout, &state->view, sample);
	return command_print("");
}

static int wait_for(int fd, uint64_t usec)
{
	struct pollfd slot = {.fd = fd, .events = POLLIN};
	const struct timespec time = {.tv_sec = (time_t)(usec / USEC_PER_SEC),
		.tv_nsec = (long)(usec % USEC_PER_SEC * 1000)};

	return ppoll(&slot, 1, &time, NULL);
}

/* 0 when there is a new sample, or a negative errno. */
static int take_sample(struct top_source *source)
{
	int r = top_source_start(source, clock_monotonic());

	while (r == 0) {
		wait_for(source->question.fd, QUESTION_PATIENCE * USEC_PER_SEC);
		r = top_source_turn(source);
		if (r == 0)
			r = top_source_expire(source, clock_monotonic());
	}
	return r > 0 ? 0 : r;
}

int top_batch(struct top_source *source, struct top_state *state, uint64_t count)
{
	uint64_t next = clock_monotonic(), now, n = 0;
	int r = COMMAND_DONE;

	while (r == COMMAND_DONE && (count == 0 || n < count)) {
		if (take_sample(source) < 0)
			return answer_refused(source->question.why);
		if (source->sample->compared)
			r = print(state, source->sample, n++ == 0);
		next += state->delay;
		now = clock_monotonic();
		if (next > now && (count == 0 || n < count))
			wait_for(-1, next - now);
	}
	return r;
}
