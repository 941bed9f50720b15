/*
 * conf: the configuration, complete and immutable (invariant I7).
 *
 * Made by the loader from files or from a command line, carried to the master
 * in a memfd (conf/image), and never changed there.  Runtime objects point
 * here, never the other way round.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_CONF_H
#define HATCHD_CONF_CONF_H

#include "base/addr.h"
#include "base/builtin.h"
#include "base/strv.h"
#include "base/tls.h"
#include "conf/access-list.h"
#include "conf/diag.h"
#include "conf/options.h"
#include "policy/hours.h"
#include "policy/limit.h"
#include "policy/wrappers.h"

#include <sys/types.h>

/* A count, or a load average, without a limit. */
#define COUNT_UNLIMITED UINT32_MAX

/* A time without a limit. */
#define DURATION_UNLIMITED UINT64_MAX

/* Most options that the table may have; bits of service_conf.given. */
#define CONF_OPTIONS_MAX 192

/* Most addresses, after ranges are expanded, of one service. */
#define CONF_LISTEN_MAX 65536

/* Most sockets that one child can be given (pass_as = listen_fds). */
#define CONF_LISTEN_FDS_MAX 253

/* Most entries of a prepared environment, and most bytes in it. */
#define CONF_ENV_MAX       256
#define CONF_ENV_BYTES_MAX 65536

/* Most connections of one service that have yet to say what they begin with, or wait for
 * answers about them. */
#define CONF_PENDING_MAX 16384

/* Most names of hosts and domains that one service lets in. */
#define CONF_NAMES_MAX 256

/* Most rules about certificates of clients that one service has. */
#define CONF_CERTS_MAX 256

/* Most processes of hatchd-tls. */
#define CONF_TLS_WORKERS_MAX 16

/* How large the file of `accounting` may become, and how many old ones are kept, where that is
 * not said; and most of these. */
#define CONF_ACCOUNTING_SIZE     (UINT64_C(100) << 20)
#define CONF_ACCOUNTING_KEEP     5
#define CONF_ACCOUNTING_KEEP_MAX 99

/* Bytes of what tells one setup of TLS from others: SHA-256. */
#define CONF_TLS_DIGEST_LEN 32

/* Most bytes of all setups of TLS together (conf/secrets). */
#define CONF_SECRETS_MAX (UINT32_C(1) << 28)

enum pass_as {
	PASS_STDIO,      /* the socket is the child's descriptors 0 and 1 */
	PASS_LISTEN_FDS, /* all sockets of the service from descriptor 3, sd_listen_fds(3) */
};

enum stop_policy {
	STOP_LEAVE,     /* children live on when hatchd stops */
	STOP_TERMINATE, /* they get SIGTERM */
};

/* What becomes of clients when the service has all it may have. */
enum overflow_policy {
	OVERFLOW_WAIT, /* they stay in the kernel's queue */
	OVERFLOW_REFUSE,
};

/* What a source that is above its limits is banned from, if it is. */
enum ban_scope {
	BAN_SERVICE,
	BAN_ALL,
};

/* Whether connections begin with a header of the PROXY protocol. */
enum proxy_use {
	PROXY_USE_NO,
	PROXY_USE_REQUIRED, /* whoever is not in proxy_from is refused */
	PROXY_USE_OPTIONAL, /* he is a client like any other */
};

/* Whether a service can be had by its name (RFC 1078). */
enum tcpmux_use {
	TCPMUX_USE_NO,
	TCPMUX_USE_YES,  /* its program says whether it is there */
	TCPMUX_USE_PLUS, /* hatchd says that it is, with a plus sign */
};

/* Whether clients' machines are asked whose connections these are (RFC 1413). */
enum ident_use {
	IDENT_USE_NO,
	IDENT_USE_YES,
	IDENT_USE_REQUIRED, /* without an answer a client is refused */
};

enum stderr_kind {
	STDERR_LOG,    /* the journal's stream of the service, or hatchd's own standard error */
	STDERR_SOCKET, /* the connection: classic inetd */
	STDERR_NULL,
	STDERR_FILE, /* appended to, opened by the child as the service's user */
};

