/* Elementary functions without libm. Every function is a fixed sequence of single IEEE operations
 * (no tables), so with -ffp-contract=off results are equal everywhere. The polynomials are fits of
 * the least maximum error (Lawson's iteration on Chebyshev points). Errors are the largest measured
 * by tests/runtime/test_math.py against double precision. */
#include "ternc_math.h"

#include "kernels/gates.h"
#include "ternc_arith.h"

#define NOT_A_NUMBER ternc_bits_float(0x7fc00000u)
#define INFINITE ternc_bits_float(0x7f800000u)

/* ln 2 = LN2_HIGH + LN2_LOW; the high part has 15 bits, so its product with an exponent is exact. */
#define LN2_HIGH 0.693145751953125f
#define LN2_LOW 1.428606765330187e-06f

/* 2^n for -126 <= n <= 127. */
static float power_of_two(int32_t n) { return ternc_bits_float((uint32_t)(n + 127) << 23); }

/* exp(r) - 1 for |r| <= 0.35, relative error 6e-8. */
static float expm1_near_0(float r) {
  float p = 0.0013951719738543034f;
  p = p * r + 0.008369598537683487f;
  p = p * r + 0.0416661873459816f;
  p = p * r + 0.16666512191295624f;
  p = p * r + 0.5f;
  return r + r * r * p;
}

/* exp(x) = 2^n exp(r), |r| <= ln(2)/2. Relative error 9e-8; half a unit in the last place more
 * where the result is subnormal. */
float ternc_expf(float x) {
  int32_t n, half;
  float r, p;
  if (x != x) return x;
  if (x > 88.722839f) return INFINITE;
  if (x < -103.98f) return 0.0f;
  n = (int32_t)(x * 1.44269504f + (x < 0.0f ? -0.5f : 0.5f));
  r = x - (float)n * LN2_HIGH - (float)n * LN2_LOW;
  p = 1.0f + expm1_near_0(r);
  half = n / 2; /* in two steps: 2^n itself may be no normal number */
  return p * power_of_two(half) * power_of_two(n - half);
}

/* Relative error 3.6e-7. */
float ternc_expm1f(float x) {
  if (x == 0.0f) return x; /* -0 */
  return x > -0.35f && x < 0.35f ? expm1_near_0(x) : ternc_expf(x) - 1.0f;
}

/* log(2^e m) = e ln 2 + log(1 + f), sqrt(1/2) <= m < sqrt(2), f = m - 1. Relative error 9e-8. */
float ternc_logf(float x) {
  uint32_t bits;
  int32_t e = 0;
  float f, square, p;
  if (x != x || x == INFINITE) return x;
  if (x == 0.0f) return -INFINITE;
  if (x < 0.0f) return NOT_A_NUMBER;
  if (x < 1.17549435e-38f) { /* subnormal */
    x *= 8388608.0f;
    e = -23;
  }
  bits = ternc_float_bits(x);
  {
    const int32_t above = (int32_t)(bits - 0x3f3504f3u) >> 23; /* floor: how far m must move */
    e += above;
    f = ternc_bits_float(bits - ((uint32_t)above << 23)) - 1.0f;
  }
  square = f * f;
  p = -0.076461061835289f;
  p = p * f + 0.1277911514043808f;
  p = p * f - 0.13164184987545013f;
  p = p * f + 0.14199694991111755f;
  p = p * f - 0.16622765362262726f;
  p = p * f + 0.2000129222869873f;
  p = p * f - 0.25000837445259094f;
  p = p * f + 0.3333333134651184f;
  p = f * square * p + (float)e * LN2_LOW - 0.5f * square;
  return (f + p) + (float)e * LN2_HIGH;
}

/* What 1 + x loses to rounding is put back, to the first order. Relative error 2e-7. */
float ternc_log1pf(float x) {
  const float u = 1.0f + x;
  if (!(u > 0.0f) || u == INFINITE || x == 0.0f) return x == 0.0f ? x : ternc_logf(u);
  return ternc_logf(u) + (x - (u - 1.0f)) / u;
}

/* Relative error 1.5e-7. */
float ternc_tanhf(float x) {
  const float a = x < 0.0f ? -x : x;
  float y;
  if (x != x || a < 2.4e-4f) return x; /* the next term is below half a unit; keeps -0 */
  if (a < 0.6f) {
    const float u = x * x;
    float p = -0.005905868485569954f;
    p = p * u + 0.02080538496375084f;
    p = p * u - 0.053786683827638626f;
    p = p * u + 0.13331958651542664f;
    p = p * u - 0.33333298563957214f;
    return x + x * (u * p);
  }
  y = a > 9.02f ? 1.0f : 1.0f - 2.0f / (ternc_expf(2.0f * a) + 1.0f);
  return x < 0.0f ? -y : y;
}

