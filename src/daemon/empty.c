typedef int kspool_daemon_is_empty;
