/*
 * listen: open one socket that waits for clients.
 *
 * socket, options, bind, listen: the path of every server.  Each step may be
 * told to a listener of its own (`hatchd -v` narrates it), and a failure says
 * which step it was.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_LISTEN_H
#define HATCHD_OS_LISTEN_H

#include "conf/conf.h"

/* Told before each step: "bind [::]:7777", "listen, queue 4096". */
typedef void (*listen_told)(void *userdata, const char *line);

struct listen_request {
	const struct service_conf *service;
	const struct addr *addr;
	listen_told told; /* NULL: nobody wants to know */
	void *userdata;
};

struct listen_result {
	int fd; /* close-on-exec; non-blocking unless the service is wait = yes */
	struct addr
		addr; /* what it is really bound to: port chosen, fallen back to IPv4, to TCP */
	dev_t dev;    /* file system UNIX sockets: their inode, to unlink only ours */
	ino_t ino;
};

/* Room for the step that failed. */
#define LISTEN_STEP_MAX 192

/*
 * Open.  On failure *ret is untouched, reterr_step is a verb
 * ("bind", "set SO_RCVBUF on") for "unable to <verb> <address>: ...", and the
 * result a negative errno.  Beyond those of the system calls:
 * -EADDRINUSE: somebody answers at that UNIX path; -EEXIST: something that is
 * no socket is there; -EBUSY: so for one of its `symlinks`; -ELOOP: it is a
 * symbolic link, or one of another user is on the way; -ENODEV: no such interface;
 * -ENOPKG: no such congestion control.
 */
int listen_open(const struct listen_request *request, struct listen_result *ret,
	char reterr_step[LISTEN_STEP_MAX]);

/*
 * Tell an open socket what its options and its mode are now: what may change on a
 * socket that listens (OPTION_SOCKET_LIVE).  To be used for sockets that nobody
 * else has had in hand: with others it could wait for them.  Errors as above.
 */
int listen_adjust(const struct listen_request *request, const struct listen_result *socket,
	char reterr_step[LISTEN_STEP_MAX]);

/* Why one of the two has failed, in words, for "unable to <step> <address>: <words>". */
const char *listen_explain(int error);

/* Can that service serve a socket that was handed over and is bound to that address?  0;
 * -EINVAL: it is of no kind that it can; -EOPNOTSUPP: it is for datagrams, of which nobody can
 * be asked who sends them, and the service has `ident = required`. */
int listen_suits(const struct service_conf *service, const struct addr *addr);

/*
 * Take over an open socket handed over by the service manager, which is bound to `own`: check
 * that it waits for clients, set blocking mode as the service needs it.  Errors as above, and
 * -EINVAL: it does not listen.
 */
int listen_adopt(int fd, const struct service_conf *service, const struct addr *own);

/* Remove those of the links to a UNIX socket that it had and has no longer, as far
 * as they are still those that we made. */
void listen_drop_links(const struct addr *addr, char *const *had, char *const *has);

/* Remove the path of a UNIX socket, and the links to it, likewise. */
void listen_unlink(const struct addr *addr, dev_t dev, ino_t ino, char *const *links);

#endif
