#include "conf/check.h"

#include "conf/hours-conf.h"
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

static bool given(const struct service_conf *service, const char *option)
{
	return service_conf_given(service, conf_option_find(option));
}

/* Worth to be judged further, which nearly always all options are. */
static bool understood(const struct service_conf *service, const char *option)
{
	return !service_conf_mistaken_any(service) ||
	       !service_conf_mistaken(service, conf_option_find(option));
}

static void mistake(struct report *report, const struct service_conf *service,
	const char *option, const char *text)
{
	const struct origin *origin = service_conf_origin(service, option);
	char label[OPTION_FLAG_MAX + 2];

	report_mistake(report, origin, "%s: %s",
		merge_label(conf_option_find(option), origin, label), text);
}

/* The option as it was written: by its name, or as a flag. */
static const char *label_of(
	const struct service_conf *service, const char *option, char buf[OPTION_FLAG_MAX + 2])
{
	return merge_label(conf_option_find(option), service_conf_origin(service, option), buf);
}

static void warning(struct report *report, const struct service_conf *service,
	const char *option, const char *text)
{
	const struct origin *origin = service_conf_origin(service, option);
	char label[OPTION_FLAG_MAX + 2];

	report_warning(report, origin, "%s: %s",
		merge_label(conf_option_find(option), origin, label), text);
}

/* A missing option may be one whose name was misspelt: where names are unknown,
 * what is not there is not missed yet. */
static void missing(struct report *report, const struct service_conf *service, const char *what,
	const char *remedy)
{
	if (!service->unknown)
		report_mistake(report, &service->origin, "service '%s' has no %s; write %s",
			service->name, what, remedy);
}

/* It starts nothing. */
static void check_sensor_program(const struct service_conf *service, struct report *report)
{
	const char *const programs[] = {"exec", "shell"};

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (given(service, programs[i]))
			warning(report, service, programs[i],
				"has no effect with sensor = yes: nothing is started");
}

static void check_program(const struct service_conf *service, struct report *report)
{
	if (service->sensor || !understood(service, "sensor")) {
		if (service->sensor)
			check_sensor_program(service, report);
		return;
	}
	if (given(service, "exec") && given(service, "shell")) {
		mistake(report, service, "shell",
			"a service has either exec or shell, not both");
		return;
	}
	if (given(service, "shell") || !understood(service, "exec"))
		return;
	if (!given(service, "exec"))
		missing(report, service, "program",
			"exec = { \"/path/of/program\" } or shell = '...'");
	else if (strv_length(service->exec) == 0 || service->exec[0][0] == '\0')
		mistake(report, service, "exec", "the program is missing");
	else if (service->exec[0][0] != '/' && !report->adhoc)
		mistake(report, service, "exec",
			"the program must be an absolute path, such as /usr/bin/tr");
}

static void check_listen(const struct service_conf *service, struct report *report)
{
	if (!given(service, "listen"))
		missing(report, service, "address", "listen = tcp:PORT");
	else if (understood(service, "listen") && strv_length(service->listen_text) == 0)
		mistake(report, service, "listen", "the address is missing");
}

/* One child per datagram peer needs a demultiplexer between the socket and it. */
static void tell_datagram(const struct origin *origin, struct report *report)
{
	report_mistake(report, origin,
		"a datagram socket needs %s: one program takes all datagrams; one child per "
		"client comes in a later version",
		report->adhoc ? "--wait" : "wait = yes");
}

/* What is said of a peer that nobody has heard an answer from is worth nothing. */
static void check_sensor(const struct service_conf *service, struct report *report)
{
	if (!service->sensor)
		return;
	if (service->wait)
		mistake(report, service, "sensor",
			"hatchd takes the clients itself; leave out wait = yes");
	for (size_t i = 0; i < service->n_listen; i++) {
		if (!addr_is_datagram(&service->listen[i].addr))
			continue;
		report_mistake(report, &service->listen[i].origin,
			"a sensor needs connections: who sends a datagram can say that he is "
			"somebody else");
		return;
	}
}

