typedef int kspool_aws_is_empty;
