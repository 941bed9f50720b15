/*
 * diff: what becomes of services and sockets when one configuration takes the
 * place of another.
 *
 * Pure: two sets of services go in, a comparison comes out; reload acts on it
 * and --plan prints it.  Only what matters counts: the value of an option and
 * not whether it was written down, what an address stands for and not how it is
 * spelled, and never where in the files something stands.
 *
 * A service that is disabled is not there at all.  One that waits for a
 * condition is there, but has no sockets, as after a fresh start.
 *
 * A socket is what it is bound to (invariant I3), whoever it belongs to: when a
 * service gets another name, or two swap their addresses, sockets change hands.
 * Port 0, "any free port", is another one each time, so it is known by its
 * service and its rank among them.  A UNIX socket in the file system is known
 * by its path, whatever its type.
 *
 * A socket that was in the hands of programs (wait = yes) stays open as it is, or
 * is opened anew; only one that was handed over to us is adjusted all the same.
 *
 * What is closed must be closed before anything is opened: tcp4:80 cannot be
 * bound while tcp:80 is.
 *
 * Linear in the number of addresses.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_DIFF_H
#define HATCHD_CONF_DIFF_H

#include "conf/conf.h"

/* Index of nothing. */
#define DIFF_NONE SIZE_MAX

enum diff_fate {
	DIFF_KEPT,     /* stays open as it is */
	DIFF_ADJUSTED, /* stays open; some options of the socket change */
	DIFF_REOPENED, /* same place, but another socket: closed, then opened */
	DIFF_OPENED,   /* was not there */
	DIFF_CLOSED,
};

/* What the loader makes of a service and finds out from the world. */
enum diff_resolved {
	DIFF_PROGRAM = 1 << 0,     /* path */
	DIFF_ARGV = 1 << 1,        /* argument vector */
	DIFF_ENVIRONMENT = 1 << 2, /* base_env */
	DIFF_IDENTITY = 1 << 3,    /* uid, gid, or whether they are changed to */
	DIFF_GROUPS = 1 << 4,      /* supplementary groups, in any order */
	DIFF_OWNER = 1 << 5,       /* uid, gid of UNIX sockets */
	DIFF_ACCESS = 1 << 7,      /* what only_from and no_access say */
	DIFF_REPLY = 1 << 8,       /* what is built in says */
	DIFF_PROXIES = 1 << 9,     /* rules of proxy_from */
	DIFF_BANNERS = 1 << 10,    /* what is told before somebody serves */
	DIFF_TARGETS = 1 << 11,    /* addresses of redirect */
	DIFF_WRAPPERS = 1 << 12,   /* rules of hosts.allow and hosts.deny */
	DIFF_TLS = 1 << 13,        /* certificates, keys, and what else a setup of TLS has */
	DIFF_CONDITION = 1 << 6,   /* waits now, waits no longer, or for something else */
};

/* A set of options, by table index. */
struct diff_options {
	uint64_t bits[CONF_OPTIONS_MAX / 64];
};

struct diff_address {
	size_t service, listen;         /* new[service]->listen[listen]; DIFF_CLOSED: NONE */
	size_t old_service, old_listen; /* old[...]->listen[...]; DIFF_OPENED: DIFF_NONE */
	enum diff_fate fate;
	/* Why it is adjusted or reopened. */
	struct diff_options changed; /* options that mean something to this socket */
	bool owner;                  /* a file of other owners, though called the same */
	bool kind;                   /* of the socket: stream, datagram, seqpacket */
};

struct diff_service {
	size_t old;  /* the one of that name, or DIFF_NONE: the service is new */
	bool absent; /* disabled: to be treated as if it were not there; nothing below counts */
	bool same;   /* nothing below differs, and each address is kept */
	bool renamed; /* `old` is DIFF_NONE, but it takes over a socket of another service */
	struct diff_options changed; /* `listen`: other addresses, or in another order */
	unsigned resolved;           /* enum diff_resolved */
	size_t first, n_addresses;   /* its part of diff.addresses */
};

struct diff {
	struct diff_service *services; /* one for each new service, in the same order */
	size_t n_services;
	struct diff_address *addresses; /* of new services with sockets, in their order */
	size_t n_addresses;
	struct diff_address *closed; /* DIFF_CLOSED, in the order of the old services */
	size_t n_closed;
	size_t *removed; /* old services without a new one of the name, in order */
	size_t n_removed;
	size_t n_by_fate[DIFF_CLOSED + 1];
};

/*
 * Compare.  Names of services must be unique in each set.  0 with *ret to be
 * released by diff_done(), or -ENOMEM.
 */
int diff_make(struct service_conf *const *old, size_t n_old, struct service_conf *const *new,
	size_t n_new, struct diff *ret);
void diff_done(struct diff *diff);

/* Whether the new configuration would be served exactly as the old one is. */
bool diff_is_empty(const struct diff *diff);

bool diff_options_has(const struct diff_options *options, const struct conf_option *option);
bool diff_options_any(const struct diff_options *options);

#endif
