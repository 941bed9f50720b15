/*
 * outcome: how a child ended, in words.
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_OUTCOME_H
#define HATCHD_POLICY_OUTCOME_H

#include <stdbool.h>

/* What waitid(2) said. */
struct outcome {
	bool killed; /* ended by a signal, not by exit */
	bool core;   /* and left a core file */
	int status;  /* exit status, or number of the signal */
};

#define OUTCOME_TEXT_MAX 64

/* From si_code and si_status of waitid(2). */
struct outcome outcome_from_wait(int code, int status);

/* "exit 0", "signal 9 (KILL)", "signal 11 (SEGV), core dumped".  Returns buf. */
const char *outcome_format(const struct outcome *outcome, char buf[OUTCOME_TEXT_MAX]);

/* The stable word of RESULT= in the record: "exit", "signal", "core". */
const char *outcome_result(const struct outcome *outcome);

/* As a shell would report it: the exit status, or 128 + signal. */
int outcome_shell_status(const struct outcome *outcome);

#endif
