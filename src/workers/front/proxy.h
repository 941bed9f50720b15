/*
 * proxy: reads the header of the PROXY protocol, versions 1 and 2, in which a proxy
 * says on whose behalf a connection was made.
 *
 * The specification is haproxy's doc/proxy-protocol.txt; sections are named as in it.
 *
 * Incremental: bytes are fed as they come, in pieces of any size, and the result is
 * that of one piece.  No byte behind the header is ever taken, since it belongs to the
 * service.  So the reader looks first, and then takes what was the header's:
 *
 *	n = proxy_wants(&parser, &peek);
 *	n = recv(fd, buf, min(n, sizeof buf), peek ? MSG_PEEK : 0);
 *	state = proxy_feed(&parser, buf, n, &used);
 *	if (peek && state != PROXY_REFUSED)
 *		recv(fd, buf, used, 0);
 *
 * The end of a line (version 1) is not known before it is there, so its reader must peek.
 * A header of version 2 says its length in the first 16 bytes, and can be read without.
 * Every byte fed has to be taken off the socket before the next is fed.
 *
 * Bounded: nothing is allocated, and sizeof(struct proxy_parser) is all that a connection
 * costs.  A header of version 2 may be 65551 bytes long.  It is not held: it streams
 * through, its checksum is counted on the way, TLVs that nobody asks for are skipped, and
 * the others have a bound each, so that every valid header is understood.
 *
 * Strict: what is not exactly of the form is refused with a reason, and then nothing of
 * it can be read from the result.  Which versions are allowed is the caller's to say
 * (section 2: no guessing), and whom to believe as well.
 *
 * No system calls: a clock, the deadline and the socket are the caller's.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_FRONT_PROXY_H
#define HATCHD_WORKERS_FRONT_PROXY_H

#include "base/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Versions that are allowed, as bits. */
#define PROXY_V1 1u
#define PROXY_V2 2u

/* The longest line of version 1, CRLF included, and the first part of version 2, which
 * says how long the rest is (sections 2.1 and 2.2). */
#define PROXY_V1_MAX   107
#define PROXY_V2_FIXED 16

/* Why a header is refused. */
enum proxy_fault {
	PROXY_FAULTLESS,
	PROXY_NO_HEADER,     /* the first bytes are those of neither version */
	PROXY_NOT_ALLOWED,   /* of a version that was not asked for */
	PROXY_CUT_SHORT,     /* the peer closed within the header; see proxy_end() */
	PROXY_BAD_LINE_END,  /* v1: a CR without its LF, or the other way round */
	PROXY_LONG_LINE,     /* v1: no CRLF in the first PROXY_V1_MAX bytes */
	PROXY_BAD_PROTOCOL,  /* v1: none of TCP4, TCP6 and UNKNOWN */
	PROXY_BAD_FIELDS,    /* v1: not two addresses and two ports, one space between two */
	PROXY_BAD_ADDRESS,   /* v1: not one of that protocol in its canonical form */
	PROXY_BAD_PORT,      /* v1: not a number from 0 to 65535 without leading zeroes */
	PROXY_BAD_VERSION,   /* v2: the version in the header is not 2 */
	PROXY_BAD_COMMAND,   /* v2: neither LOCAL nor PROXY */
	PROXY_BAD_FAMILY,    /* v2: an unassigned address family */
	PROXY_BAD_TRANSPORT, /* v2: an unassigned transport protocol */
	PROXY_SHORT,         /* v2: too short for the addresses of its family */
	PROXY_TLV_OVERRUN,   /* v2: a TLV is longer than what it lies in */
	PROXY_TLV_REST,      /* v2: one or two bytes are left, too few for a TLV */
	PROXY_TLV_SIZE,      /* v2: a TLV of a length that its type cannot have */
	PROXY_TLV_TWICE,     /* v2: two TLVs of a type that has one answer */
	PROXY_BAD_CHECKSUM,  /* v2: the CRC32c is not that of the header */
	_PROXY_FAULT_MAX,
};

/* For messages, "the checksum is wrong"; never NULL. */
const char *proxy_fault_text(enum proxy_fault fault);

/* Who opened the connection (section 2.2). */
enum proxy_command {
	PROXY_LOCAL, /* the proxy on its own account, a health check for instance */
	PROXY_PROXY, /* the proxy for somebody else */
};

/* What TLVs say of a connection besides its addresses (sections 2.2.1 to 2.2.7). */
enum proxy_fact {
	PROXY_ALPN,        /* protocol above, RFC 7301; any bytes */
	PROXY_AUTHORITY,   /* host name that the client asked for, the SNI with TLS */
	PROXY_UNIQUE_ID,   /* name of the connection; any bytes, at most 128 */
	PROXY_NETNS,       /* network name space of the proxy's socket */
	PROXY_SSL_VERSION, /* "TLSv1.3"; this and what follows within the SSL TLV */
	PROXY_SSL_CN,      /* common name of the client's certificate */
	PROXY_SSL_CIPHER,  /* "TLS_AES_256_GCM_SHA384" */
	PROXY_SSL_SIG_ALG, /* algorithm that signed the server's certificate */
	PROXY_SSL_KEY_ALG, /* algorithm of that certificate's key */
	_PROXY_FACT_MAX,
};