static void check_wait(const struct service_conf *service, struct report *report)
{
	bool waits = service->wait || !understood(service, "wait");

	if (service->pass_as == PASS_LISTEN_FDS && !waits)
		mistake(report, service, "pass_as", "listen_fds needs wait = yes");
	if (service->pass_as == PASS_LISTEN_FDS && service->n_listen > CONF_LISTEN_FDS_MAX)
		report_mistake(report, service_conf_origin(service, "pass_as"),
			"pass_as: listen_fds passes at most %d sockets", CONF_LISTEN_FDS_MAX);

	for (size_t i = 0; i < service->n_listen && !waits && !service->sensor; i++) {
		if (!addr_is_datagram(&service->listen[i].addr))
			continue;
		tell_datagram(&service->listen[i].origin, report);
		return;
	}
}

static void check_stderr(struct service_conf *service, struct report *report)
{
	if (!understood(service, "stderr"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(stderr_words); i++) {
		if (strcmp(service->stderr_to, stderr_words[i]) == 0) {
			service->stderr_kind = (int)i;
			return;
		}
	}
	service->stderr_kind = STDERR_FILE;
	if (service->stderr_to[0] != '/')
		mistake(report, service, "stderr",
			"must be log, socket, null or an absolute path");
}

/* Given by the service itself: what `defaults` give to all is not meant for
 * this one in particular. */
static bool given_here(const struct service_conf *service, const struct service_conf *defaults,
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

/* Nobody may take a whole service unless the file says so. */
static void settle_per_source(struct service_conf *service, const struct service_conf *defaults,
	struct report *report)
{
	uint32_t n = service->instances;

	if (!understood(service, "instances") || !understood(service, "per_source"))
		return;
	if (n == 0)
		warning(report, service, "instances", "0 serves nobody; every client waits");

	if (!given(service, "per_source"))
		service->per_source = n == COUNT_UNLIMITED ? n : n / 2 + (n == 1);
	else if (service->wait && given_here(service, defaults, conf_option_find("per_source")))
		warning(report, service, "per_source",
			"has no effect with wait = yes: the program takes its clients itself");
	else if (service->per_source == 0 && n != 0)
		warning(report, service, "per_source", "0 serves nobody");
	else if (!service->wait && n != 0 && n != COUNT_UNLIMITED &&
		 service->per_source != COUNT_UNLIMITED && service->per_source > n)
		warning(report, service, "per_source",
			"above instances: a single address can take the whole service");
}

/* Nobody looks at clients that the program takes by itself.  A rule that would not be
 * kept is a mistake: who has written it relies on it. */
static void check_access_wait(const struct service_conf *service,
	const struct service_conf *defaults, const char *option, struct report *report)
{
	bool here = given_here(service, defaults, conf_option_find(option));
	bool udp = false, others = false;

	if (!given(service, option) || !service->wait || !understood(service, "wait"))
		return;
	for (size_t i = 0; i < service->n_listen; i++) {
		bool is_udp = addr_is_udp(&service->listen[i].addr);

		udp = udp || is_udp;
		others = others || !is_udp;
	}
	if (others && here)
		mistake(report, service, option,
			"cannot be kept with wait = yes: the program takes its clients itself");
	else if (others)
		warning(report, service, option,
			"has no effect with wait = yes: the program takes its clients itself");
	else if (udp && here)
		warning(report, service, option,
			"with wait = yes only the datagram that starts the program is checked");
}

/* Clients of an address that only_from has nothing for; NULL: there are no such. */
static const char *left_out(const struct service_conf *service, const struct addr *addr)
{
	unsigned scope = service->access->scope;
	bool v6 = addr_family(addr) == AF_INET6;
	bool v4 = addr_takes_ipv4(addr, service->v6only);

	if (addr_family(addr) == AF_UNIX)
		return scope & ACCESS_OF_UNIX ? NULL : "UNIX";
	if (addr_family(addr) == AF_VSOCK)
		return scope & ACCESS_OF_VSOCK ? NULL : "vsock";
	if (v4 && v6 && !(scope & (ACCESS_OF_IPV4 | ACCESS_OF_IPV6)))
		return "IP";
	if (v6 && !(scope & ACCESS_OF_IPV6) && (!v4 || scope & ACCESS_ALL_IPV4))
		return "IPv6";
	if (v4 && !(scope & ACCESS_OF_IPV4) && (!v6 || scope & ACCESS_ALL_IPV6))
		return "IPv4";
	return NULL;
}

static void check_only_from(const struct service_conf *service, struct report *report)
{
	char label[OPTION_FLAG_MAX + 2];
	const char *whom = NULL;

	if (!given(service, "only_from") || !service->access || service->wait ||
		service->condition)
		return;
	if (strv_length(service->only_from) == 0) {
		warning(report, service, "only_from", "is empty: nobody may come in");
		return;
	}
	for (size_t i = 0; i < service->n_listen && !whom; i++)
		whom = left_out(service, &service->listen[i].addr);
	if (whom)
		report_warning(report, service_conf_origin(service, "only_from"),
			"%s: it names no %s client, so all of them are refused",
			label_of(service, "only_from", label), whom);
}

static void check_access(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	check_access_wait(service, defaults, "only_from", report);
	check_access_wait(service, defaults, "no_access", report);
	check_only_from(service, report);
}

/* Who is seen can be refused: his datagram is thrown away. */
static bool sees_senders(const struct service_conf *service)
{
	for (size_t i = 0; i < service->n_listen; i++) {
		if (addr_shows_sender(&service->listen[i].addr))
			return true;
	}
	return false;
}

/* Options that a service with wait = yes makes no use of. */
static void check_wait_limits(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	static const struct {
		const char *option;
		bool for_udp;
	} options[] = {
		{"per_source_rate", true},
		{"source_prefix4", true},
		{"source_prefix6", true},
		{"overflow", true},
		{"overflow_source", false},
		{"ban_scope", false},
	};

	if (!service->wait || !understood(service, "listen"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct conf_option *option = conf_option_find(options[i].option);

		if (!given_here(service, defaults, option) ||
			(options[i].for_udp && sees_senders(service)))
			continue;
		warning(report, service, option->name,
			options[i].for_udp
				? "has no effect with wait = yes but for UDP: the program "
				  "takes its clients itself"
				: "has no effect with wait = yes: the program takes its "
				  "clients itself");
	}
}

static void check_limits(const struct service_conf *service,
	const struct service_conf *defaults, struct report *report)
{
	const struct conf_option *scope = conf_option_find("ban_scope");
	const struct conf_option *time = conf_option_find("ban_time");

	if (understood(service, "rate") && limit_is_set(&service->rate) &&
		service->rate.count == 0)
		warning(report, service, "rate",
			service->overflow == OVERFLOW_REFUSE
				? "0 serves nobody"
				: "0 serves nobody; every client waits");
	if (understood(service, "per_source_rate") && limit_is_set(&service->per_source_rate) &&
		service->per_source_rate.count == 0)
		warning(report, service, "per_source_rate", "0 serves nobody");
	if (given_here(service, defaults, scope) && service->overflow_source == 0 &&
		understood(service, "overflow_source") && understood(service, "ban_scope"))
		warning(report, service, "ban_scope",
			"has no effect without overflow_source = \"ban TIME\"");
	if (given_here(service, defaults, time) && !service->sensor &&
		understood(service, "ban_time"))
		warning(report, service, "ban_time", "has no effect without sensor = yes");
	check_wait_limits(service, defaults, report);
}

static void check_device(const struct service_conf *service, struct report *report)
{
	const char *name = service->bind_to_device;

	if (!name)
		return;
	if (strlen(name) >= IF_NAMESIZE)
		mistake(report, service, "bind_to_device",
			"the name of an interface has at most 15 characters");
	else if (strpbrk(name, "/ \t\n"))
		mistake(report, service, "bind_to_device", "this is no name of an interface");
}

static void check_congestion(const struct service_conf *service, struct report *report)
{
	const char *name = service->congestion;

	if (!name)
		return;
	if (strlen(name) >= CONF_CONGESTION_MAX)
		mistake(report, service, "congestion",
			"the name of a congestion control has at most 15 characters");
	else if (strpbrk(name, "/ \t\n"))
		mistake(report, service, "congestion",
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
	if (service->keepalive || !understood(service, "keepalive"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
		const struct conf_option *option = conf_option_find(timers[i]);

		if (given_here(service, defaults, option) && understood(service, timers[i]) &&
			concerns_any(option, service))
			warning(report, service, timers[i],
				report->adhoc ? "has no effect without --keepalive"
					      : "has no effect without keepalive = yes");
	}
}

/* Parents of it may be made, but who else may write there decides what is in it. */
static void check_directory_mode(const struct service_conf *service, struct report *report)
{
	if (understood(service, "directory_mode") && service->directory_mode & S_IWOTH)
		warning(report, service, "directory_mode",
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

	if (strv_length(service->symlinks) == 0 || !understood(service, "listen"))
		return;
	if (!addr) {
		mistake(report, service, "symlinks",
			"the service must have exactly one UNIX socket with a path");
		service_conf_set_mistaken(service, conf_option_find("symlinks"), true);
		return;
	}
	for (char **link = service->symlinks; *link; link++) {
		size_t len = strlen(*link);

		if ((*link)[0] != '/' || (*link)[len - 1] == '/' || len >= PATH_MAX)
			mistake(report, service, "symlinks",
				"each link must be a full path, such as /run/upper");
		else if (strcmp(*link, addr->un.sun_path) == 0)
			mistake(report, service, "symlinks",
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
	if (!understood(service, "listen"))
		return;
	for (const struct conf_option *o = conf_options; o->name; o++) {
		if (o->sort == SORT_ANY || !given_here(service, defaults, o) ||
			service_conf_mistaken(service, o) || concerns_any(o, service))
			continue;
		warning(report, service, o->name, sort_missing[o->sort]);
	}
}

/* Where a span was written. */
static const struct origin *span_origin(const struct service_conf *service, const char *text)
{
	for (size_t i = 0; service->access_times_at && service->access_times[i]; i++) {
		if (service->access_times[i] == text)
			return &service->access_times_at[i];
	}
	return service_conf_origin(service, "access_times");
}

/* 0 or -ENOMEM. */
static int read_hours(struct service_conf *service, struct report *report)
{
	char shown[DIAG_SHOWN_MAX], label[OPTION_FLAG_MAX + 2];
	const char *text, *why;
	int r;

	if (!given(service, "access_times") || !understood(service, "access_times"))
		return 0;
	if (strv_length(service->access_times) == 0)
		mistake(report, service, "access_times",
			"the times are missing; write 0:00-24:00 for any time");
	r = hours_conf_read(service->access_times, &service->hours, &text, &why);
	if (r != -EINVAL)
		return r;
	report_mistake(report, span_origin(service, text), "%s: '%s' %s",
		label_of(service, "access_times", label), diag_shown(text, strlen(text), shown),
		why);
	return 0;
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

	if (!given_here(service, defaults, option) || !understood(service, name) ||
		*(uint64_t *)conf_option_field(option, service) == DURATION_UNLIMITED)
		return;
	if (service->wait)
		mistake(report, service, name,
			"needs wait = no: only connections that hatchd accepts are watched");
	else if (unwatched)
		report_mistake(report, service_conf_origin(service, name),
			"%s: only connections of TCP are watched, and %s has none",
			label_of(service, name, label), addr_format(&unwatched->addr, text));
}

int check_service(struct service_conf *service, const struct service_conf *defaults,
	struct report *report)
{
	int r;

	check_listen(service, report);
	check_program(service, report);
	check_wait(service, report);
	check_stderr(service, report);
	check_device(service, report);
	check_congestion(service, report);
	check_keepalive(service, defaults, report);
	check_directory_mode(service, report);
	check_symlinks(service, report);
	r = read_hours(service, report);
	if (r < 0)
		return r;
	check_silence(service, defaults, report, "first_byte_timeout");
	check_silence(service, defaults, report, "idle_timeout");
	settle_per_source(service, defaults, report);
	check_access(service, defaults, report);
	check_limits(service, defaults, report);
	check_sensor(service, report);
	check_sorts(service, defaults, report);
	return 0;
}
