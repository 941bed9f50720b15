/*
 * Slots and modes.  A slot lives in memory that is mapped shared, so that the
 * result of a private child is seen as well; each has a stack with a guard
 * page below it.  Free slots are reused last in, first out: a quiet service
 * touches the pages of one slot only.
 */
#include "os/spawn.h"

#include "base/fd.h"
#include "base/own.h"
#include "os/spawn_clone.h"
#include "os/spawn_probe.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define STACK_MIN 16384

/* Slots whose memory is not worth a system call. */
#define SLOTS_KEPT 16

struct spawn_slot {
	struct spawn_shared *shared; /* plan and result, what the child sees */
	char *stack;
	void *owner;
	uint64_t number;                /* of the child: the first is 1 */
	struct spawn_slot *next, *prev; /* in flight; `next` alone: free */
	int exec_done;                  /* private: read end of the exec pipe; else -EBADF */
	int *borrowed; /* ours only until the child has its own table; room_borrowed of them */
	unsigned n_borrowed, room_borrowed;
};

struct spawner {
	bool shared;
	bool use_clone3;
	int low_limit;
	int fd_limit;
	bool own_table; /* the table cannot be unshared here: children are born with a copy */
	char description[96];
	size_t stack_size, shared_size, slot_size; /* whole pages */
	void *memory;
	struct spawn_slot slots[SPAWN_SLOTS];
	struct spawn_slot *free;
	struct spawn_slot *first; /* in flight */
	unsigned in_flight;
	unsigned peak; /* most in flight since memory was given back */
	uint64_t started;
};

static void describe(struct spawner *spawner, const char *why)
{
	snprintf(spawner->description, sizeof spawner->description, "%s memory%s%s%s, %s",
		spawner->shared ? "shared" : "private", why ? " (" : "", why ? why : "",
		why ? ")" : "",
		spawner->use_clone3 ? "clone3" : "clone (clone3 is not available)");
}

static void choose_mode(struct spawner *spawner, enum spawn_mode mode)
{
	const char *reason = spawn_probe_private_reason();

	spawner->use_clone3 = spawn_clone3_works();
	spawner->own_table = !spawn_probe_can_unshare();

	if (mode == SPAWN_PRIVATE)
		reason = "as asked";
	spawner->shared = mode == SPAWN_SHARED || !reason;
	describe(spawner, mode == SPAWN_SHARED ? "as asked" : reason);
}

static size_t whole_pages(size_t size, size_t page)
{
	return (size + page - 1) / page * page;
}

static int map_slots(struct spawner *spawner)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t shared_size = whole_pages(sizeof(struct spawn_shared), page);
	char *at;

	spawner->stack_size = whole_pages(STACK_MIN, page);
	spawner->shared_size = shared_size;
	spawner->slot_size = shared_size + page + spawner->stack_size;
	at = mmap(NULL, SPAWN_SLOTS * spawner->slot_size, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return -errno;
	spawner->memory = at;

	for (unsigned i = 0; i < SPAWN_SLOTS; i++, at += spawner->slot_size) {
		struct spawn_slot *slot = &spawner->slots[SPAWN_SLOTS - 1 - i];

		if (mprotect(at + shared_size, page, PROT_NONE) < 0)
			return -errno;
		slot->shared = (struct spawn_shared *)(void *)at;
		slot->stack = at + shared_size + page;
		slot->exec_done = -EBADF;
		slot->next = spawner->free;
		spawner->free = slot;
	}
	return 0;
}

int spawner_new(const struct spawner_setup *setup, struct spawner **ret)
{
	struct spawner *spawner = calloc(1, sizeof *spawner);
	int r;

	if (!spawner)
		return -ENOMEM;

	spawner->low_limit = setup->low_limit;
	choose_mode(spawner, setup->mode);
	r = map_slots(spawner);
	if (r < 0) {
		spawner_free(spawner);
		return r;
	}
	*ret = spawner;
	return 0;
}

struct spawner *spawner_free(struct spawner *spawner)
{
	if (spawner && spawner->memory)
		munmap(spawner->memory, SPAWN_SLOTS * spawner->slot_size);
	for (unsigned i = 0; spawner && i < SPAWN_SLOTS; i++)
		free(spawner->slots[i].borrowed);
	free(spawner);
	return NULL;
}

const char *spawner_describe(const struct spawner *spawner)
{
	return spawner->description;
}

bool spawner_is_shared(const struct spawner *spawner)
{
	return spawner->shared;
}

void spawner_go_private(struct spawner *spawner, const char *why)
{
	spawner->shared = false;
	describe(spawner, why);
}

void spawner_set_fd_limit(struct spawner *spawner, int limit)
{
	spawner->fd_limit = limit;
}

struct spawn_slot *spawner_take(struct spawner *spawner)
{
	struct spawn_slot *slot = spawner->free;
	struct spawn_plan *plan;

	if (!slot)
		return NULL;
	spawner->free = slot->next;

