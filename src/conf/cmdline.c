#include "conf/cmdline-internal.h"

#include "base/strv.h"
#include "base/text.h"
#include "conf/build.h"

#include <stdarg.h>
#include <string.h>

/* Everything on a command line stands in one place. */
static const struct origin origin = {.file = COMMAND_LINE, .width = 1};

int cmdline_usage(const struct cmdline_parser *p, const char *format, ...)
{
	va_list ap;

	fputs("hatchd: ", p->err);
	va_start(ap, format);
	vfprintf(p->err, format, ap);
	va_end(ap);
	fputs("\nTry 'hatchd --help'.\n", p->err);
	return -EINVAL;
}

int cmdline_no_memory(const struct cmdline_parser *p)
{
	fputs("hatchd: out of memory\n", p->err);
	return -ENOMEM;
}

/*
 * Options of the service.
 */

/* The one section that a command line makes. */
static struct raw_section *get_section(struct cmdline_parser *p)
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

int cmdline_set_option(
	struct cmdline_parser *p, const struct conf_option *option, const char *value)
{
	struct raw_section *section = get_section(p);
	struct raw_assign *assign = section ? find_assign(section, option) : NULL;
	char flag[OPTION_FLAG_MAX];

	if (!assign)
		return cmdline_no_memory(p);
	if (assign->n_values > 0 && !conf_option_is_list(option))
		return cmdline_usage(p, "--%s is given twice", conf_option_flag(option, flag));
	return raw_add_value(assign, value, &origin) ? 0 : cmdline_no_memory(p);
}

const char *cmdline_get_given(const struct cmdline_parser *p, const char *option)
{
	const struct raw_conf *raw = &p->cmdline->raw;

	for (size_t i = 0; raw->n_sections > 0 && i < raw->sections->n_assigns; i++) {
		const struct raw_assign *assign = &raw->sections->assigns[i];

		if (strcmp(assign->option->name, option) == 0)
			return assign->values[0].text;
	}
	return NULL;
}

bool cmdline_is_given(const struct cmdline_parser *p, const char *option)
{
	return cmdline_get_given(p, option);
}

/*
 * One argument after the other.
 */

/* The next argument as the value of `flag`, or NULL after a message. */
static const char *take_value(struct cmdline_parser *p, const char *flag)
{
	if (p->at < p->argc)
		return p->argv[p->at++];
	cmdline_usage(p, "%s needs a value", flag);
	return NULL;
}

static int parse_daemon_flag(
	struct cmdline_parser *p, const struct cmdline_flag *flag, const char *value)
{
	char name[CMDLINE_NAME_MAX + 3];

	snprintf(name, sizeof name, "--%s", flag->name);
	if (value && !flag->metavar)
		return cmdline_usage(p, "%s takes no value", name);
	if (!value && flag->metavar) {
		value = take_value(p, name);
		if (!value)
			return -EINVAL;
	}
	return cmdline_set_flag(p, flag->id, value);
}

static int parse_service_flag(
	struct cmdline_parser *p, const struct conf_option *option, const char *value)
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
	return cmdline_set_option(p, option, value);
}

static int unknown_flag(struct cmdline_parser *p, const char *name)
{
	char near[CMDLINE_NAME_MAX], shown[DIAG_SHOWN_MAX];

	diag_shown(name, strlen(name), shown);
	if (cmdline_flag_nearest(name, near))
		return cmdline_usage(
			p, "unknown flag '--%s'; did you mean '--%s'?", shown, near);
	return cmdline_usage(p, "unknown flag '--%s'", shown);
}

/* --NAME, --NAME=VALUE or --NAME VALUE */
static int parse_long(struct cmdline_parser *p, const char *text)
{
	const char *equal = strchr(text, '='), *value = equal ? equal + 1 : NULL;
	_cleanup_free_ char *name = strndup(text, strcspn(text, "="));
	const struct cmdline_flag *flag;
	const struct conf_option *option;

	if (!name)
		return cmdline_no_memory(p);
	flag = cmdline_flag_find(name);
	if (flag)
		return parse_daemon_flag(p, flag, value);
	option = cmdline_option_find(name);
	if (option)
		return parse_service_flag(p, option, value);
	return unknown_flag(p, name);
}

/* -v, -vv, -f FILE, -fFILE */
static int parse_short(struct cmdline_parser *p, const char *text)
{
	for (; *text && !p->stop; text++) {
		const struct cmdline_flag *flag = cmdline_flag_find_letter(*text);
		const char letter[3] = {'-', *text, '\0'};
		const char *value = NULL;
		int r;

		if (!flag && *text > ' ' && *text < 0x7f)
			return cmdline_usage(p, "unknown flag '%s'", letter);
		if (!flag)
			return cmdline_usage(p, "unknown flag");
		if (flag->metavar) {
			value = text[1] ? text + 1 : take_value(p, letter);
			if (!value)
				return -EINVAL;
		}
		r = cmdline_set_flag(p, flag->id, value);
		if (r < 0 || flag->metavar)
			return r;
	}
	return 0;
}

/* A word where none belongs. */
static int unexpected(struct cmdline_parser *p, const char *text, const char *yes_flag)
{
	char shown[DIAG_SHOWN_MAX];
	bool yes;

	diag_shown(text, strlen(text), shown);
	if (yes_flag && text_parse_bool(text, &yes) == 0)
		return cmdline_usage(
			p, "%s takes its value with '=': %s=%s", yes_flag, yes_flag, text);
	if (cmdline_is_given(p, "listen"))
		return cmdline_usage(p, "put -- before the program: -- %s ...", shown);
	return cmdline_usage(p,
		"unexpected '%s': a program stands after --, a configuration file after -f",
		shown);
}

static int parse_argument(struct cmdline_parser *p)
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
 * The program.
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

static int set_program(struct cmdline_parser *p)
{
	const struct conf_option *exec = conf_option_find("exec");
	struct raw_section *section;
	char name[SERVICE_NAME_MAX + 1] = "shell";

	for (char **word = p->program; word && *word; word++) {
		int r = cmdline_set_option(p, exec, *word);

		if (r < 0)
			return r;
	}
	if (p->program)
		name_service(p->program[0], name);
	else if (cmdline_is_given(p, "builtin"))
		name_service(cmdline_get_given(p, "builtin"), name);
	else if (cmdline_is_given(p, "redirect"))
		name_service("redirect", name);
	section = get_section(p);
	if (!section)
		return cmdline_no_memory(p);
	section->title = strdup(name);
	return section->title ? 0 : cmdline_no_memory(p);
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
	struct cmdline_parser p = {
		.cmdline = &cmdline, .err = err, .argc = argc, .argv = argv, .at = 1};
	int r = 0;

	raw_conf_init(&cmdline.raw);
	while (r == 0 && p.at < argc && !p.stop)
		r = parse_argument(&p);
	if (r == 0)
		r = cmdline_judge(&p);
	if (r == 0 && cmdline.adhoc)
		r = set_program(&p);
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
