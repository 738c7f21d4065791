typedef int kspool_journal_is_empty;
