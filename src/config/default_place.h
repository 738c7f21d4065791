/*
 * default_place: where the spool of a configuration without `buffer.sqlite.path` lies.
 *
 * What it is: a file of its own for each configuration, named after the configuration's file and a checksum of its
 * path, in $STATE_DIRECTORY (systemd), else /var/lib/kspool (root), else in the user's data folder
 * ($XDG_DATA_HOME/kspool,
 * ~/.local/share/kspool). One that lies in /var/lib/kspool already is found by whoever asks about it without
 * $STATE_DIRECTORY. Links in the file's name are not followed (mounted ConfigMaps exchange them), those of its folder
 * are. Promises: none of its own. Owner: the caller. Thread: any. Fails: ERR_CONFIG without such a folder;
 * default_place_make with ERR_ENVIRONMENT. Does not: open the spool, or look at spools of other configurations.
 */
#ifndef KSPOOL_CONFIG_DEFAULT_PLACE_H
#define KSPOOL_CONFIG_DEFAULT_PLACE_H

#include "base/error.h"

enum err default_place_find(const char *config_file, char **ret, struct error *e) MUST_CHECK;
/* Makes the folder of such a spool, with mode 0700, and those above it that are not there. */
enum err default_place_make(const char *spool, struct error *e) MUST_CHECK;

#endif
