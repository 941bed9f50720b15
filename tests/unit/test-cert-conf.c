/* cert-conf: rules about the certificates of clients, from their words to what the master
 * gets. */
#include "conf-text.h"

#include "conf/access-cert.h"
#include "conf/certificate.h"
#include "conf/diff.h"
#include "conf/image.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

#define TLS(verify) "tls { certificate = web.pem ca = web.pem verify = " verify " }\n"
#define ONE(name, port, rest) \
	"service " name " {\nlisten = " port "\nbuiltin = echo\n" rest "\n}\n"
#define RULES(rules) ONE("a", "1", "only_from = " rules "\n" TLS("required"))

static char folder[] = "/tmp/hatchd-cert-conf-XXXXXX";

static void put(const char *name, const char *text, size_t len)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

static void put_list(const char *text)
{
	put("list", text, strlen(text));
}

static int set_up(void **ctx)
{
	char *names[] = {(char *)"www.example.org", NULL}, *pem = NULL;
	size_t len;

	(void)ctx;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(certificate_make(names, 2000000000, 100, &pem, &len), 0);
	put("web.pem", pem, len);
	free(pem);
	return 0;
}

static int tear_down(void **ctx)
{
	(void)ctx;
	unlink("web.pem");
	unlink("list");
	assert_int_equal(chdir("/"), 0);
	return rmdir(folder);
}

static void load(struct conf_text *t, const char *text)
{
	const struct build_context world = {.uid = geteuid(),
		.gid = getegid(),
		.environ = conf_text_environ,
		.cwd = folder,
		.now = 2000000000 + 86400};

	assert_int_equal(conf_text_load(t, text, &world), 0);
}

static void load_good(struct conf_text *t, const char *text)
{
	load(t, text);
	assert_string_equal(conf_text_said(t, DIAG_ERROR), "");
	assert_string_equal(conf_text_said(t, DIAG_WARNING), "");
	assert_string_equal(conf_text_said(t, DIAG_CONDITION), "");
}

static void assert_certs(const struct service_conf *service, const char *want)
{
	char got[1024] = "";

	for (char **cert = service->certs; cert && *cert; cert++) {
		strcat(got, *cert);
		strcat(got, "|");
	}
	assert_string_equal(got, want);
}

/* ------------------------------------------------------------------------- words */

static void is_read(const char *word, const char *want)
{
	char rule[CERT_RULE_MAX + 1];
	const char *why;

	assert_true(access_names_cert(word));
	assert_int_equal(access_cert_read(word, rule, &why), 0);
	assert_string_equal(rule, want);
	assert_true(cert_is_rule(rule));
	/* In that spelling it is the same again. */
	assert_int_equal(access_cert_read(want, rule, &why), 0);
	assert_string_equal(rule, want);
}

static void is_none(const char *word)
{
	char rule[CERT_RULE_MAX + 1] = "untouched";
	const char *why = NULL;

	assert_int_equal(access_cert_read(word, rule, &why), -EINVAL);
	assert_string_equal(rule, "untouched");
	assert_non_null(why);
}

static void test_words(void **ctx)
{
	char text[CERT_RULE_MAX + 2] = "cert:URI:";

	(void)ctx;
	is_read("cert:*", "cert:*");
	is_read("cert:CN=Alice Smith", "cert:CN=Alice Smith");
	is_read("cert:DNS:Host.Example.org.", "cert:DNS:host.example.org");
	is_read("cert:DNS:*.Example.org", "cert:DNS:*.example.org");
	is_read("cert:DNS:.Example.org", "cert:DNS:.example.org");
	is_read("cert:email:Alice@Example.org", "cert:email:Alice@Example.org");
	is_read("cert:IP:2001:DB8:0::7", "cert:IP:2001:db8::7");
	is_read("cert:IP:::FFFF:10.0.0.1", "cert:IP:::ffff:10.0.0.1");
	is_read("cert:SHA256:00:11:22:33:44:55:66:77:88:99:AA:bb:CC:DD:EE:FF:"
		"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF",
		"cert:SHA256:" HASH);
	memset(text + 9, 'a', CERT_RULE_MAX - 9);
	is_read(text, text);
	text[CERT_RULE_MAX] = 'a';
	is_none(text);
	is_none("cert:SHA256:" HASH "0");
	is_none("cert:SHA256:" HASH ":");
	is_none("cert:CN=\377");
	is_none("cert:IP:10.0.0");
	is_none("cert:DNS:*");
	assert_false(access_names_cert("cert"));
	assert_false(access_names_cert("Cert:CN=a"));
}

static void test_rules(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	load_good(
		&t, RULES("{ 10.0.0.0/8, \"cert:CN=Alice Smith\", cert:DNS:A.b, \"cert:*\" }"));
	assert_certs(t.conf.services[0], "cert:CN=Alice Smith|cert:DNS:a.b|cert:*|");
	assert_null(t.conf.services[0]->names);
	conf_text_done(&t);

	/* Only certificates: the list of addresses keeps everybody out. */
	load_good(&t, RULES("\"cert:CN=alice\""));
	assert_true(service_conf_has_access(t.conf.services[0]));
	assert_true(service_conf_asks_certificates(t.conf.services[0]));
	conf_text_done(&t);
}

