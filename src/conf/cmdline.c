#include "conf/cmdline.h"

#include "base/strv.h"
#include "base/text.h"
#include "conf/build.h"
#include "conf/cmdline-flags.h"

#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Everything on a command line stands in one place. */
static const struct origin origin = {.file = COMMAND_LINE, .width = 1};

struct parser {
	struct cmdline *cmdline;
	FILE *err;
	int argc;
	char **argv;
	int at; /* next argument */

	const char *file;
	char **program; /* what follows `--`; NULL: nothing does */
	const char *first_service_flag;
	const char *yes_flag; /* the argument just read, if it is a flag without a value */
	bool stop;            /* --help and --version: the rest does not matter */
};

/* One line that says what is wrong; always -EINVAL. */
static int usage(const struct parser *p, const char *format, ...) _printf_(2, 3);
static int usage(const struct parser *p, const char *format, ...)
{
	va_list ap;

	fputs("hatchd: ", p->err);
	va_start(ap, format);
	vfprintf(p->err, format, ap);
	va_end(ap);
	fputs("\nTry 'hatchd --help'.\n", p->err);
	return -EINVAL;
}

static int no_memory(const struct parser *p)
{
	fputs("hatchd: out of memory\n", p->err);
	return -ENOMEM;
}

/*
 * Options of the service.
 */

/* The one section that a command line makes. */
static struct raw_section *get_section(struct parser *p)
{
	struct raw_conf *raw = &p->cmdline->raw;

	if (raw->n_sections > 0)
		return raw->sections;
	return raw_add_section(raw, RAW_SERVICE, NULL, &origin);
}

static struct raw_assign *find_assign(
	struct raw_section *section, const struct conf_option *option)
{
	for (size_t i = 0; i < section->n_assigns; i++) {
		if (section->assigns[i].option == option)
			return &section->assigns[i];
	}
	return raw_add_assign(section, option, false, &origin);
}

static int set_option(struct parser *p, const struct conf_option *option, const char *value)
{
	struct raw_section *section = get_section(p);
	struct raw_assign *assign = section ? find_assign(section, option) : NULL;
	char flag[OPTION_FLAG_MAX];

	if (!assign)
		return no_memory(p);
	if (assign->n_values > 0 && !conf_option_is_list(option))
		return usage(p, "--%s is given twice", conf_option_flag(option, flag));
	return raw_add_value(assign, value, &origin) ? 0 : no_memory(p);
}

/* The first value of an option; NULL if it is not given. */
static const char *get_given(const struct parser *p, const char *option)
{
	const struct raw_conf *raw = &p->cmdline->raw;

	for (size_t i = 0; raw->n_sections > 0 && i < raw->sections->n_assigns; i++) {
		const struct raw_assign *assign = &raw->sections->assigns[i];

		if (strcmp(assign->option->name, option) == 0)
			return assign->values[0].text;
	}
	return NULL;
}

static bool is_given(const struct parser *p, const char *option)
{
	return get_given(p, option);
}

/*
 * Flags of the daemon.
 */

static int set_mode(struct parser *p, enum cmdline_mode mode)
{
	if (p->cmdline->mode != CMDLINE_SERVE && p->cmdline->mode != mode)
		return usage(p, "--check, --print-config, --plan, --explain and --self-signed "
				"exclude one another");
	p->cmdline->mode = mode;
	return 0;
}

static int set_last_mode(struct parser *p, enum cmdline_mode mode)
{
	p->cmdline->mode = mode;
	p->stop = true;
	return 0;
}

static int set_file(struct parser *p, const char *value)
{
	if (p->file)
		return usage(p, "-f is given twice; a file can include others");
	if (value[0] == '\0')
		return usage(p, "-f: the name of the file is empty");
	p->file = value;
	return 0;
}

static int set_pid_file(struct parser *p, const char *value)
{
	if (p->cmdline->pid_file)
		return usage(p, "--pid-file is given twice");
	if (value[0] != '/' || value[strlen(value) - 1] == '/')
		return usage(p, "--pid-file: '%s' is not the full path of a file", value);
	p->cmdline->pid_file = value;
	return 0;
}

