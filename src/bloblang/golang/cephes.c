/*
 * Invariants:
 * 1. Products and sums are rounded one by one where Go's are, and fused where Go's are: fma() says so.
 * 2. An octant is even and below 8, and what is left of the angle lies within a quarter of pi around zero.
 * 3. What is not finite goes to the C library.
 */
#include "bloblang/golang/cephes.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Beyond this the three-part reduction loses digits. */
#define REDUCE_MAX 0x1p29

static const double sine_terms[] = {1.58962301576546568060e-10, -2.50507477628578072866e-8, 2.75573136213857245213e-6,
                                    -1.98412698295895385996e-4, 8.33333333332211858878e-3,  -1.66666666666666307295e-1};
static const double cosine_terms[] = {-1.13585365213876817300e-11, 2.08757008419747316778e-9,
                                      -2.75573141792967388112e-7,  2.48015872888517045348e-5,
                                      -1.38888888888730564116e-3,  4.16666666666665929218e-2};
static const double tangent_above[] = {-1.30936939181383777646e4, 1.15351664838587416140e6, -1.79565251976484877988e7};
static const double tangent_below[] = {1.0, 1.36812963470692954678e4, -1.32089234440210967447e6,
                                       2.50083801823357915839e7, -5.38695755929454629881e7};

static double polynomial(const double *terms, size_t count, double x)
{
	double sum = terms[0];

	for (size_t i = 1; i < count; i++) {
		double product = sum * x; /* rounded by itself: no fused multiply-add */

		sum = product + terms[i];
	}
	return sum;
}

/* 4/pi, 64 bits a word, the first with its whole part. */
static const uint64_t four_by_pi[] = {0x0000000000000001, 0x45f306dc9c882a53, 0xf84eafa3ea69bb81, 0xb6c52b3278872083,
                                      0xfca2c757bd778ac3, 0x6e48dc74849ba5c0, 0x0c925dd413a32439, 0xfc3bd63962534e7d,
                                      0xd1046bea5d768909, 0xd338e04d68befc82, 0x7323ac7306a673e9, 0x3908bf177bf25076,
                                      0x3ff12fffbc0b301f, 0xde5e2316b414da3e, 0xda6cfd9e4f96136e, 0x9e8c7ecd3cbfd45a,
                                      0xea4f758fd7cbe2f6, 0x7a0e73ef14a525d4, 0xd7f6bf623f1aba10, 0xac06608df8f6d757};

/* 64 bits of 4/pi from a bit on. */
static uint64_t bits_of_four_by_pi(unsigned at)
{
	unsigned word = at / 64, shift = at % 64;

	return shift == 0 ? four_by_pi[word] : four_by_pi[word] << shift | four_by_pi[word + 1] >> (64 - shift);
}

/* The upper half of a product of 128 bits. */
static uint64_t high_product(uint64_t a, uint64_t b)
{
	uint64_t a_low = a & UINT32_MAX, a_high = a >> 32, b_low = b & UINT32_MAX, b_high = b >> 32;
	uint64_t cross = (a_low * b_low >> 32) + (a_high * b_low & UINT32_MAX) + a_low * b_high;

	return a_high * b_high + (a_high * b_low >> 32) + (cross >> 32);
}

/*
 * The same for x >= REDUCE_MAX, after Payne and Hanek: the digits of 4/pi that decide the octant and the fraction,
 * times x's 53 bits (K. C. Ng, "Argument reduction for huge arguments: good to the last bit", 1992).
 */
static uint64_t reduce_large(double x, double *ret)
{
	enum { MANTISSA_BITS = 52, BIAS = 1023 };
	uint64_t bits, mantissa, high, low, middle, octant;
	unsigned zeros, at;
	double fraction;

	memcpy(&bits, &x, sizeof bits);
	at = (unsigned)((int)(bits >> MANTISSA_BITS) - BIAS - MANTISSA_BITS + 61);
	mantissa = (bits & ((UINT64_C(1) << MANTISSA_BITS) - 1)) | UINT64_C(1) << MANTISSA_BITS;
	middle = high_product(bits_of_four_by_pi(at + 64), mantissa);
	low = bits_of_four_by_pi(at + 64) * mantissa;
	high = bits_of_four_by_pi(at) * mantissa + middle;
	middle = low + high_product(bits_of_four_by_pi(at + 128), mantissa);
	high += middle < low;
	low = middle;
	octant = high >> 61;
	high = high << 3 | low >> 61;
	zeros = high == 0 ? 64 : (unsigned)__builtin_clzll(high);
	high = zeros + 1 >= 64 ? low << (zeros + 1 - 64) : high << (zeros + 1) | low >> (64 - (zeros + 1));
	high = high >> (64 - MANTISSA_BITS) | (uint64_t)(BIAS - (zeros + 1)) << MANTISSA_BITS;
	memcpy(&fraction, &high, sizeof fraction);
	if (octant & 1) {
		octant = (octant + 1) & 7;
		fraction--;
	}
	*ret = fraction * M_PI_4;
	return octant;
}

/* The octant of x >= 0, made even, and the distance from its middle. */
static uint64_t reduce(double x, double *ret)
{
	uint64_t octant;
	double y;

	if (x >= REDUCE_MAX)
		return reduce_large(x, ret);
	octant = (uint64_t)(x * 1.27323954473516268615);
	octant += octant & 1;
	y = (double)octant;
	*ret = ((x - y * 7.85398125648498535156e-1) - y * 3.77489470793079817668e-8) - y * 2.69515142907905952645e-15;
	return octant & 7;
}