/* Additional names for the facts about a connection in the environment. */
enum env_dialect {
	ENV_SOCAT = 1 << 0,
	ENV_NCAT = 1 << 1,
	ENV_CGI = 1 << 2,
};

/* What is in the record of a connection besides the service and its number. */
enum record_word {
	RECORD_NONE = 0,          /* there is no record */
	RECORD_PID = 1 << 0,      /* process of its program */
	RECORD_HOST = 1 << 1,     /* address and name of its client */
	RECORD_USERID = 1 << 2,   /* user there */
	RECORD_EXIT = 1 << 3,     /* how it ended, and why */
	RECORD_DURATION = 1 << 4, /* for how long */
	RECORD_TRAFFIC = 1 << 5,  /* bytes */
	RECORD_CPU = 1 << 6,      /* processor time */
	RECORD_ATTEMPT = 1 << 7,  /* that there was one, and why he was not let in */
	RECORD_OF_SUCCESS = RECORD_ATTEMPT - 1,
	RECORD_OF_FAILURE = RECORD_HOST | RECORD_USERID | RECORD_ATTEMPT,
};

/* How the addresses of clients appear in records and messages. */
enum log_address {
	LOG_ADDRESS_FULL,
	LOG_ADDRESS_PREFIX, /* the network: 24 bits of IPv4, 48 of IPv6 */
	LOG_ADDRESS_HASH,   /* the same for the same client, until hatchd is started anew */
	LOG_ADDRESS_NONE,
};

/* Longest name of a congestion control, NUL included (the kernel's TCP_CA_NAME_MAX). */
#define CONF_CONGESTION_MAX 16

#define RLIMIT_CONF_INFINITY UINT64_MAX

struct rlimit_conf {
	bool given;
	uint64_t soft; /* RLIMIT_CONF_INFINITY: unlimited */
	uint64_t hard;
};

/* Field i of service_conf.rlimit is resource i of setrlimit(2). */
#define RLIMIT_CONF_MAX 16

/* Index of nothing. */
#define CONF_NONE UINT32_MAX

/* A certificate with its chain, and its key, as PEM. */
struct tls_pem {
	char *chain, *key; /* owned; the key is wiped when it is freed */
	size_t chain_len, key_len;
	int64_t ends; /* when the first of them does, in seconds since 1970 */
};

/* What a configuration that takes the place of another means for a socket. */
enum listen_fate {
	LISTEN_OPENED,   /* was not there */
	LISTEN_KEPT,     /* stays open as it is */
	LISTEN_ADJUSTED, /* stays open; some of its options change */
	LISTEN_REOPENED, /* same place, but another socket: closed, then opened */
	_LISTEN_FATE_MAX,
};

struct listen_conf {
	struct addr addr;
	struct origin origin; /* of the value it was written in */

	/* How it stands to the configuration in force, from which the socket comes. */
	enum listen_fate fate;
	uint32_t old_service; /* index there; CONF_NONE: LISTEN_OPENED */
	uint32_t old_listen;  /* index of the address in that service */
};

/* What is different from the service of that name that is in force. */
enum service_news {
	SERVICE_OPTIONS_CHANGED = 1 << 0,   /* what is written down */
	SERVICE_CONDITION_CHANGED = 1 << 1, /* why it waits, or that it does */
	SERVICE_REST_CHANGED = 1 << 2,      /* what the loader has made of it */
	_SERVICE_NEWS_ALL = (1 << 3) - 1,
};

struct service_conf {
	char *name;
	struct origin origin; /* of the name */

