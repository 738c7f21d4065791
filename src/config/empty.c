typedef int kspool_config_is_empty;
