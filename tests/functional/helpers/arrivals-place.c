#include "arrivals-place.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static bool parse_unix(const char *path, struct place *ret)
{
	struct sockaddr_un *sun = (struct sockaddr_un *)&ret->name;
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof sun->sun_path)
		return false;
	sun->sun_family = AF_UNIX;
	memcpy(sun->sun_path, path, len);
	ret->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	if (path[0] == '@') {
		sun->sun_path[0] = '\0';
		ret->len--;
	}
	ret->kind = SOCK_STREAM;
	return true;
}

static bool parse_internet(const char *text, int kind, struct place *ret)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)&ret->name;
	const char *colon = strrchr(text, ':');
	char host[INET_ADDRSTRLEN];

	if (!colon || (size_t)(colon - text) >= sizeof host)
		return false;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	sin->sin_family = AF_INET;
	sin->sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	ret->len = sizeof *sin;
	ret->kind = kind;
	return sin->sin_port != 0 && inet_pton(AF_INET, host, &sin->sin_addr) == 1;
}

bool place_parse(const char *text, struct place *ret)
{
	memset(ret, 0, sizeof *ret);
	ret->text = text;
	if (strncmp(text, "tcp:", 4) == 0)
		return parse_internet(text + 4, SOCK_STREAM, ret);
	if (strncmp(text, "udp:", 4) == 0)
		return parse_internet(text + 4, SOCK_DGRAM, ret);
	return strncmp(text, "unix:", 5) == 0 && parse_unix(text + 5, ret);
}
