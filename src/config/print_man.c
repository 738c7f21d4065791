#include "config/print.h"

#include <string.h>

#include "base/cleanup.h"
#include "config/processors.h"

/* Text as roff shows it: backslashes and hyphens escaped, no control line at the start (groff_man(7)). */
static void print_text(struct buf *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		(void)buf_add_text(out, "\\&");
	for (const char *p = text; *p; p++) {
		if (*p == '\\')
			(void)buf_add_text(out, "\\e");
		else if (*p == '-')
			(void)buf_add_text(out, "\\-");
		else
			(void)buf_add_char(out, *p);
	}
}

static void print_row(struct buf *out, const char *prefix, const struct option_row *row)
{
	struct buf piece CLEANUP(buf_fini);

	buf_init(&piece, 4096);
	(void)buf_add_text(out, ".TP\n\\fB");
	print_text(out, prefix);
	print_text(out, *prefix ? "." : "");
	print_text(out, row->key);
	(void)buf_add_text(out, "\\fR (");
	print_option_kind(row, &piece);
	print_text(out, piece.data);
	if (!(row->flags & REQUIRED)) {
		buf_clear(&piece);
		print_option_default(row, &piece);
		(void)buf_add_text(out, "; default ");
		print_text(out, piece.data);
	}
	(void)buf_add_text(out, ")\n");
	buf_clear(&piece);
	print_option_sentence(row, &piece);
	if (row->flags & OWN)
		(void)buf_add_text(&piece, " (kspool's own.)");
	print_text(out, piece.data);
	(void)buf_add_text(out, "\n");
}

static void print_rows(struct buf *out, const char *prefix, const struct option_section *s)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct option_row *row = &s->rows[i];
		bool elsewhere =
		    s == options_root() || s == options_output() || s == options_buffer() || s == options_metrics();

		if (row->kind == OPTION_OBJECT && !elsewhere) {
			struct buf inner CLEANUP(buf_fini);

			buf_init(&inner, 256);
			(void)buf_addf(&inner, "%s%s%s", prefix, *prefix ? "." : "", row->key);
			print_rows(out, inner.data, row->section());
		} else if (row->kind != OPTION_OBJECT) {
			print_row(out, prefix, row);
		}
	}
}

static void print_processors(struct buf *out)
{
	(void)buf_add_text(out, ".SS processors and resources\nWhat a list of processors holds, and what "
	                        "rate_limit_resources and cache_resources hold beside label.\n");
	for (const struct processor_row *row = processor_rows; row->name; row++) {
		struct buf path CLEANUP(buf_fini);

		buf_init(&path, 256);
		(void)buf_addf(&path, "%s.%s", row->slot, row->name);
		(void)buf_add_text(out, ".TP\n\\fB");
		print_text(out, path.data);
		(void)buf_add_text(out, "\\fR\n");
		print_text(out, row->text);
		(void)buf_add_text(out, "\n");
		if (row->section)
			print_rows(out, path.data, row->section());
	}
}

static void print_scanner(struct buf *out, const char *key, const char *text, const struct option_section *s)
{
	struct buf path CLEANUP(buf_fini);

	buf_init(&path, 256);
	(void)buf_addf(&path, "scanner.%s", key);
	(void)buf_add_text(out, ".TP\n\\fB");
	print_text(out, path.data);
	(void)buf_add_text(out, "\\fR\n");
	print_text(out, text);
	(void)buf_add_text(out, "\n");
	print_rows(out, path.data, s);
}

void config_print_man(struct buf *out)
{
	for (const struct print_part *part = print_parts; part->section; part++) {
		struct buf path CLEANUP(buf_fini);

		buf_init(&path, 256);
		(void)buf_addf(&path, "%s%s%s", part->slot ? part->slot : "", part->slot && part->key ? "." : "",
		               part->key ? part->key : "");
		(void)buf_add_text(out, ".SS ");
		print_text(out, path.len ? path.data : "top level");
		(void)buf_add_text(out, "\n");
		print_text(out, part->text);
		(void)buf_add_text(out, "\n");
		print_rows(out, path.data ? path.data : "", part->section());
	}
	print_processors(out);
	(void)buf_add_text(out, ".SS scanner\nHow bytes become messages: one of these.\n");
#define SCANNER(kind, member, key, text) print_scanner(out, key, text, options_scanner_##member());
	CONFIG_SCANNERS(SCANNER)
#undef SCANNER
	print_scanner(out, "skip_bom", "A byte order mark at the begin is dropped.", options_scanner_skip_bom());
}
