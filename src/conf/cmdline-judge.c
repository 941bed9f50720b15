#include "conf/cmdline-internal.h"

static const char *mode_flag(enum cmdline_mode mode)
{
	switch (mode) {
	case CMDLINE_CHECK:
		return "--check";
	case CMDLINE_PLAN:
		return "--plan";
	case CMDLINE_EXPLAIN:
		return "--explain";
	case CMDLINE_SELF_SIGNED:
		return "--self-signed";
	default:
		return "--print-config";
	}
}

/* What only makes sense for hatchd -f; and the file that --daemon writes. */
static int judge_daemon(struct cmdline_parser *p, bool adhoc)
{
	struct cmdline *cmdline = p->cmdline;
	const char *flag = cmdline->daemon ? "--daemon" : "--pid-file";

	if (!cmdline->daemon && !cmdline->pid_file)
		return 0;
	if (cmdline->mode != CMDLINE_SERVE)
		return cmdline_usage(
			p, "%s and %s exclude each other", flag, mode_flag(cmdline->mode));
	if (cmdline->once)
		return cmdline_usage(p, "%s and --once exclude each other", flag);
	if (adhoc)
		return cmdline_usage(p,
			"%s is for services from a file, not for -l ADDRESS -- PROGRAM", flag);
	if (!cmdline->pid_file)
		cmdline->pid_file = CMDLINE_PID_FILE;
	return 0;
}

/* There is exactly one thing to serve. */
static int check_served(struct cmdline_parser *p)
{
	static const char *const others[] = {"shell", "builtin", "redirect"};
	const char *found = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (!cmdline_is_given(p, others[i]))
			continue;
		if (found)
			return cmdline_usage(
				p, "--%s and --%s exclude each other", found, others[i]);
		found = others[i];
	}
	if (p->program && found)
		return cmdline_usage(
			p, "--%s and a program after -- exclude each other", found);
	if (!p->program && !found)
		return cmdline_usage(p,
			"no program; add -- PROGRAM, --shell 'COMMAND', --builtin NAME "
			"or --redirect ADDRESS");
	return 0;
}

/* A program of the command line has none unless it is asked for: there may be many. */
static int judge_control(struct cmdline_parser *p, bool adhoc)
{
	struct cmdline *cmdline = p->cmdline;

	if (cmdline->mode != CMDLINE_SERVE)
		return cmdline->control_given
		               ? cmdline_usage(p, "--control and %s exclude each other",
					 mode_flag(cmdline->mode))
		               : 0;
	if (!cmdline->control_given && !adhoc)
		cmdline->control = CMDLINE_CONTROL;
	return 0;
}

static int judge_adhoc(struct cmdline_parser *p)
{
	if (p->file)
		return cmdline_usage(
			p, "-f serves a file and -l or -- a single program: choose one");
	if (p->program && !p->program[0])
		return cmdline_usage(p, "the program after -- is missing");
	if (!cmdline_is_given(p, "listen"))
		return cmdline_usage(p, "no address; add -l PORT");
	if (check_served(p) < 0)
		return -EINVAL;
	if (p->cmdline->mode == CMDLINE_PLAN)
		return cmdline_usage(p, "--plan is about a file: only files are reloaded");
	/* All other services of that one would be closed. */
	if (p->cmdline->take_over)
		return cmdline_usage(
			p, "--take-over is for services from a file, as the other one's");
	p->cmdline->adhoc = true;
	if (p->cmdline->mode == CMDLINE_SERVE)
		p->cmdline->mode = CMDLINE_ADHOC;
	return 0;
}

int cmdline_judge(struct cmdline_parser *p)
{
	struct cmdline *cmdline = p->cmdline;
	bool adhoc = p->program || cmdline_is_given(p, "listen") ||
	             cmdline_is_given(p, "shell") || cmdline_is_given(p, "builtin") ||
	             cmdline_is_given(p, "redirect");
	char flag[OPTION_FLAG_MAX];

	if (p->stop)
		return 0;
	if (cmdline->pid && cmdline->mode != CMDLINE_PLAN)
		return cmdline_usage(p, "--pid is for --plan");
	if (cmdline->take_over && cmdline->mode != CMDLINE_SERVE)
		return cmdline_usage(
			p, "--take-over and %s exclude each other", mode_flag(cmdline->mode));
	if (cmdline->certified && (adhoc || p->file))
		return cmdline_usage(
			p, "--self-signed only writes a file; serve it by another command");
	if (judge_daemon(p, adhoc) < 0 || judge_control(p, adhoc) < 0)
		return -EINVAL;
	if (adhoc)
		return judge_adhoc(p);
	if (p->first_service_flag)
		return cmdline_usage(p,
			"--%s is for -l ADDRESS -- PROGRAM; a file has its own options",
			conf_option_flag(conf_option_find(p->first_service_flag), flag));
	if (cmdline->once)
		return cmdline_usage(p, "--once is for -l ADDRESS -- PROGRAM");
	if (p->file) {
		cmdline->file = p->file;
		cmdline->file_given = true;
	}
	return 0;
}
