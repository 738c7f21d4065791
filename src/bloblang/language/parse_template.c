/* Templates: text with ${! query }. */
#include "bloblang/language/parse_internal.h"

static struct piece *piece_new(struct parse *p, struct list *pieces, const char *text, size_t length)
{
	struct piece *piece = arena_alloc(&p->program->arena, sizeof *piece);

	*piece = (struct piece){.text = text, .length = length};
	list_add(p, pieces, piece);
	return piece;
}

/* at after "${!" */
static bool parse_interpolation(struct parse *p, struct list *pieces)
{
	const struct node *query;

	parse_skip_blanks(p);
	if (!parse_query(p, &query))
		return fault_must(p);
	parse_skip_blanks(p);
	if (!parse_char(p, '}')) {
		fault_rename(p, "end of expression");
		return fault_must(p);
	}
	piece_new(p, pieces, NULL, 0)->query = query;
	return true;
}

/* at after "${{!": up to "}}" it is the text of an interpolation */
static bool parse_escaped(struct parse *p, struct list *pieces)
{
	const char *start = p->at;

	for (const char *at = start; at + 2 <= p->end; at++) {
		if (at[0] != '}' || at[1] != '}')
			continue;
		piece_new(p, pieces, "${!", 3);
		piece_new(p, pieces, start, (size_t)(at + 1 - start));
		p->at = at + 2;
		return true;
	}
	fault_expected(p, start, "end of escaped expression");
	return fault_must(p);
}

static bool parse_pieces(struct parse *p, struct list *pieces)
{
	while (p->at < p->end) {
		const char *start = p->at;

		if (parse_term(p, "${{!")) {
			if (!parse_escaped(p, pieces))
				return false;
			continue;
		}
		p->at = start;
		if (parse_term(p, "${!")) {
			if (!parse_interpolation(p, pieces))
				return false;
			continue;
		}
		for (p->at = start + 1; p->at < p->end && *p->at != '$';)
			p->at++;
		piece_new(p, pieces, start, (size_t)(p->at - start));
	}
	return true;
}

/* Literal queries become text; a template of text only is constant. */
static void fold_pieces(struct parse *p, const struct list *list)
{
	struct program *t = p->program;
	struct piece *pieces = arena_alloc(&p->program->arena, (list->count + 1) * sizeof *pieces);
	bool constant = true;
	const char *error;
	struct text all;
	struct value v;

	text_init(&all, &p->program->arena);
	for (size_t i = 0; i < list->count; i++) {
		memcpy(&pieces[i], list->items[i], sizeof *pieces);
		if (pieces[i].query && pieces[i].query->kind == NODE_LITERAL &&
		    value_to_text(&p->program->arena, pieces[i].query->literal, &v, &error))
			pieces[i] = (struct piece){.text = v.text, .length = v.length};
		if (pieces[i].query)
			constant = false;
		else
			text_add(&all, pieces[i].text, pieces[i].length);
	}
	t->pieces = pieces;
	t->piece_count = list->count;
	if (constant) {
		t->constant_length = all.length;
		t->constant = text_end(&all);
	}
}

bool parse_template(struct parse *p)
{
	struct list pieces = {0};

	if (!parse_pieces(p, &pieces))
		return false;
	fold_pieces(p, &pieces);
	return true;
}