static int set_socket(struct parser *p, const char *flag, const char *others, const char *value,
	const char **ret)
{
	const size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	const size_t len = strlen(value);

	if (value[0] != '/' || value[len - 1] == '/')
		return usage(p, "--%s: '%s' is not the full path of a socket%s", flag, value,
			others);
	if (len > max)
		return usage(p, "--%s: the path has %zu bytes; sockets have room for %zu", flag,
			len, max);
	*ret = value;
	return 0;
}

static int set_control(struct parser *p, const char *value)
{
	if (p->cmdline->control_given)
		return usage(p, "--control is given twice");
	p->cmdline->control_given = true;
	if (strcmp(value, "none") == 0)
		return 0;
	return set_socket(p, "control", ", or none", value, &p->cmdline->control);
}

static int set_take_over(struct parser *p, const char *value)
{
	if (p->cmdline->take_over)
		return usage(p, "--take-over is given twice");
	return set_socket(p, "take-over", "", value, &p->cmdline->take_over);
}

static int set_spawn(struct parser *p, const char *value)
{
	static const char *const words[] = {
		[CMDLINE_SPAWN_AUTO] = "auto",
		[CMDLINE_SPAWN_SHARED] = "shared",
		[CMDLINE_SPAWN_PRIVATE] = "private",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i], value) == 0) {
			p->cmdline->spawn = (enum cmdline_spawn)i;
			return 0;
		}
	}
	return usage(p, "--spawn: '%s' is not auto, shared or private", value);
}

static int set_pid(struct parser *p, const char *value)
{
	uint32_t pid;

	if (text_parse_u32(value, &pid) < 0 || pid == 0 || pid > INT32_MAX)
		return usage(p, "--pid=%s: not the number of a process", value);
	p->cmdline->pid = (pid_t)pid;
	return 0;
}

/* For flags that are not for people. */
static int set_number(struct parser *p, const char *flag, const char *value, int *ret)
{
	uint32_t number;

	if (text_parse_u32(value, &number) < 0 || number > INT32_MAX)
		return usage(p, "--%s=%s: not a number that will do", flag, value);
	*ret = (int)number;
	return 0;
}

/* It is followed by another word. */
static int set_explain(struct parser *p, const char *service)
{
	if (p->cmdline->explain_service)
		return usage(p, "--explain is given twice");
	if (p->at >= p->argc || p->argv[p->at][0] == '-')
		return usage(p, "--explain needs a service and the address of a client");
	p->cmdline->explain_service = service;
	p->cmdline->explain_address = p->argv[p->at++];
	return set_mode(p, CMDLINE_EXPLAIN);
}

/* It is followed by more of them. */
static int set_self_signed(struct parser *p, const char *name)
{
	struct cmdline *cmdline = p->cmdline;

	if (cmdline->certified)
		return usage(p, "--self-signed is given twice; it takes several names");
	if (strv_add(&cmdline->certified, name) < 0)
		return no_memory(p);
	while (p->at < p->argc && p->argv[p->at][0] != '-')
		if (strv_add(&cmdline->certified, p->argv[p->at++]) < 0)
			return no_memory(p);
	return set_mode(p, CMDLINE_SELF_SIGNED);
}

