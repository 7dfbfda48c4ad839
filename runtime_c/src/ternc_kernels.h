/* The kernels, for building a table to load a model with: generated headers list just those that
 * their model uses, so the linker drops the rest. */
#ifndef TERNC_KERNELS_H
#define TERNC_KERNELS_H

#include "ternc.h"
#include "ternc_isa.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TERNC_DECLARE(code, name, revision, words, kinds) extern const ternc_kernel ternc_k_##name;
TERNC_OPCODES(TERNC_DECLARE)
#undef TERNC_DECLARE

/* Smaller forms of some, for models that need no more: they refuse what the whole kernel does in
 * addition. Of one instruction a table holds the whole kernel or one form. */
extern const ternc_kernel ternc_k_avgpool_i8_global;     /* the window is the image */
extern const ternc_kernel ternc_k_conv2d_i8_blocked_one; /* no residual */
extern const ternc_kernel ternc_k_conv2d_i8_t2_lut_3;    /* patterns of 3, one sum, no residual */
extern const ternc_kernel ternc_k_conv2d_i8_t2_lut_4;    /* patterns of 4, one sum, no residual */

/* Every kernel; naming it links them all. */
extern const ternc_kernel *const ternc_kernels_all[];
extern const size_t ternc_kernels_all_count;

#ifdef __cplusplus
}
#endif
#endif
