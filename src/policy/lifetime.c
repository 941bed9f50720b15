#include "policy/lifetime.h"

#include <stddef.h>

/* The kernel counts in ticks, up to 10 ms each: asked sooner, it may say the same. */
#define ASK_AGAIN_MIN UINT64_C(20000)

/* Who cannot be told now is asked again. */
#define ASK_AGAIN_UNKNOWN UINT64_C(1000000)

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t after(uint64_t when, uint64_t duration)
{
	return duration > LIFETIME_NEVER - when ? LIFETIME_NEVER : when + duration;
}

void lifetime_begin(
	struct lifetime *life, const struct lifetime_limits *limits, bool watched, uint64_t now)
{
	uint64_t patience = earlier(limits->first_byte_timeout, limits->idle_timeout);

	*life = (struct lifetime){
		.born = now,
		.ask_at = watched ? after(now, patience) : LIFETIME_NEVER,
	};
}

void lifetime_await_ready(struct lifetime *life, uint64_t timeout, uint64_t now)
{
	life->ready_by = after(now, timeout);
}

void lifetime_extend(struct lifetime *life, uint64_t until)
{
	if (life->ready_by != 0 && until > life->ready_by)
		life->ready_by = until;
}

void lifetime_ready(struct lifetime *life)
{
	life->ready_by = 0;
}

static uint64_t ready_due(const struct lifetime *life)
{
	return life->ready_by != 0 ? life->ready_by : LIFETIME_NEVER;
}

uint64_t lifetime_due(const struct lifetime *life, const struct lifetime_limits *limits)
{
	uint64_t due = earlier(ready_due(life), life->ask_at);

	if (life->killed)
		return LIFETIME_NEVER;
	if (life->reason != LIFETIME_UNLIMITED)
		return after(life->told, limits->kill_after);
	return earlier(after(life->born, limits->time_limit), due);
}

static enum lifetime_act tell(struct lifetime *life, enum lifetime_reason reason, uint64_t now)
{
	life->reason = reason;
	life->told = now;
	return LIFETIME_TERM;
}

enum lifetime_act lifetime_act(
	struct lifetime *life, const struct lifetime_limits *limits, uint64_t now)
{
	if (now < lifetime_due(life, limits) || life->killed)
		return LIFETIME_REST;
	if (life->reason != LIFETIME_UNLIMITED) {
		life->killed = true;
		return LIFETIME_KILL;
	}
	if (now >= after(life->born, limits->time_limit))
		return tell(life, LIFETIME_TIME_LIMIT, now);
	if (now >= ready_due(life))
		return tell(life, LIFETIME_READY, now);
	return LIFETIME_ASK;
}

/* It may have waited for long in the queue, where nobody was there to answer. */
static uint64_t silent_for(
	const struct lifetime *life, const struct lifetime_facts *facts, uint64_t now)
{
	return earlier(facts->silent, now - life->born);
}

static enum lifetime_act judge(struct lifetime *life, const struct lifetime_limits *limits,
	const struct lifetime_facts *facts, uint64_t now)
{
	uint64_t first_due = after(life->born, limits->first_byte_timeout);
	uint64_t idle_due = after(now - silent_for(life, facts, now), limits->idle_timeout);

	life->heard = life->heard || facts->heard;
	if (!life->heard && now >= first_due)
		return tell(life, LIFETIME_FIRST_BYTE, now);
	if (now >= idle_due)
		return tell(life, LIFETIME_IDLE, now);
	life->ask_at = life->heard ? idle_due : earlier(first_due, idle_due);
	if (life->ask_at < now + ASK_AGAIN_MIN)
		life->ask_at = now + ASK_AGAIN_MIN;
	return LIFETIME_REST;
}

enum lifetime_act lifetime_answer(struct lifetime *life, const struct lifetime_limits *limits,
	const struct lifetime_facts *facts, uint64_t now)
{
	/* An answer that comes when it does not matter any more. */
	if (life->reason != LIFETIME_UNLIMITED)
		return LIFETIME_REST;
	switch (facts->state) {
	case LIFETIME_OPEN:
		return judge(life, limits, facts, now);
	case LIFETIME_CLOSED:
		life->ask_at = LIFETIME_NEVER;
		return LIFETIME_REST;
	default:
		life->ask_at = now + ASK_AGAIN_UNKNOWN;
		return LIFETIME_REST;
	}
}

bool lifetime_end(struct lifetime *life, enum lifetime_reason reason, uint64_t now)
{
	if (life->reason != LIFETIME_UNLIMITED)
		return false;
	tell(life, reason, now);
	return true;
}

const char *lifetime_reason(enum lifetime_reason reason)
{
	static const char *const words[_LIFETIME_REASON_MAX] = {
		[LIFETIME_TIME_LIMIT] = "time_limit",
		[LIFETIME_FIRST_BYTE] = "first_byte_timeout",
		[LIFETIME_IDLE] = "idle_timeout",
		[LIFETIME_KILLED] = "killed",
		[LIFETIME_READY] = "ready_timeout",
	};

	return reason < _LIFETIME_REASON_MAX ? words[reason] : NULL;
}
