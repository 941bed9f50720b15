#include "os/asker.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

#define NAME "hatchd-ask"

/* Pauses before it is started again. */
#define PAUSE_MIN (100 * USEC_PER_MSEC)
#define PAUSE_MAX (30 * USEC_PER_SEC)

/* It says something about each question within a tenth of a second. */
#define SILENCE_MAX (10 * USEC_PER_SEC)

/* Processes that were killed and have not ended; they are looked for so often. */
#define CORPSES_MAX 4
#define REAP_AGAIN  USEC_PER_SEC

/* Later ones that are answered show that one waits for nobody.  One could slip through
 * where a lock changes hands, the next one would not. */
#define OVERTAKEN 8

/* Exit status of one that could not be run. */
#define CHILD_FAILED 120

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

	int program, null, lowest;
	int epoll_fd; /* of `socket` alone, which comes and goes; owned */
	int socket;   /* owned; -EBADF: it does not run */
	pid_t pid;
	uint64_t quiet_since; /* the last message, or the question that ended the rest */
	uint64_t start_at, pause;
	int trouble;
	pid_t corpses[CORPSES_MAX];
	size_t n_corpses;
	uint64_t reap_at;
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

static int move_up(const struct asker *asker, int fd)
{
	int high = fd_move_up(fd, asker->lowest);

	return high < 0 ? fd : high;
}

int asker_new(int program, int null, int lowest, struct asker **ret)
{
	struct asker *asker = calloc(1, sizeof *asker);
	int r;

	if (!asker) {
		fd_close(program);
		return -ENOMEM;
	}
	asker->lowest = lowest;
	asker->null = null;
	asker->socket = -EBADF;
	asker->pid = -1;
	asker->pause = PAUSE_MIN;
	asker->reap_at = USEC_INFINITY;
	asker->program = program < 0 ? program : move_up(asker, program);
	asker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (asker->epoll_fd < 0) {
		r = -errno;
		fd_close(asker->program);
		free(asker);
		return r;
	}
	asker->epoll_fd = move_up(asker, asker->epoll_fd);
	*ret = asker;
	return 0;
}

int asker_fd(const struct asker *asker)
{
	return asker->epoll_fd;
}

pid_t asker_pid(const struct asker *asker)
{
	return asker->pid;
}

int asker_trouble(struct asker *asker)
{
	int trouble = asker->trouble;

	asker->trouble = 0;
	return trouble;
}

const char *asker_explain(int trouble)
{
	switch (trouble) {
	case -ENOENT:
		return NAME " is not there";
	case -ECHILD:
		return NAME " has ended";
	case -ETIME:
		return NAME " does not answer";
	case -EBADMSG:
		return NAME " has said nonsense";
	case -EBUSY:
		return "several " NAME " hang in the kernel";
	default:
		return strerror(-trouble);
	}
}

/* ------------------------------------------------------------ the end of the process */

static void reap(struct asker *asker, uint64_t now)
{
	for (size_t i = asker->n_corpses; i-- > 0;)
		if (waitpid(asker->corpses[i], NULL, WNOHANG) != 0)
			asker->corpses[i] = asker->corpses[--asker->n_corpses];
	asker->reap_at = asker->n_corpses > 0 ? now + REAP_AGAIN : USEC_INFINITY;
}

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

/* A thread of it that is stuck keeps it from ending; it is nobody's any more. */
static void let_go(struct asker *asker)
{
	if (asker->socket < 0)
		return;
	epoll_ctl(asker->epoll_fd, EPOLL_CTL_DEL, asker->socket, NULL);
	asker->socket = fd_close(asker->socket);
	kill(asker->pid, SIGKILL);
	asker->corpses[asker->n_corpses++] = asker->pid;
	asker->pid = -1;
}

static void pause_before_start(struct asker *asker, int trouble, uint64_t now)
{
	asker->trouble = trouble;
	asker->start_at = now + asker->pause;
	asker->pause = asker->pause * 2 < PAUSE_MAX ? asker->pause * 2 : PAUSE_MAX;
}

static void give_up(struct asker *asker, int trouble, uint64_t now)
{
	let_go(asker);
	put_anew(asker);
	pause_before_start(asker, trouble, now);
	reap(asker, now);
	/* It is on its way. */
	if (asker->n_corpses > 0)
		asker->reap_at = now + PAUSE_MIN;
}

void asker_done(struct asker *asker)
{
	if (!asker)
		return;
	let_go(asker);
	reap(asker, 0);
	fd_close(asker->program);
	fd_close(asker->epoll_fd);
	free(asker);
}

