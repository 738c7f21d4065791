/*
 * cephes: sine, cosine, tangent, powers and decimal logarithms, to the last bit as the reference computes them.
 *
 * What it is: the polynomial approximations of Moshier's Cephes library (https://www.netlib.org/cephes/), which differ
 * from the C library's in the last digit, and which keys and golden files show. Thread: any.
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
