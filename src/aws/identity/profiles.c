#include "aws/identity/profiles.h"

#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/trusted.h"
#include "aws/identity/secret_file.h"

static char *path_of(const char *variable, const char *systemd_name, const char *usual)
{
	const char *value = getenv(variable);
	char *path;

	if (value && *value)
		return secret_file_expand_home(value);
	path = secret_file_systemd_credential(systemd_name);
	return path ? path : secret_file_expand_home(usual);
}

/* Links are followed: behind a mounted Secret the file is another when what it links to is. */
static struct file_stamp look(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return (struct file_stamp){0};
	return (struct file_stamp){
	    .device = (uint64_t)st.st_dev,
	    .inode = (uint64_t)st.st_ino,
	    .bytes = st.st_size,
	    .changed_ns = st.st_ctim.tv_sec * NS_PER_S + st.st_ctim.tv_nsec,
	};
}

static bool is_same(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes && a->changed_ns == b->changed_ns;
}

bool profiles_changed(const struct profiles *p)
{
	struct file_stamp config = look(p->config_path), credentials = look(p->credentials_path);

	return !is_same(&config, &p->config_stamp) || !is_same(&credentials, &p->credentials_stamp);
}

static void load(struct profiles *p, const char *path, struct ini *ret, bool secret)
{
	struct error e = {0};
	struct buf text;
	bool lax;
	enum err err;

	buf_init(&text, INI_FILE_MAX);
	err = trusted_read(path, &text, &lax, &e);
	if (err == ERR_OK)
		err = ini_parse(path, text.data ? text.data : "", text.len, ret, &e);
	if (err != ERR_OK && err != ERR_NOINPUT && !p->fault.code)
		p->fault = e;
	if (err == ERR_OK && secret && lax)
		p->warning = mem_format("%s may be read by other users: chmod 600 it", path);
	secret_file_wipe(&text);
}

void profiles_load(struct profiles *p)
{
	memset(p, 0, sizeof *p);
	p->config_path = path_of("AWS_CONFIG_FILE", "aws-config", "~/.aws/config");
	p->credentials_path = path_of("AWS_SHARED_CREDENTIALS_FILE", "aws-credentials", "~/.aws/credentials");
	/* before they are read: one that changes meanwhile has changed */
	p->config_stamp = look(p->config_path);
	p->credentials_stamp = look(p->credentials_path);
	load(p, p->config_path, &p->config, false);
	load(p, p->credentials_path, &p->credentials, true);
}

void profiles_fini(struct profiles *p)
{
	ini_fini(&p->config);
	ini_fini(&p->credentials);
	free(p->config_path);
	free(p->credentials_path);
	free(p->warning);
	memset(p, 0, sizeof *p);
}

/* "default" may be spelled [default] or [profile default]; the second wins, as in the SDKs. */
static const char *config_get(const struct profiles *p, const char *profile, const char *key)
{
	char *section = mem_format("profile %s", profile);
	const char *value = ini_get(&p->config, section, key);

	free(section);
	if (!value && strcmp(profile, "default") == 0)
		value = ini_get(&p->config, "default", key);
	return value;
}

bool profiles_exists(const struct profiles *p, const char *profile)
{
	char *section = mem_format("profile %s", profile);
	bool found = ini_has_section(&p->config, section) || ini_has_section(&p->credentials, profile) ||
	             (strcmp(profile, "default") == 0 && ini_has_section(&p->config, "default"));

	free(section);
	return found;
}

const char *profiles_get(const struct profiles *p, const char *profile, const char *key)
{
	const char *value = ini_get(&p->credentials, profile, key);

	if (!value || !*value)
		value = config_get(p, profile, key);
	return value && *value ? value : NULL;
}

const char *profiles_endpoint(const struct profiles *p, const char *profile, const char *service_key)
{
	const char *services = profiles_get(p, profile, "services");
	const char *value = NULL;

	if (services) {
		char *section = mem_format("services %s", services);

		value = ini_get_below(&p->config, section, service_key, "endpoint_url");
		free(section);
	}
	return value && *value ? value : profiles_get(p, profile, "endpoint_url");
}

const char *profiles_sso_get(const struct profiles *p, const char *session, const char *key)
{
	char *section = mem_format("sso-session %s", session);
	const char *value = ini_get(&p->config, section, key);

	free(section);
	return value && *value ? value : NULL;
}
