/*
 * crc32c: the checksum of Castagnoli, as in RFC 4960, appendix B.
 *
 *	crc = crc32c_add(0, data, len);		of one piece
 *	crc = crc32c_add(crc, more, more_len);	and of what follows it
 *
 * The result is the finished one after each call.  Slow and small: it is for headers.
 *
 * Layer: workers.  Includes nothing of ours.
 */
#ifndef HATCHD_WORKERS_FRONT_CRC32C_H
#define HATCHD_WORKERS_FRONT_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c_add(uint32_t crc, const void *data, size_t len);

#endif
