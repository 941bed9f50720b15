/* Its older interface is used, which the library of every supported system has; newer ones
 * call parts of it deprecated. */
#define CARES_NO_DEPRECATED

#include "workers/lookup/names.h"

#include "base/clock.h"
#include "base/own.h"
#include "workers/lookup/cache.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>

/* Addresses of one name that are looked at: of a longer list those at its end are nobody's. */
#define ANSWERS_MAX 64

/* "f.e." for each half byte of an IPv6 address, and what it ends in. */
#define REVERSE_MAX (32 * 2 + sizeof "ip6.arpa")

enum lane_step {
	LANE_IDLE,         /* nothing is asked, or it is over */
	LANE_AT_NAMES,     /* PTR was asked for */
	LANE_AT_PROOF,     /* A or AAAA of names[at] was */
	LANE_AT_ADDRESSES, /* A and AAAA were */
};

struct lane {
	struct lane_setup setup;
	ares_channel channel;

	enum lane_step step;
	struct lookup_question question;
	/* What has come: noted by what c-ares calls, and acted upon when it has returned. */
	bool arrived;
	int status;
	struct lookup_address answers[ANSWERS_MAX];
	size_t n_answers;
	uint32_t answers_ttl;

	char names[NAMES_TRIED][HOSTNAME_ROOM];
	size_t n_names, at;
	bool failed; /* one of them could not be looked up */

	struct lookup_facts facts;
	uint32_t ttl;
};

/* --------------------------------------------------------------------- its end */

static void finish(struct lane *lane, enum lookup_result result, uint32_t ttl)
{
	lane->facts.result = (uint16_t)result;
	lane->ttl = ttl;
	lane->step = LANE_IDLE;
}

static void finish_with_name(struct lane *lane, const char *name, uint32_t ttl)
{
	memcpy(lane->facts.text, name, strlen(name) + 1);
	finish(lane, LOOKUP_FOUND, ttl);
}

/* That there is none, in the words of c-ares; all else is a failure. */
static bool is_none(int status)
{
	return status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_ENONAME;
}

static void finish_without(struct lane *lane, int status)
{
	finish(lane, is_none(status) ? LOOKUP_NONE : LOOKUP_FAILED, CACHE_TTL_NONE);
}

/* --------------------------------------------------------- what has come is noted */

static void arrive(struct lane *lane, int status)
{
	lane->status = status;
	lane->arrived = true;
}

static void add_answer(struct lane *lane, int family, const void *ip, size_t len, int ttl)
{
	struct lookup_address *answer = &lane->answers[lane->n_answers];

	if (lane->n_answers == ANSWERS_MAX)
		return;
	memset(answer, 0, sizeof *answer);
	answer->family = (uint16_t)family;
	memcpy(answer->ip, ip, len);
	lane->n_answers++;
	if (ttl >= 0 && (uint32_t)ttl < lane->answers_ttl)
		lane->answers_ttl = (uint32_t)ttl;
}

static void note_names(struct lane *lane, const struct hostent *host)
{
	for (char **name = host->h_aliases; *name && lane->n_names < NAMES_TRIED; name++)
		if (hostname_read(*name, lane->names[lane->n_names]) == 0)
			lane->n_names++;
}

static void names_came(void *arg, int status, int timeouts, unsigned char *text, int len)
{
	struct lane *lane = arg;
	const struct lookup_address *peer = &lane->question.peer;
	struct hostent *host = NULL;

	(void)timeouts;
	if (status == ARES_SUCCESS)
		status = ares_parse_ptr_reply(text, len, peer->ip,
			peer->family == AF_INET ? 4 : 16, peer->family, &host);
	if (status == ARES_SUCCESS) {
		note_names(lane, host);
		ares_free_hostent(host);
	}
	arrive(lane, status);
}

static int note_ipv4(struct lane *lane, const unsigned char *text, int len)
{
	struct ares_addrttl found[ANSWERS_MAX];
	int n = ANSWERS_MAX, status = ares_parse_a_reply(text, len, NULL, found, &n);

	for (int i = 0; status == ARES_SUCCESS && i < n; i++)
		add_answer(lane, AF_INET, &found[i].ipaddr, 4, found[i].ttl);
	return status;
}

static int note_ipv6(struct lane *lane, const unsigned char *text, int len)
{
	struct ares_addr6ttl found[ANSWERS_MAX];
	int n = ANSWERS_MAX, status = ares_parse_aaaa_reply(text, len, NULL, found, &n);

	for (int i = 0; status == ARES_SUCCESS && i < n; i++)
		add_answer(lane, AF_INET6, &found[i].ip6addr, 16, found[i].ttl);
	return status;
}

