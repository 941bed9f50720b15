/*
 * lookup-stub: a name server and an identd on loopback, for the tests of hatchd-lookup.
 *
 * They work while the test waits for something else, in the same process, so that what they
 * do is in an order that nothing decides but the test.
 */
#ifndef HATCHD_TESTS_LOOKUP_STUB_H
#define HATCHD_TESTS_LOOKUP_STUB_H

#include "base/fd.h"
#include "base/own.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { TYPE_A = 1, TYPE_CNAME = 5, TYPE_PTR = 12, TYPE_AAAA = 28 };

enum { NOERROR, SERVFAIL = 2, NXDOMAIN = 3, REFUSED = 5 };

/* What is said besides, or instead. */
enum manner {
	HONEST,
	SILENT,    /* nothing */
	TRUNCATED, /* half of it, and the rest over TCP */
	FORGED,    /* first what others might send: another number, another question */
	PIECES,    /* first what is no answer at all */
	GARBAGE,   /* a record that does not end */
	HELD,      /* when the test says so */
};

#define DATA_MAX 12

struct record {
	const char *name;
	uint16_t type;
	int rcode;
	enum manner manner;
	uint32_t ttl;
	const char *data[DATA_MAX + 1]; /* ends with NULL */
};

enum ident_manner {
	IDENT_HONEST,
	IDENT_ERROR,
	IDENT_FLOOD,    /* 64 kB, no end of line */
	IDENT_NULS,     /* in the name */
	IDENT_PERCENT,  /* %n, and what a terminal obeys */
	IDENT_BY_BYTES, /* honest, in pieces of one byte */
	IDENT_CLOSES,   /* at once */
	IDENT_CUTS,     /* in the middle of the line */
	IDENT_SILENT,
	IDENT_OTHERS, /* about other ports */
};

#define STUB_CONNECTIONS 8

struct message {
	uint8_t bytes[4096];
	size_t len;
};

struct stub {
	int udp, tcp, ident;
	uint16_t dns_port, ident_port;
	const struct record *records;
	size_t n_records;
	unsigned n_queries, n_tcp_queries;

	int connections[STUB_CONNECTIONS]; /* of both; -EBADF: none */
	bool is_ident[STUB_CONNECTIONS];

	enum ident_manner ident_manner;
	char by_bytes[128]; /* what connection by_bytes_fd still gets */
	size_t by_bytes_at;
	int by_bytes_fd;
	char ident_question[64];
	struct sockaddr_in ident_from;

	struct message held;
	struct sockaddr_in held_from;
	bool has_held;
};

/* ------------------------------------------------------------------------ sockets */

static inline int stub_open(int type, uint16_t port, uint16_t *ret_port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof addr;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0) {
		close(fd);
		return -1;
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*ret_port = ntohs(addr.sin_port);
	return fd;
}

/* One port for both, which somebody else may have taken for one of them. */
static inline void stub_open_dns(struct stub *stub)
{
	uint16_t port;

	for (int i = 0; i < 100; i++) {
		stub->udp = stub_open(SOCK_DGRAM, 0, &stub->dns_port);
		stub->tcp = stub_open(SOCK_STREAM, stub->dns_port, &port);
		if (stub->tcp >= 0)
			break;
		close(stub->udp);
	}
	assert_true(stub->tcp >= 0);
	assert_int_equal(listen(stub->tcp, 8), 0);
}

static inline void stub_init(struct stub *stub, const struct record *records, size_t n)
{
	memset(stub, 0, sizeof *stub);
	stub->records = records;
	stub->n_records = n;
	stub_open_dns(stub);
	stub->ident = stub_open(SOCK_STREAM, 0, &stub->ident_port);
	assert_int_equal(listen(stub->ident, 8), 0);
	for (size_t i = 0; i < STUB_CONNECTIONS; i++)
		stub->connections[i] = -EBADF;
	stub->by_bytes_fd = -EBADF;
}

static inline void stub_done(struct stub *stub)
{
	close(stub->udp);
	close(stub->tcp);
	fd_close(stub->ident);
	for (size_t i = 0; i < STUB_CONNECTIONS; i++)
		fd_close(stub->connections[i]);
}

