#include "conf/tls-files.h"

#include "base/fd.h"
#include "conf/access-file.h"
#include "conf/merge.h"
#include "conf/place.h"
#include "conf/tls-names.h"
#include "policy/validity.h"

#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

struct look {
	struct service_conf *service;
	const struct build_context *context;
	struct memo *memo;
	struct notary *notary;
	struct report *report;
};

/* A file of it, and where it is named. */
struct pem_file {
	const struct origin *origin;
	char *path;  /* as a message shows it; owned */
	char *bytes; /* owned, wiped; NULL: not to be had, and told */
	size_t len;
};

static void pem_file_done(struct pem_file *file)
{
	free(file->path);
	if (file->bytes)
		explicit_bzero(file->bytes, file->len);
	free(file->bytes);
}
#define _cleanup_pem_file_ _cleanup_(pem_file_done)

static struct tls_bytes bytes_of(const struct pem_file *file)
{
	return (struct tls_bytes){(const uint8_t *)file->bytes, file->len};
}

/* It could not be asked, which is not the fault of the files.  Returns what it was given; who
 * has no memory says so elsewhere. */
static int tell_notary(const struct service_conf *service, int r, struct report *report)
{
	if (r < 0 && r != -ENOMEM)
		report_mistake(report, service_conf_origin(service, "tls.certificate"),
			"unable to ask %s: %s", TLS_PROGRAM_CERTIFICATE, notary_explain(r));
	return r;
}

/* ------------------------------------------------------------------------ reading */

static void tell_unreadable(const struct look *look, const struct pem_file *file, int error)
{
	struct service_conf *service = look->service;

	if (error == ENOENT)
		report_condition(look->report, service, file->origin, "no file %s", file->path);
	else if (error == ENOTSUP)
		report_condition(look->report, service, file->origin,
			"%s is not a regular file", file->path);
	else if (error == EFBIG)
		report_condition(look->report, service, file->origin,
			"%s is larger than what belongs in it", file->path);
	else
		report_condition(look->report, service, file->origin, "unable to read %s: %s",
			file->path, strerror(error));
}

/* Whoever can put another one in its place would speak in the name of the service. */
static bool others_may_replace(const struct look *look, const struct pem_file *file)
{
	const struct place_owners owners = {look->context->uid, look->context->gid};
	_cleanup_free_ char *where = NULL, *absolute = NULL;

	if (file->path[0] != '/' &&
		asprintf(&absolute, "%s/%s", look->context->cwd, file->path) < 0)
		absolute = NULL;
	if (!absolute && file->path[0] != '/')
		return false;
	if (!place_writable_by_others(
		    look->memo, NULL, absolute ? absolute : file->path, &owners, &where))
		return false;
	if (look->context->uid == 0)
		report_mistake(look->report, file->origin,
			"%s: others than root may write to %s", file->path,
			where ? where : file->path);
	else
		report_warning(look->report, file->origin,
			"%s: others than root and the user of hatchd may write to %s",
			file->path, where ? where : file->path);
	return look->context->uid == 0;
}

/*
 * Who has the key is the service.  A file of root's may be for a group, as those of
 * distributions are that give keys to a group of servers; any other one is its owner's alone.
 */
static bool key_is_private(const struct look *look, const struct pem_file *file, int fd)
{
	struct stat st;
	mode_t allowed;

	if (fstat(fd, &st) < 0)
		return true;
	allowed = st.st_uid == 0 ? 0740 : 0700;
	if ((st.st_mode & 0777 & ~allowed) == 0)
		return true;
	report_mistake(look->report, file->origin,
		"%s has a key, and %s may %s it; use chmod %s %s", file->path,
		st.st_mode & S_IRWXO ? "everybody" : "its group",
		st.st_mode & (S_IWOTH | S_IWGRP) ? "change" : "read",
		st.st_uid == 0 && !(st.st_mode & S_IRWXO) ? "640" : "600", file->path);
	return false;
}

static void drop(struct pem_file *file)
{
	explicit_bzero(file->bytes, file->len);
	free(file->bytes);
	file->bytes = NULL;
}

