#include "config/rules.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "config/address.h"
#include "config/inputs.h"

/* One address something listens on over TCP, with what protects it. */
struct listener {
	char *path; /* of the object that holds address, cert_file, token_file: "http" */
	const char *address;
	const char *address_key; /* "address" */
	bool protected;
	const char *remedy;
};

static void check_listener(const struct rules *r, const struct listener *l)
{
	AUTOFREE char *path = mem_format("%s.%s", l->path, l->address_key);

	if (!l->address || rules_is_unknown(r, path))
		return;
	if (!address_is_valid(l->address))
		rules_fault(r, path, "must be host:port, such as 127.0.0.1:4195 or [::1]:4195");
	else if (!address_is_loopback(l->address) && !l->protected)
		rules_fault(r, path,
		            "can be reached from other machines without TLS or a token; %s, or listen on 127.0.0.1",
		            l->remedy);
}

static bool any_set(const struct rules *r, const char *base, const char *const *keys)
{
	for (; *keys; keys++) {
		AUTOFREE char *path = mem_format("%s.%s", base, *keys);

		if (rules_is_set(r, path))
			return true;
	}
	return false;
}

static void check_pair(const struct rules *r, const char *base)
{
	AUTOFREE char *cert = mem_format("%s.cert_file", base);
	AUTOFREE char *key = mem_format("%s.key_file", base);
	AUTOFREE char *authority = mem_format("%s.client_ca_file", base);
	AUTOFREE char *names = mem_format("%s.allowed_names", base);

	if (rules_is_set(r, authority) && !rules_is_set(r, cert))
		rules_fault(r, authority, "needs %s too: certificates are shown in TLS", cert);
	if (rules_is_set(r, names) && !rules_is_set(r, authority))
		rules_fault(r, names, "needs %s too: without it no certificate is asked for", authority);
	if (rules_is_set(r, cert) && !rules_is_set(r, key))
		rules_fault(r, cert, "needs %s too", key);
	if (rules_is_set(r, key) && !rules_is_set(r, cert))
		rules_fault(r, key, "needs %s too", cert);
}

static void check_admin(const struct rules *r)
{
	static const char *const keys[] = {"cert_file", "token_file", NULL};
	const struct listener l = {.path = (char[]){"http"},
	                           .address = r->config->http.address,
	                           .address_key = "address",
	                           .protected = any_set(r, "http", keys),
	                           .remedy = "set http.cert_file and key_file, or http.token_file"};

	if (r->config->http.enabled)
		check_listener(r, &l);
}

static void check_http_server(const struct rules *r, const struct config_input *input)
{
	static const char *const keys[] = {"cert_file", "token_file", NULL};
	AUTOFREE char *base = mem_format("%s.http_server", input->path);
	AUTOFREE char *path = mem_format("%s.path", base);
	AUTOFREE char *verbs = mem_format("%s.allowed_verbs", base);
	const struct listener l = {.path = base,
	                           .address = input->http_server.address,
	                           .address_key = "address",
	                           .protected = any_set(r, base, keys),
	                           .remedy = "set cert_file and key_file, or token_file"};

	check_listener(r, &l);
	check_pair(r, base);
	if (!input->http_server.address && !r->config->http.enabled)
		rules_fault(r, base, "has no address and http.enabled is false, so nothing would listen");
	if (input->http_server.path && address_path_fault(input->http_server.path))
		rules_fault(r, path, "%s", address_path_fault(input->http_server.path));
	for (size_t i = 0; i < input->http_server.allowed_verbs.count; i++) {
		const char *verb = input->http_server.allowed_verbs.items[i];

		if (strcmp(verb, "POST") != 0 && strcmp(verb, "PUT") != 0)
			rules_fault(r, verbs, "may hold POST and PUT, not \"%.20s\"", verb);
	}
}

static void check_socket_mode(const struct rules *r, const struct config_input *input, const char *base)
{
	AUTOFREE char *path = mem_format("%s.mode", base);
	const char *mode = input->socket_server.mode;

	if (mode && (strlen(mode) < 3 || strlen(mode) > 4 || mode[strspn(mode, "01234567")] != '\0' ||
	             (strlen(mode) == 4 && *mode != '0')))
		rules_fault(r, path, "must be an octal mode from 0000 to 0777, such as 0660");
}

