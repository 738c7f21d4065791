#include "config/print.h"

#include <string.h>

#include "config/processors.h"

struct example {
	struct buf *out;
	bool small;
	const char *mark; /* "#" in front of every line of an alternative */
	int mark_indent;  /* where the mark stands */
};

static void begin_line(const struct example *x, int indent)
{
	if (*x->mark)
		(void)buf_addf(x->out, "%*s#%*s", x->mark_indent, "", indent - x->mark_indent, "");
	else
		(void)buf_addf(x->out, "%*s", indent, "");
}

static bool is_shown(const struct example *x, const struct option_row *row)
{
	return !x->small || !(row->flags & ADVANCED);
}

static void print_rows(const struct example *x, const struct option_section *s, int indent);

static void print_object(const struct example *x, const struct option_row *row, int indent)
{
	begin_line(x, indent);
	(void)buf_addf(x->out, "# %s\n", row->text);
	begin_line(x, indent);
	(void)buf_addf(x->out, "%s:\n", row->key);
	print_rows(x, row->section(), indent + 2);
}

static void print_row(const struct example *x, const struct option_row *row, int indent)
{
	begin_line(x, indent);
	(void)buf_add_text(x->out, "# ");
	print_option_sentence(row, x->out);
	(void)buf_add_text(x->out, " (");
	print_option_kind(row, x->out);
	(void)buf_add_text(x->out, ")\n");
	begin_line(x, indent);
	/* Inside an alternative the mark already comments the line out. */
	(void)buf_addf(x->out, "%s%s: ", *x->mark ? "" : "#", row->key);
	print_option_default(row, x->out);
	(void)buf_add_text(x->out, "\n");
}

static bool is_slot_component(const struct option_section *s, const struct option_row *row)
{
	bool frame = s == options_root() || s == options_output() || s == options_buffer() || s == options_metrics();

	return frame && row->kind == OPTION_OBJECT; /* a part of its own */
}

static void print_rows(const struct example *x, const struct option_section *s, int indent)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct option_row *row = &s->rows[i];

		if (!is_shown(x, row) || is_slot_component(s, row))
			continue;
		if (row->kind == OPTION_OBJECT)
			print_object(x, row, indent);
		else
			print_row(x, row, indent);
	}
}

static void print_part(struct buf *out, const struct print_part *part, bool new_slot, bool small)
{
	struct example x = {
	    .out = out, .small = small, .mark = part->one_of ? "#" : "", .mark_indent = part->slot ? 2 : 0};
	int indent = (part->slot ? 2 : 0) + (part->key ? 2 : 0);

	if (new_slot)
		(void)buf_addf(out, "\n%s%s", part->slot ? part->slot : "", part->slot ? ":\n" : "");
	begin_line(&x, part->slot ? 2 : 0);
	(void)buf_addf(out, "# %s\n", part->text);
	if (part->key) {
		begin_line(&x, part->slot ? 2 : 0);
		(void)buf_addf(out, "%s:\n", part->key);
	}
	print_rows(&x, part->section(), indent);
}

static void print_component(const struct example *x, const struct processor_row *row)
{
	static const char *const values[] = {
	    [PROCESSOR_FIELDS] = "",      [PROCESSOR_CASES] = "",      [PROCESSOR_MAPPING] = " root = this",
	    [PROCESSOR_CHILDREN] = " []", [PROCESSOR_LABEL] = " name",
	};
	bool is_processor = row->slot == processor_rows->slot;

	begin_line(x, 1);
	(void)buf_addf(x->out, "# %s\n", row->text);
	begin_line(x, 1);
	if (!is_processor) {
		(void)buf_add_text(x->out, "- label: name\n");
		begin_line(x, 3);
	}
	(void)buf_addf(x->out, "%s%s:%s\n", is_processor ? "- " : "", row->name, values[row->shape]);
	if (row->shape == PROCESSOR_CASES) {
		begin_line(x, 5);
		(void)buf_add_text(x->out, "-\n");
	}
	if (row->section)
		print_rows(x, row->section(), row->shape == PROCESSOR_CASES ? 7 : 5);
}

/* What lists hold, all of it in comments. */
static void print_components(struct buf *out)
{
	const struct example x = {.out = out, .mark = "#"};
	const char *slot = "";

	for (const struct processor_row *row = processor_rows; row->name; row++) {
		if (strcmp(row->slot, slot) != 0)
			(void)buf_addf(out, "\n# What a list of %ss may hold:\n", row->slot);
		slot = row->slot;
		print_component(&x, row);
	}
}

void config_print_example(struct buf *out, bool small)
{
	const char *slot = NULL;

	(void)buf_add_text(
	    out, "# Configuration of kspool. A line \"#key: value\" shows a default: take the # away to change it.\n"
	         "# Required options show an example value, and are to be set. Environment variables may stand "
	         "anywhere as a dollar\n"
	         "# sign and {NAME} or {NAME:default}. Check the file with: kspool lint FILE\n");
	for (const struct print_part *part = print_parts; part->section; part++) {
		bool new_slot = !part->slot || !slot || strcmp(slot, part->slot) != 0;

		print_part(out, part, new_slot, small);
		slot = part->slot;
	}
	if (!small)
		print_components(out);
}
