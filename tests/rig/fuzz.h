/* fuzz: what a fuzz target must define; libFuzzer and fuzz/replay.c call it. */
#ifndef KSPOOL_RIG_FUZZ_H
#define KSPOOL_RIG_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
