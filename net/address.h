/* address.h - addresses as texts: HOST, HOST:PORT, or [HOST]:PORT of an IPv6 host. */
#ifndef MQFS_NET_ADDRESS_H
#define MQFS_NET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct address {
	bool v6;
	uint8_t bytes[16];		/* 4 of them, if it is not */
	int port;			/* 0: there is none */
};

/* A numeric host, without or with a port.  False: it is none. */
bool address_parse_host(const char *host, struct address *ret);
bool address_parse(const char *text, struct address *ret);

/* The length of the host, with its brackets; a blank, or a colon and a blank, may end the address. */
size_t address_host_len(const char *text);

/* Are two addresses the same but for their ports? */
bool address_same_host(const char *a, const char *b);

#endif
