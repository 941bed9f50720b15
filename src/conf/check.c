#include "conf/check.h"

#include "conf/check-internal.h"
#include "conf/merge.h"

#include <limits.h>
#include <net/if.h>
#include <string.h>
#include <sys/stat.h>

/* The words of `stderr`, by enum stderr_kind; anything else is a path. */
static const char *const stderr_words[] = {
	[STDERR_LOG] = "log",
	[STDERR_SOCKET] = "socket",
	[STDERR_NULL] = "null",
};

bool check_given(const struct service_conf *service, const char *option)
{
	return service_conf_given(service, conf_option_find(option));
}

bool check_given_here(const struct service_conf *service, const struct service_conf *defaults,
	const struct conf_option *option)
{
	const struct origin *a, *b;

	if (!service_conf_given(service, option))
		return false;
	if (!service_conf_given(defaults, option))
		return true;
	a = service_conf_given_at(service, option);
	b = service_conf_given_at(defaults, option);
	return a->file != b->file || a->line != b->line || a->column != b->column;
}

bool check_understood(const struct service_conf *service, const char *option)
{
	return !service_conf_mistaken_any(service) ||
	       !service_conf_mistaken(service, conf_option_find(option));
}

const char *check_label(
	const struct service_conf *service, const char *option, char buf[OPTION_FLAG_MAX + 2])
{
	return merge_label(conf_option_find(option), service_conf_origin(service, option), buf);
}

void check_tell_mistake(struct report *report, const struct service_conf *service,
	const char *option, const char *text)
{
	char label[OPTION_FLAG_MAX + 2];

	report_mistake(report, service_conf_origin(service, option), "%s: %s",
		check_label(service, option, label), text);
}

void check_tell_warning(struct report *report, const struct service_conf *service,
	const char *option, const char *text)
{
	char label[OPTION_FLAG_MAX + 2];

	report_warning(report, service_conf_origin(service, option), "%s: %s",
		check_label(service, option, label), text);
}

/* A missing option may be one whose name was misspelt: where names are unknown,
 * what is not there is not missed yet. */
void check_tell_missing(struct report *report, const struct service_conf *service,
	const char *what, const char *remedy)
{
	if (!service->unknown)
		report_mistake(report, &service->origin, "service '%s' has no %s; write %s",
			service->name, what, remedy);
}

/* A service has exactly one of them. */
static const char *const handlers[] = {"exec", "shell", "builtin", "redirect"};

/* `builtin = none` says that there is none. */
static bool has_handler(const struct service_conf *service, const char *option)
{
	if (strcmp(option, "builtin") != 0 || !check_understood(service, option))
		return check_given(service, option);
	return service->builtin != BUILTIN_NONE;
}

/* It starts nothing. */
static void check_sensor_program(const struct service_conf *service, struct report *report)
{
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
		if (has_handler(service, handlers[i]))
			check_tell_warning(report, service, handlers[i],
				"has no effect with sensor = yes: nothing is started");
}

/* What serves the clients; NULL if that is missing, or after a mistake. */
static const char *find_handler(const struct service_conf *service, struct report *report)
{
	const char *found = NULL;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
		if (!has_handler(service, handlers[i]))
			continue;
		found = handlers[i];
		n++;
	}
	if (n == 0)
		check_tell_missing(report, service, "program",
			"exec = { \"/path/of/program\" }, shell = '...', builtin = echo or "
			"redirect = ADDRESS");
	if (n > 1)
		check_tell_mistake(report, service, found,
			"a service has only one of exec, shell, builtin and redirect");
	return n == 1 ? found : NULL;
}

static void check_exec(const struct service_conf *service, struct report *report)
{
	if (strv_length(service->exec) == 0 || service->exec[0][0] == '\0')
		check_tell_mistake(report, service, "exec", "the program is missing");
	else if (service->exec[0][0] != '/' && !report->adhoc)
		check_tell_mistake(report, service, "exec",
			strcmp(service->exec[0], "internal") == 0
				? "what inetd has inside is builtin = echo and so on"
				: "the program must be an absolute path, such as /usr/bin/tr");
}