/* Relative error 1.8e-7; results below 1.2e-38 lose bits as every subnormal does. */
float ternc_sigmoidf(float x) {
  float e;
  if (x >= 0.0f) return 1.0f / (1.0f + ternc_expf(-x));
  e = ternc_expf(x);
  return e / (1.0f + e);
}

/* An odd polynomial up to 1, from there 1 - exp(-q(x)) with q a fit of -log(erfc(x)). Relative
 * error 9e-8. */
float ternc_erff(float x) {
  const float a = x < 0.0f ? -x : x;
  float p;
  if (x != x) return x;
  if (a < 1.0f) {
    const float u = x * x;
    p = 7.853861461626366e-05f;
    p = p * u - 0.0008010193705558777f;
    p = p * u + 0.005188327748328447f;
    p = p * u - 0.026853812858462334f;
    p = p * u + 0.1128358542919159f;
    p = p * u - 0.3761262595653534f;
    p = p * u + 0.12837916572673f; /* 2/sqrt(pi) - 1 */
    return x + x * p;
  }
  if (a > 3.95f) {
    p = 1.0f;
  } else {
    p = -0.00018569461826700717f;
    p = p * a + 0.0029408398550003767f;
    p = p * a - 0.02181045338511467f;
    p = p * a + 0.10304853320121765f;
    p = p * a + 0.6382123231887817f;
    p = p * a + 1.127048373222351f;
    p = p * a + 0.0003515801508910954f;
    p = 1.0f - ternc_expf(-p);
  }
  return x < 0.0f ? -p : p;
}

/* Correctly rounded: by the instruction where the core has one, else digit by digit in integers, 24
 * bits of the root and one to round by (the root of a float is never half way between two). */
float ternc_sqrtf(float x) {
#if defined(__riscv_flen)
  float y;
  if (x != x) return x; /* as the other form, and not the core's own NaN */
  __asm__("fsqrt.s %0, %1" : "=f"(y) : "f"(x));
  return y;
#else
  uint32_t rest = ternc_float_bits(x), root = 0, twice = 0, digit;
  int32_t e;
  if (rest << 1 == 0) return x;
  if (rest >= 0x7f800000u) { /* infinite, not a number, or negative */
    return rest == 0x7f800000u || rest << 1 > 0xff000000u ? x : NOT_A_NUMBER;
  }
  e = (int32_t)(rest >> 23) - 127;
  if (e == -127) { /* subnormal */
    for (e = -126; rest < 0x00800000u; e--) rest <<= 1;
  }
  rest = ((rest & 0x007fffffu) | 0x00800000u) << 1;
  if ((e & 1) != 0) rest <<= 1; /* mantissa in [1, 4), even exponent */
  for (digit = 0x01000000u; digit != 0; digit >>= 1) {
    const uint32_t trial = twice + digit;
    if (trial <= rest) {
      twice = trial + digit;
      rest -= trial;
      root += digit;
    }
    rest <<= 1;
  }
  if (rest != 0) root += root & 1u;
  /* A carry into the exponent is right as well. */
  return ternc_bits_float((root >> 1) + (((uint32_t)(e >> 1) + 126u) << 23));
#endif
}

/* 0: not an integer, 1: odd, 2: even; finite v. */
static int parity(float v) {
  const float a = v < 0.0f ? -v : v;
  int32_t i;
  if (a >= 16777216.0f) return 2;
  i = (int32_t)a;
  if ((float)i != a) return 0;
  return (i & 1) != 0 ? 1 : 2;
}

/* log2 of a positive finite float, relative error below 1e-12: the series of artanh. */
static double log2_of(float x) {
  union { double d; uint64_t u; } v;
  int32_t e;
  double s, t, p;
  v.d = (double)x; /* no float is a subnormal double */
  e = (int32_t)(v.u >> 52) - 1023;
  v.u = (v.u & 0x000fffffffffffffu) | 0x3ff0000000000000u;
  if (v.d > 1.4142135623730951) {
    v.d *= 0.5;
    e++;
  }
  s = (v.d - 1.0) / (v.d + 1.0);
  t = s * s;
  p = 1.0 / 15.0;
  p = p * t + 1.0 / 13.0;
  p = p * t + 1.0 / 11.0;
  p = p * t + 1.0 / 9.0;
  p = p * t + 1.0 / 7.0;
  p = p * t + 1.0 / 5.0;
  p = p * t + 1.0 / 3.0;
  p = s + s * t * p;
  return (double)e + p * 2.8853900817779268; /* 2/ln 2 */
}

