/*
 * tcpmux: the line in which a client of the TCP port service multiplexer (RFC 1078) names
 * the service that it wants, and what is answered.
 *
 *	client:	upper CR LF
 *	server:	+go CR LF		and from here on the service speaks
 *
 * Incremental, without allocation.  No byte behind the line is ever taken, since it
 * belongs to the service.  Its end is not known before it is there, so a reader looks
 * (MSG_PEEK), feeds, and then takes what was used:
 *
 *	n = recv(fd, buf, tcpmux_wants(&parser), MSG_PEEK);
 *	state = tcpmux_feed(&parser, buf, n, &used);
 *	recv(fd, buf, used, 0);
 *
 * A single LF ends the line as well, as it does in every inetd: people type it.  It is no
 * character of a name, so that there is no doubt where the line ends.
 *
 * No system calls: a clock, the deadline and the socket are the caller's.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_FRONT_TCPMUX_H
#define HATCHD_WORKERS_FRONT_TCPMUX_H

#include <stdbool.h>
#include <stddef.h>

/* Longest name of a service; the RFC has no bound. */
#define TCPMUX_NAME_MAX 64

/* With CR and LF. */
#define TCPMUX_LINE_MAX (TCPMUX_NAME_MAX + 2)

/* Why a line is refused. */
enum tcpmux_fault {
	TCPMUX_FAULTLESS,
	TCPMUX_NO_LINE,   /* the peer closed before its first byte; see tcpmux_end() */
	TCPMUX_CUT_SHORT, /* the peer closed within the line */
	TCPMUX_NO_NAME,   /* the line is empty */
	TCPMUX_LONG_NAME, /* longer than TCPMUX_NAME_MAX */
	TCPMUX_BAD_NAME,  /* a character that is in no service's name */
	_TCPMUX_FAULT_MAX,
};

/* For messages and for the answer, "the name is too long"; never NULL. */
const char *tcpmux_fault_text(enum tcpmux_fault fault);

enum tcpmux_state {
	TCPMUX_MORE,    /* the line is not complete */
	TCPMUX_NAMED,   /* `name` is the service, and the next byte is the service's */
	TCPMUX_HELP,    /* a list of the services is wanted, and then the end */
	TCPMUX_REFUSED, /* `fault` says why */
};

struct tcpmux_parser {
	enum tcpmux_state state;
	enum tcpmux_fault fault;
	/* In small letters, since "the service name is never case sensitive"; only
	 * characters of service names: a letter or digit, then letters, digits, dots,
	 * dashes and underscores.  "" unless TCPMUX_NAMED. */
	char name[TCPMUX_NAME_MAX + 1];

	/* The parser's own business. */
	size_t len; /* of the name so far */
	bool after_cr;
};

void tcpmux_init(struct tcpmux_parser *parser);

/* How many bytes to look at next, at least 1 while the state is TCPMUX_MORE, else 0. */
size_t tcpmux_wants(const struct tcpmux_parser *parser);

/*
 * Take in some bytes of the stream.  *ret_used is how many of them are the line's; the
 * rest belongs to the service.  Takes nothing once the state is not TCPMUX_MORE.
 * Returns the state.
 */
enum tcpmux_state tcpmux_feed(
	struct tcpmux_parser *parser, const void *data, size_t len, size_t *ret_used);

/* The peer sends no more: refuses a line that is not complete.  Returns the state. */
enum tcpmux_state tcpmux_end(struct tcpmux_parser *parser);

/* Room for any answer, CR and LF included. */
#define TCPMUX_ANSWER_MAX 128

/*
 * The one-line answer to a name, "+go" or "-no such service", with CR LF and without a
 * NUL.  `text` may be "", is escaped as by text_escape(), and is cut to the room there is.
 * After "-" the connection is closed.  Returns the length.
 */
size_t tcpmux_write_answer(bool positive, const char *text, char buf[TCPMUX_ANSWER_MAX]);

/*
 * The answer to HELP: "a list of the service names of the supported services, one name
 * per line".  It may be long, and is written in pieces: as many whole lines as fit `size`
 * bytes (at least TCPMUX_LINE_MAX), from names[*at] on, which is moved on behind the last
 * of them.  Done when *at is `n`.  No name is longer than TCPMUX_NAME_MAX.
 * Returns the length.
 */
size_t tcpmux_write_help(
	const char *const *names, size_t n, size_t *at, char *buf, size_t size);

#endif
