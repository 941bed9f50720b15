/*
 * image-open: where the parts of an image lie, and reading them one by one.
 *
 * What a part says is checked in image-read.c; here, that the parts fill the
 * image exactly, and that a service is what the index says of it.
 */
#include "conf/image.h"

#include "base/fd.h"
#include "base/wire.h"
#include "conf/image-internal.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* A record of this size is read without asking for memory. */
#define RECORD_USUAL 4096

/* Services of the index that are read at once. */
#define INDEX_CHUNK 256

struct place {
	uint32_t end; /* of the record; it begins where the one before it ends */
	struct image_entry entry;
};

struct image {
	int fd;              /* owned after image_open() */
	const uint8_t *data; /* borrowed; NULL: read from `fd` */
	uint32_t size;
	struct conf conf; /* without services */
	size_t n_files;
	struct place *places;
	size_t n_services;
	uint32_t records; /* where the first of them begins */
};

/* Bytes that lie within the image, as the caller has made sure. */
static int read_at(const struct image *image, uint32_t at, void *buf, size_t len)
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

/* Leaves the length of the global part and the number of services. */
static int read_prologue(struct image *image, uint32_t *ret_globals)
{
	uint8_t buf[IMAGE_PROLOGUE_LEN];
	struct wire_reader wire;
	uint32_t globals, n;
	uint64_t least;
	int r;

	if (image->size < sizeof buf)
		return -EBADMSG;
	r = read_at(image, 0, buf, sizeof buf);
	if (r < 0)
		return r;
	wire_reader_init(&wire, buf, sizeof buf);
	r = check_prologue(&wire);
	if (r < 0)
		return r;

	globals = wire_get_u32(&wire);
	n = wire_get_u32(&wire);
	if (!wire_reader_complete(&wire) || globals > IMAGE_GLOBALS_MAX ||
		n > IMAGE_SERVICES_MAX)
		return -EBADMSG;
	least = sizeof buf + globals + (uint64_t)n * (IMAGE_INDEX_LEN + IMAGE_RECORD_MIN);
	if (least > image->size)
		return -EBADMSG;
	image->n_services = n;
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
	r = read_at(image, IMAGE_PROLOGUE_LEN, buf, len);
	if (r < 0)
		return r;
	r = image_get_globals(buf, len, &image->conf);
	if (r < 0)
		return r;
	image->n_files = strv_length(image->conf.files);
	return 0;
}

/* The next service of the index; its record begins at *end. */
static int get_place(
	const struct image *image, struct wire_reader *wire, uint32_t *end, struct place *place)
{
	uint32_t len = wire_get_u32(wire);

	place->entry.old = wire_get_u32(wire);
	place->entry.news = wire_get_u32(wire);
	if (wire->error)
		return wire->error;
	if (len < IMAGE_RECORD_MIN || len > IMAGE_RECORD_MAX || len > image->size - *end)
		return -EBADMSG;
	if (place->entry.news > _SERVICE_NEWS_ALL)
		return -EBADMSG;
	*end += len;
	place->end = *end;
	return 0;
}

static int read_chunk(
	const struct image *image, uint32_t at, struct place *places, size_t n, uint32_t *end)
{
	uint8_t buf[INDEX_CHUNK * IMAGE_INDEX_LEN];
	struct wire_reader wire;
	int r;

	r = read_at(image, at, buf, n * IMAGE_INDEX_LEN);
	if (r < 0)
		return r;
	wire_reader_init(&wire, buf, n * IMAGE_INDEX_LEN);
	for (size_t i = 0; i < n && r == 0; i++)
		r = get_place(image, &wire, end, &places[i]);
	return r;
}

/* In pieces: all of it at once would leave a hole in the master's heap. */
static int read_index(struct image *image, uint32_t at)
{
	uint32_t end = at + (uint32_t)(image->n_services * IMAGE_INDEX_LEN);
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
	return read_index(image, IMAGE_PROLOGUE_LEN + globals);
}

/* All but the descriptor. */
static void release(struct image *image)
{
	conf_done(&image->conf);
	free(image->places);
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

int image_check_memfd(int memfd, size_t *ret_size)
{
	struct stat st;
	int seals;

	seals = fcntl(memfd, F_GET_SEALS);
	if (seals < 0)
		return -errno;
	if ((seals & IMAGE_SEALS) != IMAGE_SEALS)
		return -EPERM;
	if (fstat(memfd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size > IMAGE_BYTES_MAX)
		return -EFBIG;
	*ret_size = (size_t)st.st_size;
	return 0;
}

int image_open(int memfd, struct image **ret)
{
	size_t size;
	int r = image_check_memfd(memfd, &size);

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
	release(image);
	return NULL;
}

int image_move_up(struct image *image, int lowest)
{
	int fd = fd_move_up(image->fd, lowest);

	if (fd < 0)
		return fd;
	image->fd = fd;
	return 0;
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
	r = read_at(image, start, large ? large : usual, len);
	if (r < 0)
		return r;
	r = image_get_record(large ? large : usual, len, files, image->n_files, &service);
	if (r < 0)
		return r;
	if (service->old != image->places[i].entry.old ||
		service->news != image->places[i].entry.news)
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