/* ------------------------------------------------------ the beginning of the process */

/* What concerns how any program is linked and checked; whatever else there is in our
 * environment is not for a process of another user. */
static void choose_environment(char *chosen[])
{
	static const char *const names[] = {
		"ASAN_OPTIONS=",
		"LD_LIBRARY_PATH=",
		"LD_PRELOAD=",
		"UBSAN_OPTIONS=",
	};
	size_t n = 0;

	for (char **e = environ; e && *e; e++)
		for (size_t i = 0; i < ARRAY_SIZE(names) && n < ARRAY_SIZE(names); i++)
			if (strncmp(*e, names[i], strlen(names[i])) == 0)
				chosen[n++] = *e;
	chosen[n] = NULL;
}

/* Between fork and exec of a process with threads: system calls only.  First of all every
 * descriptor of ours goes: an exec may hang. */
static _Noreturn void run_child(const struct asker *asker, int socket, char *envp[])
{
	static char name[] = NAME;
	char *argv[] = {name, NULL};

	if (dup2(socket, ASK_SOCKET_FD) < 0 || dup2(asker->null, STDOUT_FILENO) < 0 ||
		dup2(asker->null, STDERR_FILENO) < 0)
		_exit(CHILD_FAILED);
	syscall(SYS_close_range, STDERR_FILENO + 1, asker->program - 1, 0);
	syscall(SYS_close_range, asker->program + 1, ~0U, 0);
	fexecve(asker->program, argv, envp);
	_exit(CHILD_FAILED);
}

/* It is never seen under another name: lists of processes are read by people. */
static pid_t fork_named(const struct asker *asker, int socket)
{
	char ours[16] = "", *envp[8];
	pid_t pid;

	choose_environment(envp);
	prctl(PR_GET_NAME, ours);
	prctl(PR_SET_NAME, NAME);
	pid = fork();
	if (pid == 0)
		run_child(asker, socket, envp);
	prctl(PR_SET_NAME, ours);
	return pid < 0 ? -errno : pid;
}

/* No descriptor comes back: closing a stranger's could make us wait.  Older kernels than
 * 6.16 do not refuse them, but the process has none that are worth it. */
static int watch(struct asker *asker)
{
	static const int off = 0;
	struct epoll_event event = {.events = EPOLLIN};

	(void)!setsockopt(asker->socket, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof off);
	return epoll_ctl(asker->epoll_fd, EPOLL_CTL_ADD, asker->socket, &event) < 0 ? -errno
	                                                                            : 0;
}

static int launch(struct asker *asker)
{
	_cleanup_close_ int theirs = -EBADF;
	int ends[2], r;

	if (asker->program < 0)
		return asker->program;
	if (asker->n_corpses >= CORPSES_MAX)
		return -EBUSY;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	theirs = ends[1];
	asker->socket = move_up(asker, ends[0]);
	r = watch(asker);
	if (r == 0)
		r = fork_named(asker, theirs);
	if (r < 0) {
		asker->socket = fd_close(asker->socket);
		return r;
	}
	asker->pid = r;
	return 0;
}

static void start(struct asker *asker, uint64_t now)
{
	int r;

	if (asker->socket >= 0 || now < asker->start_at)
		return;
	r = launch(asker);
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
	if (send(asker->socket, &question, sizeof question, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
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
	ssize_t n = recv(asker->socket, &said, sizeof said, MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -ECHILD;
	if (n == 0)
		return -ECHILD;
	return n == sizeof said ? hear(asker, &said, ret) : -EBADMSG;
}

bool asker_take(struct asker *asker, uint64_t now, struct asker_answer *ret)
{
	while (asker->socket >= 0) {
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
	struct pollfd p = {.fd = asker->socket, .events = POLLIN};

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
	uint64_t due = asker->reap_at;

	if (asker->waiting.first && asker->socket < 0)
		due = earlier(due, asker->start_at);
	if (asker->socket >= 0 && is_expected(asker))
		due = earlier(due, asker->quiet_since + SILENCE_MAX);
	return due;
}

uint64_t asker_tend(struct asker *asker, uint64_t now)
{
	if (now >= asker->reap_at)
		reap(asker, now);
	if (asker->socket >= 0 && is_expected(asker) && !is_unread(asker) &&
		now >= asker->quiet_since + SILENCE_MAX)
		give_up(asker, -ETIME, now);
	if (asker->waiting.first)
		start(asker, now);
	if (asker->waiting.first && asker->socket >= 0)
		send_questions(asker, now);
	if (asker->socket >= 0)
		prove(asker, now);
	return due(asker);
}
