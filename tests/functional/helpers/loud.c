/*
 * hatchd-bytes as it must not be: from the first moment on several processes tell the master
 * without end that something was lost.
 */
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

/* As in os/bytes_wire.h. */
struct news {
	uint32_t kind;
	int32_t result;
	uint64_t ticket, in, out;
};

int main(void)
{
	static const struct news ready = {.kind = 1}, lost = {.kind = 3};

	send(STDIN_FILENO, &ready, sizeof ready, MSG_NOSIGNAL);
	if (fork() < 0 || fork() < 0)
		return 1;
	while (send(STDIN_FILENO, &lost, sizeof lost, MSG_NOSIGNAL) > 0)
		;
	return 0;
}
