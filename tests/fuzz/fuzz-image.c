/* The image that a loader gone mad might hand to the master. */
#include "conf/diff.h"
#include "conf/image.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever was let in can be compared, and is the same as itself. */
static void compare(const struct conf *conf)
{
	struct diff diff;

	if (diff_make(conf->services, conf->n_services, conf->services, conf->n_services,
		    &diff) < 0)
		return;
	if (!diff_is_empty(&diff))
		abort();
	diff_done(&diff);
}

/* A sealed memfd with these bytes, or -1. */
static int make_memfd(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		return -1;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) <
		0)
		return -1;
	return take_fd(&fd);
}

/* Whatever passed as a table can be asked about anybody. */
static void ask(const uint8_t *table)
{
	static const uint8_t families[] = {
		ADDR_SOURCE_UNIX, ADDR_SOURCE_VSOCK, ADDR_SOURCE_IPV4, ADDR_SOURCE_IPV6};
	static const uint8_t fills[] = {0x00, 0x0a, 0x80, 0xff};
	const uint32_t groups[] = {0, 10, UINT32_MAX};

	for (size_t i = 0; table && i < sizeof families * sizeof fills; i++) {
		struct access_peer peer = {
			.groups = groups,
			.n_groups = ARRAY_SIZE(groups),
			.more_groups = i % 3 == 0,
		};
		struct access_answer answer;

		peer.who.family = families[i % sizeof families];
		memset(peer.who.bytes, fills[i / sizeof families], sizeof peer.who.bytes);
		answer = access_ask(table, &peer);
		if (answer.rule != ACCESS_NO_RULE && answer.rule >= ACCESS_RULES_MAX)
			abort();
	}
}

/* Whoever can be had by his name is found by it, though others may be as well. */
static void find(const struct image *image, const char *name, size_t service,
	size_t (*next)(const struct image *image, const char *name, size_t from))
{
	size_t i = next(image, name, 0);

	while (i < service)
		i = next(image, name, i + 1);
	if (i != service)
		abort();
}

/* Services that can be read alone, which is more than the whole allows. */
static size_t count_readable(const struct image *image)
{
	size_t n = 0;

	for (size_t i = 0; i < image_n_services(image); i++) {
		_cleanup_service_conf_ struct service_conf *service = NULL;

		if (image_get(image, i, &service) == 0)
			n++;
		ask(image_access(image, i));
		ask(image_proxy_from(image, i));
		if (service && (service->old != image_entry(image, i).old ||
				       service->news != image_entry(image, i).news))
			abort();
		if (service && service_conf_is_tls_guest(service))
			find(image, service->name, i, image_find_guest);
		else if (service && service_conf_has_mux(service))
			find(image, service->name, i, image_find_mux);
	}
	return n;
}

/* What can be read as a whole (`n` services) can be read one by one. */
static void read_singly(const uint8_t *data, size_t size, bool whole, size_t n)
{
	_cleanup_image_ struct image *image = NULL;
	int fd = make_memfd(data, size);
	size_t readable;

	if (fd < 0)
		return;
	if (image_open(fd, &image) < 0) {
		close(fd);
		if (whole)
			abort();
		return;
	}
	readable = count_readable(image);
	if (whole && (readable != n || image_n_services(image) != n))
		abort();
}

/* Compared with itself, byte for byte or else decoded, each service is there once. */
static void read_changed(const uint8_t *data, size_t size, const struct conf *conf)
{
	_cleanup_image_draft_ struct image_draft *draft = NULL;
	_cleanup_close_ int fd = make_memfd(data, size);
	_cleanup_free_ uint32_t *twins = calloc(conf->n_services + 1, sizeof *twins);
	struct conf rest;

	if (fd < 0 || !twins || image_draft_new(conf, &draft) < 0)
		return;
	if (image_read_changed(fd, draft, &rest, twins) < 0)
		abort();
	for (size_t i = 0; i < conf->n_services; i++) {
		if (twins[i] != CONF_NONE && (twins[i] != i || rest.services[i]))
			abort();
		if (twins[i] == CONF_NONE && !rest.services[i])
			abort();
	}
	conf_done(&rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf conf;
	bool whole;

	conf_init(&conf);
	whole = image_decode(data, size, &conf) == 0;
	if (whole) {
		compare(&conf);
		read_changed(data, size, &conf);
	}
	read_singly(data, size, whole, conf.n_services);
	conf_done(&conf);
	return 0;
}
