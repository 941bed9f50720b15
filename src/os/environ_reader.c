#include "os/environ_reader.h"

#include "base/fd.h"
#include "base/own.h"
#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/eventfd.h>

/* What the kernel has to read from a disk comes sooner. */
#define PATIENCE_MSEC 300

/* Of the thread and, while it is not asked, of who asks it; whoever is left behind keeps it. */
struct environ_thread {
	int asked, done; /* events; owned */
	int folder;      /* of the process; owned */
	ssize_t len;     /* or a negative errno */
	char text[ENVIRONMENT_MAX];
};

static void *work(void *userdata)
{
	struct environ_thread *thread = userdata;
	eventfd_t n;

	while (eventfd_read(thread->asked, &n) == 0) {
		thread->len = process_read(
			thread->folder, "environ", thread->text, sizeof thread->text);
		thread->folder = fd_close(thread->folder);
		eventfd_write(thread->done, 1);
	}
	return NULL;
}

static void free_thread(struct environ_thread *thread)
{
	fd_close(thread->asked);
	fd_close(thread->done);
	free(thread);
}

static int start_thread(struct environ_thread *thread)
{
	pthread_attr_t attr;
	pthread_t id;
	int r;

	if (thread->asked < 0 || thread->done < 0)
		return -EMFILE;
	r = pthread_attr_init(&attr);
	if (r != 0)
		return -r;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&id, &attr, work, thread);
	pthread_attr_destroy(&attr);
	return -r;
}

static int new_thread(struct environ_thread **ret)
{
	struct environ_thread *thread = malloc(sizeof *thread);
	int r;

	if (!thread)
		return -ENOMEM;
	thread->asked = eventfd(0, EFD_CLOEXEC);
	thread->done = eventfd(0, EFD_CLOEXEC);
	thread->folder = -EBADF;
	r = start_thread(thread);
	if (r < 0)
		free_thread(thread);
	else
		*ret = thread;
	return r;
}

static bool is_slow(const struct environ_reader *reader, uid_t uid)
{
	unsigned n = 0;

	for (unsigned i = 0; i < reader->n_left_behind; i++)
		n += reader->slow[i] == uid;
	return n >= ENVIRON_SLOW_MAX;
}

/* Where nobody was slow nobody need be asked whose it is. */
static int is_worth_it(const struct environ_reader *reader, int folder)
{
	uid_t uid;

	if (reader->n_left_behind >= ENVIRON_READERS_MAX)
		return -EBUSY;
	if (reader->n_left_behind == 0)
		return 0;
	return process_user(folder, &uid) == 0 && is_slow(reader, uid) ? -ETIME : 0;
}

static bool is_done_in_time(const struct environ_thread *thread)
{
	struct pollfd p = {.fd = thread->done, .events = POLLIN};
	eventfd_t n;

	return poll(&p, 1, PATIENCE_MSEC) > 0 && eventfd_read(thread->done, &n) == 0;
}

static ssize_t leave_behind(struct environ_reader *reader, int folder)
{
	uid_t uid = (uid_t)-1;

	process_user(folder, &uid);
	reader->slow[reader->n_left_behind++] = uid;
	reader->thread = NULL;
	return -ETIME;
}

ssize_t environ_read(struct environ_reader *reader, int folder, const char **ret)
{
	int r = is_worth_it(reader, folder);

	if (r == 0 && !reader->thread)
		r = new_thread(&reader->thread);
	if (r < 0)
		return r;
	/* Its own: who asks closes the other one, and goes on. */
	reader->thread->folder = fcntl(folder, F_DUPFD_CLOEXEC, 0);
	if (reader->thread->folder < 0)
		return -errno;
	eventfd_write(reader->thread->asked, 1);
	if (!is_done_in_time(reader->thread))
		return leave_behind(reader, folder);
	*ret = reader->thread->text;
	return reader->thread->len;
}
