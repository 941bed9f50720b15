/*
 * image-parts: an open image, as image-open.c, which finds out where its parts lie, and
 * image-find.c, which looks them up, share it.  For nobody else.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_IMAGE_PARTS_H
#define HATCHD_CONF_IMAGE_PARTS_H

#include "conf/image-internal.h"

struct place {
	uint32_t end; /* of the record; it begins where the one before it ends */
	struct image_entry entry;
};

/* Most services have none of those, so that it is not kept for each. */
struct rare_list {
	uint32_t service;
	uint32_t list;
};

struct rare_lists {
	struct rare_list *items; /* owned; in the order of services */
	size_t n;
};

/* Of TLS: in the secrets. */
struct setup {
	uint32_t service;
	uint32_t offset, length;
};

struct image {
	int fd;              /* owned after image_open() */
	int secrets;         /* owned; -EBADF: none */
	const uint8_t *data; /* borrowed; NULL: read from `fd` */
	uint32_t size;
	struct conf conf; /* without services */
	size_t n_files;
	struct place *places;
	size_t n_services;
	uint32_t records; /* where the first of them begins */
	struct rare_lists proxies, wrappers;
	struct setup *setups; /* owned; in the order of services */
	size_t n_setups;

	/* Access lists, one after the other from where the last record ends, and behind the
	 * first n_access of them tables of hosts_access. */
	uint32_t *list_ends;
	size_t n_lists, n_access;
	const uint8_t *lists; /* where the first of them is in memory */
	void *map;            /* owned: the pages that they are in; NULL: none of ours */
	size_t map_len;
};

/* Bytes that lie within the image, as the caller has made sure.  0 or a negative errno. */
int image_read_at(const struct image *image, uint32_t at, void *buf, size_t len);

#endif
