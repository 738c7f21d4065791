#include "kinesis/key.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"
#include "kinesis/limits.h"

enum err key_check_partition(const char *key, size_t bytes, struct error *e)
{
	size_t characters;

	if (bytes == 0)
		return error_set(e, ERR_INPUT, "the partition key is empty");
	if (bytes > KINESIS_KEY_BYTES)
		return error_set(e, ERR_INPUT, "the partition key has %zu bytes; at most %d characters are allowed",
		                 bytes, KINESIS_KEY_CHARACTERS);
	if (!utf8_is_valid(key, bytes))
		return error_set(e, ERR_INPUT, "the partition key is not valid UTF-8");
	characters = utf8_count(key, bytes);
	if (characters > KINESIS_KEY_CHARACTERS)
		return error_set(e, ERR_INPUT, "the partition key has %zu characters; at most %d are allowed",
		                 characters, KINESIS_KEY_CHARACTERS);
	return ERR_OK;
}

enum err key_check_hash(const char *key, size_t bytes, struct error *e)
{
	if (bytes == 0 || bytes > KINESIS_HASH_KEY_DIGITS)
		return error_set(e, ERR_INPUT, "the hash key has %zu characters; a decimal number of 1 to %d is wanted",
		                 bytes, KINESIS_HASH_KEY_DIGITS);
	for (size_t i = 0; i < bytes; i++)
		if (key[i] < '0' || key[i] > '9')
			return error_set(e, ERR_INPUT, "the hash key is not a decimal number");
	if (bytes > 1 && key[0] == '0')
		return error_set(e, ERR_INPUT, "the hash key has a leading zero");
	if (bytes == KINESIS_HASH_KEY_DIGITS && memcmp(key, KINESIS_HASH_KEY_MAX, bytes) > 0)
		return error_set(e, ERR_INPUT, "the hash key is larger than 2^128 - 1");
	return ERR_OK;
}