static double sine_near_zero(double z)
{
	double zz = z * z;

	return z + z * zz * polynomial(sine_terms, 6, zz);
}

static double cosine_near_zero(double z)
{
	double zz = z * z;

	return 1.0 - 0.5 * zz + zz * zz * polynomial(cosine_terms, 6, zz);
}

double cephes_sin(double x)
{
	bool negative = x < 0;
	uint64_t octant;
	double z, y;

	if (x == 0 || !isfinite(x))
		return sin(x);
	octant = reduce(fabs(x), &z);
	if (octant > 3) {
		negative = !negative;
		octant -= 4;
	}
	y = octant == 2 ? cosine_near_zero(z) : sine_near_zero(z);
	return negative ? -y : y;
}

double cephes_cos(double x)
{
	bool negative = false;
	uint64_t octant;
	double z, y;

	if (!isfinite(x))
		return cos(x);
	octant = reduce(fabs(x), &z);
	if (octant > 3) {
		negative = !negative;
		octant -= 4;
	}
	if (octant > 1)
		negative = !negative;
	y = octant == 2 ? sine_near_zero(z) : cosine_near_zero(z);
	return negative ? -y : y;
}

double cephes_tan(double x)
{
	uint64_t octant;
	double z, zz, y;

	if (x == 0 || !isfinite(x))
		return tan(x);
	octant = reduce(fabs(x), &z);
	zz = z * z;
	y = z;
	if (zz > 1e-14)
		y = z + z * (zz * polynomial(tangent_above, 3, zz) / polynomial(tangent_below, 5, zz));
	if (octant & 2)
		y = -1 / y;
	return x < 0 ? -y : y;
}

/* The natural logarithm of FreeBSD's msun (e_log.c's reduction and coefficients). */
double cephes_log(double x)
{
	static const double odd[] = {1.479819860511658591e-01, 1.818357216161805012e-01, 2.857142874366239149e-01,
	                             6.666666666666735130e-01};
	static const double even[] = {1.531383769920937332e-01, 2.222219843214978396e-01, 3.999999999940941908e-01};
	int exponent;
	double f, k, s, s2, s4, half, sum;

	if (!(x > 0) || !isfinite(x))
		return log(x);
	f = frexp(x, &exponent);
	if (f < M_SQRT1_2) {
		f *= 2;
		exponent--;
	}
	f -= 1;
	k = exponent;
	s = f / (2 + f);
	s2 = s * s;
	s4 = s2 * s2;
	sum = s2 * polynomial(odd, 4, s4) + s4 * polynomial(even, 3, s4);
	half = 0.5 * f * f;
	return k * 6.93147180369123816490e-01 - ((half - (s * (half + sum) + k * 1.90821492927058770002e-10)) - f);
}

/* e to the x as Go has it on the machines with fused multiply-add (N. Shibata, 2010). */
static double exponential(double x)
{
	static const double terms[] = {2.4801587301587301587e-5,
	                               1.9841269841269841270e-4,
	                               1.3888888888888888889e-3,
	                               8.3333333333333333333e-3,
	                               4.1666666666666666667e-2,
	                               1.6666666666666666667e-1,
	                               0.5,
	                               1.0};
	double power = nearbyint(x * M_LOG2E), sum = terms[0];

	if (!(fabs(power) < 1000)) /* over- and underflow */
		return exp(x);
	x = fma(-power, 0.69314718055966295651160180568695068359375, x);
	x = fma(-power, 0.28235290563031577122588448175013436025525412068e-12, x) * 0.0625;
	for (size_t i = 1; i < sizeof terms / sizeof *terms; i++)
		sum = fma(x, sum, terms[i]);
	x *= sum;
	for (int i = 0; i < 3; i++)
		x *= x + 2;
	return ldexp(fma(x + 2, x, 1), (int)power);
}

double cephes_pow(double x, double y)
{
	double whole, fraction, result = 1, base;
	int exponent = 0, step;

	if (y == 0 || x == 1 || x == 0 || !isfinite(x) || !isfinite(y))
		return pow(x, y);
	if (y == 0.5 || y == -0.5)
		return y > 0 ? sqrt(x) : 1 / sqrt(x);
	fraction = modf(fabs(y), &whole);
	if (whole >= 0x1p63 || (fraction != 0 && x < 0))
		return pow(x, y);
	if (fraction > 0.5) {
		fraction--;
		whole++;
	}
	if (fraction != 0)
		result = exponential(fraction * cephes_log(x));
	base = frexp(x, &step);
	for (int64_t bits = (int64_t)whole; bits != 0; bits >>= 1) {
		if (step < -(1 << 12) || step > 1 << 12) { /* over- or underflows anyway */
			exponent += step;
			break;
		}
		if (bits & 1) {
			result *= base;
			exponent += step;
		}
		base *= base;
		step *= 2;
		if (base < 0.5) {
			base += base;
			step--;
		}
	}
	return y < 0 ? ldexp(1 / result, -exponent) : ldexp(result, exponent);
}

double cephes_log10(double x) { return cephes_log(x) * (M_LOG10E); }
