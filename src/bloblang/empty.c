typedef int kspool_bloblang_is_empty;
