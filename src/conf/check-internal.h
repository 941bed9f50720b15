/*
 * check-internal: what the files of conf/check share, and nobody else.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_CHECK_INTERNAL_H
#define HATCHD_CONF_CHECK_INTERNAL_H

#include "conf/check.h"
#include "conf/options.h"

/* Whether the option was written down, here or in `defaults`. */
bool check_given(const struct service_conf *service, const char *option);

/* Given by the service itself: what `defaults` give to all is not meant for
 * this one in particular. */
bool check_given_here(const struct service_conf *service, const struct service_conf *defaults,
	const struct conf_option *option);

/* Worth to be judged further, which nearly always all options are. */
bool check_understood(const struct service_conf *service, const char *option);

/* The option as it was written: by its name, or as a flag. */
const char *check_label(
	const struct service_conf *service, const char *option, char buf[OPTION_FLAG_MAX + 2]);

/* "OPTION: TEXT", where the option was given. */
void check_tell_mistake(struct report *report, const struct service_conf *service,
	const char *option, const char *text);
void check_tell_warning(struct report *report, const struct service_conf *service,
	const char *option, const char *text);

/* There is no such option, and there must be one: "service 'x' has no WHAT; write REMEDY". */
void check_tell_missing(struct report *report, const struct service_conf *service,
	const char *what, const char *remedy);

/* Clients of that address of whom a list whose rules that allow are about `scope` (enum
 * access_scope) has none: "UNIX".  NULL: there are no such. */
const char *check_find_left_out(
	const struct service_conf *service, unsigned scope, const struct addr *addr);

/* What a service with `builtin` must and cannot say. */
void check_builtin(const struct service_conf *service, const struct service_conf *defaults,
	struct report *report);

/* What must hold between options for connections that begin with something; settles
 * pending_per_source. */
void check_front(struct service_conf *service, const struct service_conf *defaults,
	struct report *report);

/* What must hold between options for what is looked up about clients. */
void check_lookups(const struct service_conf *service, const struct service_conf *defaults,
	struct report *report);

/* What a service with `redirect` must and cannot say. */
void check_redirect(const struct service_conf *service, const struct service_conf *defaults,
	struct report *report);

/* What a service with `backend` must and cannot say; settles its times, `stop` and where its
 * standard error goes.  After check_redirect(), and when stderr_kind is known. */
void check_backend(struct service_conf *service, const struct service_conf *defaults,
	struct report *report);

/* What a service with `tls` must and cannot say; settles its tickets and its time for a
 * handshake. */
void check_tls(struct service_conf *service, const struct service_conf *defaults,
	struct report *report);

/* Options about programs mean nothing where a worker serves, which `option` says. */
void check_no_program(const struct service_conf *service, const struct service_conf *defaults,
	const char *option, struct report *report);

/* What must hold between options of admission; settles hours and per_source.  0 or -ENOMEM. */
int check_admission(struct service_conf *service, const struct service_conf *defaults,
	struct report *report);

#endif
