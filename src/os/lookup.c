#include "os/lookup.h"

#include "base/own.h"

#include <string.h>

_Static_assert(sizeof(struct lookup_answer) <= PIPE_BUF, "answers are never torn");
_Static_assert(
	sizeof(struct lookup_question) == sizeof(uint32_t) + 2 * sizeof(struct lookup_address) +
						  sizeof((struct lookup_question *)NULL)->name,
	"a question has no bytes that nobody sets");

static const char *const result_texts[_LOOKUP_RESULT_MAX] = {
	[LOOKUP_FOUND] = "found",
	[LOOKUP_NONE] = "there is none",
	[LOOKUP_MISMATCH] = "it does not lead back",
	[LOOKUP_FAILED] = "who was asked failed",
	[LOOKUP_LATE] = "nobody has answered in time",
	[LOOKUP_CROWDED] = "there are too many questions",
	[LOOKUP_FORGOTTEN] = "nobody wants to know any more",
};

const char *lookup_result_text(enum lookup_result result)
{
	return result_texts[result];
}

/* -------------------------------------------------------------------- questions */

void lookup_address_from(struct lookup_address *ret, const struct addr *addr)
{
	memset(ret, 0, sizeof *ret);
	if (addr_ip(addr, ret->ip) == 0)
		return;
	ret->family = (uint16_t)addr_family(addr);
	ret->port = (uint16_t)addr_port(addr);
	if (ret->family == AF_INET6)
		ret->scope = addr->in6.sin6_scope_id;
}

void lookup_address_to(const struct lookup_address *address, struct addr *ret)
{
	size_t len = address->family == AF_INET ? 4 : 16;

	addr_from_ip(ADDR_TCP, address->ip, len, address->port, ret);
	if (addr_family(ret) == AF_INET6)
		ret->in6.sin6_scope_id = address->scope;
}

static bool is_ip(const struct lookup_address *address)
{
	return address->family == AF_INET || address->family == AF_INET6;
}

/* IDENT asks about ports; they have to be there. */
static bool is_end(const struct lookup_address *address)
{
	return is_ip(address) && address->port != 0;
}

static int ask_ident(
	struct lookup_question *question, const struct addr *peer, const struct addr *local)
{
	lookup_address_from(&question->peer, peer);
	lookup_address_from(&question->local, local);
	if (!is_end(&question->peer) || !is_end(&question->local))
		return -EINVAL;
	return question->peer.family == question->local.family ? 0 : -EINVAL;
}

static int ask_name(struct lookup_question *question, const struct addr *peer)
{
	lookup_address_from(&question->peer, peer);
	question->peer.port = 0;
	return is_ip(&question->peer) ? 0 : -EINVAL;
}

int lookup_question_init(struct lookup_question *ret, enum lookup_what what,
	const struct addr *peer, const struct addr *local, const char *name)
{
	memset(ret, 0, sizeof *ret);
	ret->what = what;
	switch (what) {
	case LOOKUP_NAME_OF:
		return ask_name(ret, peer);
	case LOOKUP_ADDRESSES_OF:
		return hostname_read(name, ret->name);
	case LOOKUP_IDENT:
		return ask_ident(ret, peer, local);
	default:
		return -EINVAL;
	}
}

static bool is_sound_question(const struct lookup_question *question)
{
	switch (question->what) {
	case LOOKUP_NAME_OF:
		return is_ip(&question->peer);
	case LOOKUP_ADDRESSES_OF:
		return memchr(question->name, '\0', sizeof question->name) &&
		       hostname_is_plain(question->name);
	case LOOKUP_IDENT:
		return is_end(&question->peer) && is_end(&question->local) &&
		       question->peer.family == question->local.family;
	default:
		return false;
	}
}

/* ---------------------------------------------------------------- the master */

int lookup_send(const struct channel *channel, const struct lookup_request *request)
{
	return records_send(channel->requests, request, sizeof *request, NULL, 0);
}

static bool is_user(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return len > 0 && len <= LOOKUP_USER_MAX;
}

static bool are_addresses(const struct lookup_facts *facts)
{
	for (size_t i = 0; i < facts->n_addresses; i++)
		if (!is_ip(&facts->addresses[i]))
			return false;
	return facts->n_addresses > 0;
}

/* One kind of fact at most, and that of the question. */
static bool are_sound_facts(const struct lookup_facts *facts, uint32_t what)
{
	if (facts->result >= _LOOKUP_RESULT_MAX || facts->n_addresses > LOOKUP_ADDRESSES_MAX ||
		!memchr(facts->text, '\0', sizeof facts->text))
		return false;
	if (facts->result == LOOKUP_MISMATCH && what != LOOKUP_NAME_OF)
		return false;
	if (facts->result != LOOKUP_FOUND)
		return facts->n_addresses == 0 && facts->text[0] == '\0';
	if (what == LOOKUP_ADDRESSES_OF)
		return are_addresses(facts) && facts->text[0] == '\0';
	if (facts->n_addresses != 0)
		return false;
	return what == LOOKUP_NAME_OF ? hostname_is_plain(facts->text) : is_user(facts->text);
}

static bool is_sound(const struct lookup_answer *answer)
{
	if (answer->version != LOOKUP_VERSION || answer->kind == 0 ||
		answer->kind >= _LOOKUP_ANSWER_MAX)
		return false;
	if (answer->kind != LOOKUP_DONE)
		return true;
	return answer->what > 0 && answer->what < _LOOKUP_WHAT_MAX &&
	       are_sound_facts(&answer->facts, answer->what);
}

int lookup_receive(const struct channel *channel, struct lookup_answer *ret, size_t max)
{
	int n = records_receive(channel->answers, ret, sizeof *ret, max);

	for (int i = 0; i < n; i++)
		if (!is_sound(&ret[i]))
			return -EBADMSG;
	return n;
}

/* ---------------------------------------------------------------- the worker */

/* A descriptor that comes along, which no master of ours sends, is closed by the kernel:
 * there is no room for it. */
int lookup_take(int fd, struct lookup_request *ret)
{
	size_t n_fds;
	int r = records_take(fd, ret, sizeof *ret, NULL, 0, &n_fds);

	if (r < 0 && r != -EMFILE)
		return r;
	if (ret->version != LOOKUP_VERSION || ret->kind == 0 ||
		ret->kind >= _LOOKUP_REQUEST_MAX)
		return -EBADMSG;
	if (ret->kind == LOOKUP_ASK && !is_sound_question(&ret->question))
		return -EBADMSG;
	return 0;
}

int lookup_answer(int fd, const struct lookup_answer *answers, size_t n)
{
	return records_answer(fd, answers, sizeof *answers, n);
}