/* Of a certificate without one, that it has none is said later. */
static bool has_key(const struct pem_file *file)
{
	static const char mark[] = "PRIVATE KEY-----";

	return memmem(file->bytes, file->len, mark, sizeof mark - 1);
}

/* What may not be used is told, and dropped. */
static void judge_file(const struct look *look, struct pem_file *file, int fd, bool of_key)
{
	if (file->len == 0)
		report_condition(
			look->report, look->service, file->origin, "%s is empty", file->path);
	if (file->len == 0 || (of_key && has_key(file) && !key_is_private(look, file, fd)))
		drop(file);
}

/* Bytes of `file`, if it can be had.  0 or -ENOMEM. */
static int read_file(const struct look *look, struct pem_file *file, size_t max, bool of_key)
{
	_cleanup_close_ int fd = place_open_regular(file->path);
	int r = fd;

	if (r >= 0 && others_may_replace(look, file))
		return 0;
	if (r >= 0)
		r = fd_read_all(fd, max, &file->bytes, &file->len);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		tell_unreadable(look, file, -r);
	else
		judge_file(look, file, fd, of_key);
	return 0;
}

/* Relative to the file that names it, or at a command line to where that was typed. */
static int name_file(struct pem_file *file, const char *text, const struct origin *origin)
{
	file->origin = origin;
	file->path = access_file_path(text, origin);
	return file->path ? 0 : -ENOMEM;
}

/* ------------------------------------------------------------------ certificates */

/* The service is there all the same: who waits for a new one would be without any. */
static void check_dates(const struct look *look, const struct pem_file *file,
	const struct notary_reading *reading)
{
	int64_t begins = reading->begins, ends = reading->pem.ends;
	int64_t now = look->context->now;
	char day[VALIDITY_DAY_MAX], text[VALIDITY_TEXT_MAX];

	if (now < begins)
		report_warning(look->report, file->origin,
			"%s: the certificate is not valid before %s; clients will refuse it",
			file->path, validity_format_day(begins, day));
	else if (validity_judge(ends, now) != VALIDITY_GOOD)
		report_warning(look->report, file->origin, "%s: the certificate %s", file->path,
			validity_format(ends, now, text));
}

static void check_order(const struct look *look, const struct pem_file *file,
	const struct notary_reading *reading)
{
	if (!reading->in_order)
		report_warning(look->report, file->origin,
			"%s: the certificates are not in the order in which one signs the one "
			"before; clients may refuse them",
			file->path);
}

static void keep(struct service_conf *service, struct notary_reading *reading)
{
	service->tls_pems[service->n_tls_pems++] = reading->pem;
	reading->pem = (struct tls_pem){0};
}

static int judge(
	const struct look *look, const struct pem_file *chain, const struct pem_file *key)
{
	_cleanup_notary_reading_ struct notary_reading reading = {0};
	const struct tls_bytes chain_bytes = bytes_of(chain), key_bytes = bytes_of(key);
	int r;

	r = notary_read(look->notary, &chain_bytes, &key_bytes, &reading);
	if (r == -EINVAL) {
		const struct pem_file *file = reading.of_key ? key : chain;

		report_mistake(look->report, file->origin, "%s %s", file->path, reading.why);
		return 0;
	}
	if (r < 0)
		return tell_notary(look->service, r, look->report);
	check_dates(look, chain, &reading);
	check_order(look, chain, &reading);
	keep(look->service, &reading);
	return 0;
}

/* Certificate `i` with its key. */
static int read_pair(const struct look *look, size_t i)
{
	struct service_conf *service = look->service;
	bool apart = strv_length(service->tls_key) > 0;
	_cleanup_pem_file_ struct pem_file chain = {0}, key = {0};
	int r;

	r = name_file(&chain, service->tls_certificate[i], &service->tls_certificate_at[i]);
	if (r == 0)
		r = read_file(look, &chain, TLS_CHAIN_MAX + TLS_KEY_MAX, !apart);
	if (r == 0 && apart)
		r = name_file(&key, service->tls_key[i], &service->tls_key_at[i]);
	if (r == 0 && apart)
		r = read_file(look, &key, TLS_KEY_MAX, true);
	if (r < 0 || !chain.bytes || (apart && !key.bytes))
		return r;
	return judge(look, &chain, apart ? &key : &chain);
}

