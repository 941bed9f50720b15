/* The image that a loader gone mad might hand to the master. */
#include "conf/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf conf;

	conf_init(&conf);
	(void)image_decode(data, size, &conf);
	conf_done(&conf);
	return 0;
}