static int set_flag(struct parser *p, enum cmdline_flag_id id, const char *value)
{
	switch (id) {
	case FLAG_LISTEN:
		return set_option(p, conf_option_find("listen"), value);
	case FLAG_FILE:
		return set_file(p, value);
	case FLAG_CHECK:
		return set_mode(p, CMDLINE_CHECK);
	case FLAG_PRINT_CONFIG:
		return set_mode(p, CMDLINE_PRINT_CONFIG);
	case FLAG_PLAN:
		return set_mode(p, CMDLINE_PLAN);
	case FLAG_EXPLAIN:
		return set_explain(p, value);
	case FLAG_PID:
		return set_pid(p, value);
	case FLAG_SELF_SIGNED:
		return set_self_signed(p, value);
	case FLAG_STRICT:
		p->cmdline->strict = true;
		return 0;
	case FLAG_ONCE:
		p->cmdline->once = true;
		return 0;
	case FLAG_DAEMON:
		p->cmdline->daemon = true;
		return 0;
	case FLAG_PID_FILE:
		return set_pid_file(p, value);
	case FLAG_CONTROL:
		return set_control(p, value);
	case FLAG_TAKE_OVER:
		return set_take_over(p, value);
	case FLAG_SPAWN:
		return set_spawn(p, value);
	case FLAG_VERBOSE:
		p->cmdline->verbose++;
		return 0;
	case FLAG_HELP:
		return set_last_mode(p, CMDLINE_HELP);
	case FLAG_VERSION:
		return set_last_mode(p, CMDLINE_VERSION);
	case FLAG_IMAGE_FD:
		return set_number(p, "image-fd", value, &p->cmdline->image_fd);
	case FLAG_IN_FORCE_FD:
		return set_number(p, "in-force-fd", value, &p->cmdline->in_force_fd);
	case FLAG_SECRETS_FD:
		return set_number(p, "secrets-fd", value, &p->cmdline->secrets_fd);
	case FLAG_OLD_SECRETS_FD:
		return set_number(p, "old-secrets-fd", value, &p->cmdline->old_secrets_fd);
	case FLAG_CONDITIONS:
		p->cmdline->conditions = true;
		return 0;
	case FLAG_TO_LOG:
		p->cmdline->to_log = true;
		return 0;
	case FLAG_LOADER_TIMEOUT:
		return set_number(p, "loader-timeout", value, &p->cmdline->loader_timeout);
	}
	return 0;
}

/*
 * One argument after the other.
 */

/* The next argument as the value of `flag`, or NULL after a message. */
static const char *take_value(struct parser *p, const char *flag)
{
	if (p->at < p->argc)
		return p->argv[p->at++];
	usage(p, "%s needs a value", flag);
	return NULL;
}

static int parse_daemon_flag(
	struct parser *p, const struct cmdline_flag *flag, const char *value)
{
	char name[CMDLINE_NAME_MAX + 3];

	snprintf(name, sizeof name, "--%s", flag->name);
	if (value && !flag->metavar)
		return usage(p, "%s takes no value", name);
	if (!value && flag->metavar) {
		value = take_value(p, name);
		if (!value)
			return -EINVAL;
	}
	return set_flag(p, flag->id, value);
}

static int parse_service_flag(
	struct parser *p, const struct conf_option *option, const char *value)
{
	char name[OPTION_FLAG_MAX], flag[OPTION_FLAG_MAX + 2];

	snprintf(flag, sizeof flag, "--%s", conf_option_flag(option, name));
	if (!value && (option->type == OPTION_BOOL || option->type == OPTION_TRISTATE)) {
		p->yes_flag = p->argv[p->at - 1];
		value = "yes";
	}
	if (!value) {
		value = take_value(p, flag);
		if (!value)
			return -EINVAL;
	}
	if (!p->first_service_flag)
		p->first_service_flag = option->name;
	return set_option(p, option, value);
}

static int unknown_flag(struct parser *p, const char *name)
{
	char near[CMDLINE_NAME_MAX], shown[DIAG_SHOWN_MAX];

	diag_shown(name, strlen(name), shown);
	if (cmdline_flag_nearest(name, near))
		return usage(p, "unknown flag '--%s'; did you mean '--%s'?", shown, near);
	return usage(p, "unknown flag '--%s'", shown);
}

/* --NAME, --NAME=VALUE or --NAME VALUE */
static int parse_long(struct parser *p, const char *text)
{
	const char *equal = strchr(text, '='), *value = equal ? equal + 1 : NULL;
	_cleanup_free_ char *name = strndup(text, strcspn(text, "="));
	const struct cmdline_flag *flag;
	const struct conf_option *option;

	if (!name)
		return no_memory(p);
	flag = cmdline_flag_find(name);
	if (flag)
		return parse_daemon_flag(p, flag, value);
	option = cmdline_option_find(name);
	if (option)
		return parse_service_flag(p, option, value);
	return unknown_flag(p, name);
}