static int read_ca(const struct look *look)
{
	struct service_conf *service = look->service;
	_cleanup_pem_file_ struct pem_file file = {0};
	char why[CERTIFICATE_WHY_MAX];
	struct tls_bytes bytes;
	int r, n;

	if (!service->tls_ca || service->tls_verify == TLS_VERIFY_NONE)
		return 0;
	r = name_file(&file, service->tls_ca, service_conf_origin(service, "tls.ca"));
	if (r == 0)
		r = read_file(look, &file, TLS_CA_MAX, false);
	if (r < 0 || !file.bytes)
		return r;
	bytes = bytes_of(&file);
	n = notary_count(look->notary, &bytes, why);
	if (n == 0)
		report_mistake(look->report, file.origin, "%s %s", file.path, why);
	if (n <= 0)
		return tell_notary(service, n, look->report);
	service->tls_ca_pem = take_ptr(file.bytes);
	service->tls_ca_pem_len = file.len;
	return 0;
}

/* ------------------------------------------------------------------------- trying */

static struct tls_certificate pem_of(const struct tls_pem *pem)
{
	return (struct tls_certificate){
		.chain = {(const uint8_t *)pem->chain, pem->chain_len},
		.key = {(const uint8_t *)pem->key, pem->key_len},
	};
}

static void tell_refused(const struct look *look, int refused, size_t which, const char *why)
{
	static const char *const options[] = {
		[REFUSED_CIPHERS] = "tls.ciphers",
		[REFUSED_CIPHERSUITES] = "tls.ciphersuites",
	};
	const struct service_conf *service = look->service;

	if (refused == REFUSED_CERTIFICATE)
		report_mistake(look->report, &service->tls_certificate_at[which],
			"%s: the certificate cannot be used: %s",
			service->tls_certificate[which], why);
	else if (refused != REFUSED_NOTHING)
		report_mistake(look->report, service_conf_origin(service, options[refused]),
			"%s: OpenSSL refuses the list: %s", options[refused], why);
}

/* What can be read may still be too weak for the library, or a cipher unknown to it. */
static int try_all(const struct look *look)
{
	struct service_conf *service = look->service;
	_cleanup_free_ struct tls_certificate *pems =
		calloc(service->n_tls_pems + 1, sizeof *pems);
	struct tls_setup setup = {.certificates = pems, .n_certificates = service->n_tls_pems};
	char why[CERTIFICATE_WHY_MAX];
	size_t which = 0;
	int r;

	if (!pems)
		return -ENOMEM;
	for (size_t i = 0; i < service->n_tls_pems; i++)
		pems[i] = pem_of(&service->tls_pems[i]);
	setup.ciphers = service->tls_ciphers;
	setup.ciphersuites = service->tls_ciphersuites;
	r = notary_try(look->notary, &setup, &which, why);
	if (r > 0)
		tell_refused(look, r, which, why);
	return r < 0 ? tell_notary(service, r, look->report) : 0;
}

/* It waits as others wait for a program. */
static bool is_installed(const struct look *look)
{
	const char *missing = notary_missing(look->notary);

	if (missing)
		report_condition(look->report, look->service,
			service_conf_origin(look->service, "tls.certificate"), "%s", missing);
	return !missing;
}

int tls_files_read(const struct tls_files *files, struct service_conf *service)
{
	const struct look look = {
		.service = service,
		.context = files->context,
		.memo = files->memo,
		.notary = files->notary,
		.report = files->report,
	};
	size_t n = strv_length(service->tls_certificate);
	int r = 0;

	if (!service_conf_has_tls(service) && !service->tls_adds)
		return 0;
	if (!is_installed(&look))
		return 0;
	service->tls_pems = calloc(n + 1, sizeof *service->tls_pems);
	if (!service->tls_pems)
		return -ENOMEM;
	for (size_t i = 0; i < n && r == 0; i++)
		r = read_pair(&look, i);
	if (r == 0)
		r = read_ca(&look);
	/* What is missing is told, and which is which would not be known. */
	if (r == 0 && service->n_tls_pems == n)
		r = try_all(&look);
	return r;
}

