#include "os/asker.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

/* An answer of the kernel is read into it. */
#define STACK_SIZE 65536

/* The threads are stuck if a question has to wait for longer than this. */
#define PATIENCE (20 * USEC_PER_MSEC)

/* A thread without work waits so long for more. */
#define LINGER USEC_PER_SEC

struct job {
	struct asker_question question;
	struct asker_answer answer;
	uint64_t since; /* usec, monotonic */
	bool begun;     /* a thread is at it */
	struct job *next;
};

struct jobs {
	struct job *first, *last;
};

struct asker {
	pthread_mutex_t lock; /* never held in a call that may sleep */
	pthread_cond_t more;
	struct job all[ASKER_ROOM]; /* from the beginning, so that few are ever touched */
	size_t n_used;              /* of them, ever */
	struct jobs free, waiting, answered;
	int lowest;
	unsigned n_threads; /* that take jobs */
	unsigned n_idle;
	unsigned n_holders; /* of this memory: the threads, and who has made it */
	bool ending;
	int fd; /* counts answers; owned */
};

static void append(struct jobs *jobs, struct job *job)
{
	job->next = NULL;
	if (jobs->last)
		jobs->last->next = job;
	else
		jobs->first = job;
	jobs->last = job;
}

static struct job *take_first(struct jobs *jobs)
{
	struct job *job = jobs->first;

	if (!job)
		return NULL;
	jobs->first = job->next;
	if (!jobs->first)
		jobs->last = NULL;
	return job;
}

/* With the clock that does not jump. */
static void init_condition(pthread_cond_t *condition)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attr);
	pthread_condattr_destroy(&attr);
}

int asker_new(int lowest, struct asker **ret)
{
	struct asker *asker = calloc(1, sizeof *asker);
	int fd;

	if (!asker)
		return -ENOMEM;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0) {
		free(asker);
		return -errno;
	}
	asker->fd = fd;
	fd = fd_move_up(fd, lowest);
	if (fd >= 0)
		asker->fd = fd;
	asker->lowest = lowest;
	asker->n_holders = 1;
	pthread_mutex_init(&asker->lock, NULL);
	init_condition(&asker->more);
	*ret = asker;
	return 0;
}

/* Whoever comes last puts the light out. */
static void let_go(struct asker *asker)
{
	bool last;

	pthread_mutex_lock(&asker->lock);
	last = --asker->n_holders == 0;
	pthread_mutex_unlock(&asker->lock);
	if (!last)
		return;
	fd_close(asker->fd);
	pthread_cond_destroy(&asker->more);
	pthread_mutex_destroy(&asker->lock);
	free(asker);
}

void asker_done(struct asker *asker)
{
	if (!asker)
		return;
	pthread_mutex_lock(&asker->lock);
	asker->ending = true;
	pthread_cond_broadcast(&asker->more);
	pthread_mutex_unlock(&asker->lock);
	let_go(asker);
}

int asker_fd(const struct asker *asker)
{
	return asker->fd;
}

/* ------------------------------------------------------------- the threads */

/* False: nothing has come for a while. */
static bool wait_for_more(struct asker *asker)
{
	uint64_t until = clock_monotonic() + LINGER;
	const struct timespec ts = {
		.tv_sec = (time_t)(until / USEC_PER_SEC),
		.tv_nsec = (long)(until % USEC_PER_SEC) * 1000,
	};
	int r;

	asker->n_idle++;
	r = pthread_cond_timedwait(&asker->more, &asker->lock, &ts);
	asker->n_idle--;
	return r == 0;
}

/* The next job, or NULL: then the thread is none of those that take jobs any more.
 * Called and left with the lock held. */
static struct job *next_job(struct asker *asker)
{
	struct job *job = NULL;

	while (!asker->ending && !(job = take_first(&asker->waiting)))
		if (!wait_for_more(asker) && !asker->waiting.first)
			break;
	if (!job)
		asker->n_threads--;
	return job;
}

