typedef int kspool_doors_is_empty;
