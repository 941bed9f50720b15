/*
 * LD_PRELOAD=one-question.so: sock_diag(7) as Linux has it before 6.9, where one lock is
 * held while a question is answered, so that all others wait for it.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sys/socket.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

ssize_t sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
	socklen_t to_len)
{
	ssize_t (*next)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) =
		(ssize_t(*)(int, const void *, size_t, int, const struct sockaddr *,
			socklen_t))dlsym(RTLD_NEXT, "sendto");
	int is_question = to && to->sa_family == AF_NETLINK;
	ssize_t n;

	if (is_question)
		pthread_mutex_lock(&lock);
	n = next(fd, data, len, flags, to, to_len);
	if (is_question)
		pthread_mutex_unlock(&lock);
	return n;
}
