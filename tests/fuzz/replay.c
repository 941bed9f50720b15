/*
 * replay: main() for a fuzz target that has no libFuzzer.  The program
 * replay-NAME feeds corpus-NAME to it.  Each file is named before it is tried,
 * so the last name of the log is that of the crash.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More than any file of a corpus has. */
#define INPUT_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(int folder, const char *name, uint8_t *buf)
{
	FILE *file;
	uint8_t *exact;
	size_t size;
	int fd;

	fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	file = fd < 0 ? NULL : fdopen(fd, "r");
	if (!file)
		return -errno;

	size = fread(buf, 1, INPUT_MAX, file);
	fclose(file);

	/* Of its own size, so that a sanitizer sees what reads past the end. */
	exact = malloc(size ? size : 1);
	if (!exact)
		return -ENOMEM;
	memcpy(exact, buf, size);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	return 0;
}

static int replay_folder(const char *path)
{
	static uint8_t buf[INPUT_MAX];
	struct dirent *entry;
	int n = 0;
	DIR *dir;

	dir = opendir(path);
	if (!dir)
		return -errno;

	while ((entry = readdir(dir))) {
		int r;

		if (entry->d_name[0] == '.')
			continue;
		printf("%s/%s\n", path, entry->d_name);
		fflush(stdout);
		r = replay_file(dirfd(dir), entry->d_name, buf);
		if (r < 0) {
			n = r;
			break;
		}
		n++;
	}
	closedir(dir);
	return n;
}

int main(void)
{
	const char *source = getenv("top_srcdir");
	const char *name = strrchr(program_invocation_short_name, '-');
	char path[4096];
	int n;

	snprintf(path, sizeof path, "%s/tests/fuzz/corpus%s", source ? source : ".", name);
	n = replay_folder(path);
	if (n < 0)
		fprintf(stderr, "unable to read %s: %s\n", path, strerror(-n));
	return n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
