#include "master/accounting.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log-gate.h"
#include "base/log.h"
#include "master/loader.h"
#include "master/master.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* How long what is on its way to a file may take, when that is left or hatchd ends. */
#define PATIENCE (2 * USEC_PER_SEC)

void accounting_init(struct master *master)
{
	struct accounting *accounting = &master->accounting;
	int fd = loader_open_other("hatchd-account");

	accounting->program = fd < 0 ? fd : master_move_up(master, fd);
}

bool accounting_is_on(const struct master *master)
{
	return master->accounting.path != NULL;
}

/* ------------------------------------------------------------------------- to tell */

static const char *const steps[] = {
	[ACCOUNT_FINE] = "",
	[ACCOUNT_FOLDER] = "unable to open the folder of",
	[ACCOUNT_EXPOSED] = "others than hatchd's user may write to the folder of",
	[ACCOUNT_SANDBOX] = "hatchd-account is unable to enter its sandbox for",
	[ACCOUNT_OPEN] = "unable to open",
	[ACCOUNT_IRREGULAR] = "no regular file:",
	[ACCOUNT_WRITE] = "unable to write to",
	[ACCOUNT_RENAME] = "unable to put aside",
	[_ACCOUNT_STEP_MAX] = "hatchd-account does not serve",
};

static const char *explain(enum account_step step, int error)
{
	if (step == _ACCOUNT_STEP_MAX && error == -ECHILD)
		return "it has ended";
	if (step == _ACCOUNT_STEP_MAX && error == -EBADMSG)
		return "it has said nonsense";
	return strerror(-error);
}

/* Once for each kind, as a condition is. */
static void tell_trouble(struct accounting *accounting)
{
	enum account_step step;
	int error;

	if (!account_feed_trouble(accounting->feed, &step, &error))
		return;
	if (step == ACCOUNT_FINE)
		log_notice("accounting: %s is written again", accounting->path);
	else if (step == ACCOUNT_EXPOSED || step == ACCOUNT_IRREGULAR)
		log_warning("accounting: %s %s", steps[step], accounting->path);
	else if (step == ACCOUNT_RENAME)
		log_warning("accounting: unable to put %s aside: %s, letting it grow",
			accounting->path, explain(step, error));
	else
		log_warning("accounting: %s %s: %s, retrying", steps[step], accounting->path,
			explain(step, error));
}

static void tell_lost(struct accounting *accounting, uint64_t now)
{
	if (accounting->untold == 0 || !log_once_a_minute(&accounting->lost_told, now))
		return;
	log_warning("accounting: %" PRIu64 " record%s lost: %s does not take them",
		accounting->untold, accounting->untold == 1 ? "" : "s", accounting->path);
	accounting->untold = 0;
}

/* ------------------------------------------------------------------------- to write */

static void begin_line(struct json *json, char *buf, size_t size)
{
	json_init(json, buf, size);
	json_open(json, NULL, '{');
}

static bool put_line(struct accounting *accounting, struct json *json)
{
	json_close(json, '}');
	json_end_line(json);
	return !json->full && account_feed_put(accounting->feed, json->buf, json->len);
}

/* In the place of what is missing.  False: there is no room for that either. */
static bool put_lost(struct accounting *accounting)
{
	char buf[64];
	struct json json;

	if (accounting->lost == 0)
		return true;
	begin_line(&json, buf, sizeof buf);
	json_number(&json, "lost", accounting->lost);
	if (!put_line(accounting, &json))
		return false;
	accounting->lost = 0;
	return true;
}

void accounting_add(struct master *master, const struct account *account)
{
	struct accounting *accounting = &master->accounting;
	char buf[ACCOUNT_LINES_MAX];
	struct json json;

	if (!accounting->path)
		return;
	begin_line(&json, buf, sizeof buf);
	account_put(&json, account);
	if (put_lost(accounting) && put_line(accounting, &json))
		return;
	accounting->lost++;
	accounting->untold++;
}

bool accounting_is_idle(const struct master *master)
{
	const struct accounting *accounting = &master->accounting;

	return !accounting->path || account_feed_pending(accounting->feed) == 0;
}

const char *accounting_left(const struct master *master, size_t *ret_len)
{
	*ret_len = 0;
	return master->accounting.path ? account_feed_text(master->accounting.feed, ret_len)
	                               : NULL;
}

/* It was all in a feed that had no more room than this one. */
void accounting_resume(struct master *master, const void *left, size_t len)
{
	if (len > 0 && master->accounting.path)
		(void)account_feed_put(master->accounting.feed, left, len);
}

void accounting_reopen(struct master *master)
{
	if (master->accounting.path)
		account_feed_reopen(master->accounting.feed);
}

/* --------------------------------------------------------------------- configuration */

/* The turn looks after it. */
static int on_feed(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)source;
	(void)fd;
	(void)revents;
	(void)userdata;
	return 0;
}

