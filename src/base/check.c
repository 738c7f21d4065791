#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *what, const char *file, int line, const char *function)
{
	(void)fprintf(stderr, "level=fatal msg=\"broken invariant\" check=\"%s\" function=%s at=%s:%d\n", what,
	              function, file, line);
	abort();
}
