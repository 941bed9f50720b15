#include "conf/self-signed.h"

#include "base/fd.h"
#include "base/own.h"
#include "conf/certificate-name.h"
#include "conf/load.h"
#include "conf/notary.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Browsers believe in no more than 398. */
#define DAYS 365

#define DAY 86400

/* "git.example.org.pem"; a shell would find more in a star. */
#define FILE_MAX (CERTIFICATE_NAME_ROOM + sizeof ".pem")

static int tell_no_name(const char *name, FILE *err)
{
	char shown[DIAG_SHOWN_MAX];

	fprintf(err,
		"hatchd: '%s' is neither the name of a host, nor *.DOMAIN, nor an address\n",
		diag_shown(name, strlen(name), shown));
	return LOAD_MISTAKES;
}

static int name_file(char *const *names, char path[FILE_MAX], FILE *err)
{
	char name[CERTIFICATE_NAME_ROOM];

	for (size_t i = 0; names[i]; i++)
		if (certificate_read_name(names[i], name) < 0)
			return tell_no_name(names[i], err);
	certificate_read_name(names[0], name);
	if (name[0] == '*')
		name[0] = '_';
	snprintf(path, FILE_MAX, "%s.pem", name);
	return LOAD_OK;
}

/* Never into what is there, also not through a link. */
static int write_file(const char *path, const char *data, size_t len)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, data, len);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r < 0)
		unlink(path);
	return r;
}

static int tell_unmade(struct notary *notary, int r, FILE *err)
{
	const char *missing = notary_missing(notary);

	if (missing)
		fprintf(err, "hatchd: %s\n", missing);
	else
		fprintf(err, "hatchd: unable to ask %s: %s\n", TLS_PROGRAM_CERTIFICATE,
			notary_explain(r));
	return LOAD_UNKNOWN;
}

static int tell_unwritten(const char *path, int r, FILE *err)
{
	if (r == -EEXIST)
		fprintf(err, "hatchd: %s is there already, and is left as it is\n", path);
	else if (r < 0)
		fprintf(err, "hatchd: unable to write %s: %s\n", path, strerror(-r));
	return r < 0 ? LOAD_UNKNOWN : LOAD_OK;
}

static int make_file(const char *path, char *const *names, int64_t now, FILE *err)
{
	_cleanup_notary_ struct notary notary;
	size_t len = 0;
	char *data = NULL;
	int r;

	notary_init(&notary, NULL);
	r = notary_make(&notary, names, now, DAYS, &data, &len);
	if (r < 0)
		return tell_unmade(&notary, r, err);
	r = write_file(path, data, len);
	explicit_bzero(data, len);
	free(data);
	return tell_unwritten(path, r, err);
}

static void tell(const char *path, char *const *names, int64_t now, FILE *out)
{
	time_t end = (time_t)(now + (int64_t)DAYS * DAY);
	char day[32] = "";
	struct tm tm;

	if (gmtime_r(&end, &tm))
		strftime(day, sizeof day, "%Y-%m-%d", &tm);
	fprintf(out, "%s has a key and a certificate for", path);
	for (size_t i = 0; names[i]; i++)
		fprintf(out, "%s %s", i > 0 ? "," : "", names[i]);
	fprintf(out,
		"; it is valid until %s\n"
		"Nobody has signed it: clients have to be told that they can trust it.\n"
		"	hatchd -l 4433 --tls-certificate=%s -- tr a-z A-Z\n"
		"	openssl s_client -quiet -CAfile %s -connect localhost:4433\n",
		day, path, path);
}

int self_signed(char *const *names, int64_t now, FILE *out, FILE *err)
{
	char path[FILE_MAX];
	int status = name_file(names, path, err);

	if (status == LOAD_OK)
		status = make_file(path, names, now, err);
	if (status == LOAD_OK)
		tell(path, names, now, out);
	return status;
}
