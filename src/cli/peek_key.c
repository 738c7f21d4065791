#include "cli/peek_key.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "bloblang/bloblang.h"

enum { KEY_ROOM = 1 << 20 };

struct peek_key {
	struct bloblang_template *template;
	struct evaluator *evaluator;
	struct buf text, again;
};

enum err peek_key_new(const struct config *config, struct peek_key **ret, struct error *e)
{
	struct peek_key *k = mem_zero(sizeof *k);
	struct bloblang_fault fault;

	buf_init(&k->text, KEY_ROOM);
	buf_init(&k->again, KEY_ROOM);
	k->evaluator = evaluator_new();
	if (bloblang_template_parse(config->output.partition_key.text, &k->template, &fault) != ERR_OK) {
		peek_key_free(k);
		return error_set(e, ERR_CONFIG, "output.aws_kinesis.partition_key: %s", fault.text);
	}
	*ret = k;
	return ERR_OK;
}

void peek_key_free(struct peek_key *k)
{
	if (!k)
		return;
	bloblang_template_free(k->template);
	evaluator_free(k->evaluator);
	buf_fini(&k->text);
	buf_fini(&k->again);
	free(k);
}

static enum err render(struct peek_key *k, struct message *m, struct buf *to, struct error *e)
{
	const struct message_batch at = {.messages = &m, .count = 1, .index = 0};

	buf_clear(to);
	return bloblang_template_render(k->template, k->evaluator, &at, to, e);
}

const char *peek_key_of(struct peek_key *k, const struct store_peeked *stored, size_t *ret_bytes, struct error *e)
{
	struct message *m = message_new(stored->meta, (uint32_t)stored->meta_bytes, stored->body ? stored->body : "",
	                                stored->body_bytes, stored->received_ms);
	enum err err;

	m->id = stored->id;
	err = render(k, m, &k->text, e);
	if (err == ERR_OK)
		err = render(k, m, &k->again, e);
	message_free(m);
	if (err != ERR_OK)
		return NULL;
	*ret_bytes = k->text.len;
	if (k->text.len == k->again.len && (k->text.len == 0 || memcmp(k->text.data, k->again.data, k->text.len) == 0))
		return k->text.len ? k->text.data : "";
	(void)error_set(e, ERR_UNSUPPORTED,
	                "output.aws_kinesis.partition_key makes another key each time; nobody can search by it");
	return NULL;
}
