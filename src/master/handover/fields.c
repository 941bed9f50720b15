#include "master/handover/fields.h"

#include "os/channel.h"

#include <errno.h>

#define RECORD_MAX (UINT32_C(1) << 26)

/* ------------------------------------------------------------------- the fields */

static void process_fields(struct codec *codec, void *object)
{
	struct handover_process *process = object;

	codec_text(codec, &process->version);
	codec_text(codec, &process->program);
	codec_text(codec, &process->cwd);
	codec_u64(codec, &process->upgrades);
	codec_u64(codec, &process->failed);
	codec_bool(codec, &process->reload);
	codec_u64(codec, &process->nofile_soft);
	codec_u64(codec, &process->nofile_hard);
	codec_u64(codec, &process->core_soft);
	codec_u64(codec, &process->core_hard);
	codec_fd(codec, &process->image);
	codec_fd(codec, &process->secrets);
	codec_fd(codec, &process->next_image);
	codec_fd(codec, &process->next_secrets);
	codec_fd(codec, &process->pid_file);
	codec_fd(codec, &process->control);
	codec_u64(codec, &process->control_dev);
	codec_u64(codec, &process->control_ino);
	codec_bytes(codec, &process->records, &process->records_len, RECORD_MAX);
	codec_bytes(codec, &process->forgotten, &process->forgotten_len, RECORD_MAX);
}

static void spare_fields(struct codec *codec, void *object)
{
	struct handover_spare *spare = object;

	codec_text(codec, &spare->name);
	codec_fd(codec, &spare->fd);
	codec_addr(codec, &spare->bound);
	codec_bool(codec, &spare->told);
	codec_addr(codec, &spare->asked);
	codec_bool(codec, &spare->lent);
}

static void stray_fields(struct codec *codec, void *object)
{
	struct handover_stray *stray = object;

	codec_i32(codec, &stray->pid);
}

static void follower_fields(struct codec *codec, void *object)
{
	struct handover_follower *follower = object;

	codec_u32(codec, &follower->uid);
	codec_u32(codec, &follower->pid);
	codec_fd(codec, &follower->fd);
	codec_text(codec, &follower->service);
	codec_u64(codec, &follower->lost);
	codec_bytes(codec, &follower->out, &follower->len, RECORD_MAX);
}

static void service_fields(struct codec *codec, void *object)
{
	struct handover_service *service = object;

	codec_text(codec, &service->name);
	codec_bytes(codec, &service->state, &service->state_len, RECORD_MAX);
}

static void listener_fields(struct codec *codec, void *object)
{
	struct handover_listener *listener = object;

	codec_u32(codec, &listener->service);
	codec_addr(codec, &listener->asked);
	codec_fd(codec, &listener->fd);
	codec_text(codec, &listener->name);
	codec_bool(codec, &listener->stored);
	codec_text(codec, &listener->handed_over);
	codec_fd(codec, &listener->held);
	codec_u64(codec, &listener->held_number);
	codec_u64(codec, &listener->held_since);
	codec_addr(codec, &listener->bound);
	codec_bool(codec, &listener->lent);
}

static void setup_fields(struct codec *codec, void *object)
{
	struct handover_setup *setup = object;

	codec_u32(codec, &setup->image_version);
	codec_bytes(codec, &setup->record, &setup->len, RECORD_MAX);
}

static void worker_fields(struct codec *codec, void *object)
{
	struct handover_worker *worker = object;

	codec_text(codec, &worker->name);
	codec_u32(codec, &worker->protocol);
	codec_u64(codec, &worker->connection);
	codec_i32(codec, &worker->pid);
	codec_fd(codec, &worker->pidfd);
	codec_u64(codec, &worker->born);
	codec_fd(codec, &worker->requests);
	codec_fd(codec, &worker->answers);
	codec_fd(codec, &worker->unread);
	codec_fd(codec, &worker->theirs);
	codec_u32(codec, &worker->places);
	codec_bool(codec, &worker->pinged);
}

