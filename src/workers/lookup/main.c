/*
 * hatchd-lookup: asks in the master's place what has to be asked for: the names of clients,
 * the addresses of names, and who of a machine has a connection.
 *
 * Started by hatchd, with the ends of a channel (os/channel, os/lookup) and the number of
 * questions that it has to have room for.  Further arguments say where to ask instead of
 * where this machine does, which is for tests; they are nobody's but the caller's:
 *
 *	servers=127.0.0.1:5353	name servers, as ares_set_servers_ports_csv(3) has them
 *	hosts=FILE		in the place of /etc/hosts
 *	ident-port=PORT		in the place of 113
 *	time=SECONDS		to wait for an answer to one try, and to all: as long as a
 *				machine under load may need
 */
#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "base/text.h"
#include "os/sandbox.h"
#include "workers/lookup/desk.h"
#include "workers/lookup/talk.h"
#include "workers/work.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* From the arguments. */
struct places_to_ask {
	const char *servers; /* NULL: those of this machine */
	const char *hosts;
	uint16_t ident_port;
	uint32_t seconds; /* 0: as it is */
};

static int fail(const char *what, int r)
{
	fprintf(stderr, "hatchd-lookup: unable to %s: %s\n", what, strerror(-r));
	return 1;
}

static int usage(void)
{
	fprintf(stderr, "hatchd-lookup: is started by hatchd\n");
	return 2;
}

/* What is behind NAME=, or NULL. */
static const char *value_of(const char *argument, const char *name)
{
	size_t len = strlen(name);

	return strncmp(argument, name, len) == 0 && argument[len] == '=' ? argument + len + 1
	                                                                 : NULL;
}

static int read_port(const char *text, uint16_t *ret)
{
	uint32_t port;

	if (text_parse_u32(text, &port) < 0 || port == 0 || port > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)port;
	return 0;
}

static int read_seconds(const char *text, uint32_t *ret)
{
	uint32_t seconds;

	if (text_parse_u32(text, &seconds) < 0 || seconds == 0 || seconds > 3600)
		return -EINVAL;
	*ret = seconds;
	return 0;
}

static int read_argument(const char *argument, struct places_to_ask *places)
{
	const char *value;

	if ((value = value_of(argument, "ident-port")))
		return read_port(value, &places->ident_port);
	if ((value = value_of(argument, "time")))
		return read_seconds(value, &places->seconds);
	if ((value = value_of(argument, "servers")))
		places->servers = value;
	else if ((value = value_of(argument, "hosts")))
		places->hosts = value;
	return value ? 0 : -EINVAL;
}

static int read_arguments(char **arguments, struct places_to_ask *ret)
{
	int r = 0;

	for (; *arguments && r == 0; arguments++)
		r = read_argument(*arguments, ret);
	return r;
}

/* A device or a FIFO in its place has no say in when this goes on. */
static int read_file(const char *path, char **ret_text, size_t *ret_len)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return -errno;
	return fd_read_all(fd, HOSTS_BYTES_MAX, ret_text, ret_len);
}

/* Without it names are looked up elsewhere. */
static int read_hosts(const char *path, struct hosts **ret)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = read_file(path, &text, &len);

	if (r < 0 && r != -ENOENT)
		fprintf(stderr, "hatchd-lookup: unable to read %s: %s, going on without it\n",
			path, strerror(-r));
	r = hosts_new(text ? text : "", len, ret);
	if (r == 0 && hosts_are_cut(*ret))
		fprintf(stderr,
			"hatchd-lookup: %s has more than %d names, leaving out the rest\n",
			path, HOSTS_MAX);
	return r;
}

static int shut_in(void)
{
	const struct sandbox sandbox = {.groups = SANDBOX_INTERNET, .max_fds = DESK_FDS};
	struct sandbox_report report;
	int r = sandbox_enter(&sandbox, &report);

	return r < 0 ? fail(report.failed ? report.failed : "enter the sandbox", r) : 0;
}

static int open_desk(const struct places_to_ask *places, const struct hosts *hosts, uint32_t n,
	struct desk **ret)
{
	struct desk_setup setup = {
		.places = n,
		.hosts = hosts,
		.servers = places->servers,
		.try_msec = NAMES_TRY_MSEC,
		.ident_port = places->ident_port,
		.flight_time = DESK_FLIGHT_TIME,
	};
	int r = names_init(places->servers, &setup.sources);

	if (r < 0)
		return r;
	if (places->seconds > 0) {
		setup.try_msec = (int)places->seconds * 1000;
		setup.flight_time = places->seconds * USEC_PER_SEC;
	}
	if (getrandom(setup.key, sizeof setup.key, 0) != sizeof setup.key)
		return -errno;
	return desk_new(&setup, ret);
}

static int answer(struct desk *desk)
{
	int r;

	if (shut_in() != 0)
		return 1;
	r = desk_run(desk);
	return r < 0 ? fail("go on", r) : 0;
}

int main(int argc, char **argv)
{
	struct places_to_ask places = {.hosts = "/etc/hosts", .ident_port = TALK_PORT};
	uint32_t n = argc < 2 ? 0 : work_places(2, argv);
	struct hosts *hosts = NULL;
	struct desk *desk = NULL;
	int r;

	if (n == 0 || read_arguments(argv + 2, &places) < 0)
		return usage();
	work_begin("hatchd-lookup");
	/* Who has left is told by an error. */
	signal(SIGPIPE, SIG_IGN);
	r = read_hosts(places.hosts, &hosts);
	if (r == 0)
		r = open_desk(&places, hosts, n, &desk);
	r = r < 0 ? fail("begin", r) : answer(desk);
	desk_free(desk);
	hosts_free(hosts);
	names_done();
	return r;
}
