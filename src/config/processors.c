#include "config/processors.h"

#include "config/print.h"

#define SECTION_FIELDS(name) options_processor_##name
#define SECTION_CASES(name) options_processor_##name
#define SECTION_MAPPING(name) NULL
#define SECTION_CHILDREN(name) NULL
#define SECTION_LABEL(name) NULL
#define ROW(s, name, shape, text) {"processor", #name, PROCESSOR_##shape, SECTION_##shape(name), text},
#define RESOURCE(s, slot, name, text) {#slot, #name, PROCESSOR_FIELDS, options_##slot##_##name, text},

const struct processor_row processor_rows[] = {CONFIG_PROCESSORS(ROW, ) CONFIG_RESOURCES(RESOURCE, ){.name = NULL}};

static void print_field(struct buf *out, const struct option_row *row)
{
	(void)buf_addf(out, "    %s (", row->key);
	print_option_kind(row, out);
	if (!(row->flags & REQUIRED)) {
		(void)buf_add_text(out, "; default ");
		print_option_default(row, out);
	}
	(void)buf_add_text(out, ") ");
	print_option_sentence(row, out);
	(void)buf_add_text(out, "\n");
}

void config_print_processors(struct buf *out)
{
	static const char *const behind[] = {
	    [PROCESSOR_FIELDS] = "",
	    [PROCESSOR_CASES] = ": list of cases",
	    [PROCESSOR_MAPPING] = ": Bloblang mapping",
	    [PROCESSOR_CHILDREN] = ": list of processors",
	    [PROCESSOR_LABEL] = ": label",
	};

	for (const struct processor_row *row = processor_rows; row->name; row++) {
		const struct option_section *s = row->section ? row->section() : NULL;
		bool is_resource = row->slot != processor_rows->slot;

		(void)buf_addf(out, "%s%s%s%s\n    %s\n", is_resource ? row->slot : "", is_resource ? "." : "",
		               row->name, behind[row->shape], row->text);
		for (size_t i = 0; s && i < s->count; i++)
			print_field(out, &s->rows[i]);
	}
}
