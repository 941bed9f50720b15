/*
 * access-word: one element of only_from or no_access, or one line of a list file, to
 * the rules that it stands for.
 *
 *	192.0.2.7  10.0.0.0/8  2001:db8::/32	an address, a network
 *	10.0.0.0				xinetd: zeros at the end are any number
 *	10.1.{2,3}				xinetd: 10.1.2.0/24 and 10.1.3.0/24
 *	loopback				a network of networks(5)
 *	www.example.org  .example.org		a host, and all below a domain, by name
 *	unix  unix:uid=USER  unix:gid=GROUP	peers of UNIX sockets
 *	vsock  vsock:CID			virtual machines
 *	cert:CN=alice ...			who shows a certificate; see conf/access-cert
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_ACCESS_WORD_H
#define HATCHD_CONF_ACCESS_WORD_H

#include "conf/access-list.h"
#include "conf/identity.h"

/* Rules that are being gathered, and where they come from; and names of hosts and domains, and
 * rules about certificates, which are none of these: no address shows who has them. */
struct access_rules {
	struct access_rule *items;
	struct access_where *where;
	size_t n, size;
	char **names; /* patterns of base/hostname; of more than CONF_NAMES_MAX one more */
	size_t n_names;
	char **certs; /* of policy/cert; of more than CONF_CERTS_MAX one more */
	size_t n_certs;
};

void access_rules_done(struct access_rules *rules);

/* 0 or -ENOMEM. */
int access_rules_add(struct access_rules *rules, const struct access_rule *rule,
	const struct access_where *where);

/* The same for a name, and for a rule about certificates.  0 or -ENOMEM. */
int access_rules_add_name(struct access_rules *rules, const char *name);
int access_rules_add_cert(struct access_rules *rules, const char *cert);

/* What there is to say about a word; "" is nothing. */
struct access_remark {
	char text[320];
};

/*
 * Add the rules of a word, which allow, or the name or rule about certificates that it is;
 * whether these may stand there is the caller's to say.  0, with what to be warned of in
 * *remark; -EINVAL with what is wrong with it, -ENOENT with what the world lacks; -ENOMEM.
 */
int access_word_read(const char *word, struct identities *identities,
	const struct access_where *where, struct access_rules *rules,
	struct access_remark *remark);

#endif
