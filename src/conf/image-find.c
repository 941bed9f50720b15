/*
 * image-find: to find a part of an open image, and to read a service out of it.
 *
 * What a service says is checked in image-read.c; here, that it is what the index says of it.
 */
#include "conf/image.h"

#include "conf/image-parts.h"

#include <assert.h>
#include <stdlib.h>

/* A record of this size is read without asking for memory. */
#define RECORD_USUAL 4096

int image_secrets(const struct image *image)
{
	return image->secrets;
}

static int compare_setups(const void *a, const void *b)
{
	const struct setup *x = a, *y = b;

	return (x->service > y->service) - (x->service < y->service);
}

bool image_setup(
	const struct image *image, size_t i, uint32_t *ret_offset, uint32_t *ret_length)
{
	const struct setup key = {.service = (uint32_t)i};
	const struct setup *found;

	assert(i < image->n_services);
	if (image->n_setups == 0)
		return false;
	found = bsearch(&key, image->setups, image->n_setups, sizeof key, compare_setups);
	if (!found)
		return false;
	*ret_offset = found->offset;
	*ret_length = found->length;
	return true;
}

size_t image_find_setup(const struct image *image, size_t from)
{
	size_t low = 0, high = image->n_setups;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (image->setups[middle].service < from)
			low = middle + 1;
		else
			high = middle;
	}
	return low < image->n_setups ? image->setups[low].service : image->n_services;
}

int image_fd(const struct image *image)
{
	return image->fd;
}

const struct conf *image_conf(const struct image *image)
{
	return &image->conf;
}

size_t image_n_services(const struct image *image)
{
	return image->n_services;
}

struct image_entry image_entry(const struct image *image, size_t i)
{
	assert(i < image->n_services);
	return image->places[i].entry;
}

size_t image_n_lists(const struct image *image)
{
	return image->n_lists;
}

static int compare_rare(const void *a, const void *b)
{
	const struct rare_list *x = a, *y = b;

	return (x->service > y->service) - (x->service < y->service);
}

static uint32_t find_rare(const struct image *image, const struct rare_lists *lists, size_t i)
{
	const struct rare_list key = {.service = (uint32_t)i};
	const struct rare_list *found;

	assert(i < image->n_services);
	if (lists->n == 0)
		return CONF_NONE;
	found = bsearch(&key, lists->items, lists->n, sizeof key, compare_rare);
	return found ? found->list : CONF_NONE;
}

uint32_t image_proxies(const struct image *image, size_t i)
{
	return find_rare(image, &image->proxies, i);
}

uint32_t image_wrapping(const struct image *image, size_t i)
{
	return find_rare(image, &image->wrappers, i);
}

static const uint8_t *table_of(const struct image *image, uint32_t list)
{
	size_t len;

	return list == CONF_NONE ? NULL : image_get_list(image, list, &len);
}

const uint8_t *image_proxy_from(const struct image *image, size_t i)
{
	return table_of(image, image_proxies(image, i));
}

const uint8_t *image_wrappers(const struct image *image, size_t i)
{
	return table_of(image, image_wrapping(image, i));
}

static size_t find_number(const struct image *image, uint32_t number, size_t from)
{
	for (size_t i = from; i < image->n_services; i++) {
		if (image->places[i].entry.mux == number)
			return i;
	}
	return image->n_services;
}

size_t image_find_mux(const struct image *image, const char *name, size_t from)
{
	return find_number(image, service_name_hash(name), from);
}

size_t image_find_guest(const struct image *image, const char *name, size_t from)
{
	return find_number(image, image_guest_hash(name), from);
}

const uint8_t *image_list(const struct image *image, size_t i, size_t *ret_len)
{
	uint32_t list = image->places[i].entry.access;

	return list == CONF_NONE ? NULL : image_get_list(image, list, ret_len);
}

const uint8_t *image_access_bytes(const struct image *image, size_t i, size_t *ret_len)
{
	assert(i < image->n_services);
	*ret_len = 0;
	return image_list(image, i, ret_len);
}

const uint8_t *image_access(const struct image *image, size_t i)
{
	size_t len;

	return image_access_bytes(image, i, &len);
}

