/* What opening found, in words for the log. */
#include "store/store_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void store_warn(struct store_report *report, const char *format, ...)
{
	size_t used = strlen(report->warning);
	va_list ap;

	if (used > 0 && used + 2 < sizeof report->warning)
		used += (size_t)snprintf(report->warning + used, sizeof report->warning - used, "; ");
	va_start(ap, format);
	if (used + 1 < sizeof report->warning)
		(void)vsnprintf(report->warning + used, sizeof report->warning - used, format, ap);
	va_end(ap);
}
