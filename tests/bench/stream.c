/*
 * stream: one client of TLS who says as much as is taken, or takes as much as is said, or both.
 *
 *	stream up|down|both PORT
 *
 * goes to 127.0.0.1, as tls-client.h says.  To each line on its standard input it answers
 *
 *	bytes=N usec=T
 *
 * with what it has sent until now (up), or what has come (down, both), and when that was.  At
 * the end of its input it ends what it says, and sees whether all has come: `up` talks to a
 * program that answers the number of bytes when they have ended (wc -c), `both` to one that
 * sends them back (cat), and the exit status is 1 if some are missing.  `down` just goes.
 *
 * It is the server that is measured: what comes is not decrypted, but for the first byte.  The
 * head of a record says how long it is.
 */
#include "times.h"
#include "tls-client.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK (256 * 1024)

/* Before a record (RFC 8446, 5.2), and what is in it besides bytes: their kind, and the tag. */
#define HEAD     5
#define OVERHEAD 17

/* The close_notify of the server is a record as well. */
#define ALERT 2

struct options {
	bool up, down; /* both: both */
	uint16_t port;
};

struct stream {
	struct options options;
	SSL *ssl;
	int fd;                      /* the socket of `ssl` */
	_Atomic uint64_t sent, come; /* bytes of the program's */
	atomic_bool ending;
	uint8_t head[HEAD]; /* of the record that comes */
	size_t head_len, left;
};

/* At once: exit(3) may wait for who waits for standard input. */
static void die(const char *what)
{
	fprintf(stderr, "stream: unable to %s\n", what);
	_exit(1);
}

/* ---------------------------------------------------------------------------- to it */

static void *send_all(void *arg)
{
	static const uint8_t bytes[CHUNK];
	struct stream *stream = arg;
	size_t n;

	while (!stream->ending) {
		if (SSL_write_ex(stream->ssl, bytes, sizeof bytes, &n) != 1)
			die("send");
		stream->sent += n;
	}
	SSL_shutdown(stream->ssl);
	return NULL;
}

/* -------------------------------------------------------------------------- from it */

static void begin_record(struct stream *stream)
{
	size_t len = (size_t)stream->head[3] << 8 | stream->head[4];

	if (stream->head[0] != SSL3_RT_APPLICATION_DATA || len < OVERHEAD)
		die("read what has come");
	stream->come += len - OVERHEAD;
	stream->left = len;
	stream->head_len = 0;
}

static void take(struct stream *stream, const uint8_t *bytes, size_t len)
{
	while (len > 0) {
		size_t n = stream->left;

		if (n == 0) {
			stream->head[stream->head_len++] = *bytes;
			n = 1;
			if (stream->head_len == HEAD)
				begin_record(stream);
		} else {
			n = n < len ? n : len;
			stream->left -= n;
		}
		bytes += n;
		len -= n;
	}
}

/* To the end; whoever ends before he is told to has failed. */
static void *take_all(void *arg)
{
	static uint8_t bytes[CHUNK];
	struct stream *stream = arg;
	ssize_t n;

	while ((n = recv(stream->fd, bytes, sizeof bytes, 0)) > 0)
		take(stream, bytes, (size_t)n);
	if (n < 0 || !stream->ending || stream->left > 0 || stream->head_len > 0)
		die("receive to the end");
	return NULL;
}

/* ------------------------------------------------------------------------ all of it */

/* A byte has come: nothing but bytes follows, and OpenSSL has read to the end of a record. */
static void open_stream(struct stream *stream, SSL_CTX *ctx)
{
	char byte = 0;
	size_t n;

	stream->ssl = tls_client_connect(ctx, stream->options.port);
	if (!stream->ssl)
		die("shake hands");
	stream->fd = SSL_get_fd(stream->ssl);
	if (stream->options.up && stream->options.down &&
		SSL_write_ex(stream->ssl, &byte, 1, &n) != 1)
		die("send");
	if (stream->options.down && SSL_read_ex(stream->ssl, &byte, 1, &n) != 1)
		die("receive");
}

static void answer(struct stream *stream)
{
	uint64_t count = stream->options.down ? stream->come : stream->sent;

	printf("bytes=%llu usec=%llu\n", (unsigned long long)count,
		(unsigned long long)times_now());
	fflush(stdout);
}

static void answer_all(struct stream *stream)
{
	int c;

	while ((c = getchar()) != EOF)
		if (c == '\n')
			answer(stream);
}

/* The first byte was sent and came back before all others. */
static bool has_come_back(const struct stream *stream)
{
	return stream->come == stream->sent || stream->come == stream->sent + ALERT;
}

static bool was_counted(struct stream *stream)
{
	char buf[64];
	size_t n;

	if (!tls_client_read_all(stream->ssl, buf, sizeof buf - 1, &n))
		return false;
	buf[n] = '\0';
	return strtoull(buf, NULL, 10) == stream->sent;
}

static void run(struct stream *stream)
{
	pthread_t sends, takes;
	const struct options *o = &stream->options;

	if ((o->up && pthread_create(&sends, NULL, send_all, stream) != 0) ||
		(o->down && pthread_create(&takes, NULL, take_all, stream) != 0))
		die("begin");
	answer_all(stream);
	stream->ending = true;
	if (!o->up)
		return;
	pthread_join(sends, NULL);
	if (o->down)
		pthread_join(takes, NULL);
	if (o->down ? !has_come_back(stream) : !was_counted(stream))
		die("see that all has come");
}

static int usage(void)
{
	fprintf(stderr, "Usage: stream up|down|both PORT\n");
	return 2;
}

static bool parse(struct options *o, int argc, char **argv)
{
	if (argc != 3)
		return false;
	o->up = strcmp(argv[1], "down") != 0;
	o->down = strcmp(argv[1], "up") != 0;
	o->port = (uint16_t)strtoul(argv[2], NULL, 10);
	return (o->up && o->down) == (strcmp(argv[1], "both") == 0);
}

int main(int argc, char **argv)
{
	static struct stream stream;
	SSL_CTX *ctx = tls_client_context();

	if (!parse(&stream.options, argc, argv))
		return usage();
	if (!ctx)
		die("begin");
	signal(SIGPIPE, SIG_IGN);
	open_stream(&stream, ctx);
	run(&stream);
	return 0;
}
