/*
 * bench_bloblang: the three figures of the language, for tools/bench.
 *
 * What it is: one thread, a fixed document made here, the best of many short runs, of which a busy machine disturbs
 * some. Prints one line of JSON:
 * key_extra_ns (what `${! json("device_id") }` costs a message more than a constant key, 1 KiB documents),
 * path_gb_s (documents of 10 KiB crossed to reach a path, bytes a nanosecond), mapping_per_s (messages a second through
 * a ten-line mapping, 1 KiB documents).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "bloblang/bloblang.h"

enum { RUNS = 60, DOCUMENT_MAX = 16 * 1024 };

static struct message *document(size_t size)
{
	static char text[DOCUMENT_MAX];
	size_t n =
	    (size_t)snprintf(text, sizeof text, "{\"ts\":1700000000123,\"level\":\"info\",\"host\":\"db-17.example\",");

	for (int i = 0; n + 200 < size; i++)
		n += (size_t)snprintf(
		    text + n, sizeof text - n,
		    "\"field_%02d\":\"some words of value %d\",\"n%02d\":%d.5,\"o%02d\":{\"a\":true,\"b\":[1,2,3]},", i,
		    i * 7919, i, i * 31, i);
	n += (size_t)snprintf(text + n, sizeof text - n,
	                      "\"user\":{\"id\":42,\"name\":\"ann\"},\"device_id\":\"sensor-0042\"");
	while (n + 1 < size)
		text[n++] = ' ';
	text[n++] = '}';
	return message_new(NULL, 0, text, n, 0);
}

static void refuse(const char *what)
{
	fprintf(stderr, "bench_bloblang: %s\n", what);
	exit(EXIT_FAILURE);
}

/* Nanoseconds a message. */
static double time_template(const char *text, struct message *m, int count)
{
	struct message_batch batch = {.messages = &m, .count = 1};
	struct evaluator *ev = evaluator_new();
	struct bloblang_template *t = NULL;
	double best = 1e18;
	struct buf out;

	buf_init(&out, 1 << 20);
	if (bloblang_template_parse(text, &t, NULL) != ERR_OK)
		refuse(text);
	for (int run = 0; run < RUNS; run++) {
		int64_t start = clock_mono_ns();

		for (int i = 0; i < count; i++) {
			buf_clear(&out);
			if (bloblang_template_render(t, ev, &batch, &out, NULL) != ERR_OK)
				refuse("a template failed");
		}
		if ((double)(clock_mono_ns() - start) / count < best)
			best = (double)(clock_mono_ns() - start) / count;
	}
	bloblang_template_free(t);
	evaluator_free(ev);
	buf_fini(&out);
	return best;
}

static const char mapping_text[] = "root.id = this.device_id.uppercase()\n"
                                   "root.when = this.ts\n"
                                   "root.user.name = this.user.name | \"nobody\"\n"
                                   "root.user.id = this.user.id\n"
                                   "root.size = this.field_00.length()\n"
                                   "root.severe = this.level == \"error\" || this.level == \"fatal\"\n"
                                   "root.kind = if this.n00 > 10 { \"big\" } else { \"small\" }\n"
                                   "root.sum = this.n00 + this.n01\n"
                                   "meta key = this.host\n"
                                   "root.tags = [this.level, this.host]\n";

static double time_mapping(struct message *m, int count)
{
	struct message_batch batch = {.messages = &m, .count = 1};
	struct evaluator *ev = evaluator_new();
	struct bloblang_mapping *mapping = NULL;
	double best = 1e18;

	if (bloblang_mapping_parse(mapping_text, NULL, &mapping, NULL) != ERR_OK)
		refuse(mapping_text);
	for (int run = 0; run < RUNS; run++) {
		int64_t start = clock_mono_ns();

		for (int i = 0; i < count; i++) {
			struct message *made;

			if (bloblang_mapping_run(mapping, ev, &batch, false, &made, NULL) != ERR_OK)
				refuse("the mapping failed");
			message_free(made);
		}
		if ((double)(clock_mono_ns() - start) / count < best)
			best = (double)(clock_mono_ns() - start) / count;
	}
	bloblang_mapping_free(mapping);
	evaluator_free(ev);
	return best;
}

int main(void)
{
	struct message *small = document(1024);
	struct message *large = document(10 * 1024);
	double constant = time_template("device", small, 20000);
	double key = time_template("${! json(\"device_id\") }", small, 4000);
	double path = time_template("${! json(\"user.name\") }", large, 400);
	double mapping = time_mapping(small, 1000);

	printf("{\"key_extra_ns\":%.0f,\"path_gb_s\":%.2f,\"mapping_per_s\":%.0f}\n", key - constant,
	       large->body_bytes / path, 1e9 / mapping);
	message_free(small);
	message_free(large);
	return EXIT_SUCCESS;
}
