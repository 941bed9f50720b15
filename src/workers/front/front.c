#include "workers/front/front.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "workers/front/front_internal.h"

#include <sys/epoll.h>
#include <sys/socket.h>

/* Steps in one go, so that a client who sends byte by byte holds up nobody: enough for the
 * longest header in few pieces. */
#define STEPS_MAX 32

/* After that time an offer that nobody had room for is made again. */
#define OFFER_AGAIN (100 * USEC_PER_MSEC)

#define READ_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)

/* That he is gone, once; not that he has ended, which he may. */
#define ERROR_EVENTS (EPOLLERR | EPOLLET)

/* A session has one, and 5,000 wait at a time. */
_Static_assert(sizeof(struct front) <= 160, "it has grown");

/* ------------------------------------------------------------------ how it goes on */

static bool is_over(const struct front *front)
{
	return front->step == FRONT_IS_OVER;
}

bool front_finish(struct front *front, enum channel_result result)
{
	front->result = result;
	front->step = FRONT_IS_OVER;
	front->due = USEC_INFINITY;
	front->stopped = 0;
	return false;
}

bool front_fail(struct front *front, int error)
{
	return front_finish(front, error == -ENOMEM ? CHANNEL_REFUSED : CHANNEL_RESET);
}

bool front_refuse(struct front *front, const char *why, enum channel_result result)
{
	front->step = FRONT_AT_REFUSAL;
	front->why = why;
	front->result = result;
	return true;
}

bool front_after_header(struct front *front)
{
	front->step = FRONT_AT_BANNER;
	return true;
}

static bool asks(const struct front *front)
{
	const struct words *words = front->words;

	return front->what & (FRONT_ASK | FRONT_MUX) ||
	       (words && (words->text.success.len > 0 || words->text.fail.len > 0));
}

bool front_after_banner(struct front *front)
{
	if (front->what & FRONT_MUX)
		front->step = FRONT_AT_NAME;
	else if (asks(front))
		front->step = FRONT_AT_OFFER;
	else
		return front_finish(front, CHANNEL_PASSED);
	return true;
}

bool front_after_name(struct front *front)
{
	front->step = FRONT_AT_OFFER;
	return true;
}

/* ------------------------------------------------------------------------ the steps */

static bool write_banner(struct front *front)
{
	bool all, on = front_say(front, &all);

	return all ? front_after_banner(front) : on;
}

static bool write_welcome(struct front *front)
{
	bool all, on = front_say(front, &all);

	return all ? front_finish(front, CHANNEL_PASSED) : on;
}

/* Closing would not say it while others have the socket too. */
static bool end_our_side(struct front *front)
{
	shutdown(front->fd, SHUT_WR);
	front->step = FRONT_AT_END;
	front->due = front->now + FRONT_LINGER_TIME;
	return true;
}

static bool write_last(struct front *front)
{
	uint64_t before = front->out;
	bool all, on = front_say(front, &all);

	if (!all)
		return on;
	/* Nothing that has to reach him. */
	if (front->out == before && front->step == FRONT_AT_REFUSAL)
		return front_finish(front, front->result);
	return end_our_side(front);
}

static bool wait_for_offer(struct front *front)
{
	front->due = front->now + OFFER_AGAIN;
	return false;
}

static bool wait_for_verdict(struct front *front)
{
	(void)front;
	return false;
}

static bool (*const steps[_FRONT_STEP_MAX])(struct front *front) = {
	[FRONT_AT_PRESENCE] = front_see_presence,
	[FRONT_AT_HEADER] = front_read_header,
	[FRONT_AT_BANNER] = write_banner,
	[FRONT_AT_NAME] = front_read_name,
	[FRONT_AT_OFFER] = wait_for_offer,
	[FRONT_AT_VERDICT] = wait_for_verdict,
	[FRONT_AT_WELCOME] = write_welcome,
	[FRONT_AT_LIST] = write_last,
	[FRONT_AT_REFUSAL] = write_last,
	[FRONT_AT_END] = front_discard,
};

/* Unless he has been told everything: then it has ended as it has. */
static bool give_up(struct front *front, enum channel_result result)
{
	return front_finish(front, front->step == FRONT_AT_END ? front->result : result);
}

