/*
 * handover: what one image of hatchd hands over to the next, which is executed in its place.
 *
 * In a sealed memfd: a prologue with the version, whose it is, the length and a checksum, and
 * then sections, each with its number and its length.  Descriptors are in there by their
 * numbers; they are the same process's before and after (execve(2)).
 *
 * Who reads it trusts nothing: a file that is cut off, that has been changed, or that is of
 * another version is refused, and so is a section that the reader does not know, since what it
 * says would be lost.  Fields may be added at the end of records without another version
 * (master/handover/codec).
 *
 * This is the format alone: master/handover/gather fills in what is, master/handover/adopt
 * goes on with it.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_HANDOVER_HANDOVER_H
#define HATCHD_MASTER_HANDOVER_HANDOVER_H

#include "base/addr.h"
#include "base/tcp-diag.h"
#include "conf/conf.h"
#include "master/readiness.h"
#include "policy/lifetime.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HANDOVER_VERSION 1

/* Name of the memfd. */
#define HANDOVER_NAME "hatchd-handover"

/* More of anything is not taken for true. */
#define HANDOVER_BYTES_MAX (UINT64_C(1) << 30)
#define HANDOVER_ITEMS_MAX 1000000

/* Place of nothing. */
#define HANDOVER_NONE UINT32_MAX

/* The process itself. */
struct handover_process {
	uint32_t pid;      /* ours: it is for nobody else; in the prologue */
	char *version;     /* owned; of hatchd, for who reads the log */
	char *program;     /* owned: path of hatchd itself, as it was started first */
	char *cwd;         /* owned: where it was started */
	uint64_t upgrades; /* so far, ... */
	uint64_t failed;   /* ... and those that have failed */
	bool reload;       /* somebody has asked for one meanwhile */

	/* What it was started with, and what children get back (master/inherited). */
	uint64_t nofile_soft, nofile_hard;
	uint64_t core_soft, core_hard;

	/* The configuration that was in force, and the one that is to be: memfds. */
	int image, secrets; /* secrets -EBADF: there are none */
	int next_image, next_secrets;

	uint8_t *records; /* owned; of connections, that may not be in their file yet */
	size_t records_len;
	uint8_t *forgotten; /* owned; names that the service manager is to be told to forget,
	                       each with its NUL */
	size_t forgotten_len;

	int pid_file; /* -EBADF: there is none */
	int control;  /* socket that operators connect to; -EBADF: there is none */
	uint64_t control_dev, control_ino;
};

/* A process of ours that is no child of a service, and ends by itself: to be reaped. */
struct handover_stray {
	int32_t pid;
};

/* A socket that the service manager has handed over, and nobody has. */
struct handover_spare {
	char *name; /* owned */
	int fd;
	struct addr bound; /* what it is bound to; without a length: unknown */
	bool told;         /* the log knows that no service asks for it */
	struct addr asked; /* as the listener is configured that had it; zeroed: unknown */
	bool lent;         /* programs have had it */
};

/* An operator who follows what happens (master/follow). */
struct handover_follower {
	uint32_t uid, pid;
	int fd;
	char *service; /* owned */
	uint64_t lost;
	uint8_t *out; /* owned */
	size_t len;
};

/* A socket at which clients arrive. */
struct handover_listener {
	uint32_t service;  /* its place among the services */
	struct addr asked; /* as it is configured */
	int fd;
	char *name;        /* owned; as what it is kept (master/kept-name); NULL: it is not */
	bool stored;       /* the service manager has a copy of it under that name */
	char *handed_over; /* owned: as what the service manager has handed it over; or NULL */
	int held;          /* a client who waits for his child; -EBADF: none */
	uint64_t held_number, held_since;
	struct addr bound; /* what it is bound to */
	bool lent;         /* programs have had it */
};

/* A configuration that children were started with, in force still or no longer. */
struct handover_setup {
	uint8_t *record; /* owned: as in an image (conf/image) */
	size_t len;
	uint32_t image_version;
};

struct handover_service {
	char *name;     /* owned */
	uint8_t *state; /* owned: what it counts and remembers
	                   (master/handover/service-state) */
	size_t state_len;
};

/* A worker that has connections to finish (master/elder). */
struct handover_worker {
	char *name;        /* owned; of its kind */
	uint32_t protocol; /* that it speaks (os/channel) */
	uint64_t connection;
	int32_t pid;
	int pidfd;
	uint64_t born;
	int requests, answers, unread, theirs; /* -EBADF for those that it has not */
	uint32_t places;
	bool pinged;
};

/* Somebody whose bytes such a worker carries (master/caller). */
struct handover_carried {
	uint32_t worker, place; /* its place among the workers; his there */
	uint64_t number;
	uint32_t service; /* whose client he is, or was; HANDOVER_NONE: of none that is there */
	struct addr_source source;
	int near_end, far_end;
	bool gone, by_worker, cut, untold;
};

