/*
 * memo: what the machine has answered, remembered while one configuration is
 * built.
 *
 * Thousands of services ask the same about a few programs and directories.
 * Each question is put to the file system once, and all get the same answer.
 * A memo that finds no memory forgets: then the question is put again.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_MEMO_H
#define HATCHD_CONF_MEMO_H

#include "conf/textmap.h"

#include <stdbool.h>

struct memo_answer;

struct memo {
	struct textmap questions;    /* to struct memo_answer */
	struct memo_answer *answers; /* owned list, latest first */
};

void memo_init(struct memo *memo);
void memo_done(struct memo *memo);

/*
 * False if the question is new, or NULL.  Else *ret is the answer, and
 * *ret_text, if ret_text is not NULL, a fresh copy of its text; NULL if it has
 * none (or without memory).
 */
bool memo_recall(const struct memo *memo, const char *question, int *ret, char **ret_text);

/* Copies both texts; `question` and `text` may be NULL. */
void memo_remember(struct memo *memo, const char *question, int answer, const char *text);

#endif
