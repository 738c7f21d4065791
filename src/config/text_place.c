#include "config/config.h"

void config_text_place(const struct config_text *text, int line, int column, int *ret_line, int *ret_column)
{
	bool known = text->line > 0 && (line <= 1 || text->keeps_lines);

	*ret_line = text->line + (known && line > 1 ? line - 1 : 0);
	*ret_column = text->column + (known && column > 1 ? column - 1 : 0);
}

struct config_text config_node_text(const struct config_node *node)
{
	return (struct config_text){.text = node->scalar,
	                            .line = node->text_line,
	                            .column = node->text_column,
	                            .keeps_lines = node->keeps_lines};
}