static void proof_came(void *arg, int status, int timeouts, unsigned char *text, int len)
{
	struct lane *lane = arg;

	(void)timeouts;
	if (status == ARES_SUCCESS)
		status = lane->question.peer.family == AF_INET ? note_ipv4(lane, text, len)
		                                               : note_ipv6(lane, text, len);
	arrive(lane, status);
}

static void note_node(struct lane *lane, const struct ares_addrinfo_node *node)
{
	const struct sockaddr_in6 *in6 = (const void *)node->ai_addr;
	const struct sockaddr_in *in = (const void *)node->ai_addr;

	if (node->ai_family == AF_INET)
		add_answer(lane, AF_INET, &in->sin_addr, 4, node->ai_ttl);
	else if (node->ai_family == AF_INET6)
		add_answer(lane, AF_INET6, &in6->sin6_addr, 16, node->ai_ttl);
}

static void addresses_came(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
	struct lane *lane = arg;

	(void)timeouts;
	for (struct ares_addrinfo_node *node = found ? found->nodes : NULL; node;
		node = node->ai_next)
		note_node(lane, node);
	ares_freeaddrinfo(found);
	arrive(lane, status);
}

/* ------------------------------------------------------------------- what is asked */

static void expect_answers(struct lane *lane, enum lane_step step)
{
	lane->step = step;
	lane->n_answers = 0;
	lane->answers_ttl = CACHE_TTL_NONE;
}

static void write_reverse(const struct lookup_address *address, char ret[REVERSE_MAX])
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *ip = address->ip;
	char *at = ret;

	if (address->family == AF_INET) {
		snprintf(ret, REVERSE_MAX, "%u.%u.%u.%u.in-addr.arpa", ip[3], ip[2], ip[1],
			ip[0]);
		return;
	}
	for (int i = 15; i >= 0; i--) {
		*at++ = digits[ip[i] & 0xf];
		*at++ = '.';
		*at++ = digits[ip[i] >> 4];
		*at++ = '.';
	}
	memcpy(at, "ip6.arpa", sizeof "ip6.arpa");
}

static void ask_for_names(struct lane *lane)
{
	char reverse[REVERSE_MAX];

	write_reverse(&lane->question.peer, reverse);
	lane->step = LANE_AT_NAMES;
	lane->n_names = lane->at = 0;
	lane->failed = false;
	ares_query(lane->channel, reverse, ns_c_in, ns_t_ptr, names_came, lane);
}

static void ask_for_addresses(struct lane *lane)
{
	static const struct ares_addrinfo_hints hints = {
		.ai_flags = ARES_AI_NOSORT,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};

	expect_answers(lane, LANE_AT_ADDRESSES);
	ares_getaddrinfo(
		lane->channel, lane->question.name, NULL, &hints, addresses_came, lane);
}

static bool is_peer(const struct lane *lane, const struct lookup_address *address)
{
	const struct lookup_address *peer = &lane->question.peer;

	return address->family == peer->family &&
	       memcmp(address->ip, peer->ip, sizeof peer->ip) == 0;
}

static bool has_peer(const struct lane *lane, const struct lookup_address *addresses, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_peer(lane, &addresses[i]))
			return true;
	return false;
}

/* The names that the administrator has given are not asked about elsewhere. */
static size_t look_into_files(const struct lane *lane, const char *name,
	struct lookup_address ret[LOOKUP_ADDRESSES_MAX])
{
	return lane->setup.sources & NAMES_FILES
	               ? hosts_addresses_of(lane->setup.hosts, name, ret)
	               : 0;
}

/* Is the name the peer's?  The next one of them, until one has to be asked about. */
static void prove(struct lane *lane)
{
	struct lookup_address known[LOOKUP_ADDRESSES_MAX];
	bool is_ipv4 = lane->question.peer.family == AF_INET;

	for (; lane->at < lane->n_names; lane->at++) {
		const char *name = lane->names[lane->at];
		size_t n = look_into_files(lane, name, known);

		if (n == 0) {
			expect_answers(lane, LANE_AT_PROOF);
			ares_query(lane->channel, name, ns_c_in, is_ipv4 ? ns_t_a : ns_t_aaaa,
				proof_came, lane);
			return;
		}
		if (has_peer(lane, known, n))
			return finish_with_name(lane, name, CACHE_TTL_NONE);
	}
	finish(lane, lane->failed ? LOOKUP_FAILED : LOOKUP_MISMATCH, CACHE_TTL_NONE);
}

/* ------------------------------------------------------------------ how it goes on */

static void after_names(struct lane *lane)
{
	if (lane->status != ARES_SUCCESS)
		finish_without(lane, lane->status);
	else
		prove(lane);
}