_Static_assert(WRAPPERS_DIGEST_LEN == ACCESS_DIGEST_LEN, "is_its_list() compares both");

/* What the service says of its rules is what the list begins with. */
static bool is_its_list(const uint8_t *table, bool has, const uint8_t digest[ACCESS_DIGEST_LEN])
{
	return table ? memcmp(table, digest, ACCESS_DIGEST_LEN) == 0 : !has;
}

static bool has_its_lists(
	const struct image *image, size_t i, const struct service_conf *service)
{
	return is_its_list(image_access(image, i), service_conf_has_access(service),
		       service->access_digest) &&
	       is_its_list(image_proxy_from(image, i), service_conf_has_proxies(service),
		       service->proxies_digest) &&
	       is_its_list(image_wrappers(image, i), service_conf_has_wrappers(service),
		       service->wrappers_digest);
}

/* Who speaks TLS has a setup, and nobody else. */
static bool has_its_setup(
	const struct image *image, size_t i, const struct service_conf *service)
{
	uint32_t offset, length;
	bool has = image_setup(image, i, &offset, &length);

	return service_conf_has_tls(service) ? has || service->condition : !has;
}

static size_t record_start(const struct image *image, size_t i)
{
	return i > 0 ? image->places[i - 1].end : image->records;
}

const uint8_t *image_record(const struct image *image, size_t i, size_t *ret_len)
{
	size_t start = record_start(image, i);

	assert(i < image->n_services && image->data);
	*ret_len = image->places[i].end - start;
	return image->data + start;
}

int image_copy_record(const struct image *image, size_t i, uint8_t **ret, size_t *ret_len)
{
	size_t start = record_start(image, i);
	size_t len = image->places[i].end - start;
	_cleanup_free_ uint8_t *record = malloc(len);
	int r;

	assert(i < image->n_services);
	if (!record)
		return -ENOMEM;
	r = image_read_at(image, (uint32_t)start, record, len);
	if (r < 0)
		return r;
	*ret = take_ptr(record);
	*ret_len = len;
	return 0;
}

bool image_says(
	const struct image *image, size_t i, const uint8_t *record, size_t len, size_t n_listen)
{
	_cleanup_free_ uint8_t *ours = NULL;
	size_t ours_len, tail = IMAGE_TAIL_LEN(n_listen);

	return len > tail && image_copy_record(image, i, &ours, &ours_len) == 0 &&
	       ours_len == len && memcmp(ours, record, len - tail) == 0;
}

int image_read_record(const uint8_t *record, size_t len, struct service_conf **ret)
{
	/* Which files there were is not known any more, nor needed. */
	return image_get_record(record, len, NULL, UINT32_MAX, ret);
}

int image_get_with_files(
	const struct image *image, size_t i, char *const *files, struct service_conf **ret)
{
	uint32_t start = (uint32_t)record_start(image, i);
	size_t len = image->places[i].end - start;
	_cleanup_service_conf_ struct service_conf *service = NULL;
	_cleanup_free_ uint8_t *large = NULL;
	uint8_t usual[RECORD_USUAL];
	int r;

	if (len > sizeof usual) {
		large = malloc(len);
		if (!large)
			return -ENOMEM;
	}
	r = image_read_at(image, start, large ? large : usual, len);
	if (r < 0)
		return r;
	r = image_get_record(large ? large : usual, len, files, image->n_files, &service);
	if (r < 0)
		return r;
	if (service->old != image->places[i].entry.old ||
		service->news != image->places[i].entry.news ||
		image_mux(service) != image->places[i].entry.mux ||
		!has_its_lists(image, i, service) || !has_its_setup(image, i, service))
		return -EBADMSG;
	*ret = take_ptr(service);
	return 0;
}

int image_get(const struct image *image, size_t i, struct service_conf **ret)
{
	assert(i < image->n_services);
	return image_get_with_files(image, i, NULL, ret);
}

struct conf image_take_conf(struct image *image)
{
	struct conf conf = image->conf;

	conf_init(&image->conf);
	return conf;
}
