#include "aws/identity/shell_words.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* Reads one word at *p into out (large enough for all of it); false when a quote stays open. */
static bool one_word(const char **p, char *out)
{
	const char *c = *p;
	char quote = '\0';

	for (; *c && (quote || !is_blank(*c)); c++) {
		if (quote ? *c == quote : *c == '\'' || *c == '"') {
			quote = quote ? '\0' : *c;
		} else if (*c == '\\' && quote != '\'') {
			if (!c[1])
				return false;
			c++;
			if (quote && !strchr("\"\\$`\n", *c))
				*out++ = '\\';
			if (*c != '\n')
				*out++ = *c;
		} else {
			*out++ = *c;
		}
	}
	*out = '\0';
	*p = c;
	return !quote;
}

char **shell_words_split(const char *text)
{
	char **words = mem_array(SHELL_WORDS_MAX + 1, sizeof *words);
	char *word = mem_zero(strlen(text) + 2);
	size_t count = 0;
	bool whole = true;

	words[0] = NULL;
	for (const char *p = text; whole;) {
		while (is_blank(*p))
			p++;
		if (!*p)
			break;
		whole = count < SHELL_WORDS_MAX && one_word(&p, word);
		if (whole) {
			words[count++] = mem_string(word);
			words[count] = NULL;
		}
	}
	free(word);
	if (whole && count > 0)
		return words;
	shell_words_free(words);
	return NULL;
}

void shell_words_free(char **words)
{
	for (size_t i = 0; words && words[i]; i++)
		free(words[i]);
	free(words);
}
