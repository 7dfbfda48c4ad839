/* Elementary functions in float32 without libm (internal to the runtime). Compiled with
 * -ffp-contract=off they give the same bits on every machine. NaN and infinities as in libm; the
 * measured errors are beside each definition in ternc_math.c. */
#ifndef TERNC_MATH_H
#define TERNC_MATH_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

float ternc_expf(float x);
float ternc_expm1f(float x); /* exp(x) - 1 */
float ternc_logf(float x);
float ternc_log1pf(float x); /* log(1 + x) */
float ternc_tanhf(float x);
float ternc_sigmoidf(float x); /* 1/(1 + exp(-x)) */
float ternc_erff(float x);
float ternc_sqrtf(float x); /* correctly rounded */
float ternc_powf(float x, float y);

/* The gates of integer recurrent layers: x has 16 fraction bits, the result 15 and is at most
 * 32767 in size. Integers only, by table and linear interpolation. */
int32_t ternc_tanh_q15(int32_t x);
int32_t ternc_sigmoid_q15(int32_t x); /* 1/(1 + exp(-x)) */

/* The same for int16 layers: quadratic interpolation, and a sigmoid reaches 1.0, which is 32768.
 * |error| <= 1.5 of 2^-15 for tanh, 1 for sigmoid, found for every x. */
int32_t ternc_tanh_i16(int32_t x);
int32_t ternc_sigmoid_i16(int32_t x);

#ifdef __cplusplus
}
#endif
#endif
