/*
 * ident: what is asked of the Identification Protocol (RFC 1413), and how its answer is
 * read: whose process is at the other end of a connection, as the machine over there says.
 *
 *	we:	51234 , 22 CR LF
 *	they:	51234 , 22 : USERID : UNIX : alice CR LF
 *
 * Incremental, without allocation, for bytes that come in whatever pieces.  Strict, since
 * what is misread here becomes somebody's name: the ports must be those that were asked
 * for, the line ends with CR LF, is IDENT_LINE_MAX long at most, and has no NUL.  Blanks
 * and tabs may stand where the RFC has them and around the user's name, where every server
 * puts one.  The kind of system and its character set are not looked at.
 *
 * No system calls: a clock, the deadline and the socket are the caller's.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_LOOKUP_IDENT_H
#define HATCHD_WORKERS_LOOKUP_IDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 1413, 4: characters of a line besides CR and LF, and 6: of a user's name. */
#define IDENT_LINE_MAX 1000
#define IDENT_USER_MAX 512

/* Why an answer is refused. */
enum ident_fault {
	IDENT_FAULTLESS,
	IDENT_CUT_SHORT,   /* the peer closed before the line had ended; see ident_end() */
	IDENT_TOO_LONG,    /* the line is longer than IDENT_LINE_MAX */
	IDENT_BAD_LINE,    /* a NUL, a CR without LF or the other way round, no such form */
	IDENT_OTHER_PORTS, /* it is about another connection */
	IDENT_BAD_USER,    /* no name, or one that is longer than IDENT_USER_MAX */
	_IDENT_FAULT_MAX,
};

/* For messages, "the line is too long"; never NULL. */
const char *ident_fault_text(enum ident_fault fault);

enum ident_state {
	IDENT_MORE,    /* the line is not complete */
	IDENT_NAMED,   /* `user` is who it is */
	IDENT_UNKNOWN, /* they say that they do not know, or do not tell (ERROR) */
	IDENT_REFUSED, /* `fault` says why */
};

struct ident_parser {
	enum ident_state state;
	enum ident_fault fault;
	/* Any bytes but NUL; control characters of ASCII and DEL have become '?'.  Ends with
	 * a NUL; "" unless IDENT_NAMED. */
	char user[IDENT_USER_MAX + 1];
	size_t user_len;

	/* The parser's own business. */
	uint16_t theirs, ours;
	char line[IDENT_LINE_MAX + 1]; /* with its CR */
	size_t len;
};

/* The ports of the connection that is asked about, theirs and ours. */
void ident_init(struct ident_parser *parser, uint16_t theirs, uint16_t ours);

/*
 * Take in some bytes of the stream.  What is behind the line is nobody's and is not looked
 * at; nor is anything once the state is not IDENT_MORE.  Returns the state.
 */
enum ident_state ident_feed(struct ident_parser *parser, const void *data, size_t len);

/* The peer sends no more: refuses a line that is not complete.  Returns the state. */
enum ident_state ident_end(struct ident_parser *parser);

/* Room for any question, its NUL included. */
#define IDENT_QUESTION_MAX 32

/* The question with CR LF; returns its length. */
size_t ident_write(uint16_t theirs, uint16_t ours, char buf[IDENT_QUESTION_MAX]);

#endif