	/* Options, as the table has them; their meaning is in hatchd.conf(5). */
	char **listen_text; /* `listen`: as written */
	char **exec;
	char *shell;
	int builtin; /* enum service_builtin */
	char *text;
	char *text_file;
	bool public;
	char **redirect;          /* as written */
	int redirect_order;       /* enum redirect_order */
	uint64_t connect_timeout; /* usec */
	int send_proxy;           /* enum redirect_proxy */
	char **backend_exec;
	char *backend_shell;
	char *backend_ready;            /* as written */
	uint64_t backend_start_timeout; /* usec; 0: there is no backend, here and below */
	uint64_t backend_idle_stop;     /* usec, DURATION_UNLIMITED: never */
	/* Files as written. */
	char **tls_certificate; /* NULL or empty: TLS is not spoken */
	char **tls_key;
	char *tls_ca;
	int tls_verify;      /* enum tls_verify */
	int tls_min_version; /* enum tls_version */
	char *tls_ciphers;
	char *tls_ciphersuites;
	char **tls_alpn_offered; /* `tls.alpn` */
	bool tls_session_tickets;
	uint64_t tls_handshake_timeout; /* usec */
	char **tls_name;                /* as written */
	char **tls_alpn;
	char *argv0;
	bool disable;
	bool wait;
	bool per_datagram;
	int pass_as;     /* enum pass_as */
	bool notify;     /* the program says when it is ready */
	char *stderr_to; /* `stderr`: log, socket, null or a path */
	int stop;        /* enum stop_policy */

	char *user;
	char *group;
	bool groups; /* supplementary groups of the user */
	char *directory;
	char *chroot;
	uint32_t umask;
	int32_t nice; /* NICE_INHERIT when not given */
	struct rlimit_conf rlimit[RLIMIT_CONF_MAX];
	char **env;
	char **pass_env;
	uint32_t env_dialect; /* enum env_dialect */

	uint32_t instances;
	uint32_t per_source;    /* COUNT_UNLIMITED: no limit; resolved to half of instances */
	uint64_t start_timeout; /* usec */
	uint64_t ready_timeout; /* usec, DURATION_UNLIMITED: none */
	char **only_from;       /* NULL: everybody */
	char **no_access;
	bool resolve;            /* names of clients are looked up */
	int ident;               /* enum ident_use */
	uint64_t lookup_timeout; /* usec, for all that is looked up of one client */
	bool hosts_access;       /* hosts.allow and hosts.deny are kept as well */

	struct limit rate;
	struct limit per_source_rate;
	uint32_t source_prefix4;  /* bits */
	uint32_t source_prefix6;  /* bits */
	int overflow;             /* enum overflow_policy */
	uint64_t overflow_source; /* usec of a ban; 0: refused, no more */
	int ban_scope;            /* enum ban_scope */
	bool sensor;
	uint64_t ban_time; /* usec */

	int proxy_protocol;      /* enum proxy_use */
	char **proxy_from;       /* whose headers are believed */
	int tcpmux;              /* enum tcpmux_use */
	uint64_t header_timeout; /* usec, for a header or the name of a service */
	uint32_t pending;
	uint32_t pending_per_source; /* resolved to half of pending */
	char *banner;                /* paths; what is in them is below */
	char *banner_success;
	char *banner_fail;

	uint32_t log_on_success; /* enum record_word */
	uint32_t log_on_failure;
	int log_address; /* enum log_address */

	uint64_t time_limit; /* usec, DURATION_UNLIMITED: none; here and below */
	uint64_t first_byte_timeout;
	uint64_t idle_timeout;
	uint64_t kill_after;
	uint64_t session_timeout;
	bool account_bytes;
	char **access_times; /* NULL: at any time */
	uint32_t max_load;   /* hundredths; COUNT_UNLIMITED: none */

	uint32_t backlog;
	bool reuse_port;
	char *bind_to_device;
	bool free_bind;
	bool transparent;
	uint32_t mark;
	uint32_t tos;
	uint32_t priority;
	uint32_t ttl; /* 0: the kernel's choice, here and below */
	bool broadcast;
	bool keepalive;
	uint64_t keepalive_time;     /* usec, whole seconds */
	uint64_t keepalive_interval; /* the same */
	uint32_t keepalive_probes;
	bool nodelay;
	uint64_t defer_accept; /* usec, whole seconds */
	uint32_t fast_open;
	uint64_t user_timeout; /* usec */
	char *congestion;
	uint64_t send_buffer;    /* bytes; 0: the kernel's choice */
	uint64_t receive_buffer; /* the same */
	int8_t v6only;           /* -1: as the address says */
	char *socket_user;
	char *socket_group;
	uint32_t socket_mode;
	uint32_t directory_mode; /* 0: directories are not made */
	char **symlinks;
	bool remove_on_stop;

