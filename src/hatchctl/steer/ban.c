/*
 * hatchctl ban, unban: keep somebody out of the running hatchd, and let him in again.
 */
#include "base/text.h"
#include "conf/conf.h"
#include "hatchctl/ask/request.h"
#include "hatchctl/command.h"
#include "hatchctl/flags.h"
#include "hatchctl/steer/ban-caution.h"
#include "hatchctl/steer/ban-connections.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char ban_help[] =
	"Usage: hatchctl ban [OPTION...] ADDRESS\n"
	"\n"
	"Let nobody in who comes from there: 192.0.2.1, 192.0.2.0/24, 2001:db8::1 (which\n"
	"stands for its /64), 2001:db8::1/128, uid:1000 or vsock:3.  Connections that there\n"
	"are go on.  A reload keeps the ban, a restart forgets it.\n"
	"\n"
	"      --time DURATION    for so long, such as 10min; else until it is lifted\n"
	"      --service SERVICE  from that one; else from all\n"
	"      --kill             end the connections from there as well\n"
	"      --force            also if that is everybody, this machine, or you\n"
	"  -s, --control PATH     the socket of hatchd (/run/hatchd/control)\n"
	"  -h, --help             this text\n"
	"\n"
	"Exit status: 0 done, 1 not done, 2 the command line is wrong, or there is no such\n"
	"service.\n";

static const char unban_help[] =
	"Usage: hatchctl unban [OPTION...] SOURCE\n"
	"\n"
	"Lift the ban of that address or network, as 'hatchctl bans' shows it, and bans that\n"
	"came about by rules (overflow_source, sensor) of all who come from there.\n"
	"\n"
	"      --service SERVICE  bans from that one only; else whatever they are from\n"
	"  -s, --control PATH     the socket of hatchd (/run/hatchd/control)\n"
	"  -h, --help             this text\n"
	"\n"
	"Exit status: 0 done, 1 not done, 2 the command line is wrong, or there is no such\n"
	"ban.\n";

/* What both have on their command lines. */
struct target {
	const char *path; /* of the control socket */
	const char *text; /* as it was written */
	struct addr_net who;
	const char *service; /* NULL: all */
};

static int read_address(const char *command, struct target *target)
{
	switch (addr_net_parse(target->text, &target->who)) {
	case 0:
		return COMMAND_DONE;
	case -EINVAL:
		return command_misused(
			command, "'%s' has a length that it cannot have", target->text);
	case -ENODEV:
		return command_misused(command,
			"'%s' names no interface, or has no place for one", target->text);
	default:
		return command_misused(
			command, "'%s' is not an address or a network", target->text);
	}
}

static int read_target(int argc, char **argv, struct target *target)
{
	const char *command = argv[0];

	if (optind == argc)
		return command_misused(command, "the address is missing");
	if (argc - optind > 1)
		return command_misused(command,
			"unexpected argument '%s': there is one address", argv[optind + 1]);
	if (target->service && command_check_service(command, target->service) != COMMAND_DONE)
		return COMMAND_USAGE;
	target->text = argv[optind];
	return read_address(command, target);
}

/* ", 3 connections ended", or nothing. */
static void describe_killed(size_t n, char *buf, size_t size)
{
	*buf = '\0';
	if (n > 0)
		snprintf(buf, size, "; %zu %s told to end", n,
			n == 1 ? "connection is" : "connections are");
}

static int tell_ban(const struct target *target, const char *duration, size_t n_killed)
{
	char text[512], who[ADDR_NET_TEXT_MAX], killed[64];

	describe_killed(n_killed, killed, sizeof killed);
	snprintf(text, sizeof text, "%s is banned from %s%s%s%s\n",
		addr_net_format(&target->who, who),
		target->service ? target->service : "all services", duration ? " for " : "",
		duration ? duration : "", killed);
	return command_print(text);
}

static int ban(const struct target *target, const char *duration, bool kill)
{
	char words[REQUEST_LINE_MAX], who[ADDR_NET_TEXT_MAX], why[REQUEST_WHY_MAX];
	size_t n = 0;
	int r;

	snprintf(words, sizeof words, "ban %s %s %s", addr_net_format(&target->who, who),
		duration ? duration : "unlimited", target->service ? target->service : "");
	r = request_do(target->path, target->service ? target->service : who, words, NULL);
	if (r != COMMAND_DONE)
		return r;
	if (kill) {
		r = ban_connections_kill(target->path, &target->who, target->service, &n, why);
		if (r < 0)
			return request_tell(who, r, why);
	}
	return tell_ban(target, duration, n);
}

/* It is hatchd that knows how long a ban may be. */
static int check_duration(const char *text)
{
	uint64_t duration;

	if (text && (text_parse_duration(text, &duration) < 0 || strlen(text) > 32))
		return command_misused("ban", "'%s' is not a duration such as 10min", text);
	return COMMAND_DONE;
}

