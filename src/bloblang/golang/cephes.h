/*
 * cephes: sine, cosine, tangent, powers and logarithms, to the last bit as the reference computes them.
 *
 * What it is: Go takes these from Moshier's Cephes library (https://www.netlib.org/cephes/) and from FreeBSD's msun.
 *     The C library differs from Go in the last bit of a quarter of all sines and a third of all tangents, and keys and
 *     golden files show it.
 * Promises: none of its own.
 * Owner: nothing.
 * Thread: any; nothing is shared.
 * Fails: never; what is not finite goes to the C library, as special cases do.
 * Does not: roots, inverse functions: those agree.
 */
#ifndef KSPOOL_BLOBLANG_GOLANG_CEPHES_H
#define KSPOOL_BLOBLANG_GOLANG_CEPHES_H

double cephes_sin(double x);
double cephes_cos(double x);
double cephes_tan(double x);
/* By repeated squaring, so that whole powers are exact where they can be. */
double cephes_pow(double x, double y);
double cephes_log(double x);
double cephes_log10(double x);

#endif
