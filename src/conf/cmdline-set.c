#include "conf/cmdline-internal.h"

#include "base/strv.h"
#include "base/text.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static int set_mode(struct cmdline_parser *p, enum cmdline_mode mode)
{
	if (p->cmdline->mode != CMDLINE_SERVE && p->cmdline->mode != mode)
		return cmdline_usage(p,
			"--check, --print-config, --plan, --explain and --self-signed "
			"exclude one another");
	p->cmdline->mode = mode;
	return 0;
}

static int set_last_mode(struct cmdline_parser *p, enum cmdline_mode mode)
{
	p->cmdline->mode = mode;
	p->stop = true;
	return 0;
}

static int set_file(struct cmdline_parser *p, const char *value)
{
	if (p->file)
		return cmdline_usage(p, "-f is given twice; a file can include others");
	if (value[0] == '\0')
		return cmdline_usage(p, "-f: the name of the file is empty");
	p->file = value;
	return 0;
}

static int set_pid_file(struct cmdline_parser *p, const char *value)
{
	if (p->cmdline->pid_file)
		return cmdline_usage(p, "--pid-file is given twice");
	if (value[0] != '/' || value[strlen(value) - 1] == '/')
		return cmdline_usage(
			p, "--pid-file: '%s' is not the full path of a file", value);
	p->cmdline->pid_file = value;
	return 0;
}

static int set_socket(struct cmdline_parser *p, const char *flag, const char *others,
	const char *value, const char **ret)
{
	const size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	const size_t len = strlen(value);

	if (value[0] != '/' || value[len - 1] == '/')
		return cmdline_usage(p, "--%s: '%s' is not the full path of a socket%s", flag,
			value, others);
	if (len > max)
		return cmdline_usage(p,
			"--%s: the path has %zu bytes; sockets have room for %zu", flag, len,
			max);
	*ret = value;
	return 0;
}

static int set_control(struct cmdline_parser *p, const char *value)
{
	if (p->cmdline->control_given)
		return cmdline_usage(p, "--control is given twice");
	p->cmdline->control_given = true;
	if (strcmp(value, "none") == 0)
		return 0;
	return set_socket(p, "control", ", or none", value, &p->cmdline->control);
}

static int set_take_over(struct cmdline_parser *p, const char *value)
{
	if (p->cmdline->take_over)
		return cmdline_usage(p, "--take-over is given twice");
	return set_socket(p, "take-over", "", value, &p->cmdline->take_over);
}

static int set_spawn(struct cmdline_parser *p, const char *value)
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
	return cmdline_usage(p, "--spawn: '%s' is not auto, shared or private", value);
}

static int set_pid(struct cmdline_parser *p, const char *value)
{
	uint32_t pid;

	if (text_parse_u32(value, &pid) < 0 || pid == 0 || pid > INT32_MAX)
		return cmdline_usage(p, "--pid=%s: not the number of a process", value);
	p->cmdline->pid = (pid_t)pid;
	return 0;
}

/* For flags that are not for people. */
static int set_number(struct cmdline_parser *p, const char *flag, const char *value, int *ret)
{
	uint32_t number;

	if (text_parse_u32(value, &number) < 0 || number > INT32_MAX)
		return cmdline_usage(p, "--%s=%s: not a number that will do", flag, value);
	*ret = (int)number;
	return 0;
}

/* It is followed by another word. */
static int set_explain(struct cmdline_parser *p, const char *service)
{
	if (p->cmdline->explain_service)
		return cmdline_usage(p, "--explain is given twice");
	if (p->at >= p->argc || p->argv[p->at][0] == '-')
		return cmdline_usage(
			p, "--explain needs a service and the address of a client");
	p->cmdline->explain_service = service;
	p->cmdline->explain_address = p->argv[p->at++];
	return set_mode(p, CMDLINE_EXPLAIN);
}

/* It is followed by more of them. */
static int set_self_signed(struct cmdline_parser *p, const char *name)
{
	struct cmdline *cmdline = p->cmdline;

	if (cmdline->certified)
		return cmdline_usage(p, "--self-signed is given twice; it takes several names");
	if (strv_add(&cmdline->certified, name) < 0)
		return cmdline_no_memory(p);
	while (p->at < p->argc && p->argv[p->at][0] != '-')
		if (strv_add(&cmdline->certified, p->argv[p->at++]) < 0)
			return cmdline_no_memory(p);
	return set_mode(p, CMDLINE_SELF_SIGNED);
}

int cmdline_set_flag(struct cmdline_parser *p, enum cmdline_flag_id id, const char *value)
{
	switch (id) {
	case FLAG_LISTEN:
		return cmdline_set_option(p, conf_option_find("listen"), value);
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