static void test_lists(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	put_list("# friends\ncert:CN=bob # one\n10.0.0.1\n\ncert:DNS:.C.d\n");
	load_good(&t, RULES("{ \"cert:CN=a\", file:list, \"cert:CN=e\" }"));
	assert_certs(t.conf.services[0], "cert:CN=a|cert:CN=bob|cert:DNS:.c.d|cert:CN=e|");
	conf_text_done(&t);

	/* Nothing else is a list as well, and not one that lists nobody. */
	put_list("cert:CN=bob\n");
	load_good(&t, RULES("file:list"));
	assert_certs(t.conf.services[0], "cert:CN=bob|");
	conf_text_done(&t);

	/* Names in it are judged beside them. */
	put_list("cert:CN=bob\na.example\n");
	load(&t, RULES("file:list"));
	assert_string_equal(conf_text_said(&t, DIAG_ERROR),
		"'a.example' is the name of a host; those need resolve = yes");
	conf_text_done(&t);
}

static void test_most(void **ctx)
{
	char text[32 * (CONF_CERTS_MAX + 1)];
	struct conf_text t;

	(void)ctx;
	for (int extra = 0; extra <= 1; extra++) {
		size_t used = (size_t)snprintf(text, sizeof text,
			"service a {\nlisten = 1\nbuiltin = echo\n" TLS(
				"optional") "only_from = { ::1");

		for (int i = 0; i < CONF_CERTS_MAX + extra; i++)
			used += (size_t)snprintf(
				text + used, sizeof text - used, ", \"cert:CN=%d\"", i);
		snprintf(text + used, sizeof text - used, " }\n}\n");
		load(&t, text);
		assert_string_equal(conf_text_said(&t, DIAG_ERROR),
			extra ? "service 'a' has more than 256 rules about certificates" : "");
		if (!extra)
			assert_int_equal(
				strv_length(t.conf.services[0]->certs), CONF_CERTS_MAX);
		conf_text_done(&t);
	}
}

/* ------------------------------------------------------------------- where they stand */

#define WORDS "only_from = { 10.0.0.0/8, \"cert:CN=a\" }\n"

/* What is made of the same words is shared, and each service has it for itself. */
static void test_shared(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	load_good(&t, ONE("a", "1", WORDS TLS("required")) ONE("b", "2", WORDS TLS("optional"))
			      ONE("c", "3", "only_from = 10.0.0.0/8"));
	assert_certs(t.conf.services[0], "cert:CN=a|");
	assert_certs(t.conf.services[1], "cert:CN=a|");
	assert_null(t.conf.services[2]->certs);
	assert_ptr_equal(t.conf.services[0]->access, t.conf.services[1]->access);
	conf_text_done(&t);

	load(&t, ONE("a", "1", WORDS TLS("required")) ONE("b", "2",
			 "proxy_protocol = required\n"
			 "proxy_from = { 10.0.0.0/8, \"cert:CN=a\" }\n" TLS("required")));
	assert_string_equal(conf_text_said(&t, DIAG_ERROR),
		"proxy_from: 'cert:CN=a' is about a certificate; a proxy is known by its "
		"address, since its header comes before certificates are shown");
	conf_text_done(&t);
}

/* What `defaults` give is left out where nobody would be asked for a certificate. */
static void test_defaults(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	load(&t,
		"defaults {\n" WORDS "}\n" ONE("a", "1", "") ONE("b", "2", TLS("required")) ONE(
			"c", "3", "tls { certificate = web.pem }") "service trap {\nlisten = "
								   "4\nsensor = yes\n}\n");
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	assert_int_equal(t.diags.n_by_severity[DIAG_WARNING], 2);
	assert_null(t.conf.services[0]->certs);
	assert_certs(t.conf.services[1], "cert:CN=a|");
	assert_null(t.conf.services[2]->certs);
	assert_null(t.conf.services[3]->certs);
	for (size_t i = 0; i < t.conf.n_services; i++)
		assert_true(service_conf_has_access(t.conf.services[i]));
	conf_text_done(&t);
}

/* The section of the host counts, wherever that stands. */
static void test_guest(void **ctx)
{
	static const char guest[] = ONE("git", "1", "tls_name = a.b\n" WORDS);
	char text[1024];
	struct conf_text t;

	(void)ctx;
	snprintf(text, sizeof text, "%s%s", guest, ONE("web", "1", TLS("optional")));
	load(&t, text);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	assert_certs(t.conf.services[0], "cert:CN=a|");
	assert_true(service_conf_asks_certificates(t.conf.services[0]));
	conf_text_done(&t);

	snprintf(text, sizeof text, "%s%s", guest,
		ONE("web", "1", "tls { certificate = web.pem }"));
	load(&t, text);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR),
		"only_from: nobody is asked for a certificate; write verify = required, or "
		"optional, and ca = FILE in tls of the service that has the socket");
	conf_text_done(&t);
}

