/* sort: the sorting methods; merge sort, because comparisons may fail and nobody should pay n squared. */
#ifndef KSPOOL_BLOBLANG_LIBRARY_SORT_H
#define KSPOOL_BLOBLANG_LIBRARY_SORT_H

#include "bloblang/language/function.h"

bloblang_evaluate sort_method;
bloblang_evaluate sort_by_method;

#endif
