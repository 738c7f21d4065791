#include "aws/identity/ini.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct parser {
	const char *name;
	int line;
	struct ini *ini;
	char *section; /* null before the first */
	char *key;     /* of the setting an indented line would continue; null after a section line */
	bool below;    /* that setting's value is empty: indented lines are settings of their own */
};

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* Takes blanks (and a CR) off both ends of [*start, *start + *length). */
static void trim(const char **start, size_t *length)
{
	while (*length > 0 && is_blank(**start)) {
		(*start)++;
		(*length)--;
	}
	while (*length > 0 && (is_blank((*start)[*length - 1]) || (*start)[*length - 1] == '\r'))
		(*length)--;
}

/* A comment behind a value begins with '#' or ';' after a blank. */
static size_t without_comment(const char *text, size_t length)
{
	for (size_t i = 1; i < length; i++)
		if ((text[i] == '#' || text[i] == ';') && is_blank(text[i - 1]))
			return i - 1;
	return length;
}

static char *lower_copy(const char *text, size_t length)
{
	char *copy = mem_string_n(text, length);

	for (char *p = copy; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

static enum err add(struct parser *p, const char *key, const char *below, const char *value, size_t length,
                    struct error *e)
{
	struct ini *ini = p->ini;
	struct ini_entry *entry;

	if (ini->count == INI_ENTRIES_MAX)
		return error_set(e, ERR_INPUT, "%s line %d: more than %d settings", p->name, p->line, INI_ENTRIES_MAX);
	if (ini->count == ini->capacity) {
		ini->capacity = ini->capacity ? ini->capacity * 2 : 32;
		ini->entries = mem_grow(ini->entries, ini->capacity, sizeof *ini->entries);
	}
	entry = &ini->entries[ini->count++];
	entry->section = mem_string(p->section);
	entry->key = key ? mem_string(key) : NULL;
	entry->below = below ? mem_string(below) : NULL;
	entry->value = mem_string_n(value, length);
	return ERR_OK;
}

static enum err section_line(struct parser *p, const char *text, size_t length, struct error *e)
{
	const char *end = memchr(text, ']', length);
	char *name;
	size_t used = 0;
	char quote = '\0';

	if (!end)
		return error_set(e, ERR_INPUT, "%s line %d: the section has no ']'", p->name, p->line);
	name = mem_zero((size_t)(end - text) + 1);
	for (const char *c = text + 1; c < end; c++) {
		if (quote ? *c == quote : *c == '"' || *c == '\'')
			quote = quote ? '\0' : *c;
		else if (!is_blank(*c) || quote)
			name[used++] = *c;
		else if (used > 0 && name[used - 1] != ' ')
			name[used++] = ' ';
	}
	while (used > 0 && name[used - 1] == ' ')
		used--;
	name[used] = '\0';
	free(p->section);
	free(p->key);
	p->section = name;
	p->key = NULL;
	p->below = false;
	return add(p, NULL, NULL, "", 0, e);
}

static enum err setting_line(struct parser *p, const char *text, size_t length, bool indented, struct error *e)
{
	size_t split = 0;
	const char *value;
	size_t value_length, key_length;
	char *key;
	enum err err;

	while (split < length && text[split] != '=' && text[split] != ':')
		split++;
	key_length = split;
	while (key_length > 0 && is_blank(text[key_length - 1]))
		key_length--;
	if (split == length || key_length == 0)
		return error_set(e, ERR_INPUT, "%s line %d: neither a section nor key = value", p->name, p->line);
	if (!p->section)
		return error_set(e, ERR_INPUT, "%s line %d: a setting before the first section", p->name, p->line);
	key = lower_copy(text, key_length);
	value = text + split + 1;
	value_length = length - split - 1;
	value_length = without_comment(value, value_length);
	trim(&value, &value_length);
	if (indented) {
		err = add(p, p->key, key, value, value_length, e);
		free(key);
		return err;
	}
	free(p->key);
	p->key = key;
	p->below = value_length == 0;
	return add(p, key, NULL, value, value_length, e);
}

/* "one" + an indented "two" is "one\ntwo". */
static void continue_value(struct parser *p, const char *text, size_t length)
{
	struct ini_entry *entry = &p->ini->entries[p->ini->count - 1];
	size_t old = strlen(entry->value);
	char *joined = mem_zero(old + length + 2);

	memcpy(joined, entry->value, old);
	joined[old] = '\n';
	memcpy(joined + old + 1, text, length);
	explicit_bzero(entry->value, old);
	free(entry->value);
	entry->value = joined;
}

static enum err one_line(struct parser *p, const char *text, size_t length, struct error *e)
{
	bool indented = length > 0 && is_blank(text[0]);

	if (memchr(text, '\0', length))
		return error_set(e, ERR_INPUT, "%s line %d: a NUL byte", p->name, p->line);
	trim(&text, &length);
	if (length == 0 || text[0] == '#' || text[0] == ';')
		return ERR_OK;
	if (text[0] == '[')
		return section_line(p, text, length, e);
	if (!indented || !p->key)
		return setting_line(p, text, length, false, e);
	if (p->below)
		return setting_line(p, text, length, true, e);
	continue_value(p, text, length);
	return ERR_OK;
}

enum err ini_parse(const char *name, const char *text, size_t length, struct ini *ret, struct error *e)
{
	struct parser p = {.name = name, .ini = ret};
	enum err err = ERR_OK;

	memset(ret, 0, sizeof *ret);
	if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
		text += 3;
		length -= 3;
	}
	while (length > 0 && err == ERR_OK) {
		const char *end = memchr(text, '\n', length);
		size_t n = end ? (size_t)(end - text) : length;

		p.line++;
		err = one_line(&p, text, n, e);
		n += end ? 1 : 0;
		text += n;
		length -= n;
	}
	free(p.section);
	free(p.key);
	if (err)
		ini_fini(ret);
	return err;
}

void ini_fini(struct ini *ini)
{
	for (size_t i = 0; i < ini->count; i++) {
		struct ini_entry *entry = &ini->entries[i];

		explicit_bzero(entry->value, strlen(entry->value));
		free(entry->section);
		free(entry->key);
		free(entry->below);
		free(entry->value);
	}
	free(ini->entries);
	memset(ini, 0, sizeof *ini);
}

const char *ini_get_below(const struct ini *ini, const char *section, const char *key, const char *below)
{
	for (size_t i = ini->count; i-- > 0;) {
		const struct ini_entry *entry = &ini->entries[i];

		if (entry->key && strcmp(entry->section, section) == 0 && strcmp(entry->key, key) == 0 &&
		    (below ? entry->below && strcmp(entry->below, below) == 0 : !entry->below))
			return entry->value;
	}
	return NULL;
}

const char *ini_get(const struct ini *ini, const char *section, const char *key)
{
	return ini_get_below(ini, section, key, NULL);
}

bool ini_has_section(const struct ini *ini, const char *section)
{
	for (size_t i = 0; i < ini->count; i++)
		if (strcmp(ini->entries[i].section, section) == 0)
			return true;
	return false;
}