/* 2^v for -160 < v < 128, relative error below 1e-11. */
static double exp2_of(double v) {
  union { double d; uint64_t u; } scale;
  const int32_t n = (int32_t)(v + (v < 0.0 ? -0.5 : 0.5));
  const double r = (v - (double)n) * 0.6931471805599453;
  double p = 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  scale.u = (uint64_t)(uint32_t)(n + 1023) << 52;
  return p * scale.d;
}

/* In double precision, because log's error grows by y*log(x) (up to 88). Relative error 6e-8. */
float ternc_powf(float x, float y) {
  const float a = x < 0.0f ? -x : x;
  float sign = 1.0f;
  double v;
  if (y == 0.0f || x == 1.0f) return 1.0f;
  if (x != x || y != y) return x + y;
  if (y == INFINITE || y == -INFINITE) {
    if (a == 1.0f) return 1.0f;
    return (a > 1.0f) == (y > 0.0f) ? INFINITE : 0.0f;
  }
  if (parity(y) == 1 && (ternc_float_bits(x) & 0x80000000u) != 0) sign = -1.0f;
  if (a == 0.0f || a == INFINITE) return sign * ((a == 0.0f) == (y > 0.0f) ? 0.0f : INFINITE);
  if (x < 0.0f && parity(y) == 0) return NOT_A_NUMBER;
  if (y == 2.0f) return x * x; /* the usual one, exact */
  v = (double)y * log2_of(a);
  if (v >= 128.0) return sign * INFINITE;
  if (v < -151.0) return sign * 0.0f;
  return sign * (float)exp2_of(v);
}

const int16_t ternc_tanh_steps[257] = {
  0, 1024, 2045, 3063, 4075, 5079, 6073, 7056, 8025, 8980, 9919, 10840,
  11743, 12625, 13486, 14326, 15143, 15936, 16706, 17452, 18173, 18870, 19542, 20189,
  20813, 21411, 21986, 22538, 23066, 23571, 24054, 24516, 24956, 25376, 25776, 26157,
  26519, 26864, 27191, 27502, 27797, 28076, 28341, 28592, 28830, 29055, 29268, 29470,
  29660, 29840, 30010, 30170, 30322, 30465, 30600, 30727, 30847, 30960, 31067, 31167,
  31262, 31351, 31435, 31515, 31589, 31659, 31726, 31788, 31846, 31901, 31953, 32002,
  32048, 32091, 32132, 32170, 32206, 32240, 32271, 32301, 32329, 32356, 32381, 32404,
  32426, 32447, 32466, 32484, 32501, 32517, 32532, 32547, 32560, 32573, 32584, 32596,
  32606, 32616, 32625, 32634, 32642, 32649, 32657, 32663, 32670, 32676, 32681, 32686,
  32691, 32696, 32700, 32704, 32708, 32712, 32715, 32718, 32721, 32724, 32727, 32729,
  32732, 32734, 32736, 32738, 32740, 32741, 32743, 32745, 32746, 32747, 32749, 32750,
  32751, 32752, 32753, 32754, 32755, 32755, 32756, 32757, 32758, 32758, 32759, 32759,
  32760, 32760, 32761, 32761, 32762, 32762, 32762, 32763, 32763, 32763, 32764, 32764,
  32764, 32764, 32765, 32765, 32765, 32765, 32765, 32766, 32766, 32766, 32766, 32766,
  32766, 32766, 32766, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
  32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
  32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
  32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
  32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
  32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
  32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
  32767, 32767, 32767, 32767, 32767,
};

int32_t ternc_tanh_q15(int32_t x) { return ternc_tanh_gate(x); }

int32_t ternc_sigmoid_q15(int32_t x) { return ternc_sigmoid_gate(x); }

/* tanh with 16 fraction bits, on the parabola through an entry and its neighbours on both sides. */
static int32_t tanh_fine(int32_t x) {
  const uint32_t a = x < 0 ? 0u - (uint32_t)x : (uint32_t)x;
  const uint32_t step = a >> 11;
  int32_t y = 65535;
  if (step < 256) {
    const int16_t *const at = ternc_tanh_steps + step;
    const int32_t t = (int32_t)(a & 2047u), rise = at[1] - at[0];
    const int32_t bend = step == 0 ? 0 : rise - (at[0] - at[-1]); /* 0 at 0: tanh is odd */
    y = 2 * at[0] + ((2 * rise * t - (bend * t * (2048 - t) >> 11) + 1024) >> 11);
  }
  return x < 0 ? -y : y;
}

int32_t ternc_tanh_i16(int32_t x) {
  const int32_t y = (tanh_fine(x) + 1) >> 1;
  return y > 32767 ? 32767 : y;
}

int32_t ternc_sigmoid_i16(int32_t x) {
  const int32_t y = tanh_fine(x >> 1);
  return x < -(12 << 16) ? 0 : x > 12 << 16 ? 32768 : (y + 65538) >> 2;
}
