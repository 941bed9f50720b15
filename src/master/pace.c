#include "master/pace.h"

#include "base/clock.h"
#include "master/master.h"
#include "master/service.h"

#include <stddef.h>
#include <stdlib.h>

/* Services that look again in one turn. */
#define RESUME_BATCH 64

struct pace *pace_new(struct master *master)
{
	struct pace *pace;

	if (heap_reserve(&master->pacing, master->n_paces + 1) < 0)
		return NULL;
	pace = calloc(1, sizeof *pace);
	if (pace)
		master->n_paces++;
	return pace;
}

struct pace *pace_free(struct master *master, struct pace *pace)
{
	if (!pace)
		return NULL;
	heap_remove(&master->pacing, &pace->due);
	master->n_paces--;
	free(pace);
	return NULL;
}

void service_set_rate(struct service *service, const struct limit *limit, struct pace *spare)
{
	struct master *master = service->master;

	if (!service->pace) {
		service->pace = spare;
		spare = NULL;
	}
	pace_free(master, spare);
	if (!limit_is_set(limit))
		service->pace = pace_free(master, service->pace);
	if (!service->pace)
		return;
	bucket_settle(&service->pace->bucket, &service->pace->limit, clock_monotonic());
	service->pace->service = service;
	service->pace->limit = *limit;
	service->pace->told = 0;
	heap_remove(&master->pacing, &service->pace->due);
}

void service_count_client(struct service *service, uint64_t now)
{
	if (service->pace)
		bucket_take(&service->pace->bucket, &service->pace->limit, now);
}

void service_wait_for_token(struct service *service, uint64_t now)
{
	struct pace *pace = service->pace;

	heap_put(&service->master->pacing, &pace->due,
		bucket_has_at(&pace->bucket, &pace->limit, now));
	service_update(service);
}

void service_stop_waiting(struct service *service)
{
	if (service->pace)
		heap_remove(&service->master->pacing, &service->pace->due);
}

bool service_is_paced(const struct service *service)
{
	return service->pace && heap_has(&service->pace->due);
}

uint64_t paces_due(const struct master *master)
{
	const struct heap_node *first = heap_first(&master->pacing);

	return first ? first->key : USEC_INFINITY;
}

void paces_resume(struct master *master, uint64_t now)
{
	for (int i = 0; i < RESUME_BATCH && paces_due(master) <= now; i++) {
		struct heap_node *first = heap_first(&master->pacing);
		struct pace *pace = (struct pace *)((char *)first - offsetof(struct pace, due));

		heap_remove(&master->pacing, first);
		service_update(pace->service);
	}
}
