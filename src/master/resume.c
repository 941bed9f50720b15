#include "master/resume.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "conf/image.h"
#include "master/handover/master-state.h"
#include "master/handover/service-state.h"
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VARIABLE "HATCHD_HANDOVER"

/* Two numbers with a comma between them. */
#define VALUE_MAX 32

/* ------------------------------------------------------------- from image to image */

static int announce(int state, int old_program)
{
	char value[VALUE_MAX];

	snprintf(value, sizeof value, "%d,%d", state, old_program < 0 ? -1 : old_program);
	return setenv(VARIABLE, value, 1) < 0 ? -errno : 0;
}

static void set_flags(void *userdata, int *fd)
{
	if (*fd >= 0)
		(void)fcntl(*fd, F_SETFD, *(int *)userdata);
}

int resume_execute(
	struct handover *handover, int state, int program, int old_program, char **argv)
{
	int keep = 0, close = FD_CLOEXEC, r = announce(state, old_program);

	if (r < 0)
		return r;
	handover_each_fd(handover, set_flags, &keep);
	set_flags(&keep, &state);
	set_flags(&keep, &old_program);
	log_flush();
	syscall(SYS_execveat, program, "", argv, environ, AT_EMPTY_PATH);
	r = -errno;
	handover_each_fd(handover, set_flags, &close);
	set_flags(&close, &state);
	set_flags(&close, &old_program);
	unsetenv(VARIABLE);
	return r;
}

/* -1 for the second: there is nothing to go back to. */
static bool parse_value(const char *value, int *ret_state, int *ret_program)
{
	char state[VALUE_MAX];
	const char *comma = strchr(value, ',');
	int32_t first, second;

	if (!comma || comma - value >= VALUE_MAX)
		return false;
	snprintf(state, sizeof state, "%.*s", (int)(comma - value), value);
	if (text_parse_i32(state, &first) < 0 || text_parse_i32(comma + 1, &second) < 0)
		return false;
	*ret_state = first;
	*ret_program = second < 0 ? -EBADF : second;
	return first > STDERR_FILENO;
}

static bool is_open(int fd)
{
	return fd > STDERR_FILENO && fcntl(fd, F_GETFD) >= 0;
}

static void check_fd(void *userdata, int *fd)
{
	bool *good = userdata;

	*good &= *fd < 0 || is_open(*fd);
}

/* Whatever gets that number next is nobody's of those. */
static void forget_closed(void *userdata, int *fd)
{
	(void)userdata;
	if (!is_open(*fd))
		*fd = -EBADF;
}

int resume_check(const struct handover *handover)
{
	struct saved_master all;
	int r = master_state_read(handover->state, handover->state_len, &all);

	master_state_done(&all);
	for (size_t i = 0; i < handover->n_services && r == 0; i++) {
		const struct handover_service *service = &handover->services[i];
		struct saved_service saved;

		r = service_state_read(service->state, service->state_len, &saved);
		service_state_done(&saved);
	}
	return r;
}

/* Whoever could not begin has kept all of it open, but for the configuration that was his. */
static int read_state(struct resume *resume)
{
	bool good = true;
	int r = handover_read(resume->state, &resume->handover);

	if (r < 0)
		return r;
	r = resume_check(&resume->handover);
	if (r < 0)
		return r;
	if (resume->back)
		handover_each_fd(&resume->handover, forget_closed, NULL);
	else
		handover_each_fd(&resume->handover, check_fd, &good);
	return good ? 0 : -EBADF;
}

/* A variable that somebody has left, or set, may name anything. */
static bool is_ours(int state)
{
	uint32_t pid;

	return handover_owner(state, &pid) == 0 && pid == (uint32_t)getpid();
}

static bool find(struct resume *resume)
{
	const char *value = getenv(VARIABLE);
	int state, old_program;
	bool found;

	if (!value)
		return false;
	found = parse_value(value, &state, &old_program) && is_ours(state);
	if (!found)
		log_warning("ignoring " VARIABLE
			    " of the environment: it names nothing that hatchd has left");
	unsetenv(VARIABLE);
	if (!found)
		return false;
	resume->state = state;
	resume->old_program = old_program;
	resume->back = old_program < 0;
	return true;
}