	/* Field by field: the tables are large and overwritten as needed. */
	plan = &slot->shared->plan;
	plan->recipe = NULL;
	plan->n_fds = 0;
	plan->exec_pipe = -1;
	plan->n_env = 0;
	plan->text_used = 0;
	plan->listen_pid = NULL;
	plan->mark_pid = NULL;
	memset(&slot->shared->result, 0, sizeof slot->shared->result);
	slot->n_borrowed = 0;
	slot->owner = NULL;
	return slot;
}

char *spawn_plan_add(struct spawn_plan *plan, const char *entry, size_t room)
{
	char *at = plan->text + plan->text_used;
	size_t len = strlen(entry) + 1;

	if (plan->n_env >= SPAWN_ENV_MAX || len > room ||
		room > SPAWN_TEXT_MAX - plan->text_used)
		return NULL;
	memcpy(at, entry, len);
	plan->text_used += (unsigned)room;
	plan->envp[plan->n_env++] = at;
	return at;
}

static void put_back(struct spawner *spawner, struct spawn_slot *slot)
{
	slot->prev = NULL;
	slot->next = spawner->free;
	spawner->free = slot;
}

static void return_borrowed(struct spawn_slot *slot)
{
	while (slot->n_borrowed > 0)
		fd_close(slot->borrowed[--slot->n_borrowed]);
}

void spawn_slot_cancel(struct spawner *spawner, struct spawn_slot *slot)
{
	return_borrowed(slot);
	slot->exec_done = fd_close(slot->exec_done);
	put_back(spawner, slot);
}

struct spawn_plan *spawn_slot_plan(struct spawn_slot *slot)
{
	return &slot->shared->plan;
}

/* Most children need three, those that get all sockets some hundreds. */
static int make_room(struct spawn_slot *slot, unsigned n)
{
	int *borrowed;

	if (n <= slot->room_borrowed)
		return 0;
	borrowed = reallocarray(slot->borrowed, n, sizeof *borrowed);
	if (!borrowed)
		return -ENOMEM;
	slot->borrowed = borrowed;
	slot->room_borrowed = n;
	return 0;
}

