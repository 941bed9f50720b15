#include "hatchctl/command.h"
#include "hatchctl/connect/connect-internal.h"
#include "hatchctl/connect/tls-pump.h"

#include <signal.h>
#include <string.h>

static int report_tls(const struct connect *c, const struct tls_pump *pump)
{
	const char *why = tls_explain(pump->tls, pump->error);

	switch (pump->broken) {
	case PUMP_PEER_READ:
		return command_failed("the connection to %s broke off: %s", c->text, why);
	case PUMP_PEER_WRITE:
		return command_failed("unable to write to %s: %s", c->text, why);
	default:
		return connect_report(c, pump->broken, -pump->error);
	}
}

static int talk_in_tls(const struct connect *c, struct tls *tls, int peer)
{
	_cleanup_tls_pump_ struct tls_pump *pump = NULL;

	pump = tls_pump_new(STDIN_FILENO, STDOUT_FILENO, tls, peer);
	if (!pump)
		return command_failed("unable to talk to %s: %s", c->text, strerror(ENOMEM));

	pump->ends_with_answer = isatty(STDIN_FILENO);
	pump->narrate = c->verbose ? connect_narrate_event : NULL;
	tls_pump_run(pump);
	return report_tls(c, pump);
}

/* Whoever has said so is told each time that nobody has looked. */
static void warn_of_doubt(const struct connect *c, const struct tls *tls)
{
	const char *doubt = tls_doubt(tls);

	if (c->tls.insecure)
		command_warn("whoever answers at %s is not verified (--insecure)%s%s", c->text,
			doubt ? ": " : ", and could have been", doubt ? doubt : "");
}

/* The library writes to the socket as to a pipe, and its end must not be ours. */
static int speak_tls(const struct connect *c, struct tls *tls, int peer)
{
	int r;

	signal(SIGPIPE, SIG_IGN);
	r = tls_shake_hands(tls, peer);
	if (r < 0)
		return command_failed(
			"unable to connect to %s: %s", c->text, tls_explain(tls, r));
	warn_of_doubt(c, tls);
	return talk_in_tls(c, tls, peer);
}

/* What is wrong with our own files is found out before anybody is bothered. */
int connect_tls(const struct connect *c)
{
	_cleanup_dial_list_ struct dial_list list = {0};
	_cleanup_close_ int peer = -EBADF;
	_cleanup_tls_ struct tls *tls = NULL;
	char why[TLS_WHY_MAX];
	size_t next = 0;

	tls = tls_new(&c->tls, why);
	if (!tls)
		return command_failed("%s", why);
	if (connect_dial(c, &list, &next, &peer) != COMMAND_DONE)
		return COMMAND_FAILED;
	return speak_tls(c, tls, peer);
}