static void check_program(const struct service_conf *service, struct report *report)
{
	const char *handler;

	if (service->sensor || !check_understood(service, "sensor")) {
		if (service->sensor)
			check_sensor_program(service, report);
		return;
	}
	handler = find_handler(service, report);
	if (handler && strcmp(handler, "exec") == 0 && check_understood(service, "exec"))
		check_exec(service, report);
	else if (handler && strcmp(handler, "redirect") == 0 &&
		 check_understood(service, "redirect") && !service->redirect[0])
		check_tell_mistake(report, service, "redirect", "the address is missing");
}

static void check_listen(const struct service_conf *service, struct report *report)
{
	bool named = service_conf_has_mux(service) || !check_understood(service, "tcpmux");

	if (!check_given(service, "listen") && named)
		return;
	if (!check_given(service, "listen"))
		check_tell_missing(report, service, "address", "listen = tcp:PORT");
	else if (check_understood(service, "listen") && strv_length(service->listen_text) == 0)
		check_tell_mistake(report, service, "listen", "the address is missing");
}

static void check_wait(const struct service_conf *service, struct report *report)
{
	bool waits = service->wait || !check_understood(service, "wait");

	if (service->pass_as == PASS_LISTEN_FDS && !waits)
		check_tell_mistake(report, service, "pass_as", "listen_fds needs wait = yes");
	if (service->pass_as == PASS_LISTEN_FDS && service->n_listen > CONF_LISTEN_FDS_MAX)
		report_mistake(report, service_conf_origin(service, "pass_as"),
			"pass_as: listen_fds passes at most %d sockets", CONF_LISTEN_FDS_MAX);
}

/* As far as that can be told. */
static bool gets_all_sockets(const struct service_conf *service)
{
	return (service->wait || !check_understood(service, "wait")) &&
	       (service->pass_as == PASS_LISTEN_FDS || !check_understood(service, "pass_as"));
}

/* Who gets all sockets once takes clients for long; who gets one connection, or is started to
 * be connected to, is ready when he is there. */
static void check_notify(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	const struct conf_option *timeout = conf_option_find("ready_timeout");

	if (!check_understood(service, "notify"))
		return;
	if (!service->notify && check_given_here(service, defaults, timeout))
		check_tell_warning(report, service, "ready_timeout",
			report->adhoc ? "has no effect without --notify"
				      : "has no effect without notify = yes");
	if (!service->notify)
		return;
	if (service_conf_says_backend(service))
		check_tell_mistake(report, service, "notify",
			"a backend is ready when it takes clients; leave that out");
	else if (service_conf_has_program(service) && !gets_all_sockets(service))
		check_tell_mistake(
			report, service, "notify", "needs wait = yes and pass_as = listen_fds");
}

/* What the service manager hands over may be a socket of datagrams. */
static bool may_have_peers(const struct service_conf *service)
{
	for (size_t i = 0; i < service->n_listen; i++) {
		const struct addr *addr = &service->listen[i].addr;

		if (service_conf_has_peers(service, addr) || addr->kind == ADDR_FD)
			return true;
	}
	return false;
}

/* Who sends datagrams has no connection that would show how long he is silent. */
static void check_peers(const struct service_conf *service, const struct service_conf *defaults,
	struct report *report)
{
	static const char *const options[] = {"session_timeout", "per_datagram"};

