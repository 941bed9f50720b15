#include "master/handover/handover.h"

#include "base/fd.h"
#include "base/memfd.h"
#include "base/own.h"
#include "base/tls-facts.h"
#include "master/backend.h"
#include "master/handover/fields.h"
#include "os/channel.h"
#include "policy/siphash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MAGIC     "hatchd life"
#define MAGIC_LEN (sizeof MAGIC - 1)

/* Magic, version, process, checksum and length of what follows.  Those before the checksum are
 * where they are in every version. */
#define OWNER_LEN    (MAGIC_LEN + 2 * sizeof(uint32_t))
#define PROLOGUE_LEN (OWNER_LEN + 2 * sizeof(uint64_t))

/* Against accidents, not against enemies: these cannot write into a sealed memfd of ours. */
static uint64_t checksum(uint32_t pid, const void *data, size_t len)
{
	uint8_t key[16] = "handover";

	memcpy(key + sizeof key - sizeof pid, &pid, sizeof pid);
	return siphash(data, len, key);
}

/* ------------------------------------------------------------------------- writing */

static void put_sections(struct handover *handover, struct wire_writer *out)
{
	struct codec codec = {.out = out};

	for (uint32_t i = 1; i < _HANDOVER_SECTION_MAX; i++) {
		wire_put_u32(out, i);
		codec_record(&codec, handover_sections[i], handover);
	}
}

static void put_prologue(
	uint32_t pid, const struct wire_writer *sections, struct wire_writer *out)
{
	wire_put_raw(out, MAGIC, MAGIC_LEN);
	wire_put_u32(out, HANDOVER_VERSION);
	wire_put_u32(out, pid);
	wire_put_u64(out, checksum(pid, sections->data, sections->len));
	wire_put_u64(out, sections->len);
}

static int write_file(
	const struct wire_writer *prologue, const struct wire_writer *sections, int memfd)
{
	int r;

	if (prologue->error < 0 || sections->error < 0)
		return -ENOMEM;
	if (sections->len > HANDOVER_BYTES_MAX)
		return -EFBIG;
	r = fd_write_all(memfd, prologue->data, prologue->len);
	if (r == 0)
		r = fd_write_all(memfd, sections->data, sections->len);
	return r < 0 ? r : memfd_seal(memfd);
}

int handover_write(struct handover *handover, int memfd)
{
	struct wire_writer prologue, sections;
	int r;

	wire_writer_init(&prologue);
	wire_writer_init(&sections);
	put_sections(handover, &sections);
	put_prologue(handover->process.pid, &sections, &prologue);
	r = write_file(&prologue, &sections, memfd);
	wire_writer_done(&prologue);
	wire_writer_done(&sections);
	return r;
}

/* ------------------------------------------------------------------------- reading */

/* Each of them is there, once, in the order of the numbers: so nothing is read twice, and
 * nothing is left out. */
static int get_sections(struct wire_reader *in, struct handover *ret)
{
	struct codec codec = {.in = in};

	for (uint32_t i = 1; i < _HANDOVER_SECTION_MAX; i++) {
		if (wire_get_u32(in) != i)
			return in->error ? in->error : -EBADMSG;
		codec_record(&codec, handover_sections[i], ret);
	}
	if (in->error)
		return in->error;
	return wire_reader_complete(in) ? 0 : -EBADMSG;
}

/* Of whatever version. */
static int get_owner(struct wire_reader *in, uint32_t *ret_version, uint32_t *ret_pid)
{
	char magic[MAGIC_LEN];

	wire_get_raw(in, magic, sizeof magic);
	if (in->error || memcmp(magic, MAGIC, sizeof magic) != 0)
		return -EBADMSG;
	*ret_version = wire_get_u32(in);
	*ret_pid = wire_get_u32(in);
	return in->error;
}

static int check_prologue(struct wire_reader *in, uint32_t *ret_pid)
{
	uint32_t version;
	uint64_t sum, len;
	int r = get_owner(in, &version, ret_pid);

	if (r < 0)
		return r;
	if (version != HANDOVER_VERSION)
		return -EPROTONOSUPPORT;
	sum = wire_get_u64(in);
	len = wire_get_u64(in);
	if (in->error || len != in->len - in->at)
		return -EBADMSG;
	return sum == checksum(*ret_pid, in->data + in->at, len) ? 0 : -EBADMSG;
}

static bool is_place(uint32_t place, size_t n)
{
	return place == HANDOVER_NONE || place < n;
}

