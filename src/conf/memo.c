#include "conf/memo.h"

#include "base/own.h"

#include <string.h>

struct memo_answer {
	struct memo_answer *next;
	int answer;
	char *text; /* owned; NULL: none */
};

void memo_init(struct memo *memo)
{
	*memo = (struct memo){0};
	textmap_init(&memo->questions);
}

static struct memo_answer *answer_free(struct memo_answer *a)
{
	if (a)
		free(a->text);
	free(a);
	return NULL;
}

void memo_done(struct memo *memo)
{
	while (memo->answers) {
		struct memo_answer *next = memo->answers->next;

		answer_free(memo->answers);
		memo->answers = next;
	}
	textmap_done(&memo->questions);
}

bool memo_recall(const struct memo *memo, const char *question, int *ret, char **ret_text)
{
	const struct memo_answer *a = question ? textmap_get(&memo->questions, question) : NULL;

	if (!a)
		return false;
	*ret = a->answer;
	if (ret_text)
		*ret_text = a->text ? strdup(a->text) : NULL;
	return true;
}

void memo_remember(struct memo *memo, const char *question, int answer, const char *text)
{
	struct memo_answer *a = question ? calloc(1, sizeof *a) : NULL;

	if (!a)
		return;
	a->answer = answer;
	a->text = text ? strdup(text) : NULL;
	if ((text && !a->text) || textmap_add(&memo->questions, question, a) < 0) {
		answer_free(a);
		return;
	}
	a->next = memo->answers;
	memo->answers = a;
}
