/*
 * profiles: the two shared files as one set of profiles.
 *
 * What it is: config file: $AWS_CONFIG_FILE, the systemd credential "aws-config", or ~/.aws/config, sections "default"
 * and "profile x". Credentials file: $AWS_SHARED_CREDENTIALS_FILE, the systemd credential "aws-credentials", or
 * ~/.aws/credentials, sections "x". A setting in both is that of the credentials file. A missing file is an empty one.
 * Promises: 12 (a spool with other credentials does not stop for a bad file).
 * Owner: the caller; profiles_fini wipes.
 * Thread: one.
 * Fails: a file that cannot be read or parsed is kept as `fault` for whoever needs the files.
 * Does not: follow source_profile (provider_shared.c does).
 */
#ifndef KSPOOL_AWS_IDENTITY_PROFILES_H
#define KSPOOL_AWS_IDENTITY_PROFILES_H

#include <stdbool.h>
#include <stdint.h>

#include "aws/identity/ini.h"

/* Which content of a file was read; all zero when there was none. */
struct file_stamp {
	uint64_t device;
	uint64_t inode;
	int64_t bytes;
	int64_t changed_ns;
};

struct profiles {
	struct ini config;
	struct ini credentials;
	char *config_path;
	char *credentials_path;
	struct file_stamp config_stamp;
	struct file_stamp credentials_stamp;
	struct error fault; /* code is ERR_OK when both files are usable */
	char *warning;      /* a file with secrets that others may read; null when none */
};

void profiles_load(struct profiles *p);
/* One of the files is another than when it was loaded, or is there at last, or is gone. */
bool profiles_changed(const struct profiles *p);
/* Wipes. Accepts a zeroed struct. */
void profiles_fini(struct profiles *p);
bool profiles_exists(const struct profiles *p, const char *profile);
/* null when not set in either file; an empty value counts as not set. */
const char *profiles_get(const struct profiles *p, const char *profile, const char *key);
/* The endpoint_url of a service in the profile's `services` section, else the profile's own; null when none. */
const char *profiles_endpoint(const struct profiles *p, const char *profile, const char *service_key);
/* A setting of [sso-session name]. */
const char *profiles_sso_get(const struct profiles *p, const char *session, const char *key);

#endif
