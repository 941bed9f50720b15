#include "hatchctl/connect/dial.h"

#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* The host as getaddrinfo(3) takes it: NULL stands for this machine. */
static const char *host_text(const struct addr_spec *spec, char buf[ADDR_TEXT_MAX])
{
	if (spec->host[0] != '\0')
		return spec->host;
	if (addr_is_wildcard(&spec->addr))
		return NULL;
	return addr_format_host(&spec->addr, buf);
}

static int error_of_resolver(int result)
{
	switch (result) {
	case EAI_SYSTEM:
		return -errno;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_AGAIN:
		return -EAGAIN;
	default:
		return -ENOENT;
	}
}

static int copy_results(
	enum addr_kind kind, const struct addrinfo *results, struct dial_list *ret)
{
	struct addr *addrs;
	size_t n = 0;

	for (const struct addrinfo *ai = results; ai; ai = ai->ai_next)
		n++;
	addrs = calloc(n, sizeof *addrs);
	if (!addrs)
		return -ENOMEM;

	n = 0;
	for (const struct addrinfo *ai = results; ai; ai = ai->ai_next)
		addr_from_sockaddr(kind, ai->ai_addr, ai->ai_addrlen, &addrs[n++]);
	*ret = (struct dial_list){addrs, n};
	return 0;
}

static int look_up_inet(
	const struct addr_spec *spec, struct dial_list *ret, const char **reterr_why)
{
	struct addrinfo hints = {.ai_socktype = addr_socktype(&spec->addr)}, *results;
	char host[ADDR_TEXT_MAX], port[8];
	int r;

	if (!spec->addr.dual)
		hints.ai_family = addr_family(&spec->addr);
	snprintf(port, sizeof port, "%u", (unsigned)spec->port_first);

	r = getaddrinfo(host_text(spec, host), spec->service[0] ? spec->service : port, &hints,
		&results);
	if (r != 0) {
		*reterr_why = gai_strerror(r);
		return error_of_resolver(r);
	}

	r = copy_results(spec->addr.kind, results, ret);
	freeaddrinfo(results);
	if (r < 0)
		*reterr_why = gai_strerror(EAI_MEMORY);
	return r;
}

int dial_look_up(const struct addr_spec *spec, struct dial_list *ret, const char **reterr_why)
{
	struct addr *only;

	if (addr_is_ip(&spec->addr))
		return look_up_inet(spec, ret, reterr_why);

	only = malloc(sizeof *only);
	if (!only) {
		*reterr_why = gai_strerror(EAI_MEMORY);
		return -ENOMEM;
	}
	*only = spec->addr;
	/* As with IP, no machine is this machine. */
	if (addr_family(only) == AF_VSOCK && addr_is_wildcard(only))
		only->vm.svm_cid = VMADDR_CID_LOCAL;
	*ret = (struct dial_list){only, 1};
	return 0;
}

void dial_list_done(struct dial_list *list)
{
	free(list->addrs);
	*list = (struct dial_list){0};
}

/* An address of nothing but its family asks the kernel for a free abstract name. */
static int name_socket(int fd)
{
	static const struct sockaddr_un any = {.sun_family = AF_UNIX};

	if (bind(fd, (const struct sockaddr *)&any, offsetof(struct sockaddr_un, sun_path)) < 0)
		return -errno;
	return 0;
}

int dial_socket(struct addr *addr, int *ret_fd)
{
	_cleanup_close_ int fd = -EBADF;
	int r;

	fd = addr_socket(addr, SOCK_CLOEXEC);
	if (fd < 0)
		return fd;

	if (addr->kind == ADDR_UNIX_DGRAM) {
		r = name_socket(fd);
		if (r < 0)
			return r;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

int dial_connect(int fd, const struct addr *addr)
{
	return connect(fd, &addr->sa, addr->len) < 0 ? -errno : 0;
}