/* A process, or served by a worker; what is passed on to, and what is passed on. */
static bool is_child(const struct handover *handover, const struct handover_child *child)
{
	bool has_process = child->pid > 0 && child->pidfd >= 0;

	if (!has_process && (child->pid != 0 || child->pidfd >= 0 || child->is_backend))
		return false;
	return child->service < handover->n_services &&
	       is_place(child->setup, handover->n_setups) &&
	       is_place(child->listener, handover->n_listeners) &&
	       is_place(child->worker, handover->n_workers) &&
	       is_place(child->carrier, handover->n_workers) &&
	       !(has_process && child->worker != HANDOVER_NONE) &&
	       child->life_reason < _LIFETIME_REASON_MAX &&
	       child->readiness.there == (child->readiness.fd >= 0) &&
	       child->readiness.state < _NOTICE_STATE_MAX &&
	       child->backend_state <= BACKEND_STOPPING && child->news <= BACKEND_GIVEN_UP;
}

static bool is_worker(const struct handover_worker *worker)
{
	return worker->name && worker->pid > 0 && worker->pidfd >= 0 && worker->requests >= 0 &&
	       worker->answers >= 0;
}

static bool is_caller(const struct handover *handover, const struct handover_caller *caller)
{
	bool has_worker = caller->worker != HANDOVER_NONE;

	return caller->service < handover->n_services &&
	       caller->listener < handover->n_listeners &&
	       is_place(caller->worker, handover->n_workers) &&
	       caller->stage < _HANDOVER_CALLER_STAGE_MAX &&
	       (has_worker || (caller->stage != HANDOVER_CALLER_SPEAKS && caller->fd >= 0)) &&
	       caller->verdict < _CHANNEL_VERDICT_MAX &&
	       (!caller->shaken ||
		       tls_facts_hold((const char *)caller->facts, caller->facts_len));
}

static bool are_workers_consistent(const struct handover *handover)
{
	for (size_t i = 0; i < handover->n_workers; i++)
		if (!is_worker(&handover->workers[i]))
			return false;
	for (size_t i = 0; i < handover->n_carried; i++) {
		const struct handover_carried *carried = &handover->carried[i];

		if (carried->worker >= handover->n_workers ||
			!is_place(carried->service, handover->n_services))
			return false;
	}
	return true;
}

/* What refers to others refers to some that are there. */
static bool is_consistent(const struct handover *handover)
{
	for (size_t i = 0; i < handover->n_spares; i++)
		if (!handover->spares[i].name)
			return false;
	for (size_t i = 0; i < handover->n_strays; i++)
		if (handover->strays[i].pid <= 1)
			return false;
	for (size_t i = 0; i < handover->n_followers; i++)
		if (!handover->followers[i].service || handover->followers[i].fd < 0)
			return false;
	for (size_t i = 0; i < handover->n_services; i++)
		if (!handover->services[i].name)
			return false;
	for (size_t i = 0; i < handover->n_listeners; i++)
		if (handover->listeners[i].service >= handover->n_services)
			return false;
	for (size_t i = 0; i < handover->n_children; i++)
		if (!is_child(handover, &handover->children[i]))
			return false;
	for (size_t i = 0; i < handover->n_callers; i++)
		if (!is_caller(handover, &handover->callers[i]))
			return false;
	return are_workers_consistent(handover) && handover->process.version &&
	       handover->process.program && handover->process.cwd;
}

int handover_decode_sections(const void *data, size_t len, struct handover *ret)
{
	struct wire_reader in;
	int r;

	memset(ret, 0, sizeof *ret);
	wire_reader_init(&in, data, len);
	r = get_sections(&in, ret);
	if (r == 0 && !is_consistent(ret))
		r = -EBADMSG;
	return r;
}

int handover_decode(const void *data, size_t len, struct handover *ret)
{
	struct wire_reader in;
	uint32_t pid = 0;
	int r;

	memset(ret, 0, sizeof *ret);
	wire_reader_init(&in, data, len);
	r = check_prologue(&in, &pid);
	if (r == 0)
		r = handover_decode_sections(in.data + in.at, len - in.at, ret);
	ret->process.pid = pid;
	return r;
}

static int check_memfd(int memfd, size_t *ret_size)
{
	size_t size;
	int r = memfd_check(memfd, HANDOVER_BYTES_MAX + PROLOGUE_LEN, &size);

	if (r == -EINVAL || r == -EFBIG)
		return -EBADMSG;
	if (r < 0)
		return r;
	if (size < PROLOGUE_LEN)
		return -EBADMSG;
	*ret_size = size;
	return 0;
}

