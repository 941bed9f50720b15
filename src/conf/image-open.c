/*
 * image-open: to open an image, and to find out where its parts lie.
 *
 * What a part says is checked in image-read.c; here, that the parts fill the image exactly.
 * They are found, and read one by one, in image-find.c.
 */
#include "conf/image.h"

#include "base/fd.h"
#include "base/memfd.h"
#include "base/wire.h"
#include "conf/image-parts.h"
#include "conf/secrets.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

/* Services of the index that are read at once. */
#define INDEX_CHUNK 256

int image_read_at(const struct image *image, uint32_t at, void *buf, size_t len)
{
	uint8_t *to = buf;

	if (image->data) {
		memcpy(to, image->data + at, len);
		return 0;
	}
	while (len > 0) {
		ssize_t n = pread(image->fd, to, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EBADMSG;
		to += n;
		at += (uint32_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int check_prologue(struct wire_reader *wire)
{
	char magic[IMAGE_MAGIC_LEN];

	wire_get_blob(wire, magic, sizeof magic);
	if (wire->error || memcmp(magic, IMAGE_MAGIC, sizeof magic) != 0)
		return -EBADMSG;
	if (wire_get_u32(wire) != IMAGE_VERSION)
		return -EBADMSG;
	return wire_get_u32(wire) == conf_options_count() ? 0 : -EBADMSG;
}

/* Leaves the length of the global part, and how many services and lists there are. */
static int read_prologue(struct image *image, uint32_t *ret_globals)
{
	uint8_t buf[IMAGE_PROLOGUE_LEN];
	struct wire_reader wire;
	uint32_t globals, n, n_access, n_wrappers, n_lists;
	uint64_t least;
	int r;

	if (image->size < sizeof buf)
		return -EBADMSG;
	r = image_read_at(image, 0, buf, sizeof buf);
	if (r < 0)
		return r;
	wire_reader_init(&wire, buf, sizeof buf);
	r = check_prologue(&wire);
	if (r < 0)
		return r;

	globals = wire_get_u32(&wire);
	n = wire_get_u32(&wire);
	n_access = wire_get_u32(&wire);
	n_wrappers = wire_get_u32(&wire);
	if (!wire_reader_complete(&wire) || globals > IMAGE_GLOBALS_MAX ||
		n > IMAGE_SERVICES_MAX || n_access > IMAGE_LISTS_EACH * n || n_wrappers > n)
		return -EBADMSG;
	n_lists = n_access + n_wrappers;
	least = sizeof buf + globals + (uint64_t)n * (IMAGE_INDEX_LEN + IMAGE_RECORD_MIN) +
	        (uint64_t)n_lists * IMAGE_LIST_LEN;
	if (least > image->size)
		return -EBADMSG;
	image->n_services = n;
	image->n_lists = n_lists;
	image->n_access = n_access;
	*ret_globals = globals;
	return 0;
}

static int read_globals(struct image *image, uint32_t len)
{
	_cleanup_free_ uint8_t *buf = NULL;
	int r;

	buf = malloc(len ? len : 1);
	if (!buf)
		return -ENOMEM;
	r = image_read_at(image, IMAGE_PROLOGUE_LEN, buf, len);
	if (r < 0)
		return r;
	r = image_get_globals(buf, len, &image->conf);
	if (r < 0)
		return r;
	image->n_files = strv_length(image->conf.files);
	return 0;
}

static bool has_list(const struct image *image, uint32_t list)
{
	return list == CONF_NONE || list < image->n_access;
}

static bool has_wrappers(const struct image *image, uint32_t list)
{
	return list == CONF_NONE || (list >= image->n_access && list < image->n_lists);
}

static int add_rare(struct rare_lists *lists, size_t service, uint32_t list)
{
	size_t n = lists->n;
	struct rare_list *larger;

	if (list == CONF_NONE)
		return 0;
	if ((n & (n - 1)) == 0) {
		larger = reallocarray(lists->items, n ? 2 * n : 1, sizeof *larger);
		if (!larger)
			return -ENOMEM;
		lists->items = larger;
	}
	lists->items[lists->n++] = (struct rare_list){(uint32_t)service, list};
	return 0;
}

static int add_setup(struct image *image, size_t service, uint32_t offset, uint32_t length)
{
	size_t n = image->n_setups;
	struct setup *larger;

	if (length == 0)
		return offset == 0 ? 0 : -EBADMSG;
	if (length > CONF_SECRETS_MAX || offset > CONF_SECRETS_MAX - length)
		return -EBADMSG;
	if ((n & (n - 1)) == 0) {
		larger = reallocarray(image->setups, n ? 2 * n : 1, sizeof *larger);
		if (!larger)
			return -ENOMEM;
		image->setups = larger;
	}
	image->setups[image->n_setups++] = (struct setup){(uint32_t)service, offset, length};
	return 0;
}

/* The next service of the index; its record begins at *end. */
static int get_place(
	struct image *image, struct wire_reader *wire, uint32_t *end, struct place *place)
{
	size_t service = (size_t)(place - image->places);
	uint32_t len = wire_get_u32(wire), proxies, wrappers, offset, length;
	int r;

	place->entry.old = wire_get_u32(wire);
	place->entry.news = wire_get_u32(wire);
	place->entry.access = wire_get_u32(wire);
	place->entry.mux = wire_get_u32(wire);
	proxies = wire_get_u32(wire);
	wrappers = wire_get_u32(wire);
	offset = wire_get_u32(wire);
	length = wire_get_u32(wire);
	if (wire->error)
		return wire->error;
	if (len < IMAGE_RECORD_MIN || len > IMAGE_RECORD_MAX || len > image->size - *end)
		return -EBADMSG;
	if (place->entry.news > _SERVICE_NEWS_ALL)
		return -EBADMSG;
	if (!has_list(image, place->entry.access) || !has_list(image, proxies) ||
		!has_wrappers(image, wrappers))
		return -EBADMSG;
	*end += len;
	place->end = *end;
	r = add_rare(&image->proxies, service, proxies);
	if (r == 0)
		r = add_rare(&image->wrappers, service, wrappers);
	return r < 0 ? r : add_setup(image, service, offset, length);
}

static int read_chunk(
	struct image *image, uint32_t at, struct place *places, size_t n, uint32_t *end)
{
	uint8_t buf[INDEX_CHUNK * IMAGE_INDEX_LEN];
	struct wire_reader wire;
	int r;

	r = image_read_at(image, at, buf, n * IMAGE_INDEX_LEN);
	if (r < 0)
		return r;
	wire_reader_init(&wire, buf, n * IMAGE_INDEX_LEN);
	for (size_t i = 0; i < n && r == 0; i++)
		r = get_place(image, &wire, end, &places[i]);
	return r;
}

static uint32_t end_of_records(const struct image *image)
{
	return image->n_services > 0 ? image->places[image->n_services - 1].end
	                             : image->records;
}

/* Lengths become ends; the first list begins where the last record ends. */
static int read_list_ends(struct image *image, uint32_t at, uint32_t *end)
{
	struct wire_reader wire;
	int r;

	image->list_ends = calloc(image->n_lists + 1, sizeof *image->list_ends);
	if (!image->list_ends)
		return -ENOMEM;
	r = image_read_at(image, at, image->list_ends, image->n_lists * IMAGE_LIST_LEN);
	if (r < 0)
		return r;
	wire_reader_init(&wire, image->list_ends, image->n_lists * IMAGE_LIST_LEN);
	for (size_t i = 0; i < image->n_lists; i++) {
		uint32_t len = wire_get_u32(&wire);

		if (len > image->size - *end)
			return -EBADMSG;
		*end += len;
		image->list_ends[i] = *end;
	}
	return *end - end_of_records(image) > IMAGE_LISTS_MAX ? -EBADMSG : 0;
}

/* The image is sealed: what is mapped neither changes nor goes away. */
static int map_lists(struct image *image)
{
	uint32_t start = end_of_records(image);
	size_t rest = start % (size_t)sysconf(_SC_PAGESIZE);
	void *map;

	if (image->data || image->n_lists == 0) {
		image->lists = image->data ? image->data + start : NULL;
		return 0;
	}
	/* No list is empty, nor can what is be mapped. */
	if (start == image->size)
		return -EBADMSG;
	map = mmap(NULL, image->size - start + rest, PROT_READ, MAP_PRIVATE, image->fd,
		(off_t)(start - rest));
	if (map == MAP_FAILED)
		return -errno;
	image->map = map;
	image->map_len = image->size - start + rest;
	image->lists = (const uint8_t *)map + rest;
	return 0;
}

const uint8_t *image_get_list(const struct image *image, size_t i, size_t *ret_len)
{
	uint32_t first = end_of_records(image);
	uint32_t start = i > 0 ? image->list_ends[i - 1] : first;

	assert(i < image->n_lists);
	*ret_len = image->list_ends[i] - start;
	return image->lists + (start - first);
}

/* Pages that were looked at to check them are not kept for that. */
static int check_lists(struct image *image)
{
	for (size_t i = 0; i < image->n_lists; i++) {
		size_t len;
		const uint8_t *table = image_get_list(image, i, &len);

		if (i < image->n_access ? access_check(table, len) < 0
					: wrappers_check(table, len) < 0)
			return -EBADMSG;
	}
	if (image->map)
		madvise(image->map, image->map_len, MADV_DONTNEED);
	return 0;
}

/* In pieces: all of it at once would leave a hole in the master's heap. */
static int read_index(struct image *image, uint32_t at)
{
	uint32_t end = at + (uint32_t)(image->n_services * IMAGE_INDEX_LEN +
				       image->n_lists * IMAGE_LIST_LEN);
	int r;

	image->places = calloc(image->n_services + 1, sizeof *image->places);
	if (!image->places)
		return -ENOMEM;
	image->records = end;
	for (size_t i = 0; i < image->n_services; i += INDEX_CHUNK) {
		size_t left = image->n_services - i,
		       n = left < INDEX_CHUNK ? left : INDEX_CHUNK;

		r = read_chunk(image, at, &image->places[i], n, &end);
		if (r < 0)
			return r;
		at += (uint32_t)(n * IMAGE_INDEX_LEN);
	}
	r = read_list_ends(image, at, &end);
	if (r < 0)
		return r;
	return end == image->size ? 0 : -EBADMSG;
}

static int read_parts(struct image *image)
{
	uint32_t globals;
	int r;

	r = read_prologue(image, &globals);
	if (r < 0)
		return r;
	r = read_globals(image, globals);
	if (r < 0)
		return r;
	r = read_index(image, IMAGE_PROLOGUE_LEN + globals);
	if (r < 0)
		return r;
	r = map_lists(image);
	return r < 0 ? r : check_lists(image);
}

/* All but the descriptor. */
static void release(struct image *image)
{
	conf_done(&image->conf);
	free(image->places);
	free(image->proxies.items);
	free(image->wrappers.items);
	free(image->setups);
	free(image->list_ends);
	if (image->map)
		munmap(image->map, image->map_len);
	free(image);
}

/* From `data`, or where that is NULL from `fd`; both stay the caller's. */
static int open_source(int fd, const void *data, uint64_t size, struct image **ret)
{
	struct image *image;
	int r;

	if (size > IMAGE_BYTES_MAX)
		return -EFBIG;
	image = calloc(1, sizeof *image);
	if (!image)
		return -ENOMEM;
	conf_init(&image->conf);
	image->fd = fd;
	image->secrets = -EBADF;
	image->data = data;
	image->size = (uint32_t)size;
	r = read_parts(image);
	if (r < 0) {
		release(image);
		return r;
	}
	*ret = image;
	return 0;
}

int image_open(int memfd, struct image **ret)
{
	size_t size;
	int r = memfd_check(memfd, IMAGE_BYTES_MAX, &size);

	return r < 0 ? r : open_source(memfd, NULL, size, ret);
}

int image_open_data(const void *data, size_t size, struct image **ret)
{
	return open_source(-EBADF, data ? data : "", size, ret);
}

struct image *image_free(struct image *image)
{
	if (!image)
		return NULL;
	fd_close(image->fd);
	fd_close(image->secrets);
	release(image);
	return NULL;
}

static int move_up(int *fd, int lowest)
{
	int moved = fd_move_up(*fd, lowest);

	if (moved < 0)
		return moved;
	*fd = moved;
	return 0;
}

int image_move_up(struct image *image, int lowest)
{
	int r = move_up(&image->fd, lowest);

	if (r < 0 || image->secrets < 0)
		return r;
	return move_up(&image->secrets, lowest);
}

int image_take_secrets(struct image *image, int memfd)
{
	uint32_t size;
	int r = secrets_check(memfd, &size);

	if (r < 0)
		return r;
	for (size_t i = 0; i < image->n_setups; i++) {
		const struct setup *setup = &image->setups[i];

		if (setup->offset > size || setup->length > size - setup->offset)
			return -EBADMSG;
	}
	if (size > 0)
		image->secrets = memfd;
	else
		close(memfd);
	return 0;
}
