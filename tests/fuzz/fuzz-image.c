/* The image that a loader gone mad might hand to the master. */
#include "conf/diff.h"
#include "conf/image.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf conf;

	conf_init(&conf);
	if (image_decode(data, size, &conf) == 0)
		compare(&conf);
	conf_done(&conf);
	return 0;
}