	/* Which options were given here or in `defaults`, by table index. */
	uint64_t given[CONF_OPTIONS_MAX / 64];

	/* Loader only, NULL in the master: where each of them was given, in the order of the
	 * table and without gaps, since most services give but a few. */
	struct origin *origins;

	/* Loader only: which of them have a value that could not be understood, and
	 * whether some could not even be told by their names. */
	uint64_t mistaken[CONF_OPTIONS_MAX / 64];
	bool unknown;

	/* Loader only: where each element of these lists was given. */
	struct origin *only_from_at, *no_access_at, *access_times_at, *proxy_from_at;
	struct origin *tls_certificate_at, *tls_key_at, *tls_name_at;

	/* Loader only: what was in the files of `tls`; how many services are guests of this
	 * one, and whether this one, a guest, brings certificates along; and the setup that
	 * was made of all of it (base/tls), with keys, until it is in the secrets.  It has
	 * tls_length bytes, and is wiped when it is freed. */
	struct tls_pem *tls_pems;
	size_t n_tls_pems;
	char *tls_ca_pem;
	size_t tls_ca_pem_len;
	uint32_t n_tls_guests;
	bool tls_adds;
	uint8_t *tls_setup;

	/* What the loader made of them. */
	struct listen_conf *listen;
	size_t n_listen;
	char *reply;      /* what is built in says it: any bytes, of `text` or of `text_file` */
	size_t reply_len; /* BUILTIN_REPLY_MAX at most */
	/* What is in the files of the same names, and as long at most; NULL: nothing. */
	char *banner_text, *banner_success_text, *banner_fail_text;
	size_t banner_text_len, banner_success_text_len, banner_fail_text_len;
	/* Of redirect, REDIRECT_TARGETS_MAX at most.  What is written by its name is the
	 * wildcard of the families that are wanted, with the port. */
	struct addr *targets;
	size_t n_targets;
	/* The names, as in base/hostname, one for each target and "" for an address; NULL: no
	 * target has one. */
	char **target_names;
	uint32_t backend_target; /* index of the one that is the backend's */
	char *path;              /* absolute path of the program */
	char **argv;
	char **base_env;     /* NAME=VALUE: everything that does not depend on the connection */
	int stderr_kind;     /* enum stderr_kind */
	struct hours *hours; /* access_times; NULL: at any time */
	bool change_identity; /* become uid, gid and groups_list; false: stay who the master is
	                       */
	uid_t uid;
	gid_t gid;
	gid_t *groups_list;
	size_t n_groups;
	uid_t socket_uid; /* (uid_t)-1: leave as is */
	gid_t socket_gid; /* (gid_t)-1: leave as is */
	/* The rules of only_from and no_access; what tells them from others is all 0
	 * without any.  The list itself is NULL then, and in the master, which has it
	 * in the image. */
	uint8_t access_digest[ACCESS_DIGEST_LEN];
	struct access_list *access;
	/* Who may come in as well, if no rule is about his address: patterns of base/hostname
	 * out of only_from, CONF_NAMES_MAX at most; NULL: none. */
	char **names;
	/* And by his certificate: rules of policy/cert out of only_from, CONF_CERTS_MAX at
	 * most; NULL: none.  Who has some asks his clients of TLS for certificates. */
	char **certs;
	/* The same of proxy_from, which only allows. */
	uint8_t proxies_digest[ACCESS_DIGEST_LEN];
	struct access_list *proxies;
	/* The same of hosts_access: a table of policy/wrappers.  Without rules that are about
	 * the service it has one as well. */
	uint8_t wrappers_digest[WRAPPERS_DIGEST_LEN];
	struct access_list *wrappers;
	/*
	 * TLS.  Who speaks it has a setup (base/tls) in the secrets; where, is in the index of
	 * the image, and here in the loader only.  What tells it from others, without the key
	 * of its tickets, and when the first of its certificates ends, in seconds since 1970.
	 *
	 * One that has no listener of its own, but can be had by a name (SNI) or a protocol
	 * (ALPN) at the one of another service, has the name of that; NULL: it has its own.
	 */
	uint32_t tls_offset, tls_length; /* 0 and 0: no setup */
	uint8_t tls_digest[CONF_TLS_DIGEST_LEN];
	uint8_t tls_trust[CONF_TLS_DIGEST_LEN]; /* the same of what is asked of clients */
	int64_t tls_not_after;
	char *tls_host;
	bool tls_has_guests; /* there are some at its listener */
	char *condition;     /* why it cannot be served now ("no user 'ftp'"); NULL: it can */
	uint32_t old;        /* index in the configuration in force; CONF_NONE: it is new */
	uint32_t news;       /* enum service_news; 0: it stays as it is */
};