int resume_find(struct resume *resume)
{
	int r;

	if (!find(resume))
		return 0;
	r = read_state(resume);
	if (r < 0)
		log_error("unable to take over: %s",
			r == -EPROTONOSUPPORT ? "what is handed over is of another version"
			: r == -EBADMSG       ? "what is handed over is damaged"
					      : strerror(-r));
	return r;
}

/* ----------------------------------------------------------------- descriptors */

struct fds {
	int *fds; /* owned; NULL without memory, or before they are counted */
	size_t n;
};

/* The standard ones stay as they are, and one of them may be the log. */
static void count_fd(void *userdata, int *fd)
{
	struct fds *list = userdata;
	bool counts = *fd > STDERR_FILENO;

	if (counts && list->fds)
		list->fds[list->n] = *fd;
	list->n += counts;
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Without memory for the list nothing is closed. */
static void close_others(const struct fds *list)
{
	int next = STDERR_FILENO + 1;

	for (size_t i = 0; i < list->n; i++) {
		(void)fcntl(list->fds[i], F_SETFD, FD_CLOEXEC);
		if (list->fds[i] > next)
			fd_close_range(next, list->fds[i] - 1);
		next = list->fds[i] >= next ? list->fds[i] + 1 : next;
	}
	fd_close_range(next, INT_MAX);
}

void resume_clean_up(struct resume *resume)
{
	struct fds list = {NULL, 0};
	int log = log_fd();

	handover_each_fd(&resume->handover, count_fd, &list);
	list.fds = calloc(list.n + 3, sizeof *list.fds);
	if (!list.fds)
		return;
	list.n = 0;
	handover_each_fd(&resume->handover, count_fd, &list);
	/* Executed by its descriptor, it would be called by the number of that. */
	prctl(PR_SET_NAME, "hatchd");
	count_fd(&list, &resume->state);
	count_fd(&list, &resume->old_program);
	count_fd(&list, &log);
	qsort(list.fds, list.n, sizeof *list.fds, compare);
	close_others(&list);
	free(list.fds);
}

/* Who goes back has the configuration that he had. */
int resume_image(struct resume *resume, struct image **ret)
{
	struct handover_process *process = &resume->handover.process;
	int *fd = resume->back ? &process->image : &process->next_image;
	int *secrets = resume->back ? &process->secrets : &process->next_secrets;
	_cleanup_image_ struct image *image = NULL;
	int r;

	r = image_open(*fd, &image);
	if (r < 0)
		return r;
	*fd = -EBADF;
	if (*secrets >= 0) {
		r = image_take_secrets(image, *secrets);
		if (r < 0)
			return r;
		*secrets = -EBADF;
	}
	*ret = take_ptr(image);
	return 0;
}

/* ------------------------------------------------------------------------ sockets */

/* With the interface that a link-local one is on now. */
static struct addr as_of_now(const struct addr *bound)
{
	struct addr addr;

	addr_from_sockaddr(bound->kind, &bound->sa, bound->len, &addr);
	addr.dual = bound->dual;
	return addr;
}

static int give(struct handed_over *handed_over, const struct handover_spare *from)
{
	struct addr addr = as_of_now(&from->bound);
	struct handed_socket *last;
	int r = from->fd < 0 ? 0 : handed_over_add(handed_over, from->name, from->fd, &addr);

	if (r < 0 || from->fd < 0)
		return r;
	last = handed_over_last(handed_over);
	last->asked = from->asked;
	last->lent = from->lent;
	last->told = from->told;
	return 0;
}

/* Back to where it came from, as if its listener had been closed. */
static int give_back(struct handed_over *handed_over, const struct handover_listener *listener)
{
	struct handover_spare spare = {
		.name = listener->handed_over,
		.fd = listener->fd,
		.bound = listener->bound,
		.asked = listener->asked,
		.lent = listener->lent,
	};

	return spare.name ? give(handed_over, &spare) : 0;
}

/* As if the service manager had handed them over just now.  Those in use come first: a spare
 * one may be for the same address, and have been had by it before. */
static int give_handed_over(const struct resume *resume, struct handed_over *handed_over)
{
	const struct handover *handover = &resume->handover;
	int r = 0;

	for (size_t i = 0; i < handover->n_listeners && r == 0; i++)
		r = give_back(handed_over, &handover->listeners[i]);
	for (size_t i = 0; i < handover->n_spares && r == 0; i++)
		r = give(handed_over, &handover->spares[i]);
	return r;
}

/* Without its name it is nobody's, and closed when we stay. */
static void refuse(struct handover_listener *listener, int r)
{
	char shown[KEPT_NAME_MAX * 4];

	log_warning("unable to go on with the socket '%s': %s, closing it",
		text_escape(listener->name, strlen(listener->name), shown, sizeof shown),
		kept_strerror(r));
	free(listener->name);
	listener->name = NULL;
}

static int know_address(const struct handover_listener *listener, struct kept *kept)
{
	struct addr addr = as_of_now(&listener->bound);

	return kept_know(kept, &addr);
}

static int keep_socket(struct handover_listener *listener, struct master *master)
{
	struct stored *stored = NULL;
	int r;

	if (listener->fd < 0 || !listener->name)
		return 0;
	if (listener->stored)
		stored = store_note(master, listener->name);
	r = kept_add(&master->kept, listener->name, listener->fd, stored);
	if (r == 0)
		return know_address(listener, &master->kept);
	store_forget(master, stored);
	if (r == -ENOMEM)
		return r;
	refuse(listener, r);
	return 0;
}

int resume_sockets(struct resume *resume, struct master *master)
{
	struct handover *handover = &resume->handover;
	int r = give_handed_over(resume, &master->inherited.handed_over);

	master->kept.own = true;
	store_read_forgotten(
		master, handover->process.forgotten, handover->process.forgotten_len);
	for (size_t i = 0; i < handover->n_listeners && r == 0; i++)
		r = keep_socket(&handover->listeners[i], master);
	return r;
}

int resume_memory(const struct resume *resume, struct master *master, uint64_t now)
{
	const struct handover *handover = &resume->handover;
	struct saved_master saved;
	int r = master_state_read(handover->state, handover->state_len, &saved);

	if (r == 0)
		master_state_put(&saved, master, now);
	master_state_done(&saved);
	return r;
}

/* -------------------------------------------------------------------------- the end */

/* Before any address is opened: it may be in the way of one. */
static void settle_socket(struct handover_listener *listener, struct master *master)
{
	struct kept_socket socket = {.fd = take_fd(&listener->fd)};

	if (socket.fd >= 0 && !listener->name && !listener->handed_over)
		kept_drop(master, &socket);
}

void resume_stay(struct resume *resume, struct master *master)
{
	struct handover *handover = &resume->handover;

	for (size_t i = 0; i < handover->n_spares; i++)
		handover->spares[i].fd = -EBADF;
	for (size_t i = 0; i < handover->n_listeners; i++)
		settle_socket(&handover->listeners[i], master);
	resume->old_program = fd_close(resume->old_program);
}

void resume_tell(const struct resume *resume)
{
	const struct handover *handover = &resume->handover;
	const char *was = handover->process.version;
	size_t n = handover->n_children;

	if (resume->back)
		log_error("unable to upgrade: the next hatchd could not take over, serving on "
			  "as hatchd %s",
			PACKAGE_VERSION);
	else if (strcmp(was, PACKAGE_VERSION) == 0)
		log_notice("upgraded to hatchd %s, %zu %s living on", PACKAGE_VERSION, n,
			n == 1 ? "child" : "children");
	else
		log_notice("upgraded from hatchd %s to %s, %zu %s living on", was,
			PACKAGE_VERSION, n, n == 1 ? "child" : "children");
}

int resume_go_back(struct resume *resume, char **argv)
{
	return resume_execute(
		&resume->handover, resume->state, resume->old_program, -EBADF, argv);
}

static void close_left(void *userdata, int *fd)
{
	(void)userdata;
	*fd = fd_close(*fd);
}

/* What nobody has taken out of it by now is nobody's. */
void resume_done(struct resume *resume)
{
	if (!resume_is_wanted(resume))
		return;
	handover_each_fd(&resume->handover, close_left, NULL);
	handover_done(&resume->handover);
	fd_close(resume->state);
	fd_close(resume->old_program);
	*resume = RESUME_NONE;
}
