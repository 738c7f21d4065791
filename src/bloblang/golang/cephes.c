#include "bloblang/golang/cephes.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Beyond this the three-part reduction loses digits: the C library takes over. */
#define REDUCE_MAX 0x1p29
#define LOG10_OF_2 0.30102999566398119521

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

/* The octant of x >= 0, made even, and the distance from its middle. */
static uint64_t reduce(double x, double *ret)
{
	uint64_t octant = (uint64_t)(x * 1.27323954473516268615);
	double y;

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

	if (x == 0 || !isfinite(x) || fabs(x) >= REDUCE_MAX)
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

	if (!isfinite(x) || fabs(x) >= REDUCE_MAX)
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

	if (x == 0 || !isfinite(x) || fabs(x) >= REDUCE_MAX)
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
		result = exp(fraction * cephes_log(x));
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

double cephes_log10(double x)
{
	int exponent;
	double fraction;

	if (!(x > 0) || !isfinite(x))
		return log10(x);
	fraction = frexp(x, &exponent);
	if (fraction == 0.5)
		return (double)(exponent - 1) * LOG10_OF_2;
	return (cephes_log(fraction) * M_LOG2E + (double)exponent) * LOG10_OF_2;
}