/* A mistake in what decides is told alone, and so is what keeps all rules from being kept. */
static void test_mistakes(void **ctx)
{
	static const char *const texts[] = {
		ONE("a", "1", WORDS "tls { certificate = web.pem verify = perhaps }"),
		ONE("a", "1", WORDS "tls_name = a.b"),
		ONE("a", "1", WORDS "tsl { certificate = web.pem }"),
	};

	struct conf_text t;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		load(&t, texts[i]);
		assert_int_equal(t.diags.n_by_severity[DIAG_ERROR], 1);
		assert_null(strstr(conf_text_said(&t, DIAG_ERROR), "only_from"));
		conf_text_done(&t);
	}
	load(&t, "service a {\nlisten = 1\nexec = /bin/true\nwait = yes\nuser = nobody\n" WORDS
		 "}");
	assert_int_equal(t.diags.n_by_severity[DIAG_ERROR], 1);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR),
		"only_from: cannot be kept with wait = yes: the program takes its clients "
		"itself");
	conf_text_done(&t);
	load(&t, "service a {\nlisten = udp:1\nexec = /bin/true\nwait = yes\nuser = "
		 "nobody\n" WORDS "}");
	assert_string_equal(conf_text_said(&t, DIAG_ERROR),
		"only_from: a certificate is shown in TLS, which is not spoken there; write "
		"tls { certificate = FILE ca = FILE verify = required }");
	conf_text_done(&t);
}

/* ------------------------------------------------------------------------- after it */

static unsigned resolved_of(struct conf_text *old, struct conf_text *new)
{
	unsigned resolved;
	struct diff diff;

	assert_int_equal(diff_make(old->conf.services, old->conf.n_services, new->conf.services,
				 new->conf.n_services, &diff),
		0);
	assert_int_equal(diff.n_services, 1);
	assert_false(diff_options_any(&diff.services[0].changed));
	resolved = diff.services[0].resolved;
	diff_done(&diff);
	return resolved;
}

static void test_list_changes(void **ctx)
{
	struct conf_text old, same, other;

	(void)ctx;
	put_list("cert:DNS:a.b\n");
	load_good(&old, RULES("file:list"));
	put_list("# A comment\ncert:DNS:A.b.\n");
	load_good(&same, RULES("file:list"));
	put_list("cert:DNS:.a.b\n");
	load_good(&other, RULES("file:list"));
	assert_int_equal(resolved_of(&old, &same), 0);
	assert_int_equal(resolved_of(&old, &other), DIFF_ACCESS);
	conf_text_done(&old);
	conf_text_done(&same);
	conf_text_done(&other);
}

/* Of the first service, as the master gets it. */
static int write_and_read(const struct conf *conf, struct service_conf **ret)
{
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING), r;
	struct image *image;

	assert_true(fd >= 0);
	assert_int_equal(image_write(conf, fd), 0);
	assert_int_equal(image_open(fd, &image), 0);
	r = image_get(image, 0, ret);
	image_free(image);
	return r;
}

static void test_image(void **ctx)
{
	char *none[] = {NULL}, *odd[] = {(char *)"cert:O=a", NULL},
	     *capital[] = {(char *)"cert:DNS:A", NULL}, *many[CONF_CERTS_MAX + 2] = {0},
	     **certs;
	struct service_conf *got, *service;
	struct conf_text t;

	(void)ctx;
	for (size_t i = 0; i <= CONF_CERTS_MAX; i++)
		many[i] = (char *)"cert:*";
	load_good(&t, RULES("{ \"cert:CN=alice\", \"cert:*\" }"));
	service = t.conf.services[0];
	certs = service->certs;
	assert_int_equal(write_and_read(&t.conf, &got), 0);
	assert_true(strv_equal(got->certs, certs));
	service_conf_free(got);

	service->certs = odd;
	assert_int_equal(write_and_read(&t.conf, &got), -EBADMSG);
	service->certs = capital;
	assert_int_equal(write_and_read(&t.conf, &got), -EBADMSG);
	service->certs = many;
	assert_int_equal(write_and_read(&t.conf, &got), -EBADMSG);
	many[CONF_CERTS_MAX] = NULL;
	assert_int_equal(write_and_read(&t.conf, &got), 0);
	service_conf_free(got);
	service->certs = none;
	assert_int_equal(write_and_read(&t.conf, &got), 0);
	assert_null(got->certs);
	service_conf_free(got);

	/* Nobody would be asked for one. */
	service->certs = certs;
	service->tls_verify = TLS_VERIFY_NONE;
	assert_int_equal(write_and_read(&t.conf, &got), -EBADMSG);
	service->tls_verify = TLS_VERIFY_OPTIONAL;
	memset(service->access_digest, 0, sizeof service->access_digest);
	service->access = access_list_release(service->access);
	assert_int_equal(write_and_read(&t.conf, &got), -EBADMSG);
	conf_text_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_most),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_guest),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_list_changes),
		cmocka_unit_test(test_image),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