static void after_proof(struct lane *lane)
{
	if (lane->status == ARES_SUCCESS && has_peer(lane, lane->answers, lane->n_answers))
		return finish_with_name(lane, lane->names[lane->at], lane->answers_ttl);
	if (lane->status != ARES_SUCCESS && !is_none(lane->status))
		lane->failed = true;
	lane->at++;
	prove(lane);
}

/* The next one of that family, from *at on; NULL: there are no more. */
static const struct lookup_address *next_of(const struct lane *lane, int family, size_t *at)
{
	while (*at < lane->n_answers)
		if (lane->answers[(*at)++].family == family)
			return &lane->answers[*at - 1];
	return NULL;
}

/* By turns, so that who can reach but one family finds some of it among the first few. */
static void take_addresses(struct lane *lane)
{
	static const int families[] = {AF_INET6, AF_INET};
	struct lookup_facts *facts = &lane->facts;
	const struct lookup_address *found;
	size_t at[ARRAY_SIZE(families)] = {0};

	for (size_t turn = 0; turn < 2 * ANSWERS_MAX; turn++) {
		size_t which = turn % ARRAY_SIZE(families);

		if (facts->n_addresses == LOOKUP_ADDRESSES_MAX)
			break;
		found = next_of(lane, families[which], &at[which]);
		if (found)
			facts->addresses[facts->n_addresses++] = *found;
	}
}

static void after_addresses(struct lane *lane)
{
	if (lane->status != ARES_SUCCESS || lane->n_answers == 0)
		return finish_without(
			lane, lane->status == ARES_SUCCESS ? ARES_ENODATA : lane->status);
	take_addresses(lane);
	finish(lane, LOOKUP_FOUND, lane->answers_ttl);
}

/* c-ares may answer while it is asked. */
static void advance(struct lane *lane)
{
	static void (*const after[])(struct lane * lane) = {
		[LANE_AT_NAMES] = after_names,
		[LANE_AT_PROOF] = after_proof,
		[LANE_AT_ADDRESSES] = after_addresses,
	};

	while (lane->arrived && lane->step != LANE_IDLE) {
		lane->arrived = false;
		after[lane->step](lane);
	}
}

static void begin_with_address(struct lane *lane)
{
	const char *name = NULL;

	if (lane->setup.sources & NAMES_FILES)
		name = hosts_name_of(lane->setup.hosts, &lane->question.peer);
	if (name)
		finish_with_name(lane, name, CACHE_TTL_NONE);
	else if (lane->setup.sources & NAMES_DNS && lane->question.peer.scope == 0)
		ask_for_names(lane);
	else
		finish(lane, LOOKUP_NONE, CACHE_TTL_NONE);
}

static void begin_with_name(struct lane *lane)
{
	struct lookup_facts *facts = &lane->facts;
	size_t n = look_into_files(lane, lane->question.name, facts->addresses);

	facts->n_addresses = (uint16_t)n;
	if (n > 0)
		finish(lane, LOOKUP_FOUND, CACHE_TTL_NONE);
	else if (lane->setup.sources & NAMES_DNS)
		ask_for_addresses(lane);
	else
		finish(lane, LOOKUP_NONE, CACHE_TTL_NONE);
}

/* -------------------------------------------------------------------- its sockets */

/* With these c-ares sets no flags and no options, some of which the sandbox has not. */
static ares_socket_t open_socket(int domain, int type, int protocol, void *arg)
{
	(void)arg;
	return socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

static int close_socket(ares_socket_t fd, void *arg)
{
	(void)arg;
	return close(fd);
}

static int connect_socket(
	ares_socket_t fd, const struct sockaddr *to, ares_socklen_t len, void *arg)
{
	(void)arg;
	return connect(fd, to, len);
}

static ares_ssize_t receive(ares_socket_t fd, void *buf, size_t size, int flags,
	struct sockaddr *from, ares_socklen_t *len, void *arg)
{
	(void)arg;
	return recvfrom(fd, buf, size, flags, from, len);
}

static ares_ssize_t send_all(ares_socket_t fd, const struct iovec *pieces, int n, void *arg)
{
	struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)n};

	(void)arg;
	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static const struct ares_socket_functions socket_functions = {
	.asocket = open_socket,
	.aclose = close_socket,
	.aconnect = connect_socket,
	.arecvfrom = receive,
	.asendv = send_all,
};

static void watch(void *arg, ares_socket_t fd, int readable, int writable)
{
	const struct lane *lane = arg;

	lane->setup.watch(
		lane->setup.arg, fd, (readable ? EPOLLIN : 0U) | (writable ? EPOLLOUT : 0U));
}

/* -------------------------------------------------------------------- begin and end */

static int error_of(int status)
{
	return status == ARES_SUCCESS ? 0 : status == ARES_ENOMEM ? -ENOMEM : -EINVAL;
}

