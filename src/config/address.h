/*
 * address: host and port of a listener or an endpoint, as text.
 *
 * What it is: two questions about "host:port".
 * Promises: none of its own.
 * Owner: nobody; nothing is kept. Thread: any.
 * Fails: never; what is no address is not valid.
 * Does not: look names up or open sockets.
 */
#ifndef KSPOOL_CONFIG_ADDRESS_H
#define KSPOOL_CONFIG_ADDRESS_H

#include <stdbool.h>

/* "host:port", "[v6]:port", ":port"; the port is decimal, 0 to 65535. */
bool address_is_valid(const char *address);
/* 127.0.0.0/8, ::1 and localhost; the address (with or without port) is valid. */
bool address_is_loopback(const char *address);
/* What is wrong with the path of a door, to stand behind its name; null: nothing. */
const char *address_path_fault(const char *path);

#endif
