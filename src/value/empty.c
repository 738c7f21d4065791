typedef int kspool_value_is_empty;