static inline void stub_accept(struct stub *stub, int listener)
{
	struct sockaddr_in from;
	socklen_t len = sizeof from;
	int fd = accept4(listener, (struct sockaddr *)&from, &len, SOCK_CLOEXEC);
	size_t i = 0;

	assert_true(fd >= 0);
	while (stub->connections[i] >= 0)
		assert_true(++i < STUB_CONNECTIONS);
	stub->connections[i] = fd;
	stub->is_ident[i] = listener == stub->ident;
	if (stub->is_ident[i])
		stub->ident_from = from;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

static inline void stub_close(struct stub *stub, size_t i)
{
	if (stub->by_bytes_fd == stub->connections[i])
		stub->by_bytes_fd = -EBADF;
	stub->connections[i] = fd_close(stub->connections[i]);
}

/* ----------------------------------------------------------------------- messages */

static inline void put(struct message *m, const void *bytes, size_t len)
{
	assert_true(m->len + len <= sizeof m->bytes);
	memcpy(m->bytes + m->len, bytes, len);
	m->len += len;
}

static inline void put_u16(struct message *m, unsigned value)
{
	put(m, &(uint16_t){htons((uint16_t)value)}, 2);
}

static inline void put_name(struct message *m, const char *name)
{
	while (*name) {
		uint8_t len = (uint8_t)strcspn(name, ".");

		put(m, &len, 1);
		put(m, name, len);
		name += len + (name[len] == '.');
	}
	put(m, "", 1);
}

/* The name that is asked about, and where its question ends. */
static inline size_t read_question(
	const struct message *query, char name[256], uint16_t *ret_type)
{
	size_t at = 12, to = 0;

	while (query->bytes[at] != 0) {
		uint8_t len = query->bytes[at++];

		for (; len > 0; len--)
			name[to++] = (char)tolower(query->bytes[at++]);
		name[to++] = '.';
	}
	name[to > 0 ? to - 1 : 0] = '\0';
	*ret_type = (uint16_t)(query->bytes[at + 1] << 8 | query->bytes[at + 2]);
	return at + 5;
}

static inline void put_data(struct message *m, uint16_t type, const char *text)
{
	struct message data = {.len = 0};
	uint8_t ip[16];

	if (type == TYPE_PTR || type == TYPE_CNAME) {
		put_name(&data, text);
	} else {
		assert_int_equal(inet_pton(type == TYPE_A ? AF_INET : AF_INET6, text, ip), 1);
		put(&data, ip, type == TYPE_A ? 4 : 16);
	}
	put_u16(m, (unsigned)data.len);
	put(m, data.bytes, data.len);
}

static inline void put_record(struct message *m, const struct record *record, const char *text)
{
	put_u16(m, 0xc00c); /* the name of the question */
	put_u16(m, record->type);
	put_u16(m, 1);
	put(m, &(uint32_t){htonl(record->ttl)}, 4);
	put_data(m, record->type, text);
}

/* Header and question. */
static inline void begin_answer(
	struct message *m, const struct message *query, size_t question_end, int rcode)
{
	m->len = 0;
	put(m, query->bytes, question_end);
	m->bytes[2] = 0x81;
	m->bytes[3] = (uint8_t)(0x80 | rcode);
	memset(m->bytes + 6, 0, 6);
}

static inline const struct record *find_record(
	const struct stub *stub, const char *name, uint16_t type)
{
	for (size_t i = 0; i < stub->n_records; i++) {
		const struct record *record = &stub->records[i];
		const char *star = record->name[0] == '*' ? record->name + 1 : NULL;
		size_t len = strlen(name);

		if (record->type != type)
			continue;
		if (star ? len > strlen(star) && strcmp(name + len - strlen(star), star) == 0
			 : strcmp(record->name, name) == 0)
			return record;
	}
	return NULL;
}

static inline void write_answer(struct message *m, const struct message *query,
	size_t question_end, const struct record *record)
{
	begin_answer(m, query, question_end, record ? record->rcode : NXDOMAIN);
	for (size_t i = 0; record && record->data[i]; i++) {
		put_record(m, record, record->data[i]);
		m->bytes[7]++;
	}
}

/* -------------------------------------------------------------------------- manners */

static inline void send_datagram(
	const struct stub *stub, const struct message *m, const struct sockaddr_in *to)
{
	sendto(stub->udp, m->bytes, m->len, 0, (const struct sockaddr *)to, sizeof *to);
}

static inline void send_forged(const struct stub *stub, const struct message *query,
	size_t question_end, const struct sockaddr_in *to)
{
	static const struct record lie = {
		.type = TYPE_PTR, .ttl = 300, .data = {"evil.example"}};
	struct message m, other = {.len = 0};

	write_answer(&m, query, question_end, &lie);
	m.bytes[0] ^= 0xff;
	send_datagram(stub, &m, to);

	put(&other, query->bytes, 12);
	put_name(&other, "99.2.0.192.in-addr.arpa");
	put_u16(&other, TYPE_PTR);
	put_u16(&other, 1);
	write_answer(&m, &other, other.len, &lie);
	send_datagram(stub, &m, to);
}

static inline void send_pieces(const struct stub *stub, const struct sockaddr_in *to)
{
	send_datagram(stub, &(struct message){.len = 0}, to);
	send_datagram(stub, &(struct message){.bytes = "short", .len = 5}, to);
}

static inline void spoil(struct message *m)
{
	put_u16(m, 0xc00c);
	put_u16(m, TYPE_PTR);
	put_u16(m, 1);
	put(m, "\0\0\0\1", 4);
	put_u16(m, 0xffff);
	/* A name that points to itself. */
	put_u16(m, 0xc000 | (unsigned)m->len);
	m->bytes[7] = 1;
}

static inline void answer_datagram(
	struct stub *stub, const struct message *query, const struct sockaddr_in *from)
{
	char name[256];
	uint16_t type;
	size_t end = read_question(query, name, &type);
	const struct record *record = find_record(stub, name, type);
	enum manner manner = record ? record->manner : HONEST;
	struct message m;

	if (manner == SILENT)
		return;
	if (manner == FORGED)
		send_forged(stub, query, end, from);
	if (manner == PIECES)
		send_pieces(stub, from);
	if (manner == TRUNCATED || manner == GARBAGE)
		begin_answer(&m, query, end, NOERROR);
	else
		write_answer(&m, query, end, record);
	if (manner == TRUNCATED)
		m.bytes[2] |= 0x02;
	if (manner == GARBAGE)
		spoil(&m);
	send_datagram(stub, &m, from);
}

static inline void take_datagram(struct stub *stub)
{
	struct message query;
	struct sockaddr_in from;
	socklen_t len = sizeof from;
	ssize_t n = recvfrom(
		stub->udp, query.bytes, sizeof query.bytes, 0, (struct sockaddr *)&from, &len);
	char name[256];
	uint16_t type;
	const struct record *record;

	if (n <= 12)
		return;
	query.len = (size_t)n;
	stub->n_queries++;
	read_question(&query, name, &type);
	record = find_record(stub, name, type);
	if (record && record->manner == HELD && !stub->has_held) {
		stub->held = query;
		stub->held_from = from;
		stub->has_held = true;
	} else if (!record || record->manner != HELD) {
		answer_datagram(stub, &query, &from);
	}
}

static inline void stub_release(struct stub *stub)
{
	assert_true(stub->has_held);
	stub->has_held = false;
	answer_datagram(stub, &stub->held, &stub->held_from);
}

static inline void take_tcp_query(struct stub *stub, size_t i)
{
	struct message query, m;
	uint16_t len, type;
	char name[256];
	size_t end;

	if (recv(stub->connections[i], &len, 2, MSG_WAITALL) != 2) {
		stub_close(stub, i);
		return;
	}
	query.len = ntohs(len);
	assert_true(query.len > 12 && query.len < sizeof query.bytes);
	assert_int_equal(
		recv(stub->connections[i], query.bytes, query.len, MSG_WAITALL), query.len);
	stub->n_tcp_queries++;
	end = read_question(&query, name, &type);
	write_answer(&m, &query, end, find_record(stub, name, type));
	len = htons((uint16_t)m.len);
	(void)!send(stub->connections[i], &len, 2, MSG_NOSIGNAL);
	(void)!send(stub->connections[i], m.bytes, m.len, MSG_NOSIGNAL);
}

/* ---------------------------------------------------------------------------- ident */

static inline void say(int fd, const char *text, size_t len)
{
	(void)!send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static inline void flood(int fd)
{
	static char bytes[65536];

	memset(bytes, 'x', sizeof bytes);
	say(fd, bytes, sizeof bytes);
}

static inline void answer_ident(struct stub *stub, size_t i, const char *ports)
{
	int fd = stub->connections[i], len;
	char line[128];

	len = snprintf(line, sizeof line, "%s : USERID : UNIX : alice\r\n", ports);
	switch (stub->ident_manner) {
	case IDENT_HONEST:
		return say(fd, line, (size_t)len);
	case IDENT_ERROR:
		len = snprintf(line, sizeof line, "%s : ERROR : HIDDEN-USER\r\n", ports);
		return say(fd, line, (size_t)len);
	case IDENT_FLOOD:
		return flood(fd);
	case IDENT_NULS:
		line[len - 4] = '\0';
		return say(fd, line, (size_t)len);
	case IDENT_PERCENT:
		len = snprintf(
			line, sizeof line, "%s : USERID : UNIX : %%n%%s\033[2J\r\n", ports);
		return say(fd, line, (size_t)len);
	case IDENT_BY_BYTES:
		memcpy(stub->by_bytes, line, sizeof line);
		stub->by_bytes_at = 0;
		stub->by_bytes_fd = fd;
		return;
	case IDENT_CUTS:
		say(fd, line, (size_t)len - 2);
		return stub_close(stub, i);
	case IDENT_OTHERS:
		return say(fd, "1 , 2 : USERID : UNIX : root\r\n", 30);
	default:
		return;
	}
}

static inline void take_ident_question(struct stub *stub, size_t i)
{
	char buf[64];
	ssize_t n = recv(stub->connections[i], buf, sizeof buf - 1, 0);

	if (n <= 0) {
		stub_close(stub, i);
		return;
	}
	buf[n] = '\0';
	memcpy(stub->ident_question, buf, sizeof buf);
	buf[strcspn(buf, "\r")] = '\0';
	answer_ident(stub, i, buf);
}

static inline void drip(struct stub *stub)
{
	if (stub->by_bytes_fd < 0 || stub->by_bytes[stub->by_bytes_at] == '\0')
		return;
	say(stub->by_bytes_fd, &stub->by_bytes[stub->by_bytes_at++], 1);
}

static inline bool is_dripping(const struct stub *stub)
{
	return stub->by_bytes_fd >= 0 && stub->by_bytes[stub->by_bytes_at] != '\0';
}

/* ------------------------------------------------------------------------------ loop */

static inline void take_connection(struct stub *stub, size_t i)
{
	if (stub->is_ident[i])
		take_ident_question(stub, i);
	else
		take_tcp_query(stub, i);
}

static inline void take_client(struct stub *stub, int listener)
{
	stub_accept(stub, listener);
	if (listener != stub->ident || stub->ident_manner != IDENT_CLOSES)
		return;
	for (size_t i = 0; i < STUB_CONNECTIONS; i++)
		if (stub->connections[i] >= 0 && stub->is_ident[i])
			stub_close(stub, i);
}

/* What drips goes on by itself. */
static inline void wait_for_any(struct pollfd *p, nfds_t n, bool drips)
{
	int ready = poll(p, n, drips ? 1 : 60000);

	assert_true(drips || ready > 0);
}

/* Serve until `fd` (-1: none) can be read, or so many queries have come. */
static inline void stub_serve_until(struct stub *stub, int fd, unsigned n_queries)
{
	struct pollfd p[4 + STUB_CONNECTIONS] = {{.fd = fd, .events = POLLIN},
		{.fd = stub->udp, .events = POLLIN}, {.fd = stub->tcp, .events = POLLIN},
		{.fd = stub->ident, .events = POLLIN}};

	while (stub->n_queries < n_queries) {
		for (size_t i = 0; i < STUB_CONNECTIONS; i++)
			p[4 + i] =
				(struct pollfd){.fd = stub->connections[i], .events = POLLIN};
		wait_for_any(p, ARRAY_SIZE(p), is_dripping(stub));
		if (p[0].revents)
			return;
		if (p[1].revents)
			take_datagram(stub);
		for (size_t i = 0; i < STUB_CONNECTIONS; i++)
			if (p[4 + i].revents && stub->connections[i] >= 0)
				take_connection(stub, i);
		for (size_t i = 2; i < 4; i++)
			if (p[i].revents)
				take_client(stub, p[i].fd);
		drip(stub);
	}
}

#endif
