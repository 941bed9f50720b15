/*
 * pid_file: a file that says which process we are, and that there is one only.
 *
 * The lock is what counts, not the number: it belongs to the open file, so it
 * ends with the process however that ends, and a stale file hinders nobody.
 * Whoever starts a child that outlives an exec has nothing to fear, because the
 * descriptor is close-on-exec; one that does not exec must close it.
 *
 * Others can read the file, so they can hold a lock for reading on it.  Such a
 * lock is no instance of ours: the file is replaced.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_PID_FILE_H
#define HATCHD_OS_PID_FILE_H

#include <stdbool.h>
#include <sys/types.h>

struct pid_file {
	int dir; /* its folder, O_PATH; -EBADF: the file is not looked after any more */
	int fd;  /* holds the lock; -EBADF: there is no pid file */
	const char *name; /* in that folder; points into the path, borrowed */
	bool replaced;    /* there was one, of a process that has it no longer */
};

#define PID_FILE_NONE                       \
	(struct pid_file)                   \
	{                                   \
		.dir = -EBADF, .fd = -EBADF \
	}

/*
 * Make or take over `path` (absolute, borrowed until pid_file_close()), lock it
 * and write our process number into it; mode 0644.  On failure nothing has
 * changed, and the result is a negative errno; of these mean
 *
 *	-EBUSY   another instance has it, *ret_owner is its number or 0 if unknown
 *	-EPERM   others than root and we may write in the folder
 *	-ELOOP   it is a symbolic link
 *	-EEXIST  it is there and does not look like a pid file of ours
 */
int pid_file_open(const char *path, struct pid_file *ret, pid_t *ret_owner);

/*
 * One that another image of this process has opened and locked: `fd` is taken over, and the
 * lock with it, whatever becomes of the rest.  A negative errno, as of pid_file_open(): the
 * file cannot be found at that path any more, and is left there when we end.
 */
int pid_file_resume(const char *path, int fd, struct pid_file *ret);

/* Move the descriptors to numbers that are at least `floor`.  On failure, a
 * negative errno, the file is still open and ours. */
int pid_file_move_up(struct pid_file *file, int floor);

/* Remove the file if it still is the one that we have locked, and forget it.
 * Does nothing where there is none. */
void pid_file_close(struct pid_file *file);

/* What an error of these means, in words. */
const char *pid_file_strerror(int error);

#endif
