#include "bloblang/language/node.h"

/* A path as the reference prints it: segments joined by dots, with dots and tildes in them escaped. */
const char *path_text(struct arena *a, const struct path *p)
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
	const char *path = path_text(a, &n->path);
	const char *dot = n->path.count == 0 ? "" : ".";

	if (n->op == FIELD_CAPTURED)
		return arena_format(a, "field `%.*s%s%s`", (int)n->name_length, n->name, dot, path);
	return arena_format(a, "field `%s%s%s`", n->op == FIELD_ROOT ? "root" : "this", dot, path);
}

static const char *literal_name(const struct call_site *site)
{
	return !site->dynamic && site->arg_count > 0 && site->values[0].kind == VALUE_STRING ? site->values[0].text
	                                                                                     : NULL;
}

static const char *function_annotation(struct arena *a, const struct call_site *site)
{
	const char *name = site->row->name;
	const char *first = literal_name(site);
	int length = first ? (int)site->values[0].length : 0;

	if (first && strcmp(name, "json") == 0)
		return arena_format(a, "json path `%.*s`", length, first);
	if (first && (strcmp(name, "meta") == 0 || strcmp(name, "metadata") == 0 || strcmp(name, "root_meta") == 0))
		return length == 0 ? arena_format(a, "%s object", name)
		                   : arena_format(a, "%s field %.*s", name, length, first);
	if (strcmp(name, "deleted") == 0)
		return "delete";
	if (strcmp(name, "nothing") == 0)
		return name;
	if (first && strcmp(name, "var") == 0)
		return arena_format(a, "variable %.*s", length, first);
	return arena_format(a, "function %s", name);
}

static const char *method_annotation(struct arena *a, const struct call_site *site)
{
	const char *name = site->row->name;
	const char *first = literal_name(site);

	if (strcmp(name, "not") == 0)
		return arena_format(a, "not %s", node_annotation(a, site->target));
	if (first && strcmp(name, "apply") == 0)
		return arena_format(a, "map %.*s", (int)site->values[0].length, first);
	if (strcmp(name, "from") == 0 && !site->dynamic)
		return arena_format(a, "%s from %lld", node_annotation(a, site->target),
		                    (long long)site->values[0].integer);
	if (strcmp(name, "map") == 0)
		return node_annotation(a, site->args[0]);
	return arena_format(a, "method %s", name);
}

const char *node_annotation(struct arena *a, const struct node *n)
{
	switch ((enum node_kind)n->kind) {
	case NODE_LITERAL:
		return n->name ? n->name : arena_format(a, "%s literal", value_type_name(n->literal));
	case NODE_FIELD:
		return field_annotation(a, n);
	case NODE_GET:
		return arena_format(a, "path `%s`", path_text(a, &n->path));
	case NODE_VARIABLE:
		return arena_format(a, "variable %.*s", (int)n->name_length, n->name);
	case NODE_META:
		return !n->name ? "meta object" : arena_format(a, "meta field %.*s", (int)n->name_length, n->name);
	case NODE_CALL:
		return n->site->target ? method_annotation(a, n->site) : function_annotation(a, n->site);
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
