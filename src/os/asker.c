#include "os/asker.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "os/helper.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define NAME "hatchd-ask"

/* Pauses before it is started again. */
#define PAUSE_MIN (100 * USEC_PER_MSEC)
#define PAUSE_MAX (30 * USEC_PER_SEC)

/* It says something about each question within a tenth of a second. */
#define SILENCE_MAX (10 * USEC_PER_SEC)

/* Later ones that are answered show that one waits for nobody.  One could slip through
 * where a lock changes hands, the next one would not. */
#define OVERTAKEN 8

struct job {
	struct asker_question question;
	uint64_t ticket;
	bool slow;
	unsigned overtaken; /* answers to later ones since it is slow */
	struct job *next;
};

struct jobs {
	struct job *first, *last;
};

struct asker {
	struct job all[ASKER_ROOM]; /* from the beginning, so that few are ever touched */
	size_t n_used;              /* of them, ever */
	size_t n_in;                /* waiting or put */
	struct jobs free, waiting;
	struct job *put[ASK_PLACES]; /* in their order, NULL behind the last */
	size_t n_put;
	uint64_t next_ticket;
	struct job proof; /* a question after nobody: that others are answered */
	bool proving;     /* it is put */

	struct helper process;
	uint64_t quiet_since; /* the last message, or the question that ended the rest */
	uint64_t start_at, pause;
	int trouble;
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

static bool is_overtaken(const struct job *job)
{
	return job->overtaken >= OVERTAKEN;
}

int asker_new(int program, int null, int lowest, struct asker **ret)
{
	struct asker *asker = calloc(1, sizeof *asker);
	int r;

	if (!asker) {
		fd_close(program);
		return -ENOMEM;
	}
	r = helper_init(&asker->process, NAME, program, null, lowest);
	if (r < 0) {
		free(asker);
		return r;
	}
	asker->pause = PAUSE_MIN;
	*ret = asker;
	return 0;
}

int asker_fd(const struct asker *asker)
{
	return asker->process.epoll_fd;
}

pid_t asker_pid(const struct asker *asker)
{
	return asker->process.pid;
}

uint64_t asker_starts(const struct asker *asker)
{
	return asker->process.starts;
}

int asker_trouble(struct asker *asker)
{
	int trouble = asker->trouble;

	asker->trouble = 0;
	return trouble;
}

const char *asker_explain(int trouble, char buf[HELPER_WHY_MAX])
{
	return helper_explain(NAME, trouble, buf);
}

/* ------------------------------------------------------------------- the process */

static void put_anew(struct asker *asker)
{
	struct jobs waiting = asker->waiting;

	asker->waiting = (struct jobs){0};
	for (size_t i = 0; i < asker->n_put; i++)
		if (asker->put[i] != &asker->proof)
			append(&asker->waiting, asker->put[i]);
	asker->n_put = 0;
	asker->proving = false;
	if (!waiting.first)
		return;
	if (asker->waiting.last)
		asker->waiting.last->next = waiting.first;
	else
		asker->waiting.first = waiting.first;
	asker->waiting.last = waiting.last;
}

static void pause_before_start(struct asker *asker, int trouble, uint64_t now)
{
	asker->trouble = trouble;
	asker->start_at = now + asker->pause;
	asker->pause = asker->pause * 2 < PAUSE_MAX ? asker->pause * 2 : PAUSE_MAX;
}

static void give_up(struct asker *asker, int trouble, uint64_t now)
{
	helper_end(&asker->process, now);
	put_anew(asker);
	pause_before_start(asker, trouble, now);
}

void asker_done(struct asker *asker)
{
	if (!asker)
		return;
	helper_done(&asker->process);
	free(asker);
}

static void start(struct asker *asker, uint64_t now)
{
	int r;

	if (asker->process.socket >= 0 || now < asker->start_at)
		return;
	r = helper_start(&asker->process);
	if (r < 0)
		pause_before_start(asker, r, now);
	asker->quiet_since = now;
}

/* -------------------------------------------------------------------- questions */

/* Half of what is free; one at least. */
static bool fair_share(size_t has, size_t n_free)
{
	return has == 0 ? n_free > 0 : has <= n_free / 2;
}

static size_t count_waiting(const struct asker *asker, uint64_t group)
{
	size_t n = 0;

	for (const struct job *job = asker->waiting.first; job; job = job->next)
		n += job->question.group == group;
	return n;
}

static size_t count_put(const struct asker *asker, uint64_t group)
{
	size_t n = 0;

	for (size_t i = 0; i < asker->n_put; i++)
		n += asker->put[i]->question.group == group;
	return n;
}

static struct job *take_free(struct asker *asker)
{
	struct job *job = take_first(&asker->free);