#define NICE_INHERIT INT32_MIN

struct conf {
	char **files;    /* every file read, in order; origins borrow from here in the master */
	char *main_file; /* absolute path of the first of them; NULL: a command line */
	struct service_conf **services;
	size_t n_services;

	int program_error; /* loader only: errno of a program that cannot be run; 0: none */
	struct origin total_instances_at; /* loader only: where that was given */
	uint32_t n_addresses;             /* of an image: those of all services */
	uint32_t n_notify;                /* of an image: services with it */
	uint32_t n_pending; /* of an image: the sum of their `pending`, where it is needed */
	/* Of an image: the first of all tls_not_after; 0: nobody speaks TLS. */
	int64_t certificates_end;
	uint32_t total_instances;       /* 0: computed at start from what the machine allows */
	struct origin tls_workers_at;   /* loader only: where that was given */
	uint32_t tls_workers;           /* 0: not given, and means 1 */
	struct origin drain_timeout_at; /* loader only: where that was given */
	uint64_t drain_timeout;         /* usec, DURATION_UNLIMITED; 0: not given, or none */
	struct hours_zone zone;         /* of the machine, if a service has hours; else empty */

	/* Of the section `accounting`; with where each was given, in the loader only. */
	char *accounting_file; /* owned, absolute; NULL: there is none */
	struct origin accounting_file_at, accounting_size_at, accounting_keep_at;
	uint64_t accounting_size; /* bytes; 0: not given, and means CONF_ACCOUNTING_SIZE */
	uint32_t accounting_keep; /* 0: not given, and means CONF_ACCOUNTING_KEEP */

	/* Who workers are to become (conf/worker): never root.  False: they stay who the
	 * master is, so that one who is root must not start any. */
	bool worker_identity;
	uid_t worker_uid;
	gid_t worker_gid;
	/* The same of hatchd-tls, who is none of the others; 0 and 0: nobody speaks TLS. */
	uid_t tls_worker_uid;
	gid_t tls_worker_gid;
	gid_t control_gid; /* whose members may ask for the state; (gid_t)-1: no such group */
};

void conf_init(struct conf *conf);
void conf_done(struct conf *conf);

/* A service without a value for any option; NULL without memory. */
struct service_conf *service_conf_new(const char *name);
void service_conf_free(struct service_conf *service);

/* [A-Za-z0-9][A-Za-z0-9_.-]{0,63} */
#define SERVICE_NAME_MAX 64
bool service_name_valid(const char *name);

/* Whether the option was written down, here or in `defaults`. */
bool service_conf_given(const struct service_conf *service, const struct conf_option *option);

/* Note that it was, and where.  0 or -ENOMEM. */
int service_conf_set_given(struct service_conf *service, const struct conf_option *option,
	const struct origin *origin);

/* Where an option that was given was given; in the loader only.  Borrowed until
 * another one is. */
const struct origin *service_conf_given_at(
	const struct service_conf *service, const struct conf_option *option);

/* Everything that `from` was given was given to `to`, which was given nothing yet.
 * 0 or -ENOMEM. */
int service_conf_copy_given(const struct service_conf *from, struct service_conf *to);

/* Whether the field says nothing because what was written is wrong, and told. */
bool service_conf_mistaken(
	const struct service_conf *service, const struct conf_option *option);
bool service_conf_mistaken_any(const struct service_conf *service);
void service_conf_set_mistaken(
	struct service_conf *service, const struct conf_option *option, bool mistaken);

