/*
 * pairs FOLDER: runs configurations over batches, for tests that know by themselves what should come of it.
 *
 * Standard input, one request a line: "offer FILE BODY BODY ..." or "flush FILE BODY BODY ...", bodies in hex ("-" is
 * an empty one). FILE is a configuration; its pipeline.processors are run. `offer` makes the batch one offer of the
 * real intake to a real journal in FOLDER and answers with the ledger's movement and the rows that came of it, which
 * are then settled. `flush` runs them over rows numbered from 1, as delivery does. Answers are lines of words:
 *   accepted N filtered N dead N row HEX row HEX ... | vanished ID,ID message HEX ID,ID ...
 * and at the end the ledger, when all rows are settled.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/store_ledger.h"
#include "journal/journal.h"
#include "journal/journal_internal.h"
#include "doors/intake.h"

static struct event_base *base;
static struct journal *journal;
static struct store_ledger seen;

static void condemned(const struct error *reason)
{
	(void)fprintf(stderr, "condemned: %s\n", reason->text);
	abort();
}

static struct config *load(const char *path)
{
	const struct config_load_options options = {0};
	struct config_faults faults = {0};
	struct config *config = NULL;
	struct error e = {.code = ERR_OK};
	static char text[1 << 16];
	FILE *file = fopen(path, "re");

	must(file);
	text[fread(text, 1, sizeof text - 1, file)] = '\0';
	(void)fclose(file);
	if (config_parse(path, text, strlen(text), &options, &config, &faults, &e) != ERR_OK) {
		for (size_t i = 0; i < faults.count; i++)
			(void)fprintf(stderr, "%s: %s\n", path, faults.items[i].text);
		abort();
	}
	config_faults_fini(&faults);
	return config;
}

static struct message *message_of(const char *hex)
{
	size_t length = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2;
	struct message *m = message_new_room(length, 1);

	for (size_t i = 0; i < length; i++) {
		char two[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

		m->bytes[i] = (unsigned char)strtoul(two, NULL, 16);
	}
	return m;
}

static void print_body(const char *what, const struct message *m)
{
	(void)printf("%s ", what);
	for (uint32_t i = 0; i < m->body_bytes; i++)
		(void)printf("%02x", message_body(m)[i]);
	(void)printf(m->body_bytes ? " " : "- ");
}

struct answer {
	bool here;
	uint32_t rows;
};

static void on_answer(struct group *g, void *arg)
{
	struct answer *a = arg;

	must(g->offer.verdict == OFFER_ACCEPTED);
	a->rows = g->offer.count;
	a->here = true;
}

static void wait_fd(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	must(poll(&p, 1, 20000) == 1);
}

struct look {
	struct journal_question head;
	bool done;
};

static void look(struct store *s, struct journal_question *q)
{
	(void)q;
	seen = *store_ledger(s);
}

static void looked(struct journal_question *q) { ((struct look *)q)->done = true; }

static struct store_ledger ledger_now(void)
{
	struct look l = {.head = {.run = look, .done = looked}};

	must(journal_ask(journal, &l.head));
	while (!l.done) {
		wait_fd(journal_intake_fd(journal));
		(void)journal_intake_run(journal);
	}
	return seen;
}

static void take_rows(uint32_t want)
{
	struct store_settlements *gone = store_settlements_new(want ? want : 1);

	journal_credit(journal, want, (uint64_t)want << 20);
	while (gone->count < want) {
		struct journal_rows rows;
		struct message *m;

		if (!journal_take_rows(journal, &rows)) {
			wait_fd(journal_delivery_fd(journal));
			continue;
		}
		STAILQ_FOREACH (m, &rows.messages, link) {
			must(gone->count < want && m->id != 0 && !m->origin);
			gone->items[gone->count++] = (struct store_settlement){.id = m->id, .kind = SETTLE_DELIVERED};
			print_body("row", m);
		}
		message_list_free(&rows.messages);
	}
	while (!journal_settle(journal, gone))
		wait_fd(journal_delivery_fd(journal));
}

static void run_offer(const struct config *config, char **bodies, size_t count)
{
	struct intake i = {.base = base,
	                   .config = config,
	                   .journal = journal,
	                   .memory_limit_bytes = 1 << 26,
	                   .max_message_bytes = 1 << 20};
	struct store_ledger before = ledger_now(), after;
	struct answer a = {0};
	struct group *g;
	struct error e;

	if (intake_open(&i, &e) != ERR_OK)
		condemned(&e);
	g = group_new(&i, NULL, on_answer, &a);
	g->one_batch = true;
	for (size_t n = 0; n < count; n++)
		group_add(g, message_of(bodies[n]));
	group_send(g);
	while (!a.here) {
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
		(void)journal_intake_run(journal);
	}
	after = ledger_now();
	(void)printf("accepted %llu filtered %llu dead %llu ", (unsigned long long)(after.accepted - before.accepted),
	             (unsigned long long)(after.filtered - before.filtered),
	             (unsigned long long)(after.dead - before.dead));
	take_rows(a.rows);
	(void)printf("\n");
	intake_close(&i);
}

static void print_ids(const uint64_t *ids, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)printf("%s%llu", i ? "," : "", (unsigned long long)ids[i]);
	(void)printf(count ? " " : "- ");
}

static void run_flush(const struct config *config, char **bodies, size_t count)
{
	struct pipeline_batch batch = {0};
	struct evaluator *ev = evaluator_new();
	struct config_faults faults = {0};
	struct pipeline *p = NULL;
	uint64_t ids[64], gone[64];

	must(count <= 64);
	must(pipeline_compile(config->pipeline_processors, config, "pipeline.processors", &p, &faults) == ERR_OK);
	for (size_t i = 0; i < count; i++) {
		struct message *m = message_of(bodies[i]);

		m->id = ids[i] = i + 1;
		pipeline_batch_add(&batch, m);
	}
	(void)pipeline_run(p, ev, &batch);
	(void)printf("vanished ");
	print_ids(gone, pipeline_vanished(&batch, ids, count, gone));
	for (size_t i = 0; i < batch.count; i++) {
		print_body("message", batch.items[i]);
		print_ids(batch.items[i]->origin->ids, batch.items[i]->origin->count);
	}
	(void)printf("\n");
	pipeline_batch_fini(&batch);
	pipeline_free(p);
	evaluator_free(ev);
}

int main(int argc, char **argv)
{
	struct journal_options options = {.store = {.create = true}};
	struct store_report report;
	char *line = NULL;
	size_t room = 0;
	struct error e;

	must(argc == 2);
	options.store.path = mem_format("%s/kspool.db", argv[1]);
	base = event_base_new();
	if (journal_start(&options, condemned, &journal, &report, &e) != ERR_OK)
		condemned(&e);
	while (getline(&line, &room, stdin) > 0) {
		char *words[64], *save = NULL;
		struct config *config;
		size_t count = 0;

		for (char *w = strtok_r(line, " \n", &save); w; w = strtok_r(NULL, " \n", &save)) {
			must(count < 64);
			words[count++] = w;
		}
		must(count > 2);
		config = load(words[1]);
		if (strcmp(words[0], "offer") == 0)
			run_offer(config, words + 2, count - 2);
		else
			run_flush(config, words + 2, count - 2);
		config_free(config);
	}
	free(line);
	do
		(void)ledger_now();
	while (seen.pending > 0);
	(void)printf("ledger accepted %llu delivered %llu filtered %llu dead %llu\n", (unsigned long long)seen.accepted,
	             (unsigned long long)seen.delivered, (unsigned long long)seen.filtered,
	             (unsigned long long)seen.dead);
	if (journal_stop(journal, &e) != ERR_OK)
		condemned(&e);
	event_base_free(base);
	return 0;
}