/* What lies high is dropped by the child's first act: give it a low twin. */
static int bring_down(struct spawner *spawner, struct spawn_slot *slot)
{
	struct spawn_plan *plan = &slot->shared->plan;

	for (unsigned i = 0; i < plan->n_fds; i++) {
		int fd;

		if (plan->fds[i] < spawner->low_limit)
			continue;
		fd = fcntl(plan->fds[i], F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			return -errno;
		slot->borrowed[slot->n_borrowed++] = fd;
		plan->fds[i] = fd;
	}
	return 0;
}

/* Its write end is closed by the exec; until then we see no end of file. */
static int open_exec_pipe(struct spawner *spawner, struct spawn_slot *slot)
{
	int ends[2];

	if (spawner->shared)
		return 0;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	slot->exec_done = ends[0];
	slot->borrowed[slot->n_borrowed++] = ends[1];
	slot->shared->plan.exec_pipe = ends[1];
	return 0;
}

static int highest_of(const struct spawn_plan *plan)
{
	int highest = plan->exec_pipe > 2 ? plan->exec_pipe : 2;

	for (unsigned i = 0; i < plan->n_fds; i++)
		if (plan->fds[i] > highest)
			highest = plan->fds[i];
	return highest;
}

static void enlist(struct spawner *spawner, struct spawn_slot *slot)
{
	slot->prev = NULL;
	slot->next = spawner->first;
	if (spawner->first)
		spawner->first->prev = slot;
	spawner->first = slot;
	spawner->in_flight++;
	if (spawner->in_flight > spawner->peak)
		spawner->peak = spawner->in_flight;
}

static void delist(struct spawner *spawner, struct spawn_slot *slot)
{
	if (slot->prev)
		slot->prev->next = slot->next;
	else
		spawner->first = slot->next;
	if (slot->next)
		slot->next->prev = slot->prev;
	spawner->in_flight--;
}

bool spawner_has_spare_memory(const struct spawner *spawner)
{
	return spawner->in_flight == 0 && spawner->peak >= SLOTS_KEPT;
}

void spawner_give_back_memory(struct spawner *spawner)
{
	if (spawner->in_flight > 0)
		return;
	/* One by one: before Linux 6.7 the call stops at the first guard page. */
	for (unsigned i = 0; i < SPAWN_SLOTS; i++) {
		const struct spawn_slot *slot = &spawner->slots[i];

		madvise(slot->shared, spawner->shared_size, MADV_REMOVE);
		madvise(slot->stack, spawner->stack_size, MADV_REMOVE);
	}
	spawner->peak = 0;
}

static int prepare(struct spawner *spawner, struct spawn_slot *slot)
{
	struct spawn_plan *plan = &slot->shared->plan;
	int r;

	r = make_room(slot, plan->n_fds + 1);
	if (r < 0)
		return r;
	r = bring_down(spawner, slot);
	if (r < 0)
		return r;
	r = open_exec_pipe(spawner, slot);
	if (r < 0)
		return r;

	plan->envp[plan->n_env] = NULL;
	plan->highest = highest_of(plan);
	plan->fd_limit =
		spawner->fd_limit > plan->highest ? spawner->fd_limit : plan->highest + 2;
	plan->shared = spawner->shared;
	plan->own_table = spawner->own_table;
	slot->shared->result.unshared = spawner->own_table;
	return 0;
}

int spawn_slot_start(struct spawner *spawner, struct spawn_slot *slot, void *owner,
	pid_t *ret_pid, int *ret_pidfd)
{
	struct spawn_clone how = {
		.shared = spawner->shared,
		.share_table = !spawner->own_table,
		.use_clone3 = spawner->use_clone3,
		.stack = slot->stack,
		.stack_size = spawner->stack_size,
		.tid = &slot->shared->result.tid,
		.run = spawn_child,
		.arg = slot->shared,
	};
	pid_t pid;
	int r;

	r = prepare(spawner, slot);
	if (r < 0)
		return r;

	pid = spawn_clone(&how, ret_pidfd);
	if (pid < 0)
		return pid;

	slot->owner = owner;
	slot->number = ++spawner->started;
	enlist(spawner, slot);
	*ret_pid = pid;
	return 0;
}

/* End of file: the write end is gone with the exec or with the child. */
static bool pipe_ended(int fd)
{
	char byte;

	return read(fd, &byte, 1) == 0;
}

enum spawn_state spawn_slot_poll(struct spawn_slot *slot)
{
	const struct spawn_result *result = &slot->shared->result;
	bool unshared = __atomic_load_n(&result->unshared, __ATOMIC_ACQUIRE) != 0;

	if (unshared)
		return_borrowed(slot);

	if (slot->exec_done >= 0) {
		if (unshared && pipe_ended(slot->exec_done))
			return SPAWN_DONE;
	} else if (__atomic_load_n(&result->tid, __ATOMIC_ACQUIRE) == 0) {
		return SPAWN_DONE;
	}
	return unshared ? SPAWN_DETACHED : SPAWN_BUSY;
}

struct spawn_report spawn_slot_reclaim(struct spawner *spawner, struct spawn_slot *slot)
{
	const struct spawn_result *result = &slot->shared->result;
	struct spawn_report report = {
		.step = (enum spawn_step)__atomic_load_n(&result->step, __ATOMIC_ACQUIRE),
		.error = __atomic_load_n(&result->error, __ATOMIC_ACQUIRE),
	};

	assert(spawner->in_flight > 0);

	delist(spawner, slot);
	return_borrowed(slot);
	slot->exec_done = fd_close(slot->exec_done);
	put_back(spawner, slot);
	return report;
}

unsigned spawner_in_flight(const struct spawner *spawner)
{
	return spawner->in_flight;
}

uint64_t spawner_started(const struct spawner *spawner)
{
	return spawner->started;
}

uint64_t spawner_arranging(const struct spawner *spawner)
{
	uint64_t lowest = UINT64_MAX;

	for (const struct spawn_slot *slot = spawner->first; slot; slot = slot->next) {
		int32_t step = __atomic_load_n(&slot->shared->result.step, __ATOMIC_ACQUIRE);

		if (step <= SPAWN_DESCRIPTORS && slot->number < lowest)
			lowest = slot->number;
	}
	return lowest;
}

struct spawn_slot *spawner_first(const struct spawner *spawner)
{
	return spawner->first;
}

struct spawn_slot *spawn_slot_next(const struct spawn_slot *slot)
{
	return slot->next;
}

void *spawn_slot_owner(const struct spawn_slot *slot)
{
	return slot->owner;
}

const char *spawn_step_name(enum spawn_step step)
{
	static const char *const names[_SPAWN_STEP_MAX] = {
		[SPAWN_BORN] = "birth",
		[SPAWN_BLOCK] = "block signals",
		[SPAWN_UNSHARE] = "unshare descriptors",
		[SPAWN_DESCRIPTORS] = "arrange descriptors",
		[SPAWN_SESSION] = "new session",
		[SPAWN_SIGNALS] = "default signals",
		[SPAWN_KEYRING] = "new session keyring",
		[SPAWN_SCHEDULING] = "reset scheduling",
		[SPAWN_LIMITS] = "set resource limits",
		[SPAWN_NICE] = "set niceness",
		[SPAWN_CHROOT] = "change root",
		[SPAWN_DIRECTORY] = "change directory",
		[SPAWN_CAPABILITIES] = "clear capabilities",
		[SPAWN_GROUPS] = "set groups",
		[SPAWN_GID] = "set group",
		[SPAWN_UID] = "set user",
		[SPAWN_PROTECT] = "protect memory",
		[SPAWN_VERIFY] = "verify identity",
		[SPAWN_STDERR] = "open file for standard error",
		[SPAWN_CORE] = "set core limit",
		[SPAWN_UNBLOCK] = "unblock signals",
		[SPAWN_EXEC] = "exec",
	};

	return (unsigned)step < ARRAY_SIZE(names) ? names[step] : "unknown step";
}
