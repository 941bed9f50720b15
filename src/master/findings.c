#include "master/findings.h"

#include "base/hostname.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct findings *findings_new(uint32_t generation)
{
	struct findings *findings = calloc(1, sizeof *findings);

	if (!findings)
		return NULL;
	findings->refs = 1;
	findings->generation = generation;
	return findings;
}

struct findings *findings_hold(struct findings *findings)
{
	if (findings)
		findings->refs++;
	return findings;
}

struct findings *findings_release(struct findings *findings)
{
	if (!findings || --findings->refs > 0)
		return NULL;
	free(findings->name);
	free(findings->user);
	free(findings->targets);
	free(findings);
	return NULL;
}

int findings_set_name(struct findings *findings, const char *text)
{
	char *name = strdup(text);

	if (!name)
		return -ENOMEM;
	free(findings->name);
	findings->name = name;
	findings->name_state = WRAPPERS_NAME_KNOWN;
	return 0;
}

int findings_set_user(struct findings *findings, const char *text)
{
	char *user = strndup(text, FINDINGS_USER_MAX);

	if (!user)
		return -ENOMEM;
	for (char *at = user; *at; at++)
		if (*at <= ' ' || *at >= 0x7f)
			*at = '?';
	free(findings->user);
	findings->user = user;
	findings->user_state = WRAPPERS_USER_SAID;
	return 0;
}

bool findings_match(const struct findings *findings, char *const *patterns)
{
	if (!findings || !findings->name)
		return false;
	for (; patterns && *patterns; patterns++)
		if (hostname_matches(findings->name, *patterns))
			return true;
	return false;
}