/* Somebody of whom it is not known yet who serves him (master/caller). */
struct handover_caller {
	uint32_t service, listener; /* whose client he is, and where he came to: their places
	                               among the services and the listeners */
	uint32_t worker, place;     /* who has him, among the workers, and his there;
	                               HANDOVER_NONE: nobody */
	uint8_t stage;              /* enum handover_caller_stage */
	uint64_t number, accepted, taken;
	int fd; /* -EBADF: he is turned away, and his worker tells him */
	struct addr peer, local, proxy, reached;
	uint32_t peer_pid, peer_uid, peer_gid;
	struct addr_source source, counted; /* as what he counts, if he comes in; and now */
	uint32_t tries, tasks;
	bool named, offered, refused, plus, untold, shaken;
	bool asked;      /* something is looked up about him, and his worker waits for that */
	uint8_t verdict; /* enum channel_verdict */
	uint8_t trust[CONF_TLS_DIGEST_LEN];
	uint8_t *facts; /* owned; as a caller has them, and the same below */
	size_t facts_len;
	uint8_t *authority; /* owned */
	size_t authority_len;
};

enum handover_caller_stage {
	HANDOVER_CALLER_FRONT,  /* waits for hatchd-front */
	HANDOVER_CALLER_TLS,    /* waits for hatchd-tls */
	HANDOVER_CALLER_SPEAKS, /* the worker reads what he says */
	HANDOVER_CALLER_KNOWN,  /* waits for somebody to serve him */
	_HANDOVER_CALLER_STAGE_MAX,
};

/* What was looked up about a client. */
struct handover_findings {
	char *name, *user; /* owned */
	uint8_t name_state, user_state;
};

struct handover_child {
	uint32_t service;  /* its place among the services; of a backend, that of its owner */
	uint32_t setup;    /* ... among the setups; HANDOVER_NONE:
	                     the one in force */
	uint32_t listener; /* ... among the listeners, if it has the socket itself;
	                     else HANDOVER_NONE */
	uint64_t connection;
	int32_t pid; /* 0, and no descriptor: a worker serves it, */
	int pidfd;
	uint32_t worker, place; /* ... which is at that place, and it there; HANDOVER_NONE: it
	                           is none that goes on, or it has a process */
	bool end_wanted, gives_up, client_cut;
	uint32_t carrier, carrier_place; /* who carries its client's bytes, as above */
	bool is_backend, backend_parted; /* of its service (master/backend) */
	uint8_t backend_state;
	uint64_t backend_idle_since;
	uint64_t backend; /* the connection's number of the one that it is passed on to; 0:
	                     none */
	uint8_t news;     /* how far that is */
	uint64_t born;
	bool came_by_ip, on_pair, unwanted, killed_late, announced, has_findings;
	uint8_t life_reason;
	uint64_t life_born, life_ask_at, life_told;
	bool life_heard, life_killed;
	struct addr peer, local;
	uint32_t peer_pid, peer_uid, peer_gid;
	struct addr_source source;
	struct tcp_handle tcp;     /* all zero: it is not watched */
	struct tcp_handle counted; /* of account_bytes, the same */
	uint64_t taken;
	bool has_ends;
	struct addr proxy_local, proxy_peer;
	struct handover_findings findings;
	struct readiness_saved readiness; /* its text is owned */
};

/* Everything.  All zero: nothing. */
struct handover {
	struct handover_process process;
	struct handover_spare *spares;
	size_t n_spares;
	struct handover_stray *strays;
	size_t n_strays;
	struct handover_follower *followers;
	size_t n_followers;
	struct handover_service *services;
	size_t n_services;
	struct handover_listener *listeners;
	size_t n_listeners;
	struct handover_setup *setups;
	size_t n_setups;
	struct handover_worker *workers;
	size_t n_workers;
	struct handover_carried *carried;
	size_t n_carried;
	struct handover_caller *callers;
	size_t n_callers;
	struct handover_child *children;
	size_t n_children;
	uint8_t *state; /* owned: of hatchd as a whole (master/handover/master-state) */
	size_t state_len;
};

/* Into the empty memfd, which is sealed then.  0 or a negative errno; -EFBIG: it is more than
 * can be read. */
int handover_write(struct handover *handover, int memfd);

/*
 * The number of the process that has written it, for itself in another image: what is damaged,
 * or of another version, is somebody's too.  0; or a negative errno: it is no sealed memfd that
 * begins as a handover, and may be anything.
 */
int handover_owner(int memfd, uint32_t *ret_pid);

/*
 * And back: *ret is to be released with handover_done(), also after a failure.  -EPERM: it is
 * not sealed; -EBADMSG: this is none, or a damaged one; -EPROTONOSUPPORT: it is of another
 * version; -ENOMEM; other negative errno as they come.  That descriptors are open, and what
 * they are, is not looked at.
 */
int handover_read(int memfd, struct handover *ret);

/* The same from memory, and what is behind the prologue alone: tests and fuzzers. */
int handover_decode(const void *data, size_t len, struct handover *ret);
int handover_decode_sections(const void *data, size_t len, struct handover *ret);

void handover_done(struct handover *handover);

/* All descriptors that are in there, to be looked at or replaced; -EBADF where one could be. */
void handover_each_fd(
	struct handover *handover, void (*each)(void *userdata, int *fd), void *userdata);

static inline void own_handover(struct handover *handover)
{
	handover_done(handover);
}
#define _cleanup_handover_ _cleanup_(own_handover)

#endif