/* ---------------------------------------------------------------------- composing */

/* A setup with what it is made of. */
struct composed {
	struct tls_setup setup;
	struct tls_certificate *pems;
	int64_t ends;
};

static void composed_done(struct composed *c)
{
	tls_names_done(&c->setup);
	free(c->pems);
	explicit_bzero(c->setup.ticket_key, sizeof c->setup.ticket_key);
}

static void add_pems(struct composed *c, const struct service_conf *service)
{
	for (size_t i = 0; i < service->n_tls_pems; i++) {
		const struct tls_pem *pem = &service->tls_pems[i];

		if (c->setup.n_certificates == TLS_CERTIFICATES_MAX)
			return;
		c->pems[c->setup.n_certificates++] = pem_of(pem);
		if (c->ends == 0 || pem->ends < c->ends)
			c->ends = pem->ends;
	}
}

static bool is_guest_of(const struct service_conf *service, const struct service_conf *host)
{
	return service->tls_host && !service->disable &&
	       strcmp(service->tls_host, host->name) == 0;
}

static int gather(const struct conf *conf, const struct service_conf *host, struct composed *c)
{
	struct tls_setup *setup = &c->setup;

	c->pems = calloc(TLS_CERTIFICATES_MAX, sizeof *c->pems);
	if (!c->pems)
		return -ENOMEM;
	setup->certificates = c->pems;
	add_pems(c, host);
	for (size_t i = 0; i < conf->n_services && host->n_tls_guests > 0; i++)
		if (is_guest_of(conf->services[i], host))
			add_pems(c, conf->services[i]);
	setup->ca = (struct tls_bytes){(const uint8_t *)host->tls_ca_pem, host->tls_ca_pem_len};
	setup->verify = (enum tls_verify)host->tls_verify;
	setup->min_version = (enum tls_version)host->tls_min_version;
	setup->ciphers = host->tls_ciphers;
	setup->ciphersuites = host->tls_ciphersuites;
	setup->session_tickets = host->tls_session_tickets;
	return tls_names_make(conf, host, setup);
}

static void put_text(struct wire_writer *wire, const char *text)
{
	wire_put_string(wire, text ? text : "");
}

/* Who has shaken hands under the one need not have done so under another one.  A renewed
 * certificate makes no difference. */
static void write_trust(const struct tls_setup *setup, struct wire_writer *wire)
{
	wire_put_u32(wire, setup->verify);
	wire_put_u32(wire, setup->min_version);
	wire_put_raw(wire, setup->ca.data, setup->ca.len);
	put_text(wire, setup->ciphers);
	put_text(wire, setup->ciphersuites);
}

static int digest_both(const struct tls_files *files, const struct wire_writer *whole,
	const struct wire_writer *trust, struct service_conf *host)
{
	const struct tls_bytes both[] = {{whole->data, whole->len}, {trust->data, trust->len}};
	uint8_t digests[2][CERTIFICATE_DIGEST_LEN];
	int r = notary_digest(files->notary, both, digests);

	if (r < 0)
		return tell_notary(host, r, files->report);
	memcpy(host->tls_digest, digests[0], sizeof host->tls_digest);
	memcpy(host->tls_trust, digests[1], sizeof host->tls_trust);
	return 0;
}

/* What tells it from others does not depend on the key, which is another one each time. */
static int digest(
	const struct tls_files *files, const struct tls_setup *setup, struct service_conf *host)
{
	struct wire_writer whole, trust;
	int r;

	wire_writer_init_secret(&whole);
	wire_writer_init(&trust);
	write_trust(setup, &trust);
	r = tls_setup_write(setup, &whole);
	if (r == 0)
		r = trust.error;
	if (r == 0)
		r = digest_both(files, &whole, &trust, host);
	wire_writer_done(&whole);
	wire_writer_done(&trust);
	return r;
}