int handover_owner(int memfd, uint32_t *ret_pid)
{
	uint8_t begin[OWNER_LEN];
	struct wire_reader in;
	uint32_t version;
	size_t size = 0;
	int r = check_memfd(memfd, &size);

	if (r < 0)
		return r;
	if (pread(memfd, begin, sizeof begin, 0) != sizeof begin)
		return -EBADMSG;
	wire_reader_init(&in, begin, sizeof begin);
	return get_owner(&in, &version, ret_pid);
}

/* The seals see to it that it neither changes nor goes away meanwhile. */
int handover_read(int memfd, struct handover *ret)
{
	size_t size = 0;
	void *data;
	int r;

	memset(ret, 0, sizeof *ret);
	r = check_memfd(memfd, &size);
	if (r < 0)
		return r;
	data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, memfd, 0);
	if (data == MAP_FAILED)
		return -errno;
	r = handover_decode(data, size, ret);
	munmap(data, size);
	return r;
}

/* ------------------------------------------------------------------------- the rest */

static void free_lists(struct handover *handover)
{
	for (size_t i = 0; i < handover->n_spares; i++)
		free(handover->spares[i].name);
	for (size_t i = 0; i < handover->n_followers; i++) {
		free(handover->followers[i].service);
		free(handover->followers[i].out);
	}
	for (size_t i = 0; i < handover->n_services; i++) {
		free(handover->services[i].name);
		free(handover->services[i].state);
	}
	for (size_t i = 0; i < handover->n_listeners; i++) {
		free(handover->listeners[i].name);
		free(handover->listeners[i].handed_over);
	}
	for (size_t i = 0; i < handover->n_setups; i++)
		free(handover->setups[i].record);
	for (size_t i = 0; i < handover->n_workers; i++)
		free(handover->workers[i].name);
	for (size_t i = 0; i < handover->n_callers; i++) {
		free(handover->callers[i].facts);
		free(handover->callers[i].authority);
	}
	for (size_t i = 0; i < handover->n_children; i++) {
		free(handover->children[i].findings.name);
		free(handover->children[i].findings.user);
		free(handover->children[i].readiness.status);
	}
}

void handover_done(struct handover *handover)
{
	free_lists(handover);
	free(handover->spares);
	free(handover->strays);
	free(handover->followers);
	free(handover->services);
	free(handover->listeners);
	free(handover->setups);
	free(handover->workers);
	free(handover->carried);
	free(handover->callers);
	free(handover->children);
	free(handover->process.version);
	free(handover->process.program);
	free(handover->process.cwd);
	free(handover->process.records);
	free(handover->process.forgotten);
	free(handover->state);
	memset(handover, 0, sizeof *handover);
}

static void each_of_process(
	struct handover_process *process, void (*each)(void *userdata, int *fd), void *userdata)
{
	int *const fds[] = {&process->image, &process->secrets, &process->next_image,
		&process->next_secrets, &process->pid_file, &process->control};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		each(userdata, fds[i]);
}

static void each_of_workers(
	struct handover *handover, void (*each)(void *userdata, int *fd), void *userdata)
{
	for (size_t i = 0; i < handover->n_workers; i++) {
		struct handover_worker *worker = &handover->workers[i];
		int *const fds[] = {&worker->pidfd, &worker->requests, &worker->answers,
			&worker->unread, &worker->theirs};

		for (size_t j = 0; j < ARRAY_SIZE(fds); j++)
			each(userdata, fds[j]);
	}
	for (size_t i = 0; i < handover->n_carried; i++) {
		each(userdata, &handover->carried[i].near_end);
		each(userdata, &handover->carried[i].far_end);
	}
}

void handover_each_fd(
	struct handover *handover, void (*each)(void *userdata, int *fd), void *userdata)
{
	each_of_process(&handover->process, each, userdata);
	for (size_t i = 0; i < handover->n_spares; i++)
		each(userdata, &handover->spares[i].fd);
	for (size_t i = 0; i < handover->n_followers; i++)
		each(userdata, &handover->followers[i].fd);
	for (size_t i = 0; i < handover->n_listeners; i++) {
		each(userdata, &handover->listeners[i].fd);
		each(userdata, &handover->listeners[i].held);
	}
	each_of_workers(handover, each, userdata);
	for (size_t i = 0; i < handover->n_callers; i++)
		each(userdata, &handover->callers[i].fd);
	for (size_t i = 0; i < handover->n_children; i++) {
		each(userdata, &handover->children[i].pidfd);
		each(userdata, &handover->children[i].readiness.fd);
	}
}