/* Bits of proxy_header.ssl_client (section 2.2.6). */
#define PROXY_SSL_TLS       0x01 /* the client came with TLS */
#define PROXY_SSL_CERT_CONN 0x02 /* and with a certificate, in this connection */
#define PROXY_SSL_CERT_SESS 0x04 /* or in the session that it resumed */

/* Room for all facts: the sum of the bounds of each.  See proxy_fact(). */
#define PROXY_VALUES_SIZE 1376

/*
 * What a header says.  It is the word of whoever sent it: none of the values is
 * terminated, escaped, or free of NULs and control characters.
 */
struct proxy_header {
	unsigned version; /* PROXY_V1 or PROXY_V2 */
	enum proxy_command command;
	/* False: nobody else's addresses are said (LOCAL, UNKNOWN, UNSPEC), and the
	 * connection's own are the right ones.  Then nothing else is said either: what
	 * follows is skipped unread, its checksum included, since only with addresses
	 * of a known length is it known where TLVs begin. */
	bool has_addresses;
	/* Of the kind ADDR_TCP, ADDR_UDP, ADDR_UNIX or ADDR_UNIX_DGRAM, the same for
	 * both: the transport between the client and the proxy. */
	struct addr source;      /* the client */
	struct addr destination; /* where the client connected to */

	bool has_ssl;        /* the two fields below are said */
	uint8_t ssl_client;  /* bits PROXY_SSL_... */
	uint32_t ssl_verify; /* 0: the client's certificate was verified, if there was one */

	struct {
		uint16_t len; /* as announced */
		bool said;
		bool kept; /* false if longer than what is kept of this fact */
	} facts[_PROXY_FACT_MAX];
	uint8_t values[PROXY_VALUES_SIZE];
};

/*
 * The value of a fact, *ret_len bytes, inside `header`; NULL if nothing was said or if
 * it was longer than the bound: half a name would be another name.  The bounds are 255
 * bytes for the ALPN protocol, the host name and the name space, 256 for the common name
 * (64 characters, X.520), 128 for the unique id, 32 for the version, and 64 for the
 * cipher and each of the algorithms.
 */
const uint8_t *proxy_fact(
	const struct proxy_header *header, enum proxy_fact fact, size_t *ret_len);

enum proxy_state {
	PROXY_MORE,    /* the header is not complete */
	PROXY_DONE,    /* `header` is valid, and the next byte is the service's */
	PROXY_REFUSED, /* `fault` says why; close the connection */
};

/* Room to collect what is understood in one go: a line, the addresses of UNIX sockets,
 * or the value of a fact. */
#define PROXY_PART_MAX 256

struct proxy_parser {
	enum proxy_state state;
	enum proxy_fault fault;
	struct proxy_header header; /* valid if PROXY_DONE, all zero if PROXY_REFUSED */

	/*
	 * What follows is the parser's own business, most of it of version 2 only.
	 */
	unsigned versions; /* allowed */
	unsigned stage;    /* what the next bytes are */
	uint32_t taken;    /* bytes of the header so far */
	uint32_t total;    /* length of the header */
	uint32_t left;     /* bytes until this stage is complete */
	uint32_t ssl_end;  /* where the SSL TLV ends, 0 outside of it */
	uint32_t crc;      /* of what was taken, with zeroes for the checksum itself */
	uint32_t crc_said;
	bool has_crc;
	uint8_t family;  /* address family and transport, as in the 14th byte */
	uint8_t fact;    /* whose value is taken in */
	uint16_t n_part; /* bytes in `part` */
	uint8_t part[PROXY_PART_MAX];
};

/* `versions` is one of PROXY_V1 and PROXY_V2, or both. */
void proxy_init(struct proxy_parser *parser, unsigned versions);

/*
 * Bytes that may be read next, at least 1 while the state is PROXY_MORE, else 0.  With
 * *ret_peek they may reach beyond the end of the header, so that they must stay on the
 * socket until proxy_feed() has said how many are the header's; without, they are all
 * the header's.  The number is an upper bound: a buffer may be smaller.
 */
size_t proxy_wants(const struct proxy_parser *parser, bool *ret_peek);

/*
 * Take in some bytes of the stream.  *ret_used is how many of them are the header's; the
 * rest, if the state is PROXY_DONE, belongs to the service.  If the state is
 * PROXY_REFUSED it is how many were looked at.  Takes nothing once the state is not
 * PROXY_MORE.  Returns the state.
 */
enum proxy_state proxy_feed(
	struct proxy_parser *parser, const void *data, size_t len, size_t *ret_used);

/*
 * The peer sends no more.  Refuses a header that is not complete: PROXY_NO_HEADER if
 * there was not a single byte, as when somebody only tries whether the port is open, else
 * PROXY_CUT_SHORT.  Returns the state.
 */
enum proxy_state proxy_end(struct proxy_parser *parser);

/*
 * Do the first bytes of a stream begin a header of one of the versions?  Only for sources
 * that are trusted and may do without one.  Nobody else is asked: section 2 forbids
 * guessing, and who is not trusted would be believed.
 *
 * Six bytes decide for version 1, twelve for version 2, often the first one.  Ask again
 * with more of them, from the first one on, while the answer is PROXY_UNDECIDED.  They stay
 * on the socket meanwhile, so that it is to be waited for edge-triggered.
 */
enum proxy_presence {
	PROXY_UNDECIDED,
	PROXY_ABSENT,
	PROXY_PRESENT,
};
enum proxy_presence proxy_detect(const void *data, size_t len, unsigned versions);

#endif
