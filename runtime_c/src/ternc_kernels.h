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

/* Every kernel; naming it links them all. */
extern const ternc_kernel *const ternc_kernels_all[];
extern const size_t ternc_kernels_all_count;

#ifdef __cplusplus
}
#endif
#endif
