#include "workers/builtin/post.h"

#include "base/addr.h"
#include "base/clock.h"
#include "policy/access.h"
#include "workers/endpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct post {
	struct datagrams *datagrams;
	uint8_t *rules; /* owned; NULL: there are none */
	bool draws;     /* what it answers is left to chance */
};

/* One for all: it is used within a call. */
static struct datagrams_room *room;

static bool may_be_answered(void *userdata, const struct sockaddr *from, socklen_t from_len,
	const struct sockaddr *to, socklen_t to_len)
{
	const struct post *post = userdata;
	struct access_peer peer = {0};
	struct endpoint endpoint;
	struct addr addr;

	(void)to;
	(void)to_len;
	if (!endpoint_from_sockaddr(from, from_len, &endpoint))
		return false;
	/* Of IPv4 where it is mapped; the interface of a link-local one makes no difference. */
	addr_from_ip(ADDR_UDP, &endpoint.ip, sizeof endpoint.ip, endpoint.port, &addr);
	addr_source(&addr, 32, 128, &peer.who);
	return access_ask(post->rules, &peer).verdict == ACCESS_OK;
}

static int copy_rules(struct post *post, const struct post_setup *setup)
{
	int r;

	if (setup->rules_len == 0)
		return 0;
	r = access_check(setup->rules, setup->rules_len);
	if (r < 0)
		return r;
	post->rules = malloc(setup->rules_len);
	if (!post->rules)
		return -ENOMEM;
	memcpy(post->rules, setup->rules, setup->rules_len);
	return 0;
}

static int begin(struct post *post, const struct post_setup *setup, int fd)
{
	struct datagrams_setup datagrams = {
		.kind = setup->kind,
		.text = setup->text,
		.text_len = setup->text_len,
		.userdata = post,
	};
	int r = copy_rules(post, setup);

	if (r < 0)
		return r;
	if (post->rules)
		datagrams.admit = may_be_answered;
	post->draws = setup->kind == BUILTIN_CHARGEN || setup->kind == BUILTIN_QOTD;
	if (!room)
		room = datagrams_room_new();
	return room ? datagrams_new(&datagrams, fd, &post->datagrams) : -ENOMEM;
}

int post_new(const struct post_setup *setup, int fd, struct post **ret)
{
	struct post *post = calloc(1, sizeof *post);
	int r = post ? begin(post, setup, fd) : -ENOMEM;

	if (r < 0) {
		if (post)
			free(post->rules);
		free(post);
		return r;
	}
	*ret = post;
	return 0;
}

struct post *post_free(struct post *post)
{
	if (post) {
		datagrams_free(post->datagrams);
		free(post->rules);
	}
	free(post);
	return NULL;
}

bool post_go(struct post *post)
{
	struct datagrams_moment moment = {.wall = clock_wall().tv_sec};

	if (post->draws)
		(void)!getrandom(&moment.random, sizeof moment.random, GRND_NONBLOCK);
	return datagrams_go(post->datagrams, room, &moment) >= 0;
}

int post_fd(const struct post *post)
{
	return datagrams_fd(post->datagrams);
}

const struct datagrams_counts *post_counts(const struct post *post)
{
	return datagrams_counts(post->datagrams);
}
