/*
 * socket_file: which file a UNIX socket was bound to.
 *
 * Its name says where that was, and by now another socket may be there.  The kernel knows the
 * file: SIOCUNIXFILE opens it for whoever has CAP_NET_ADMIN, and sock_diag(7) tells everybody
 * its numbers.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_SOCKET_FILE_H
#define HATCHD_OS_SOCKET_FILE_H

struct stat;

/* A descriptor of it, with O_PATH and close-on-exec, which is the caller's.  -EPERM without
 * CAP_NET_ADMIN, -ENOENT if there is none; other negative errno as they come. */
int socket_file_open(int fd);

/*
 * Whether it is that one: 0; -ESTALE: another, or none.  Other negative errno: the kernel does
 * not say.  Without CAP_NET_ADMIN the first question may wait for a module (unix_diag), and a
 * file system that shows other numbers than its own (btrfs) has none that is found to be it.
 */
int socket_file_is(int fd, const struct stat *st);

#endif
