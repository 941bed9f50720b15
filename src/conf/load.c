#include "conf/load.h"

#include "base/clock.h"
#include "conf/build.h"
#include "conf/explain.h"
#include "conf/hours-conf.h"
#include "conf/identity.h"
#include "conf/image.h"
#include "conf/parse.h"
#include "conf/plan.h"
#include "conf/print.h"
#include "conf/relate.h"
#include "conf/running.h"
#include "conf/secrets.h"

#include <string.h>

struct load {
	const struct cmdline *cmdline;
	const char *file; /* the main one */
	FILE *out, *err;
	const struct running *running; /* --plan: whose place the files are to take */
	struct raw_conf parsed;        /* of files */
	struct source *sources;
	struct diag_list diags;
	struct conf conf;
};

static bool wants_colour(FILE *err)
{
	int fd = fileno(err);
	const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");

	if (no_colour && no_colour[0] != '\0')
		return false;
	return fd >= 0 && isatty(fd) && term && strcmp(term, "dumb") != 0;
}

static const char *subject(const struct load *load)
{
	return load->cmdline->adhoc ? COMMAND_LINE : load->file;
}

static int build(struct load *load, const struct raw_conf *raw)
{
	_cleanup_free_ char *cwd = getcwd(NULL, 0);
	const struct running *running = load->running;
	const struct build_context context = {
		.uid = running ? running->uid : geteuid(),
		.gid = running ? running->gid : getegid(),
		.environ = running ? running->environ : environ,
		.cwd = cwd && cwd[0] == '/' ? cwd : "/",
		.now = clock_wall().tv_sec,
		.adhoc = load->cmdline->adhoc,
		.thorough = load->cmdline->mode == CMDLINE_CHECK || running,
	};

	return conf_build(raw, &load->sources, &context, &load->conf, &load->diags);
}

/* An empty configuration is valid: packages install one. */
static void warn_if_empty(struct load *load, const struct raw_conf *raw)
{
	const struct origin whole = {.file = subject(load), .width = 1};

	for (size_t i = 0; i < raw->n_sections; i++) {
		if (raw->sections[i].kind == RAW_SERVICE)
			return;
	}
	if (load->diags.n_by_severity[DIAG_ERROR] == 0)
		diag_warning(&load->diags, &whole, "no services: there is nothing to serve");
}

/* What everybody sees first who types the name of the program alone. */
static void tell_first_steps(struct load *load)
{
	fputs("hatchd: there is no configuration yet; a service without one:\n"
	      "	hatchd -l 7777 -- tr a-z A-Z\n"
	      "Try 'hatchd --help', or see hatchd.conf(5).\n",
		load->err);
}

/* A plan says itself what would wait, and was not asked for warnings. */
static bool tells_all(const struct load *load)
{
	return !load->running || load->diags.n_by_severity[DIAG_ERROR] > 0;
}

/* LOAD_UNKNOWN when there is nothing to judge. */
static int read_and_build(struct load *load)
{
	const struct raw_conf *raw = &load->cmdline->raw;
	int r = 0;

	if (!load->cmdline->adhoc) {
		r = parse_files(load->file, &load->parsed, &load->sources, &load->diags);
		raw = &load->parsed;
	}
	if (r == 0)
		r = build(load, raw);
	if (r == 0)
		warn_if_empty(load, raw);
	if (tells_all(load))
		diag_print(&load->diags, load->sources, wants_colour(load->err), load->err);
	if (r == -ENOENT && !load->cmdline->file_given && !load->running)
		tell_first_steps(load);
	if (r == -ENOMEM)
		fprintf(load->err, "hatchd: unable to load %s: out of memory\n", subject(load));
	return r < 0 ? LOAD_UNKNOWN : LOAD_OK;
}

static size_t count_refused(const struct load *load, bool *ret_main)
{
	size_t n = 0;

	*ret_main = false;
	for (const struct source *s = load->sources; s; s = s->next) {
		n += s->refused;
		*ret_main = *ret_main || (s->main && s->refused);
	}
	return n;
}