static void check_socket_server(const struct rules *r, const struct config_input *input)
{
	static const char *const keys[] = {"token_file", NULL};
	static const char *const file_keys[] = {"mode", "group", NULL};
	AUTOFREE char *base = mem_format("%s.socket_server", input->path);
	AUTOFREE char *address = mem_format("%s.address", base);
	AUTOFREE char *tls = mem_format("%s.tls", base);
	const struct options_input_socket_server *o = &input->socket_server;
	const struct listener l = {.path = base,
	                           .address = o->address,
	                           .address_key = "address",
	                           .protected = o->network == NETWORK_TLS || any_set(r, base, keys),
	                           .remedy = "use network tls, or set token_file"};

	check_pair(r, tls);
	check_socket_mode(r, input, base);
	if (o->network == NETWORK_UNIX) {
		if (o->address && strlen(o->address) > SOCKET_PATH_MAX)
			rules_fault(r, address, "is longer than the 107 bytes a unix socket's path may have");
		if (o->address && *o->address == '@' && any_set(r, base, file_keys))
			rules_fault(r, address,
			            "is abstract: without a file it has no mode and no group; use allow_users");
		return;
	}
	check_listener(r, &l);
	if (o->network == NETWORK_TLS && !o->tls.self_signed && !rules_is_set(r, tls))
		rules_fault(r, base, "of network tls needs tls.cert_file and tls.key_file");
}

static void check_socket(const struct rules *r, const struct config_input *input)
{
	const struct options_input_socket *o = &input->socket;
	AUTOFREE char *address = mem_format("%s.socket.address", input->path);

	if (!o->address || rules_is_unknown(r, address))
		return;
	if (o->network == STREAM_UNIX && strlen(o->address) > SOCKET_PATH_MAX)
		rules_fault(r, address, "is longer than the 107 bytes a unix socket's path may have");
	if (o->network == STREAM_TCP && !address_is_valid(o->address))
		rules_fault(r, address, "must be host:port, such as 127.0.0.1:6000 or [::1]:6000");
}

static void check_inputs(const struct rules *r)
{
	size_t stdins = 0;

	for (size_t i = 0; i < r->config->input_count; i++) {
		const struct config_input *input = &r->config->inputs[i];

		if (input->kind == INPUT_HTTP_SERVER)
			check_http_server(r, input);
		else if (input->kind == INPUT_SOCKET_SERVER)
			check_socket_server(r, input);
		else if (input->kind == INPUT_SOCKET)
			check_socket(r, input);
		else if (input->kind == INPUT_STDIN && ++stdins > 1)
			rules_fault(r, input->path, "is a second stdin: standard input can be read once");
	}
}

/* What an input listens on: an address, or the admin server with a path. Null when it does not listen. */
static char *place_of(const struct rules *r, const struct config_input *input)
{
	if (input->kind == INPUT_SOCKET_SERVER && input->socket_server.address)
		return mem_string(input->socket_server.address);
	if (input->kind == INPUT_HTTP_SERVER && input->http_server.address)
		return mem_string(input->http_server.address);
	if (input->kind == INPUT_HTTP_SERVER && r->config->http.address)
		return mem_format("%s %s", r->config->http.address,
		                  input->http_server.path ? input->http_server.path : "");
	return NULL;
}

static bool is_any_port(const char *address)
{
	size_t n = strlen(address);

	return n >= 2 && strcmp(address + n - 2, ":0") == 0;
}

/* Two listeners cannot have one address; port 0 is a new one each time. */
static void check_addresses(const struct rules *r)
{
	const struct config *c = r->config;

	for (size_t i = 0; i < c->input_count; i++) {
		AUTOFREE char *mine = place_of(r, &c->inputs[i]);
		AUTOFREE char *path = mem_format("%s.%s.address", c->inputs[i].path, input_key(c->inputs[i].kind));

		if (!mine || is_any_port(mine) || rules_is_unknown(r, path))
			continue;
		if (c->http.enabled && c->http.address && strcmp(mine, c->http.address) == 0)
			rules_fault(r, path, "is http.address too; leave it out to share the admin server");
		for (size_t k = 0; k < i; k++) {
			AUTOFREE char *other = place_of(r, &c->inputs[k]);

			if (other && strcmp(mine, other) == 0) {
				rules_fault(r, path, "is the address of %s too", c->inputs[k].path);
				break;
			}
		}
	}
}

rule_check *const rules_doors[] = {check_admin, check_inputs, check_addresses, NULL};
