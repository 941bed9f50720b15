/*
 * request: one line to a running hatchd, and what its answer means for a command.
 *
 * hatchd says why not in words that hatchd-control(7) lists; here they become an errno, and
 * that the exit status that is the same for all commands: 0 done, 1 not done, 2 what was
 * named is not there, or nothing that hatchd takes.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_ASK_REQUEST_H
#define HATCHD_HATCHCTL_ASK_REQUEST_H

#include "hatchctl/ask/answer.h"

#include <limits.h>

/* Room for a request, its newline and a NUL: more than hatchd takes. */
#define REQUEST_LINE_MAX 256

/* Room for why there is no answer. */
#define REQUEST_WHY_MAX (PATH_MAX + 256)

/*
 * Ask at that socket, with plain words without a newline.  0 with *ret, which answer_done()
 * frees (NULL: nobody wants to know); else a negative errno, and why in words.
 *
 *	-ESRCH         hatchd knows no such service, or connection
 *	-EINVAL        it does not take that value, or what is there is no request
 *	-EPERM         only root may do that
 *	-EREMOTEIO     it refuses for another reason
 *	-ENOENT, -ECONNREFUSED  nobody is there
 */
int request_try(
	const char *path, const char *words, struct answer *ret, char why[REQUEST_WHY_MAX]);

/* Whether that errno says that no hatchd is there. */
bool request_found_nobody(int r);

/* The exit status of a command for that errno, or for 0. */
int request_status(int r);

/* Whether that errno is about what was named, such as a service, so that it may be otherwise
 * for another one: it is not where nobody is there, or he may not. */
bool request_is_about(int r);

/* Say why not, with that name before it if it is about that.  The exit status. */
int request_tell(const char *about, int r, const char *why);

/* request_try() for a command, which request_tell() follows. */
int request_do(const char *path, const char *about, const char *words, struct answer *ret);

/* The line of a service, in *ret; as request_try(). */
int request_service(
	const char *path, const char *service, struct answer *ret, char why[REQUEST_WHY_MAX]);

/* The number of that member, or a text of it, which the caller frees (NULL: there is none),
 * of the first line of an answer. */
uint64_t request_number(const struct answer *answer, const char *key);
char *request_text(const struct answer *answer, const char *key);

#endif