/* -v, -vv, -f FILE, -fFILE */
static int parse_short(struct parser *p, const char *text)
{
	for (; *text && !p->stop; text++) {
		const struct cmdline_flag *flag = cmdline_flag_find_letter(*text);
		const char letter[3] = {'-', *text, '\0'};
		const char *value = NULL;
		int r;

		if (!flag && *text > ' ' && *text < 0x7f)
			return usage(p, "unknown flag '%s'", letter);
		if (!flag)
			return usage(p, "unknown flag");
		if (flag->metavar) {
			value = text[1] ? text + 1 : take_value(p, letter);
			if (!value)
				return -EINVAL;
		}
		r = set_flag(p, flag->id, value);
		if (r < 0 || flag->metavar)
			return r;
	}
	return 0;
}

/* A word where none belongs. */
static int unexpected(struct parser *p, const char *text, const char *yes_flag)
{
	char shown[DIAG_SHOWN_MAX];
	bool yes;

	diag_shown(text, strlen(text), shown);
	if (yes_flag && text_parse_bool(text, &yes) == 0)
		return usage(p, "%s takes its value with '=': %s=%s", yes_flag, yes_flag, text);
	if (is_given(p, "listen"))
		return usage(p, "put -- before the program: -- %s ...", shown);
	return usage(p,
		"unexpected '%s': a program stands after --, a configuration file after -f",
		shown);
}

static int parse_argument(struct parser *p)
{
	const char *text = p->argv[p->at++], *yes_flag = p->yes_flag;

	p->yes_flag = NULL;

	if (strcmp(text, "--") == 0) {
		p->program = p->argv + p->at;
		p->at = p->argc;
		return 0;
	}
	if (strncmp(text, "--", 2) == 0)
		return parse_long(p, text + 2);
	if (text[0] == '-' && text[1] != '\0')
		return parse_short(p, text + 1);
	return unexpected(p, text, yes_flag);
}

/*
 * What it all means.
 */

/* A valid service name out of a program's. */
static void name_service(const char *program, char buf[SERVICE_NAME_MAX + 1])
{
	const char *slash = strrchr(program, '/');
	size_t n = 0;

	for (const char *at = slash ? slash + 1 : program; *at && n < SERVICE_NAME_MAX; at++) {
		char one[2] = {*at, '\0'};

		/* What may not stand at the start may not be replaced there either. */
		buf[n] = *at == '_' || *at == '.' || service_name_valid(one) ? *at : '-';
		if (n > 0 || service_name_valid(one))
			n++;
	}
	buf[n] = '\0';
	if (n == 0)
		memcpy(buf, "program", sizeof "program");
}

static int set_program(struct parser *p)
{
	const struct conf_option *exec = conf_option_find("exec");
	struct raw_section *section;
	char name[SERVICE_NAME_MAX + 1] = "shell";

	for (char **word = p->program; word && *word; word++) {
		int r = set_option(p, exec, *word);

		if (r < 0)
			return r;
	}
	if (p->program)
		name_service(p->program[0], name);
	else if (is_given(p, "builtin"))
		name_service(get_given(p, "builtin"), name);
	else if (is_given(p, "redirect"))
		name_service("redirect", name);
	section = get_section(p);
	if (!section)
		return no_memory(p);
	section->title = strdup(name);
	return section->title ? 0 : no_memory(p);
}

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
static int finish_daemon(struct parser *p, bool adhoc)
{
	struct cmdline *cmdline = p->cmdline;
	const char *flag = cmdline->daemon ? "--daemon" : "--pid-file";

	if (!cmdline->daemon && !cmdline->pid_file)
		return 0;
	if (cmdline->mode != CMDLINE_SERVE)
		return usage(p, "%s and %s exclude each other", flag, mode_flag(cmdline->mode));
	if (cmdline->once)
		return usage(p, "%s and --once exclude each other", flag);
	if (adhoc)
		return usage(p, "%s is for services from a file, not for -l ADDRESS -- PROGRAM",
			flag);
	if (!cmdline->pid_file)
		cmdline->pid_file = CMDLINE_PID_FILE;
	return 0;
}

