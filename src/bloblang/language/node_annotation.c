#include "bloblang/language/node_internal.h"

/* A path as the reference prints it: segments joined by dots, with dots and tildes in them escaped. */
const char *node_path_text(struct arena *a, const struct path *p)
{
	struct text t;

	text_init(&t, a);
	for (size_t i = 0; i < p->count; i++) {
		if (i != 0)
			text_add_char(&t, '.');
		for (uint32_t j = 0; j < p->steps[i].length; j++) {
			char c = p->steps[i].text[j];

			if (c == '.' || c == '~')
				text_add(&t, c == '.' ? "~1" : "~0", 2);
			else
				text_add_char(&t, c);
		}
	}
	return text_end(&t);
}

static const char *field_annotation(struct arena *a, const struct node *n)
{
	const char *path = node_path_text(a, &n->path);
	const char *dot = n->path.count == 0 ? "" : ".";

	if (n->op == FIELD_CAPTURED)
		return arena_format(a, "field `%.*s%s%s`", (int)n->name_length, n->name, dot, path);
	return arena_format(a, "field `%s%s%s`", n->op == FIELD_ROOT ? "root" : "this", dot, path);
}

static const char *call_text(struct arena *a, const struct call_site *site)
{
	struct call call = {
	    .arena = a, .args = site->dynamic ? NULL : site->values, .arg_count = site->arg_count, .site = site};
	const char *own = site->row->annotate ? site->row->annotate(&call) : NULL;

	return own ? own : arena_format(a, "%s %s", site->target ? "method" : "function", site->row->name);
}

const char *node_annotation(struct arena *a, const struct node *n)
{
	switch ((enum node_kind)n->kind) {
	case NODE_LITERAL:
		return n->name ? n->name : arena_format(a, "%s literal", value_type_name(n->literal));
	case NODE_FIELD:
		return field_annotation(a, n);
	case NODE_GET:
		return arena_format(a, "path `%s`", node_path_text(a, &n->path));
	case NODE_VARIABLE:
		return arena_format(a, "variable %.*s", (int)n->name_length, n->name);
	case NODE_META:
		return !n->name ? "meta object" : arena_format(a, "meta field %.*s", (int)n->name_length, n->name);
	case NODE_CALL:
		return call_text(a, n->site);
	case NODE_ARITHMETIC:
	case NODE_AND:
	case NODE_OR:
	case NODE_COALESCE:
	case NODE_MAP:
		return node_annotation(a, n->right);
	case NODE_NOT:
		return arena_format(a, "not %s", node_annotation(a, n->left));
	case NODE_IF:
		return "if expression";
	case NODE_MATCH:
		return "match expression";
	case NODE_LAMBDA:
		return node_annotation(a, n->left);
	case NODE_ARRAY:
		return "array literal";
	case NODE_OBJECT:
		return "object literal";
	}
	return "query";
}
