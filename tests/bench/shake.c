/*
 * shake: many clients of TLS, each in a thread of its own.  Each connects, shakes hands, reads
 * to the end, checks that it was "hello\n" and that nothing was cut off, and begins again, for
 * a time.
 *
 *	shake [-c CLIENTS] [-t SECONDS] [-w WARMUP] PORT
 *
 * goes to 127.0.0.1, as tls-client.h says, and prints the line of times.h.  Each handshake is a
 * whole one.  `total` includes what ended before and after the counted time.  Errors are
 * counted by kind on standard error.
 */
#include "times.h"
#include "tls-client.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char text[] = "hello\n";

enum failure { FAIL_HANDSHAKE, FAIL_WRONG, N_FAILURES };

static const char *const failure_names[N_FAILURES] = {
	[FAIL_HANDSHAKE] = "handshake",
	[FAIL_WRONG] = "wrong answer",
};

struct options {
	unsigned clients;
	double seconds, warmup;
	uint16_t port;
};

struct client {
	pthread_t thread;
	SSL_CTX *ctx; /* owned: threads that share one get in each other's way */
	uint16_t port;
	uint64_t counted_from, counted_to; /* usec */
	struct times times;
	uint64_t total, errors[N_FAILURES];
};

static void die(const char *what)
{
	fprintf(stderr, "shake: unable to %s\n", what);
	exit(1);
}

/* --------------------------------------------------------------------------- a client */

static bool is_answered(SSL *ssl)
{
	char buf[sizeof text];
	size_t n;

	return tls_client_read_all(ssl, buf, sizeof buf, &n) && n == strlen(text) &&
	       memcmp(buf, text, n) == 0;
}

static void connect_once(struct client *client, uint64_t started)
{
	SSL *ssl = tls_client_connect(client->ctx, client->port);
	bool answered = ssl && is_answered(ssl);
	uint64_t now = times_now();

	tls_client_close(ssl);
	client->total++;
	if (!answered)
		client->errors[ssl ? FAIL_WRONG : FAIL_HANDSHAKE]++;
	else if (now >= client->counted_from && now < client->counted_to)
		times_add(&client->times, now - started);
}

static void *run(void *arg)
{
	struct client *client = arg;
	uint64_t now;

	while ((now = times_now()) < client->counted_to)
		connect_once(client, now);
	return NULL;
}

/* ------------------------------------------------------------------------- all of them */

static void begin(struct client *client, const struct options *o, uint64_t now)
{
	client->port = o->port;
	client->counted_from = now + (uint64_t)(o->warmup * USEC_PER_SEC);
	client->counted_to = client->counted_from + (uint64_t)(o->seconds * USEC_PER_SEC);
	client->ctx = tls_client_context();
	if (!client->ctx || pthread_create(&client->thread, NULL, run, client) != 0)
		die("begin");
}

/* What it has counted goes to the sum. */
static void end(struct client *client, struct client *sum)
{
	pthread_join(client->thread, NULL);
	SSL_CTX_free(client->ctx);
	for (size_t i = 0; i < client->times.n; i++)
		times_add(&sum->times, client->times.usec[i]);
	free(client->times.usec);
	sum->total += client->total;
	for (size_t i = 0; i < N_FAILURES; i++)
		sum->errors[i] += client->errors[i];
}

static void report(struct client *sum, double seconds)
{
	uint64_t errors = 0;

	for (size_t i = 0; i < N_FAILURES; i++) {
		errors += sum->errors[i];
		if (sum->errors[i])
			fprintf(stderr, "shake: %s: %llu\n", failure_names[i],
				(unsigned long long)sum->errors[i]);
	}
	times_report(&sum->times, seconds, sum->total, errors);
}

static int usage(void)
{
	fprintf(stderr, "Usage: shake [-c CLIENTS] [-t SECONDS] [-w WARMUP] PORT\n");
	return 2;
}

static bool parse(struct options *o, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "c:t:w:")) != -1) {
		switch (option) {
		case 'c':
			o->clients = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 't':
			o->seconds = strtod(optarg, NULL);
			break;
		case 'w':
			o->warmup = strtod(optarg, NULL);
			break;
		default:
			return false;
		}
	}
	if (argc - optind != 1 || o->clients == 0)
		return false;
	o->port = (uint16_t)strtoul(argv[optind], NULL, 10);
	return true;
}

int main(int argc, char **argv)
{
	struct options options = {.clients = 1, .seconds = 1};
	struct client *clients, sum = {0};
	uint64_t now = times_now();

	if (!parse(&options, argc, argv))
		return usage();
	/* OpenSSL writes to whom it may concern, also to who has gone. */
	signal(SIGPIPE, SIG_IGN);
	clients = calloc(options.clients, sizeof *clients);
	if (!clients)
		die("begin");
	for (unsigned i = 0; i < options.clients; i++)
		begin(&clients[i], &options, now);
	for (unsigned i = 0; i < options.clients; i++)
		end(&clients[i], &sum);
	report(&sum, options.seconds);
	free(clients);
	return 0;
}
