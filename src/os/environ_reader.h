/*
 * environ_reader: reads the environment of one process after the other, any of which can delay
 * that for as long as it likes: one of its threads has the memory, and waits for a file of a
 * file system of its own.
 *
 * A thread reads, and has a moment for each.  One that is not done by then is left behind, and
 * another one takes its place; it ends with our process, which is therefore to end soon.  A
 * user of whom several have made us wait is left out from there on, so that he delays others
 * for a bounded time; and when ENVIRON_READERS_MAX were left behind nobody is read any more.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_ENVIRON_READER_H
#define HATCHD_OS_ENVIRON_READER_H

#include <stdint.h>
#include <sys/types.h>

/* As much of an environment is read: far more than a child of ours is given. */
#define ENVIRONMENT_MAX (256 << 10)

#define ENVIRON_READERS_MAX 24

/* Of a user, who have made us wait: then he is left out. */
#define ENVIRON_SLOW_MAX 3

struct environ_thread;

/* All zero: nothing was read yet. */
struct environ_reader {
	struct environ_thread *thread; /* owned; NULL: there is none now */
	unsigned n_left_behind;
	uid_t slow[ENVIRON_READERS_MAX]; /* whose they were */
};

/*
 * That of the process with that folder, with a NUL behind it; it stays until the next one is
 * read.  Returns its length, or a negative errno: -ETIME, it would take too long; -EBUSY: too
 * many have.
 */
ssize_t environ_read(struct environ_reader *reader, int folder, const char **ret);

#endif
