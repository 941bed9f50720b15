/*
 * kept-name: what a socket is called while somebody else keeps it for us.
 *
 * A service manager gives back what it has kept for the one before us (FDSTORE of
 * sd_notify(3)) with nothing but a name of at most 255 bytes, without colons.  So the name
 * says which address the socket is for, and what of its configuration holds for good:
 *
 *	hatchd/STAMP/PLACE	to be read by people
 *	~KEYSTAMP		the same, brief
 *
 * PLACE is the address as configured, which is the identity of a socket (I3), with = for each
 * colon and %XX for what else a name cannot have; port 0 is any port, so there it is followed
 * by the service and its rank among those: "tcp=0,upper,0".  KEY is a digest of that.
 *
 * All names that are kept are handed over in one variable of the environment, for which Linux
 * has 128 KB: thousands of sockets get brief names.
 *
 * STAMP is empty unless an option was set that an open socket cannot be told to forget:
 *
 *	kb.DIGEST	a letter for each of OPTION_SOCKET_STICKY, and what those of
 *			OPTION_SOCKET_BIND say
 *	!DIGEST		programs have had the socket (wait = yes): all that it was told, and
 *			which program
 *
 * A socket goes on to be used if a reload would leave it open (conf/diff).
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_KEPT_NAME_H
#define HATCHD_MASTER_KEPT_NAME_H

#include "conf/conf.h"

/* Of a name, NUL included. */
#define KEPT_NAME_MAX 256

/* Of a digest in it, NUL included: 48 bits. */
#define KEPT_KEY_MAX 9

/* Of a stamp, NUL included. */
#define KEPT_STAMP_MAX 32

/* What a name says. */
struct kept_name {
	char key[KEPT_KEY_MAX];
	char stamp[KEPT_STAMP_MAX];
};

/* What a configuration asks for. */
struct kept_wish {
	char place[KEPT_NAME_MAX]; /* cut off where it is too long for a name */
	bool cut;
	char key[KEPT_KEY_MAX];
	char stamp[KEPT_STAMP_MAX]; /* as long as no program has had the socket */
	char lent[KEPT_STAMP_MAX];  /* wait = yes: since one has; else "" */
};

/* Of address `index` of the service.  0 or -ENOMEM. */
int kept_wish_make(const struct service_conf *conf, size_t index, struct kept_wish *ret);

/* The name of its socket; brief if that is asked for, or the other is too long.  Returns
 * buf. */
const char *kept_wish_name(const struct kept_wish *wish, bool brief, char buf[KEPT_NAME_MAX]);

/* Whether a name is of that form: then it is no socket unit's. */
bool kept_name_is_ours(const char *name);

/* 0, or -EINVAL: it is not, or cut off or garbled. */
int kept_name_parse(const char *name, struct kept_name *ret);

/* Whether programs have had that socket. */
bool kept_name_is_lent(const struct kept_name *name);

/* Whether a socket of that name, which has the wish's key, can be what is wished for. */
bool kept_name_fits(const struct kept_name *name, const struct kept_wish *wish);

#endif
