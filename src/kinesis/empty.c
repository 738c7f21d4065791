typedef int kspool_kinesis_is_empty;