static int check_meant(const struct target *target)
{
	char why[BAN_CAUTION_MAX];

	if (!ban_caution(&target->who, !target->service, getenv("SSH_CONNECTION"), why))
		return COMMAND_DONE;
	return command_failed("%s; --force if meant", why);
}

int command_ban(int argc, char **argv)
{
	struct target target = {0};
	const char *duration = NULL;
	bool kill = false, force = false;
	const struct flag own[] = {
		{"force", &force, NULL},
		{"kill", &kill, NULL},
		{"service", NULL, &target.service},
		{"time", NULL, &duration},
		{NULL, NULL, NULL},
	};
	struct flags flags;
	int r;

	r = flags_parse(argc, argv, "ban", ban_help, own, &flags);
	if (r != COMMAND_DONE || flags.helped)
		return r;
	target.path = flags.control;
	r = read_target(argc, argv, &target);
	if (r == COMMAND_DONE)
		r = check_duration(duration);
	if (r == COMMAND_DONE && !force)
		r = check_meant(&target);
	return r == COMMAND_DONE ? ban(&target, duration, kill) : r;
}

/* ---------------------------------------------------------------------- to let in */

/* Room for by what else somebody is banned. */
#define WIDER_MAX 512

/* Whether that line says that all of them are banned. */
static bool is_banned_by(const struct target *target, struct json_value line)
{
	_cleanup_free_ char *source = json_to_string(json_get(line, "source"));
	struct addr_net net;

	return source && addr_net_parse(source, &net) == 0 &&
	       addr_net_holds(&net, &target->who);
}

/* A text of a line, which may be anybody's; NULL: another one. */
static void put_text(struct json_value value, const char *other, char *buf, size_t size)
{
	_cleanup_free_ char *text = json_to_string(value);
	const char *shown = text ? text : other;

	text_escape(shown, strlen(shown), buf, size);
}

/* Who meant one address may not know that its network is banned: "as 192.0.2.0/24 from all
 * services".  False: it is not. */
static bool find_wider(const struct target *target, char buf[WIDER_MAX])
{
	char source[ADDR_NET_TEXT_MAX], service[4 * SERVICE_NAME_MAX + 1];
	_cleanup_answer_ struct answer answer = {0};
	char words[REQUEST_LINE_MAX], why[REQUEST_WHY_MAX];

	snprintf(words, sizeof words, "bans %s", target->service ? target->service : "");
	if (request_try(target->path, words, &answer, why) < 0)
		return false;
	for (size_t i = 0; i < answer.n_lines; i++) {
		struct json_value line = answer.lines[i];

		if (!is_banned_by(target, line))
			continue;
		put_text(json_get(line, "source"), "", source, sizeof source);
		put_text(json_get(line, "service"), "all services", service, sizeof service);
		snprintf(buf, WIDER_MAX, "as %s from %s", source, service);
		return true;
	}
	return false;
}

static int tell_lifted(const struct target *target, uint64_t n)
{
	char text[512], who[ADDR_NET_TEXT_MAX], wider[WIDER_MAX];

	addr_net_format(&target->who, who);
	if (find_wider(target, wider))
		command_warn("%s is still banned, %s", who, wider);
	snprintf(text, sizeof text, "%" PRIu64 " %s of %s lifted\n", n, n == 1 ? "ban" : "bans",
		who);
	return command_print(text);
}

static int unban(const struct target *target)
{
	_cleanup_answer_ struct answer answer = {0};
	char words[REQUEST_LINE_MAX], who[ADDR_NET_TEXT_MAX], why[REQUEST_WHY_MAX];
	char wider[WIDER_MAX];
	int r;

	snprintf(words, sizeof words, "unban %s %s", addr_net_format(&target->who, who),
		target->service ? target->service : "");
	r = request_try(target->path, words, &answer, why);
	if (r == -ESRCH && find_wider(target, wider)) {
		command_failed("%s: %s; it is banned %s", who, why, wider);
		return request_status(r);
	}
	if (r < 0)
		return request_tell(who, r, why);
	return tell_lifted(target, request_number(&answer, "lifted"));
}

int command_unban(int argc, char **argv)
{
	struct target target = {0};
	const struct flag own[] = {{"service", NULL, &target.service}, {NULL, NULL, NULL}};
	struct flags flags;
	int r;

	r = flags_parse(argc, argv, "unban", unban_help, own, &flags);
	if (r != COMMAND_DONE || flags.helped)
		return r;
	target.path = flags.control;
	r = read_target(argc, argv, &target);
	return r == COMMAND_DONE ? unban(&target) : r;
}
