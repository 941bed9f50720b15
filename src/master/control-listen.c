#include "master/control-listen.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "master/master.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/* Who has not asked for it, and is nobody in particular, need not hear of that. */
static void tell_failure(const struct master *master, const char *path, int error)
{
	bool asked = master->cmdline->control_given || geteuid() == 0;

	log_message(asked ? LOG_WARNING : LOG_DEBUG,
		"unable to open the control socket %s: %s, going on without", path,
		control_socket_strerror(error));
}

static int watch(struct master *master)
{
	struct control *control = &master->control;
	int r;

	control->socket.fd = master_move_up(master, control->socket.fd);
	r = sd_event_add_io(master->event, &control->source, control->socket.fd, EPOLLIN,
		control_on_queue, master);
	if (r < 0)
		fd_close(control_socket_leave(&control->socket));
	return r;
}

/* systemd knows no group for RuntimeDirectory=, but says which folder it is. */
static bool is_made_for_us(const char *path)
{
	const char *folder = getenv("RUNTIME_DIRECTORY");
	size_t len = folder ? strlen(folder) : 0;

	return len > 0 && strncmp(path, folder, len) == 0 && path[len] == '/' &&
	       !strchr(path + len + 1, '/');
}

void control_open(struct master *master)
{
	const char *path = master->cmdline->control;
	const struct control_place place = {
		.path = path,
		.gid = image_conf(master->image)->control_gid,
		.folder_is_ours =
			path && (!master->cmdline->control_given || is_made_for_us(path)),
	};
	int r;

	if (!path)
		return;
	r = control_socket_open(&place, &master->control.socket);
	if (r == 0)
		r = watch(master);
	if (r < 0)
		tell_failure(master, place.path, r);
	else
		log_debug("control socket %s", place.path);
}

void control_resume(struct master *master, int fd, uint64_t dev, uint64_t ino)
{
	const char *path = master->cmdline->control;

	if (fd < 0 || !path ||
		control_socket_resume(path, fd, dev, ino, &master->control.socket) < 0) {
		fd_close(fd);
		control_open(master);
		return;
	}
	if (watch(master) < 0)
		tell_failure(master, path, -ENOMEM);
	control_refresh(master);
}

void control_leave_path(struct master *master)
{
	struct control *control = &master->control;
	int fd;

	control->source = sd_event_source_disable_unref(control->source);
	fd = control_socket_leave(&control->socket);
	if (fd >= 0)
		master_close_later(master, fd, clock_monotonic());
}

void control_refresh(struct master *master)
{
	struct control *control = &master->control;

	if (control_socket_is_in_place(&control->socket) &&
		control->socket.gid == image_conf(master->image)->control_gid)
		return;
	control_leave_path(master);
	control->full = false;
	control_open(master);
}
