/*
 * sockopt: the options of a listening socket, in one table.
 *
 * A row of the table says which option of the configuration is which option of
 * the kernel, and which value the service wants it to have.  Which sockets have it,
 * and what may become of it while the socket lives, is in the table of options
 * (conf/options.h):
 *
 *	OPTION_SOCKET_BIND	read by the kernel when the socket is bound: another
 *				value takes another socket
 *	OPTION_SOCKET_LIVE	may be changed and taken back at any time; clients
 *				that come in afterwards have the new value
 *	OPTION_SOCKET_STICKY	may be changed, but not be left to the kernel's own
 *				choice again, because the kernel has no word for that
 *
 * Connections inherit all of them from their listener, but for SO_PRIORITY.
 *
 * `backlog` is none of these: listen(2) once more changes it.
 *
 * setsockopt(2) takes the lock of the socket.  Whoever shares the socket can
 * hold that lock, so the master changes nothing while a program has it (I2).
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_SOCKOPT_H
#define HATCHD_OS_SOCKOPT_H

#include "conf/conf.h"

/* Room for the step that failed. */
#define SOCKOPT_STEP_MAX 48

/*
 * Set on a new socket, before it is bound, what the service asks for and an
 * address of that kind has.  0, or a negative errno with reterr_step a verb
 * ("set SO_RCVBUF on") for "unable to <verb> <address>: ...".  -ENODEV: no such
 * interface; -ENOPKG: no such congestion control in this kernel.
 */
int sockopt_apply(int fd, const struct service_conf *service, const struct addr *addr,
	char reterr_step[SOCKOPT_STEP_MAX]);

/*
 * Set on a connection that was just accepted, and that nobody shares yet, what
 * the kernel does not hand down from the listener.  Cannot fail in a way that
 * sockopt_apply() has not.
 */
void sockopt_finish(int fd, const struct service_conf *service, const struct addr *addr);

/*
 * Make an open socket what sockopt_apply() would have made it, as far as the table
 * of options says LIVE; also what was asked for once and is not any more.  Result
 * as above; options before the one that failed have been set.
 */
int sockopt_adjust(int fd, const struct service_conf *service, const struct addr *addr,
	char reterr_step[SOCKOPT_STEP_MAX]);

#endif
