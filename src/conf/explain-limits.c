/*
 * explain-limits: what is limited for one client, and which line says so.
 */
#include "base/clock.h"
#include "conf/explain-internal.h"
#include "conf/format.h"
#include "conf/print.h"

#include <stdlib.h>
#include <string.h>

/* Width of OPTION = VALUE. */
#define SETTING_WIDTH 32

/* Room for one of them; longer values there are not. */
#define SETTING_MAX 128

/* What is said of an option that nobody has written down. */
enum silence {
	SAID,     /* its value */
	NOT_SAID, /* nothing: it is of no importance, or limits nothing */
};

static const struct limit_row {
	const char *word; /* "": as the one before it */
	const char *option;
	enum silence by_default;
} rows[] = {
	/* clang-format off */
	{"per client", "per_source", SAID},
	{"", "per_source_rate", NOT_SAID},
	{"", "overflow_source", NOT_SAID},
	{"", "ban_scope", SAID},
	{"for all", "instances", SAID},
	{"", "total_instances", SAID},
	{"", "rate", NOT_SAID},
	{"", "max_load", NOT_SAID},
	{"", "overflow", SAID},
	{"per child", "start_timeout", NOT_SAID},
	{"", "time_limit", NOT_SAID},
	{"", "first_byte_timeout", NOT_SAID},
	{"", "idle_timeout", NOT_SAID},
	{"", "kill_after", SAID},
	/* clang-format on */
};

static bool is_endless(uint64_t duration)
{
	return duration == DURATION_UNLIMITED;
}

/* Can it be asked how long he is silent? */
static bool is_watched(const struct explain *e)
{
	return !e->service->wait && addr_shows_silence(e->addr);
}

/* Does anything end its children? */
static bool ends_children(const struct explain *e)
{
	const struct service_conf *service = e->service;

	return !is_endless(service->time_limit) ||
	       (is_watched(e) && (!is_endless(service->first_byte_timeout) ||
					 !is_endless(service->idle_timeout)));
}

/* Does this option make any difference to him? */
static bool has_effect(const struct explain *e, const char *option)
{
	const struct service_conf *service = e->service;

	if (strcmp(option, "per_source") == 0 || strcmp(option, "overflow_source") == 0)
		return !service->wait;
	if (strcmp(option, "ban_scope") == 0)
		return !service->wait && service->overflow_source > 0;
	if (strcmp(option, "per_source_rate") == 0 || strcmp(option, "overflow") == 0)
		return explain_is_seen(e);
	if (strcmp(option, "first_byte_timeout") == 0 || strcmp(option, "idle_timeout") == 0)
		return is_watched(e);
	if (strcmp(option, "kill_after") == 0)
		return ends_children(e);
	return true;
}

/* OPTION = VALUE, as it would be written.  0 or -ENOMEM. */
static int format_setting(
	const struct explain *e, const struct conf_option *option, char buf[SETTING_MAX])
{
	const void *base = option->flags & OPTION_GLOBAL ? (const void *)e->conf : e->service;
	_cleanup_strv_ char **values = NULL;
	_cleanup_free_ char *quoted = NULL;

	if (format_option(option, base, &values) < 0)
		return -ENOMEM;
	quoted = print_quote(values[0]);
	if (!quoted)
		return -ENOMEM;
	snprintf(buf, SETTING_MAX, "%s = %s", option->name, quoted);
	return 0;
}

/* Who has said that. */
static void put_source(const struct explain *e, const struct conf_option *option)
{
	double load;

	if (option->flags & OPTION_GLOBAL)
		explain_put_origin(e, &e->conf->total_instances_at);
	else if (strcmp(option->name, "per_source") == 0 &&
		 !service_conf_given(e->service, option))
		fputs("half of instances", e->out);
	else
		explain_put_given(e, option);
	if (strcmp(option->name, "max_load") == 0 && getloadavg(&load, 1) == 1)
		fprintf(e->out, ", it is %.2f now", load);
}

static int put_setting(
	const struct explain *e, const char *word, const struct conf_option *option)
{
	char setting[SETTING_MAX];

	explain_put_word(e, word);
	if (option->flags & OPTION_GLOBAL && e->conf->total_instances == 0) {
		fprintf(e->out, "%-*s  as many as the machine allows\n", SETTING_WIDTH,
			option->name);
		return 0;
	}
	if (format_setting(e, option, setting) < 0)
		return -ENOMEM;
	fprintf(e->out, "%-*s  ", SETTING_WIDTH, setting);
	put_source(e, option);
	fputc('\n', e->out);
	return 0;
}

static bool is_said(const struct explain *e, const struct limit_row *row)
{
	const struct conf_option *option = conf_option_find(row->option);

	if (!has_effect(e, row->option))
		return false;
	if (service_conf_given(e->service, option))
		return true;
	if (strcmp(row->option, "per_source") == 0)
		return e->service->per_source != COUNT_UNLIMITED;
	return row->by_default == SAID;
}

/* What he is told apart by, if that is not what he is. */
static void put_source_of(const struct explain *e)
{
	const struct service_conf *service = e->service;
	char text[ADDR_SOURCE_TEXT_MAX];
	struct addr_source source = e->peer.peer.who;

	if (!explain_is_seen(e))
		return;
	addr_source_cut(&source, service->source_prefix4, service->source_prefix6);
	addr_source_format(&source, service->source_prefix4, service->source_prefix6, text);
	if (strcmp(text, e->peer.shown) == 0)
		return;
	explain_put_word(e, "counts as");
	fputs(text, e->out);
	explain_put_by(
		e, conf_option_find(source.family == ADDR_SOURCE_IPV4 ? "source_prefix4"
								      : "source_prefix6"));
}

int explain_limits(const struct explain *e)
{
	const char *word = "";

	put_source_of(e);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		word = rows[i].word[0] ? rows[i].word : word;
		if (!is_said(e, &rows[i]))
			continue;
		if (put_setting(e, word, conf_option_find(rows[i].option)) < 0)
			return -ENOMEM;
		word = "";
	}
	return 0;
}
