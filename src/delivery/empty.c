typedef int kspool_delivery_is_empty;
