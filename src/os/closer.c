#include "os/closer.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

/* A thread calls two functions of the kernel. */
#define STACK_SIZE 65536

/* The threads are stuck if a descriptor has to wait for longer than this. */
#define PATIENCE (20 * USEC_PER_MSEC)

/* Threads started at once when they are. */
#define THREADS_MORE 8

/* Waking a thread costs more than what it has to do: it is done for so many descriptors that
 * nobody waits for, or after that time. */
#define PATIENT_BATCH 32
#define PATIENT_TIME  (2 * USEC_PER_MSEC)

struct job {
	struct closer_job what;
	uint64_t since; /* usec, monotonic */
	struct job *next_begun;
};

struct closer {
	pthread_mutex_t lock; /* never held in a call that may sleep */
	pthread_cond_t more;
	struct job *jobs; /* ring of `max` */
	unsigned max;
	unsigned first, n_jobs;
	unsigned n_urgent; /* of them, those that are not patient */
	unsigned n_threads;
	unsigned n_idle;
	struct job *begun; /* on the stacks of the threads that are at them */
	uint64_t passed;   /* jobs with a ticket below may be done */
	bool ending;
	int done_fd; /* counts those that were to be told; owned */
};

int closer_new(unsigned max, struct closer **ret)
{
	struct closer *closer = calloc(1, sizeof *closer);

	if (!closer)
		return -ENOMEM;
	closer->max = max;
	closer->jobs = calloc(max, sizeof *closer->jobs);
	if (!closer->jobs) {
		free(closer);
		return -ENOMEM;
	}
	closer->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (closer->done_fd < 0) {
		int r = -errno;

		free(closer->jobs);
		free(closer);
		return r;
	}
	pthread_mutex_init(&closer->lock, NULL);
	pthread_cond_init(&closer->more, NULL);
	*ret = closer;
	return 0;
}

static void finish(const struct closer *closer, const struct job *job)
{
	static const struct linger none;

	if (job->what.drop)
		(void)!recv(job->what.fd, NULL, 0, MSG_DONTWAIT);
	setsockopt(job->what.fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	close(job->what.fd);
	if (job->what.tell)
		eventfd_write(closer->done_fd, 1);
	__atomic_sub_fetch(job->what.pending, 1, __ATOMIC_RELEASE);
}

/* Tickets only grow, so the first job has the lowest. */
static bool has_ready_job(const struct closer *closer)
{
	return closer->n_jobs > 0 && closer->jobs[closer->first].what.ticket < closer->passed;
}

/* The next job, or false at the end; called and left with the lock held. */
static bool next_job(struct closer *closer, struct job *ret)
{
	while (!has_ready_job(closer) && !closer->ending) {
		closer->n_idle++;
		pthread_cond_wait(&closer->more, &closer->lock);
		closer->n_idle--;
	}
	if (!has_ready_job(closer))
		return false;
	*ret = closer->jobs[closer->first];
	closer->n_jobs--;
	closer->n_urgent -= !ret->what.patient;
	/* From the beginning again, so that not all of the ring is ever touched. */
	closer->first = closer->n_jobs == 0 ? 0 : (closer->first + 1) % closer->max;
	return true;
}

/* Whoever comes last of a closer that has ended puts the light out. */
static void leave(struct closer *closer)
{
	bool last = --closer->n_threads == 0 && closer->ending;

	pthread_mutex_unlock(&closer->lock);
	if (!last)
		return;
	fd_close(closer->done_fd);
	free(closer->jobs);
	free(closer);
}

static void forget_begun(struct closer *closer, const struct job *job)
{
	struct job **link = &closer->begun;

	while (*link != job)
		link = &(*link)->next_begun;
	*link = job->next_begun;
}

static void *run(void *arg)
{
	struct closer *closer = arg;
	struct job job;

	pthread_mutex_lock(&closer->lock);
	while (next_job(closer, &job)) {
		job.next_begun = closer->begun;
		closer->begun = &job;
		pthread_mutex_unlock(&closer->lock);
		finish(closer, &job);
		pthread_mutex_lock(&closer->lock);
		forget_begun(closer, &job);
	}
	leave(closer);
	return NULL;
}

static int start_thread(struct closer *closer)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	r = pthread_attr_init(&attr);
	if (r != 0)
		return -r;
	r = pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (r == 0)
		r = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (r == 0)
		r = pthread_create(&thread, &attr, run, closer);
	pthread_attr_destroy(&attr);
	return -r;
}

/* Called with the lock held, so that a new thread finds itself counted. */
static void add_threads(struct closer *closer, unsigned n)
{
	while (n-- > 0 && closer->n_threads < CLOSER_THREADS_MAX && start_thread(closer) == 0)
		closer->n_threads++;
}

void closer_close(struct closer *closer, const struct closer_job *job, uint64_t now)
{
	__atomic_add_fetch(job->pending, 1, __ATOMIC_RELAXED);

	pthread_mutex_lock(&closer->lock);
	closer->jobs[(closer->first + closer->n_jobs++) % closer->max] =
		(struct job){.what = *job, .since = now};
	closer->n_urgent += !job->patient;
	pthread_mutex_unlock(&closer->lock);
}

size_t closer_begun(struct closer *closer, uint64_t ret_owners[CLOSER_THREADS_MAX])
{
	size_t n = 0;

	pthread_mutex_lock(&closer->lock);
	for (const struct job *job = closer->begun; job; job = job->next_begun)
		ret_owners[n++] = job->what.owner;
	pthread_mutex_unlock(&closer->lock);
	return n;
}

int closer_done_fd(const struct closer *closer)
{
	return closer->done_fd;
}

/* With the lock held. */
static bool may_wait(const struct closer *closer, uint64_t now)
{
	return closer->n_urgent == 0 && closer->n_jobs < PATIENT_BATCH &&
	       now < closer->jobs[closer->first].since + PATIENT_TIME;
}

uint64_t closer_tend(struct closer *closer, uint64_t passed, uint64_t now)
{
	uint64_t due = USEC_INFINITY;
	bool wake = false;

	pthread_mutex_lock(&closer->lock);
	closer->passed = passed;
	if (has_ready_job(closer) && may_wait(closer, now)) {
		due = closer->jobs[closer->first].since + PATIENT_TIME;
	} else if (has_ready_job(closer)) {
		if (closer->n_threads == 0)
			add_threads(closer, 1);
		wake = closer->n_idle > 0;
		due = closer->jobs[closer->first].since + PATIENCE;
		if (due <= now) {
			add_threads(closer,
				closer->n_jobs < THREADS_MORE ? closer->n_jobs : THREADS_MORE);
			due = now + PATIENCE;
		}
	}
	pthread_mutex_unlock(&closer->lock);
	/* Not before: it would wake up to wait for the lock. */
	if (wake)
		pthread_cond_signal(&closer->more);
	return due;
}

void closer_done(struct closer *closer)
{
	if (!closer)
		return;
	pthread_mutex_lock(&closer->lock);
	closer->ending = true;
	pthread_cond_broadcast(&closer->more);
	closer->n_threads++; /* ourselves, for leave() */
	leave(closer);
}
