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
 *	mptcp: mptcp4: mptcp6:  TCP that may use several paths, RFC 8684; ports of TCP
 *	udplite: udplite4: udplite6:
 *	                        UDP-Lite, RFC 3828; ports of its own
 *	unix:/path unix:@name   stream; @ is Linux's abstract name space
 *	unix-dgram: unix-seqpacket:
 *	vsock:CID:PORT          between a virtual machine and its host, vsock(7); CID
 *	                        is a number, any, local (1) or host (2)
 *	vsock:PORT              the same as vsock:any:PORT
 *	fd:NAME                 a socket handed over by the service manager
 *
 * PORT is a number from 0 (any free port) to 65535, a range LOW-HIGH, or a
 * name of services(5).  Ports of vsock go up to 4294967294 and have no names.  In a UNIX path
 *or name a backslash is written \\, and \xNN is the byte with that hexadecimal number; that is
 *how names from peers are shown, so that every shown address can be written.
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

#include <linux/vm_sockets.h> /* wants sys/socket.h before it */

enum addr_kind {
	ADDR_TCP,
	ADDR_MPTCP,
	ADDR_UDP,
	ADDR_UDPLITE,
	ADDR_UNIX,
	ADDR_UNIX_DGRAM,
	ADDR_UNIX_SEQPACKET,
	ADDR_VSOCK,
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
		struct sockaddr_vm vm;    /* svm_port VMADDR_PORT_ANY: any free port */
		char name[ADDR_NAME_MAX]; /* of ADDR_FD only */
	};
};

