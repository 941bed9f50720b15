/*
 * image-whole: all services of an image, or those that say something else than
 * they do in another configuration.
 *
 * Reads through a mapping: the image is sealed, so it neither changes nor shrinks.
 */
#include "base/memfd.h"
#include "base/wire.h"
#include "conf/image-internal.h"
#include "conf/textmap.h"

#include <string.h>
#include <sys/mman.h>

struct whole {
	const struct image *image;
	struct conf *conf;
	struct textmap names;            /* that have been met */
	const struct image_draft *draft; /* NULL: all services are wanted */
	uint32_t *twins;                 /* of services of the draft */
	struct access_list **lists;      /* of the image, as far as they are needed; held */
};

/* The name is one that no service before it has. */
static int add_name(struct whole *w, const char *name)
{
	int r = textmap_add(&w->names, name, "");

	return r == -EEXIST ? -EBADMSG : r;
}

/* 1 if the service is the twin of one in the draft, and noted. */
static int find_twin(struct whole *w, size_t i)
{
	char name[SERVICE_NAME_MAX + 1];
	const uint8_t *record;
	size_t len, twin;
	int r;

	if (!w->draft)
		return 0;
	record = image_record(w->image, i, &len);
	r = image_get_name(record, len, name);
	if (r < 0)
		return r;
	if (!image_draft_says(w->draft, name, record, len, &twin))
		return 0;
	w->twins[twin] = (uint32_t)i;
	r = add_name(w, name);
	return r < 0 ? r : 1;
}

static struct access_list *copy_list(const uint8_t *table, size_t len)
{
	_cleanup_free_ uint8_t *copy = malloc(len);
	struct access_list *list = copy ? access_list_new(copy, len, NULL) : NULL;

	if (!list)
		return NULL;
	memcpy(take_ptr(copy), table, len);
	return list;
}

/* Those that share one in the image share its copy. */
static int hold_list(struct whole *w, uint32_t number, struct access_list **ret)
{
	struct access_list **list = &w->lists[number];
	const uint8_t *table;
	size_t len;

	if (number == CONF_NONE)
		return 0;
	if (!*list) {
		table = image_get_list(w->image, number, &len);
		*list = copy_list(table, len);
	}
	if (!*list)
		return -ENOMEM;
	*ret = access_list_hold(*list);
	return 0;
}

static int get_lists(struct whole *w, size_t i, struct service_conf *service)
{
	int r = hold_list(w, image_entry(w->image, i).access, &service->access);

	if (r == 0)
		r = hold_list(w, image_proxies(w->image, i), &service->proxies);
	return r < 0 ? r : hold_list(w, image_wrapping(w->image, i), &service->wrappers);
}

static int get_service(struct whole *w, size_t i)
{
	struct service_conf **service = &w->conf->services[i];
	int r;

	r = find_twin(w, i);
	if (r != 0)
		return r < 0 ? r : 0;
	r = image_get_with_files(w->image, i, w->conf->files, service);
	if (r == 0)
		image_setup(w->image, i, &(*service)->tls_offset, &(*service)->tls_length);
	if (r == 0)
		r = get_lists(w, i, *service);
	return r < 0 ? r : add_name(w, (*service)->name);
}

static int get_services(struct whole *w)
{
	size_t n = image_n_services(w->image), n_lists = image_n_lists(w->image);
	int r = 0;

	w->conf->services = calloc(n + 1, sizeof(struct service_conf *));
	if (!w->conf->services)
		return -ENOMEM;
	w->conf->n_services = n;
	w->lists = calloc(n_lists + 1, sizeof(struct access_list *));
	if (!w->lists)
		return -ENOMEM;
	for (size_t i = 0; i < n && r == 0; i++)
		r = get_service(w, i);
	for (size_t i = 0; i < n_lists; i++)
		access_list_release(w->lists[i]);
	free(w->lists);
	return r;
}

static int decode(const void *data, size_t len, const struct image_draft *draft,
	struct conf *conf, uint32_t *twins)
{
	struct whole w = {.conf = conf, .draft = draft, .twins = twins};
	_cleanup_image_ struct image *image = NULL;
	int r;

	conf_init(conf);
	r = image_open_data(data, len, &image);
	if (r < 0)
		return r;
	*conf = image_take_conf(image);
	w.image = image;
	textmap_init(&w.names);
	r = get_services(&w);
	textmap_done(&w.names);
	if (r < 0)
		conf_done(conf);
	return r;
}

static int read_memfd(
	int memfd, const struct image_draft *draft, struct conf *conf, uint32_t *twins)
{
	void *data = NULL;
	size_t size;
	int r;

	conf_init(conf);
	r = memfd_check(memfd, IMAGE_BYTES_MAX, &size);
	if (r < 0)
		return r;
	if (size > 0)
		data = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, memfd, 0);
	if (data == MAP_FAILED)
		return -errno;
	r = decode(data, size, draft, conf, twins);
	if (data)
		munmap(data, size);
	return r;
}

int image_decode(const void *data, size_t len, struct conf *conf)
{
	return decode(data, len, NULL, conf, NULL);
}

int image_read(int memfd, struct conf *conf)
{
	return read_memfd(memfd, NULL, conf, NULL);
}

int image_read_changed(
	int memfd, const struct image_draft *draft, struct conf *conf, uint32_t *ret_twins)
{
	for (size_t i = 0; i < image_draft_conf(draft)->n_services; i++)
		ret_twins[i] = CONF_NONE;
	return read_memfd(memfd, draft, conf, ret_twins);
}
