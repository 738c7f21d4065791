#include "cli/env_file.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static char *trim(char *text)
{
	size_t n;

	text += strspn(text, " \t");
	n = strlen(text);
	while (n > 0 && strchr(" \t\r\n", text[n - 1]))
		n--;
	text[n] = '\0';
	return text;
}

static bool is_name(const char *name)
{
	if (!isalpha((unsigned char)*name) && *name != '_')
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && *name != '_' && *name != '.')
			return false;
	return true;
}

/* In place. False: its quote has no end, or something stands behind it. */
static bool unquote(char **value)
{
	char quote = **value, *to = *value, *from = *value + 1;

	if (quote != '"' && quote != '\'') {
		char *comment = strstr(*value, " #");

		if (comment)
			*comment = '\0';
		*value = trim(*value);
		return true;
	}
	for (; *from && *from != quote; from++)
		if (quote == '"' && *from == '\\' && from[1] && strchr("nt\"\\$", from[1]))
			*to++ = *++from == 'n' ? '\n' : *from == 't' ? '\t' : *from;
		else
			*to++ = *from;
	if (*from != quote)
		return false;
	from = trim(from + 1);
	*to = '\0';
	return *from == '\0' || *from == '#';
}

static bool take_line(char *line)
{
	char *name = trim(line), *value;

	if (*name == '\0' || *name == '#')
		return true;
	if (strncmp(name, "export ", 7) == 0)
		name = trim(name + 7);
	value = strchr(name, '=');
	if (!value)
		return false;
	*value = '\0';
	value = trim(value + 1);
	name = trim(name);
	return is_name(name) && unquote(&value) && setenv(name, value, 1) == 0;
}

enum err env_file_read(const char *path, struct error *e)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t capacity = 0;
	unsigned number = 0;
	enum err err = ERR_OK;

	if (!f)
		return error_set_errno(e, ERR_NOINPUT, "%s", path);
	while (err == ERR_OK && getline(&line, &capacity, f) >= 0) {
		number++;
		if (!take_line(line))
			err = error_set(e, ERR_CONFIG, "%s: line %u is not NAME=VALUE", path, number);
	}
	if (err == ERR_OK && ferror(f))
		err = error_set_errno(e, ERR_NOINPUT, "%s", path);
	free(line);
	(void)fclose(f);
	return err;
}