/* There is exactly one thing to serve. */
static int check_served(struct parser *p)
{
	static const char *const others[] = {"shell", "builtin", "redirect"};
	const char *found = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (!is_given(p, others[i]))
			continue;
		if (found)
			return usage(p, "--%s and --%s exclude each other", found, others[i]);
		found = others[i];
	}
	if (p->program && found)
		return usage(p, "--%s and a program after -- exclude each other", found);
	if (!p->program && !found)
		return usage(p, "no program; add -- PROGRAM, --shell 'COMMAND', --builtin NAME "
				"or --redirect ADDRESS");
	return 0;
}

/* A program of the command line has none unless it is asked for: there may be many. */
static int finish_control(struct parser *p, bool adhoc)
{
	struct cmdline *cmdline = p->cmdline;

	if (cmdline->mode != CMDLINE_SERVE)
		return cmdline->control_given ? usage(p, "--control and %s exclude each other",
							mode_flag(cmdline->mode))
		                              : 0;
	if (!cmdline->control_given && !adhoc)
		cmdline->control = CMDLINE_CONTROL;
	return 0;
}

static int finish_adhoc(struct parser *p)
{
	if (p->file)
		return usage(p, "-f serves a file and -l or -- a single program: choose one");
	if (p->program && !p->program[0])
		return usage(p, "the program after -- is missing");
	if (!is_given(p, "listen"))
		return usage(p, "no address; add -l PORT");
	if (check_served(p) < 0)
		return -EINVAL;
	if (p->cmdline->mode == CMDLINE_PLAN)
		return usage(p, "--plan is about a file: only files are reloaded");
	p->cmdline->adhoc = true;
	if (p->cmdline->mode == CMDLINE_SERVE)
		p->cmdline->mode = CMDLINE_ADHOC;
	return set_program(p);
}

static int finish(struct parser *p)
{
	struct cmdline *cmdline = p->cmdline;
	bool adhoc = p->program || is_given(p, "listen") || is_given(p, "shell") ||
	             is_given(p, "builtin") || is_given(p, "redirect");
	char flag[OPTION_FLAG_MAX];

	if (p->stop)
		return 0;
	if (cmdline->pid && cmdline->mode != CMDLINE_PLAN)
		return usage(p, "--pid is for --plan");
	if (cmdline->take_over && cmdline->mode != CMDLINE_SERVE)
		return usage(
			p, "--take-over and %s exclude each other", mode_flag(cmdline->mode));
	if (cmdline->certified && (adhoc || p->file))
		return usage(
			p, "--self-signed only writes a file; serve it by another command");
	if (finish_daemon(p, adhoc) < 0 || finish_control(p, adhoc) < 0)
		return -EINVAL;
	if (adhoc)
		return finish_adhoc(p);
	if (p->first_service_flag)
		return usage(p, "--%s is for -l ADDRESS -- PROGRAM; a file has its own options",
			conf_option_flag(conf_option_find(p->first_service_flag), flag));
	if (cmdline->once)
		return usage(p, "--once is for -l ADDRESS -- PROGRAM");
	if (p->file) {
		cmdline->file = p->file;
		cmdline->file_given = true;
	}
	return 0;
}

int cmdline_parse(int argc, char **argv, struct cmdline *ret, FILE *err)
{
	struct cmdline cmdline = {
		.mode = CMDLINE_SERVE,
		.file = CMDLINE_FILE,
		.image_fd = -1,
		.in_force_fd = -1,
		.secrets_fd = -1,
		.old_secrets_fd = -1,
		.loader_timeout = CMDLINE_LOADER_TIMEOUT,
	};
	struct parser p = {
		.cmdline = &cmdline, .err = err, .argc = argc, .argv = argv, .at = 1};
	int r = 0;

	raw_conf_init(&cmdline.raw);
	while (r == 0 && p.at < argc && !p.stop)
		r = parse_argument(&p);
	if (r == 0)
		r = finish(&p);
	if (r < 0) {
		cmdline_done(&cmdline);
		return r;
	}
	*ret = cmdline;
	return 0;
}

void cmdline_done(struct cmdline *cmdline)
{
	raw_conf_done(&cmdline->raw);
	cmdline->certified = strv_free(cmdline->certified);
}
