/*
 * hatchd-ask: asks the kernel after connections in the place of the master.
 *
 * The kernel takes the lock of a socket to say how it is, and a program that shares the
 * socket can hold that lock; who asks sleeps until it is let go, and not even SIGKILL
 * ends that.  So it is this process that sleeps, with a thread for each such question,
 * and the master can end at any time.  It has no rights, no descriptors but one socket,
 * and ends when that does.
 */
#include "base/clock.h"
#include "base/own.h"
#include "os/ask_wire.h"
#include "os/helper.h"
#include "os/no_rights.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* Of user and group.  Not those of nobody, whose programs could send it signals: by
 * convention these are nobody's at all. */
#define UNPRIVILEGED 65533

/* An answer of the kernel is read into it. */
#define STACK_SIZE 65536

/* What takes a microsecond is slow after so long. */
#define PATIENCE (100 * USEC_PER_MSEC)

struct pool;

struct worker {
	struct pool *pool;
	pthread_cond_t wake;
	struct ask_question question;
	bool started;
	bool busy; /* `question` is not answered */
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t done; /* somebody is busy no more */
	struct worker workers[ASK_PLACES];
	bool answers; /* this kernel does tell about connections */
};

/* ------------------------------------------------------------------ asking */

/* A kernel that does not tell about connections says that there is none; one that has
 * told about any is believed. */
static int believe(struct pool *pool, int result)
{
	bool answers = result == 0 || __atomic_load_n(&pool->answers, __ATOMIC_RELAXED);
	int r;

	if (!answers && result == -ENOENT) {
		r = tcp_diag_probe();
		if (r < 0)
			return r;
		answers = true;
	}
	__atomic_store_n(&pool->answers, answers, __ATOMIC_RELAXED);
	return result;
}

/* With a socket of its own: whatever goes wrong with it is over with the question. */
static int ask(struct pool *pool, const struct ask_question *q, struct tcp_facts *ret)
{
	_cleanup_close_ int fd = tcp_diag_open();

	if (fd < 0)
		return fd;
	return believe(pool, tcp_diag_ask(fd, &q->local, &q->peer, &q->handle, ret));
}

/* The master is gone if it cannot be told, and so is everybody's work. */
static void tell(const struct ask_answer *answer)
{
	if (send(HELPER_SOCKET_FD, answer, sizeof *answer, MSG_NOSIGNAL) < 0)
		_exit(0);
}

/* With the lock held, so that nothing is said to be slow after its answer. */
static void finish(struct worker *worker, const struct ask_answer *answer)
{
	pthread_mutex_lock(&worker->pool->lock);
	tell(answer);
	worker->busy = false;
	pthread_cond_signal(&worker->pool->done);
	pthread_mutex_unlock(&worker->pool->lock);
}

static void wait_for_work(struct worker *worker)
{
	pthread_mutex_lock(&worker->pool->lock);
	while (!worker->busy)
		pthread_cond_wait(&worker->wake, &worker->pool->lock);
	pthread_mutex_unlock(&worker->pool->lock);
}

static void *work(void *arg)
{
	struct worker *worker = arg;

	for (;;) {
		struct ask_answer answer = {.kind = ASK_ANSWER};

		wait_for_work(worker);
		answer.ticket = worker->question.ticket;
		answer.result = ask(worker->pool, &worker->question, &answer.facts);
		finish(worker, &answer);
	}
	return NULL;
}

/* --------------------------------------------------------------- the first thread */

static int start(struct worker *worker)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	if (worker->started)
		return 0;
	r = pthread_attr_init(&attr);
	if (r != 0)
		return -r;
	r = pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (r == 0)
		r = pthread_create(&thread, &attr, work, worker);
	pthread_attr_destroy(&attr);
	worker->started = r == 0;
	return -r;
}

/* NULL: the master has put more questions than there are places. */
static struct worker *find_idle(struct pool *pool)
{
	for (size_t i = 0; i < ASK_PLACES; i++)
		if (!pool->workers[i].busy)
			return &pool->workers[i];
	return NULL;
}

/* Until it is done, or slow: then it may be so for ever. */
static void wait_for(struct pool *pool, struct worker *worker)
{
	uint64_t until = clock_monotonic() + PATIENCE;
	const struct timespec ts = {
		.tv_sec = (time_t)(until / USEC_PER_SEC),
		.tv_nsec = (long)(until % USEC_PER_SEC) * 1000,
	};
	const struct ask_answer slow = {
		.ticket = worker->question.ticket,
		.kind = ASK_SLOW,
	};

	while (worker->busy)
		if (pthread_cond_timedwait(&pool->done, &pool->lock, &ts) != 0)
			break;
	if (worker->busy)
		tell(&slow);
}

static void put(struct pool *pool, const struct ask_question *question)
{
	struct ask_answer refusal = {.ticket = question->ticket, .kind = ASK_ANSWER};
	struct worker *worker;

	pthread_mutex_lock(&pool->lock);
	worker = find_idle(pool);
	refusal.result = worker ? start(worker) : -EBUSY;
	if (refusal.result < 0) {
		tell(&refusal);
	} else {
		worker->question = *question;
		worker->busy = true;
		pthread_cond_signal(&worker->wake);
		wait_for(pool, worker);
	}
	pthread_mutex_unlock(&pool->lock);
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

static void init_pool(struct pool *pool)
{
	memset(pool, 0, sizeof *pool);
	pthread_mutex_init(&pool->lock, NULL);
	init_condition(&pool->done);
	for (size_t i = 0; i < ASK_PLACES; i++) {
		pool->workers[i].pool = pool;
		pthread_cond_init(&pool->workers[i].wake, NULL);
	}
}

int main(void)
{
	struct ask_question question;
	struct pool pool;
	sigset_t all;

	prctl(PR_SET_NAME, "hatchd-ask");
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (no_rights(UNPRIVILEGED) < 0)
		return 1;
	init_pool(&pool);
	while (recv(HELPER_SOCKET_FD, &question, sizeof question, 0) == sizeof question)
		put(&pool, &question);
	_exit(0);
}
