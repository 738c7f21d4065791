/*
 * penalty: who guesses tokens is answered late.
 *
 * What it is: for each peer a small allowance of wrong tokens that fills again with time; a guess beyond it has its
 * answer held back. A right token is never held back, whoever else of its address guesses. Promises: 6 (the table has a
 * fixed size), 11, 12. Owner: plain data, zero at first. Thread: the owner's. Fails: never; when there are more
 * guessers than places the one heard of longest ago is forgotten. Does not: judge tokens, or hold anything back itself.
 */
#ifndef KSPOOL_SERVER_PENALTY_H
#define KSPOOL_SERVER_PENALTY_H

#include <stdint.h>

#include "server/listener.h"

enum { PENALTY_PEERS = 64, PENALTY_FREE = 10, PENALTY_REFILL_S = 5, PENALTY_HOLD_MS = 1000 };

struct penalty_peer {
	unsigned char key[LISTENER_KEY_BYTES];
	int64_t heard_ns;  /* 0: an empty place */
	int64_t filled_ns; /* up to when the allowance was counted */
	uint32_t left;
};

struct penalty {
	struct penalty_peer peers[PENALTY_PEERS];
};

/* A wrong token came from this peer: how long its answer is to wait. */
int64_t penalty_note(struct penalty *p, const struct peer *peer, int64_t now_ns);

#endif