/* What is there is looked at before it is too late. */
static bool advance(struct front *front, uint64_t now)
{
	bool on = true;

	front->now = now;
	for (int i = 0; i < STEPS_MAX && on; i++)
		on = steps[front->step](front);
	front->stopped = on ? now : 0;
	if (!is_over(front) && now >= front->due)
		give_up(front, CHANNEL_SILENT);
	return !is_over(front);
}

/* ------------------------------------------------------------------------- interface */

static enum front_step first_step(const struct front_setup *setup)
{
	if (setup->what & FRONT_DENIED)
		return FRONT_AT_REFUSAL;
	if (!(setup->what & FRONT_PROXY))
		return FRONT_AT_BANNER;
	return setup->what & FRONT_PROXY_OPTIONAL ? FRONT_AT_PRESENCE : FRONT_AT_HEADER;
}

static uint64_t end_of_patience(uint64_t patience, uint64_t now)
{
	return patience == 0 || now > USEC_INFINITY - patience ? USEC_INFINITY : now + patience;
}

int front_new(const struct front_setup *setup, int fd, struct front **ret)
{
	struct front *front = calloc(1, sizeof *front);

	if (!front)
		return -ENOMEM;
	front->fd = fd;
	front->what = setup->what;
	front->words = setup->words;
	front->step = first_step(setup);
	front->result = CHANNEL_FINISHED;
	front->patience = setup->patience;
	front->due = end_of_patience(setup->patience, setup->now);
	*ret = front;
	return 0;
}

struct front *front_free(struct front *front)
{
	if (!front)
		return NULL;
	fd_close(front->fd);
	words_put(front->words);
	free(front->proxy);
	free(front->mux);
	free(front->facts);
	free(front);
	return NULL;
}

bool front_go(struct front *front, uint32_t events, uint64_t now)
{
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		front->ended = true;
	if (is_over(front))
		return false;
	if (events & EPOLLERR)
		return give_up(front, CHANNEL_RESET);
	return advance(front, now);
}

bool front_offer(struct front *front, struct channel_facts *ret)
{
	if (front->step != FRONT_AT_OFFER)
		return false;
	front->step = FRONT_AT_VERDICT;
	front->due = USEC_INFINITY;
	front_facts(front, ret);
	return true;
}

static const char *refusal_text(enum channel_verdict verdict)
{
	switch (verdict) {
	case CHANNEL_BUSY:
		return "try again later";
	case CHANNEL_NO_SERVICE:
		return "no such service";
	default:
		return "not allowed";
	}
}

bool front_verdict(struct front *front, enum channel_verdict verdict, bool plus, uint64_t now)
{
	if (front->step != FRONT_AT_VERDICT)
		return !is_over(front);
	front->due = end_of_patience(front->patience, now);
	front->plus = plus;
	if (verdict == CHANNEL_ADMITTED)
		front->step = FRONT_AT_WELCOME;
	else
		front_refuse(front, front->what & FRONT_MUX ? refusal_text(verdict) : NULL,
			CHANNEL_FINISHED);
	return advance(front, now);
}

void front_abort(struct front *front)
{
	if (!is_over(front))
		front_finish(front, CHANNEL_ENDED);
}

uint32_t front_events(const struct front *front)
{
	switch (front->step) {
	case FRONT_AT_PRESENCE:
	case FRONT_AT_HEADER:
	case FRONT_AT_NAME:
	case FRONT_AT_END:
		return READ_EVENTS;
	case FRONT_AT_OFFER:
	case FRONT_AT_VERDICT:
		return ERROR_EVENTS;
	case FRONT_IS_OVER:
		return 0;
	default:
		return EPOLLOUT;
	}
}

uint64_t front_due(const struct front *front)
{
	return front->stopped != 0 ? front->stopped : front->due;
}

enum channel_result front_result(const struct front *front)
{
	return front->result;
}

void front_facts(const struct front *front, struct channel_facts *ret)
{
	static const struct channel_facts nothing;

	*ret = front->facts ? *front->facts : nothing;
}

int front_fd(const struct front *front)
{
	return front->fd;
}

uint64_t front_bytes_in(const struct front *front)
{
	return front->in;
}

uint64_t front_bytes_out(const struct front *front)
{
	return front->out;
}
