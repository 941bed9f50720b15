#include "conf/certificate-name.h"

#include "base/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

bool certificate_is_address(const char *name)
{
	struct in6_addr addr;

	return inet_pton(AF_INET, name, &addr) == 1 || inet_pton(AF_INET6, name, &addr) == 1;
}

int certificate_read_name(const char *text, char ret[CERTIFICATE_NAME_ROOM])
{
	bool wild = strncmp(text, "*.", 2) == 0;
	char name[HOSTNAME_ROOM];

	if (certificate_is_address(text)) {
		snprintf(ret, CERTIFICATE_NAME_ROOM, "%s", text);
		return 0;
	}
	if (hostname_read(wild ? text + 2 : text, name) < 0)
		return -EINVAL;
	snprintf(ret, CERTIFICATE_NAME_ROOM, "%s%s", wild ? "*." : "", name);
	return tls_is_pattern(ret) ? 0 : -EINVAL;
}