/* Whether a child is started for its clients: it is no trap, and no worker serves it. */
bool service_conf_has_program(const struct service_conf *service);

/* Whether what serves its clients is built in. */
bool service_conf_is_builtin(const struct service_conf *service);

/* Whether what is built in there can serve clients of such an address. */
bool service_conf_builtin_takes(const struct service_conf *service, const struct addr *addr);
/* Whether its clients are passed on to somebody else. */
bool service_conf_is_redirect(const struct service_conf *service);

/* Whether these are passed on to a program that is started on demand. */
bool service_conf_has_backend(const struct service_conf *service);

/* Whether there is anything that it says of one, be it of no effect. */
bool service_conf_says_backend(const struct service_conf *service);

/* Whether a program is started: for its clients, or that. */
bool service_conf_runs_program(const struct service_conf *service);

/* Whether two of them have the same backend, to be started the same way. */
bool service_conf_same_backend(const struct service_conf *a, const struct service_conf *b);

/* Whether a worker serves its clients: one of the two. */
bool service_conf_has_worker(const struct service_conf *service);

/* Whether its clients of such an address can be passed on: to a target that takes streams, or
 * one of UDP.  Yes for fd:NAME, which may be anything. */
bool service_conf_redirect_takes(const struct service_conf *service, const struct addr *addr);

/* Whether each of those who send datagrams to that address has a session of his own: with a
 * program, or with who he is passed on to. */
bool service_conf_has_peers(const struct service_conf *service, const struct addr *addr);

/* Whether there are rules about who may come in. */
bool service_conf_has_access(const struct service_conf *service);

/* Whether rules of hosts.allow and hosts.deny are kept. */
bool service_conf_has_wrappers(const struct service_conf *service);

/* Whether there are rules about whose headers are believed. */
bool service_conf_has_proxies(const struct service_conf *service);

/* Whether a connection has to be talked to, or read from, before somebody serves it:
 * a header, a banner, or the listener of tcpmux.  Not of sockets of datagrams. */
bool service_conf_has_front(const struct service_conf *service);

/* Whether names of its clients are looked up: `resolve` is given, and there may be clients
 * who have an address of IP and a connection that hatchd takes itself. */
bool service_conf_asks_names(const struct service_conf *service);

/* Whether clients' machines are asked who they are: `ident` is given, and so on.  Who comes
 * through a proxy cannot be asked: the connection is not his. */
bool service_conf_asks_ident(const struct service_conf *service);

/* Whether a client may have to wait until something is looked up: one of these two, or the
 * address of a target. */
bool service_conf_has_lookups(const struct service_conf *service);

/* Whether `pending` is a limit of the service: clients wait for a worker before anybody
 * serves them. */
bool service_conf_has_pending(const struct service_conf *service);

/* Whether its clients are told what is in the files of banner, banner_success and
 * banner_fail, if there are any: those that `defaults` give are not for all services. */
bool service_conf_tells_banners(const struct service_conf *service);

/* Whether clients at its own sockets speak TLS: it has certificates, and connections that
 * hatchd takes itself. */
bool service_conf_has_tls(const struct service_conf *service);

/* Whether clients are asked for certificates of theirs.  Of a guest's clients that is said by
 * its host: true. */
bool service_conf_asks_certificates(const struct service_conf *service);

/* Whether clients of TLS at the socket of another service choose it. */
bool service_conf_is_tls_guest(const struct service_conf *service);

/* Whether there is anything in its section `tls`, be it of no effect. */
bool service_conf_says_tls(const struct service_conf *service);

/* Whether the service can be had by its name through a listener of tcpmux. */
bool service_conf_has_mux(const struct service_conf *service);

/* A number for the name, in which capital letters are small ones: FNV-1a, never 0. */
uint32_t service_name_hash(const char *name);

/* The array that says where each element of that list was given; NULL if that is not
 * kept for it.  In the loader only. */
struct origin **service_conf_elements_at(
	struct service_conf *service, const struct conf_option *option);

static inline void own_service_conf(struct service_conf **service)
{
	service_conf_free(*service);
}
#define _cleanup_service_conf_ _cleanup_(own_service_conf)

#endif
