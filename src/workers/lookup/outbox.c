#include "workers/lookup/outbox.h"

#include "base/own.h"

/* Besides one for each question: READY, and PONG. */
#define OTHERS 2

int outbox_init(struct outbox *outbox, uint32_t places)
{
	*outbox = (struct outbox){.room = places + OTHERS};
	outbox->ring = calloc(outbox->room, sizeof *outbox->ring);
	return outbox->ring ? 0 : -ENOMEM;
}

void outbox_done(struct outbox *outbox)
{
	free(outbox->ring);
	*outbox = (struct outbox){0};
}

int outbox_add(struct outbox *outbox, const struct lookup_answer *answer)
{
	if (outbox->n == outbox->room)
		return -EPROTO;
	outbox->ring[(outbox->first + outbox->n++) % outbox->room] = *answer;
	return 0;
}

/* Those at the head of the ring that lie side by side and go into one write. */
static uint32_t how_many_at_once(const struct outbox *outbox)
{
	uint32_t n = outbox->room - outbox->first;

	if (n > outbox->n)
		n = outbox->n;
	return n < LOOKUP_ANSWERS_MAX ? n : LOOKUP_ANSWERS_MAX;
}

int outbox_send(struct outbox *outbox)
{
	while (outbox->n > 0) {
		uint32_t n = how_many_at_once(outbox);
		int r = outbox->orphan ? 0
		                       : lookup_answer(CHANNEL_ANSWERS_FD,
						 &outbox->ring[outbox->first], n);

		if (r == -EPIPE)
			outbox->orphan = true;
		else if (r < 0)
			return r;
		outbox->first = (outbox->first + n) % outbox->room;
		outbox->n -= n;
	}
	/* Most times it is its first bytes that are used, and no others. */
	outbox->first = 0;
	return 0;
}
