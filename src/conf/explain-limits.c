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

/* Whom an option makes a difference to. */
enum effect {
	ON_ALL,
	ON_STARTED,  /* for whom a program is started */
	ON_AWAITED,  /* whose program is to say that it is ready */
	ON_ACCEPTED, /* whose connection hatchd takes itself */
	ON_BANNED,   /* of these, who can be banned */
	ON_SEEN,     /* of whom hatchd sees who he is */
	ON_WAITING,  /* of these, who can wait */
	ON_WATCHED,  /* who can be asked how long he is silent */
	ON_ENDED,    /* whose child can be ended */
	ON_FRONTED,  /* whose connection begins with something */
	ON_TLS,      /* who speaks TLS */
	ON_PENDING,  /* who waits for that, or until something is looked up */
	ON_LOOKED_UP,
	ON_PEER,         /* who sends datagrams, and has a session of his own */
	ON_PEER_PROGRAM, /* of these, who has a program */
};

static const struct limit_row {
	const char *word; /* "": as the one before it */
	const char *option;
	enum silence by_default;
	enum effect effect;
} rows[] = {
	/* clang-format off */
	{"per client", "per_source", SAID, ON_ACCEPTED},
	{"", "per_source_rate", NOT_SAID, ON_SEEN},
	{"", "overflow_source", NOT_SAID, ON_ACCEPTED},
	{"", "ban_scope", SAID, ON_BANNED},
	{"for all", "instances", SAID, ON_ALL},
	{"", "total_instances", SAID, ON_ALL},
	{"", "rate", NOT_SAID, ON_ALL},
	{"", "max_load", NOT_SAID, ON_ALL},
	{"", "overflow", SAID, ON_WAITING},
	{"at first", "header_timeout", SAID, ON_FRONTED},
	{"", "tls.handshake_timeout", SAID, ON_TLS},
	{"", "lookup_timeout", SAID, ON_LOOKED_UP},
	{"", "pending", SAID, ON_PENDING},
	{"", "pending_per_source", SAID, ON_PENDING},
	{"per child", "start_timeout", NOT_SAID, ON_STARTED},
	{"", "ready_timeout", SAID, ON_AWAITED},
	{"", "time_limit", NOT_SAID, ON_ALL},
	{"", "first_byte_timeout", NOT_SAID, ON_WATCHED},
	{"", "idle_timeout", NOT_SAID, ON_WATCHED},
	{"", "kill_after", SAID, ON_ENDED},
	{"", "session_timeout", SAID, ON_PEER},
	{"", "per_datagram", NOT_SAID, ON_PEER_PROGRAM},
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

static bool is_on_him(const struct explain *e, enum effect effect)
{
	const struct service_conf *service = e->service;

	if (!explain_is_counted(e))
		return false;
	switch (effect) {
	case ON_ALL:
		return true;
	case ON_STARTED:
		return service_conf_has_program(service);
	case ON_AWAITED:
		return service->notify && service_conf_has_program(service);
	case ON_ACCEPTED:
		return !service->wait;
	case ON_BANNED:
		return !service->wait && service->overflow_source > 0 &&
		       !service_conf_has_peers(service, e->addr);
	case ON_SEEN:
		return explain_is_seen(e);
	case ON_WAITING:
		return explain_is_seen(e) && !service_conf_has_peers(service, e->addr);
	case ON_WATCHED:
		return is_watched(e);
	case ON_ENDED:
		return ends_children(e);
	case ON_FRONTED:
		return service_conf_has_front(service);
	case ON_TLS:
		return service_conf_has_tls(service);
	case ON_PENDING:
		return service_conf_has_pending(service);
	case ON_LOOKED_UP:
		return service_conf_has_lookups(service);
	case ON_PEER:
		return service_conf_has_peers(service, e->addr);
	case ON_PEER_PROGRAM:
		return service_conf_has_peers(service, e->addr) &&
		       service_conf_has_program(service);
	}
	return false;
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
		explain_put_origin(e, conf_option_given_at(option, e->conf));
	else if (strcmp(option->name, "per_source") == 0 &&
		 !service_conf_given(e->service, option))
		fputs("half of instances", e->out);
	else if (strcmp(option->name, "pending_per_source") == 0 &&
		 !service_conf_given(e->service, option))
		fputs("half of pending", e->out);
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

	if (!is_on_him(e, row->effect))
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
