/* tls: what files say of TLS, what is read of certificates and keys, and where that goes. */
#include "conf-text.h"

#include "base/fd.h"
#include "conf/certificate.h"
#include "conf/diff.h"
#include "conf/image.h"
#include "conf/plan.h"
#include "conf/secrets.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* 2033-05-18; certificates are valid from then on for 100 days. */
#define NOW  INT64_C(2000000000)
#define DAY  86400
#define DAYS 100

static char folder[] = "/tmp/hatchd-tls-XXXXXX";

static struct build_context context(void)
{
	return (struct build_context){.uid = getuid(),
		.gid = getgid(),
		.environ = conf_text_environ,
		.cwd = folder,
		.now = NOW + DAY};
}

static void put_file(const char *name, const char *data, size_t len, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void put_text(const char *name, const char *text)
{
	put_file(name, text, strlen(text), 0600);
}

/* NAME.pem has both, NAME.key and NAME.crt one of them each. */
static void put_certificate(const char *name, const char *host)
{
	char *names[] = {(char *)host, NULL}, file[64], *pem = NULL;
	const char *crt;
	size_t len;

	assert_int_equal(certificate_make(names, NOW, DAYS, &pem, &len), 0);
	crt = memmem(pem, len, "-----BEGIN CERTIFICATE", 22);
	assert_non_null(crt);
	snprintf(file, sizeof file, "%s.pem", name);
	put_file(file, pem, len, 0600);
	snprintf(file, sizeof file, "%s.key", name);
	put_file(file, pem, (size_t)(crt - pem), 0600);
	snprintf(file, sizeof file, "%s.crt", name);
	put_file(file, crt, len - (size_t)(crt - pem), 0644);
	free(pem);
}

static int set_up(void **ctx)
{
	(void)ctx;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	put_certificate("web", "www.example.org");
	put_certificate("git", "*.example.org");
	return 0;
}

static int tear_down(void **ctx)
{
	char command[64];

	(void)ctx;
	assert_int_equal(chdir("/"), 0);
	snprintf(command, sizeof command, "rm -r %s", folder);
	return system(command);
}

static void load(struct conf_text *t, const char *text)
{
	const struct build_context world = context();

	assert_int_equal(conf_text_load(t, text, &world), 0);
}

static void load_good(struct conf_text *t, const char *text)
{
	load(t, text);
	assert_string_equal(conf_text_said(t, DIAG_ERROR), "");
	assert_string_equal(conf_text_said(t, DIAG_CONDITION), "");
	assert_string_equal(conf_text_said(t, DIAG_WARNING), "");
}

static struct tls_setup get_setup(const struct service_conf *service)
{
	struct tls_setup setup = {0};

	assert_non_null(service->tls_setup);
	assert_int_equal(tls_setup_read(service->tls_setup, service->tls_length, &setup), 0);
	return setup;
}

static bool has(const struct tls_bytes *bytes, const char *text)
{
	return memmem(bytes->data, bytes->len, text, strlen(text));
}

static int make_memfd(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	return fd;
}

#define WEB(more) \
	"service web { listen = 443 builtin = echo tls { certificate = web.pem " more " } }\n"

/* ----------------------------------------------------------------------- the setup */

static void test_setup(void **ctx)
{
	static const uint8_t zeros[TLS_TICKET_KEY_SIZE];
	const struct service_conf *service;
	struct tls_setup setup;
	struct conf_text t;

	(void)ctx;
	load_good(&t, WEB("alpn = { h2, http/1.1 } min_version = 1.3"));
	service = t.conf.services[0];
	assert_true(service_conf_has_tls(service));
	assert_true(service_conf_has_pending(service));
	assert_int_equal(service->tls_handshake_timeout, 5000000);
	assert_int_equal(service->tls_not_after, NOW + DAYS * DAY);
	setup = get_setup(service);
	assert_int_equal(setup.n_certificates, 1);
	assert_true(has(&setup.certificates[0].chain, "BEGIN CERTIFICATE"));
	assert_false(has(&setup.certificates[0].chain, "PRIVATE"));
	assert_true(has(&setup.certificates[0].key, "BEGIN PRIVATE KEY"));
	assert_false(has(&setup.certificates[0].key, "CERTIFICATE"));
	assert_int_equal(setup.min_version, TLS_VERSION_1_3);
	assert_string_equal(setup.alpn[0], "h2");
	assert_string_equal(setup.alpn[1], "http/1.1");
	assert_null(setup.alpn[2]);
	assert_int_equal(setup.n_names, 0);
	assert_false(setup.names_only);
	assert_memory_not_equal(setup.ticket_key, zeros, sizeof zeros);
	tls_setup_done(&setup);
	conf_text_done(&t);
}

static void test_key_apart(void **ctx)
{
	struct tls_setup setup;
	struct conf_text t;

	(void)ctx;
	load_good(&t, "service web { listen = 443 builtin = echo\n"
		      "tls { certificate = { web.crt, git.crt } key = { web.key, git.key } "
		      "session_tickets = no } }\n");
	setup = get_setup(t.conf.services[0]);
	assert_int_equal(setup.n_certificates, 2);
	assert_false(setup.session_tickets);
	for (size_t i = 0; i < sizeof setup.ticket_key; i++)
		assert_int_equal(setup.ticket_key[i], 0);
	tls_setup_done(&setup);
	conf_text_done(&t);
}

static void test_clients(void **ctx)
{
	struct tls_setup setup;
	struct conf_text t;

	(void)ctx;
	load_good(&t, WEB("ca = git.crt verify = required ciphers = "
			  "\"ECDHE+AESGCM\" ciphersuites = TLS_AES_128_GCM_SHA256"));
	setup = get_setup(t.conf.services[0]);
	assert_int_equal(setup.verify, TLS_VERIFY_REQUIRED);
	assert_true(has(&setup.ca, "BEGIN CERTIFICATE"));
	assert_string_equal(setup.ciphers, "ECDHE+AESGCM");
	assert_string_equal(setup.ciphersuites, "TLS_AES_128_GCM_SHA256");
	tls_setup_done(&setup);
	conf_text_done(&t);
}

/* What is random is no other setup; what is in the file is. */
static void test_digest(void **ctx)
{
	struct conf_text a, b, c, d;
	struct diff diff;

	(void)ctx;
	load_good(&a, WEB());
	load_good(&b, WEB());
	assert_memory_equal(a.conf.services[0]->tls_digest, b.conf.services[0]->tls_digest,
		CONF_TLS_DIGEST_LEN);
	assert_memory_not_equal(a.conf.services[0]->tls_setup, b.conf.services[0]->tls_setup,
		a.conf.services[0]->tls_length);
	load_good(&c, WEB("alpn = h2"));
	assert_memory_not_equal(a.conf.services[0]->tls_digest, c.conf.services[0]->tls_digest,
		CONF_TLS_DIGEST_LEN);

	put_certificate("web", "www.example.org");
	load_good(&d, WEB());
	assert_int_equal(diff_make(a.conf.services, 1, b.conf.services, 1, &diff), 0);
	assert_true(diff_is_empty(&diff));
	diff_done(&diff);
	assert_int_equal(diff_make(a.conf.services, 1, d.conf.services, 1, &diff), 0);
	assert_false(diff_is_empty(&diff));
	assert_false(diff_options_any(&diff.services[0].changed));
	assert_int_equal(diff.services[0].resolved, DIFF_TLS);
	assert_int_equal(diff.n_by_fate[DIFF_KEPT], 1);
	diff_done(&diff);
	conf_text_done(&a);
	conf_text_done(&b);
	conf_text_done(&c);
	conf_text_done(&d);
}

static char *plan(const struct conf_text *old, const struct conf_text *new)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(plan_print(&old->conf, &new->conf, out), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void test_plan(void **ctx)
{
	_cleanup_free_ char *renewed = NULL, *joined = NULL;
	struct conf_text before, after, apart, together;

	(void)ctx;
	load_good(&before, WEB());
	put_certificate("web", "www.example.org");
	load_good(&after, WEB());
	renewed = plan(&before, &after);
	assert_string_equal(renewed, "web: changed: other certificates or names of TLS\n"
				     "  kept     tcp:443\n1 kept\n");

	load_good(&apart, WEB() "service b { listen = 444 builtin = echo }\n");
	load_good(&together, WEB() "service b { listen = 443 builtin = echo\n"
				   "tls_name = www.example.org }\n");
	joined = plan(&apart, &together);
	assert_non_null(strstr(joined, "its clients come through TLS at service 'web' now"));
	assert_non_null(strstr(joined, "  closed   tcp:444\n"));
	assert_non_null(strstr(joined, "web: changed: other certificates or names of TLS\n"));
	conf_text_done(&before);
	conf_text_done(&after);
	conf_text_done(&apart);
	conf_text_done(&together);
}

/* ------------------------------------------------------------------- what is wrong */

static void assert_said(const char *text, enum diag_severity severity, const char *said)
{
	struct conf_text t;

	load(&t, text);
	if (!strstr(conf_text_said(&t, severity), said))
		fail_msg("of\n%s\nis said: %s", text, conf_text_said(&t, severity));
	if (severity != DIAG_ERROR)
		assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	conf_text_done(&t);
}

#define FILE_IS(name) \
	"service a { listen = 443 builtin = echo tls { certificate = \"" name "\" } }\n"

static void test_files(void **ctx)
{
	(void)ctx;
	put_text("empty.pem", "");
	put_text("text.pem", "hello\n");
	put_text(
		"broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	assert_said(FILE_IS("none.pem"), DIAG_CONDITION, "no file none.pem");
	assert_said(FILE_IS("/"), DIAG_CONDITION, "unable to read /: Is a directory");
	assert_said(FILE_IS("/dev/null"), DIAG_CONDITION, "/dev/null is not a regular file");
	assert_said(FILE_IS("empty.pem"), DIAG_CONDITION, "empty.pem is empty");
	assert_said(FILE_IS("text.pem"), DIAG_ERROR, "text.pem has no certificate in it");
	assert_said(FILE_IS("broken.pem"), DIAG_ERROR, "broken.pem has a certificate that is");
	assert_said(FILE_IS("web.key"), DIAG_ERROR, "web.key has no certificate in it");
	assert_said(FILE_IS("web.crt"), DIAG_ERROR, "web.crt has no key in it");
	assert_int_equal(truncate("empty.pem", TLS_CHAIN_MAX + TLS_KEY_MAX + 1), 0);
	assert_said(FILE_IS("empty.pem"), DIAG_CONDITION, "larger than what belongs in it");
}

#define PAIR(crt, key)                                                                   \
	"service a { listen = 443 builtin = echo tls { certificate = " crt " key = " key \
	" } }\n"

static void test_pairs(void **ctx)
{
	(void)ctx;
	assert_said(PAIR("web.crt", "git.key"), DIAG_ERROR,
		"git.key has a key that is not for the certificate");
	assert_said(PAIR("{ web.crt, git.crt }", "web.key"), DIAG_ERROR,
		"tls.key: 1 for 2 certificates");
	assert_said(PAIR("web.crt", "none.key"), DIAG_CONDITION, "no file none.key");
	assert_said(PAIR("\"\"", "web.key"), DIAG_ERROR, "the name of a file is empty");
	put_text("locked.key",
		"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
		"MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgNlxUIeU4+tQICCAAw\n"
		"DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEOjL4whG5RgpOqDwAhfHtzMEgZCp\n"
		"SCu4ro0wb0AfnArHk8u1oO7wZ0ZqD9OVHbNGZ1hLnB2D7mdU1mCLmd7tRyT5ZzdL\n"
		"-----END ENCRYPTED PRIVATE KEY-----\n");
	assert_said(PAIR("web.crt", "locked.key"), DIAG_ERROR, "locked.key has a key that is");
}

static void test_private(void **ctx)
{
	bool root = getuid() == 0;

	(void)ctx;
	assert_int_equal(chmod("web.pem", 0604), 0);
	assert_said(FILE_IS("web.pem"), DIAG_ERROR,
		"web.pem has a key, and everybody may read it; use chmod 600 web.pem");
	assert_int_equal(chmod("web.pem", 0620), 0);
	assert_said(FILE_IS("web.pem"), DIAG_ERROR, "its group may change it; use chmod 6");
	assert_int_equal(chmod("web.pem", 0640), 0);
	if (!root)
		assert_said(FILE_IS("web.pem"), DIAG_ERROR, "its group may read it");
	assert_int_equal(chmod("web.pem", 0400), 0);
	assert_said(FILE_IS("web.pem"), DIAG_ERROR, "");
	/* A certificate is for everybody. */
	assert_int_equal(chmod("web.crt", 0644), 0);
	assert_said(PAIR("web.crt", "web.key"), DIAG_WARNING, "");
	assert_int_equal(chmod("web.pem", 0600), 0);
}

static void assert_warned_at(int64_t now, const char *said)
{
	struct build_context world = context();
	struct conf_text t;

	world.now = now;
	assert_int_equal(conf_text_load(&t, FILE_IS("web.pem"), &world), 0);
	assert_string_equal(conf_text_said(&t, DIAG_WARNING), said);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	/* It is served all the same. */
	assert_true(t.conf.services[0]->tls_length > 0);
	conf_text_done(&t);
}

static void test_dates(void **ctx)
{
	const int64_t end = NOW + DAYS * DAY;

	(void)ctx;
	assert_warned_at(NOW, "");
	assert_warned_at(NOW - 1,
		"web.pem: the certificate is not valid before 2033-05-18; clients will "
		"refuse it");
	assert_warned_at(end - 14 * DAY, "");
	assert_warned_at(end - 14 * DAY + 1,
		"web.pem: the certificate is only valid until 2033-08-26, 13 days from now");
	assert_warned_at(end - 1,
		"web.pem: the certificate is only valid until 2033-08-26, less than a day from "
		"now");
	assert_warned_at(end,
		"web.pem: the certificate was valid until 2033-08-26; clients will refuse it");
}

static void test_words(void **ctx)
{
	(void)ctx;
	put_text("text.pem", "hello\n");
	assert_said(WEB("verify = required"), DIAG_ERROR, "whose certificates are good?");
	assert_said(WEB("ca = text.pem verify = optional"), DIAG_ERROR,
		"text.pem has no certificate in it");
	assert_said(WEB("ca = web.crt"), DIAG_WARNING, "tls.ca: has no effect without verify");
	assert_said(WEB("ciphers = NONSENSE"), DIAG_ERROR, "tls.ciphers: OpenSSL refuses");
	assert_said(WEB("ciphersuites = NONSENSE"), DIAG_ERROR,
		"tls.ciphersuites: OpenSSL refuses the list");
	assert_said(WEB("ciphers = HIGH min_version = 1.3"), DIAG_WARNING,
		"tls.ciphers: has no effect");
	assert_said(WEB("alpn = \"\""), DIAG_ERROR, "a protocol has 1 to 255 characters");
	assert_said(WEB("min_version = 1.1"), DIAG_ERROR, "'1.1' is not 1.2 or 1.3");
	assert_said("service a { listen = 1 builtin = echo tls { alpn = h2 } }\n", DIAG_ERROR,
		"tls.alpn: TLS needs a certificate");
	assert_said("service a { listen = 1 builtin = echo tls { } }\n", DIAG_ERROR,
		"section 'tls' is empty");
}

#define OF(what) "service a { " what " tls { certificate = web.pem } }\n"

static void test_places(void **ctx)
{
	(void)ctx;
	assert_said(OF("listen = { tcp:1, udp:127.0.0.1:1 } builtin = echo"), DIAG_ERROR,
		"tls.certificate: is for connections; leave out the datagram sockets");
	assert_said(OF("listen = unix:/run/x builtin = echo"), DIAG_ERROR,
		"tls.certificate: is for TCP");
	assert_said(
		OF("listen = 1 wait = yes exec = /bin/sh"), DIAG_ERROR, "leave out wait = yes");
	assert_said(OF("listen = 1 builtin = tcpmux"), DIAG_ERROR, "with builtin = tcpmux");
	assert_said(
		OF("listen = 1 builtin = echo tcpmux = yes"), DIAG_ERROR, "leave out tcpmux");
	assert_said(OF("listen = 1 builtin = echo banner = /etc/motd"), DIAG_ERROR,
		"banner: with tls the client speaks first");
	assert_said(
		OF("listen = 1 sensor = yes"), DIAG_WARNING, "has no effect with sensor = yes");
}

/* ------------------------------------------------------------------------ defaults */

static void test_defaults(void **ctx)
{
	const struct service_conf *const *s;
	struct conf_text t;

	(void)ctx;
	load(&t, "defaults { tls { certificate = web.pem handshake_timeout = 9s } }\n"
		 "service a { listen = 1 builtin = echo }\n"
		 "service b { listen = 2 builtin = echo tls { min_version = 1.3 } }\n"
		 "service c { listen = 3 builtin = echo tls { certificate = {} } }\n"
		 "service d { listen = udp:127.0.0.1:4 builtin = echo }\n");
	s = (const struct service_conf *const *)t.conf.services;
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	assert_non_null(strstr(conf_text_said(&t, DIAG_WARNING),
		"service 'd': tls of defaults has no effect there"));
	assert_true(service_conf_has_tls(s[0]) && s[0]->tls_setup);
	assert_int_equal(s[0]->tls_handshake_timeout, 9000000);
	assert_int_equal(s[1]->tls_min_version, TLS_VERSION_1_3);
	assert_int_equal(s[1]->tls_handshake_timeout, 9000000);
	assert_false(service_conf_has_tls(s[2]) || s[2]->tls_setup);
	assert_false(service_conf_has_tls(s[3]) || s[3]->tls_setup);
	conf_text_done(&t);
}

/* --------------------------------------------------------------------------- names */

static void assert_name(const struct tls_setup *setup, size_t i, const char *pattern,
	const char *alpn, const char *service)
{
	assert_true(i < setup->n_names);
	assert_string_equal(setup->names[i].pattern, pattern);
	assert_string_equal(setup->names[i].alpn, alpn);
	assert_string_equal(setup->names[i].service, service);
}

/* The first with a section of its own has the socket, wherever it stands. */
static const char shared[] =
	"service git { listen = 443 builtin = echo tls_name = GIT.example.org }\n"
	"service web { listen = 443 builtin = echo tls { certificate = web.pem alpn = h2 } }\n"
	"service many { listen = 443 builtin = echo tls_name = \"*.example.org\"\n"
	"	tls_alpn = { x, y } tls { certificate = git.pem } }\n";

static void test_names(void **ctx)
{
	struct tls_setup setup;
	struct conf_text t;

	(void)ctx;
	load_good(&t, shared);
	assert_string_equal(t.conf.services[0]->tls_host, "web");
	assert_int_equal(t.conf.services[0]->n_listen, 0);
	assert_false(service_conf_has_tls(t.conf.services[0]));
	assert_false(service_conf_has_tls(t.conf.services[2]));
	assert_null(t.conf.services[2]->tls_setup);
	setup = get_setup(t.conf.services[1]);
	assert_int_equal(setup.n_certificates, 2);
	assert_int_equal(setup.n_names, 4);
	assert_name(&setup, 0, "git.example.org", "", "git");
	assert_name(&setup, 1, "", "", "");
	assert_name(&setup, 2, "*.example.org", "x", "many");
	assert_name(&setup, 3, "*.example.org", "y", "many");
	assert_false(setup.names_only);
	assert_string_equal(setup.alpn[0], "h2");
	assert_string_equal(setup.alpn[1], "x");
	assert_string_equal(setup.alpn[2], "y");
	assert_null(setup.alpn[3]);
	tls_setup_done(&setup);
	conf_text_done(&t);
}

/* In the image, without reading it; and never through tcpmux. */
static void test_names_in_image(void **ctx)
{
	int image_fd = make_memfd(), secrets = make_memfd();
	struct service_conf *service;
	struct image *image;
	struct conf_text t;

	(void)ctx;
	load_good(&t, shared);
	assert_int_equal(secrets_write(&t.conf, -1, secrets), 0);
	assert_int_equal(image_write(&t.conf, image_fd), 0);
	assert_int_equal(image_open(image_fd, &image), 0);
	assert_int_equal(image_find_guest(image, "git", 0), 0);
	assert_int_equal(image_find_guest(image, "many", 0), 2);
	assert_int_equal(image_find_guest(image, "web", 0), 3);
	assert_int_equal(image_find_mux(image, "git", 0), 3);
	assert_int_equal(image_get(image, 2, &service), 0);
	assert_string_equal(service->tls_host, "web");
	assert_false(service_conf_has_tls(service));
	service_conf_free(service);
	image_free(image);
	close(secrets);
	conf_text_done(&t);
}

static void test_names_only(void **ctx)
{
	struct tls_setup setup;
	struct conf_text t;

	(void)ctx;
	load_good(&t, "service web { listen = 443 builtin = echo tls_name = www.example.org\n"
		      "	tls { certificate = web.pem } }\n");
	setup = get_setup(t.conf.services[0]);
	assert_int_equal(setup.n_names, 1);
	assert_name(&setup, 0, "www.example.org", "", "");
	assert_true(setup.names_only);
	tls_setup_done(&setup);
	conf_text_done(&t);
}

#define GUEST(what) WEB() "service b { builtin = echo " what " }\n"

static void test_names_wrong(void **ctx)
{
	(void)ctx;
	assert_said(GUEST("listen = 444 tls_name = x.example.org"), DIAG_ERROR,
		"tls_name: there is no TLS at this address");
	assert_said(
		GUEST("listen = 443"), DIAG_ERROR, "is an address of service 'web' already");
	assert_said(GUEST("listen = { 443, 444 } tls_name = www.example.org"), DIAG_ERROR,
		"services that share an address share all of them");
	assert_said(GUEST("listen = 443 tls_name = \"a..b\""), DIAG_ERROR,
		"tls_name: 'a..b' is neither a name");
	assert_said(
		GUEST("listen = 443 tls_name = \"a.*.b\""), DIAG_ERROR, "is neither a name");
	assert_said(GUEST("listen = 443 tls_name = {}"), DIAG_ERROR, "the name is missing");
	assert_said(GUEST("listen = 443 tls_name = { a.b, A.B }"), DIAG_ERROR,
		"a.b is given twice");
	assert_said(GUEST("listen = 443 tls_name = a.b") "service c { listen = 443 builtin = "
							 "echo tls_name = a.b }\n",
		DIAG_ERROR, "a.b is of service 'b' already");
	assert_said(GUEST("listen = 443 tls_name = a.b") "service c { listen = 443 builtin = "
							 "echo }\n",
		DIAG_ERROR, "service 'c' has the same address as 'web', and neither has");
	assert_said(GUEST("listen = 443 tls_name = a.b tls { verify = none }"), DIAG_ERROR,
		"tls.verify: TLS needs a certificate");
	assert_said(
		GUEST("listen = 443 tls_name = a.b tls { certificate = git.pem alpn = h2 }"),
		DIAG_ERROR, "tls.alpn: it belongs to service 'web'");
	assert_said(GUEST("listen = 443 tls_name = x.example.org backlog = 7"), DIAG_WARNING,
		"backlog: has no effect: the socket is that of service 'web'");
	assert_said(GUEST("listen = 443 tls_alpn = x"), DIAG_ERROR,
		"tls_alpn: clients that offer another protocol would be refused");
	assert_said(GUEST("listen = 443 tls_name = other.example.com"), DIAG_WARNING,
		"tls_name: no certificate is for other.example.com");
}

/* ------------------------------------------------------------------------- secrets */

static char *read_all(int fd, size_t *ret_len)
{
	char *data = NULL;

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(fd_read_all(fd, 1 << 24, &data, ret_len), 0);
	return data;
}

static const char two[] = WEB() "service plain { listen = 1 builtin = echo }\n"
				"service git { listen = 444 builtin = echo\n"
				"	tls { certificate = git.pem } }\n";

/* An image with its secrets, and what is in both. */
static void test_secrets(void **ctx)
{
	int image_fd = make_memfd(), secrets = make_memfd();
	_cleanup_free_ char *bytes = NULL, *secret = NULL;
	uint32_t offset = 0, length = 0;
	struct service_conf *service;
	struct tls_setup setup;
	struct image *image;
	struct conf_text t;
	size_t len;

	(void)ctx;
	load_good(&t, two);
	assert_int_equal(secrets_write(&t.conf, -1, secrets), 0);
	assert_int_equal(image_write(&t.conf, image_fd), 0);
	bytes = read_all(image_fd, &len);
	assert_null(memmem(bytes, len, "PRIVATE KEY", 11));
	assert_null(memmem(bytes, len, "BEGIN", 5));
	secret = read_all(secrets, &len);
	assert_non_null(memmem(secret, len, "PRIVATE KEY", 11));

	assert_int_equal(image_open(image_fd, &image), 0);
	assert_int_equal(image_secrets(image), -EBADF);
	assert_int_equal(image_take_secrets(image, secrets), 0);
	assert_int_equal(image_secrets(image), secrets);
	assert_false(image_setup(image, 1, &offset, &length));
	assert_true(image_setup(image, 2, &offset, &length));
	assert_int_equal(offset, t.conf.services[0]->tls_length);
	assert_int_equal(offset + length, len);
	assert_int_equal(image_find_setup(image, 0), 0);
	assert_int_equal(image_find_setup(image, 1), 2);
	assert_int_equal(image_find_setup(image, 2), 2);
	assert_int_equal(image_find_setup(image, 3), image_n_services(image));
	assert_int_equal(image_conf(image)->certificates_end, NOW + DAYS * DAY);
	assert_int_equal(tls_setup_read(secret + offset, length, &setup), 0);
	tls_setup_done(&setup);
	assert_int_equal(image_get(image, 2, &service), 0);
	assert_true(service_conf_has_tls(service));
	assert_int_equal(service->tls_not_after, NOW + DAYS * DAY);
	assert_memory_equal(
		service->tls_digest, t.conf.services[2]->tls_digest, CONF_TLS_DIGEST_LEN);
	service_conf_free(service);
	image_free(image);
	explicit_bzero(secret, len);
	conf_text_done(&t);
}

/* A service that stays has the same setup elsewhere. */
static void test_secrets_stay(void **ctx)
{
	int image_fd = make_memfd(), old = make_memfd(), new = make_memfd();
	_cleanup_free_ char *before = NULL, *after = NULL;
	struct conf in_force;
	struct conf_text t;
	size_t len, size;

	(void)ctx;
	load_good(&t, two);
	assert_int_equal(secrets_write(&t.conf, -1, old), 0);
	assert_int_equal(image_write(&t.conf, image_fd), 0);
	conf_text_done(&t);
	assert_int_equal(image_read(image_fd, &in_force), 0);
	before = read_all(old, &len);
	service_conf_free(in_force.services[0]);
	in_force.services[0] = in_force.services[--in_force.n_services];
	assert_int_equal(secrets_write(&in_force, old, new), 0);
	assert_int_equal(in_force.services[0]->tls_offset, 0);
	after = read_all(new, &size);
	assert_int_equal(size, in_force.services[0]->tls_length);
	assert_memory_equal(after, before + len - size, size);
	conf_done(&in_force);
	close(image_fd);
	close(old);
	close(new);
}

static void test_secrets_wrong(void **ctx)
{
	int image_fd = make_memfd(), secrets = make_memfd(), empty = make_memfd();
	struct conf_text t, none;
	struct image *image;
	struct conf nothing;

	(void)ctx;
	load_good(&t, two);
	load_good(&none, "service plain { listen = 1 builtin = echo }\n");
	conf_init(&nothing);
	/* Nowhere to put them. */
	assert_int_equal(secrets_write(&t.conf, -1, -1), -EINVAL);
	assert_int_equal(secrets_write(&none.conf, -1, -1), 0);
	assert_int_equal(secrets_write(&t.conf, -1, secrets), 0);
	assert_int_equal(image_write(&t.conf, image_fd), 0);
	assert_int_equal(image_open(image_fd, &image), 0);
	/* Those of another image, and some that can still change. */
	assert_int_equal(image_take_secrets(image, empty), -EPERM);
	assert_int_equal(secrets_write(&none.conf, -1, empty), 0);
	assert_int_equal(image_take_secrets(image, empty), -EBADMSG);
	close(empty);
	image_free(image);
	/* What is said to be in force has to be there. */
	free(t.conf.services[0]->tls_setup);
	t.conf.services[0]->tls_setup = NULL;
	empty = make_memfd();
	assert_int_equal(secrets_write(&t.conf, -1, empty), -EBADMSG);
	t.conf.services[0]->tls_offset = 1 << 20;
	assert_int_equal(secrets_write(&t.conf, secrets, empty), -EBADMSG);
	close(empty);
	close(secrets);
	conf_text_done(&t);
	conf_text_done(&none);
}

/* An image without TLS needs no descriptor for its secrets. */
static void test_no_secrets(void **ctx)
{
	int image_fd = make_memfd(), secrets = make_memfd();
	struct image *image;
	struct conf_text t;

	(void)ctx;
	load_good(&t, "service plain { listen = 1 builtin = echo }\n");
	assert_int_equal(secrets_write(&t.conf, -1, secrets), 0);
	assert_int_equal(image_write(&t.conf, image_fd), 0);
	assert_int_equal(image_open(image_fd, &image), 0);
	assert_int_equal(image_take_secrets(image, secrets), 0);
	assert_int_equal(image_secrets(image), -EBADF);
	assert_int_equal(image_find_setup(image, 0), 1);
	assert_int_equal(image_conf(image)->certificates_end, 0);
	assert_int_equal(fcntl(secrets, F_GETFD), -1);
	image_free(image);
	conf_text_done(&t);
}

/* --------------------------------------------------------------------- certificates */

static void test_cover(void **ctx)
{
	char *names[] = {"*.example.org", "10.0.0.1", "::1", "a.b", NULL};
	char *bad[] = {"a", "b,DNS:c", NULL}, *none[] = {NULL}, *pem = NULL;
	struct certificate *certificate;
	char why[CERTIFICATE_WHY_MAX];
	struct tls_bytes bytes;
	bool of_key;
	size_t len;

	(void)ctx;
	assert_int_equal(certificate_make(names, NOW, 1, &pem, &len), 0);
	bytes = (struct tls_bytes){(uint8_t *)pem, len};
	assert_int_equal(certificate_read(&bytes, &bytes, &certificate, &of_key, why), 0);
	assert_true(certificate_covers(certificate, "x.example.org"));
	assert_true(certificate_covers(certificate, "*.example.org"));
	assert_true(certificate_covers(certificate, "a.b"));
	assert_false(certificate_covers(certificate, "x.y.example.org"));
	assert_false(certificate_covers(certificate, "example.org"));
	assert_false(certificate_covers(certificate, "*.a.b"));
	assert_int_equal(certificate_begins(certificate), NOW);
	assert_int_equal(certificate_ends(certificate), NOW + DAY);
	certificate_free(certificate);
	free(pem);
	assert_int_equal(certificate_make(bad, NOW, 1, &pem, &len), -EINVAL);
	assert_int_equal(certificate_make(none, NOW, 1, &pem, &len), -EINVAL);
}

/* The key has to be that of the first. */
static void test_order(void **ctx)
{
	static const char command[] = "cat git.crt web.crt > chain.pem; cat web.crt git.crt > "
				      "order.pem; chmod 600 chain.pem order.pem";

	(void)ctx;
	assert_int_equal(system(command), 0);
	assert_said(PAIR("chain.pem", "web.key"), DIAG_ERROR,
		"web.key has a key that is for number 2 of the certificates");
	assert_said(PAIR("order.pem", "web.key"), DIAG_WARNING,
		"order.pem: the certificates are not in the order");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_setup),
		cmocka_unit_test(test_key_apart),
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_private),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_names_in_image),
		cmocka_unit_test(test_names_only),
		cmocka_unit_test(test_names_wrong),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_secrets_stay),
		cmocka_unit_test(test_secrets_wrong),
		cmocka_unit_test(test_no_secrets),
		cmocka_unit_test(test_cover),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
