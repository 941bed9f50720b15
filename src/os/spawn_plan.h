/*
 * spawn_plan: everything a child does between clone and exec, as data.
 *
 * The master writes it beforehand, with libc and time at hand; the child only
 * carries it out, step by step, and announces each step before taking it.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_SPAWN_PLAN_H
#define HATCHD_OS_SPAWN_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The steps, in their order.  A child that got through is at SPAWN_EXEC without an error. */
enum spawn_step {
	SPAWN_BORN,        /* cloned, nothing done */
	SPAWN_BLOCK,       /* block every signal */
	SPAWN_UNSHARE,     /* own descriptor table, without the master's high part */
	SPAWN_DESCRIPTORS, /* the planned descriptors in place, all others closed */
	SPAWN_SESSION,     /* own session and process group */
	SPAWN_SIGNALS,     /* default dispositions */
	SPAWN_KEYRING,     /* own session keyring */
	SPAWN_SCHEDULING,  /* class, affinity, I/O class, timer slack: none of the master's */
	SPAWN_LIMITS,      /* setrlimit */
	SPAWN_NICE,
	SPAWN_CHROOT,
	SPAWN_DIRECTORY,
	SPAWN_CAPABILITIES, /* nothing inheritable, nothing ambient */
	SPAWN_GROUPS,
	SPAWN_GID,
	SPAWN_UID,
	SPAWN_PROTECT, /* our memory stays closed to the new identity */
	SPAWN_VERIFY,  /* the change of identity cannot be taken back */
	SPAWN_STDERR,  /* open the file for standard error, as the new identity */
	SPAWN_CORE,    /* the configured core limit */
	SPAWN_UNBLOCK, /* forget pending signals, unblock all */
	SPAWN_EXEC,
	_SPAWN_STEP_MAX,
};

/* What the child does with the master's own scheduling, where that is not the default. */
enum spawn_reset {
	SPAWN_RESET_POLICY = 1 << 0,
	SPAWN_RESET_AFFINITY = 1 << 1,
	SPAWN_RESET_IOPRIO = 1 << 2,
	SPAWN_RESET_SLACK = 1 << 3,
	SPAWN_RESET_OOM = 1 << 4, /* private spawns only: it belongs to the memory */
};

#define SPAWN_LIMITS_MAX 20

struct spawn_limit {
	int resource;
	uint64_t soft, hard; /* as struct rlimit64 */
};

/*
 * What is the same for every child of a service: made at load, immutable, and
 * pinned by its owner until no slot refers to it any more.
 */
struct spawn_recipe {
	const char *path;
	bool by_descriptor;  /* execute that descriptor of the child's, and not `path` */
	unsigned program_fd; /* its number; what it is of stays open in the program */
	char *const *argv;
	const char *root;        /* chroot(2) to it; NULL: no */
	const char *directory;   /* chdir(2) to it, inside root; NULL: stay */
	const char *stderr_path; /* open it for appending as descriptor 2; NULL: no */
	bool output_to_stderr;   /* and as descriptor 1 */
	bool change_identity;
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t n_groups;
	bool own_keyring;
	bool clear_capabilities; /* the master has some that would be inherited */
	bool set_nice;
	int nice;
	uint32_t umask;
	unsigned reset; /* enum spawn_reset */
	struct spawn_limit limits[SPAWN_LIMITS_MAX];
	unsigned n_limits;
	struct spawn_limit core; /* RLIMIT_CORE, set last */
};

/* Most descriptors a child may be given. */
#define SPAWN_FDS_MAX 256
/* Most environment entries, and bytes for those that differ per child. */
#define SPAWN_ENV_MAX  384
#define SPAWN_TEXT_MAX 20480

/* What differs from child to child.  In an order in which an ordinary child needs
 * two pages of it: what comes first in each array lies near the others. */
struct spawn_plan {
	const struct spawn_recipe *recipe;
	unsigned n_fds;
	int exec_pipe;  /* private spawns: write end, close-on-exec; else -1 */
	int highest;    /* highest number among fds and exec_pipe */
	int fd_limit;   /* all of the master's descriptors are below it */
	bool shared;    /* the child runs in the master's memory */
	bool own_table; /* it was born with a table of its own: nothing to unshare */
	unsigned n_env;
	unsigned text_used;
	char *listen_pid;       /* where the child writes its pid, OWN_PID_ROOM bytes; NULL:
	                           nowhere */
	char *mark_pid;         /* the same once more */
	int fds[SPAWN_FDS_MAX]; /* the child's descriptor i is the master's fds[i] */
	/* Storage of the entries of envp that are this child's own. */
	char text[SPAWN_TEXT_MAX];
	char *envp[SPAWN_ENV_MAX + 1];
};

#define OWN_PID_ROOM 12

/* One more of the environment, NAME=VALUE, that begins `room` bytes of the plan, NUL included.
 * Returns where it stands; NULL: there is no place for it. */
char *spawn_plan_add(struct spawn_plan *plan, const char *entry, size_t room);

/* What the child tells; written by it (and by the kernel), read with acquire. */
struct spawn_result {
	uint32_t tid;      /* not 0 while the child may use the master's memory */
	uint32_t unshared; /* 1: its table is its own, the master may close its copies */
	int32_t step;      /* enum spawn_step: the one being taken */
	int32_t error;     /* errno that ended it at `step`; 0: none yet */
};

struct spawn_shared {
	struct spawn_result result;
	struct spawn_plan plan;
};

/*
 * The child's life, in spawn_child.c: takes the steps and execs; on failure
 * leaves step and error in the result and exits with 127.  Never returns.
 */
void spawn_child(void *shared);

#endif
