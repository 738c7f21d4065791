/* intake_group: a group before it is sent, and after it was answered. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "doors/intake.h"
#include "doors/scanner.h"

enum { PATTERN_ARENA_BYTES = 1048576 };

struct group *group_new(struct intake *i, struct pipeline *own, group_answered *answered, void *door)
{
	struct group *g = mem_zero(sizeof *g);

	STAILQ_INIT(&g->todo);
	STAILQ_INIT(&g->offer.messages);
	STAILQ_INIT(&g->offer.set_aside);
	STAILQ_INIT(&g->made);
	g->intake = i;
	g->own = own;
	g->answered = answered;
	g->door = door;
	g->begun_ns = clock_mono_ns();
	return g;
}

void group_add(struct group *g, struct message *m)
{
	STAILQ_INSERT_TAIL(&g->offer.messages, m, link);
	g->offer.count++;
	g->offer.bytes += message_cost(m);
	g->received++;
}

enum offer_verdict group_reserve(struct group *g, uint64_t bytes)
{
	struct intake *i = g->intake;

	if (g->charged_bytes + bytes > i->memory_limit_bytes)
		return OFFER_TOO_BIG;
	if (i->memory_bytes + bytes > intake_most_bytes(i))
		return OFFER_FULL;
	intake_charge(i, bytes);
	g->charged_bytes += bytes;
	return OFFER_ACCEPTED;
}

/* FNV-1a, up to the last colon behind the address. */
uint64_t group_peer(const char *name)
{
	const char *colon = strrchr(name, ':');
	size_t length = colon ? (size_t)(colon - name) : strlen(name);
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < length; i++)
		sum = (sum ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
	return sum | 1;
}

void group_set_aside(struct group *g, struct message *m, const char *reason)
{
	message_fail(m, NULL, reason);
	STAILQ_INSERT_TAIL(&g->offer.set_aside, m, link);
	g->offer.set_aside_count++;
}

void group_free(struct group *g)
{
	if (!g)
		return;
	message_list_free(&g->todo);
	message_list_free(&g->offer.messages);
	message_list_free(&g->offer.set_aside);
	message_list_free(&g->made);
	free(g->make_error);
	free(g->offer.position_key);
	free(g->offer.position);
	free(g->taken_ns);
	intake_release(g->intake, g->charged_bytes);
	budget_give(g->taken_bytes);
	free(g);
}

const struct regex *intake_pattern(struct intake *i, const struct config_scanner *scanner)
{
	struct intake_pattern *p;
	char fault[REGEX_FAULT_MAX];

	if (scanner->kind != SCANNER_RE_MATCH)
		return NULL;
	SLIST_FOREACH (p, &i->patterns, link)
		if (p->of == scanner)
			return p->regex;
	p = mem_zero(sizeof *p);
	p->of = scanner;
	arena_init(&p->arena, PATTERN_ARENA_BYTES);
	p->regex = scanner_pattern(&p->arena, scanner, fault);
	must(p->regex); /* the configuration was checked */
	SLIST_INSERT_HEAD(&i->patterns, p, link);
	return p->regex;
}

void intake_free_patterns(struct intake *i)
{
	struct intake_pattern *p;

	while ((p = SLIST_FIRST(&i->patterns))) {
		SLIST_REMOVE_HEAD(&i->patterns, link);
		regex_free(p->regex);
		arena_fini(&p->arena);
		free(p);
	}
}
