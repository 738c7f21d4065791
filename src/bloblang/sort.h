/* sort: the sorting methods; merge sort, because comparisons may fail and nobody should pay n squared. */
#ifndef KSPOOL_BLOBLANG_SORT_H
#define KSPOOL_BLOBLANG_SORT_H

#include "bloblang/function.h"

bloblang_evaluate sort_method;
bloblang_evaluate sort_by_method;

#endif
