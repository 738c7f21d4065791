/* Lexer and parser: any text as a mapping and as a template; a fault lies inside the text; nothing leaks. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bloblang/bloblang.h"
#include "rig/fuzz.h"

static int lines_of(const char *text)
{
	int lines = 1;

	for (; *text != '\0'; text++)
		lines += *text == '\n';
	return lines;
}

static void check_fault(const char *text, const struct bloblang_fault *fault)
{
	if (fault->line < 1 || fault->line > lines_of(text) || fault->column < 1 || fault->text[0] == '\0')
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bloblang_fault fault = {0};
	struct bloblang_template *t = NULL;
	struct bloblang_mapping *m = NULL;
	char *text = malloc(size + 1);

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (bloblang_mapping_parse(text, NULL, &m, &fault) != ERR_OK)
		check_fault(text, &fault);
	bloblang_mapping_free(m);
	if (bloblang_template_parse(text, &t, &fault) != ERR_OK)
		check_fault(text, &fault);
	bloblang_template_free(t);
	free(text);
	return 0;
}