static int make_ticket_key(struct tls_setup *setup)
{
	ssize_t n;

	if (!setup->session_tickets)
		return 0;
	/* As many bytes are never given in part once there are any. */
	n = getrandom(setup->ticket_key, sizeof setup->ticket_key, 0);
	if (n < 0)
		return -errno;
	return n == (ssize_t)sizeof setup->ticket_key ? 0 : -EIO;
}

static int write_setup(const struct tls_setup *setup, struct service_conf *host)
{
	struct wire_writer wire;
	int r;

	wire_writer_init_secret(&wire);
	r = tls_setup_write(setup, &wire);
	if (r < 0) {
		wire_writer_done(&wire);
		return r;
	}
	host->tls_setup = wire.data;
	host->tls_length = (uint32_t)wire.len;
	return 0;
}

/* A name that clients are said to ask for, and where that is said. */
struct said {
	char **names;             /* owned, as are the patterns; up to a NULL */
	const struct origin **at; /* owned */
	size_t n;
};

static void said_done(struct said *said)
{
	strv_free(said->names);
	free(said->at);
}

/* One that cannot be read has been told. */
static int add_said(struct said *said, const struct service_conf *service)
{
	char pattern[HOSTNAME_ROOM + 2];

	for (size_t i = 0; service->tls_name && service->tls_name[i]; i++) {
		const struct origin **at = reallocarray(said->at, said->n + 1, sizeof *at);

		if (!at)
			return -ENOMEM;
		said->at = at;
		if (tls_names_read(service->tls_name[i], pattern) < 0)
			continue;
		if (strv_add(&said->names, pattern) < 0)
			return -ENOMEM;
		said->at[said->n++] = &service->tls_name_at[i];
	}
	return 0;
}

static int list_said(
	const struct conf *conf, const struct service_conf *host, struct said *said)
{
	int r = add_said(said, host);

	for (size_t i = 0; i < conf->n_services && host->n_tls_guests > 0 && r == 0; i++)
		if (is_guest_of(conf->services[i], host))
			r = add_said(said, conf->services[i]);
	return r;
}

/* A client that asks for it gets another certificate, and does not like that. */
static int check_names(const struct tls_files *files, const struct conf *conf,
	const struct service_conf *host, const struct tls_setup *setup)
{
	_cleanup_(said_done) struct said said = {0};
	_cleanup_free_ bool *covered = NULL;
	int r = list_said(conf, host, &said);

	if (r < 0 || said.n == 0)
		return r;
	covered = calloc(said.n, sizeof *covered);
	if (!covered)
		return -ENOMEM;
	r = notary_cover(files->notary, setup, said.names, covered);
	if (r < 0)
		return tell_notary(host, r, files->report);
	for (size_t i = 0; i < said.n; i++)
		if (!covered[i])
			report_warning(files->report, said.at[i],
				"tls_name: no certificate is for %s; clients will refuse it",
				said.names[i]);
	return 0;
}

static int compose(
	const struct tls_files *files, const struct conf *conf, struct service_conf *host)
{
	_cleanup_(composed_done) struct composed c = {0};
	int r;

	r = gather(conf, host, &c);
	if (r < 0)
		return r;
	r = check_names(files, conf, host, &c.setup);
	if (r == 0)
		r = digest(files, &c.setup, host);
	if (r == 0)
		r = make_ticket_key(&c.setup);
	if (r == 0)
		r = write_setup(&c.setup, host);
	host->tls_not_after = c.ends;
	return r;
}

int tls_files_compose(const struct tls_files *files, struct conf *conf)
{
	int r = 0;

	for (size_t i = 0; i < conf->n_services && r == 0; i++) {
		struct service_conf *service = conf->services[i];

		if (!service->disable && !service->condition && service->n_tls_pems > 0 &&
			service_conf_has_tls(service))
			r = compose(files, conf, service);
	}
	return r;
}
