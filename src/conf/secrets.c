#include "conf/secrets.h"

#include "base/fd.h"
#include "base/memfd.h"

#include <string.h>
#include <unistd.h>

int secrets_check(int memfd, uint32_t *ret_size)
{
	size_t size;
	int r = memfd_check(memfd, CONF_SECRETS_MAX, &size);

	if (r < 0)
		return r;
	*ret_size = (uint32_t)size;
	return 0;
}

static int read_all(int fd, uint32_t at, uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = pread(fd, data, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		data += n;
		at += (uint32_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* From where it is now. */
static int copy(const struct service_conf *service, int old, int memfd)
{
	uint8_t *data;
	uint32_t size;
	int r = old < 0 ? -EBADMSG : secrets_check(old, &size);

	if (r < 0)
		return r;
	if (service->tls_offset > size || service->tls_length > size - service->tls_offset)
		return -EBADMSG;
	data = malloc(service->tls_length);
	if (!data)
		return -ENOMEM;
	r = read_all(old, service->tls_offset, data, service->tls_length);
	if (r == 0)
		r = fd_write_all(memfd, data, service->tls_length);
	explicit_bzero(data, service->tls_length);
	free(data);
	return r;
}

static int add(struct service_conf *service, int old, int memfd, uint32_t *at)
{
	int r;

	if (memfd < 0)
		return -EINVAL;
	if (service->tls_length > CONF_SECRETS_MAX - *at)
		return -EFBIG;
	if (service->tls_setup)
		r = fd_write_all(memfd, service->tls_setup, service->tls_length);
	else
		r = copy(service, old, memfd);
	if (r < 0)
		return r;
	service->tls_offset = *at;
	*at += service->tls_length;
	return 0;
}

static bool is_wanted(const struct service_conf *service)
{
	return !service->disable && service->tls_length > 0;
}

int secrets_write(struct conf *conf, int old, int memfd)
{
	uint32_t at = 0;
	int r = 0;

	for (size_t i = 0; i < conf->n_services && r == 0; i++)
		if (is_wanted(conf->services[i]))
			r = add(conf->services[i], old, memfd, &at);
	if (r < 0 || memfd < 0)
		return r;
	return memfd_seal(memfd);
}
