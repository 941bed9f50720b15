#include "hatchctl/steer/ban-connections.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Without a port and the brackets around an IPv6 address. */
static bool parse_host(const char *peer, size_t len, const char *bits, struct addr_net *ret)
{
	char text[ADDR_NET_TEXT_MAX];

	if (len + strlen(bits) >= sizeof text)
		return false;
	snprintf(text, sizeof text, "%.*s%s", (int)len, peer, bits);
	return addr_net_parse(text, ret) == 0;
}

static bool parse_user(const char *peer, struct addr_net *ret)
{
	char text[ADDR_NET_TEXT_MAX];

	snprintf(text, sizeof text, "uid:%.*s", (int)strcspn(peer, " "), peer);
	return addr_net_parse(text, ret) == 0;
}

bool ban_peer_parse(const char *peer, struct addr_net *ret)
{
	const char *port = strrchr(peer, ':');

	if (strncmp(peer, "uid ", 4) == 0)
		return parse_user(peer + 4, ret);
	if (!port)
		return false;
	if (*peer == '[')
		return port > peer + 1 && port[-1] == ']' &&
		       parse_host(peer + 1, (size_t)(port - peer) - 2, "/128", ret);
	return parse_host(peer, (size_t)(port - peer), "", ret);
}

static bool is_of(struct json_value connection, const struct addr_net *who)
{
	_cleanup_free_ char *peer = json_to_string(json_get(connection, "peer"));
	_cleanup_free_ char *state = json_to_string(json_get(connection, "state"));
	struct addr_net net;

	return peer && state && strcmp(state, "ending") != 0 && ban_peer_parse(peer, &net) &&
	       addr_net_holds(who, &net);
}

/* One that has ended meanwhile is what was wanted. */
static int kill_one(const char *path, uint64_t number, char why[REQUEST_WHY_MAX])
{
	char words[REQUEST_LINE_MAX];
	int r;

	snprintf(words, sizeof words, "kill %" PRIu64, number);
	r = request_try(path, words, NULL, why);
	return r == -ESRCH ? 0 : r;
}

int ban_connections_kill(const char *path, const struct addr_net *who, const char *service,
	size_t *ret_n, char why[REQUEST_WHY_MAX])
{
	_cleanup_answer_ struct answer answer = {0};
	char words[REQUEST_LINE_MAX];
	size_t n = 0;
	int r;

	snprintf(words, sizeof words, "connections %s", service ? service : "");
	r = request_try(path, words, &answer, why);
	for (size_t i = 0; i < answer.n_lines && r == 0; i++) {
		struct json_value line = answer.lines[i];

		if (!is_of(line, who))
			continue;
		r = kill_one(path, json_to_number(json_get(line, "connection")), why);
		n++;
	}
	if (r == 0)
		*ret_n = n;
	return r;
}
