/*
 * notice_folder: where the sockets lie at which programs say how they are (os/notice_socket).
 *
 * Who knows the name of one can send to it, whatever user he is or has become, and nobody
 * else: everybody may pass through the folder and none may look into it, and a name is a number
 * that is guessed by nobody.  What a socket was bound to is shown to all (/proc/net/unix); so
 * it is bound under another name, where nobody may send, and has its own before anybody can.
 *
 * What a hatchd that was killed has left is removed by the next one.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_NOTICE_FOLDER_H
#define HATCHD_OS_NOTICE_FOLDER_H

#include <stdint.h>
#include <sys/un.h>

/* Room for the path of a socket, NUL included. */
#define NOTICE_PATH_MAX sizeof(((struct sockaddr_un *)NULL)->sun_path)

/*
 * Bind `fd` to that number in the folder, by way of another one, both of them random.  The
 * folder is made if it is not there, the one that it is in is not.  0, or a negative errno as
 * they come, beside
 *
 *	-ENAMETOOLONG  the path has no room in an address
 *	-EPERM         the folder is not ours alone
 *	-EACCES        we are root, and not every user gets to it
 */
int notice_folder_bind(
	const char *folder, int fd, uint64_t number, uint64_t other, char ret[NOTICE_PATH_MAX]);

/* Remove the socket with that number. */
void notice_folder_remove(const char *folder, uint64_t number);

/* At the start: remove what nobody listens at. */
void notice_folder_sweep(const char *folder);

/* At the end: remove the folder, if nothing is in there. */
void notice_folder_leave(const char *folder);

#endif
