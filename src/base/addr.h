/*
 * addr: where a socket stands and who is at its other end.
 *
 * The one syntax for addresses in the configuration, on the command line and
 * in messages, and the only place in the program that switches on an address
 * family:
 *
 *	PORT                    tcp on that port
 *	tcp:PORT                IPv4 and IPv6 (tcp4: and tcp6: for one of them)
 *	tcp:ADDR:PORT           one IPv4 address
 *	tcp:[V6]:PORT           one IPv6 address
 *	tcp:[V6%IF]:PORT        a link-local one, on the interface IF
 *	udp: udp4: udp6:        the same for datagrams
 *	unix:/path unix:@name   stream; @ is Linux's abstract name space
 *	unix-dgram: unix-seqpacket:
 *	fd:NAME                 a socket handed over by the service manager
 *
 * PORT is a number from 0 (any free port) to 65535, a range LOW-HIGH, or a
 * name of services(5).  In a UNIX path or name a backslash is written \\, and
 * \xNN is the byte with that hexadecimal number; that is how names from peers
 * are shown, so that every shown address can be written.
 *
 * An IPv4-mapped IPv6 address is the IPv4 address it stands for, everywhere.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_ADDR_H
#define HATCHD_BASE_ADDR_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

enum addr_kind {
	ADDR_TCP,
	ADDR_UDP,
	ADDR_UNIX,
	ADDR_UNIX_DGRAM,
	ADDR_UNIX_SEQPACKET,
	ADDR_FD,
	_ADDR_KIND_MAX,
};

/* Longest name of a socket handed over by the service manager. */
#define ADDR_NAME_MAX 64

struct addr {
	enum addr_kind kind;
	/* AF_INET6 wildcard written without a family: serves IPv4 as well, and
	 * only IPv4 where the machine has no IPv6. */
	bool dual;
	socklen_t len; /* bytes used in the union; 0 for ADDR_FD and unnamed UNIX peers */
	union {
		struct sockaddr_un un; /* the largest, so that {0} clears all of it */
		struct sockaddr sa;
		struct sockaddr_in in;
		struct {
			struct sockaddr_in6 in6;
			/* Of AF_INET6 only: scope of a link-local address, as
			 * written, else "".  Identity rests on it and not on
			 * sin6_scope_id, which addr_parse() leaves 0 and whoever
			 * opens a socket resolves. */
			char interface[IF_NAMESIZE];
		};
		char name[ADDR_NAME_MAX]; /* of ADDR_FD only */
	};
};

/* What a written address stands for before names are looked up. */
struct addr_spec {
	/* Port 0 where `service` or a range is given.  With `host` there is no
	 * address yet: len is 0 and sa.sa_family is the family to look for,
	 * AF_UNSPEC for either. */
	struct addr addr;
	uint16_t port_first; /* first and last port of a range; equal for one port, */
	uint16_t port_last;  /* both 0 where `service` is given */
	char service[64];    /* name of services(5) to look up; else "" */
	char host[256];      /* a host name where an IP address was expected; else "" */
};

/* Room for any text that the formatters below write, NUL included: the longest
 * is a UNIX name of 108 bytes all written as \xNN. */
#define ADDR_TEXT_MAX 480

/*
 * Parse one written address.  Names (service, host) are left in the result for
 * the caller to look up or refuse.  0, or -EINVAL with *reterr_why pointing at
 * a constant phrase such as "the port must be a number from 0 to 65535, ...".
 */
int addr_parse(const char *text, struct addr_spec *ret, const char **reterr_why);

/*
 * Canonical text:
 *
 *	tcp:7777                the dual wildcard
 *	tcp4:7777 tcp6:7777     the wildcard of one family
 *	tcp:127.0.0.1:80        all other addresses, whatever the prefix was
 *	tcp:[::1]:80
 *	unix:/run/x.sock unix:@name fd:NAME
 *
 * Two addresses have equal texts if and only if they are equal, and
 * addr_parse() reads the text back.  It refuses peers that nobody could name in
 * a configuration: unnamed UNIX ones ("unix:"), relative paths, paths of 108
 * bytes, the empty abstract name.  Returns buf.
 */
const char *addr_format(const struct addr *addr, char buf[ADDR_TEXT_MAX]);

/* As in bind and accept lines: "[::]:7777", "127.0.0.1:51234", "/run/x.sock",
 * "@name", "unix" for an unnamed UNIX peer, "fd:NAME".  Control characters are
 * escaped, as in all texts of this module. */
const char *addr_format_endpoint(const struct addr *addr, char buf[ADDR_TEXT_MAX]);

/* The IP address alone ("127.0.0.1", "fe80::1%eth0"), or the UNIX path. */
const char *addr_format_host(const struct addr *addr, char buf[ADDR_TEXT_MAX]);

/* "tcp6", "tcp4", "udp6", "unix", "unix-dgram", "fd": kind with the family that
 * is in force; "tcp6" for a dual address. */
const char *addr_protocol_name(const struct addr *addr);

int addr_family(const struct addr *addr);   /* AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC for fd: */
int addr_socktype(const struct addr *addr); /* SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET */
bool addr_is_ip(const struct addr *addr);
bool addr_is_datagram(const struct addr *addr);
bool addr_is_abstract(const struct addr *addr);
bool addr_is_wildcard(const struct addr *addr); /* 0.0.0.0 or [::] */
bool addr_is_loopback(const struct addr *addr); /* 127.0.0.0/8, ::1, and every UNIX address */

/* Port in host order; 0 for UNIX addresses, to which setting one does nothing. */
uint16_t addr_port(const struct addr *addr);
void addr_set_port(struct addr *addr, uint16_t port);

/* Turn a dual address into the IPv4 wildcard with the same port; others stay. */
void addr_fall_back_to_ipv4(struct addr *addr);

/* Same kind, same place, and both dual or neither. */
bool addr_equal(const struct addr *a, const struct addr *b);

/*
 * Take over what accept(2), getsockname(2) or recvfrom(2) wrote.  An
 * IPv4-mapped IPv6 address becomes the IPv4 address it stands for.  The
 * interface of a link-local address is looked up (one ioctl); its number
 * stands for one that is gone.
 */
void addr_from_sockaddr(
	enum addr_kind kind, const struct sockaddr *sa, socklen_t len, struct addr *ret);

/* Own address of an open socket; its kind, and whether it is dual, are found
 * out from the socket itself.  Negative errno on failure, -EPROTONOSUPPORT for
 * a foreign kind. */
int addr_of_socket(int fd, struct addr *ret);

/*
 * Who counts as one and the same source: an IPv4 address or IPv6 prefix, cut
 * to that many bits; for UNIX peers the caller gives the user id instead.
 * Comparable with memcmp; unused bytes are zero.
 */
struct addr_source {
	uint8_t family; /* 4, 6, or 1 for UNIX */
	uint8_t bytes[16];
};
void addr_source(
	const struct addr *peer, unsigned prefix4, unsigned prefix6, struct addr_source *ret);
void addr_source_uid(uid_t uid, struct addr_source *ret);

#endif
