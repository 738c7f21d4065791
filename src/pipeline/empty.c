typedef int kspool_pipeline_is_empty;