/* Whether what is left may be served (invariant I7). */
static int decide(const struct load *load)
{
	const size_t mistakes = load->diags.n_by_severity[DIAG_ERROR];
	bool main_refused;
	size_t refused = count_refused(load, &main_refused);

	if (mistakes == 0)
		return LOAD_OK;
	if (main_refused || refused == 0 || load->cmdline->strict)
		return LOAD_MISTAKES;

	fprintf(load->err,
		"hatchd: left out because of mistakes: %zu file%s; the others are served\n",
		refused, refused == 1 ? "" : "s");
	return LOAD_OK;
}

static int once_status(const struct load *load)
{
	switch (load->conf.program_error) {
	case 0:
		return LOAD_ONCE_FAILED;
	case ENOENT:
		return LOAD_ONCE_NOT_FOUND;
	default:
		return LOAD_ONCE_CANNOT_RUN;
	}
}

/* The hours of services are those of this machine. */
static void look_at_clock(struct conf *conf)
{
	for (size_t i = 0; i < conf->n_services; i++) {
		if (conf->services[i]->access_times) {
			hours_conf_zone(clock_wall().tv_sec, &conf->zone);
			return;
		}
	}
}

/* Only root can give a socket to a group that he is not in. */
static bool may_give_to(gid_t gid)
{
	return geteuid() == 0 || group_member(gid);
}

/* Without that group, the socket is for root alone, or for the user that we are. */
static void look_up_admins(const struct load *load, struct conf *conf)
{
	gid_t gid;
	int r;

	if (!load->cmdline->control)
		return;
	r = identity_find_group(CMDLINE_CONTROL_GROUP, &gid);
	if (r == 0 && may_give_to(gid))
		conf->control_gid = gid;
	else if (r < 0 && r != -ENOENT)
		fprintf(load->err,
			"hatchd: warning: unable to look up group '%s', whose members may not "
			"ask for the state now: %s\n",
			CMDLINE_CONTROL_GROUP, strerror(-r));
}

/* What becomes of the services and sockets in force is found out here, where
 * it takes nobody's time. */
static int write_image(struct load *load, struct conf *conf)
{
	_cleanup_image_draft_ struct image_draft *draft = NULL;
	int r;

	r = image_draft_new(conf, &draft);
	if (r == 0 && load->cmdline->in_force_fd >= 0)
		r = relate_to_image(conf, draft, load->cmdline->in_force_fd);
	if (r == 0)
		r = secrets_write(
			conf, load->cmdline->old_secrets_fd, load->cmdline->secrets_fd);
	return r < 0 ? r : image_draft_write(draft, load->cmdline->image_fd);
}

/* 1: there is nothing to tell. */
static int write_conditions(struct load *load)
{
	struct conf in_force;
	int r;

	r = image_read(load->cmdline->in_force_fd, &in_force);
	if (r < 0)
		return r;
	r = relate_conditions(&load->conf, &in_force);
	if (r > 0)
		r = write_image(load, &in_force);
	else if (r == 0)
		r = 1;
	conf_done(&in_force);
	return r;
}

static int serve(struct load *load)
{
	int status = decide(load), r;

	if (status != LOAD_OK && load->cmdline->once)
		return once_status(load);
	if (status != LOAD_OK || load->cmdline->image_fd < 0)
		return status;

	look_at_clock(&load->conf);
	if (!load->cmdline->conditions)
		look_up_admins(load, &load->conf);
	r = load->cmdline->conditions ? write_conditions(load) : write_image(load, &load->conf);
	if (r < 0) {
		fprintf(load->err,
			"hatchd: unable to write the configuration for the master: %s\n",
			strerror(-r));
		return LOAD_UNKNOWN;
	}
	return r > 0 ? LOAD_NOTHING_NEW : LOAD_OK;
}

/* Files that have a mistake or a condition; those of diagnostics that did not
 * fit are not among them. */
