#include "os/control_socket.h"

#include "base/fd.h"
#include "base/own.h"
#include "os/parent.h"
#include "os/unix_path.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* Others pass through to the sockets of programs (os/notice_folder), and cannot look. */
#define FOLDER_MODE 0751

/* Who is not served yet. */
#define QUEUE 64

/* Groups that a process may be in: NGROUPS_MAX. */
#define GROUPS_MAX 65536

static int make_addr(const char *path, struct addr *ret)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	if (len >= sizeof un.sun_path)
		return -ENAMETOOLONG;
	memcpy(un.sun_path, path, len + 1);
	addr_from_sockaddr(ADDR_UNIX, (const struct sockaddr *)&un,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1), ret);
	return 0;
}

/* Its group may enter, as long as it is a folder that we have made, or that was made for
 * us: systemd knows no group for RuntimeDirectory=. */
static int give_folder(int dir, const struct stat *st, gid_t gid)
{
	if (gid == (gid_t)-1 || st->st_gid == gid || st->st_uid != geteuid())
		return 0;
	return fchownat(dir, "", (uid_t)-1, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int prepare_folder(const struct control_place *place)
{
	const char *name;
	_cleanup_close_ int dir = parent_open(place->path, 0, &name);
	bool ours = place->folder_is_ours || dir == -ENOENT;
	struct stat st;

	if (dir == -ENOENT)
		dir = parent_open(place->path, FOLDER_MODE, &name);
	if (dir < 0)
		return dir;
	if (fstat(dir, &st) < 0)
		return -errno;
	if ((st.st_mode & 022) || (st.st_uid != 0 && st.st_uid != geteuid()))
		return -EPERM;
	return ours ? give_folder(dir, &st, place->gid) : 0;
}

static int bind_and_listen(
	int fd, const struct control_place *place, struct control_socket *opened)
{
	mode_t mode = place->gid == (gid_t)-1 ? 0600 : 0660;
	struct stat st;
	int r;

	opened->replaced = lstat(opened->addr.un.sun_path, &st) == 0;
	r = unix_path_clear(&opened->addr);
	if (r < 0)
		return r;
	r = unix_path_bind(
		fd, &opened->addr, (uid_t)-1, place->gid, mode, &opened->dev, &opened->ino);
	if (r < 0)
		return r;
	if (listen(fd, QUEUE) == 0)
		return 0;
	r = -errno;
	unix_path_remove(&opened->addr, opened->dev, opened->ino);
	return r;
}

int control_socket_open(const struct control_place *place, struct control_socket *ret)
{
	struct control_socket opened = {.gid = place->gid};
	_cleanup_close_ int fd = -EBADF;
	int r;

	r = make_addr(place->path, &opened.addr);
	if (r < 0)
		return r;
	r = prepare_folder(place);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = bind_and_listen(fd, place, &opened);
	if (r < 0)
		return r;
	opened.fd = take_fd(&fd);
	*ret = opened;
	return 0;
}

int control_socket_resume(
	const char *path, int fd, dev_t dev, ino_t ino, struct control_socket *ret)
{
	struct control_socket taken = {.fd = fd, .dev = dev, .ino = ino};
	struct stat st;
	int r = make_addr(path, &taken.addr);

	if (r < 0)
		return r;
	taken.gid = stat(path, &st) < 0 || !(st.st_mode & 060) ? (gid_t)-1 : st.st_gid;
	*ret = taken;
	return 0;
}

const char *control_socket_strerror(int error)
{
	switch (error) {
	case -EADDRINUSE:
		return "somebody answers there already";
	case -EEXIST:
		return "a file that is not a socket is in the way";
	case -ELOOP:
		return "a symbolic link is in the way";
	case -EPERM:
		return "others may write in its folder";
	default:
		return strerror(-error);
	}
}

bool control_socket_is_in_place(const struct control_socket *socket)
{
	struct stat st;

	return socket->fd >= 0 && lstat(socket->addr.un.sun_path, &st) == 0 &&
	       S_ISSOCK(st.st_mode) && st.st_dev == socket->dev && st.st_ino == socket->ino;
}

int control_socket_leave(struct control_socket *socket)
{
	if (socket->fd < 0)
		return -EBADF;
	unix_path_remove(&socket->addr, socket->dev, socket->ino);
	return take_fd(&socket->fd);
}

/* One of its supplementary groups, as they were when it connected. */
static bool is_member(int fd, gid_t gid)
{
	socklen_t len = GROUPS_MAX * sizeof(gid_t);
	_cleanup_free_ gid_t *groups = malloc(len);

	if (!groups || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (size_t i = 0; i < len / sizeof *groups; i++)
		if (groups[i] == gid)
			return true;
	return false;
}

enum control_right control_socket_right(const struct control_socket *socket, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return CONTROL_MAY_NOTHING;
	if (peer.uid == 0 || peer.uid == geteuid())
		return CONTROL_MAY_CHANGE;
	if (socket->gid == (gid_t)-1)
		return CONTROL_MAY_NOTHING;
	return peer.gid == socket->gid || is_member(fd, socket->gid) ? CONTROL_MAY_LOOK
	                                                             : CONTROL_MAY_NOTHING;
}
