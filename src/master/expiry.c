#include "master/expiry.h"

#include "base/clock.h"
#include "base/log.h"
#include "master/master.h"
#include "master/service.h"
#include "policy/validity.h"

#define DAY (VALIDITY_DAY * USEC_PER_SEC)

/* The wall's clock is looked at so often, in seconds: it may have been set. */
#define LOOK_AGAIN 3600

/* Services in one turn: each is read from the image. */
#define BATCH 16

/* By the wall's clock, seconds. */
static int64_t wall_now(void)
{
	return clock_wall().tv_sec;
}

/* Seconds until the first of them ends soon; 0: it does. */
static uint64_t wait_for_first(const struct master *master)
{
	return validity_wait(image_conf(master->image)->certificates_end, wall_now());
}

static void plan_next(struct master *master, uint64_t now)
{
	struct expiry *expiry = &master->expiry;
	uint64_t wait;

	if (image_conf(master->image)->certificates_end == 0) {
		expiry->due = USEC_INFINITY;
		return;
	}
	wait = wait_for_first(master);
	if (wait > LOOK_AGAIN)
		wait = LOOK_AGAIN;
	expiry->due = now + wait * USEC_PER_SEC;
	if (wait == 0 && expiry->told_until > now)
		expiry->due = expiry->told_until;
}

/* All of it has been loaded anew, and not only what waited for a condition. */
static bool is_loaded(const struct master *master)
{
	const struct expiry *expiry = &master->expiry;

	return expiry->generation == 0 ||
	       (master->reload.finished != expiry->reloaded && !master->reload.failed);
}

/* Of what ends soon already the loader has just told. */
static void begin(struct master *master, uint64_t now)
{
	struct expiry *expiry = &master->expiry;

	expiry->telling = false;
	expiry->told_until = now;
	if (wait_for_first(master) == 0)
		expiry->told_until = now + DAY;
}

/* What a look at conditions has brought along is told with the others. */
static void notice_other_services(struct master *master, uint64_t now)
{
	struct expiry *expiry = &master->expiry;
	bool others = expiry->generation != master->generation;

	if (others && is_loaded(master))
		begin(master, now);
	if (others && !expiry->telling)
		plan_next(master, now);
	expiry->generation = master->generation;
	expiry->reloaded = master->reload.finished;
}

/* ------------------------------------------------------------------------- telling */

static void tell(struct expiry *expiry, const struct service *service, int64_t ends)
{
	char text[VALIDITY_TEXT_MAX];

	if (expiry->n_told++ < EXPIRY_LINES_MAX)
		log_warning("%sa certificate %s", service->label,
			validity_format(ends, wall_now(), text));
}

/* One that cannot be read now is told tomorrow. */
static void look_at(struct master *master, size_t i)
{
	_cleanup_service_conf_ struct service_conf *conf = NULL;

	if (image_get(master->image, i, &conf) < 0)
		return;
	if (validity_judge(conf->tls_not_after, wall_now()) != VALIDITY_GOOD)
		tell(&master->expiry, master->services[i], conf->tls_not_after);
}

static void end_telling(struct master *master, uint64_t now)
{
	struct expiry *expiry = &master->expiry;

	if (expiry->n_told > EXPIRY_LINES_MAX)
		log_warning("certificates end soon, or have ended, of %u more; hatchctl status "
			    "lists them",
			expiry->n_told - EXPIRY_LINES_MAX);
	expiry->telling = false;
	plan_next(master, now);
}

/* A look at conditions in between may leave a service out, or tell it twice. */
static void tell_some(struct master *master, uint64_t now)
{
	struct expiry *expiry = &master->expiry;

	for (int i = 0; i < BATCH && expiry->telling; i++) {
		size_t found = image_find_setup(master->image, expiry->next);

		expiry->next = found + 1;
		if (found < master->n_services)
			look_at(master, found);
		else
			end_telling(master, now);
	}
}

static void begin_telling(struct master *master, uint64_t now)
{
	struct expiry *expiry = &master->expiry;

	expiry->told_until = now + DAY;
	expiry->telling = true;
	expiry->next = 0;
	expiry->n_told = 0;
}

void expiry_turn(struct master *master, uint64_t now)
{
	struct expiry *expiry = &master->expiry;

	notice_other_services(master, now);
	if (now < expiry->due)
		return;
	if (!expiry->telling && wait_for_first(master) == 0)
		begin_telling(master, now);
	if (expiry->telling)
		tell_some(master, now);
	else
		plan_next(master, now);
}