static void answer(struct job *job, int diag_fd)
{
	const struct asker_question *q = &job->question;

	job->answer = (struct asker_answer){.owner = q->owner, .id = q->id, .result = diag_fd};
	if (diag_fd >= 0)
		job->answer.result = tcp_diag_ask(
			diag_fd, &q->local, &q->peer, &q->handle, &job->answer.facts);
}

static int open_diag(const struct asker *asker)
{
	int fd = tcp_diag_open(), high;

	if (fd < 0)
		return fd;
	high = fd_move_up(fd, asker->lowest);
	return high < 0 ? fd : high;
}

static void *run(void *arg)
{
	struct asker *asker = arg;
	int diag_fd = open_diag(asker);
	struct job *job;

	pthread_mutex_lock(&asker->lock);
	while ((job = next_job(asker))) {
		job->begun = true;
		pthread_mutex_unlock(&asker->lock);
		answer(job, diag_fd);
		pthread_mutex_lock(&asker->lock);
		append(&asker->answered, job);
		eventfd_write(asker->fd, 1);
	}
	pthread_mutex_unlock(&asker->lock);
	fd_close(diag_fd);
	let_go(asker);
	return NULL;
}

static int start_thread(struct asker *asker)
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
		r = pthread_create(&thread, &attr, run, asker);
	pthread_attr_destroy(&attr);
	return -r;
}

/* Called with the lock held, so that a new thread finds itself counted. */
static void add_thread(struct asker *asker)
{
	if (asker->n_threads >= ASKER_THREADS_MAX || start_thread(asker) < 0)
		return;
	asker->n_threads++;
	asker->n_holders++;
}

/* -------------------------------------------------------------- the master */

static struct job *take_free(struct asker *asker)
{
	struct job *job = take_first(&asker->free);

	if (!job && asker->n_used < ASKER_ROOM)
		job = &asker->all[asker->n_used++];
	return job;
}

bool asker_put(struct asker *asker, const struct asker_question *question, uint64_t now)
{
	struct job *job;

	pthread_mutex_lock(&asker->lock);
	job = take_free(asker);
	if (job) {
		job->question = *question;
		job->since = now;
		job->begun = false;
		append(&asker->waiting, job);
	}
	pthread_mutex_unlock(&asker->lock);
	return job != NULL;
}

bool asker_take(struct asker *asker, struct asker_answer *ret)
{
	struct job *job;

	pthread_mutex_lock(&asker->lock);
	job = take_first(&asker->answered);
	if (job) {
		*ret = job->answer;
		job->question = (struct asker_question){0};
		append(&asker->free, job);
	}
	pthread_mutex_unlock(&asker->lock);
	return job != NULL;
}

static bool is_about(const struct job *job, const void *owner, uint64_t id)
{
	return job->question.owner == owner && job->question.id == id;
}

/* One that has an answer which was not taken yet is not stuck. */
bool asker_is_stuck(struct asker *asker, const void *owner, uint64_t id)
{
	bool stuck = false;

	pthread_mutex_lock(&asker->lock);
	for (size_t i = 0; i < asker->n_used; i++)
		stuck = stuck || (is_about(&asker->all[i], owner, id) && asker->all[i].begun);
	for (const struct job *job = asker->answered.first; job; job = job->next)
		stuck = stuck && !is_about(job, owner, id);
	pthread_mutex_unlock(&asker->lock);
	return stuck;
}

uint64_t asker_tend(struct asker *asker, uint64_t now)
{
	uint64_t due = USEC_INFINITY;

	pthread_mutex_lock(&asker->lock);
	if (asker->waiting.first) {
		if (asker->n_threads == 0)
			add_thread(asker);
		if (asker->n_idle > 0)
			pthread_cond_signal(&asker->more);
		due = asker->waiting.first->since + PATIENCE;
		if (due <= now) {
			add_thread(asker);
			due = now + PATIENCE;
		}
	}
	pthread_mutex_unlock(&asker->lock);
	return due;
}
