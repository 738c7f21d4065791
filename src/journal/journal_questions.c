/* The verbs of the intake thread: each asks, runs on the journal's thread, and is answered on the intake thread. */
#include "journal/journal_questions.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "journal/journal_internal.h"
#include "store/upkeep/store_copy.h"

struct question {
	struct journal_question head; /* first member */
	journal_done *done;
	void *arg;
	char *text; /* key or target */
	char *position;
	uint64_t id;
	struct journal_page page;
	uint64_t page_bytes;
	unsigned char **blocks; /* what answer.dead points at, one a message */
	struct journal_answer answer;
};

static void question_free(struct question *q)
{
	for (size_t i = 0; i < q->answer.dead_count; i++)
		free(q->blocks[i]);
	free(q->blocks);
	free(q->answer.dead);
	free(q->position);
	free(q->text);
	free(q);
}

static void answer(struct journal_question *head)
{
	struct question *q = (struct question *)head;

	q->done(q->arg, &q->answer);
	question_free(q);
}

bool journal_ask(struct journal *j, struct journal_question *q)
{
	if (atomic_load(&j->questions_out) >= LANE_QUESTIONS)
		return false;
	atomic_fetch_add(&j->questions_out, 1);
	must(lane_put(j->questions, q));
	return true;
}

static bool ask(struct journal *j, struct question *q)
{
	q->head.done = answer;
	if (journal_ask(j, &q->head))
		return true;
	question_free(q);
	return false;
}

static struct question *question_new(void (*run)(struct store *, struct journal_question *), journal_done *done,
                                     void *arg)
{
	struct question *q = mem_zero(sizeof *q);

	q->head.run = run;
	q->done = done;
	q->arg = arg;
	return q;
}

static void note(struct question *q, enum err err)
{
	if (err == ERR_OK)
		q->answer.error.code = ERR_OK;
}

static void run_position(struct store *s, struct journal_question *head)
{
	struct question *q = (struct question *)head;

	note(q, store_position_get(s, q->text, &q->position, &q->answer.position_damaged, &q->answer.error));
	q->answer.position = q->position;
}

bool journal_ask_position(struct journal *j, const char *key, journal_done *done, void *arg)
{
	struct question *q = question_new(run_position, done, arg);

	q->text = mem_string(key);
	return ask(j, q);
}

static const void *copy_into(unsigned char **to, const void *bytes, size_t count)
{
	const void *copy = *to;

	if (count > 0)
		memcpy(*to, bytes, count);
	*to += count;
	return copy;
}

static bool copy_dead(void *arg, const struct store_dead *dead)
{
	struct question *q = arg;
	const size_t code_bytes = strlen(dead->code) + 1, reason_bytes = strlen(dead->reason) + 1;
	const size_t bytes = q->page.with_body ? dead->meta_bytes + dead->body_bytes : 0;
	unsigned char *to = mem_alloc(code_bytes + reason_bytes + bytes);
	struct store_dead *copy = &q->answer.dead[q->answer.dead_count];

	q->blocks[q->answer.dead_count++] = to;
	*copy = *dead;
	copy->code = copy_into(&to, dead->code, code_bytes);
	copy->reason = copy_into(&to, dead->reason, reason_bytes);
	copy->meta = q->page.with_body ? copy_into(&to, dead->meta, dead->meta_bytes) : NULL;
	copy->body = q->page.with_body ? copy_into(&to, dead->body, dead->body_bytes) : NULL;
	q->page_bytes += bytes;
	return q->page_bytes <= q->page.max_bytes;
}

static void run_dead(struct store *s, struct journal_question *head)
{
	struct question *q = (struct question *)head;
	const struct journal_page *p = &q->page;

	q->answer.dead = mem_zero(((size_t)p->limit + 1) * sizeof *q->answer.dead);
	q->blocks = mem_zero(((size_t)p->limit + 1) * sizeof *q->blocks);
	note(q, p->id ? store_dead_get(s, p->id, copy_dead, q, &q->answer.error)
	              : store_dead_walk(s, p->after_id, p->limit, copy_dead, q, &q->answer.error));
}

bool journal_ask_dead(struct journal *j, const struct journal_page *page, journal_done *done, void *arg)
{
	struct question *q = question_new(run_dead, done, arg);

	q->page = *page;
	return ask(j, q);
}

static void run_retry(struct store *s, struct journal_question *head)
{
	struct question *q = (struct question *)head;

	note(q, store_dead_retry(s, q->id, &q->answer.count, &q->answer.damaged, &q->answer.error));
}

bool journal_retry_dead(struct journal *j, uint64_t id, journal_done *done, void *arg)
{
	struct question *q = question_new(run_retry, done, arg);

	q->id = id;
	return ask(j, q);
}

static void run_purge(struct store *s, struct journal_question *head)
{
	struct question *q = (struct question *)head;

	note(q, store_dead_purge(s, q->id, &q->answer.count, &q->answer.error));
}

bool journal_purge_dead(struct journal *j, uint64_t id, journal_done *done, void *arg)
{
	struct question *q = question_new(run_purge, done, arg);

	q->id = id;
	return ask(j, q);
}

static void run_export(struct store *s, struct journal_question *head)
{
	struct question *q = (struct question *)head;

	note(q, store_export(s, q->text, &q->answer.error));
}

bool journal_export(struct journal *j, const char *target, journal_done *done, void *arg)
{
	struct question *q = question_new(run_export, done, arg);

	q->text = mem_string(target);
	return ask(j, q);
}
