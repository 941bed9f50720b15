/*
 * volley: many datagrams under way at a time, from one socket, to a service that sends each
 * back.  What has come back is read in one call, and sent again in another, so that this
 * costs less than the service does: it is the service that is measured.
 *
 *	volley [-c DATAGRAMS] [-t SECONDS] [-w WARMUP] [-d ADDRESS] [-a PROCESSOR] PORT
 *
 * sends so many to the port of 127.0.0.1, or of that IPv4 address, and for each that comes
 * back another one, from that processor if one is named.  Each has a number; what comes back
 * changed is wrong, and what does not come in a second is lost, and sent anew.  It prints the
 * line of times.h.
 */
#include "times.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define UNDER_WAY_MAX 1024

/* One that takes longer is lost. */
#define PATIENCE USEC_PER_SEC

struct options {
	unsigned n; /* under way */
	double seconds, warmup;
	struct in_addr address;
	int processor; /* -1: any */
	uint16_t port;
};

/* What is sent, as it lies in memory. */
struct question {
	uint32_t place;
	uint32_t turn; /* how often that place has sent */
};

struct volley {
	struct options options;
	int fd;
	uint32_t turns[UNDER_WAY_MAX];   /* by place */
	uint64_t sent_at[UNDER_WAY_MAX]; /* usec */
	struct question questions[UNDER_WAY_MAX], answers[UNDER_WAY_MAX];
	struct iovec pieces_out[UNDER_WAY_MAX], pieces_in[UNDER_WAY_MAX];
	struct mmsghdr out[UNDER_WAY_MAX], in[UNDER_WAY_MAX];
	unsigned n_out;
	uint64_t counted_from, counted_to; /* usec */
	uint64_t total, n_wrong, n_lost;
	struct times times;
};

static void die(const char *what)
{
	fprintf(stderr, "volley: unable to %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ----------------------------------------------------------------------- sending */

/* Put the next question of that place to the others. */
static void ask(struct volley *v, uint32_t place, uint64_t now)
{
	v->turns[place]++;
	v->sent_at[place] = now;
	v->questions[v->n_out++] = (struct question){place, v->turns[place]};
}

/* Who refuses is asked again when his time is over. */
static void send_all(struct volley *v)
{
	unsigned at = 0;

	while (at < v->n_out) {
		int n = sendmmsg(v->fd, v->out + at, v->n_out - at, MSG_NOSIGNAL);

		if (n < 0 && errno != ECONNREFUSED && errno != EINTR)
			die("send");
		at += n > 0 ? (unsigned)n : 0;
	}
	v->total += v->n_out;
	v->n_out = 0;
}

/* ---------------------------------------------------------------------- receiving */

/* None if nothing has come for some time, or somebody refuses. */
static unsigned receive(struct volley *v)
{
	int n = recvmmsg(v->fd, v->in, v->options.n, MSG_WAITFORONE, NULL);

	if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED)
		die("receive");
	return n > 0 ? (unsigned)n : 0;
}

/* One of a turn that is over was given up already. */
static void take(struct volley *v, const struct question *answer, unsigned len, uint64_t now)
{
	uint32_t place = answer->place;

	if (len != sizeof *answer || place >= v->options.n || answer->turn > v->turns[place]) {
		v->n_wrong++;
		return;
	}
	if (answer->turn != v->turns[place])
		return;
	if (now >= v->counted_from && now < v->counted_to)
		times_add(&v->times, now - v->sent_at[place]);
	ask(v, place, now);
}

static void look_for_lost_ones(struct volley *v, uint64_t now)
{
	for (uint32_t i = 0; i < v->options.n; i++) {
		if (now - v->sent_at[i] < PATIENCE)
			continue;
		v->n_lost++;
		ask(v, i, now);
	}
}

/* ------------------------------------------------------------------------ all of it */

static void run(struct volley *v)
{
	uint64_t now = times_now(), looked = now;

	v->counted_from = now + (uint64_t)(v->options.warmup * USEC_PER_SEC);
	v->counted_to = v->counted_from + (uint64_t)(v->options.seconds * USEC_PER_SEC);
	for (uint32_t i = 0; i < v->options.n; i++)
		ask(v, i, now);
	while (now < v->counted_to) {
		unsigned n;

		send_all(v);
		n = receive(v);
		now = times_now();
		for (unsigned i = 0; i < n; i++)
			take(v, &v->answers[i], v->in[i].msg_len, now);
		if (now - looked < PATIENCE / 4)
			continue;
		send_all(v);
		look_for_lost_ones(v, now);
		looked = now;
	}
}

static void point(struct mmsghdr *message, struct iovec *piece, struct question *question)
{
	*piece = (struct iovec){question, sizeof *question};
	message->msg_hdr = (struct msghdr){.msg_iov = piece, .msg_iovlen = 1};
}

static void open_socket(struct volley *v)
{
	const struct timeval patience = {.tv_usec = PATIENCE / 4};
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_port = htons(v->options.port),
		.sin_addr = v->options.address,
	};

	v->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (v->fd < 0 || connect(v->fd, (struct sockaddr *)&sin, sizeof sin) < 0 ||
		setsockopt(v->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
		die("open a socket");
	for (unsigned i = 0; i < v->options.n; i++) {
		point(&v->out[i], &v->pieces_out[i], &v->questions[i]);
		point(&v->in[i], &v->pieces_in[i], &v->answers[i]);
	}
}

static void move_to(int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)processor, &set);
	if (sched_setaffinity(0, sizeof set, &set) < 0)
		die("move to the processor");
}

static int usage(void)
{
	fprintf(stderr, "Usage: volley [-c DATAGRAMS] [-t SECONDS] [-w WARMUP] [-d ADDRESS] "
			"[-a PROCESSOR] PORT\n");
	return 2;
}

static bool parse(struct options *o, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "c:t:w:d:a:")) != -1) {
		switch (option) {
		case 'c':
			o->n = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 't':
			o->seconds = strtod(optarg, NULL);
			break;
		case 'w':
			o->warmup = strtod(optarg, NULL);
			break;
		case 'd':
			if (inet_pton(AF_INET, optarg, &o->address) != 1)
				return false;
			break;
		case 'a':
			o->processor = (int)strtol(optarg, NULL, 10);
			break;
		default:
			return false;
		}
	}
	if (argc - optind != 1 || o->n == 0 || o->n > UNDER_WAY_MAX)
		return false;
	o->port = (uint16_t)strtoul(argv[optind], NULL, 10);
	return true;
}

int main(int argc, char **argv)
{
	static struct volley v = {
		.options = {.n = 1, .seconds = 1, .processor = -1},
	};

	v.options.address.s_addr = htonl(INADDR_LOOPBACK);
	if (!parse(&v.options, argc, argv))
		return usage();
	if (v.options.processor >= 0)
		move_to(v.options.processor);
	open_socket(&v);
	run(&v);
	if (v.n_wrong > 0)
		fprintf(stderr, "volley: wrong answer: %llu\n", (unsigned long long)v.n_wrong);
	if (v.n_lost > 0)
		fprintf(stderr, "volley: lost: %llu\n", (unsigned long long)v.n_lost);
	times_report(&v.times, v.options.seconds, v.total, v.n_wrong + v.n_lost);
	return 0;
}