static unsigned source_of(const char *word)
{
	if (strcmp(word, "files") == 0)
		return NAMES_FILES;
	return strcmp(word, "dns") == 0 || strcmp(word, "resolve") == 0 ? NAMES_DNS : 0;
}

/* Of "hosts: files [!UNAVAIL=return] dns # comment"; 0: it is another line. */
static unsigned read_line(char *line)
{
	unsigned sources = 0;
	char *rest, *word;

	line[strcspn(line, "#\n")] = '\0';
	word = strtok_r(line, " \t:", &rest);
	if (!word || strcmp(word, "hosts") != 0)
		return 0;
	while ((word = strtok_r(NULL, " \t:", &rest)))
		sources |= source_of(word);
	return sources;
}

/* What nsswitch.conf(5) says, of what is known here; without it all.  c-ares reads it too, and
 * tells of what it has read in some of its versions only. */
static unsigned read_sources(void)
{
	FILE *file = fopen("/etc/nsswitch.conf", "re");
	unsigned sources = 0;
	char line[1024];

	while (file && sources == 0 && fgets(line, sizeof line, file))
		sources = read_line(line);
	if (file)
		fclose(file);
	return sources ? sources : NAMES_FILES | NAMES_DNS;
}

/* Servers that are given are to be asked. */
int names_init(const char *servers, unsigned *ret_sources)
{
	int status = ares_library_init(ARES_LIB_INIT_ALL);

	if (status != ARES_SUCCESS)
		return error_of(status);
	*ret_sources = servers ? NAMES_FILES | NAMES_DNS : read_sources();
	return 0;
}

void names_done(void)
{
	ares_library_cleanup();
}

/* There are no aliases from the environment.  Answers are kept by us, and not longer. */
static int open_channel(struct lane *lane)
{
	struct ares_options options = {
		.flags = ARES_FLAG_NOALIASES,
		.timeout = lane->setup.try_msec,
		.tries = NAMES_TRIES,
		.lookups = (char[]){"b"},
		.sock_state_cb = watch,
		.sock_state_cb_data = lane,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
	           ARES_OPT_SOCK_STATE_CB;
	int status;

#ifdef ARES_OPT_QUERY_CACHE
	mask |= ARES_OPT_QUERY_CACHE;
#endif
	status = ares_init_options(&lane->channel, &options, mask);
	if (status != ARES_SUCCESS)
		return error_of(status);
	ares_set_socket_functions(lane->channel, &socket_functions, NULL);
	if (lane->setup.servers)
		status = ares_set_servers_ports_csv(lane->channel, lane->setup.servers);
	return error_of(status);
}

int lane_new(const struct lane_setup *setup, struct lane **ret)
{
	struct lane *lane = calloc(1, sizeof *lane);
	int r;

	if (!lane)
		return -ENOMEM;
	lane->setup = *setup;
	r = open_channel(lane);
	if (r < 0) {
		lane_free(lane);
		return r;
	}
	*ret = lane;
	return 0;
}

struct lane *lane_free(struct lane *lane)
{
	if (!lane)
		return NULL;
	lane->step = LANE_IDLE;
	if (lane->channel)
		ares_destroy(lane->channel);
	free(lane);
	return NULL;
}

/* -------------------------------------------------------------------------- interface */

void lane_ask(struct lane *lane, const struct lookup_question *question)
{
	lane->question = *question;
	lane->arrived = false;
	memset(&lane->facts, 0, sizeof lane->facts);
	if (question->what == LOOKUP_NAME_OF)
		begin_with_address(lane);
	else
		begin_with_name(lane);
	advance(lane);
}

/* Errors are found by reading. */
void lane_go(struct lane *lane, int fd, uint32_t events)
{
	bool in = events & (EPOLLIN | EPOLLERR | EPOLLHUP);
	bool out = events & EPOLLOUT;

	ares_process_fd(lane->channel, in ? fd : ARES_SOCKET_BAD, out ? fd : ARES_SOCKET_BAD);
	advance(lane);
}

void lane_stop(struct lane *lane)
{
	lane->step = LANE_IDLE;
	ares_cancel(lane->channel);
	lane->arrived = false;
}

bool lane_is_over(const struct lane *lane)
{
	return lane->step == LANE_IDLE;
}

uint64_t lane_due(const struct lane *lane)
{
	struct timeval wait;

	if (lane_is_over(lane) || !ares_timeout(lane->channel, NULL, &wait))
		return USEC_INFINITY;
	return (uint64_t)wait.tv_sec * USEC_PER_SEC + (uint64_t)wait.tv_usec;
}

const struct lookup_facts *lane_facts(const struct lane *lane)
{
	return &lane->facts;
}

uint32_t lane_ttl(const struct lane *lane)
{
	return lane->ttl;
}
