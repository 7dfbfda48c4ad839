/* The table of every kernel, for raw blobs: an application that names it links them all. */
#include "ternc_kernels.h"

#define TERNC_ENTRY(code, name, revision, words, kinds) &ternc_k_##name,
const ternc_kernel *const ternc_kernels_all[] = {TERNC_OPCODES(TERNC_ENTRY)};
#undef TERNC_ENTRY

const size_t ternc_kernels_all_count = sizeof ternc_kernels_all / sizeof ternc_kernels_all[0];