	if (!job && asker->n_used < ASKER_ROOM)
		job = &asker->all[asker->n_used++];
	return job;
}

bool asker_put(struct asker *asker, const struct asker_question *question)
{
	size_t has = count_waiting(asker, question->group) + count_put(asker, question->group);
	struct job *job;

	if (!fair_share(has, ASKER_ROOM - asker->n_in))
		return false;
	job = take_free(asker);
	*job = (struct job){.question = *question};
	append(&asker->waiting, job);
	asker->n_in++;
	return true;
}

/* Are there questions that it has to say something about? */
static bool is_expected(const struct asker *asker)
{
	return asker->n_put > 0 && !asker->put[asker->n_put - 1]->slow;
}

static bool send_question(struct asker *asker, struct job *job, uint64_t now)
{
	struct ask_question question;

	memset(&question, 0, sizeof question);
	question.ticket = asker->next_ticket + 1;
	question.local = job->question.local;
	question.peer = job->question.peer;
	question.handle = job->question.handle;
	if (send(asker->process.socket, &question, sizeof question,
		    MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return false;
	if (!is_expected(asker))
		asker->quiet_since = now;
	job->ticket = ++asker->next_ticket;
	job->slow = false;
	job->overtaken = 0;
	asker->put[asker->n_put++] = job;
	return true;
}

/* Those whose group may have a place, in their order; the others wait. */
static void send_questions(struct asker *asker, uint64_t now)
{
	struct jobs kept = {0};
	struct job *job;
	bool taken = true;

	while (taken && asker->n_put < ASK_PLACES && (job = take_first(&asker->waiting))) {
		size_t has = count_put(asker, job->question.group);
		bool may = fair_share(has, ASK_PLACES - asker->n_put);

		taken = !may || send_question(asker, job, now);
		if (!may || !taken)
			append(&kept, job);
	}
	if (!kept.first)
		return;
	kept.last->next = asker->waiting.first;
	if (!asker->waiting.last)
		asker->waiting.last = kept.last;
	asker->waiting.first = kept.first;
}

/*
 * Whoever is slow waits for nobody else if others are answered meanwhile.  Where nobody
 * asks, we do, after a connection that nobody has: from port 0 to port 0.
 */
static void prove(struct asker *asker, uint64_t now)
{
	struct addr *nowhere = &asker->proof.question.local;
	bool wanted = false;

	for (size_t i = 0; i < asker->n_put; i++)
		wanted = wanted || (asker->put[i]->slow && !is_overtaken(asker->put[i]));
	if (!wanted || asker->proving || asker->n_put == ASK_PLACES)
		return;
	memset(&asker->proof, 0, sizeof asker->proof);
	*nowhere = (struct addr){.kind = ADDR_TCP, .in.sin_family = AF_INET};
	nowhere->len = sizeof nowhere->in;
	asker->proof.question.peer = *nowhere;
	asker->proof.question.handle.cookie = 1;
	asker->proving = send_question(asker, &asker->proof, now);
}

/* ---------------------------------------------------------------------- answers */

static size_t find_put(const struct asker *asker, uint64_t ticket)
{
	size_t i = 0;

	while (i < asker->n_put && asker->put[i]->ticket != ticket)
		i++;
	return i;
}

static void remove_put(struct asker *asker, size_t at)
{
	struct job *job = asker->put[at];

	asker->n_put--;
	memmove(&asker->put[at], &asker->put[at + 1], (asker->n_put - at) * sizeof(job));
	if (job == &asker->proof) {
		asker->proving = false;
		return;
	}
	asker->n_in--;
	append(&asker->free, job);
}

/* Not if it was not the kernel that has answered. */
static void overtake(struct asker *asker, size_t at, int result)
{
	for (size_t i = 0; i < at && (result == 0 || result == -ENOENT); i++)
		asker->put[i]->overtaken++;
}

/* They are begun in their order, and each ahead of it must be slow by then. */
static bool is_begun(const struct asker *asker, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (!asker->put[i]->slow)
			return false;
	return at < asker->n_put;
}

/* Is it an answer?  -EBADMSG: it is nothing that may be said now. */
static int hear(struct asker *asker, const struct ask_answer *said, struct asker_answer *ret)
{
	size_t at = find_put(asker, said->ticket);
	struct job *job;

	if (!is_begun(asker, at) || said->result > 0)
		return -EBADMSG;
	job = asker->put[at];
	if (said->kind == ASK_SLOW && !job->slow) {
		job->slow = true;
		return 0;
	}
	if (said->kind != ASK_ANSWER)
		return -EBADMSG;
	*ret = (struct asker_answer){
		.owner = job->question.owner,
		.id = job->question.id,
		.result = said->result,
		.facts = said->facts,
	};
	overtake(asker, at, said->result);
	remove_put(asker, at);
	asker->pause = PAUSE_MIN;
	return job != &asker->proof;
}

/* 1: an answer, 0: something else, -EAGAIN: nothing is there. */
static int read_one(struct asker *asker, struct asker_answer *ret)
{
	struct ask_answer said;
	ssize_t n = recv(asker->process.socket, &said, sizeof said, MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -ECHILD;
	if (n == 0)
		return -ECHILD;
	return n == sizeof said ? hear(asker, &said, ret) : -EBADMSG;
}

/* Of what is no answer there are few: that a question is slow can be said once of each, and
 * ours is put once in a turn. */
bool asker_take(struct asker *asker, uint64_t now, struct asker_answer *ret)
{
	while (asker->process.socket >= 0) {
		int r = read_one(asker, ret);

		if (r == -EAGAIN)
			return false;
		if (r < 0)
			give_up(asker, r, now);
		else
			asker->quiet_since = now;
		if (r == 1)
			return true;
	}
	return false;
}

/* Nobody may be judged by what was only not read yet. */
static bool is_unread(const struct asker *asker)
{
	struct pollfd p = {.fd = asker->process.socket, .events = POLLIN};

	return poll(&p, 1, 0) != 0;
}

bool asker_is_held(const struct asker *asker, const void *owner, uint64_t id)
{
	bool behind = false;

	for (size_t i = 0; i < asker->n_put; i++) {
		const struct job *job = asker->put[i];

		if (job->question.owner == owner && job->question.id == id)
			return job->slow && (!behind || is_overtaken(job)) && !is_unread(asker);
		behind = behind || !is_overtaken(job);
	}
	return false;
}

size_t asker_obstacles(const struct asker *asker)
{
	return asker->waiting.first && !is_expected(asker) ? asker->n_put : 0;
}

/* --------------------------------------------------------------------- the turn */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t due(const struct asker *asker)
{
	uint64_t due = asker->process.reap_at;

	if (asker->waiting.first && asker->process.socket < 0)
		due = earlier(due, asker->start_at);
	if (asker->process.socket >= 0 && is_expected(asker))
		due = earlier(due, asker->quiet_since + SILENCE_MAX);
	return due;
}

uint64_t asker_tend(struct asker *asker, uint64_t now)
{
	if (now >= asker->process.reap_at)
		helper_reap(&asker->process, now);
	if (asker->process.socket >= 0 && is_expected(asker) && !is_unread(asker) &&
		now >= asker->quiet_since + SILENCE_MAX)
		give_up(asker, -ETIME, now);
	if (asker->waiting.first)
		start(asker, now);
	if (asker->waiting.first && asker->process.socket >= 0)
		send_questions(asker, now);
	if (asker->process.socket >= 0)
		prove(asker, now);
	return due(asker);
}

size_t asker_pids(const struct asker *asker, pid_t ret[HELPER_PIDS_MAX])
{
	return helper_pids(&asker->process, ret);
}
