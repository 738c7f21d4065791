/*
 * Evaluator: a mapping (up to a line "---") over a message (the rest), as mapping, mutation, check and, between "${!"
 * and "}", as template. Whatever happens is a message, a deletion or an error with a text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "bloblang/bloblang.h"
#include "rig/fuzz.h"

static void must(bool fine)
{
	if (!fine)
		abort();
}

static void run_mapping(const char *text, struct evaluator *ev, const struct message_batch *batch)
{
	struct bloblang_mapping *m = NULL;
	struct message *made;
	struct error e;
	bool truth;

	if (bloblang_mapping_parse(text, NULL, &m, NULL) != ERR_OK)
		return;
	for (int mutate = 0; mutate < 2; mutate++) {
		made = NULL;
		e.text[0] = '\0';
		must(bloblang_mapping_run(m, ev, batch, mutate != 0, &made, &e) == ERR_OK || e.text[0] != '\0');
		must(made == NULL || meta_is_valid(message_meta(made), made->meta_bytes));
		message_free(made);
	}
	(void)!bloblang_mapping_check(m, ev, batch, &truth, &e);
	bloblang_mapping_free(m);
}

static void run_template(const char *text, size_t length, struct evaluator *ev, const struct message_batch *batch)
{
	struct bloblang_template *t = NULL;
	struct buf source;
	struct buf out;
	struct error e;

	buf_init(&source, length + 16);
	buf_init(&out, 1 << 20);
	must(buf_add_text(&source, "${!") == ERR_OK && buf_add(&source, text, length) == ERR_OK &&
	     buf_add_text(&source, "}") == ERR_OK);
	if (bloblang_template_parse(source.data, &t, NULL) == ERR_OK)
		(void)!bloblang_template_render(t, ev, batch, &out, &e);
	bloblang_template_free(t);
	buf_fini(&source);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct message_batch batch = {.count = 1};
	struct message *message;
	struct evaluator *ev;
	char *cut;

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	cut = strstr(text, "\n---\n");
	if (cut != NULL) {
		*cut = '\0';
		cut += 5;
		ev = evaluator_new();
		message = message_new(NULL, 0, cut, size - (size_t)(cut - text), 0);
		batch.messages = &message;
		run_mapping(text, ev, &batch);
		run_template(text, strlen(text), ev, &batch);
		message_free(message);
		evaluator_free(ev);
	}
	free(text);
	return 0;
}
