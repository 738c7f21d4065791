typedef int kspool_cli_is_empty;