static void carried_fields(struct codec *codec, void *object)
{
	struct handover_carried *carried = object;

	codec_u32(codec, &carried->worker);
	codec_u32(codec, &carried->place);
	codec_u64(codec, &carried->number);
	codec_u32(codec, &carried->service);
	codec_source(codec, &carried->source);
	codec_fd(codec, &carried->near_end);
	codec_fd(codec, &carried->far_end);
	codec_bool(codec, &carried->gone);
	codec_bool(codec, &carried->by_worker);
	codec_bool(codec, &carried->cut);
	codec_bool(codec, &carried->untold);
}

static void caller_fields(struct codec *codec, void *object)
{
	struct handover_caller *caller = object;

	codec_u32(codec, &caller->service);
	codec_u32(codec, &caller->listener);
	codec_u32(codec, &caller->worker);
	codec_u32(codec, &caller->place);
	codec_u8(codec, &caller->stage);
	codec_u64(codec, &caller->number);
	codec_u64(codec, &caller->accepted);
	codec_u64(codec, &caller->taken);
	codec_fd(codec, &caller->fd);
	codec_addr(codec, &caller->peer);
	codec_addr(codec, &caller->local);
	codec_addr(codec, &caller->proxy);
	codec_addr(codec, &caller->reached);
	codec_u32(codec, &caller->peer_pid);
	codec_u32(codec, &caller->peer_uid);
	codec_u32(codec, &caller->peer_gid);
	codec_source(codec, &caller->source);
	codec_source(codec, &caller->counted);
	codec_u32(codec, &caller->tries);
	codec_u32(codec, &caller->tasks);
	codec_bool(codec, &caller->named);
	codec_bool(codec, &caller->offered);
	codec_bool(codec, &caller->refused);
	codec_bool(codec, &caller->plus);
	codec_bool(codec, &caller->untold);
	codec_bool(codec, &caller->shaken);
	codec_bool(codec, &caller->asked);
	codec_u8(codec, &caller->verdict);
	codec_raw(codec, caller->trust, sizeof caller->trust);
	codec_bytes(codec, &caller->facts, &caller->facts_len, CHANNEL_FACTS_BYTES_MAX);
	codec_bytes(codec, &caller->authority, &caller->authority_len, UINT16_MAX);
}

static void handle_fields(struct codec *codec, struct tcp_handle *handle)
{
	codec_u64(codec, &handle->cookie);
	codec_u32(codec, &handle->interface);
	codec_u32(codec, &handle->token);
}

static void life_fields(struct codec *codec, struct handover_child *child)
{
	codec_u8(codec, &child->life_reason);
	codec_u64(codec, &child->life_born);
	codec_u64(codec, &child->life_ask_at);
	codec_u64(codec, &child->life_told);
	codec_bool(codec, &child->life_heard);
	codec_bool(codec, &child->life_killed);
}

static void findings_fields(struct codec *codec, struct handover_findings *findings)
{
	codec_text(codec, &findings->name);
	codec_text(codec, &findings->user);
	codec_u8(codec, &findings->name_state);
	codec_u8(codec, &findings->user_state);
}

static void client_fields(struct codec *codec, struct handover_child *child)
{
	codec_addr(codec, &child->peer);
	codec_addr(codec, &child->local);
	codec_u32(codec, &child->peer_pid);
	codec_u32(codec, &child->peer_uid);
	codec_u32(codec, &child->peer_gid);
	codec_source(codec, &child->source);
	handle_fields(codec, &child->tcp);
	handle_fields(codec, &child->counted);
	codec_u64(codec, &child->taken);
	codec_bool(codec, &child->has_ends);
	codec_addr(codec, &child->proxy_local);
	codec_addr(codec, &child->proxy_peer);
	findings_fields(codec, &child->findings);
}

static void serving_fields(struct codec *codec, struct handover_child *child)
{
	codec_u32(codec, &child->worker);
	codec_u32(codec, &child->place);
	codec_bool(codec, &child->end_wanted);
	codec_bool(codec, &child->gives_up);
	codec_bool(codec, &child->client_cut);
	codec_u32(codec, &child->carrier);
	codec_u32(codec, &child->carrier_place);
	codec_bool(codec, &child->is_backend);
	codec_bool(codec, &child->backend_parted);
	codec_u8(codec, &child->backend_state);
	codec_u64(codec, &child->backend_idle_since);
	codec_u64(codec, &child->backend);
	codec_u8(codec, &child->news);
}