static size_t count_files(const struct diag_list *diags)
{
	size_t n = 0;

	for (size_t i = 0; i < diags->n; i++) {
		const struct diag *d = &diags->items[i];
		bool seen = d->severity > DIAG_CONDITION || !d->origin.file;

		for (size_t j = 0; j < i && !seen; j++) {
			const struct diag *e = &diags->items[j];

			seen = e->severity <= DIAG_CONDITION && e->origin.file &&
			       strcmp(e->origin.file, d->origin.file) == 0;
		}
		n += !seen;
	}
	return n;
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static int check(struct load *load)
{
	const size_t *by = load->diags.n_by_severity;
	size_t mistakes = by[DIAG_ERROR], conditions = by[DIAG_CONDITION];
	size_t n = load->conf.n_services, files = count_files(&load->diags);

	if (mistakes == 0 && conditions == 0) {
		fprintf(load->out, "%s: %zu service%s, no mistakes\n", subject(load), n,
			plural(n));
		return LOAD_OK;
	}
	if (mistakes > 0)
		fprintf(load->out, "%zu mistake%s", mistakes, plural(mistakes));
	if (conditions > 0)
		fprintf(load->out, "%s%zu condition%s", mistakes ? ", " : "", conditions,
			plural(conditions));
	if (load->cmdline->adhoc)
		fputc('\n', load->out);
	else
		fprintf(load->out, " in %zu file%s\n", files, plural(files));
	return LOAD_MISTAKES;
}

/* LOAD_UNKNOWN if what was to be printed did not get through. */
static int finish_print(struct load *load, const char *what, int r)
{
	if (r == 0 && fflush(load->out) != 0)
		r = -errno;
	if (r == 0)
		return LOAD_OK;
	fprintf(load->err, "hatchd: unable to print the %s: %s\n", what, strerror(-r));
	return LOAD_UNKNOWN;
}

static int print(struct load *load)
{
	int r = print_conf(&load->conf, load->out);

	r = finish_print(load, "configuration", r);
	if (r != LOAD_OK)
		return r;
	return load->diags.n_by_severity[DIAG_ERROR] > 0 ? LOAD_MISTAKES : LOAD_OK;
}

/* A mistake in any file: the old configuration stays in force as a whole (I7). */
static int plan(struct load *load)
{
	if (load->diags.n_by_severity[DIAG_ERROR] > 0) {
		check(load);
		fputs("a reload would change nothing\n", load->out);
		return LOAD_MISTAKES;
	}
	return finish_print(
		load, "plan", plan_print(&load->running->conf, &load->conf, load->out));
}

/* With a mistake in it nothing is served of a file, so its services are not there. */
static int explain(struct load *load)
{
	const struct cmdline *cmdline = load->cmdline;
	int status = explain_print(&load->conf, cmdline->explain_service,
		cmdline->explain_address, clock_wall().tv_sec, load->out, load->err);
	int r = finish_print(load, "answer", status < 0 ? status : 0);

	return r == LOAD_OK ? status : r;
}

static int run(struct load *load)
{
	int status = read_and_build(load);

	if (status != LOAD_OK)
		return status;

	switch (load->cmdline->mode) {
	case CMDLINE_CHECK:
		return check(load);
	case CMDLINE_PRINT_CONFIG:
		return print(load);
	case CMDLINE_PLAN:
		return plan(load);
	case CMDLINE_EXPLAIN:
		return explain(load);
	default:
		return serve(load);
	}
}

/* With its number alone, a hatchd is asked about whatever it serves. */
static int run_plan(struct load *load)
{
	const struct cmdline *cmdline = load->cmdline;
	const char *file = cmdline->file_given || !cmdline->pid ? cmdline->file : NULL;
	struct running running;
	int status;

	if (running_find(file, cmdline->pid, &running, load->err) < 0)
		return LOAD_UNKNOWN;
	load->running = &running;
	if (!file)
		load->file = running.conf.main_file;
	status = run(load);
	load->running = NULL;
	running_done(&running);
	return status;
}

int load_run(const struct cmdline *cmdline, FILE *out, FILE *err, struct load **ret)
{
	struct load *load = *ret = malloc(sizeof *load);

	if (!load) {
		fputs("hatchd: unable to load: out of memory\n", err);
		return LOAD_UNKNOWN;
	}
	*load = (struct load){
		.cmdline = cmdline, .file = cmdline->file, .out = out, .err = err};
	raw_conf_init(&load->parsed);
	diag_list_init(&load->diags);
	conf_init(&load->conf);
	return cmdline->mode == CMDLINE_PLAN ? run_plan(load) : run(load);
}

struct load *load_free(struct load *load)
{
	if (!load)
		return NULL;
	conf_done(&load->conf);
	diag_list_done(&load->diags);
	raw_conf_done(&load->parsed);
	source_list_free(load->sources);
	free(load);
	return NULL;
}