/* What a written address stands for before names are looked up. */
struct addr_spec {
	/* Port 0 where `service` or a range is given.  With `host` there is no
	 * address yet: len is 0 and sa.sa_family is the family to look for,
	 * AF_UNSPEC for either. */
	struct addr addr;
	uint32_t port_first; /* first and last port of a range; equal for one port, */
	uint32_t port_last;  /* both 0 where `service` is given */
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

/* Room for the text of a guess, NUL included: longer ones are nobody's slip. */
#define ADDR_GUESS_MAX 64

/*
 * What people write who know other programs: 127.0.0.1:80, *:80, TCP:80,
 * tcp://127.0.0.1:80.  True with a text in *buf that addr_parse() takes, without
 * a host's name; false, with anything in *buf, if none is near.
 */
bool addr_guess(const char *text, char buf[ADDR_GUESS_MAX]);

/*
 * Canonical text:
 *
 *	tcp:7777                the dual wildcard
 *	tcp4:7777 tcp6:7777     the wildcard of one family
 *	tcp:127.0.0.1:80        all other addresses, whatever the prefix was
 *	tcp:[::1]:80
 *	unix:/run/x.sock unix:@name fd:NAME
 *	vsock:any:80 vsock:2:80 the CID as a number, or any
 *
 * Two addresses have equal texts if and only if they are equal, and
 * addr_parse() reads the text back.  It refuses peers that nobody could name in
 * a configuration: unnamed UNIX ones ("unix:"), relative paths, paths of 108
 * bytes, the empty abstract name.  Returns buf.
 */
const char *addr_format(const struct addr *addr, char buf[ADDR_TEXT_MAX]);

/* As in bind and accept lines: "[::]:7777", "127.0.0.1:51234", "/run/x.sock",
 * "@name", "unix" for an unnamed UNIX peer, "vsock:2:80", "fd:NAME".  Control characters are
 * escaped, as in all texts of this module. */
const char *addr_format_endpoint(const struct addr *addr, char buf[ADDR_TEXT_MAX]);

/* The IP address alone ("127.0.0.1", "fe80::1%eth0"), the UNIX path, or "vsock:2". */
const char *addr_format_host(const struct addr *addr, char buf[ADDR_TEXT_MAX]);

/* "tcp6", "tcp4", "udp6", "unix", "unix-dgram", "fd": kind with the family that
 * is in force; "tcp6" for a dual address. */
const char *addr_protocol_name(const struct addr *addr);

/* The three arguments of socket(2). */
int addr_family(const struct addr *addr);   /* AF_UNSPEC for fd: */
int addr_socktype(const struct addr *addr); /* SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET */
int addr_protocol(const struct addr *addr); /* IPPROTO_...; 0 where there is no choice */

bool addr_is_ip(const struct addr *addr);
bool addr_is_tcp(const struct addr *addr); /* over one path or several */
bool addr_is_udp(const struct addr *addr); /* UDP-Lite as well */
bool addr_is_datagram(const struct addr *addr);
bool addr_is_abstract(const struct addr *addr);
bool addr_is_path(const struct addr *addr);     /* a UNIX address in the file system */
bool addr_is_wildcard(const struct addr *addr); /* 0.0.0.0, [::] or vsock:any */
/* 127.0.0.0/8, ::1, vsock:local, and every UNIX address. */
bool addr_is_loopback(const struct addr *addr);

/* Is it for many machines at once: multicast (RFC 5771, RFC 4291), 255.255.255.255?  What a
 * network broadcasts to besides is its own affair. */
bool addr_is_for_many(const struct addr *addr);

/* Does a socket that is bound there take clients of IPv4?  The IPv6 wildcard does, unless
 * `v6only` says otherwise: 0, 1, or -1 for what the text of the address says. */
bool addr_takes_ipv4(const struct addr *addr, int v6only);

/* Can it be seen there who has sent what waits, before anybody takes it?  The kernel shows
 * whose datagram of UDP comes next.  What the service manager hands over (fd:NAME) may be
 * anything, so the answer is yes: whether it is so is found out when the socket is there. */
bool addr_shows_sender(const struct addr *addr);

/* Can the kernel be asked how long a connection of that address has been silent?  It knows
 * of those of TCP.  Yes for fd:NAME, as above. */
bool addr_shows_silence(const struct addr *addr);

/* Port in host order; 0 for any free one, and for UNIX addresses, to which
 * setting one does nothing. */
uint32_t addr_port(const struct addr *addr);
void addr_set_port(struct addr *addr, uint32_t port);

/* The protocol whose ports these are: "tcp" (that of mptcp as well), "udp",
 * "udplite", "vsock"; NULL for addresses without a port.  What stands in two of
 * them never gets into each other's way. */
const char *addr_port_space(const struct addr *addr);

/* Turn a dual address into the IPv4 wildcard with the same port; others stay. */
void addr_fall_back_to_ipv4(struct addr *addr);

/*
 * A new socket for that address; `flags` are SOCK_CLOEXEC and SOCK_NONBLOCK.  An
 * address of mptcp becomes the same one of tcp where the kernel has no MPTCP, or
 * has it switched off.  The descriptor, or a negative errno.
 */
int addr_socket(struct addr *addr, int flags);

/* The same name, or the same address, interface and port, whatever comes there: the kinds of IP
 * are one here, and so are those of UNIX sockets. */
bool addr_same_place(const struct addr *a, const struct addr *b);

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

/*
 * The same from an address as protocols carry it: 4 bytes of IPv4 or 16 of IPv6, which
 * is `len`, in network order; the port in host order.
 */
void addr_from_ip(
	enum addr_kind kind, const void *ip, size_t len, uint16_t port, struct addr *ret);

/* And back: how many bytes of *buf an IP address has, 4 or 16; 0 for all others. */
size_t addr_ip(const struct addr *addr, uint8_t buf[16]);

/* Own address of an open socket; its kind, and whether it is dual, are found
 * out from the socket itself.  Negative errno on failure, -EPROTONOSUPPORT for
 * a foreign kind. */
int addr_of_socket(int fd, struct addr *ret);

/* What the bytes of a source or a prefix are. */
enum addr_source_family {
	ADDR_SOURCE_NONE,     /* he is not told from others, or not known */
	ADDR_SOURCE_UNIX,     /* a user id */
	ADDR_SOURCE_VSOCK,    /* a CID */
	ADDR_SOURCE_IPV4 = 4, /* an address, its first byte first, here and below */
	ADDR_SOURCE_IPV6 = 6,
};

/* How many bits tell clients apart where nobody says otherwise: those of one IPv4 address,
 * and those of the network that a host has for itself (RFC 4291, 2.5.4), in which it takes
 * another address whenever it likes (RFC 8981). */
#define ADDR_SOURCE_PREFIX4 32
#define ADDR_SOURCE_PREFIX6 64

/*
 * Who counts as one and the same source: an IPv4 address or IPv6 prefix, cut
 * to that many bits; a CID of vsock, which is a whole machine; for UNIX peers
 * the caller gives the user id instead.  Comparable with memcmp; unused bytes
 * are zero.
 *
 * A link-local IPv6 address (RFC 4291, 2.5.6) is never cut, since its first 64 bits
 * are those of everybody on every link, and the same one on another link is somebody else.
 */
struct addr_source {
	uint8_t family; /* enum addr_source_family */
	uint8_t bytes[16];
	uint8_t scope[4]; /* number of the interface of a link-local address */
};
void addr_source(
	const struct addr *peer, unsigned prefix4, unsigned prefix6, struct addr_source *ret);
void addr_source_uid(uid_t uid, struct addr_source *ret);

/* Leave of a whole address so many bits, as addr_source() does; others stay. */
void addr_source_cut(struct addr_source *source, unsigned prefix4, unsigned prefix6);

/* Is it an address of IPv4 or IPv6, so that there can be others with the same prefix? */
bool addr_source_is_ip(const struct addr_source *source);

/* Is it 127.0.0.1 or ::1?  Of a source that was made with all bits. */
bool addr_source_is_localhost(const struct addr_source *source);

/*
 * All addresses that begin with the same bits, as access rules have them.
 */
struct addr_prefix {
	uint8_t family; /* ADDR_SOURCE_IPV4 or ADDR_SOURCE_IPV6 */
	uint8_t bits;   /* at most 32 or 128 */
	uint8_t bytes[16];
};

/* Room for the text of any prefix, NUL included. */
#define ADDR_PREFIX_MAX 64

/*
 * Parse an IP address alone (32 or 128 bits), or ADDRESS/BITS.  IPv4-mapped IPv6
 * with at least 96 bits is the IPv4 that it stands for.  Bits behind the prefix are
 * left as written.  0; -ENOENT if what is before the / is no IP address; -EINVAL if
 * what is behind it is no number that the family has.
 */
int addr_parse_prefix(const char *text, struct addr_prefix *ret);

/* Clear what is behind the prefix.  True if there was something. */
bool addr_prefix_cut(struct addr_prefix *prefix);

/* "10.0.0.0/8"; returns buf. */
const char *addr_format_prefix(const struct addr_prefix *prefix, char buf[ADDR_PREFIX_MAX]);

/* True for IPv6 that is not cut. */
bool addr_source_is_link_local(const struct addr_source *source);

/* "192.0.2.1", "192.0.2.0/24", "2001:db8::/64", "fe80::1%eth0", "uid 1000", "vsock:3"; the
 * prefixes are those that it was made with.  An interface is looked up (one ioctl); its
 * number stands for one that is gone.  Returns buf. */
#define ADDR_SOURCE_TEXT_MAX 64
const char *addr_source_format(const struct addr_source *source, unsigned prefix4,
	unsigned prefix6, char buf[ADDR_SOURCE_TEXT_MAX]);

#endif