static void free_feed(struct accounting *accounting)
{
	accounting->source = sd_event_source_unref(accounting->source);
	accounting->feed = account_feed_free(accounting->feed);
	accounting->due = USEC_INFINITY;
}

/* Its process goes when it can. */
static void leave(struct accounting *accounting, uint64_t now)
{
	if (accounting->feed)
		account_feed_end(accounting->feed, now);
	free(accounting->path);
	accounting->path = NULL;
	accounting->change_due = USEC_INFINITY;
}

static int open_feed(struct master *master)
{
	struct accounting *accounting = &master->accounting;
	int program = accounting->program, r;

	if (program >= 0)
		program = fcntl(program, F_DUPFD_CLOEXEC, master->budget.low_limit);
	r = account_feed_new(program < 0 && accounting->program >= 0 ? -errno : program,
		master->null_fd, master->budget.low_limit, &accounting->feed);
	if (r < 0)
		return r;
	return sd_event_add_io(master->event, &accounting->source,
		account_feed_fd(accounting->feed), EPOLLIN, on_feed, master);
}

static int aim(struct master *master, const struct conf *conf)
{
	struct accounting *accounting = &master->accounting;
	char *path = strdup(conf->accounting_file);
	int r = path ? 0 : -ENOMEM;

	if (r == 0 && !accounting->feed)
		r = open_feed(master);
	if (r < 0) {
		free(path);
		return r;
	}
	free(accounting->path);
	accounting->path = path;
	accounting->size = conf->accounting_size;
	accounting->keep = conf->accounting_keep;
	accounting->gid = conf->control_gid;
	accounting->change_due = USEC_INFINITY;
	accounting->due = 0;
	account_feed_aim(accounting->feed,
		&(struct account_feed_target){
			.path = path,
			.size = accounting->size > 0 ? accounting->size : CONF_ACCOUNTING_SIZE,
			.keep = accounting->keep > 0 ? accounting->keep : CONF_ACCOUNTING_KEEP,
			.gid = accounting->gid,
		});
	return 0;
}

static bool is_the_same(const struct accounting *accounting, const struct conf *conf)
{
	if (!conf->accounting_file || !accounting->path)
		return !conf->accounting_file && !accounting->path;
	return strcmp(accounting->path, conf->accounting_file) == 0 &&
	       accounting->size == conf->accounting_size &&
	       accounting->keep == conf->accounting_keep &&
	       accounting->gid == conf->control_gid;
}

/* Records that did not get there in time: where there is another file, they go there. */
static void change(struct master *master, uint64_t now)
{
	const struct conf *conf = image_conf(master->image);
	struct accounting *accounting = &master->accounting;
	int r = 0;

	if (conf->accounting_file)
		r = aim(master, conf);
	if (r < 0)
		log_error("accounting: unable to begin with %s: %s", conf->accounting_file,
			strerror(-r));
	if (r < 0 || !conf->accounting_file)
		leave(accounting, now);
}

void accounting_configure(struct master *master, uint64_t now)
{
	struct accounting *accounting = &master->accounting;

	accounting->change_due = USEC_INFINITY;
	if (is_the_same(accounting, image_conf(master->image)))
		return;
	if (accounting->path)
		accounting->change_due = now + PATIENCE;
	else
		change(master, now);
}

/* ------------------------------------------------------------------------- the turn */

static bool is_to_change(const struct accounting *accounting, uint64_t now)
{
	return accounting->change_due != USEC_INFINITY &&
	       (now >= accounting->change_due || account_feed_pending(accounting->feed) == 0);
}

static void serve(struct accounting *accounting, uint64_t now)
{
	put_lost(accounting);
	accounting->due = account_feed_tend(accounting->feed, now);
	tell_trouble(accounting);
	tell_lost(accounting, now);
	if (accounting->change_due < accounting->due)
		accounting->due = accounting->change_due;
}

static void see_off(struct accounting *accounting, uint64_t now)
{
	accounting->due = account_feed_tend(accounting->feed, now);
	if (account_feed_is_over(accounting->feed))
		free_feed(accounting);
}

void accounting_turn(struct master *master, uint64_t now)
{
	struct accounting *accounting = &master->accounting;

	if (is_to_change(accounting, now))
		change(master, now);
	if (accounting->path)
		serve(accounting, now);
	else if (accounting->feed)
		see_off(accounting, now);
}

/* What is not known to be there. */
static uint64_t settle(struct accounting *accounting)
{
	put_lost(accounting);
	return accounting->untold + account_feed_settle(accounting->feed, PATIENCE);
}

void accounting_done(struct master *master)
{
	struct accounting *accounting = &master->accounting;
	uint64_t left = accounting->path ? settle(accounting) : 0;

	if (left > 0)
		log_warning("accounting: %" PRIu64 " record%s lost: %s did not take them", left,
			left == 1 ? "" : "s", accounting->path);
	leave(accounting, clock_monotonic());
	free_feed(accounting);
	fd_close(accounting->program);
}