	if (!check_understood(service, "listen") || !check_understood(service, "wait") ||
		!check_understood(service, "builtin"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(options) && !may_have_peers(service); i++) {
		if (check_given_here(service, defaults, conf_option_find(options[i])))
			check_tell_warning(report, service, options[i],
				"has no effect: no program is started for a datagram");
	}
}

static void check_stderr(struct service_conf *service, struct report *report)
{
	if (!check_understood(service, "stderr"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(stderr_words); i++) {
		if (strcmp(service->stderr_to, stderr_words[i]) == 0) {
			service->stderr_kind = (int)i;
			return;
		}
	}
	service->stderr_kind = STDERR_FILE;
	if (service->stderr_to[0] != '/')
		check_tell_mistake(report, service, "stderr",
			"must be log, socket, null or an absolute path");
}

static void check_device(const struct service_conf *service, struct report *report)
{
	const char *name = service->bind_to_device;

	if (!name)
		return;
	if (strlen(name) >= IF_NAMESIZE)
		check_tell_mistake(report, service, "bind_to_device",
			"the name of an interface has at most 15 characters");
	else if (strpbrk(name, "/ \t\n"))
		check_tell_mistake(
			report, service, "bind_to_device", "this is no name of an interface");
}

static void check_congestion(const struct service_conf *service, struct report *report)
{
	const char *name = service->congestion;

	if (!name)
		return;
	if (strlen(name) >= CONF_CONGESTION_MAX)
		check_tell_mistake(report, service, "congestion",
			"the name of a congestion control has at most 15 characters");
	else if (strpbrk(name, "/ \t\n"))
		check_tell_mistake(report, service, "congestion",
			"this is no name of a congestion control");
}

static bool concerns_any(const struct conf_option *option, const struct service_conf *service)
{
	for (size_t i = 0; i < service->n_listen; i++) {
		if (conf_option_concerns(option, &service->listen[i].addr))
			return true;
	}
	return false;
}

/* How often and how long is said, but not that.  Where no address has them, that is
 * what check_sorts() says. */
static void check_keepalive(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	static const char *const timers[] = {
		"keepalive_time", "keepalive_interval", "keepalive_probes"};

	/* Whoever gives one does not give 0. */
	if (!service->keepalive_time && !service->keepalive_interval &&
		!service->keepalive_probes)
		return;
	if (service->keepalive || !check_understood(service, "keepalive"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
		const struct conf_option *option = conf_option_find(timers[i]);

		if (check_given_here(service, defaults, option) &&
			check_understood(service, timers[i]) && concerns_any(option, service))
			check_tell_warning(report, service, timers[i],
				report->adhoc ? "has no effect without --keepalive"
					      : "has no effect without keepalive = yes");
	}
}

/* Parents of it may be made, but who else may write there decides what is in it. */
static void check_directory_mode(const struct service_conf *service, struct report *report)
{
	if (check_understood(service, "directory_mode") && service->directory_mode & S_IWOTH)
		check_tell_warning(report, service, "directory_mode",
			"everybody may put something else in the place of the socket");
}

/* The socket that links lead to; NULL if there is none, or more than one. */
static const struct addr *find_only_path(const struct service_conf *service)
{
	const struct addr *found = NULL;

	for (size_t i = 0; i < service->n_listen; i++) {
		const struct addr *addr = &service->listen[i].addr;

		if (!addr_is_path(addr))
			continue;
		if (found)
			return NULL;
		found = addr;
	}
	return found;
}

static void check_symlinks(struct service_conf *service, struct report *report)
{
	const struct addr *addr = find_only_path(service);

	if (strv_length(service->symlinks) == 0 || !check_understood(service, "listen"))
		return;
	if (!addr) {
		check_tell_mistake(report, service, "symlinks",
			"the service must have exactly one UNIX socket with a path");
		service_conf_set_mistaken(service, conf_option_find("symlinks"), true);
		return;
	}
	for (char **link = service->symlinks; *link; link++) {
		size_t len = strlen(*link);

		if ((*link)[0] != '/' || (*link)[len - 1] == '/' || len >= PATH_MAX)
			check_tell_mistake(report, service, "symlinks",
				"each link must be a full path, such as /run/upper");
		else if (strcmp(*link, addr->un.sun_path) == 0)
			check_tell_mistake(report, service, "symlinks",
				"the socket itself cannot be a link");
	}
}

static const char *const sort_missing[] = {
	[SORT_STREAM] = "the service has no stream socket",
	[SORT_UNIX] = "the service has no UNIX socket",
	[SORT_PATH] = "the service has no UNIX socket with a path",
	[SORT_TCP] = "the service has no TCP address",
	[SORT_UDP] = "the service has no UDP address",
	[SORT_IP] = "the service has no IP address",
	[SORT_IPV6] = "the service has no IPv6 address",
};

/* Options that say nothing to any address of the service. */
static void check_sorts(const struct service_conf *service, const struct service_conf *defaults,
	struct report *report)
{
	if (!check_understood(service, "listen"))
		return;
	for (const struct conf_option *o = conf_options; o->name; o++) {
		if (o->sort == SORT_ANY || !check_given_here(service, defaults, o) ||
			service_conf_mistaken(service, o) || concerns_any(o, service))
			continue;
		check_tell_warning(report, service, o->name, sort_missing[o->sort]);
	}
}

/* An address whose connections nobody can be asked about; NULL if there is none. */
static const struct listen_conf *find_unwatched(const struct service_conf *service)
{
	for (size_t i = 0; i < service->n_listen; i++) {
		if (!addr_shows_silence(&service->listen[i].addr))
			return &service->listen[i];
	}
	return NULL;
}

static void check_silence(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report, const char *name)
{
	const struct conf_option *option = conf_option_find(name);
	const struct listen_conf *unwatched = find_unwatched(service);
	char text[ADDR_TEXT_MAX], label[OPTION_FLAG_MAX + 2];

	if (!check_given_here(service, defaults, option) || !check_understood(service, name) ||
		*(uint64_t *)conf_option_field(option, service) == DURATION_UNLIMITED)
		return;
	if (service->wait)
		check_tell_mistake(report, service, name,
			"needs wait = no: only connections that hatchd accepts are watched");
	else if (unwatched)
		report_mistake(report, service_conf_origin(service, name),
			"%s: only connections of TCP are watched, and %s has none",
			check_label(service, name, label), addr_format(&unwatched->addr, text));
}

/* One that was handed over may be of TCP. */
static bool may_have_tcp(const struct service_conf *service)
{
	for (size_t i = 0; i < service->n_listen; i++)
		if (addr_is_tcp(&service->listen[i].addr) ||
			service->listen[i].addr.kind == ADDR_FD)
			return true;
	return service_conf_has_mux(service);
}

/* Why no bytes would be counted; NULL if they are. */
static const char *find_uncounted(const struct service_conf *service)
{
	if (service_conf_has_worker(service))
		return "has no effect without a program: of other connections the bytes are "
		       "always recorded";
	if (service->wait)
		return "has no effect with wait = yes: the program accepts its clients itself";
	if (service_conf_has_tls(service) || service_conf_is_tls_guest(service))
		return "has no effect with TLS: the program has no connection of TCP";
	return may_have_tcp(service) ? NULL : "the service has no TCP address";
}

static void check_account_bytes(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	const struct conf_option *option = conf_option_find("account_bytes");
	const char *why = find_uncounted(service);

	if (!check_understood(service, "account_bytes") || !check_understood(service, "listen"))
		return;
	if (service->account_bytes && why && check_given_here(service, defaults, option))
		check_tell_warning(report, service, "account_bytes", why);
}

int check_service(struct service_conf *service, const struct service_conf *defaults,
	struct report *report)
{
	check_listen(service, report);
	check_program(service, report);
	check_builtin(service, defaults, report);
	check_redirect(service, defaults, report);
	check_wait(service, report);
	check_notify(service, defaults, report);
	check_peers(service, defaults, report);
	check_stderr(service, report);
	check_backend(service, defaults, report);
	check_device(service, report);
	check_congestion(service, report);
	check_keepalive(service, defaults, report);
	check_directory_mode(service, report);
	check_symlinks(service, report);
	check_silence(service, defaults, report, "first_byte_timeout");
	check_silence(service, defaults, report, "idle_timeout");
	check_account_bytes(service, defaults, report);
	check_sorts(service, defaults, report);
	check_tls(service, defaults, report);
	check_front(service, defaults, report);
	check_lookups(service, defaults, report);
	return check_admission(service, defaults, report);
}