/* Of a hatchd that knew nothing of it there is none. */
static void readiness_fields(struct codec *codec, struct readiness_saved *readiness)
{
	codec_bool(codec, &readiness->there);
	codec_fd(codec, &readiness->fd);
	codec_bool(codec, &readiness->awaited);
	codec_u8(codec, &readiness->state);
	codec_text(codec, &readiness->status);
	codec_u64(codec, &readiness->ready_by);
	codec_u64(codec, &readiness->number);
	if (!readiness->there)
		readiness->fd = -EBADF;
}

static void child_fields(struct codec *codec, void *object)
{
	struct handover_child *child = object;

	codec_u32(codec, &child->service);
	codec_u32(codec, &child->setup);
	codec_u32(codec, &child->listener);
	codec_u64(codec, &child->connection);
	codec_i32(codec, &child->pid);
	codec_fd(codec, &child->pidfd);
	serving_fields(codec, child);
	codec_u64(codec, &child->born);
	codec_bool(codec, &child->came_by_ip);
	codec_bool(codec, &child->on_pair);
	codec_bool(codec, &child->unwanted);
	codec_bool(codec, &child->killed_late);
	codec_bool(codec, &child->announced);
	codec_bool(codec, &child->has_findings);
	life_fields(codec, child);
	client_fields(codec, child);
	readiness_fields(codec, &child->readiness);
}

static void state_fields(struct codec *codec, void *object)
{
	struct handover *handover = object;

	codec_bytes(codec, &handover->state, &handover->state_len, RECORD_MAX);
}

/* ------------------------------------------------------------------ the sections */

#define ARRAY(codec, handover, items, fields)                                   \
	codec_array(codec, (void **)&(handover)->items, &(handover)->n_##items, \
		sizeof *(handover)->items, HANDOVER_ITEMS_MAX, fields)

static void spares_section(struct codec *codec, void *object)
{
	struct handover *handover = object;

	ARRAY(codec, handover, spares, spare_fields);
}

static void strays_section(struct codec *codec, void *object)
{
	struct handover *handover = object;

	ARRAY(codec, handover, strays, stray_fields);
}

static void followers_section(struct codec *codec, void *object)
{
	struct handover *handover = object;

	ARRAY(codec, handover, followers, follower_fields);
}

static void services_section(struct codec *codec, void *object)
{
	struct handover *handover = object;

	ARRAY(codec, handover, services, service_fields);
}

static void listeners_section(struct codec *codec, void *object)
{
	struct handover *handover = object;

	ARRAY(codec, handover, listeners, listener_fields);
}

static void setups_section(struct codec *codec, void *object)
{
	struct handover *handover = object;

	ARRAY(codec, handover, setups, setup_fields);
}

static void workers_section(struct codec *codec, void *object)
{
	struct handover *handover = object;

	ARRAY(codec, handover, workers, worker_fields);
}

static void carried_section(struct codec *codec, void *object)
{
	struct handover *handover = object;

	ARRAY(codec, handover, carried, carried_fields);
}

static void callers_section(struct codec *codec, void *object)
{
	struct handover *handover = object;

	ARRAY(codec, handover, callers, caller_fields);
}

static void children_section(struct codec *codec, void *object)
{
	struct handover *handover = object;

	ARRAY(codec, handover, children, child_fields);
}

static void process_section(struct codec *codec, void *object)
{
	struct handover *handover = object;

	codec_record(codec, process_fields, &handover->process);
}

void (*const handover_sections[_HANDOVER_SECTION_MAX])(struct codec *codec, void *object) = {
	[HANDOVER_SECTION_PROCESS] = process_section,
	[HANDOVER_SECTION_SPARES] = spares_section,
	[HANDOVER_SECTION_STRAYS] = strays_section,
	[HANDOVER_SECTION_FOLLOWERS] = followers_section,
	[HANDOVER_SECTION_SERVICES] = services_section,
	[HANDOVER_SECTION_LISTENERS] = listeners_section,
	[HANDOVER_SECTION_SETUPS] = setups_section,
	[HANDOVER_SECTION_WORKERS] = workers_section,
	[HANDOVER_SECTION_CARRIED] = carried_section,
	[HANDOVER_SECTION_CALLERS] = callers_section,
	[HANDOVER_SECTION_CHILDREN] = children_section,
	[HANDOVER_SECTION_STATE] = state_fields,
};
